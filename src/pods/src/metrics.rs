//! Counters of this crate, as plain atomics: how they are shown is the server's business.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// What the supervisor and its workers did since the agent started.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Workers alive: pods that are not released yet.
    pub workers: Gauge,
    /// Workers that panicked; their pods failed.
    pub worker_panics: Counter,
    /// Run events that did not fit into a worker's mailbox, repaired by the next listing.
    pub mailbox_drops: Counter,
    /// Containers that were entered.
    pub containers_started: Counter,
    /// Containers that ended.
    pub containers_exited: Counter,
    /// Time from an input of a worker to its last action being under way.
    pub step_duration: Histogram,
    /// Time from `Start` to the guest being entered.
    pub start_duration: Histogram,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Upper bounds of the buckets of every [`Histogram`], seconds; one more holds the rest.
pub const BUCKETS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Observations per bucket, not cumulative; the last one is beyond all bounds.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// Sum of all durations.
    pub sum: Duration,
}

// === impl Counter ===

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Gauge ===

impl Gauge {
    pub(crate) fn set(&self, value: usize) {
        self.0.store(i64::try_from(value).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Histogram ===

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let index = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Its values now.
    pub fn get(&self) -> Observed {
        Observed {
            buckets: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_land_in_their_bucket() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 20_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let observed = histogram.get();
        assert_eq!(observed.buckets, [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(observed.sum, Duration::from_millis(20_003));
    }
}
