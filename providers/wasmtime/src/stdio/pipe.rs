//! An open standard input: bytes from attached clients to the guest.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::wakers::Wakers;

/// Bytes that wait for the guest at most, besides the chunk that crosses the line.
const CAPACITY: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct Pipe {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    waiting: usize,
    closed: bool,
    wakers: Wakers,
}

impl Pipe {
    /// Bytes for the guest, `None` at the end, nothing yet as an empty chunk.
    pub(super) fn read(&self, max: usize) -> Option<Bytes> {
        let mut state = self.lock();
        let Some(chunk) = state.chunks.front_mut() else {
            return (!state.closed).then(Bytes::new);
        };
        let read = chunk.split_to(max.min(chunk.len()));
        if chunk.is_empty() {
            state.chunks.pop_front();
        }
        state.waiting -= read.len();
        state.wakers.wake_all();
        Some(read)
    }

    /// Ready when there is something to read, or the end.
    pub(super) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.closed || !state.chunks.is_empty() {
            return Poll::Ready(());
        }
        state.wakers.register(cx);
        Poll::Pending
    }

    /// Takes all that a client sends, at the guest's speed. Returns when the client has closed its end or nothing
    /// more can be read.
    pub(crate) async fn feed(&self, mut from: mpsc::Receiver<Bytes>) {
        while let Some(chunk) = from.recv().await {
            if !self.push(chunk).await {
                return;
            }
        }
    }

    /// End-of-file for the guest, after what was sent before.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.wakers.wake_all();
    }

    async fn push(&self, chunk: Bytes) -> bool {
        poll_fn(|cx| self.poll_room(cx)).await;
        let mut state = self.lock();
        if !state.closed && !chunk.is_empty() {
            state.waiting += chunk.len();
            state.chunks.push_back(chunk);
            state.wakers.wake_all();
        }
        !state.closed
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.closed || state.waiting < CAPACITY {
            return Poll::Ready(());
        }
        state.wakers.register(cx);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn delivers_in_order_then_ends() {
        let pipe = Pipe::default();
        let (to, from) = mpsc::channel(4);
        to.send(Bytes::from_static(b"abc")).await.unwrap();
        to.send(Bytes::from_static(b"de")).await.unwrap();
        drop(to);
        assert_eq!(pipe.read(8), Some(Bytes::new()));
        pipe.feed(from).await;
        assert_eq!(pipe.read(2), Some(Bytes::from_static(b"ab")));
        pipe.close();
        assert_eq!(pipe.read(8), Some(Bytes::from_static(b"c")));
        assert_eq!(pipe.read(8), Some(Bytes::from_static(b"de")));
        assert_eq!(pipe.read(8), None);
    }

    #[tokio::test]
    async fn holds_a_client_that_is_faster_than_the_guest() {
        let pipe = Pipe::default();
        let (to, from) = mpsc::channel(2);
        let chunk = Bytes::from(vec![0; CAPACITY]);
        to.send(chunk.clone()).await.unwrap();
        to.send(chunk).await.unwrap();
        let mut feeding = std::pin::pin!(pipe.feed(from));
        assert!(futures::poll!(feeding.as_mut()).is_pending());
        assert_eq!(pipe.lock().waiting, CAPACITY);
        pipe.read(CAPACITY).unwrap();
        assert!(futures::poll!(feeding.as_mut()).is_pending());
        assert_eq!(pipe.lock().waiting, CAPACITY);
        pipe.close();
        drop(to);
        feeding.await;
    }
}
