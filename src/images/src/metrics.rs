//! Counters that the agent's `/metrics` shows. Plain numbers: the exposition belongs to the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A snapshot. Counters only grow; the rest are gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageMetrics {
    /// Pulls waiting for their turn.
    pub pulls_waiting: u64,
    /// Pulls talking to a registry.
    pub pulls_running: u64,
    /// Pulls that ended well.
    pub pulls_succeeded: u64,
    /// Pulls that failed, foreign images included.
    pub pulls_failed: u64,
    /// Time of all pulls, without waiting.
    pub pull_time: Duration,
    /// Bytes of blobs loaded from registries.
    pub bytes_pulled: u64,
    /// Compilations waiting for a job.
    pub compiles_waiting: u64,
    /// Compile jobs running.
    pub compiles_running: u64,
    /// Compilations that ended well.
    pub compiles_succeeded: u64,
    /// Compilations that failed.
    pub compiles_failed: u64,
    /// Time of all compilations, without waiting.
    pub compile_time: Duration,
    /// Images recorded.
    pub images: u64,
    /// Bytes of images and code on disk.
    pub disk_bytes: u64,
    /// Images removed by the size limit.
    pub images_collected: u64,
}

/// One kind of queued work.
#[derive(Default)]
pub(crate) struct Work {
    waiting: AtomicU64,
    running: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
}

/// What [`ImageMetrics`] is read from.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) pulls: Work,
    pub(crate) compiles: Work,
    pub(crate) bytes_pulled: AtomicU64,
    pub(crate) images_collected: AtomicU64,
}

/// Counts one up until dropped, so that abandoned work is not counted for ever.
pub(crate) struct Gauge<'a>(&'a AtomicU64);

// === impl Work ===

impl Work {
    pub(crate) fn wait(&self) -> Gauge<'_> {
        Gauge::new(&self.waiting)
    }

    pub(crate) fn run(&self) -> Gauge<'_> {
        Gauge::new(&self.running)
    }

    pub(crate) fn done(&self, ok: bool, took: Duration) {
        let counter = if ok { &self.succeeded } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

// === impl Counters ===

impl Counters {
    /// All counters; the gauges of the store are the caller's to fill.
    pub(crate) fn snapshot(&self) -> ImageMetrics {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        ImageMetrics {
            pulls_waiting: get(&self.pulls.waiting),
            pulls_running: get(&self.pulls.running),
            pulls_succeeded: get(&self.pulls.succeeded),
            pulls_failed: get(&self.pulls.failed),
            pull_time: Duration::from_micros(get(&self.pulls.micros)),
            bytes_pulled: get(&self.bytes_pulled),
            compiles_waiting: get(&self.compiles.waiting),
            compiles_running: get(&self.compiles.running),
            compiles_succeeded: get(&self.compiles.succeeded),
            compiles_failed: get(&self.compiles.failed),
            compile_time: Duration::from_micros(get(&self.compiles.micros)),
            images_collected: get(&self.images_collected),
            ..ImageMetrics::default()
        }
    }
}

// === impl Gauge ===

impl<'a> Gauge<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
