//! The exit status of `run`.

/// A pod could not be started; as of `docker run`, `podman run` and `env`.
const CANNOT_START: u8 = 125;

/// Interrupted before anything ran: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// How a pod ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// Exit codes of its containers that ran.
    pub(super) codes: Vec<i32>,
    pub(super) failed_to_start: bool,
    /// Its failure does not count.
    pub(super) is_excused: bool,
}

/// The exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict(pub(super) u8);

// === impl Verdict ===

impl Verdict {
    /// The code of the first container that did not end with 0.
    pub(super) fn of(endings: impl Iterator<Item = Ending>, was_stopped: bool) -> Self {
        let endings: Vec<Ending> = endings.filter(|ending| !ending.is_excused).collect();
        if endings.iter().any(|ending| ending.failed_to_start) {
            return Self(CANNOT_START);
        }
        let mut codes = endings.iter().flat_map(|ending| &ending.codes);
        let failed = codes.clone().find(|code| **code != 0);
        match failed {
            // A code beyond a byte would be somebody else's when cut.
            Some(code) => Self(u8::try_from(*code).unwrap_or(u8::MAX)),
            None if was_stopped && codes.next().is_none() => Self(INTERRUPTED),
            None => Self(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_not_0() {
        let ran = |codes: &[i32]| Ending { codes: codes.to_vec(), ..Ending::default() };
        let excused = Ending { is_excused: true, ..ran(&[1]) };
        let failed = Ending { failed_to_start: true, ..ran(&[]) };
        let cases = [
            (vec![], false, 0),
            (vec![ran(&[0, 0])], true, 0),
            (vec![ran(&[0, 3]), ran(&[4])], false, 3),
            (vec![excused, ran(&[0])], false, 0),
            (vec![ran(&[143]), failed], true, 125),
            (vec![ran(&[])], true, 130),
        ];
        for (endings, stopped, code) in cases {
            assert_eq!(Verdict::of(endings.clone().into_iter(), stopped), Verdict(code), "{endings:?}");
        }
    }
}
