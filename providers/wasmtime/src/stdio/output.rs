//! What a guest prints: into its log file and to attached clients.
//!
//! A guest appends to a queue and goes on; one task, which exists only while there is something in the queue, does
//! the writing on a thread for blocking work. A guest that prints faster than that waits, and no line is lost
//! between its last words and its exit, because the exit waits for [`Output::finish`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wasmnode_logs::{Stream, Writer};

use super::tee::Tee;
use super::wakers::Wakers;

/// Bytes that wait to be written at most, of both streams together, besides the chunk that crosses the line.
const CAPACITY: usize = 64 << 10;

/// What was printed, in order.
type Batch = Vec<(Stream, Bytes)>;

/// Both output streams of one guest.
#[derive(Debug)]
pub(crate) struct Output {
    state: Mutex<State>,
    log: OnceLock<Writer>,
    /// Somebody may wait for the beginning of a line.
    prompts: AtomicBool,
    runtime: Handle,
    /// Clients are no longer waited for.
    cut: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Stream, Bytes)>,
    waiting: usize,
    draining: bool,
    tees: Vec<(u64, Tee)>,
    last_tee: u64,
    wakers: Wakers,
}

impl Output {
    /// `runtime` carries the writing.
    pub(crate) fn new(runtime: Handle) -> Arc<Self> {
        let (prompts, cut) = (AtomicBool::new(false), CancellationToken::new());
        Arc::new(Self { state: Mutex::default(), log: OnceLock::new(), prompts, runtime, cut })
    }

    /// Given once, before the guest is entered; without a log only attached clients see what is printed.
    pub(crate) fn set_log(&self, log: Writer) {
        let _first = self.log.set(log);
    }

    /// From now on the beginning of a line is in the log before the line has its end: the guest asks, and waits for
    /// input.
    pub(crate) fn set_prompts(&self) {
        self.prompts.store(true, Ordering::Relaxed);
    }

    /// From now on a client sees what is printed. The number is for [`Self::remove_tee`].
    pub(crate) fn add_tee(&self, tee: Tee) -> u64 {
        let mut state = self.lock();
        state.last_tee += 1;
        let number = state.last_tee;
        state.tees.push((number, tee));
        number
    }

    pub(crate) fn remove_tee(&self, number: u64) {
        self.lock().tees.retain(|(n, _)| *n != number);
    }

    /// Queues bytes, whatever waits already.
    pub(crate) fn push(self: &Arc<Self>, stream: Stream, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.waiting += bytes.len();
        state.queue.push_back((stream, bytes));
        if !state.draining {
            state.draining = true;
            drop(state);
            self.runtime.spawn(self.clone().drain());
        }
    }

    /// Waits until all is written, and `patience` at most for clients that do not read.
    pub(crate) async fn finish(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.idle()).await.is_err() {
            self.give_up_on_clients();
            self.idle().await;
        }
        self.lock().tees.clear();
        if let Some(log) = self.log.get().cloned() {
            let _panicked = self.runtime.spawn_blocking(move || report(log.finish())).await;
        }
    }

    /// Clients are not waited for any more.
    pub(crate) fn give_up_on_clients(&self) {
        self.cut.cancel();
    }

    async fn idle(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if !state.draining {
                return Poll::Ready(());
            }
            state.wakers.register(cx);
            Poll::Pending
        })
        .await;
    }

    pub(super) fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.lock().waiting)
    }

    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.waiting < CAPACITY {
            return Poll::Ready(());
        }
        state.wakers.register(cx);
        Poll::Pending
    }

    async fn drain(self: Arc<Self>) {
        while let Some((batch, tees)) = self.next_batch() {
            let bytes: usize = batch.iter().map(|(_, bytes)| bytes.len()).sum();
            self.write_log(batch.clone()).await;
            tokio::select! {
                () = deliver(&batch, &tees) => {}
                () = self.cut.cancelled() => {}
            }
            let mut state = self.lock();
            state.waiting -= bytes;
            state.wakers.wake_all();
        }
    }

    /// All that waits, or the end of the draining.
    fn next_batch(&self) -> Option<(Batch, Vec<Tee>)> {
        let mut state = self.lock();
        if state.queue.is_empty() {
            state.draining = false;
            state.wakers.wake_all();
            return None;
        }
        state.tees.retain(|(_, tee)| !tee.is_closed());
        let batch = state.queue.drain(..).collect();
        Some((batch, state.tees.iter().map(|(_, tee)| tee.clone()).collect()))
    }

    async fn write_log(&self, batch: Batch) {
        let Some(log) = self.log.get().cloned() else { return };
        let prompts = self.prompts.load(Ordering::Relaxed);
        let written = self.runtime.spawn_blocking(move || {
            for (stream, bytes) in coalesced(batch) {
                let log = log.stream(stream);
                report(log.write(&bytes));
                if prompts {
                    report(log.flush());
                }
            }
        });
        let _panicked = written.await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer counts what it lost and returns the first error of a series only.
fn report(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "Container log cannot be written, lines are lost");
    }
}

/// Chunks of the same stream in one piece: a guest that prints word by word costs one write, not one for each.
fn coalesced(batch: Batch) -> Vec<(Stream, Vec<u8>)> {
    let mut pieces: Vec<(Stream, Vec<u8>)> = Vec::new();
    for (stream, bytes) in batch {
        match pieces.last_mut() {
            Some((last, piece)) if *last == stream => piece.extend_from_slice(&bytes),
            _ => pieces.push((stream, bytes.into())),
        }
    }
    pieces
}

async fn deliver(batch: &[(Stream, Bytes)], tees: &[Tee]) {
    for (stream, bytes) in batch {
        for tee in tees {
            tee.send(*stream, bytes.clone()).await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn coalesces_without_changing_the_order() {
        use Stream::{Stderr, Stdout};
        let chunk = |stream, text: &'static str| (stream, Bytes::from(text));
        let batch = vec![chunk(Stdout, "a"), chunk(Stdout, "b\n"), chunk(Stderr, "c"), chunk(Stdout, "d")];
        let pieces = [(Stdout, b"ab\n".to_vec()), (Stderr, b"c".to_vec()), (Stdout, b"d".to_vec())];
        assert_eq!(coalesced(batch), pieces);
    }

    #[tokio::test]
    async fn the_log_is_complete_after_finish() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let output = Output::new(Handle::current());
        output.set_log(Writer::open(&path, 1 << 20, 2).unwrap());
        for i in 0..100 {
            output.push(Stream::Stdout, Bytes::from(format!("line {i}\n")));
        }
        output.push(Stream::Stderr, Bytes::from_static(b"no newline"));
        output.finish(Duration::MAX).await;
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 101);
        assert!(text.contains("stdout F line 99\n") && text.ends_with("no newline\n"), "{text}");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_the_guest_but_not_its_end() {
        let output = Output::new(Handle::current());
        let (to, mut from) = mpsc::channel(1);
        output.add_tee(Tee { stdout: Some(to), stderr: None });
        for _ in 0..4 {
            output.push(Stream::Stdout, Bytes::from(vec![b'x'; CAPACITY]));
            tokio::task::yield_now().await;
        }
        assert_eq!(output.room(), 0);
        output.finish(Duration::ZERO).await;
        assert_eq!(output.room(), CAPACITY);
        assert_eq!(from.recv().await.map(|b| b.len()), Some(CAPACITY));
        while from.recv().await.is_some() {}
    }
}
