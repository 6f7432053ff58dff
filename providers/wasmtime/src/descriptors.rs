//! How many files the process may have open: each run keeps its log and its mounts open while it lives.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a run: its log, its root, the service account volume that every pod has, and another one.
const PER_RUN: u64 = 4;

/// What the process has open besides: connections, artifacts, its own files.
const OF_PROCESS: u64 = 512;

/// Raises the soft limit to the hard one: programs inherit 1024, which is kept for the sake of `select`, and a node
/// would be full after 250 runs. Logs a warning where the hard limit is too low for this many runs.
pub(crate) fn make_room(capacity: u32) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let room = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "Limit of open files cannot be raised");
            limit.current
        }
    };
    if let Some(lacking) = lacking(room, capacity) {
        let (room, needed) = lacking;
        tracing::warn!(capacity, room, needed, "Open files may run out before the capacity, raise LimitNOFILE");
    }
}

/// The limit and what is needed, where that is more. No limit is none.
fn lacking(room: Option<u64>, capacity: u32) -> Option<(u64, u64)> {
    let needed = OF_PROCESS + u64::from(capacity) * PER_RUN;
    room.filter(|room| *room < needed).map(|room| (room, needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_lacking() {
        assert_eq!(lacking(Some(1024), 1000), Some((1024, 4512)));
        assert_eq!(lacking(Some(1024), 128), None);
        assert_eq!(lacking(None, u32::MAX), None);
    }

    #[test]
    fn the_soft_limit_is_raised() {
        make_room(1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
