//! The same run in a runner's process and in this one, in turn.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wasmnode_provider_api::SandboxId;
use wasmnode_provider_process::runners::{Config, Launch, Runners};
use wasmnode_provider_wasmtime::{Settings, engine_ids};
use wasmnode_tests::paths;

use crate::figure::{percentile, print};
use crate::rig::{GROUP, Rig};

/// The first ones warm the pools and are left out.
const SAMPLES: usize = 1000;
const WARM_UP: usize = 100;
const CAPACITY: u32 = 64;
const BUILD: &str = "bench";

/// What one side took.
#[derive(Default)]
struct Samples {
    start: Vec<Duration>,
    to_exit: Vec<Duration>,
}

pub(super) async fn measure() -> Result<()> {
    let node = tempfile::tempdir()?;
    let runners = Arc::new(Runners::open(config(node.path())?).await?);
    let outcome = compare(Arc::clone(&runners), node.path()).await;
    runners.stop_all(Duration::ZERO).await;
    outcome
}

async fn compare(runners: Arc<Runners>, node: &Path) -> Result<()> {
    let mut inside = Rig::new("hello", CAPACITY).await?;
    let mut outside = inside.same_over(runners, node.join("logs")).await?;
    let sandboxes = (inside.sandbox(0).await?, outside.sandbox(0).await?);
    outside.prepare().await?;
    let (mut ours, mut peer) = (Samples::default(), Samples::default());
    for _ in 0..WARM_UP + SAMPLES {
        ours.run(&mut outside, &sandboxes.1).await?;
        peer.run(&mut inside, &sandboxes.0).await?;
    }
    print_both("start_in_a_runner_p50", &mut ours.start, &mut peer.start);
    print_both("hello_start_to_exit_in_a_runner_p50", &mut ours.to_exit, &mut peer.to_exit);
    Ok(())
}

fn print_both(name: &str, ours: &mut Vec<Duration>, peer: &mut Vec<Duration>) {
    ours.drain(..WARM_UP);
    peer.drain(..WARM_UP);
    print(name, "us", percentile(ours, 0.5), Some(("the same in one process", percentile(peer, 0.5))));
}

/// As an agent has it, in directories of its own.
fn config(node: &Path) -> Result<Config> {
    let [state, memory, bin] = ["state", "memory", "bin"].map(|name| node.join(name));
    for root in [&state, &memory] {
        std::fs::create_dir_all(root.join("groups").join(GROUP)).context("cannot make a group")?;
    }
    let program = bin.join(BUILD).join("wasmnode");
    std::fs::create_dir_all(bin.join(BUILD)).context("cannot make a directory of programs")?;
    symlink(paths::wasmnode()?, &program).context("cannot link the program")?;
    let settings = Settings { capacity: CAPACITY, wasip3: false, ..Settings::default() };
    Ok(Config {
        state_root: state,
        memory_root: memory,
        logs_root: node.join("logs"),
        program,
        build: BUILD.to_owned(),
        bin_dir: bin,
        engines: engine_ids(&settings)?,
        runtime: String::new(),
        capacity: CAPACITY,
        wasip3: false,
        log_args: Vec::new(),
        launch: Launch::Session,
        idle: Duration::from_secs(60),
    })
}

// === impl Samples ===

impl Samples {
    /// From the call of `start` until it returns, and until the exit is known; with a log file.
    async fn run(&mut self, rig: &mut Rig, sandbox: &SandboxId) -> Result<()> {
        let spec = rig.spec(sandbox, true)?;
        let (id, began) = (spec.id.clone(), Instant::now());
        rig.provider.start(spec).await?;
        self.start.push(began.elapsed());
        rig.ended(&id).await?;
        self.to_exit.push(began.elapsed());
        Ok(())
    }
}
