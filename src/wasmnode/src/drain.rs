//! The verb `drain`: all pods end and none are taken. The agent does it where one runs; without one, what outlived it is
//! ended here.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use wasmnode_provider_api::{Error, ListedRun, Provider};
use wasmnode_provider_process::runners::Runners;

use crate::admin::{self, AdminError, Request};
use crate::agent::runners::Hosted;
use crate::args::{DrainArgs, PlaceArgs};
use crate::config::Config;
use crate::config::units::GoDuration;
use crate::exit::Failure;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::print;

/// For runs to end that no agent looks after.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shows what happens, line by line.
pub(crate) fn run(args: DrainArgs) -> Result<(), Failure> {
    let config = place(args.place)?;
    runtime()?.block_on(async {
        let socket = admin::socket(&config.file.run_directory);
        match admin::ask(&socket, Request::Drain(args.timeout), show).await {
            Ok(()) => Ok(()),
            Err(AdminError::NoAgent) => without_agent(&config, args.timeout).await,
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    })
}

/// The directories of a node, without what only its agent needs.
pub(crate) fn place(args: PlaceArgs) -> Result<Config, Failure> {
    Ok(Config::load(args.into())?)
}

pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("cannot start threads")
}

/// A reader that left early is no reason to stop.
pub(crate) fn show(line: &str) {
    let _ = print(&format!("{line}\n"));
}

async fn without_agent(config: &Config, timeout: Option<GoDuration>) -> Result<(), Failure> {
    if !config.root_dir.join("version").exists() {
        show(&format!("no agent has ever run on {}", config.root_dir.display()));
        return Ok(());
    }
    let _lock = Lock::take(&config.root_dir)?;
    let layout = Layout::create(config)?;
    end_all(config, &layout, timeout).await?;
    show("nothing runs here; an agent that is started starts its pods again");
    Ok(())
}

/// Ends all that outlived its agent. The lock is held.
pub(crate) async fn end_all(config: &Config, layout: &Layout, timeout: Option<GoDuration>) -> anyhow::Result<()> {
    let Hosted { runners, .. } = Hosted::open(config, layout).await?;
    let listing = runners.list().await.context("cannot tell what runs")?;
    show(&format!("no agent runs; containers that do: {}", listing.runs.len()));
    let patience = timeout.map_or(PATIENCE, |timeout| timeout.0);
    let mut asking = JoinSet::new();
    for run in listing.runs {
        asking.spawn(ask_to_stop(Arc::clone(&runners), run));
    }
    // Those that do not answer are not waited for.
    let runners_left = runners.stop_all(patience).await;
    asking.shutdown().await;
    admin::ensure_ended(runners_left)?;
    let left = runners.list().await.context("cannot tell what runs")?.runs.len();
    anyhow::ensure!(left == 0, "containers that could not be ended: {left}");
    Ok(())
}

async fn ask_to_stop(runners: Arc<Runners>, run: ListedRun) {
    match runners.stop(&run.run).await {
        // It ended by itself.
        Ok(()) | Err(Error::NotFound { .. }) => {}
        Err(error) => show(&format!("container {} cannot be asked to stop: {error}", run.container)),
    }
}
