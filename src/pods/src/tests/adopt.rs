//! An agent starts while pods of the one before run: it carries on, and nothing of it shows.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use wasmnode_provider_api::Provider;

use super::cluster::State;
use super::node::{Node, pod, scratch};
use crate::SupervisorEvent;
use crate::fixtures::pod_ref;

fn uid_of(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().unwrap()
}

/// The pod as the API server has it.
fn stored(node: &Node, pod: &Value) -> Value {
    let mut stored = pod.clone();
    stored["status"] = json!(node.cluster.state().status(uid_of(pod)).unwrap());
    stored
}

fn runs(uid: &'static str) -> impl Fn(&State) -> bool {
    move |state| state.phase(uid) == "Running"
}

async fn moment() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_runs_goes_on_and_nothing_is_said() {
    let first = Node::start().await;
    let (steady, restarted) = (pod("s", "s", "Always", "never exit"), pod("r", "r", "Always", "run 30s exit 4"));
    first.apply(&steady).await;
    first.apply(&restarted).await;
    first.cluster.until("restarted", |state| state.restarts("r") == 2 && state.phase("r") == "Running").await;
    first.cluster.until("runs", runs("s")).await;
    let pods = [stored(&first, &steady), stored(&first, &restarted)];
    let starts = first.provider.starts().len();

    let second = first.succeed().await;
    for pod in &pods {
        second.apply(pod).await;
    }
    second.send(SupervisorEvent::Synced).await;
    for uid in ["s", "r"] {
        second.cluster.until("told", |state| state.status(uid).is_some()).await;
    }
    {
        let state = second.cluster.state();
        for stored in &pods {
            let uid = uid_of(stored);
            assert_eq!(json!(state.statuses[uid][0]), stored["status"], "{uid}");
        }
        assert!(state.records.is_empty(), "{:?}", state.records);
        assert_eq!(second.provider.starts().len(), starts);
        assert_eq!(second.handle.pods().len(), 2);
    }
    assert!(!second.handle.ended(&pod_ref("s", "s"), "c", 0).is_cancelled());
    while std::sync::Arc::strong_count(&second.cluster.state().lease) < 3 {
        // What lives keeps its image on disk.
        moment().await;
    }
    second.cluster.until("goes on", |state| state.restarts("r") == 3).await;
    assert!(second.cluster.state().terminated("s").is_none());
    second.delete(&steady, 30).await;
    second.cluster.until("released", |state| state.released == ["s"]).await;
    assert_eq!(second.cluster.state().terminated("s").unwrap().0, 143);
}

