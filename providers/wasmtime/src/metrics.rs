//! Numbers for the process's metrics page.

use wasmnode_provider_api::EngineName;
use wasmtime::PoolingAllocatorMetrics;

use crate::artifact::Host;

/// What is in use now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Runs that fit.
    pub capacity: u32,
    /// Runs that have not ended.
    pub runs: usize,
    /// Execs that have not ended.
    pub execs: usize,
    /// Instances of HTTP handlers, of all servers together.
    pub handlers: usize,
    /// Handlers that trapped or answered with an error, cumulative.
    pub handler_failures: u64,
    /// Those of them that asked for more memory than their container may have.
    pub handlers_out_of_memory: u64,
    /// Network accesses of guests that were denied, cumulative.
    pub denials: u64,
    /// One entry per engine that was made and has a pool.
    pub engines: Vec<EngineMetrics>,
}

/// The pool of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineMetrics {
    /// Which.
    pub name: EngineName,
    /// Core instances in use.
    pub core_instances: u64,
    /// Component instances in use.
    pub component_instances: u64,
    /// Linear memories in use.
    pub memories: usize,
    /// Stacks in use.
    pub stacks: usize,
    /// Memories that are free and have been used before, which makes the next start faster.
    pub warm_memories: u32,
    /// Bytes that free memories keep resident.
    pub warm_memory_bytes: usize,
}

impl EngineMetrics {
    pub(crate) fn of(host: &Host) -> Option<Self> {
        let pool: PoolingAllocatorMetrics = host.engine().pooling_allocator_metrics()?;
        Some(Self {
            name: host.name(),
            core_instances: pool.core_instances(),
            component_instances: pool.component_instances(),
            memories: pool.memories(),
            stacks: pool.stacks(),
            warm_memories: pool.unused_warm_memories(),
            warm_memory_bytes: pool.unused_memory_bytes_resident(),
        })
    }
}
