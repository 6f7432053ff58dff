//! What systemd is told (`Type=notify`). Without systemd all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Everything serves.
pub(super) fn ready() {
    notify(NotifyState::Ready);
}

/// The end has begun.
pub(super) fn stopping() {
    notify(NotifyState::Stopping);
}

/// The end takes longer than `TimeoutStopSec=` says.
pub(super) fn extend(time: Duration) {
    notify(NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)));
}

/// Says twice per `WatchdogSec=` that the agent's threads still take turns.
pub(super) async fn watchdog(shutdown: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return shutdown.cancelled().await };
    let forever = async {
        loop {
            notify(NotifyState::Watchdog);
            tokio::time::sleep(limit / 2).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        debug!(%error, "Cannot tell the service manager");
    }
}
