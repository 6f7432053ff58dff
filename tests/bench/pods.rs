//! Pods through a real API server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::figure::{percentile, print};
use crate::stage::{Stage, phase};

const PODS: usize = 100;
/// One pod after the other shows the latency; a burst would show the queue.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn measure(directory: &Path) -> Result<()> {
    let stage = Stage::set_up(directory, json!({ "maxPods": PODS + 20 })).await?;
    // The first one pulls and compiles.
    let mut latencies = watch_starts(&stage, PODS + 1).await?;
    latencies.remove(0);
    print("bound_to_running_p50_of_100", "us", percentile(&mut latencies, 0.5), None);
    print("bound_to_running_p95_of_100", "us", percentile(&mut latencies, 0.95), None);
    stage.tear_down().await
}

/// Creates the pods one after the other and returns how long each took from being seen bound to being seen Running
/// by a watcher of the API server.
async fn watch_starts(stage: &Stage, count: usize) -> Result<Vec<Duration>> {
    let (pods, mut latencies) = (stage.pods(), Vec::new());
    let mut events = std::pin::pin!(watcher(pods.clone(), watcher::Config::default()).applied_objects());
    for number in 0..count {
        let name = format!("idle-{number}");
        pods.create(&PostParams::default(), &stage.pod(&name)?).await?;
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
