//! The end of all pods of a node that goes down: asked for by `wasmnode drain`, or by the machine's own shutdown.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wasmnode_cluster::{EventRecorder, StatusWriter};
use wasmnode_core::{Recorder, Severity};
use wasmnode_pods::{Handle, Progress, Shutdown};
use wasmnode_provider_process::runners::Runners;

use super::Answer;
use crate::config::file::NodeConfiguration;

/// Why the node is not ready meanwhile. The words are the kubelet's, since tools look for them.
pub(crate) const SHUTTING_DOWN: &str = "node is shutting down";

/// The kubelet's event (kubelet contract section 6).
const MACHINE: &str = "Shutdown manager detected shutdown event";

/// Time for the pods where neither the configuration nor the caller says one.
const PERIOD: Duration = Duration::from_secs(60);

/// The part of the time that critical pods have where the configuration does not say it.
const CRITICAL_PART: u32 = 4;

/// For runs that belong to no pod any more: they were asked to end before.
const REMAINS: Duration = Duration::from_secs(10);

/// For the last statuses to reach the API server.
const POSTED: Duration = Duration::from_secs(10);

/// What it takes to end the node's pods.
#[derive(Clone)]
pub(crate) struct Drain {
    pub(crate) pods: Handle,
    pub(crate) runners: Arc<Runners>,
    pub(crate) statuses: StatusWriter,
    pub(crate) recorder: EventRecorder,
    /// Says to everybody that the node goes down.
    pub(crate) leaving: CancellationToken,
    pub(crate) configured: Configured,
}

/// `shutdownGracePeriod` and `shutdownGracePeriodCriticalPods`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Configured {
    period: Duration,
    critical: Duration,
}

// === impl Drain ===

impl Drain {
    /// Ends all pods in order, then what runs them, and tells the API server. There is no way back but another agent.
    /// Somebody listens where it was asked for; where nobody does, it is the machine's end.
    pub(crate) async fn run(&self, within: Option<Duration>, listener: Option<&Answer>) -> anyhow::Result<()> {
        self.leaving.cancel();
        let why = if listener.is_some() { "All pods are ended: wasmnode drain" } else { MACHINE };
        self.recorder.node(Severity::Normal, "Shutdown", why.to_owned());
        let mut departure = self.pods.shut_down(self.configured.time(within));
        loop {
            match departure.next().await {
                Some(Progress::Ending(left)) => say(listener, &format!("{} left", pods(left))).await,
                Some(Progress::Over(0)) => break say(listener, "all pods have ended").await,
                Some(Progress::Over(left)) => {
                    break say(listener, &format!("{} did not end in time and will be killed", pods(left))).await;
                }
                None => bail!("the agent was stopped before all pods had ended: they go on"),
            }
        }
        let left = self.runners.stop_all(REMAINS).await;
        if timeout(POSTED, self.statuses.settled()).await.is_err() {
            warn!("Not all pod statuses were posted");
            say(listener, "some statuses were not posted, since the API server does not take them").await;
        }
        ensure_ended(left)?;
        say(listener, "nothing runs here; pods are taken again when the agent is restarted").await;
        Ok(())
    }

    /// Longest time that a shutdown of the machine takes; none where the configuration wants nothing to be done then.
    pub(crate) fn machine_shutdown(&self) -> Option<Duration> {
        // Runners have ten seconds for what did not stop before.
        let around = 2 * REMAINS + POSTED;
        (!self.configured.period.is_zero()).then(|| self.configured.period + around)
    }
}

/// # Errors
/// What to do about runners that did not end.
pub(crate) fn ensure_ended(left: usize) -> anyhow::Result<()> {
    ensure!(
        left == 0,
        "runners that could not be ended: {left}; look for processes `wasmnode runner` and what holds them"
    );
    Ok(())
}

fn pods(count: usize) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

async fn say(listener: Option<&Answer>, text: &str) {
    if let Some(answer) = listener {
        answer.say(text).await;
    }
}

// === impl Configured ===

impl From<&NodeConfiguration> for Configured {
    fn from(file: &NodeConfiguration) -> Self {
        Self { period: file.shutdown_grace_period.0, critical: file.shutdown_grace_period_critical_pods.0 }
    }
}

impl Configured {
    /// Who asks knows better than the configuration, but rarely thinks of critical pods.
    fn time(self, within: Option<Duration>) -> Shutdown {
        let configured = (!self.period.is_zero()).then_some(self.period);
        let period = within.or(configured).unwrap_or(PERIOD);
        let critical = if configured.is_some() { self.critical } else { period / CRITICAL_PART };
        Shutdown { period, critical: critical.min(period) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_the_callers_or_the_configurations() {
        // shutdownGracePeriod, its part for critical pods, --timeout → both in effect
        let cases = [
            ((0, 0), None, (60, 15)),
            ((0, 0), Some(20), (20, 5)),
            ((30, 10), None, (30, 10)),
            ((30, 0), None, (30, 0)),
            ((30, 10), Some(90), (90, 10)),
            ((30, 10), Some(5), (5, 5)),
        ];
        for ((period, critical), within, expected) in cases {
            let secs = Duration::from_secs;
            let configured = Configured { period: secs(period), critical: secs(critical) };
            let Shutdown { period, critical } = configured.time(within.map(secs));
            assert_eq!((period.as_secs(), critical.as_secs()), expected, "{configured:?} {within:?}");
        }
    }
}
