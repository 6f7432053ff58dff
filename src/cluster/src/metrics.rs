//! What this crate counts. Plain atomics, so that counting never waits; the binary turns them into a page.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters since the start of the process; shared by everything in this crate.
#[derive(Debug, Default)]
pub struct ClusterMetrics {
    /// Pod changes that the feed delivered.
    pub feed_events: Count,
    /// Complete lists of this node's pods.
    pub feed_lists: Count,
    /// Failed requests of the feed; each was tried again.
    pub feed_errors: Count,
    /// Pod status patches that the API server took.
    pub status_patches: Count,
    /// Pod statuses that the API server already had.
    pub status_skips: Count,
    /// Pod statuses that were never sent, because a finished container or pod would have run again.
    pub status_aborts: Count,
    /// Pod statuses that the API server will never take.
    pub status_refusals: Count,
    /// Failed requests of the status writer; each was tried again.
    pub status_errors: Count,
    /// Pods deleted for good.
    pub pod_deletes: Count,
    /// Time from a status being set to the API server's answer, microseconds, summed over `status_patches`.
    pub status_micros: Count,
    /// Watches of ConfigMaps and Secrets that were started.
    pub object_watches_started: Count,
    /// Watches of ConfigMaps and Secrets that ended.
    pub object_watches_ended: Count,
    /// Failed requests of those watches and the Services'; each was tried again.
    pub object_errors: Count,
    /// Tokens requested.
    pub token_requests: Count,
    /// Token requests that failed.
    pub token_errors: Count,
    /// Events that the API server took, new ones and counts of old ones.
    pub events_sent: Count,
    /// Events dropped by the spam filter.
    pub events_filtered: Count,
    /// Events dropped because the queue was full.
    pub events_overflowed: Count,
    /// Events given up after errors.
    pub events_failed: Count,
    /// Times that the Node was created or brought up to date.
    pub node_registrations: Count,
    /// Node status patches that the API server took.
    pub node_status_patches: Count,
    /// Failed requests for registration and node status; each was tried again.
    pub node_errors: Count,
    /// Lease renewals.
    pub lease_renewals: Count,
    /// Failed lease requests; each was tried again.
    pub lease_errors: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A duration's microseconds.
    pub(crate) fn add_micros(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
