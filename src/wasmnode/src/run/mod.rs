//! The verb `run`: pods from a file, or one program from an image, without a cluster.
//!
//! A file stands where an agent has its API server; supervisor, worker, core and engine are the agent's own. There is
//! no second lifecycle: what a pod does here it does on a node.
//!
//! ```text
//! file ─▶ Director ─SupervisorEvent─▶ Supervisor ─▶ workers ─▶ FilePuller · FileObjects · engine
//!            ▲                                        │
//!            └────────────────── Board ◀── statuses, events          logs ─▶ Output ─▶ terminal
//! ```

mod args;
mod board;
pub(crate) mod cache;
pub(crate) mod console;
mod director;
mod identity;
mod input;
mod job;
mod manifest;
mod objects;
mod output;
pub(crate) mod place;
mod plan;
mod provider;
pub(crate) mod puller;
mod serve;
mod signals;
mod verdict;
mod words;

use std::process::ExitCode;

use anyhow::Context;

pub(crate) use args::RunArgs;
pub(crate) use manifest::ManifestError;
pub(crate) use serve::config as store_config;

use crate::config::sections::Logging;
use crate::exit::Failure;
use crate::log;
use plan::Plan;

/// Runs to the end of everything. The exit status is the first that a container had and that is not 0.
pub(crate) fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    quiet_log(args.v);
    let plan = Plan::new(&args)?;
    let runtime = runtime()?;
    let verdict = runtime.block_on(serve::serve(args, plan));
    // A program that does not end, and whoever waits for a lock, are not waited for.
    runtime.shutdown_background();
    Ok(ExitCode::from(verdict?.0))
}

/// What goes on inside is nobody's business unless someone asks.
pub(crate) fn quiet_log(verbosity: Option<u8>) {
    if verbosity.is_some() || std::env::var_os("RUST_LOG").is_some() {
        log::init(&Logging { verbosity: verbosity.unwrap_or_default(), ..Logging::default() });
    }
}

/// Threads, and the cryptography that registries need.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Only fails if there is one already, which is then as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")
}
