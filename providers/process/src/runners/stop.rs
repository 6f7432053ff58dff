//! All runners end.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::shared::Shared;

/// A runner that was told to end is killed before this.
const GONE_WITHIN: Duration = Duration::from_secs(45);

pub(crate) async fn stop_all(shared: &Arc<Shared>, patience: Duration) {
    shared.lock().draining = true;
    // A start that is under way is given time, too.
    let _in_time = tokio::time::timeout(patience, ended(shared)).await;
    let runners = shared.live_runners();
    {
        let mut inner = shared.lock();
        for runner in &runners {
            inner.state.end(&runner.id, true);
        }
    }
    let gone = join_all(runners.iter().map(|runner| runner.gone.cancelled()));
    if tokio::time::timeout(GONE_WITHIN, gone).await.is_err() {
        tracing::warn!("Some runners have not ended");
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
