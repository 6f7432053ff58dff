//! Memory that a container and its pod may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of linear memory in use against a limit, within the budget of what it is part of.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    limit: AtomicU64,
    used: AtomicU64,
    parent: Option<Arc<MemoryBudget>>,
}

/// The limit that a request would have broken, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub(crate) limit: u64,
}

impl MemoryBudget {
    /// `None` is no limit.
    pub(crate) fn new(limit: Option<u64>, parent: Option<Arc<Self>>) -> Self {
        Self { limit: AtomicU64::new(limit.unwrap_or(u64::MAX)), used: AtomicU64::new(0), parent }
    }

    /// Takes effect with the next growth; what is in use stays.
    pub(crate) fn set(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self, bytes: u64) -> Result<(), Exhausted> {
        let limit = self.limit.load(Ordering::Relaxed);
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Exhausted { limit })?;
        let within = self.parent.as_ref().map_or(Ok(()), |parent| parent.take(bytes));
        within.inspect_err(|_| {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.give_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_to_both_limits() {
        let pod = Arc::new(MemoryBudget::new(Some(100), None));
        let a = MemoryBudget::new(Some(60), Some(pod.clone()));
        let b = MemoryBudget::new(None, Some(pod.clone()));
        assert_eq!(a.take(60), Ok(()));
        assert_eq!(a.take(1), Err(Exhausted { limit: 60 }));
        assert_eq!(b.take(41), Err(Exhausted { limit: 100 }));
        assert_eq!((b.used(), pod.used()), (0, 60));
        assert_eq!(b.take(40), Ok(()));
        a.give_back(60);
        assert_eq!((a.used(), pod.used()), (0, 40));
        assert_eq!(b.take(u64::MAX), Err(Exhausted { limit: u64::MAX }));
    }
}
