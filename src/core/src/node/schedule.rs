//! When a node status is posted although nothing changed (contract section 1.3).

use jiff::{SignedDuration, Timestamp};

/// Decides which passes of the status loop post.
#[derive(Debug, Clone)]
pub struct ReportSchedule {
    every: SignedDuration,
    /// When the last post was, and when the next one is due.
    last: Option<(Timestamp, Timestamp)>,
}

impl ReportSchedule {
    /// `every` is `nodeStatusReportFrequency`.
    pub fn new(every: SignedDuration) -> Self {
        Self { every, last: None }
    }

    /// Whether to post now.
    pub fn is_due(&self, now: Timestamp, changed: bool) -> bool {
        // A post that lies ahead is a clock that was set back since: the heartbeat must not wait for it.
        changed || self.last.is_none_or(|(posted, due)| now >= due || now < posted)
    }

    /// After a post. `random` from 0 to 1 spreads the nodes of a cluster after a common cause has made all of them
    /// report at once: the report after a change comes up to half a period earlier or later.
    pub fn posted(&mut self, now: Timestamp, changed: bool, random: f64) {
        let shift = if changed { random.clamp(0.0, 1.0) - 0.5 } else { 0.0 };
        let wait = self.every.as_secs_f64() * (1.0 + shift);
        let wait = SignedDuration::try_from_secs_f64(wait).unwrap_or(self.every);
        self.last = now.checked_add(wait).ok().map(|due| (now, due));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn posts_on_change_and_every_five_minutes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut schedule = ReportSchedule::new(SignedDuration::from_mins(5));
        assert!(schedule.is_due(at(0), false));
        schedule.posted(at(0), false, 1.0);
        assert!(!schedule.is_due(at(299), false));
        assert!(schedule.is_due(at(299), true));
        assert!(schedule.is_due(at(300), false));
        for (random, due) in [(0.0, 150), (0.5, 300), (1.0, 450)] {
            schedule.posted(at(0), true, random);
            assert!(!schedule.is_due(at(due - 1), false) && schedule.is_due(at(due), false), "{random}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_stops_no_heartbeat() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut schedule = ReportSchedule::new(SignedDuration::from_mins(5));
        schedule.posted(at(7200), false, 1.0);
        assert!(schedule.is_due(at(0), false));
    }
}
