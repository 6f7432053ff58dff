//! A connection whose bytes are counted, and which does not wait for ever for a peer that does not read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a peer may leave everything unread that was sent to it. A peer that is alive and slow reads something.
const STALL: Duration = Duration::from_secs(60);

/// Bytes of a pod, cumulative.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

pub(crate) struct Counted<T> {
    inner: T,
    /// `None` for connections inside the pod, which are no network.
    traffic: Option<Arc<Traffic>>,
    stalled: Option<Pin<Box<Sleep>>>,
}

// === impl Traffic ===

impl Traffic {
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

// === impl Counted ===

impl<T> Counted<T> {
    pub(crate) fn new(inner: T, traffic: Option<Arc<Traffic>>) -> Self {
        Self { inner, traffic, stalled: None }
    }

    fn count_sent(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Some(traffic), Poll::Ready(Ok(n))) = (&self.traffic, written) {
            traffic.sent.fetch_add(*n as u64, Ordering::Relaxed);
        }
    }

    /// What became of a write, or the end of patience with it.
    fn bounded<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(traffic) = &self.traffic {
            traffic.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.count_sent(&written);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.count_sent(&written);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bounded(cx, closed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn counts_both_directions() {
        let traffic = Arc::new(Traffic::default());
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Counted::new(near, Some(traffic.clone()));
        near.write_all(b"12345").await.unwrap();
        far.write_all(b"123").await.unwrap();
        let mut three = [0; 3];
        near.read_exact(&mut three).await.unwrap();
        assert_eq!((traffic.sent(), traffic.received()), (5, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_on_a_peer_that_reads_nothing() {
        let (near, _far) = tokio::io::duplex(4);
        let mut near = Counted::new(near, None);
        let error = near.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
