//! `just demo`: the main job, from nothing to the logs of pods, as a user of the cluster sees it. The task has built
//! what it needs.

mod stage;

use std::{env, future, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wasmnode_tests::{guests, netns, paths, registry::Artifact};

use crate::stage::Stage;

/// From the first pull and compile to the last pod; a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let keep = env::args().skip(1).any(|argument| argument == "--keep");
    let outcome = if netns::inside() { run(keep) } else { netns::enter() };
    outcome.unwrap_or_else(|error| {
        stage::say(&format!("demo: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(keep: bool) -> Result<ExitCode> {
    let scratch = netns::set_up()?;
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    runtime.block_on(async {
        let mut stage = Stage::set(&scratch).await?;
        play(&stage).await?;
        if keep {
            stage.keep(&scratch).await?;
            future::pending::<()>().await;
        }
        stage.strike().await
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn play(stage: &Stage) -> Result<()> {
    let tool = stage.push("tool", &Artifact::cncf(guests::tool()?)).await?;
    let report = stage.push("report", &Artifact::cncf(guests::component("report")?).titled("report.wasm")).await?;

    stage.show(&["get", "nodes", "-o", "wide"]).await?;
    let classes = paths::repository().join("deploy/runtimeclasses.yaml");
    stage.show(&["apply", "-f", &classes.display().to_string()]).await?;
    stage.apply("deployment/clock", &deployment(&tool)).await?;
    stage.apply("job/report", &job(&report)).await?;
    let patience = format!("--timeout={}s", PATIENCE.as_secs());
    stage.show(&["rollout", "status", "deployment/clock", &patience]).await?;
    stage.show(&["wait", "--for=condition=complete", "job/report", &patience]).await?;
    stage.show(&["get", "nodes,pods", "-o", "wide"]).await?;
    stage.show(&["describe", "pod", "--selector=job-name=report"]).await?;
    stage.show(&["logs", "job/report"]).await?;
    stage.watch(&["logs", "-f", "deployment/clock"], Duration::from_secs(4)).await
}

/// A core module that goes on: two pods that print a line every second.
fn deployment(image: &str) -> Value {
    let containers =
        json!([{ "name": "clock", "image": image, "args": ["print hello from a pod", "lines 100000 1s"] }]);
    let labels = json!({ "app": "clock" });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "clock" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod(containers) },
        },
    })
}

/// A component that comes to an end.
fn job(image: &str) -> Value {
    let mut spec =
        pod(json!([{ "name": "report", "image": image, "env": [{ "name": "GREETING", "value": "hello" }] }]));
    spec["restartPolicy"] = json!("Never");
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": "report" },
        "spec": { "template": { "spec": spec } },
    })
}

/// The class brings selector and tolerations: one line is all that a pod needs.
fn pod(containers: Value) -> Value {
    json!({ "runtimeClassName": "wasm", "containers": containers })
}
