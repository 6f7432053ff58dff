//! Delays between attempts.

use jiff::{SignedDuration, Timestamp};

/// Doubling delays between attempts, with a cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    first: SignedDuration,
    cap: SignedDuration,
    attempts: u32,
}

/// A container that ran longer than this starts over without delay (kubelet contract section 4.7).
pub const CRASH_RESET: SignedDuration = SignedDuration::from_mins(10);

impl Backoff {
    /// Of crashing containers and failing pulls: 10 s doubling to `cap` (contract section 4.7).
    pub fn new(first: SignedDuration, cap: SignedDuration) -> Self {
        Self { first: first.min(cap), cap, attempts: 0 }
    }

    /// The delay before the next attempt; the following one will be twice as long.
    pub fn next_delay(&mut self) -> SignedDuration {
        // 2^20 × 500 ms is beyond every cap in use; more would overflow.
        let delay = self.first.saturating_mul(1 << self.attempts.min(20)).min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        delay
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Back-off of one container's restarts: the first is immediate, then 10 s doubling to the cap, over again once it
/// ran longer than [`CRASH_RESET`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashBackoff {
    inner: Backoff,
    restarted: bool,
}

impl CrashBackoff {
    /// `cap` is `crashLoopBackOff.maxContainerRestartPeriod`, 300 s by default.
    pub fn new(cap: SignedDuration) -> Self {
        Self { inner: Backoff::new(SignedDuration::from_secs(10), cap), restarted: false }
    }

    /// When the next start is due, given when the last run started and ended.
    pub fn due(&mut self, started: Timestamp, finished: Timestamp) -> Timestamp {
        if finished.duration_since(started) > CRASH_RESET {
            self.reset();
        }
        if !std::mem::replace(&mut self.restarted, true) {
            return finished;
        }
        finished.checked_add(self.inner.next_delay()).unwrap_or(finished)
    }

    /// An earlier agent let it wait that long; the next time it waits twice as long.
    pub fn resume(&mut self, delay: SignedDuration) {
        self.reset();
        self.restarted = true;
        while self.inner.next_delay() < delay.min(self.inner.cap) {}
    }

    /// The container's definition changed.
    pub fn reset(&mut self) {
        self.inner.reset();
        self.restarted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn crashes_wait_0_10_20_and_at_most_300_seconds() {
        let mut backoff = CrashBackoff::new(SignedDuration::from_secs(300));
        let delays: Vec<i64> = (0..8).map(|_| backoff.due(at(0), at(1)).duration_since(at(1)).as_secs()).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_long_run_starts_over() {
        let mut backoff = CrashBackoff::new(SignedDuration::from_secs(300));
        for _ in 0..4 {
            backoff.due(at(0), at(1));
        }
        assert_eq!(backoff.due(at(0), at(601)), at(601));
        assert_eq!(backoff.due(at(700), at(701)), at(711));
    }

    #[test]
    fn it_goes_on_where_it_was() {
        for (delay, next) in [(10, 20), (40, 80), (300, 300), (9000, 300), (0, 20)] {
            let mut backoff = CrashBackoff::new(SignedDuration::from_secs(300));
            backoff.resume(SignedDuration::from_secs(delay));
            assert_eq!(backoff.due(at(0), at(1)), at(1 + next), "{delay}");
        }
    }

    #[test]
    fn a_cap_below_ten_seconds_holds_from_the_start() {
        let mut backoff = Backoff::new(SignedDuration::from_secs(10), SignedDuration::from_secs(1));
        assert_eq!(backoff.next_delay().as_secs(), 1);
    }
}
