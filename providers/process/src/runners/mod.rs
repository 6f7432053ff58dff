//! Many runners behind one provider: the agent's side.
//!
//! [`Runners`] starts a process per isolation group on demand, several where one is full, and routes every verb to the
//! one that holds the sandbox or the run. Runners outlive the agent: the next [`Runners::open`] finds them by their
//! records, asks what runs, and goes on.
//!
//! **Guarantees.** Every successful `start` is followed by exactly one [`wasmnode_provider_api::Event::Exited`], which
//! `list` repeats until it is acknowledged: also when the runner dies, when the agent is restarted, and when both happen
//! at once. Exits that the runner wrote before it died win; all others are `Lost`, and their message says what the
//! runner died of as far as Linux tells. A sandbox outlives its runner: the next `create_sandbox`, `target`, `prepare`
//! or `start` puts it into a fresh one. A group whose runners keep dying is refused with a growing pause.
//!
//! **Assumptions.** The directories of a group (`<state>/groups/<g>`, `<memory>/groups/<g>`) exist, and nobody but this
//! process writes to them, except to what the group's user owns. One `Runners` per memory root; a lock sees to that.
//!
//! What a runner says is believed only about runs that were recorded for it before they were started: it may have been
//! taken over by a guest.
//!
//! A task per runner watches it ([`keep`]), another reads its events ([`pump`]). What is known is in one [`state::State`],
//! which decides without I/O; its lock is never held across an await.

mod adopt;
mod backoff;
mod bins;
mod code;
mod create;
mod death;
mod exits;
mod files;
mod handle;
mod heartbeat;
mod keep;
mod launch;
mod memory;
mod metrics;
mod names;
mod pidfd;
mod provider;
mod pump;
mod record;
mod scan;
mod shared;
mod spawn;
mod start;
mod state;
mod stop;
mod turns;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmnode_provider_api::Engine;

pub use death::DeathCause;
pub use metrics::RunnersMetrics;

use shared::Shared;

/// Where runners live and what they are made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// What survives a restart of the machine, `/var/lib/wasmnode`.
    pub state_root: PathBuf,
    /// A tmpfs, `/run/wasmnode`. Emptied when the machine was started again, should it be none.
    pub memory_root: PathBuf,
    /// Where runners write their guests' logs.
    pub logs_root: PathBuf,
    /// The program of this build, `<bin_dir>/<build>/wasmnode`: new runners are started from it.
    pub program: PathBuf,
    /// This build's id, a directory's name.
    pub build: String,
    /// A directory per build. Those that no runner was started from are removed, this build's is kept.
    pub bin_dir: PathBuf,
    /// This build's engines, known without a runner.
    pub engines: Vec<Engine>,
    /// This build's containerRuntimeVersion, `wasmtime://48.0.8`.
    pub runtime: String,
    /// Runs that one runner holds.
    pub capacity: u32,
    /// Whether new runners offer WASI 0.3.
    pub wasip3: bool,
    /// How much new runners log and in which form: options of their verb, `--log-format json --v 2`.
    pub log_args: Vec<String>,
    /// How they outlive the agent.
    pub launch: Launch,
    /// An empty runner ends after this time.
    pub idle: Duration,
}

/// How a runner is kept apart from the agent's own life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// In a transient scope of this slice, made by `systemd-run`: stopping the slice ends every runner.
    Systemd {
        /// E.g. `wasmnode.slice`.
        slice: String,
    },
    /// In a session of its own.
    Session,
}

/// Why the runners of an earlier agent cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent has the same directory.
    #[error("{0} is locked by another agent: stop that one first")]
    InUse(PathBuf),
    /// A later release wrote a record that this one cannot read.
    #[error(
        "record {path} was written by a newer release (its version is {version}): start that release again, or drain \
         the node with it before going back"
    )]
    Newer {
        /// The record.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// A runner speaks no protocol that this build does.
    #[error(
        "runner {id} of record {path} speaks protocol {protocol}, this build speaks {oldest} to {newest}: drain the \
         node with the release that started it"
    )]
    Protocol {
        /// The record.
        path: PathBuf,
        /// The runner.
        id: String,
        /// Its protocol's major number.
        protocol: u32,
        /// The oldest that is spoken.
        oldest: u32,
        /// The newest that is spoken.
        newest: u32,
    },
    /// A directory or a record could not be used.
    #[error("could not {doing} {path}: {source}")]
    Disk {
        /// E.g. `read`.
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// All runners of a node, as one provider. See the module's documentation for what it guarantees.
///
/// Dropping it leaves the runners running and lets the next [`Runners::open`] find them.
#[derive(Debug)]
pub struct Runners {
    shared: Arc<Shared>,
    /// Given back when this is dropped.
    _lock: File,
}

// === impl Runners ===

impl Runners {
    /// Takes over what earlier agents left: live runners are connected to and asked, those that are gone are accounted
    /// for. Starts none and no guest. Waits at most 5 s for runners that do not answer; `list` waits for the rest, until
    /// they have said what they run or count as hung, which they do after 15 s, pings answered or not. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`]: nothing was changed then.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        adopt::open(config).await
    }

    /// What is in use now, for the process's own metrics.
    pub fn metrics(&self) -> RunnersMetrics {
        self.shared.metrics()
    }

    /// Ends every runner, after its runs have ended or `patience` is over; runs that are left are stopped by their
    /// runner, and killed after 10 s. No runner is started any more. What ended is listed, here or by the next
    /// [`Runners::open`], until it is acknowledged.
    ///
    /// Returns how many runners are left: those that the kernel has not let go 45 s after they were told to end, and starts
    /// that have not been given up by then. 0 means that nothing of a guest runs any more.
    pub async fn stop_all(&self, patience: Duration) -> usize {
        stop::stop_all(&self.shared, patience).await
    }
}

impl Drop for Runners {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}
