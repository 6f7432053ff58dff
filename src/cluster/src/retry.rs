//! Pauses between attempts, and the randomness that keeps the nodes of a cluster apart.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use jiff::SignedDuration;
use kube::runtime::watcher::Event;
use tokio::time::Instant;
use wasmnode_core::backoff::Backoff;

use crate::api::ApiError;

/// A number from 0 to 1. Only for spreading load: it comes from the hasher's keys, which are random and no secret.
pub(crate) fn random() -> f64 {
    let bits = std::hash::RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// `period`, up to `fraction` of it longer.
pub(crate) fn jittered(period: Duration, fraction: f64) -> Duration {
    period.mul_f64(1.0 + fraction * random())
}

/// Doubling pauses that begin anew after a success, or after a quiet time: a watch that was resumed may have nothing to
/// tell for long.
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

/// The last failure of something that is tried again every few seconds, for ever: to be told once, not every time.
#[derive(Debug, Default)]
pub(crate) struct Told(Option<ApiError>);

impl Told {
    /// Whether this failure is another one than the last.
    pub(crate) fn is_news(&mut self, error: &ApiError) -> bool {
        let news = self.0.as_ref() != Some(error);
        if news {
            self.0 = Some(error.clone());
        }
        news
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.0 = None;
    }
}

/// Whether the API server has answered. `Init` comes before it is asked.
pub(crate) fn is_answer<K, E>(event: &Result<Event<K>, E>) -> bool {
    event.as_ref().is_ok_and(|event| !matches!(event, Event::Init))
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
        pauses.next();
        pauses.reset();
        assert!(pauses.next() < Duration::from_millis(120));
    }

    #[test]
    fn failures_are_news_when_they_differ() {
        let (away, late) = (ApiError::Unreachable("away".to_owned()), ApiError::TimedOut);
        let mut told = Told::default();
        let news = [&away, &away, &late, &away].map(|error| told.is_news(error));
        assert_eq!(news, [true, false, true, true]);
        told.reset();
        assert!(told.is_news(&away));
    }
}
