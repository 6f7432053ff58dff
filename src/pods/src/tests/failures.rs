//! What a pod goes through when something breaks, and that no other pod notices.

use serde_json::json;
use wasmnode_core::pod::PullErrorKind;
use wasmnode_provider_api::{Error, Provider, StartFailure};

use super::cluster::{NOTHING_TO_START, PANICKING};
use super::node::{Node, pod};

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_own_pod_only() {
    let node = Node::start().await;
    node.apply(&pod("other", "o", "Always", "never exit")).await;
    node.cluster.until("other runs", |state| state.phase("o") == "Running").await;
    let mut broken = pod("p", "u", "Always", "never exit");
    broken["spec"]["containers"][0]["image"] = json!(PANICKING);
    node.apply(&broken).await;
    node.cluster.until("fails", |state| state.phase("u") == "Failed").await;
    {
        let state = node.cluster.state();
        assert_eq!(state.status("u").unwrap().reason.as_deref(), Some("AgentError"));
        assert_eq!(state.phase("o"), "Running");
    }
    assert_eq!(node.handle.metrics().worker_panics.get(), 1);
    node.delete(&broken, 30).await;
    node.cluster.until("released", |state| state.released == ["u"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_keeps_the_container_waiting_until_it_is_there() {
    let node = Node::start().await;
    let mut waits = pod("p", "u", "Never", "exit 0");
    let key = json!({ "configMapKeyRef": { "name": "settings", "key": "level" } });
    waits["spec"]["containers"][0]["env"] = json!([{ "name": "LEVEL", "valueFrom": key }]);
    node.apply(&waits).await;
    let reason = |text: &str| Some(("CreateContainerConfigError".to_owned(), text.to_owned()));
    let missing = reason("configmap \"settings\" not found");
    node.cluster.until("waits", |state| state.waiting("u") == missing).await;
    node.cluster.set_config_map("settings", &[]);
    let no_key = reason("couldn't find key level in ConfigMap ns/settings");
    node.cluster.until("waits for the key", |state| state.waiting("u") == no_key).await;
    node.cluster.set_config_map("settings", &[("level", "1")]);
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
    assert_eq!(node.cluster.state().restarts("u"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exit_that_cannot_be_recorded_is_kept_by_the_runtime() {
    let node = Node::start().await;
    node.apply(&pod("p", "u", "Never", "run 10s exit 3")).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    let records = node.path("state/groups/node/pods/u/exits");
    std::fs::write(&records, "").unwrap();
    node.cluster.until("fails", |state| state.phase("u") == "Failed").await;
    tokio::time::sleep(std::time::Duration::from_secs(150)).await;
    assert_eq!(node.provider.list().await.unwrap().exits.len(), 1);
    assert!(node.handle.ended(&crate::fixtures::pod_ref("p", "u"), "c", 0).is_cancelled());
    std::fs::remove_file(&records).unwrap();
    while !node.provider.list().await.unwrap().exits.is_empty() {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(records.join("c.json").exists());
    assert_eq!(node.handle.metrics().containers_exited.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_volume_is_told_and_tried_again() {
    let node = Node::start().await;
    let mut waits = pod("p", "u", "Never", "exit 0");
    waits["spec"]["volumes"] = json!([{ "name": "v", "secret": { "secretName": "keys" } }]);
    node.apply(&waits).await;
    node.cluster.until("told", |state| !state.events("u", "FailedMount").is_empty()).await;
    {
        let state = node.cluster.state();
        let text = "MountVolume.SetUp failed for volume \"v\" : secret \"keys\" not found";
        assert_eq!(state.events("u", "FailedMount")[0], text);
        assert_eq!(state.waiting("u").unwrap().0, "ContainerCreating");
    }
    node.cluster.set_secret("keys", &[("k", "v")]);
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_runtime_class_or_handler_is_told() {
    let node = Node::start().await;
    let mut classed = pod("p", "u", "Never", "exit 0");
    classed["spec"]["runtimeClassName"] = json!("gvisor");
    node.apply(&classed).await;
    let event = |text: &'static str| {
        move |state: &super::cluster::State| state.events("u", "FailedCreatePodSandBox").last() == Some(&text)
    };
    let missing = "Failed to create pod sandbox: runtimeclass.node.k8s.io \"gvisor\" not found";
    node.cluster.until("class", event(missing)).await;
    node.cluster.change(|state| drop(state.handlers.insert("gvisor".into(), "runsc".into())));
    let unknown =
        "Failed to create pod sandbox: no runtime for \"runsc\" is configured; this node has: wasm, wasm-node";
    node.cluster.until("handler", event(unknown)).await;
    node.cluster.change(|state| drop(state.handlers.insert("gvisor".into(), "wasm".into())));
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn stale_code_is_compiled_anew_once() {
    let node = Node::start().await;
    let stale = Error::Start(StartFailure::Stale("other engine".into()));
    node.provider.refuse_artifact("sha256:example.com/tool:1", Some(stale));
    node.apply(&pod("p", "u", "Never", "exit 0")).await;
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
    assert_eq!(node.cluster.state().recompiled, 1);
    assert_eq!(node.provider.starts()[0].artifact.digest, "sha256:example.com/tool:1+fresh");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_not_in_the_image_is_told() {
    let node = Node::start().await;
    let mut broken = pod("p", "u", "Never", "exit 0");
    broken["spec"]["containers"][0]["image"] = json!(NOTHING_TO_START);
    broken["spec"]["containers"][0]["command"] = json!(["server"]);
    node.apply(&broken).await;
    let text = "exec: \"server\": executable file not found in $PATH".to_owned();
    node.cluster.until("fails", |state| state.phase("u") == "Failed").await;
    let state = node.cluster.state();
    assert_eq!(state.terminated("u").unwrap(), (128, "StartError".to_owned(), text.clone()));
    assert_eq!(state.events("u", "Failed"), [format!("Error: {text}")]);
    assert!(state.events("u", "Started").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_known_only_after_the_pull_is_looked_for_again() {
    let node = Node::start().await;
    let mut late = pod("p", "u", "Never", "exit 0");
    let key = json!({ "configMapKeyRef": { "name": "settings", "key": "name" } });
    late["spec"]["containers"][0]["env"] = json!([{ "name": "NAME", "valueFrom": key }]);
    late["spec"]["containers"][0]["image"] = json!(NOTHING_TO_START);
    late["spec"]["containers"][0]["command"] = json!(["$(NAME)"]);
    node.cluster.set_config_map("settings", &[("name", "server")]);
    node.cluster.change(|state| std::mem::swap(&mut state.config_maps, &mut state.coming));
    node.apply(&late).await;
    node.cluster.until("waits", |state| state.waiting("u").is_some_and(|w| w.0 == "CreateContainerConfigError")).await;
    node.cluster.until("fails", |state| state.phase("u") == "Failed").await;
    let state = node.cluster.state();
    let text = "exec: \"server\": executable file not found in $PATH".to_owned();
    assert_eq!(state.terminated("u").unwrap(), (128, "StartError".to_owned(), text));
    assert_eq!((state.restarts("u"), state.pulls.len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_not_in_the_image_is_tried_again_by_policy() {
    let node = Node::start().await;
    let mut broken = pod("p", "u", "Always", "exit 0");
    broken["spec"]["containers"][0]["image"] = json!(NOTHING_TO_START);
    broken["spec"]["containers"][0]["command"] = json!(["$(NAME)"]);
    broken["spec"]["containers"][0]["env"] = json!([{ "name": "NAME", "value": "server" }]);
    node.apply(&broken).await;
    node.cluster.until("backs off", |state| state.waiting("u").is_some_and(|w| w.0 == "CrashLoopBackOff")).await;
    node.cluster.until("again", |state| state.restarts("u") == 3).await;
    let state = node.cluster.state();
    assert_eq!(state.events("u", "Failed")[0], "Error: exec: \"server\": executable file not found in $PATH");
    assert!(state.requests.iter().all(|request| request.command == ["server"]), "{:?}", state.requests);
}

#[tokio::test(start_paused = true)]
async fn the_program_is_looked_for_with_variables_replaced_and_in_the_containers_path() {
    let node = Node::start().await;
    node.cluster.set_config_map("settings", &[("dir", "/opt")]);
    let mut named = pod("p", "u", "Never", "$(A)");
    let container = &mut named["spec"]["containers"][0];
    container["command"] = json!(["run$(A)"]);
    let key = json!({ "configMapKeyRef": { "name": "settings", "key": "dir" } });
    container["env"] = json!([
        { "name": "A", "value": "1" }, { "name": "DIR", "valueFrom": key }, { "name": "PATH", "value": "$(DIR)/bin" },
    ]);
    node.apply(&named).await;
    node.cluster.until("pulled", |state| !state.requests.is_empty()).await;
    let request = node.cluster.state().requests[0].clone();
    assert_eq!((request.command, request.args), (vec!["run1".to_owned()], vec!["1".to_owned()]));
    assert_eq!(request.path.as_deref(), Some("/opt/bin"));
    let engine = wasmnode_provider_fake::FakeProvider::engine();
    assert_eq!(request.target.unwrap().engines, [engine], "what the sandbox's process has");
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_was_lost_counts_once() {
    for script in ["never exit", "exit 3"] {
        let node = Node::start().await;
        node.runtime.lose_answers(true);
        node.apply(&pod("p", "u", "Never", script)).await;
        let phase = if script == "exit 3" { "Failed" } else { "Running" };
        node.cluster.until("known", |state| state.phase("u") == phase).await;
        assert_eq!((node.cluster.state().restarts("u"), node.provider.starts().len()), (0, 1), "{script}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_carried_out_late_counts_once() {
    let node = Node::start().await;
    node.provider.refuse_next_start(Error::Full("busy".into()));
    node.apply(&pod("p", "u", "Always", "never exit")).await;
    node.cluster.until("refused", |state| state.waiting("u").is_some_and(|w| w.0 == "RunContainerError")).await;
    let run = node.provider.starts().remove(0);
    node.provider.start(run.clone()).await.unwrap();
    let written = node.path("state/groups/node/pods/u/root/c/written");
    std::fs::write(&written, "").unwrap();
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    assert_eq!((node.cluster.state().restarts("u"), node.provider.starts().len()), (0, 2));
    assert_eq!(node.provider.list().await.unwrap().runs[0].run, run.id);
    assert!(written.exists(), "the files of what lives are left alone");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_went_with_its_process_is_made_anew() {
    let node = Node::start().await;
    node.apply(&pod("p", "u", "Always", "never exit")).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    let sandbox = crate::site::sandbox(&crate::fixtures::pod_ref("p", "u")).unwrap();
    node.provider.remove_sandbox(&sandbox).await.unwrap();
    node.cluster.until("again", |state| state.restarts("u") == 1 && state.phase("u") == "Running").await;
    assert_eq!(node.provider.list().await.unwrap().sandboxes, [sandbox]);
}

#[tokio::test(start_paused = true)]
async fn unknown_imports_are_listed() {
    let node = Node::start().await;
    let imports = Error::Start(StartFailure::Imports(vec!["env::a".into(), "env::b".into()]));
    node.provider.refuse_artifact("sha256:example.com/tool:1", Some(imports));
    node.apply(&pod("p", "u", "Never", "exit 0")).await;
    let text = "imports that this node does not provide: env::a, env::b".to_owned();
    let waiting = Some(("CreateContainerError".to_owned(), text));
    node.cluster.until("waits", |state| state.waiting("u") == waiting).await;
    assert_eq!(std::fs::read_dir(node.path("links")).unwrap().count(), 0, "a link to a log that there never was");
    node.provider.refuse_artifact("sha256:example.com/tool:1", None);
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_full_provider_is_tried_again() {
    let node = Node::start().await;
    node.provider.refuse_next_start(Error::Full("1000 of 1000 in use".into()));
    node.apply(&pod("p", "u", "Never", "exit 0")).await;
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
    let state = node.cluster.state();
    assert_eq!(state.events("u", "Failed"), ["Error: no room for another run: 1000 of 1000 in use"]);
    assert_eq!(state.restarts("u"), 0);
}

#[tokio::test(start_paused = true)]
async fn lost_runs_start_again_by_policy() {
    let node = Node::start().await;
    node.apply(&pod("always", "a", "Always", "never exit")).await;
    node.apply(&pod("never", "n", "Never", "never exit")).await;
    node.cluster.until("run", |state| state.phase("a") == "Running" && state.phase("n") == "Running").await;
    node.provider.lose_all("the process was killed");
    node.cluster.until("again", |state| state.restarts("a") == 1 && state.phase("n") == "Failed").await;
    let state = node.cluster.state();
    let cause = "the process was killed".to_owned();
    assert_eq!(state.terminated("n").unwrap(), (255, "Unknown".to_owned(), cause.clone()));
    assert_eq!(state.events("n", "RunnerLost"), [cause.as_str()]);
    assert_eq!(state.events("a", "RunnerLost"), [cause.as_str()]);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_image_waits_without_a_storm() {
    let node = Node::start().await;
    node.cluster.change(|state| state.broken.extend([("example.com/tool:1".into(), PullErrorKind::NotWasm)]));
    node.apply(&pod("p", "u", "Never", "exit 0")).await;
    let backing_off = |state: &super::cluster::State| state.waiting("u").is_some_and(|w| w.0 == "ImagePullBackOff");
    node.cluster.until("waits", backing_off).await;
    node.cluster.until("looks again", |state| state.pulls.len() >= 4).await;
    {
        let state = node.cluster.state();
        assert_eq!(state.records.len(), 1, "{:?}", state.records);
        assert_eq!(state.phase("u"), "Pending");
    }
    node.cluster.change(|state| state.broken.clear());
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_cannot_be_written_is_told_and_does_not_keep_a_pod_from_being_deleted() {
    let node = Node::start().await;
    // Any error stands for a full disk: here nothing can be made in the directory of the group.
    let group = node.path("state/groups/node");
    while std::fs::write(&group, "").is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let waits = pod("p", "u", "Never", "exit 0");
    node.apply(&waits).await;
    node.cluster.until("told", |state| !state.events("u", "FailedMount").is_empty()).await;
    let text = format!("Unable to record the pod in {}: ", node.path("state").display());
    assert!(node.cluster.state().events("u", "FailedMount")[0].starts_with(&text));
    std::fs::remove_file(&group).unwrap();
    node.delete(&waits, 30).await;
    node.cluster.until("released", |state| state.released.contains(&"u".to_owned())).await;
    assert!(!node.path("state/groups/node/pods/u").exists());
}

#[tokio::test(start_paused = true)]
async fn logs_that_cannot_be_written_keep_the_container_waiting() {
    let node = Node::start().await;
    std::fs::write(node.path("logs"), "").unwrap();
    node.apply(&pod("p", "u", "Never", "exit 0")).await;
    let failed = |state: &super::cluster::State| state.waiting("u").is_some_and(|w| w.0 == "RunContainerError");
    node.cluster.until("waits", failed).await;
    let (_, message) = node.cluster.state().waiting("u").unwrap();
    assert!(message.starts_with("failed to prepare the container's files: "), "{message}");
    std::fs::remove_file(node.path("logs")).unwrap();
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn missing_pull_secrets_are_told_and_the_pull_proceeds() {
    let node = Node::start().await;
    let mut secret = pod("p", "u", "Never", "exit 0");
    secret["spec"]["imagePullSecrets"] = json!([{ "name": "a" }, { "name": "b" }]);
    node.apply(&secret).await;
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
    let text = "Unable to retrieve some image pull secrets (a, b); attempting to pull the image may not succeed.";
    assert_eq!(node.cluster.state().events("u", "FailedToRetrieveImagePullSecret"), [text]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_belongs_to_no_pod_is_ended() {
    let node = Node::start().await;
    let mut other = pod("p", "u", "Always", "never exit");
    node.apply(&other).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    let known = node.provider.starts().remove(0);
    let mut leaked = known.clone();
    leaked.id = wasmnode_provider_api::RunId::new("ab".repeat(32)).unwrap();
    node.provider.start(leaked).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(180)).await;
    let listing = node.provider.list().await.unwrap();
    assert_eq!(listing.runs.iter().map(|run| run.run.clone()).collect::<Vec<_>>(), [known.id]);
    assert!(listing.exits.is_empty(), "its exit was acknowledged");
    other["metadata"]["labels"] = json!({ "a": "b" });
    node.apply(&other).await;
    assert_eq!(node.cluster.state().phase("u"), "Running");
}
