//! Points in time, as exact as `SystemTime`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::malformed;
use crate::Error;

const NANOS: u32 = 1_000_000_000;

/// Time since 1970-01-01T00:00:00Z.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Time {
    /// Whole seconds, rounded down; negative before 1970.
    #[prost(sint64, tag = "1")]
    pub seconds: i64,
    /// The rest, 0..1_000_000_000.
    #[prost(uint32, tag = "2")]
    pub nanos: u32,
}

fn saturated(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self { seconds: saturated(after.as_secs()), nanos: after.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                match before.subsec_nanos() {
                    0 => Self { seconds: -saturated(before.as_secs()), nanos: 0 },
                    rest => Self { seconds: -saturated(before.as_secs()) - 1, nanos: NANOS - rest },
                }
            }
        }
    }
}

impl TryFrom<Time> for SystemTime {
    type Error = Error;

    fn try_from(time: Time) -> Result<Self, Error> {
        if time.nanos >= NANOS {
            return Err(malformed("time has a whole second or more in its nanoseconds"));
        }
        let whole = Duration::from_secs(time.seconds.unsigned_abs());
        let second = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        second
            .and_then(|s| s.checked_add(Duration::from_nanos(u64::from(time.nanos))))
            .ok_or_else(|| malformed("time is out of range"))
    }
}