#[tokio::test(start_paused = true)]
async fn what_ended_meanwhile_is_told_with_code_and_time() {
    let first = Node::start().await;
    let (job, service) = (pod("j", "j", "Never", "run 60s exit 3"), pod("a", "a", "Always", "run 60s exit 5"));
    first.apply(&job).await;
    first.apply(&service).await;
    first.cluster.until("run", |state| runs("j")(state) && runs("a")(state)).await;
    let pods = [stored(&first, &job), stored(&first, &service)];
    let began = Instant::now();

    let second = first.succeed().await;
    for pod in &pods {
        second.apply(pod).await;
    }
    sleep(Duration::from_secs(600)).await;
    assert_eq!(second.provider.list().await.unwrap().exits.len(), 2, "nothing is forgotten before the list is there");
    assert!(second.cluster.state().statuses.is_empty());
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("told", |state| state.phase("j") == "Failed" && state.restarts("a") >= 1).await;
    assert!(began.elapsed() < Duration::from_secs(700));
    {
        let state = second.cluster.state();
        assert_eq!(state.terminated("j").unwrap(), (3, "Error".to_owned(), String::new()));
        let ended = state.status("j").unwrap().container_statuses.as_ref().unwrap()[0].state.clone().unwrap();
        let ended = ended.terminated.unwrap();
        let ran = ended.finished_at.unwrap().0.duration_since(ended.started_at.unwrap().0);
        assert_eq!(ran.as_secs(), 60);
        let last = state.status("a").unwrap().container_statuses.as_ref().unwrap()[0].last_state.clone();
        assert_eq!(last.unwrap().terminated.unwrap().exit_code, 5);
    }
    while !second.provider.list().await.unwrap().exits.is_empty() {
        moment().await;
    }
    assert_eq!(second.provider.starts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_api_server_has_not_heard_of_is_known() {
    let first = Node::start().await;
    let service = pod("p", "u", "Always", "never exit");
    first.apply(&service).await;
    first.cluster.until("runs", runs("u")).await;

    // Neither its status nor its log was written.
    let second = first.succeed().await;
    second.apply(&service).await;
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("runs on", runs("u")).await;
    assert_eq!((second.provider.starts().len(), second.cluster.state().restarts("u")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_deleted_meanwhile_is_ended_with_its_grace() {
    let first = Node::start().await;
    let mut stubborn = pod("p", "u", "Always", "ignore stop never exit");
    stubborn["spec"]["terminationGracePeriodSeconds"] = json!(45);
    first.apply(&stubborn).await;
    first.apply(&pod("q", "v", "Always", "never exit")).await;
    first.cluster.until("run", |state| runs("u")(state) && runs("v")(state)).await;

    let second = first.succeed().await;
    let began = Instant::now();
    second.send(SupervisorEvent::Synced).await;
    // Only who has its name waits for it.
    for (name, uid) in [("p", "new"), ("other", "other")] {
        second.apply(&pod(name, uid, "Never", "exit 0")).await;
    }
    second.cluster.until("another runs", |state| state.phase("other") == "Succeeded").await;
    assert!(began.elapsed() < Duration::from_secs(45));
    let directory = |uid: &str| second.path(&format!("state/groups/node/pods/{uid}"));
    while directory("v").exists() {
        moment().await;
    }
    assert!(began.elapsed() < Duration::from_secs(30), "it listened");
    sleep(Duration::from_secs(40).saturating_sub(began.elapsed())).await;
    assert!(directory("u").exists(), "it still runs");
    assert!(second.cluster.state().status("new").is_none());
    while directory("u").exists() {
        moment().await;
    }
    assert!((45..50).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    second.cluster.until("its name is free", |state| state.phase("new") == "Succeeded").await;
    let listing = second.provider.list().await.unwrap();
    assert!(listing.runs.is_empty(), "{listing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_grace_that_nobody_lives_to_see_is_no_problem() {
    let first = Node::start().await;
    let mut patient = pod("p", "u", "Always", "never exit");
    patient["spec"]["terminationGracePeriodSeconds"] = json!(i64::MAX);
    first.apply(&patient).await;
    first.cluster.until("runs", runs("u")).await;

    let second = first.succeed().await;
    second.send(SupervisorEvent::Synced).await;
    second.apply(&pod("p", "new", "Never", "exit 0")).await;
    second.cluster.until("its name is free", |state| state.phase("new") == "Succeeded").await;
    while second.path("state/groups/node/pods/u").exists() {
        moment().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_runs_of_a_container_the_newer_one_stays() {
    let first = Node::start().await;
    let service = pod("p", "u", "Always", "never exit");
    first.apply(&service).await;
    first.cluster.until("runs", runs("u")).await;
    let stored = stored(&first, &service);
    let mut double = first.provider.starts().remove(0);
    double.id = crate::site::run(&pod_ref("p", "u"), "c", 1).unwrap();
    first.provider.start(double.clone()).await.unwrap();

    let second = first.succeed().await;
    second.apply(&stored).await;
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("goes on", |state| state.restarts("u") == 1).await;
    let lives: Vec<_> = second.provider.list().await.unwrap().runs.into_iter().map(|run| run.run).collect();
    assert_eq!(lives, [double.id]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_deletion_began_goes_on_ending() {
    let first = Node::start().await;
    let stubborn = pod("p", "u", "Always", "ignore stop never exit");
    first.apply(&stubborn).await;
    first.cluster.until("runs", runs("u")).await;
    first.delete(&stubborn, 60).await;
    first.cluster.until("stops", |state| !state.events("u", "Killing").is_empty()).await;
    let mut deleted = stored(&first, &stubborn);
    sleep(Duration::from_secs(20)).await;

    let second = first.succeed().await;
    let due = (second.runtime.clock)() + jiff::SignedDuration::from_secs(40);
    deleted["metadata"]["deletionTimestamp"] = json!(due.to_string());
    deleted["metadata"]["deletionGracePeriodSeconds"] = json!(60);
    second.apply(&deleted).await;
    let began = Instant::now();
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("released", |state| state.released == ["u"]).await;
    assert!((40..43).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(second.cluster.state().terminated("u").unwrap().0, 137);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_pod_at_all_is_ended() {
    let first = Node::start().await;
    first.apply(&pod("p", "u", "Always", "never exit")).await;
    first.cluster.until("runs", runs("u")).await;
    let runtime = first.runtime.clone();
    first.stop().await;
    // Nothing on this disk tells of it.
    let second = Node::with_runtime(scratch(), runtime);
    second.send(SupervisorEvent::Synced).await;
    loop {
        let listing = second.provider.list().await.unwrap();
        if listing.sandboxes.is_empty() && listing.runs.is_empty() && listing.exits.is_empty() {
            return;
        }
        moment().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_died_with_the_agent_is_told_once_per_pod() {
    let first = Node::start().await;
    let mut pair = pod("p", "u", "Never", "never exit");
    let mut second = pair["spec"]["containers"][0].clone();
    second["name"] = json!("d");
    pair["spec"]["containers"].as_array_mut().unwrap().push(second);
    first.apply(&pair).await;
    first.cluster.until("runs", runs("u")).await;
    let stored = stored(&first, &pair);
    let runtime = first.runtime.clone();
    let top = first.stop().await;
    runtime.inner.lose_all("runner 7 of group node ran out of memory (oom_kill)");
    while !runtime.list().await.unwrap().runs.is_empty() {
        moment().await;
    }

    let second = Node::with_runtime(top, runtime);
    second.apply(&stored).await;
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("fails", |state| state.phase("u") == "Failed").await;
    let state = second.cluster.state();
    let cause = "runner 7 of group node ran out of memory (oom_kill)";
    assert_eq!(state.events("u", "RunnerLost"), [cause]);
    assert_eq!(state.terminated("u").unwrap(), (255, "Unknown".to_owned(), cause.to_owned()));
}

/// Pods that live, end and start again, and an agent that dies at some moment, before or after it told anyone.
#[tokio::test(start_paused = true)]
async fn wherever_an_agent_dies_nothing_is_started_twice() {
    for cut in 0..24 {
        let mut node = Node::start().await;
        let scripts = ["never exit", "run 1s exit 4", "run 3s exit 0", "exit 2"];
        let uids: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
        let pods: Vec<Value> =
            uids.iter().zip(scripts.iter().cycle()).map(|(uid, script)| pod(uid, uid, "Always", script)).collect();
        for pod in &pods {
            node.apply(pod).await;
        }
        for restart in 0..3 {
            sleep(Duration::from_millis(700 * (cut % 5))).await;
            for _ in 0..cut * 3 + restart * 5 {
                tokio::task::yield_now().await;
            }
            let known = |pod: &Value| {
                let told = cut % 2 == 0 && node.cluster.state().status(uid_of(pod)).is_some();
                if told { stored(&node, pod) } else { pod.clone() }
            };
            let again: Vec<Value> = pods.iter().map(known).collect();
            node = node.crash().await;
            for pod in &again {
                node.apply(pod).await;
            }
            node.send(SupervisorEvent::Synced).await;
        }
        let settled = |state: &State| {
            uids.iter().all(|uid| !state.phase(uid).is_empty())
                && ["u1", "u2", "u3"].iter().all(|uid| state.restarts(uid) >= 5)
        };
        node.cluster.until("all go on", settled).await;
        let mut started: Vec<_> = node.provider.starts().into_iter().map(|run| run.id.to_string()).collect();
        let count = started.len();
        started.sort();
        started.dedup();
        assert_eq!(started.len(), count, "cut {cut}");
        for steady in ["u0", "u4"] {
            let state = node.cluster.state();
            assert_eq!((state.phase(steady), state.restarts(steady)), ("Running", 0), "cut {cut}");
        }
        node.stop().await;
    }
}
