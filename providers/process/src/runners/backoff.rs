//! When a group whose runners keep dying gets the next one.

use std::time::Duration;

use tokio::time::Instant;
use wasmnode_provider_api::Error;

/// Before the third start; each further one waits twice as long. The second is free: one death is an accident, and
/// its pods should be back at once.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Without a death for this long, all is forgiven.
const FORGIVEN: Duration = Duration::from_secs(600);

/// Deaths of a group's runners that were not asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    deaths: u32,
    last: Option<Instant>,
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn died(&mut self, now: Instant) {
        self.deaths = if self.is_over(now) { 1 } else { self.deaths.saturating_add(1) };
        self.last = Some(now);
    }

    /// # Errors
    /// [`Error::Failed`] with the time that is left.
    pub(crate) fn check(&self, group: &str, now: Instant) -> Result<(), Error> {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        let left = since.and_then(|since| self.pause().checked_sub(since)).filter(|left| !left.is_zero());
        let Some(left) = left else { return Ok(()) };
        let (times, seconds) = (self.deaths, left.as_millis().div_ceil(1000));
        Err(Error::Failed(format!("runner of group {group} ended {times} times, next start in {seconds} s")))
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= FORGIVEN)
    }

    fn pause(&self) -> Duration {
        match self.deaths.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute_and_forgives() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.check("g", now), Ok(()));
        for pause in [0, 1, 2, 4, 8, 16, 32, 60, 60] {
            backoff.died(now);
            if pause > 0 {
                let text = backoff.check("g", now).unwrap_err().to_string();
                assert!(text.ends_with(&format!("next start in {pause} s")), "{text}");
            }
            now += Duration::from_secs(pause);
            assert_eq!(backoff.check("g", now), Ok(()));
        }
        now += FORGIVEN;
        assert!(backoff.is_over(now));
        backoff.died(now);
        assert_eq!(backoff.check("g", now), Ok(()));
        backoff.died(now);
        let text = backoff.check("g", now).unwrap_err().to_string();
        assert_eq!(text, "runner of group g ended 2 times, next start in 1 s");
    }
}
