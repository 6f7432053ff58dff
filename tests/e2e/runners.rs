//! Pods live in processes of their own: they survive the agent, and what happens to one process is nobody else's.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::api::ListParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::sleep;
use wasmnode_tests::{
    agent::{Agent, Runner},
    eventually::eventually,
    suite::{Namespace, Scene},
};

use crate::support::{
    PATIENCE, container, ended, event, first, logs, merged, node_events, phase, pod, restarts, running, tool, wait_for,
    wait_within,
};

/// Pods that are there when an agent is killed.
const MANY: usize = 200;

/// How long the agent is away.
const AWAY: Duration = Duration::from_secs(3);

/// A pod that restarts by policy and prints a line now and then.
fn talker(name: &str, agent: &Agent, image: &str, steps: &[&str], more: Value) -> Value {
    let spec = json!({ "terminationGracePeriodSeconds": 2 });
    pod(name, Some(agent), json!([container("main", image, steps)]), merged(spec, more))
}

/// What must not change for a container while nobody restarts it.
fn identity(pod: &Pod) -> Option<(String, i32, String)> {
    let ContainerStatus { container_id, restart_count, state, .. } = first(pod)?.clone();
    let started = state?.running?.started_at?.0;
    Some((container_id?, restart_count, started.to_string()))
}

async fn identities(namespace: &Namespace) -> Result<BTreeMap<String, (String, i32, String)>> {
    let pods = namespace.pods().list(&ListParams::default()).await?;
    let named = pods.items.iter().filter_map(|pod| Some((pod.metadata.name.clone()?, identity(pod)?)));
    Ok(named.collect())
}

async fn all_running(namespace: &Namespace, count: usize) -> Result<BTreeMap<String, (String, i32, String)>> {
    eventually(4 * PATIENCE, &format!("{count} pods running"), || async {
        let running = identities(namespace).await?;
        ensure!(running.len() == count, "{} of {count} run", running.len());
        Ok(running)
    })
    .await
}

fn runner_of(agent: &Agent, namespace: &Namespace) -> Result<Runner> {
    let group = format!("ns-{}", namespace.name());
    let found: Vec<_> = agent.runners().into_iter().filter(|runner| runner.group == group).collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        other => bail!("runners of group {group}: {other:?}; all: {:?}", agent.runners()),
    }
}

fn signal(runner: &Runner, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(runner.pid).context("no process id")?;
    kill_process(pid, signal).with_context(|| format!("cannot signal {runner:?}"))
}

fn last_terminated(pod: &Pod) -> Option<ContainerStateTerminated> {
    first(pod)?.last_state.clone()?.terminated
}

