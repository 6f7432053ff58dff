//! The agent, the API server and the node come and go; pods keep what they have.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::sleep;
use wasmnode_tests::{eventually::eventually, suite::Scene};

use crate::support::{PATIENCE, container, ended, first, logs, phase, pod, restarts, running, tool};

pub(crate) async fn a_restarted_agent_knows_its_pods(scene: Scene) -> Result<()> {
    let mut agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let apply = async |name: &str, steps: &[&str], policy: &str| {
        let more = json!({ "restartPolicy": policy });
        namespace.apply(&pod(name, Some(&agent), json!([container("main", &image, steps)]), more)).await
    };
    apply("finished", &["print once", "exit 4"], "Never").await?;
    apply("always", &["print up", "sleep 1h"], "Always").await?;
    apply("never", &["print up", "sleep 1h"], "Never").await?;
    let finished = ended(&namespace, "finished").await?;
    running(&namespace, "always").await?;
    running(&namespace, "never").await?;

    agent.kill().await?;
    agent.restart().await?;

    for name in ["always", "never"] {
        let pod = namespace.pods().get(name).await?;
        ensure!(phase(&pod) == "Running" && restarts(&pod) == 0 && first(&pod).is_some_and(|status| status.ready));
        ensure!(namespace.kubectl().ok(&["logs", name]).await? == "up\n");
    }
    let after = namespace.pods().get("finished").await?;
    ensure!(
        after.status.as_ref().map(|s| &s.container_statuses) == finished.status.as_ref().map(|s| &s.container_statuses)
    );
    ensure!(logs(&namespace, "finished").await? == "once\n");

    // A pod that was deleted meanwhile ends when the agent is back.
    agent.kill().await?;
    namespace.kubectl().ok(&["delete", "pod", "always", "--wait=false"]).await?;
    agent.restart().await?;
    eventually(PATIENCE, "the deleted pod gone", || async {
        ensure!(namespace.pods().get_opt("always").await?.is_none());
        Ok(())
    })
    .await
}

pub(crate) async fn a_minute_without_the_api_server_loses_nothing(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let more = json!({ "restartPolicy": "Never" });
    let steps = ["print begin", "sleep 20s", "print end", "exit 9"];
    namespace.apply(&pod("through", Some(&agent), json!([container("main", &image, &steps)]), more)).await?;
    let before = running(&namespace, "through").await?;

    let cluster = scene.cluster().await?;
    cluster.signal("apiserver", Signal::STOP)?;
    sleep(Duration::from_secs(60)).await;
    cluster.signal("apiserver", Signal::CONT)?;

    let after = ended(&namespace, "through").await?;
    ensure!(after.metadata.uid == before.metadata.uid && restarts(&after) == 0);
    let terminated = first(&after).and_then(|status| status.state.clone()?.terminated).context("not terminated")?;
    let started = terminated.started_at.as_ref().context("no startedAt")?.0;
    let lived = terminated.finished_at.as_ref().context("no finishedAt")?.0.duration_since(started);
    ensure!(terminated.exit_code == 9 && (19..=25).contains(&lived.as_secs()), "{terminated:?}");
    ensure!(logs(&namespace, "through").await? == "begin\nend\n");
    Ok(())
}

pub(crate) async fn a_deleted_node_is_registered_again(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({})).await?;
    let nodes = Api::<Node>::all(scene.cluster().await?.client());
    let name = agent.node().name.clone();
    let before = nodes.get(&name).await?.metadata.uid;
    nodes.delete(&name, &kube::api::DeleteParams::default()).await?;
    eventually(PATIENCE, "the node registered and Ready again", || async {
        let node = nodes.get(&name).await?;
        ensure!(node.metadata.uid != before, "the old one");
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        ensure!(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"));
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        ensure!(taints.iter().filter(|taint| taint.key == "kubernetes.io/arch").count() == 2, "{taints:?}");
        Ok(())
    })
    .await
}

pub(crate) async fn a_terminated_agent_leaves_only_its_pods(scene: Scene) -> Result<()> {
    let mut agent = scene.own_agent(json!({})).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&pod("spins", Some(&agent), json!([container("main", &image, &["spin"])]), json!({}))).await?;
    running(&namespace, "spins").await?;
    let id = agent.id().context("no process")?;
    let status = agent.terminate().await?;
    ensure!(status.success(), "{status}");
    let exists = |pid: i32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    ensure!(!exists(id));
    let runners = agent.runners();
    ensure!(runners.len() == 1 && runners.iter().all(|runner| exists(runner.pid)), "{runners:?}");
    Ok(())
}
