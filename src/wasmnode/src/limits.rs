//! What the kernel lets a process have, and which one it ends first when memory runs out.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// A compile job holds nothing that cannot be had again.
pub(crate) const FIRST: i32 = 1000;

/// Pods go before the machine's own services and long before the agent, whose unit asks to be spared.
pub(crate) const PODS: i32 = 500;

/// Where this process stands when memory runs out, from -1000 (never) to 1000 (first). What a process inherits from the
/// agent is the agent's own place. Raising it needs no right; where it cannot be raised it stays.
pub(crate) fn end_at(score: i32) {
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
        debug!(%error, "Cannot say when the kernel may end this process");
    }
}

/// As many open files as this process may have: each runner takes some of the agent's.
pub(crate) fn open_all_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        debug!(error = %io::Error::from(error), "Cannot raise the limit of open files");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_raised() {
        open_all_files();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        end_at(FIRST);
        assert_eq!(std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim(), "1000");
    }
}