/// All lines of a container's log, rotated files first.
fn logged_lines(agent: &Agent, pod: &Pod) -> Result<Vec<String>> {
    let meta = &pod.metadata;
    let (name, uid) = (meta.name.clone().context("no name")?, meta.uid.clone().context("no uid")?);
    let namespace = meta.namespace.clone().context("no namespace")?;
    let directory = agent.pod_logs().join(format!("{namespace}_{name}_{uid}")).join("main");
    let mut files: Vec<_> =
        std::fs::read_dir(&directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    // `0.log.<time>` before `0.log`.
    files.sort_by_key(|path| (path.extension().is_some_and(|extension| extension == "log"), path.clone()));
    let mut lines = Vec::new();
    for file in files {
        let text = read_log(&file)?;
        lines.extend(text.lines().filter_map(|line| line.split_once(" F ").map(|(_, text)| text.to_owned())));
    }
    Ok(lines)
}

fn read_log(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `line 1`, `line 2` and so on, none missing and none twice.
fn check_sequence(name: &str, lines: &[String]) -> Result<()> {
    for (index, line) in lines.iter().enumerate() {
        let expected = format!("line {}", index + 1);
        ensure!(*line == expected, "pod {name}: {line:?} stands where {expected:?} should: {lines:?}");
    }
    ensure!(!lines.is_empty(), "pod {name} printed nothing");
    Ok(())
}

pub(crate) async fn pods_outlive_a_killed_agent(scene: Scene) -> Result<()> {
    let small = json!({ "maxPods": MANY + 50, "containerLogMaxSize": "4Ki", "containerLogMaxFiles": 1000 });
    let mut agent = scene.own_agent(small).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let steps = ["lines 100000 200ms"];
    let talkers = (0..MANY).map(|n| talker(&format!("talker-{n}"), &agent, &image, &steps, json!({})));
    let list: Vec<Value> = talkers.collect();
    namespace.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": list })).await?;
    let before = all_running(&namespace, MANY).await?;
    let never = json!({ "restartPolicy": "Never" });
    // Ends while nobody looks.
    namespace.apply(&talker("ends", &agent, &image, &["print bye", "sleep 6s", "exit 7"], never)).await?;
    running(&namespace, "ends").await?;
    let runner = runner_of(&agent, &namespace)?;

    for _ in 0..3 {
        agent.kill().await?;
        sleep(AWAY).await;
        agent.restart().await?;
    }

    let end = ended(&namespace, "ends").await?;
    let terminated = first(&end).and_then(|status| status.state.clone()?.terminated).context("not terminated")?;
    let started = terminated.started_at.as_ref().context("no startedAt")?.0;
    let lived = terminated.finished_at.as_ref().context("no finishedAt")?.0.duration_since(started);
    ensure!(terminated.exit_code == 7 && (5..=8).contains(&lived.as_secs()), "{terminated:?}");
    ensure!(runner_of(&agent, &namespace)? == runner, "another runner than {runner:?}");
    let after = identities(&namespace).await?;
    ensure!(after == before, "before {before:?}, after {after:?}");
    for pod in namespace.pods().list(&ListParams::default()).await?.items {
        let name = pod.metadata.name.clone().unwrap_or_default();
        if name.starts_with("talker") {
            check_sequence(&name, &logged_lines(&agent, &pod)?)?;
        }
    }
    // An agent that is killed loses events that waited for their turn, and no agent repeats one.
    let told = node_events(&namespace, "talker-0").await?;
    let started: Vec<_> = told.iter().filter(|event| event.reason.as_deref() == Some("Started")).collect();
    ensure!(started.iter().map(|event| event.count.unwrap_or(1)).sum::<i32>() <= 1, "{started:?}");
    // And it is still a pod like any other.
    namespace.kubectl().ok(&["delete", "pods", "--all", "--timeout=60s"]).await?;
    Ok(())
}

pub(crate) async fn pods_deleted_while_the_agent_was_away_end(scene: Scene) -> Result<()> {
    let mut agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    for name in ["deleted", "forced", "stays"] {
        namespace.apply(&talker(name, &agent, &image, &["print up", "sleep 1h"], json!({}))).await?;
        running(&namespace, name).await?;
    }
    let before = identities(&namespace).await?;
    let forced = namespace.pods().get("forced").await?.metadata.uid.context("no uid")?;
    agent.kill().await?;
    namespace.kubectl().ok(&["delete", "pod", "deleted", "--wait=false"]).await?;
    namespace.kubectl().ok(&["delete", "pod", "forced", "--force", "--grace-period=0"]).await?;
    agent.restart().await?;
    let logs_of_forced = agent.pod_logs().join(format!("{}_forced_{forced}", namespace.name()));
    eventually(PATIENCE, "both gone, with everything on disk", || async {
        ensure!(namespace.pods().get_opt("deleted").await?.is_none(), "deleted is still there");
        ensure!(!logs_of_forced.exists(), "{} is still there", logs_of_forced.display());
        Ok(())
    })
    .await?;
    ensure!(identities(&namespace).await?.get("stays") == before.get("stays"));
    Ok(())
}

pub(crate) async fn a_killed_runner_restarts_only_its_pods(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({})).await?;
    let (hit, other, image) = (scene.namespace().await?, scene.namespace().await?, tool(&scene).await?);
    let steps = ["print up", "sleep 1h"];
    for namespace in [&hit, &other] {
        namespace.apply(&talker("always", &agent, &image, &steps, json!({}))).await?;
        running(namespace, "always").await?;
    }
    let never = json!({ "restartPolicy": "Never" });
    hit.apply(&talker("never", &agent, &image, &steps, never)).await?;
    running(&hit, "never").await?;
    let (spared, first_runner) = (identities(&other).await?, runner_of(&agent, &hit)?);
    ensure!(first_runner != runner_of(&agent, &other)?);

    signal(&first_runner, Signal::KILL)?;
    let again = |pod: &Pod| restarts(pod) == 1 && identity(pod).is_some();
    let always = wait_within(Duration::from_secs(10), &hit, "always", "running again", again).await?;
    let last = last_terminated(&always).context("no last state")?;
    ensure!((last.exit_code, last.reason.as_deref()) == (255, Some("Unknown")), "{last:?}");
    let message = last.message.clone().unwrap_or_default();
    ensure!(message.contains("signal 9") && message.contains(&first_runner.pid.to_string()), "{message:?}");
    let died = last.finished_at.context("no finishedAt")?.0;
    let back = first(&always).and_then(|s| s.state.clone()?.running?.started_at).context("not running")?.0;
    ensure!(back.duration_since(died).as_secs() <= 2, "it took from {died} to {back}");
    let never = ended(&hit, "never").await?;
    ensure!(phase(&never) == "Failed" && restarts(&never) == 0);
    event(&hit, "always", "RunnerLost", "signal 9").await?;
    ensure!(identities(&other).await? == spared, "pods of another group were touched");
    ensure!(logs(&hit, "always").await? == "up\n");
    ensure!(hit.kubectl().ok(&["logs", "always", "--previous"]).await? == "up\n");
    Ok(())
}

pub(crate) async fn a_hung_runner_is_found(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&talker("always", &agent, &image, &["print up", "sleep 1h"], json!({}))).await?;
    running(&namespace, "always").await?;
    signal(&runner_of(&agent, &namespace)?, Signal::STOP)?;
    let again = |pod: &Pod| restarts(pod) == 1 && identity(pod).is_some();
    let after = wait_for(&namespace, "always", "running again", again).await?;
    let message = last_terminated(&after).and_then(|last| last.message).unwrap_or_default();
    ensure!(message.contains("did not answer"), "{message:?}");
    Ok(())
}

