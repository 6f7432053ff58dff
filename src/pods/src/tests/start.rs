//! The agent starts: with no pods, with pods of an earlier agent, with what one left on disk.

use std::sync::Arc;

use serde_json::json;

use super::node::{Node, pod};
use crate::SupervisorEvent;

#[tokio::test(start_paused = true)]
async fn nothing_happens_before_the_first_complete_list() {
    let top = Arc::new(tempfile::tempdir().unwrap());
    let node = Node::unsynced(top);
    let left = node.path("state/groups/node/pods/left");
    std::fs::create_dir_all(&left).unwrap();
    let record = json!({ "namespace": "ns", "name": "x", "uid": "left", "logs": node.path("logs") });
    std::fs::write(left.join("pod.json"), record.to_string()).unwrap();
    node.apply(&pod("stays", "s", "Always", "never exit")).await;
    node.apply(&pod("goes", "g", "Always", "never exit")).await;
    node.gone("goes", "g").await;
    node.cluster.until("forgotten", |state| state.forgotten == ["g"]).await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert!(node.cluster.state().statuses.is_empty());
    assert!(node.provider.starts().is_empty() && left.exists());

    node.send(SupervisorEvent::Synced).await;
    node.cluster.until("runs", |state| state.phase("s") == "Running").await;
    assert_eq!(node.provider.starts().len(), 1);
    while left.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_agent_carries_on() {
    let first = Node::start().await;
    let (always, never) = (pod("a", "a", "Always", "never exit"), pod("n", "n", "Never", "run 1s exit 4"));
    first.apply(&always).await;
    first.apply(&never).await;
    first.cluster.until("run", |state| state.phase("a") == "Running" && state.phase("n") == "Failed").await;
    let status = |uid: &str| json!(first.cluster.state().status(uid).unwrap());
    let (mut always, mut never) = (always.clone(), never.clone());
    always["status"] = status("a");
    never["status"] = status("n");
    std::fs::write(first.path("logs/ns_a_a/c/0.log"), "").unwrap();
    let top = first.stop().await;

    let second = Node::unsynced(top);
    second.apply(&always).await;
    second.apply(&never).await;
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("runs again", |state| state.phase("a") == "Running" && state.restarts("a") == 1).await;
    second.cluster.until("stays failed", |state| state.phase("n") == "Failed").await;
    let starts = second.provider.starts();
    assert_eq!(starts.len(), 1);
    assert_eq!(starts[0].stdio.log.clone().unwrap().path, second.path("logs/ns_a_a/c/1.log"));
    let state = second.cluster.state();
    let last = state.status("a").unwrap().container_statuses.as_ref().unwrap()[0].last_state.clone();
    assert_eq!(last.unwrap().terminated.unwrap().exit_code, 255);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_feed_is_the_end() {
    let node = Node::start().await;
    let Node { feed, task, .. } = node;
    drop(feed);
    assert_eq!(task.await.unwrap().unwrap_err().to_string(), "the feed of pods ended");
}
