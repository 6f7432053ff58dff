//! Whether a connection is in use. hyper bounds the wait for an HTTP/1 header only; an HTTP/2 connection, or one
//! that never says which it is, could otherwise stay for ever.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Counts a connection's requests in progress. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    in_progress: usize,
    /// When the last request was answered.
    since: Instant,
}

/// A request in progress, until dropped.
#[derive(Debug)]
pub(crate) struct InProgress(Activity);

/// An answer's body; its request is in progress until it was sent.
#[derive(Debug)]
pub(crate) struct Tracked<B> {
    body: B,
    _request: InProgress,
}

// === impl Activity ===

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { in_progress: 0, since: Instant::now() })))
    }

    pub(crate) fn begin(&self) -> InProgress {
        self.with(|state| state.in_progress += 1);
        InProgress(self.clone())
    }

    /// Returns when nothing has been in progress for `limit`.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let (in_progress, deadline) = self.with(|state| (state.in_progress > 0, state.since + limit));
            match in_progress {
                true => tokio::time::sleep(limit).await,
                false if deadline <= now => return,
                false => tokio::time::sleep_until(deadline).await,
            }
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl InProgress ===

impl InProgress {
    pub(crate) fn track<B>(self, body: B) -> Tracked<B> {
        Tracked { body, _request: self }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.in_progress -= 1;
            state.since = Instant::now();
        });
    }
}

// === impl Tracked ===

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(90);

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_idle_after_the_limit() {
        let start = Instant::now();
        Activity::new().idle(LIMIT).await;
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_counts_from_the_last_answer() {
        let start = Instant::now();
        let activity = Activity::new();
        let (first, second) = (activity.begin(), activity.begin());
        let requests = async {
            tokio::time::sleep(LIMIT * 5).await;
            drop(first);
            tokio::time::sleep(LIMIT / 2).await;
            drop(second);
        };
        tokio::join!(requests, activity.idle(LIMIT));
        assert_eq!(start.elapsed(), LIMIT * 5 + LIMIT / 2 + LIMIT);
    }
}
