//! What servers did so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use wasmnode_provider_api::ExitReason;

use crate::pool::HANDLER_SLOTS;

/// What the servers of all pods share.
#[derive(Debug)]
pub(crate) struct Handlers {
    /// Room for instances.
    pub(super) slots: Arc<Semaphore>,
    failed: AtomicU64,
    out_of_memory: AtomicU64,
}

/// Of one server.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    requests: AtomicU64,
    instances: AtomicU64,
}

/// An instance that exists.
#[derive(Debug)]
pub(super) struct Instance(Arc<Stats>);

// === impl Handlers ===

impl Default for Handlers {
    fn default() -> Self {
        let slots = Arc::new(Semaphore::new(HANDLER_SLOTS as usize));
        Self { slots, failed: AtomicU64::new(0), out_of_memory: AtomicU64::new(0) }
    }
}

impl Handlers {
    /// Instances that exist now.
    pub(crate) fn instances(&self) -> usize {
        HANDLER_SLOTS as usize - self.slots.available_permits()
    }

    /// Handlers that trapped or answered with an error.
    pub(crate) fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Those of them that asked for more memory than their container may have.
    pub(crate) fn out_of_memory(&self) -> u64 {
        self.out_of_memory.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self, reason: ExitReason) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        if reason == ExitReason::OutOfMemory {
            self.out_of_memory.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl Stats ===

impl Stats {
    /// Requests that were received.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Instances that exist now.
    pub(crate) fn instances(&self) -> u64 {
        self.instances.load(Ordering::Relaxed)
    }

    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn instance(self: &Arc<Self>) -> Instance {
        self.instances.fetch_add(1, Ordering::Relaxed);
        Instance(self.clone())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Ordering::Relaxed);
    }
}
