//! How the agent ends: on a signal in two stages, and at once when a task ended that must not. Pods go on, unless the
//! machine shuts down and the configuration gives them time to end before.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wasmnode_cluster::StatusWriter;

use super::{machine, notify};
use crate::admin::Drain;
use crate::exit::Failure;

/// For the last statuses to reach the API server. What does not is told by the next start.
const FLUSH: Duration = Duration::from_secs(3);

/// For tasks to end after they were told to; the server lets answers in progress finish for five seconds.
const GRACE: Duration = Duration::from_secs(8);

/// A task that ended.
pub(super) struct Ended {
    pub(super) name: &'static str,
    pub(super) error: Option<anyhow::Error>,
}

/// What is told to stop, in this order.
#[derive(Clone)]
pub(super) struct Stages {
    /// What takes new work: feed, supervisor, kubelet API, node.
    pub(super) serving: CancellationToken,
    /// What tells the API server: statuses and events.
    pub(super) posting: CancellationToken,
}

// === impl Stages ===

impl Stages {
    pub(super) fn new() -> Self {
        Self { serving: CancellationToken::new(), posting: CancellationToken::new() }
    }

    /// Until everything has ended. A second signal cuts it short.
    pub(super) async fn run(
        self,
        mut tasks: JoinSet<Ended>,
        statuses: &StatusWriter,
        drain: &Drain,
    ) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        tokio::select! {
            name = signals.next() => info!(signal = name, "Stopping"),
            Some(ended) = tasks.join_next() => return Err(fatal(ended).into()),
        }
        notify::stopping();
        let end = async {
            end_pods_with_machine(drain).await;
            self.stop(&mut tasks, statuses).await;
        };
        tokio::select! {
            () = end => info!("Stopped"),
            name = signals.next() => warn!(signal = name, "Stopping at once"),
        }
        Ok(())
    }

    /// Pods are left as they are: they live in processes of their own.
    async fn stop(&self, tasks: &mut JoinSet<Ended>, statuses: &StatusWriter) {
        self.serving.cancel();
        if timeout(FLUSH, statuses.settled()).await.is_err() {
            warn!("Not all pod statuses were posted, the next start repeats them");
        }
        self.posting.cancel();
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_err() {
            warn!(left = tasks.len(), "Some tasks did not end in time");
        }
    }
}

async fn end_pods_with_machine(drain: &Drain) {
    let Some(time) = drain.machine_shutdown() else { return };
    if !machine::is_shutting_down().await {
        return;
    }
    info!(?time, "The machine shuts down: ending pods");
    notify::extend(time + FLUSH + GRACE);
    if let Err(error) = drain.run(None, None).await {
        warn!(%error, "Not all pods were ended");
    }
}

/// A panic goes on as such; anything else becomes the process's error.
fn fatal(ended: Result<Ended, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ended { name, error: Some(error) }) => error.context(format!("task {name} failed")),
        Ok(Ended { name, error: None }) => anyhow!("task {name} ended, which it must not"),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => anyhow!(error).context("a task was cancelled"),
        },
    }
}

/// The signals that end the agent.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

// === impl Signals ===

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
