//! CPU time that was used, and limits on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The period of a limit, as the kernel's default for cgroups: what a limit of half a core allows is 50 ms in 100.
const PERIOD: Duration = Duration::from_millis(100);

/// A sleep for lack of budget at most, so that a raised limit is soon seen.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// CPU time of one container, and the limits it is under.
#[derive(Debug, Default)]
pub(crate) struct CpuAccount {
    used: AtomicU64,
    limits: [Arc<CpuLimit>; 2],
}

/// A token bucket of nanoseconds. It may go into debt by one tick of each guest.
#[derive(Debug)]
pub(crate) struct CpuLimit {
    /// Thousandths of a core; 0 is no limit.
    millis: AtomicU64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: i64,
    filled: Instant,
}

/// CPU time of this thread so far, nanoseconds.
pub(crate) fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * NANOS_PER_SECOND + time.tv_nsec).unwrap_or(0)
}

// === impl CpuAccount ===

impl CpuAccount {
    pub(crate) fn new(own: Arc<CpuLimit>, sandbox: Arc<CpuLimit>) -> Self {
        Self { used: AtomicU64::new(0), limits: [own, sandbox] }
    }

    /// Nanoseconds so far.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn charge(&self, nanos: u64) {
        self.used.fetch_add(nanos, Ordering::Relaxed);
        for limit in &self.limits {
            limit.charge(nanos);
        }
    }

    /// How long the guest must wait before it may compute.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.limits.iter().filter_map(|limit| limit.wait(Instant::now())).max()
    }
}

// === impl CpuLimit ===

impl Default for CpuLimit {
    fn default() -> Self {
        Self::new(None)
    }
}

impl CpuLimit {
    /// `None` is no limit.
    pub(crate) fn new(millis: Option<u64>) -> Self {
        let limit =
            Self { millis: AtomicU64::new(0), bucket: Mutex::new(Bucket { tokens: 0, filled: Instant::now() }) };
        limit.set(millis);
        limit
    }

    pub(crate) fn set(&self, millis: Option<u64>) {
        // A limit of nothing would be a pod that can never even stop.
        let millis = millis.map_or(0, |m| m.clamp(1, 1_000_000));
        self.millis.store(millis, Ordering::Relaxed);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        *bucket = Bucket { tokens: quota(millis), filled: Instant::now() };
    }

    fn charge(&self, nanos: u64) {
        if self.millis.load(Ordering::Relaxed) > 0 {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.tokens = bucket.tokens.saturating_sub(i64::try_from(nanos).unwrap_or(i64::MAX));
        }
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let millis = self.millis.load(Ordering::Relaxed);
        if millis == 0 {
            return None;
        }
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(millis, now);
        // Waking for a tenth of the period's quota at least keeps the number of wake-ups small.
        let lacking = quota(millis) / 10 - bucket.tokens;
        (bucket.tokens <= 0).then(|| time_for(lacking, millis).min(LONGEST_WAIT))
    }
}

impl Bucket {
    fn fill(&mut self, millis: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).min(10 * LONGEST_WAIT);
        let gained = elapsed.as_nanos() * u128::from(millis) / 1000;
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(quota(millis));
            self.filled = now;
        }
    }
}

/// Nanoseconds of CPU per period.
fn quota(millis: u64) -> i64 {
    let nanos = PERIOD.as_nanos() * u128::from(millis) / 1000;
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

fn time_for(tokens: i64, millis: u64) -> Duration {
    let nanos = u128::try_from(tokens).unwrap_or(0) * 1000 / u128::from(millis);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn half_a_core_computes_half_of_the_time() {
        let limit = CpuLimit::new(Some(500));
        let start = Instant::now();
        let mut now = start;
        let mut computed = 0;
        while now < start + Duration::from_secs(10) {
            let step = limit.wait(now).unwrap_or_else(|| {
                limit.charge(MS);
                computed += MS;
                Duration::from_millis(1)
            });
            now += step;
        }
        let share = computed * 1000 / 10_000 / MS;
        assert!((500..=510).contains(&share), "{share} thousandths of a core instead of 500");
    }

    #[test]
    fn no_limit_never_waits() {
        let limit = CpuLimit::default();
        limit.charge(u64::MAX);
        assert_eq!(limit.wait(Instant::now()), None);
    }

    #[test]
    fn a_raised_limit_forgives() {
        let limit = CpuLimit::new(Some(1));
        limit.charge(1000 * MS);
        assert_eq!(limit.wait(Instant::now()), Some(LONGEST_WAIT));
        limit.set(Some(1000));
        assert_eq!(limit.wait(Instant::now()), None);
    }
}
