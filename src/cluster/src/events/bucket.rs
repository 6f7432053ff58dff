//! A token bucket that is told the time.

use jiff::Timestamp;

/// Lets `burst` through at once and then `rate` a second.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    pub(super) fn full(rate: f64, burst: f64, now: Timestamp) -> Self {
        Self { rate, burst, tokens: burst, filled: now }
    }

    /// Takes one, if there is one; else how many seconds until there will be.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), f64> {
        // A clock that is set back refills nothing.
        let passed = now.duration_since(self.filled).as_secs_f64().max(0.0);
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.filled = now;
        if self.tokens < 1.0 {
            return Err((1.0 - self.tokens) / self.rate);
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::full(0.5, 2.0, at(0));
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert_eq!(bucket.take(at(0)), Err(2.0));
        assert_eq!(bucket.take(at(1)), Err(1.0));
        assert_eq!(bucket.take(at(2)), Ok(()));
        assert_eq!(bucket.take(at(1)), Err(2.0));
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert!(bucket.take(at(100)).is_err());
    }
}
