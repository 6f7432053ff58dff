//! Whether a connection has a request.

use std::time::Duration;

use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Activity(watch::Sender<usize>);

/// A request in progress.
#[derive(Debug)]
pub(super) struct Active(watch::Sender<usize>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn begin(&self) -> Active {
        self.0.send_modify(|requests| *requests += 1);
        Active(self.0.clone())
    }

    /// When there was no request for so long.
    pub(super) async fn idle(&self, patience: Duration) {
        let mut requests = self.0.subscribe();
        loop {
            // The sender lives as long as `self`.
            drop(requests.wait_for(|requests| *requests == 0).await);
            if tokio::time::timeout(patience, requests.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_keeps_a_connection() {
        let activity = Activity::new();
        let second = Duration::from_secs(1);
        let request = activity.begin();
        assert!(tokio::time::timeout(100 * second, activity.idle(second)).await.is_err());
        drop(request);
        let began = tokio::time::Instant::now();
        activity.idle(second).await;
        assert_eq!(began.elapsed(), second);
    }
}
