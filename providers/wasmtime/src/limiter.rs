//! Holds a store to its container's memory budget.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::budget::MemoryBudget;
use crate::pool::TABLE_ELEMENTS;

/// Instances, memories and tables of one store at most: several times what the largest known components use.
const MAX_PER_STORE: usize = 200;

/// Ends the guest at its limit, as the kernel ends a process: with an error that no code of the guest's handles,
/// so that the exit shows the place that asked for too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("memory limit of {limit} bytes reached when growing a memory from {current} to {desired} bytes")]
pub(crate) struct MemoryLimit {
    pub(crate) limit: u64,
    pub(crate) current: usize,
    pub(crate) desired: usize,
}

/// The limiter of one store. What the store used is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Limiter {
    budget: Arc<MemoryBudget>,
    held: u64,
    last: u64,
    denied: bool,
}

impl Limiter {
    pub(crate) fn new(budget: Arc<MemoryBudget>) -> Self {
        Self { budget, held: 0, last: 0, denied: false }
    }

    /// Whether the host refused memory that the limit allowed. A guest that traps after that died of it.
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, wasmtime::Error> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The module's own maximum: an answer that it expects.
            return Ok(false);
        }
        let bytes = desired.saturating_sub(current) as u64;
        let taken = self.budget.take(bytes);
        taken.map_err(|exhausted| MemoryLimit { limit: exhausted.limit, current, desired })?;
        self.held += bytes;
        self.last = bytes;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> Result<(), wasmtime::Error> {
        let bytes = std::mem::take(&mut self.last);
        self.budget.give_back(bytes);
        self.held = self.held.saturating_sub(bytes);
        self.denied = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, wasmtime::Error> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAX_PER_STORE
    }

    fn tables(&self) -> usize {
        MAX_PER_STORE
    }

    fn memories(&self) -> usize {
        MAX_PER_STORE
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}
