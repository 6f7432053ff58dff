//! The node shuts down under its pods.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::State;
use super::node::{Node, pod, scratch};
use crate::{Departure, Progress, Shutdown, SupervisorEvent};

const MINUTE: Shutdown = Shutdown { period: Duration::from_secs(60), critical: Duration::from_secs(20) };

fn web() -> Value {
    pod("web", "web", "Always", "never exit")
}

fn critical(uid: &str) -> Value {
    let mut pod = pod(uid, uid, "Always", "never exit");
    pod["spec"]["priority"] = json!(2_000_000_000);
    pod
}

/// A pod that does not hear that it should stop, and has so many seconds for that.
fn stubborn(mut pod: Value, seconds: i64) -> Value {
    pod["spec"]["containers"][0]["args"] = json!(["ignore", "stop", "never", "exit"]);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(seconds);
    pod
}

async fn running(pods: &[Value]) -> Node {
    let node = Node::start().await;
    for pod in pods {
        node.apply(pod).await;
    }
    let all = |state: &State| {
        state.statuses.len() == pods.len() && state.statuses.keys().all(|u| state.phase(u) == "Running")
    };
    node.cluster.until("all run", all).await;
    node
}

/// What is told, and how many seconds it took.
async fn over(mut departure: Departure) -> (Vec<Progress>, u64) {
    let (begin, mut told) = (Instant::now(), Vec::new());
    loop {
        told.push(departure.next().await.expect("the supervisor lives"));
        if let Some(Progress::Over(_)) = told.last() {
            return (told, begin.elapsed().as_secs());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn critical_pods_end_last() {
    let node =
        running(&[stubborn(web(), 3), pod("job", "job", "Never", "never exit"), stubborn(critical("dns"), 5)]).await;
    let (told, took) = over(node.handle.shut_down(MINUTE)).await;
    // One is over at once, and may be so before the first word.
    let slow: Vec<_> = told.into_iter().filter(|progress| *progress != Progress::Ending(3)).collect();
    assert_eq!(slow, [Progress::Ending(2), Progress::Ending(1), Progress::Over(0)]);
    assert_eq!(took, 8);
    let state = node.cluster.state();
    for uid in ["web", "job", "dns"] {
        let status = state.status(uid).unwrap();
        assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("Terminated")), "{uid}");
        let text = "Pod was terminated in response to imminent node shutdown.";
        assert_eq!(status.message.as_deref(), Some(text));
        let conditions: Vec<_> = status.conditions.iter().flatten().map(|c| c.type_.as_str()).collect();
        assert!(conditions.contains(&"DisruptionTarget"), "{conditions:?}");
    }
    let finished = |uid: &str| {
        let statuses = state.status(uid).unwrap().container_statuses.clone().unwrap();
        statuses[0].state.clone().unwrap().terminated.unwrap().finished_at.unwrap().0
    };
    assert!(finished("web") < finished("dns"));
}

#[tokio::test(start_paused = true)]
async fn new_pods_are_refused_and_finished_ones_stay() {
    let node = running(&[stubborn(pod("p", "p", "Always", ""), 2)]).await;
    let departure = node.handle.shut_down(MINUTE);
    node.cluster.until("asked to stop", |state| !state.events("p", "Killing").is_empty()).await;
    node.apply(&pod("late", "late", "Always", "never exit")).await;
    node.cluster.until("refused", |state| state.phase("late") == "Failed").await;
    assert_eq!(over(departure).await.0.pop(), Some(Progress::Over(0)));
    {
        let state = node.cluster.state();
        let status = state.status("late").unwrap();
        assert_eq!(status.reason.as_deref(), Some("NodeShutdown"));
        let text = "Pod was rejected: Pod was rejected as the node is shutting down.";
        assert_eq!(status.message.as_deref(), Some(text));
        assert_eq!(state.events("late", "NodeShutdown"), ["Pod was rejected as the node is shutting down."]);
    }
    // Who asks later is told the same.
    assert_eq!(over(node.handle.shut_down(MINUTE)).await, (vec![Progress::Over(0)], 0));
    node.delete(&pod("p", "p", "Always", ""), 30).await;
    node.cluster.until("let go", |state| state.released == ["p"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_stop_is_killed_in_its_part_of_the_time() {
    let node = running(&[stubborn(web(), 3600), stubborn(critical("dns"), 3600)]).await;
    let (told, took) = over(node.handle.shut_down(MINUTE)).await;
    assert_eq!((told.last(), took), (Some(&Progress::Over(0)), 60), "{told:?}");
    assert_eq!(node.cluster.state().terminated("web").unwrap().0, 137);
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_can_only_leave_less_time() {
    let node = running(&[stubborn(web(), 3600)]).await;
    let first = node.handle.shut_down(MINUTE);
    node.cluster.until("asked to stop", |state| !state.events("web", "Killing").is_empty()).await;
    drop(node.handle.shut_down(Shutdown { period: Duration::from_secs(3600), critical: Duration::ZERO }));
    let short = Shutdown { period: Duration::from_secs(6), critical: Duration::from_secs(1) };
    let (told, took) = over(node.handle.shut_down(short)).await;
    assert_eq!((told.last(), took), (Some(&Progress::Over(0)), 5), "{told:?}");
    assert_eq!(over(first).await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_knows_its_pods_only_later_ends_them_too() {
    let web = web();
    let node = running(std::slice::from_ref(&web)).await;
    let status = node.cluster.state().status("web").cloned().unwrap();
    let node = node.succeed().await;
    let departure = node.handle.shut_down(MINUTE);
    let mut known = web.clone();
    known["status"] = serde_json::to_value(status).unwrap();
    node.apply(&known).await;
    node.send(SupervisorEvent::Synced).await;
    assert_eq!(over(departure).await.0.pop(), Some(Progress::Over(0)));
    assert_eq!(node.cluster.state().status("web").unwrap().reason.as_deref(), Some("Terminated"));
    assert!(node.provider.starts().len() == 1, "nothing was started anew");
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_never_known_are_left() {
    let web = web();
    let node = running(std::slice::from_ref(&web)).await;
    let status = node.cluster.state().status("web").cloned().unwrap();
    let node = node.succeed().await;
    let (told, took) = over(node.handle.shut_down(MINUTE)).await;
    assert_eq!((told, took), (vec![Progress::Ending(1), Progress::Over(1)], 65));
    let mut known = web.clone();
    known["status"] = serde_json::to_value(status).unwrap();
    node.apply(&known).await;
    node.send(SupervisorEvent::Synced).await;
    node.cluster.until("comes late and ends", |state| state.phase("web") == "Failed").await;
    assert_eq!(over(node.handle.shut_down(MINUTE)).await.0.pop(), Some(Progress::Over(0)));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_pod_is_waited_for() {
    let node = running(&[stubborn(web(), 40)]).await.succeed().await;
    node.send(SupervisorEvent::Synced).await;
    let (told, took) = over(node.handle.shut_down(MINUTE)).await;
    assert_eq!(told.last(), Some(&Progress::Over(0)), "{told:?}");
    assert!((38..45).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn nothing_to_end_is_over_at_once_and_an_agent_that_ends_says_so() {
    let node = Node::start().await;
    node.apply(&pod("p", "p", "Never", "exit 0")).await;
    node.cluster.until("ends", |state| state.phase("p") == "Succeeded").await;
    assert_eq!(over(node.handle.shut_down(MINUTE)).await.0.pop(), Some(Progress::Over(0)));
    assert_eq!(node.cluster.state().phase("p"), "Succeeded");

    let unsynced = Node::unsynced(scratch());
    let mut departure = unsynced.handle.shut_down(MINUTE);
    assert_eq!(departure.next().await, Some(Progress::Ending(0)));
    unsynced.stop().await;
    assert_eq!(departure.next().await, None);
}
