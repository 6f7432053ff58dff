//! Which pods share a process, and what another agent makes of them.

use serde_json::{Value, json};

use super::node::{Node, clock, pod, scratch};
use super::timed::Timed;
use crate::fixtures::users;
use crate::{IsolationPolicy, SupervisorEvent};

/// A node with the defaults, where users can be had with that many.
async fn node(count: u32) -> Node {
    let policy = IsolationPolicy { users: users(count), ..IsolationPolicy::default() };
    let node = Node::isolating(scratch(), Timed::new(clock()), policy);
    for handler in ["wasm", "wasm-node", "wasm-pod"] {
        node.cluster.change(|state| drop(state.handlers.insert(handler.into(), handler.into())));
    }
    node.send(SupervisorEvent::Synced).await;
    node
}

fn classed(name: &str, uid: &str, class: &str) -> Value {
    let mut pod = pod(name, uid, "Always", "never exit");
    pod["spec"]["runtimeClassName"] = json!(class);
    pod
}

#[tokio::test(start_paused = true)]
async fn the_provider_is_told_with_whom_a_pod_shares_a_process() {
    let node = node(2).await;
    node.apply(&pod("a", "a", "Always", "never exit")).await;
    node.cluster.until("a runs", |state| state.phase("a") == "Running").await;
    node.apply(&classed("b", "b", "wasm")).await;
    node.cluster.until("b runs", |state| state.phase("b") == "Running").await;
    node.apply(&classed("c", "c", "wasm-pod")).await;
    node.cluster.until("c runs", |state| state.phase("c") == "Running").await;
    let first = users(1).map(|users| users.start);
    let found: Vec<_> = node.runtime.sandboxes().into_iter().map(|spec| spec.isolation).collect();
    let expected = [("ns-ns", first), ("ns-ns", first), ("pod-c", first.map(|first| first + 1))];
    assert_eq!(found.iter().map(|isolation| (isolation.group.as_str(), isolation.user)).collect::<Vec<_>>(), expected);
    assert!(found.iter().all(|isolation| isolation.paths.is_empty()));
    for run in node.provider.starts() {
        let log = run.stdio.log.unwrap().path;
        assert!(log.starts_with(node.path("logs")) && run.mounts[0].host.starts_with(node.path("state/groups")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_node_does_not_allow_or_have_is_told_until_it_does() {
    let node = node(1).await;
    node.apply(&classed("p", "p", "wasm-node")).await;
    let last = |uid: &'static str, text: &'static str| {
        move |state: &super::cluster::State| state.events(uid, "FailedCreatePodSandBox").last() == Some(&text)
    };
    let forbidden = "Failed to create pod sandbox: runtime handler \"wasm-node\" asks for isolation node, which \
                     allowedIsolation of this node does not have: namespace, pod";
    node.cluster.until("is refused", last("p", forbidden)).await;
    assert!(node.runtime.sandboxes().is_empty() && !node.path("state/groups/node").exists());
    node.delete(&classed("p", "p", "wasm-node"), 30).await;
    node.cluster.until("released", |state| state.released == ["p"]).await;

    node.apply(&pod("a", "a", "Always", "never exit")).await;
    node.cluster.until("a runs", |state| state.phase("a") == "Running").await;
    node.apply(&classed("b", "b", "wasm-pod")).await;
    if users(1).is_some() {
        let used_up = "Failed to create pod sandbox: all 1 user ids of groupUsers, from 1900000000, are in use by other \
                       isolation groups";
        node.cluster.until("no user", last("b", used_up)).await;
        node.delete(&pod("a", "a", "Always", "never exit"), 0).await;
    }
    node.cluster.until("b runs", |state| state.phase("b") == "Running").await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_stays_in_its_group_whatever_the_next_agent_is_told() {
    let first = node(2).await;
    first.apply(&pod("a", "a", "Always", "never exit")).await;
    first.cluster.until("runs", |state| state.phase("a") == "Running").await;
    let mut running = pod("a", "a", "Always", "never exit");
    running["status"] = json!(first.cluster.state().status("a").unwrap());
    let top = first.stop().await;

    let policy = IsolationPolicy { default: crate::Isolation::Pod, ..IsolationPolicy::default() };
    // The machine was restarted: nothing runs, and nothing is left in memory.
    std::fs::remove_dir_all(top.join("run")).unwrap();
    let second = Node::isolating(top, Timed::new(clock()), policy);
    second.apply(&running).await;
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("runs again", |state| state.phase("a") == "Running" && state.restarts("a") == 1).await;
    let isolation = second.runtime.sandboxes().remove(0).isolation;
    assert_eq!((isolation.group.as_str(), isolation.user), ("ns-ns", users(1).map(|users| users.start)));
    assert!(second.path("run/groups/ns-ns").exists(), "a runner needs it");
}
