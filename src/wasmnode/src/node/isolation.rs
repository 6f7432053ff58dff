//! Whom pods share processes and users with, as the configuration says and this machine allows.

use std::ops::Range;

use rustix::thread::{CapabilitySet, capabilities};
use tracing::warn;
use wasmnode_pods::{Isolation, IsolationPolicy};

use crate::config::file::NodeConfiguration;
use crate::config::sections;

/// What it takes to start processes as other users, and to give them their files.
const NEEDED: CapabilitySet = CapabilitySet::SETUID
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::DAC_OVERRIDE);

/// Users are left out, with a warning, where this process may not use them.
pub(crate) fn isolation(file: &NodeConfiguration) -> IsolationPolicy {
    let users = file.group_users.range().filter(|users| {
        let problem = problem(users);
        if let Some(problem) = &problem {
            warn!(problem, "All isolation groups run as the agent's own user");
        }
        problem.is_none()
    });
    IsolationPolicy {
        default: kind(file.isolation),
        allowed: file.allowed_isolation.iter().copied().map(kind).collect(),
        users,
    }
}

fn kind(kind: sections::Isolation) -> Isolation {
    match kind {
        sections::Isolation::Node => Isolation::Node,
        sections::Isolation::Namespace => Isolation::Namespace,
        sections::Isolation::Pod => Isolation::Pod,
    }
}

fn problem(users: &Range<u32>) -> Option<String> {
    let has = capabilities(None).map(|sets| sets.effective).unwrap_or(CapabilitySet::empty());
    if !has.contains(NEEDED) {
        return Some("the agent may not change users and owners of files".to_owned());
    }
    // Without the file there are no user namespaces, and all ids are there.
    let map = std::fs::read_to_string("/proc/self/uid_map").ok()?;
    let unmapped = !covers(&map, users);
    unmapped.then(|| format!("ids {} to {} are not in this user namespace", users.start, users.end - 1))
}

/// Whether one line of a `uid_map` (first id inside, first id outside, count) has all of them.
fn covers(map: &str, users: &Range<u32>) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().unwrap_or(0));
        let (first, _, count) = (numbers.next().unwrap_or(0), numbers.next(), numbers.next().unwrap_or(0));
        first <= u64::from(users.start) && u64::from(users.end) <= first + count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_must_be_in_one_line_of_the_map() {
        let cases = [
            ("         0          0 4294967295", true),
            ("         0       1000          1", false),
            ("         0     100000      65536\n     65536     900000       1000\n", false),
            ("         0       1000          1\n         1     100000 2000000000\n", true),
            ("", false),
            ("nonsense", false),
        ];
        for (map, expected) in cases {
            assert_eq!(covers(map, &(1_880_000_000..1_880_065_536)), expected, "{map:?}");
        }
    }
}
