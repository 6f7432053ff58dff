//! How many instances fit, and the pool that holds them.
//!
//! Two walls bound a pool: `vm.max_map_count`, since each run costs mappings, and the 47 bits of address space,
//! since each memory reserves four gigabytes of it so that its code needs no bounds checks.

use std::fs;

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::SetupError;

/// Mappings of a run: two of its stack, made with the pool, and up to four of its memory while it runs.
const MAPPINGS_PER_RUN: u64 = 6;

/// Mappings of a stack in the pool of the second engine, whether it is used or not.
const MAPPINGS_PER_SPARE_STACK: u64 = 2;

/// What the process maps besides: code, threads, heap, and four mappings for each loaded artifact.
const MAPPINGS_OF_PROCESS: u64 = 4096;

/// The kernel's default, for hosts that hide the setting.
const DEFAULT_MAP_COUNT: u64 = 65_530;

/// Memories that the address space has room for, in both engines together: 28,000 × 4 GiB of 128 TiB.
const MAX_MEMORIES: u32 = 28_000;

/// Execs at the same time, beyond the capacity: a full node can still be looked into, and an exec never takes the
/// place of a run.
pub(crate) const EXEC_SLOTS: u32 = 64;

/// Instances of HTTP handlers at the same time, of all servers together and beyond the capacity: requests never take
/// the place of a run, and an idle server has no instance at all.
pub(crate) const HANDLER_SLOTS: u32 = 512;

/// What there is room for besides the runs.
const BESIDES: u32 = EXEC_SLOTS + HANDLER_SLOTS;

/// Runs of WASI 0.3 components at most; the rest of the address space is the base engine's.
const MAX_WASIP3: u32 = 4000;

/// A table's elements at most: enough for the 70 MB binaries that exist, 800 KB of address space each.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// A core instance's own data at most, on the heap.
const INSTANCE_BYTES: usize = 4 << 20;

/// Bytes of a memory that stay resident for the next run where the kernel can tell which pages were written.
const KEEP_RESIDENT: usize = 256 << 10;

/// Slots that keep their pages after use, per pool: at most 16 MiB with [`KEEP_RESIDENT`].
const WARM_SLOTS: u32 = 64;

/// What the pools will hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Runs at the same time.
    pub(crate) capacity: u32,
    /// `vm.max_map_count` for the capacity that was asked for, where the host has less.
    pub(crate) needed_map_count: Option<u64>,
}

/// The number of mappings that the kernel allows a process.
pub(crate) fn max_map_count() -> u64 {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(DEFAULT_MAP_COUNT)
}

impl Plan {
    /// As many runs as asked for and possible.
    pub(crate) fn new(asked: u32, wasip3: bool, max_map_count: u64) -> Result<Self, SetupError> {
        let per_run = MAPPINGS_PER_RUN + if wasip3 { MAPPINGS_PER_SPARE_STACK } else { 0 };
        let needed = MAPPINGS_OF_PROCESS + (u64::from(asked) + u64::from(BESIDES)) * per_run;
        let room = max_map_count.saturating_sub(MAPPINGS_OF_PROCESS) / per_run;
        let mapped = u32::try_from(room).unwrap_or(u32::MAX).saturating_sub(BESIDES);
        if mapped == 0 {
            return Err(SetupError::MapCount { found: max_map_count, needed });
        }
        let addressed = MAX_MEMORIES - BESIDES - if wasip3 { MAX_WASIP3 + BESIDES } else { 0 };
        let needed_map_count = (mapped < asked).then_some(needed);
        Ok(Self { capacity: asked.min(mapped).min(addressed), needed_map_count })
    }

    /// The pool of the base engine.
    pub(crate) fn base(&self) -> InstanceAllocationStrategy {
        let spare = MAX_MEMORIES - MAX_WASIP3 - BESIDES;
        allocation(self.capacity + BESIDES, spare)
    }

    /// The pool of the engine for WASI 0.3.
    pub(crate) fn wasip3(&self) -> InstanceAllocationStrategy {
        allocation(self.capacity.min(MAX_WASIP3) + BESIDES, MAX_WASIP3 + BESIDES)
    }
}

/// A pool for `runs` runs: two memories for each as far as `memories` allows, since most have one and some have
/// many. What costs nothing until it is used is generous.
pub(crate) fn allocation(runs: u32, memories: u32) -> InstanceAllocationStrategy {
    let memories = (2 * runs).min(memories).max(runs);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_stacks(runs)
        .total_memories(memories)
        .total_gc_heaps(memories)
        .total_tables(4 * runs)
        .total_core_instances(16 * runs)
        .total_component_instances(runs)
        .max_core_instances_per_component(200)
        .max_memories_per_module(4)
        .max_tables_per_module(8)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_unused_warm_slots(WARM_SLOTS)
        .pagemap_scan(Enabled::Auto);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        // Without the scan all of it would be cleared by hand after each run.
        pool.linear_memory_keep_resident(KEEP_RESIDENT);
    }
    InstanceAllocationStrategy::Pooling(pool)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fits_the_host() {
        let cases = [
            // asked, wasip3, max_map_count, capacity, needed
            (1000, true, 65_530, 1000, None),
            (1000, false, 65_530, 1000, None),
            (10_000, false, 65_530, 9663, Some(67_552)),
            (10_000, true, 65_530, 7103, Some(88_704)),
            (10_000, true, 1_048_576, 10_000, None),
            (50_000, false, 1_048_576, 27_424, None),
            (50_000, true, 1_048_576, 22_848, None),
            (u32::MAX, false, 1_048_576, 27_424, Some(25_769_811_322)),
        ];
        for (asked, wasip3, map_count, capacity, needed_map_count) in cases {
            let plan = Plan::new(asked, wasip3, map_count).unwrap();
            assert_eq!(plan, Plan { capacity, needed_map_count }, "{asked} asked with {map_count} mappings");
        }
    }

    #[test]
    fn refuses_a_host_without_room() {
        let error = Plan::new(1000, false, 4096).unwrap_err().to_string();
        assert!(error.contains("sysctl -w vm.max_map_count=13552"), "{error}");
    }
}
