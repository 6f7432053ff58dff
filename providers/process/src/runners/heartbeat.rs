//! When a runner counts as hung.

/// Between two pings of a runner that answers.
pub(crate) const EVERY_SECONDS: u32 = 5;

/// Silence after which it is killed.
pub(crate) const PATIENCE_SECONDS: u32 = 15;

/// Counts beats of one second on which the agent itself was awake: a laptop that slept, an agent that was stopped
/// or a machine without a free core lets no beat pass, so that nobody is killed for the agent's own pause.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    silent: u32,
    since_ping: u32,
    pinging: bool,
}

/// What to do on a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    Wait,
    Ping,
    Hung,
}

// === impl Heartbeat ===

impl Heartbeat {
    pub(crate) fn beat(&mut self) -> Beat {
        self.silent += 1;
        self.since_ping += 1;
        if self.silent > PATIENCE_SECONDS {
            return Beat::Hung;
        }
        // One that failed is repeated at once: the next answer saves the runner.
        if self.pinging || (self.silent < EVERY_SECONDS && self.since_ping < EVERY_SECONDS) {
            return Beat::Wait;
        }
        self.pinging = true;
        self.since_ping = 0;
        Beat::Ping
    }

    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn failed(&mut self) {
        self.pinging = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(heartbeat: &mut Heartbeat, answer: impl Fn(&mut Heartbeat)) -> Vec<Beat> {
        let mut seen = Vec::new();
        while seen.len() < 40 {
            let beat = heartbeat.beat();
            seen.push(beat);
            match beat {
                Beat::Hung => break,
                Beat::Ping => answer(heartbeat),
                Beat::Wait => {}
            }
        }
        seen
    }

    #[test]
    fn answers_keep_it_alive_and_silence_ends_it() {
        let alive = beats(&mut Heartbeat::default(), Heartbeat::answered);
        assert_eq!(alive.iter().filter(|beat| **beat == Beat::Ping).count(), 8);
        assert!(!alive.contains(&Beat::Hung));
        for silent in [beats(&mut Heartbeat::default(), |_| {}), beats(&mut Heartbeat::default(), Heartbeat::failed)] {
            assert_eq!(silent.len(), PATIENCE_SECONDS as usize + 1);
            assert_eq!((silent[4], silent.last()), (Beat::Ping, Some(&Beat::Hung)));
        }
    }
}
