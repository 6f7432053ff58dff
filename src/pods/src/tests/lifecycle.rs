//! What a pod goes through when nothing breaks.

use std::sync::Arc;

use serde_json::json;

use super::node::{Node, pod};
use crate::fixtures::pod_ref;

#[tokio::test(start_paused = true)]
async fn a_pod_runs_to_its_end_and_is_deleted() {
    let node = Node::start().await;
    let job = pod("job", "u", "Never", "run 2s exit 0");
    node.apply(&job).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    let ended = node.handle.ended(&pod_ref("job", "u"), "c", 0);
    assert!(!ended.is_cancelled());
    assert_eq!(node.handle.phases(), [("Running".to_owned(), 1)].into());
    ended.cancelled().await;
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
    {
        let state = node.cluster.state();
        assert_eq!(state.terminated("u").unwrap().0, 0);
        let reasons: Vec<_> = state.records.iter().map(|(_, record)| record.reason.as_ref()).collect();
        assert_eq!(reasons, ["Pulling", "Pulled", "Created", "Started"]);
        let status = state.status("u").unwrap();
        assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.5"));
    }
    assert!(node.path("logs/ns_job_u/c").exists());
    while Arc::strong_count(&node.cluster.state().lease) > 1 {
        // A finished pod keeps no image from being removed.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }

    node.delete(&job, 30).await;
    node.cluster.until("released", |state| state.released == ["u"]).await;
    node.cluster.until("let go", |state| state.registered.is_empty()).await;
    while node.handle.lookup("ns", "job").is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    node.gone("job", "u").await;
    let next = pod("job", "v", "Never", "exit 3");
    node.apply(&next).await;
    node.cluster.until("fails", |state| state.phase("v") == "Failed").await;
    assert!(!node.path("logs/ns_job_u").exists());
    assert!(!node.path("state/groups/node/pods/u").exists());
    assert_eq!(node.handle.pods().len(), 1);
    assert_eq!(node.handle.metrics().containers_exited.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn arguments_environment_and_mounts_reach_the_provider() {
    let node = Node::start().await;
    node.cluster.set_config_map("settings", &[("level", "high")]);
    node.cluster.set_secret("keys", &[("key", "s3cret")]);
    let mut pod = pod("p", "u", "Never", "run $(TIME)");
    pod["metadata"]["annotations"] = json!({ "wasmnode.dev/stop": "stdin" });
    let container = &mut pod["spec"]["containers"][0];
    container["envFrom"] = json!([{ "configMapRef": { "name": "settings" }, "prefix": "P_" }]);
    container["env"] = json!([
        { "name": "TIME", "value": "1s" },
        { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "key" } } },
        { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
    ]);
    container["resources"] = json!({ "limits": { "memory": "64Mi" } });
    container["volumeMounts"] = json!([{ "name": "keys", "mountPath": "/keys" }]);
    pod["spec"]["volumes"] = json!([{ "name": "keys", "secret": { "secretName": "keys" } }]);
    node.apply(&pod).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    assert_eq!(node.cluster.state().registered["u"].len(), 2);
    node.cluster.until("succeeds", |state| state.phase("u") == "Succeeded").await;
    assert_eq!(node.cluster.state().registered["u"], [], "a finished pod watches nothing");

    let run = node.provider.starts().remove(0);
    assert_eq!(run.argv, ["tool.wasm", "run", "1s"]);
    let env: Vec<String> = run.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["HOSTNAME=p", "IP=10.0.0.5", "KEY=s3cret", "P_level=high", "TIME=1s"]);
    assert_eq!(run.limits.memory_bytes, Some(64 << 20));
    let mounts: Vec<_> = run.mounts.iter().map(|mount| (mount.guest.as_str(), mount.read_only)).collect();
    assert_eq!(mounts, [("/", false), ("/keys", true)]);
    assert!(run.mounts[1].host.starts_with(node.path("run")), "secrets stay in memory");
    assert_eq!(run.stdio.stdin, wasmnode_provider_api::Stdin::Open { once: false });
    assert_eq!(run.stdio.log.unwrap().path, node.path("logs/ns_p_u/c/0.log"));
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_ends_when_it_is_asked_to() {
    let node = Node::start().await;
    let sleeper = pod("p", "u", "Always", "never exit");
    node.apply(&sleeper).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    node.delete(&sleeper, 30).await;
    node.cluster.until("released", |state| state.released == ["u"]).await;
    let state = node.cluster.state();
    assert_eq!(state.terminated("u").unwrap().0, 143);
    assert_eq!(state.phase("u"), "Failed");
    assert_eq!(state.events("u", "Killing"), ["Stopping container c"]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_is_killed_when_the_grace_is_over() {
    let node = Node::start().await;
    let stubborn = pod("p", "u", "Always", "ignore stop never exit");
    node.apply(&stubborn).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    let asked = tokio::time::Instant::now();
    node.delete(&stubborn, 20).await;
    node.cluster.until("released", |state| state.released == ["u"]).await;
    assert_eq!(node.cluster.state().terminated("u").unwrap().0, 137);
    let waited = asked.elapsed().as_secs();
    assert!((20..22).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_backs_off() {
    let node = Node::start().await;
    node.apply(&pod("p", "u", "Always", "run 1s exit 7")).await;
    node.cluster.until("restarts", |state| state.restarts("u") >= 3).await;
    let state = node.cluster.state();
    assert!(!state.events("u", "BackOff").is_empty());
    let attempts: Vec<_> = node.provider.starts().iter().map(|run| run.stdio.log.clone().unwrap().path).collect();
    assert_eq!(attempts[..2], [node.path("logs/ns_p_u/c/0.log"), node.path("logs/ns_p_u/c/1.log")]);
}

#[tokio::test(start_paused = true)]
async fn a_new_pod_waits_for_the_old_one_of_its_name() {
    let node = Node::start().await;
    node.apply(&pod("p", "old", "Always", "ignore stop never exit")).await;
    node.cluster.until("runs", |state| state.phase("old") == "Running").await;
    node.gone("p", "old").await;
    node.apply(&pod("p", "new", "Always", "never exit")).await;
    node.cluster.until("new one runs", |state| state.phase("new") == "Running").await;
    let state = node.cluster.state();
    assert_eq!(state.forgotten, ["old"]);
    assert!(state.released.is_empty());
    assert_eq!(node.provider.starts().len(), 2);
    drop(state);
    assert_eq!(node.handle.lookup("ns", "p").unwrap().metadata.uid.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn a_finished_pod_makes_room() {
    let node = Node::start().await;
    let big = |name: &str, uid: &str, script: &str| {
        let mut pod = pod(name, uid, "Never", script);
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "3" } });
        pod
    };
    node.apply(&big("a", "a", "run 2s")).await;
    node.apply(&big("b", "b", "run 2s")).await;
    node.cluster.until("refused", |state| state.phase("b") == "Failed").await;
    node.cluster.until("succeeds", |state| state.phase("a") == "Succeeded").await;
    {
        let state = node.cluster.state();
        let text = "Node didn't have enough resource: cpu, requested: 3000, used: 3000, capacity: 4000";
        assert_eq!(state.events("b", "OutOfcpu"), [text]);
    }
    node.apply(&big("c", "c", "run 2s")).await;
    node.cluster.until("fits", |state| state.phase("c") == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn tokens_are_brought_up_to_date() {
    let node = Node::start().await;
    let mut pod = pod("p", "u", "Always", "never exit");
    pod["spec"]["volumes"] = json!([{ "name": "token", "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } },
    ] } }]);
    node.apply(&pod).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    let volume = node.path("run/groups/node/pods/u/volumes/token");
    let read = |name: &str| std::fs::read_to_string(volume.join(name)).unwrap();
    assert_eq!((read("token"), read("namespace")), ("token-1".to_owned(), "ns".to_owned()));
    // A refresh begins when the one before has written what it got.
    node.cluster.until("asked again", |state| state.tokens >= 3).await;
    assert!(["token-2", "token-3"].contains(&read("token").as_str()), "{}", read("token"));
}

#[tokio::test(start_paused = true)]
async fn deletion_without_the_api_server_and_stopping_leave_nothing_running() {
    let node = Node::start().await;
    node.apply(&pod("p", "u", "Always", "never exit")).await;
    node.cluster.until("runs", |state| state.phase("u") == "Running").await;
    node.gone("p", "u").await;
    node.cluster.until("forgotten", |state| state.forgotten == ["u"] && state.registered.is_empty()).await;
    assert!(node.cluster.state().released.is_empty());
    while !node.handle.pods().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    // Nothing more is awaited of a pod that is gone: one that comes again, as from a file, is a new one.
    node.apply(&pod("p", "u", "Never", "exit 5")).await;
    node.cluster.until("fails", |state| state.phase("u") == "Failed").await;
    node.stop().await;
}
