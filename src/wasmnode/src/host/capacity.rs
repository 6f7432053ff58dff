//! What the machine has: the numbers behind a Node's capacity and its pressure conditions.

use std::path::Path;

use anyhow::Context;

/// Read anew for every node status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Cores that this process may use.
    pub(crate) cores: u64,
    /// Memory in bytes.
    pub(crate) memory: u64,
    /// Memory that could be had now, bytes.
    pub(crate) memory_available: u64,
    /// Size of the file system of the root directory, bytes.
    pub(crate) disk: u64,
    /// Its free space, bytes.
    pub(crate) disk_available: u64,
    /// Process ids in use and their limit.
    pub(crate) processes: (u64, u64),
}

// === impl Capacity ===

impl Capacity {
    /// Reads it; `root` is the agent's root directory.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let meminfo = read("/proc/meminfo")?;
        let loadavg = read("/proc/loadavg")?;
        let disk = rustix::fs::statvfs(root).with_context(|| format!("cannot inspect {}", root.display()))?;
        let memory = memory_field(&meminfo, "MemTotal").context("/proc/meminfo has no MemTotal")?;
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            memory,
            memory_available: memory_field(&meminfo, "MemAvailable").unwrap_or(memory),
            disk: disk.f_blocks * disk.f_frsize,
            disk_available: disk.f_bavail * disk.f_frsize,
            processes: (processes(&loadavg).unwrap_or(0), process_limit()),
        })
    }
}

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// A line such as `MemTotal:  16384 kB`, in bytes.
fn memory_field(meminfo: &str, name: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The total of `0.00 0.01 0.05 1/100 12345`: scheduling entities, which is what the limit counts.
fn processes(loadavg: &str) -> Option<u64> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

fn process_limit() -> u64 {
    let limits = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    let read = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    limits.iter().filter_map(read).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let meminfo = "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(memory_field(meminfo, "MemTotal"), Some(16 << 20));
        assert_eq!(memory_field(meminfo, "MemAvailable"), Some(8 << 20));
        assert_eq!(memory_field(meminfo, "Mem"), None);
        assert_eq!(processes("0.00 0.01 0.05 1/123 4567\n"), Some(123));
    }

    #[test]
    fn this_machine_has_a_capacity() {
        let capacity = Capacity::read(Path::new("/")).unwrap();
        assert!(capacity.cores > 0 && capacity.memory > 0 && capacity.disk > 0);
        assert!(capacity.memory_available <= capacity.memory && capacity.disk_available <= capacity.disk);
    }
}
