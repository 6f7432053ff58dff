//! Pods through a real API server.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tokio::runtime::Runtime;
use wasmnode_tests::agent::{Agent, AgentOptions, placement};
use wasmnode_tests::cluster::{Cluster, ClusterOptions};
use wasmnode_tests::guests;
use wasmnode_tests::netns::{self, Node};
use wasmnode_tests::registry::{Artifact, Registry, RegistryOptions};

use crate::figure::{percentile, print};

const PODS: usize = 100;
/// One pod after the other shows the latency; a burst would show the queue.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn inside() -> bool {
    netns::inside()
}

/// What it runs was built before: a build from here would replace this very program.
pub(crate) fn enter() -> Result<ExitCode> {
    netns::enter()
}

pub(crate) fn run_inside() -> Result<ExitCode> {
    let scratch = netns::set_up()?;
    Runtime::new()?.block_on(async {
        let cluster = Cluster::start(&ClusterOptions {
            directory: scratch.join("cluster"),
            address: netns::CONTROL_PLANE,
            nodes: vec![Node::new(1).name],
            arguments: Vec::new(),
        })
        .await?;
        let directory = scratch.join("registry");
        let registry = Registry::start(RegistryOptions { directory, ..RegistryOptions::default() }).await?;
        let image = registry.push("bench", "v1", &Artifact::cncf(guests::wat("sleeper")?)).await?;
        let options = AgentOptions {
            node: Node::new(1),
            directory: scratch.join("agent"),
            config: json!({ "maxPods": PODS + 20 }),
            arguments: Vec::new(),
        };
        let mut agent = Agent::start(&cluster, options).await?;
        measure(&cluster, &image).await?;
        agent.terminate().await?;
        registry.stop().await?;
        cluster.stop().await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn measure(cluster: &Cluster, image: &str) -> Result<()> {
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    // The first one pulls and compiles.
    let mut latencies = watch_starts(&pods, image, PODS + 1).await?;
    latencies.remove(0);
    print("bound_to_running_p50_of_100", "us", percentile(&mut latencies, 0.5), None);
    print("bound_to_running_p95_of_100", "us", percentile(&mut latencies, 0.95), None);
    Ok(())
}

/// Creates the pods one after the other and returns how long each took from being seen bound to being seen Running
/// by a watcher of the API server.
async fn watch_starts(pods: &Api<Pod>, image: &str, count: usize) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut events = std::pin::pin!(watcher(pods.clone(), watcher::Config::default()).applied_objects());
    for number in 0..count {
        let name = format!("idle-{number}");
        pods.create(&PostParams::default(), &serde_json::from_value(pod(&name, image))?).await?;
        let (mut bound, mut running) = (None, None);
        while running.is_none() {
            let pod = events.try_next().await?.context("the watch ended")?;
            if pod.metadata.name.as_deref() != Some(&name) {
                continue;
            }
            let now = Timestamp::now();
            if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
                bound.get_or_insert(now);
            }
            running = (phase(&pod) == "Running").then_some(now);
        }
        let (bound, running) = (bound.context("never bound")?, running.context("never running")?);
        latencies.push(Duration::try_from(running.duration_since(bound))?);
        tokio::time::sleep(PAUSE).await;
    }
    ensure!(pods.list(&ListParams::default()).await?.items.len() == count, "pods are missing");
    Ok(latencies)
}

fn pod(name: &str, image: &str) -> serde_json::Value {
    let mut spec = placement(Some(&Node::new(1)));
    spec["containers"] = json!([{ "name": "main", "image": image }]);
    spec["terminationGracePeriodSeconds"] = json!(1);
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec })
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}
