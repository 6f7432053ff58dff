//! Pods as the cases write them, and what they wait for.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use serde_json::{Value, json};
use wasmnode_tests::{
    agent::{Agent, placement},
    eventually::eventually,
    guests,
    netns::Node,
    registry::Artifact,
    suite::{Namespace, Scene},
};

/// Longer than anything takes that is not meant to wait, with a build beside the tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Pushes the scriptable guest and returns its reference.
pub(crate) async fn tool(scene: &Scene) -> Result<String> {
    scene.push("tool", &Artifact::cncf(guests::tool()?).titled("tool.wasm")).await
}

/// Pushes one of the small guests.
pub(crate) async fn small(scene: &Scene, name: &str) -> Result<String> {
    scene.push(name, &Artifact::cncf(guests::wat(name)?)).await
}

/// A container that runs the steps.
pub(crate) fn container(name: &str, image: &str, steps: &[&str]) -> Value {
    json!({ "name": name, "image": image, "args": steps })
}

/// A pod spec for the shared agent's node: a node of a case's own is there for others a while after the case.
pub(crate) fn spec(containers: Value, more: Value) -> Value {
    merged(
        merged(placement(Some(&Node::new(1))), json!({ "containers": containers, "terminationGracePeriodSeconds": 5 })),
        more,
    )
}

/// A pod for a given agent's node, or for the shared one's.
pub(crate) fn pod(name: &str, agent: Option<&Agent>, containers: Value, more: Value) -> Value {
    let place = agent.map_or_else(|| json!({}), Agent::placement);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": merged(spec(containers, place), more),
    })
}

/// A pod that runs the steps once.
pub(crate) fn once(name: &str, image: &str, steps: &[&str]) -> Value {
    pod(name, None, json!([container("main", image, steps)]), json!({ "restartPolicy": "Never" }))
}

/// The keys of both; the second's win.
pub(crate) fn merged(mut base: Value, more: Value) -> Value {
    if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
        base.extend(more);
    }
    base
}

/// Waits until a pod's status is as wanted, and returns it.
pub(crate) async fn wait_for(
    namespace: &Namespace,
    name: &str,
    what: &str,
    wanted: impl Fn(&Pod) -> bool,
) -> Result<Pod> {
    wait_within(PATIENCE, namespace, name, what, wanted).await
}

/// The same with a patience of its own.
pub(crate) async fn wait_within(
    patience: Duration,
    namespace: &Namespace,
    name: &str,
    what: &str,
    wanted: impl Fn(&Pod) -> bool,
) -> Result<Pod> {
    let pods = namespace.pods();
    eventually(patience, &format!("pod {name} {what}"), || async {
        let pod = pods.get(name).await?;
        ensure!(wanted(&pod), "its status is {}", serde_json::to_string(&pod.status)?);
        Ok(pod)
    })
    .await
}

/// Waits until a pod has ended, and returns it.
pub(crate) async fn ended(namespace: &Namespace, name: &str) -> Result<Pod> {
    wait_for(namespace, name, "ended", |pod| matches!(phase(pod), "Succeeded" | "Failed")).await
}

/// Waits until a pod runs.
pub(crate) async fn running(namespace: &Namespace, name: &str) -> Result<Pod> {
    wait_for(namespace, name, "Running", |pod| phase(pod) == "Running").await
}

/// Waits until a container waits for one of the reasons, and returns reason and message.
pub(crate) async fn waiting(namespace: &Namespace, name: &str, reasons: &[&str]) -> Result<(String, String)> {
    let has = |pod: &Pod| waiting_of(pod).is_some_and(|(reason, _)| reasons.contains(&reason.as_str()));
    let pod = wait_for(namespace, name, &format!("waiting for {reasons:?}"), has).await?;
    waiting_of(&pod).context("it waits")
}

pub(crate) fn waiting_of(pod: &Pod) -> Option<(String, String)> {
    let waiting = first(pod)?.state.as_ref()?.waiting.as_ref()?;
    Some((waiting.reason.clone()?, waiting.message.clone().unwrap_or_default()))
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Status of the first container.
pub(crate) fn first(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

/// Exit code and reason of the first container.
pub(crate) fn exit_of(pod: &Pod) -> Result<(i32, String)> {
    let terminated = first(pod).and_then(|status| status.state.as_ref()?.terminated.clone());
    let terminated = terminated.with_context(|| format!("not terminated: {:?}", pod.status))?;
    Ok((terminated.exit_code, terminated.reason.unwrap_or_default()))
}

/// Restarts of the first container.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    first(pod).map_or(-1, |status| status.restart_count)
}

/// `kubectl logs` of the only container.
pub(crate) async fn logs(namespace: &Namespace, name: &str) -> Result<String> {
    namespace.kubectl().ok(&["logs", name]).await
}

/// Events about a pod that came from its node: reason and message.
pub(crate) async fn node_events(namespace: &Namespace, name: &str) -> Result<Vec<Event>> {
    let selector = kube::api::ListParams::default().fields(&format!("involvedObject.name={name}"));
    let events = namespace.api::<Event>().list(&selector).await?;
    let from_node = |event: &Event| event.source.as_ref().is_some_and(|source| source.host.is_some());
    Ok(events.items.into_iter().filter(from_node).collect())
}

/// Waits for an event about a pod whose message contains a text.
pub(crate) async fn event(namespace: &Namespace, name: &str, reason: &str, text: &str) -> Result<()> {
    eventually(PATIENCE, &format!("event {reason} with {text:?}"), || async {
        let events = node_events(namespace, name).await?;
        let is = |event: &Event| {
            event.reason.as_deref() == Some(reason) && event.message.as_deref().unwrap_or_default().contains(text)
        };
        if events.iter().any(is) {
            return Ok(());
        }
        let seen: Vec<_> = events.iter().map(|event| (event.reason.clone(), event.message.clone())).collect();
        bail!("events: {seen:?}")
    })
    .await
}
