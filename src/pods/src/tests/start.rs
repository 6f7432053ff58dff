//! The agent starts: with no pods, with pods of an earlier agent, with what one left on disk.

use serde_json::json;

use super::node::{Node, pod, scratch};
use crate::SupervisorEvent;
use crate::fixtures::pod_ref;

#[tokio::test(start_paused = true)]
async fn nothing_happens_before_the_first_complete_list() {
    let node = Node::unsynced(scratch());
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
async fn an_exit_that_the_api_server_has_not_heard_of_is_not_lost() {
    let first = Node::start().await;
    let (mut job, mut crashing) = (pod("j", "j", "Never", "run 1s exit 0"), pod("c", "c", "Always", "exit 4"));
    first.apply(&job).await;
    first.apply(&crashing).await;
    first.cluster.until("done", |state| state.phase("j") == "Succeeded" && state.restarts("c") >= 2).await;
    let recorded = |uid: &str| first.path(&format!("state/groups/node/pods/{uid}/exits/c.json"));
    while !recorded("j").exists() || !std::fs::read_to_string(recorded("c")).unwrap().contains("\"restartCount\":2") {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    // As it was when the API server went away.
    for pod in [&mut job, &mut crashing] {
        let running = json!({ "running": { "startedAt": "2026-01-02T15:04:05Z" } });
        let container = json!({ "name": "c", "restartCount": 0, "state": running, "ready": true, "image": "",
            "imageID": "" });
        pod["status"] = json!({ "phase": "Running", "startTime": "2026-01-02T15:04:05Z",
            "containerStatuses": [container] });
    }
    let top = first.stop().await;

    let second = Node::unsynced(top);
    second.apply(&job).await;
    second.apply(&crashing).await;
    second.send(SupervisorEvent::Synced).await;
    second.cluster.until("both are told", |state| state.phase("j") == "Succeeded" && state.restarts("c") == 3).await;
    assert!(second.provider.starts().iter().all(|run| run.id != crate::site::run(&pod_ref("j", "j"), "c", 1).unwrap()));
    let state = second.cluster.state();
    assert_eq!(state.terminated("j").unwrap(), (0, "Completed".to_owned(), String::new()));
    let last = state.status("c").unwrap().container_statuses.as_ref().unwrap()[0].last_state.clone();
    assert_eq!(last.unwrap().terminated.unwrap().exit_code, 4);
}

#[tokio::test(start_paused = true)]
async fn a_finished_pod_of_an_earlier_agent_costs_nothing() {
    let node = Node::unsynced(scratch());
    let mut done = pod("p", "u", "Never", "exit 0");
    done["spec"]["volumes"] = json!([{ "name": "v", "secret": { "secretName": "keys" } }]);
    done["status"] = json!({ "phase": "Succeeded", "startTime": "2026-01-02T15:04:05Z" });
    node.apply(&done).await;
    node.send(SupervisorEvent::Synced).await;
    node.cluster.until("told", |state| state.phase("u") == "Succeeded").await;
    node.delete(&done, 30).await;
    node.cluster.until("released", |state| state.released == ["u"]).await;
    assert!(!node.cluster.state().was_registered.contains("u"), "nothing that it names is read");
    assert!(!node.path("state/groups/node").exists() && !node.path("run/groups/node").exists());
}

#[tokio::test(start_paused = true)]
async fn links_to_logs_that_are_gone_do_not_stay() {
    let node = Node::unsynced(scratch());
    std::fs::create_dir(node.path("links")).unwrap();
    std::os::unix::fs::symlink(node.path("logs/ns_x_y/c/0.log"), node.path("links/x.log")).unwrap();
    std::os::unix::fs::symlink("/elsewhere/0.log", node.path("links/foreign.log")).unwrap();
    node.send(SupervisorEvent::Synced).await;
    node.apply(&pod("p", "u", "Never", "exit 0")).await;
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
    assert!(node.path("links/x.log").symlink_metadata().is_err());
    assert!(node.path("links/foreign.log").symlink_metadata().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_feed_is_the_end() {
    let node = Node::start().await;
    let Node { feed, task, .. } = node;
    drop(feed);
    assert_eq!(task.await.unwrap().unwrap_err().to_string(), "the feed of pods ended");
}
