//! The agent's own process, under the names that every Prometheus client uses.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::page::{Page, signed};
use crate::version;

#[derive(Debug)]
pub(super) struct Collected;

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let page = &mut Page(encoder);
        page.gauges("wasmnode_build_info", "This build", "version", [(version::WASMNODE, 1)])?;
        // Where /proc says nothing, the line is left out.
        if let Some(stat) = Stat::read() {
            page.seconds("process_cpu_seconds", "Processor time used", stat.cpu_seconds)?;
            page.gauge("process_resident_memory_bytes", "Memory in use", signed(stat.resident))?;
        }
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        page.gauge("process_open_fds", "Open descriptors", signed(descriptors as u64))
    }
}

/// Fields of `/proc/self/stat`.
struct Stat {
    cpu_seconds: f64,
    resident: u64,
}

// === impl Stat ===

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// proc_pid_stat(5): the second field is a name in parentheses that may contain anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = rustix::param::clock_ticks_per_second();
        #[allow(clippy::cast_precision_loss)] // Processor ticks of a process stay far below 2^52.
        let cpu_seconds = (field(14)? + field(15)?) as f64 / ticks as f64;
        Some(Self { cpu_seconds, resident: field(24)? * rustix::param::page_size() as u64 })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_fields() {
        let text = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5 100000 25 18446744073709551615";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.resident, 25 * rustix::param::page_size() as u64);
        assert!((stat.cpu_seconds - 200.0 / rustix::param::clock_ticks_per_second() as f64).abs() < 1e-9);
        assert!(Stat::read().unwrap().resident > 0);
    }
}
