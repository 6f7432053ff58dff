//! The verb `agent`, as the life of the process: build everything, serve, end.
//!
//! [`App`] has everything bound and nothing serving. [`App::serve`] spawns every long-lived task, each with its span,
//! and the end of any of them before a signal ends the process: a node that silently stopped following its pods would
//! look healthy for ever.

mod build;
mod cluster;
pub(crate) mod engine;
mod housekeeping;
mod kubelet;
mod machine;
mod notify;
pub(crate) mod runners;
mod stop;
mod tasks;

use std::path::Path;

use anyhow::Context;

use crate::config::{Config, ConfigError};
use crate::exit::Failure;
use crate::{limits, log};

pub(crate) use build::App;

/// Runs the agent until SIGTERM or SIGINT.
pub(crate) fn run(config: Config) -> Result<(), Failure> {
    log::init(&config.file.logging);
    limits::open_all_files();
    config.check_neighbours(Path::new("/"))?;
    // Only fails if there is one already, which is then as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async { App::build(config).await?.serve().await })
}

/// The flag, or one line that says what to give it.
fn kubeconfig(config: &Config) -> Result<&Path, ConfigError> {
    let missing = || ConfigError::Flag {
        flag: "kubeconfig",
        problem: "is missing: give the file with this node's credentials".to_owned(),
    };
    config.kubeconfig.as_deref().ok_or_else(missing)
}
