//! Whether the kernel killed a runner for lack of memory: its own cgroup counts that.

use std::fs;
use std::path::{Path, PathBuf};

/// Where version 2 is mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Words in the name of a cgroup that holds nothing but this runner.
const OWN: &str = "wasmnode-runner-";

/// The count of a runner's cgroup, if it has one of its own.
#[derive(Debug)]
pub(crate) struct OutOfMemory {
    events: PathBuf,
    before: u64,
}

// === impl OutOfMemory ===

impl OutOfMemory {
    /// `None` where there is no cgroup of version 2 or others are in it, too: their deaths are not this one's.
    pub(crate) fn watch(pid: i32) -> Option<Self> {
        let memberships = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let cgroup = own_cgroup(&memberships)?;
        let events = Path::new(CGROUPS).join(cgroup.trim_start_matches('/')).join("memory.events");
        let before = kills(&fs::read_to_string(&events).ok()?);
        Some(Self { events, before })
    }

    /// Whether it happened since. The cgroup goes soon after its last process.
    pub(crate) fn happened(&self) -> bool {
        fs::read_to_string(&self.events).is_ok_and(|text| kills(&text) > self.before)
    }
}

fn own_cgroup(memberships: &str) -> Option<&str> {
    let unified = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    unified.rsplit('/').next()?.starts_with(OWN).then_some(unified)
}

fn kills(events: &str) -> u64 {
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cgroup_of_its_own_counts() {
        let own = "0::/wasmnode.slice/wasmnode-runner-0123456789abcdef.scope";
        assert_eq!(own_cgroup(own), own.strip_prefix("0::"));
        for others in ["", "0::/", "0::/system.slice/wasmnode.service", "4:memory:/wasmnode-runner-1.scope\n0::/"] {
            assert_eq!(own_cgroup(others), None, "{others}");
        }
        assert_eq!(kills("low 0\noom 3\noom_kill 2\noom_group_kill 9\n"), 2);
        assert_eq!(kills(""), 0);
        let top = tempfile::tempdir().unwrap();
        let watched = OutOfMemory { events: top.path().join("memory.events"), before: 1 };
        for (text, happened) in [("oom_kill 1\n", false), ("oom_kill 2\n", true)] {
            fs::write(&watched.events, text).unwrap();
            assert_eq!(watched.happened(), happened);
        }
    }
}
