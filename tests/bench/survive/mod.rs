//! What pods in processes of their own cost, and how long the next agent takes to know them again.

mod latency;
mod memory;
mod view;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ListParams, PostParams};
use serde_json::json;

use crate::figure::{percentile, print};
use crate::stage::{Stage, phase};
use memory::Memory;
use view::View;

/// Pods where the command line says nothing else.
pub(crate) const PODS: usize = 1000;
/// What else the node has room for.
const SPARE: usize = 100;
/// Requests to the API server at once.
const CREATING: usize = 16;
/// Agents killed, one after the other.
const ROUNDS: usize = 5;
/// What is freed and reported after the last pod runs.
const SETTLE: Duration = Duration::from_secs(3);

/// With `count` idle pods in one namespace.
pub(crate) async fn measure(directory: &Path, count: usize) -> Result<()> {
    // Before there is a cluster, which would take its share of the processor.
    latency::measure().await?;
    let room = count + SPARE;
    let mut stage = Stage::set_up(directory, json!({ "maxPods": room, "capacity": room })).await?;
    let view = View::open(&stage).await?;
    run_pods(&stage, &view, 0, 1).await?;
    let one = Memory::of(&stage.agent)?;
    run_pods(&stage, &view, 1, count).await?;
    let all = Memory::of(&stage.agent)?;
    memory::print_all(&one, &all, count);
    adopt(&mut stage, &view, count).await?;
    print(&format!("agent_memory_after_adopting_{count}"), "KiB", Memory::of(&stage.agent)?.agent, None);
    stage.tear_down().await
}

/// Creates the pods from one number up to another, and waits until all that there are run.
async fn run_pods(stage: &Stage, view: &View, from: usize, to: usize) -> Result<()> {
    let pods = stage.pods();
    let creations = stream::iter(from..to).map(|number| {
        let (pods, pod) = (pods.clone(), stage.pod(&format!("idle-{number}")));
        async move { Ok::<_, anyhow::Error>(pods.create(&PostParams::default(), &pod?).await?) }
    });
    creations.buffer_unordered(CREATING).try_collect::<Vec<_>>().await?;
    view.wait_for(to).await?;
    tokio::time::sleep(SETTLE).await;
    check(stage, to).await
}

/// From the start of an agent until it serves, and until it has a worker for each pod and reports it as running.
async fn adopt(stage: &mut Stage, view: &View, count: usize) -> Result<()> {
    let runners = stage.agent.runners();
    let (mut serving, mut adopted) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        stage.agent.kill().await?;
        let began = Instant::now();
        stage.agent.spawn()?;
        view.wait_until_serving().await?;
        serving.push(began.elapsed());
        view.wait_for(count).await?;
        adopted.push(began.elapsed());
        tokio::time::sleep(SETTLE).await;
        check(stage, count).await?;
        ensure!(stage.agent.runners() == runners, "runners have changed");
    }
    print(&format!("agent_restart_to_serving_p50_at_{count}"), "us", percentile(&mut serving, 0.5), None);
    print(&format!("agent_restart_to_adopted_p50_at_{count}"), "us", percentile(&mut adopted, 0.5), None);
    print(&format!("agent_restart_to_adopted_max_at_{count}"), "us", percentile(&mut adopted, 1.0), None);
    Ok(())
}

/// The API server knows all of them as running, and none was ever started again.
async fn check(stage: &Stage, count: usize) -> Result<()> {
    let pods = stage.pods().list(&ListParams::default()).await?.items;
    let running = pods.iter().filter(|pod| phase(pod) == "Running").count();
    ensure!(running == count && pods.len() == count, "{running} of {count} run, there are {}", pods.len());
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_deref()).flatten();
    let restarts: i32 = statuses.map(|status| status.restart_count).sum();
    ensure!(restarts == 0, "{restarts} containers were started again");
    Ok(())
}
