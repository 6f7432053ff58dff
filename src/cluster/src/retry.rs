//! Pauses between attempts, and the randomness that keeps the nodes of a cluster apart.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use wasmnode_core::backoff::Backoff;

/// A number from 0 to 1. Only for spreading load: it comes from the hasher's keys, which are random and no secret.
pub(crate) fn random() -> f64 {
    let bits = std::hash::RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// `period`, up to `fraction` of it longer.
pub(crate) fn jittered(period: Duration, fraction: f64) -> Duration {
    period.mul_f64(1.0 + fraction * random())
}

/// Doubling pauses that begin anew after a quiet time. A watch tells of errors but not of success, so that time is
/// the only sign of recovery there is.
#[derive(Debug)]
pub(crate) struct Pauses {
    backoff: Backoff,
    quiet: Duration,
    last: Option<Instant>,
}

impl Pauses {
    pub(crate) fn new(first: Duration, cap: Duration) -> Self {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self { backoff: Backoff::new(signed(first), signed(cap)), quiet: cap * 3, last: None }
    }

    /// Of requests that must succeed some day, as the kubelet's registration: 100 ms doubling to 7 s.
    pub(crate) fn patient() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(7))
    }

    /// After a failure: how long to wait.
    pub(crate) fn next(&mut self) -> Duration {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) > self.quiet) {
            self.backoff.reset();
        }
        let pause = jittered(self.backoff.next_delay().unsigned_abs(), 0.1);
        self.last = Some(now + pause);
        pause
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_differ_and_stay_in_range() {
        let numbers: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(numbers.iter().all(|n| (0.0..=1.0).contains(n)));
        assert!(numbers.iter().any(|n| *n < 0.5) && numbers.iter().any(|n| *n >= 0.5));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_begin_anew_after_quiet() {
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(1));
        let shown = |pause: Duration| (pause.as_secs_f64() / 1.1 * 10.0).ceil() / 10.0;
        let first: Vec<f64> = (0..6).map(|_| shown(pauses.next())).collect();
        for (pause, least) in first.iter().zip([0.1, 0.2, 0.4, 0.8, 1.0, 1.0]) {
            assert!(*pause >= least - 0.1 && *pause <= least + 0.1, "{first:?}");
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(pauses.next() < Duration::from_millis(120));
    }
}
