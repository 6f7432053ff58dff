//! Tasks that end with the server.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Debug)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    gone: CancellationToken,
}

impl Tasks {
    /// They end with `parent` at the latest.
    pub(super) fn new(parent: &CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), gone: parent.child_token() }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let gone = self.gone.clone();
        self.tracker.spawn(async move { gone.run_until_cancelled_owned(task).await });
    }

    /// When all have ended by themselves.
    pub(super) async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Ends them. A guest that computes gives way at its next tick.
    pub(super) async fn end(&self) {
        self.gone.cancel();
        self.finished().await;
    }
}