pub(crate) async fn groups_keep_pods_apart(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let kubectl = scene.cluster().await?.kubectl();
    for handler in ["wasm-node", "wasm-pod"] {
        let class = json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
            "metadata": { "name": format!("e2e-{handler}") }, "handler": handler });
        kubectl.apply(&class).await?;
    }
    let steps = ["print up", "sleep 1h"];
    namespace.apply(&talker("together", &agent, &image, &steps, json!({}))).await?;
    let alone = json!({ "runtimeClassName": "e2e-wasm-pod" });
    namespace.apply(&talker("alone", &agent, &image, &steps, alone)).await?;
    let dense = json!({ "runtimeClassName": "e2e-wasm-node" });
    namespace.apply(&talker("refused", &agent, &image, &steps, dense)).await?;
    running(&namespace, "together").await?;
    let alone = running(&namespace, "alone").await?.metadata.uid.context("no uid")?;
    let groups: Vec<_> = agent.runners().into_iter().map(|runner| runner.group).collect();
    ensure!(groups == [format!("ns-{}", namespace.name()), format!("pod-{alone}")], "{groups:?}");
    event(&namespace, "refused", "FailedCreatePodSandBox", "namespace, pod").await?;

    // A runner without pods does not stay.
    namespace.kubectl().ok(&["delete", "pods", "--all", "--timeout=60s"]).await?;
    eventually(PATIENCE, "no runner left", || async {
        let left = agent.runners();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

/// Ids of the engines that code was compiled for on this node.
fn engines_compiled_for(agent: &Agent) -> Result<usize> {
    Ok(std::fs::read_dir(agent.root().join("code"))?.count())
}

pub(crate) async fn an_upgrade_and_the_way_back_keep_pods_running(scene: Scene) -> Result<()> {
    let mut agent = scene.own_agent_apart(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let talks = ["lines 100000 200ms"];
    namespace.apply(&talker("talks", &agent, &image, &talks, json!({}))).await?;
    // Started again after the upgrade, where it was: in the older runner.
    namespace.apply(&talker("restarted", &agent, &image, &["sleep 1h"], json!({}))).await?;
    let before = all_running(&namespace, 2).await?;
    let old = runner_of(&agent, &namespace)?;

    let other = scene.world().scratch().join("other-build");
    wasmnode_tests::program::other_build(&other)?;
    agent.set_program(other.clone());
    ensure!(agent.terminate().await?.success());
    sleep(AWAY).await;
    agent.restart().await?;

    ensure!(identities(&namespace).await? == before, "the upgrade touched running pods");
    namespace.apply(&talker("new", &agent, &image, &talks, json!({}))).await?;
    running(&namespace, "new").await?;
    let new = agent.runners().into_iter().find(|runner| runner.pid != old.pid).context("no second runner")?;
    ensure!(new.build != old.build && agent.runners().contains(&old), "{new:?} beside {old:?}");
    ensure!(engines_compiled_for(&agent)? == 2, "each engine has code of its own");
    restart_by_image_change(&namespace, &scene, "restarted").await?;
    ensure!(agent.runners().len() == 2, "a restart stays in its runner: {:?}", agent.runners());

    // The way back.
    let during = identities(&namespace).await?;
    agent.set_program(wasmnode_tests::paths::wasmnode()?);
    agent.kill().await?;
    agent.restart().await?;
    ensure!(identities(&namespace).await? == during, "the way back touched running pods");
    namespace.apply(&talker("last", &agent, &image, &talks, json!({}))).await?;
    running(&namespace, "last").await?;
    ensure!(agent.runners().len() == 2, "the first runner is of this build: {:?}", agent.runners());
    for name in ["talks", "new", "last"] {
        check_sequence(name, &logged_lines(&agent, &namespace.pods().get(name).await?)?)?;
    }
    // An older runner ends with its last pod.
    namespace.kubectl().ok(&["delete", "pod", "new", "--timeout=60s"]).await?;
    eventually(PATIENCE, "the other build's runner gone", || async {
        ensure!(!agent.runners().contains(&new));
        Ok(())
    })
    .await
}

/// A changed image starts the container again.
async fn restart_by_image_change(namespace: &Namespace, scene: &Scene, name: &str) -> Result<()> {
    let image = crate::support::small(scene, "sleeper").await?;
    let patch = json!({ "spec": { "containers": [{ "name": "main", "image": image }] } }).to_string();
    namespace.kubectl().ok(&["patch", "pod", name, "--patch", &patch]).await?;
    wait_for(namespace, name, "running the other image", |pod| restarts(pod) == 1 && identity(pod).is_some()).await?;
    Ok(())
}

/// Whether its process is still there; one that nobody has waited for is not.
fn lives(runner: &Runner) -> bool {
    std::fs::read(format!("/proc/{}/cmdline", runner.pid)).is_ok_and(|line| !line.is_empty())
}

/// A verb of the agent's program: exit status and what it said, standard output first.
async fn verb(agent: &Agent, verb: &str, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = agent.verb(verb).args(arguments).output().await.with_context(|| format!("cannot run {verb}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

fn finished_at(pod: &Pod) -> Result<i64> {
    let terminated = first(pod).and_then(|status| status.state.clone()?.terminated).context("not terminated")?;
    Ok(terminated.finished_at.context("no finishedAt")?.0.as_second())
}

pub(crate) async fn a_drain_ends_pods_in_order(scene: Scene) -> Result<()> {
    let time = json!({ "shutdownGracePeriod": "30s", "shutdownGracePeriodCriticalPods": "10s" });
    let mut agent = scene.own_agent(time).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let steps = ["print up", "sleep 1h"];
    // It does not look at its standard input, so that it takes the whole of its grace to stop.
    let mut slow = talker("slow", &agent, &image, &steps, json!({ "terminationGracePeriodSeconds": 4 }));
    slow["metadata"]["annotations"] = json!({ "wasmnode.dev/stop": "stdin" });
    namespace.apply(&slow).await?;
    let critical = json!({ "priorityClassName": "system-node-critical" });
    namespace.apply(&talker("critical", &agent, &image, &steps, critical)).await?;
    for name in ["slow", "critical"] {
        running(&namespace, name).await?;
    }
    let runners = agent.runners();

    let (status, said) = verb(&agent, "drain", &[]).await?;
    ensure!(status == Some(0), "{status:?}: {said}");
    for line in ["2 pods left\n", "1 pod left\n", "all pods have ended\n"] {
        ensure!(said.contains(line), "{line:?} is missing: {said:?}");
    }
    let mut ends = Vec::new();
    for name in ["slow", "critical"] {
        let pod = ended(&namespace, name).await?;
        let status = pod.status.clone().context("no status")?;
        let text = "Pod was terminated in response to imminent node shutdown.";
        let told = (status.phase.as_deref(), status.reason.as_deref(), status.message.as_deref());
        ensure!(told == (Some("Failed"), Some("Terminated"), Some(text)), "{name}: {told:?}");
        let mut conditions = status.conditions.iter().flatten();
        ensure!(conditions.any(|condition| condition.type_ == "DisruptionTarget"), "{name}: {status:?}");
        ends.push(finished_at(&pod)?);
    }
    ensure!(ends[0] <= ends[1], "the critical pod ended first: {ends:?}");
    ensure!(!runners.is_empty() && !runners.iter().any(lives), "of {runners:?} some live");
    node_goes_down(&scene, &agent).await?;

    let bound = json!({ "nodeName": agent.node().name });
    namespace.apply(&talker("late", &agent, &image, &steps, bound)).await?;
    let late = ended(&namespace, "late").await?;
    let reason = late.status.as_ref().and_then(|status| status.reason.clone());
    ensure!(reason.as_deref() == Some("NodeShutdown"), "{:?}", late.status);

    // The way back.
    ensure!(agent.terminate().await?.success());
    agent.restart().await?;
    namespace.apply(&talker("again", &agent, &image, &steps, json!({}))).await?;
    running(&namespace, "again").await?;
    ensure!(phase(&namespace.pods().get("slow").await?) == "Failed", "what was ended stays so");
    Ok(())
}

async fn node_goes_down(scene: &Scene, agent: &Agent) -> Result<()> {
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(scene.cluster().await?.client());
    eventually(PATIENCE, "the node says that it goes down", || async {
        let node = nodes.get(&agent.node().name).await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready").context("no condition Ready")?;
        let message = ready.message.as_deref().unwrap_or_default();
        ensure!(ready.status == "False" && message.contains("node is shutting down"), "{ready:?}");
        Ok(())
    })
    .await
}

pub(crate) async fn a_stopped_agent_leaves_pods_that_a_drain_ends(scene: Scene) -> Result<()> {
    let mut agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&talker("stays", &agent, &image, &["print up", "sleep 1h"], json!({}))).await?;
    running(&namespace, "stays").await?;
    let runner = runner_of(&agent, &namespace)?;
    ensure!(agent.terminate().await?.success());
    sleep(AWAY).await;
    ensure!(lives(&runner), "{runner:?} ended with its agent");

    let (status, said) = verb(&agent, "drain", &["--timeout", "5s"]).await?;
    ensure!(status == Some(0) && said.contains("no agent runs; containers that do: 1"), "{status:?}: {said}");
    ensure!(!lives(&runner), "{runner:?} still lives: {said}");
    let (status, said) = verb(&agent, "drain", &[]).await?;
    ensure!(status == Some(0) && said.contains("containers that do: 0"), "{status:?}: {said}");

    agent.restart().await?;
    let again = |pod: &Pod| restarts(pod) == 1 && identity(pod).is_some();
    let after = wait_for(&namespace, "stays", "running again", again).await?;
    let last = last_terminated(&after).context("no last state")?;
    ensure!(last.exit_code == 143, "{last:?}");
    Ok(())
}

pub(crate) async fn nothing_is_left_after_uninstall(scene: Scene) -> Result<()> {
    let mut agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&talker("left", &agent, &image, &["print up", "sleep 1h"], json!({}))).await?;
    running(&namespace, "left").await?;
    let runner = runner_of(&agent, &namespace)?;

    let (status, said) = verb(&agent, "uninstall", &[]).await?;
    ensure!(status == Some(2) && said.contains("--yes"), "{status:?}: {said}");
    let (status, said) = verb(&agent, "uninstall", &["--yes"]).await?;
    ensure!(status == Some(3) && said.contains("another agent"), "{status:?}: {said}");
    ensure!(lives(&runner) && agent.root().exists(), "a refusal removes nothing");
    ensure!(agent.terminate().await?.success());

    let (status, said) = verb(&agent, "uninstall", &["--yes", "--timeout", "5s"]).await?;
    ensure!(status == Some(0), "{status:?}: {said}");
    ensure!(!lives(&runner), "{runner:?} still lives: {said}");
    for path in [agent.root(), agent.run()] {
        ensure!(!path.exists(), "{} is still there: {said}", path.display());
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let run = agent.run().display().to_string();
    ensure!(!mounts.contains(&format!(" {run} ")), "{run} is still mounted: {said}");
    let logs: Vec<_> = std::fs::read_dir(agent.pod_logs())?.collect();
    ensure!(logs.is_empty(), "logs are left: {logs:?}");
    let (status, said) = verb(&agent, "uninstall", &["--yes"]).await?;
    ensure!(status == Some(0) && said.contains("nothing of wasmnode"), "{status:?}: {said}");

    // No agent will ever do it.
    namespace.kubectl().ok(&["delete", "pod", "left", "--force", "--grace-period=0"]).await?;
    Ok(())
}
