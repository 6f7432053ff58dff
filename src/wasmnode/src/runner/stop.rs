//! The end of a runner: its guests are asked to stop, and then made to.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};
use tracing::warn;
use wasmnode_provider_api::{Provider, RunId};

/// For guests that were asked. Whoever gives them longer ends them before it ends their runner.
const GRACE: Duration = Duration::from_secs(10);

/// For guests that were killed, which takes a tick.
const KILL_TIME: Duration = Duration::from_secs(5);

/// How often it is looked whether all have ended.
const LOOK: Duration = Duration::from_millis(50);

/// SIGTERM and SIGINT. SIGHUP, which a closing terminal sends, is ignored.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _hang_up: Signal,
}

// === impl Signals ===

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            _hang_up: listen(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns when nothing runs any more, at once if nothing does.
pub(super) async fn end_all(provider: &dyn Provider) {
    let mut asked = HashSet::new();
    let asking = until_empty(provider, async |run| {
        if asked.insert(run.clone()) {
            let _ = provider.stop(&run).await;
        }
    });
    if tokio::time::timeout(GRACE, asking).await.is_ok() {
        return;
    }
    let killing = until_empty(provider, async |run| {
        let _ = provider.kill(&run).await;
    });
    if tokio::time::timeout(KILL_TIME, killing).await.is_err() {
        warn!("Guests that were killed have not ended; they end with this process");
    }
}

/// Does this to whatever runs, until nothing does. Runs may still be added.
async fn until_empty(provider: &dyn Provider, mut each: impl AsyncFnMut(RunId)) {
    let mut next = Instant::now();
    // A provider that cannot say what runs is as good as empty.
    while let Ok(listing) = provider.list().await
        && !listing.runs.is_empty()
    {
        for listed in listing.runs {
            each(listed.run).await;
        }
        next += LOOK;
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}
