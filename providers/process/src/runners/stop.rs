//! All runners end.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;

/// A runner that was told to end is killed before this.
const GONE_WITHIN: Duration = Duration::from_secs(45);

/// Returns how many runners have not ended.
pub(crate) async fn stop_all(shared: &Arc<Shared>, patience: Duration) -> usize {
    // From now on none is started, and one that is being started ends.
    shared.lock().draining = true;
    let _in_time = tokio::time::timeout(patience, ended(shared)).await;
    for runner in shared.live_runners() {
        shared.lock().state.end(&runner.id, true);
    }
    let _in_time = tokio::time::timeout(GONE_WITHIN, gone(shared)).await;
    let left = left(shared);
    if left > 0 {
        tracing::warn!(left, "Some runners have not ended");
    }
    left
}

/// Those that are being started count.
fn left(shared: &Shared) -> usize {
    let inner = shared.lock();
    inner.state.slots().count() + inner.launching
}

/// No runner is left.
async fn gone(shared: &Shared) {
    let mut learned = shared.learned.subscribe();
    while left(shared) > 0 {
        if learned.changed().await.is_err() {
            return;
        }
    }
}

/// Nothing runs any more.
async fn ended(shared: &Shared) {
    let mut learned = shared.learned.subscribe();
    while shared.lock().state.live() > 0 {
        if learned.changed().await.is_err() {
            return;
        }
    }
}
