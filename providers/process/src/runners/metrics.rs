//! Counts of runners.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::death::DeathCause;
use super::shared::Shared;

/// What is in use, and what happened since the agent began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunnersMetrics {
    /// Live runners of each group.
    pub runners: BTreeMap<String, usize>,
    /// Live runners of other builds than the agent's.
    pub older: usize,
    /// Runs that have not ended.
    pub runs: usize,
    /// Runners that were started and became ready.
    pub starts: u64,
    /// Those that did not become ready.
    pub failed_starts: u64,
    /// Time that all starts took together, from the decision to the answer to the first question.
    pub start_time: Duration,
    /// Runners taken over from earlier agents.
    pub adopted: u64,
    /// Deaths that were not asked for.
    pub deaths: BTreeMap<DeathCause, u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) failed_starts: AtomicU64,
    pub(crate) adopted: AtomicU64,
    starts: AtomicU64,
    start_nanoseconds: AtomicU64,
    deaths: Mutex<BTreeMap<DeathCause, u64>>,
}

// === impl Counters ===

impl Counters {
    pub(crate) fn started(&self, took: Duration) {
        self.starts.fetch_add(1, Relaxed);
        self.start_nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn died(&self, cause: DeathCause) {
        *self.deaths.lock().unwrap_or_else(PoisonError::into_inner).entry(cause).or_default() += 1;
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn metrics(&self) -> RunnersMetrics {
        let mut metrics = RunnersMetrics {
            starts: self.counters.starts.load(Relaxed),
            failed_starts: self.counters.failed_starts.load(Relaxed),
            start_time: Duration::from_nanos(self.counters.start_nanoseconds.load(Relaxed)),
            adopted: self.counters.adopted.load(Relaxed),
            deaths: self.counters.deaths.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..RunnersMetrics::default()
        };
        let inner = self.lock();
        metrics.runs = inner.state.live();
        for (_, slot) in inner.state.slots() {
            *metrics.runners.entry(slot.facts.group.clone()).or_default() += 1;
            metrics.older += usize::from(slot.facts.build != self.config.build);
        }
        metrics
    }
}
