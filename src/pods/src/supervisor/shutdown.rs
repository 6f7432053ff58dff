//! The end of all pods of the node: ordinary ones first, critical ones last (kubelet contract section 4.12).
//!
//! A stage lasts until its pods are over, and no longer than its part of the time: the lifecycle kills what did not
//! stop. New pods are refused from the first moment on. Who asks again can only leave less time.

use std::collections::HashSet;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};
use wasmnode_core::pod::PodEnd;

use super::Supervisor;

/// For the ends of containers that were killed to be told.
const KILLED: Duration = Duration::from_secs(5);

/// The lifecycle leaves every container that long (contract section 4.9).
const SHORTEST: Duration = Duration::from_secs(2);

/// More than anybody waits; what is longer cannot be reckoned with.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How much time there is for the pods of a node that shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// For all of them; `shutdownGracePeriod`.
    pub period: Duration,
    /// What of it is kept for critical pods; `shutdownGracePeriodCriticalPods`.
    pub critical: Duration,
}

/// How far a shutdown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many pods may still run.
    Ending(usize),
    /// It is done. So many pods did not end in time, which is none if all is well.
    Over(usize),
}

/// A shutdown that is under way, for those who asked for it.
#[derive(Debug)]
pub struct Departure(watch::Receiver<Option<Progress>>);

/// Where a shutdown is asked for.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    asked: watch::Sender<Option<Schedule>>,
    progress: watch::Receiver<Option<Progress>>,
}

/// The time for each stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Schedule {
    ordinary_until: Instant,
    critical_until: Instant,
    critical: Duration,
}

/// A shutdown as the supervisor sees it.
#[derive(Debug)]
pub(super) struct Leaving {
    asked: watch::Receiver<Option<Schedule>>,
    progress: watch::Sender<Option<Progress>>,
    stage: Stage,
    /// Sandboxes that the provider has while it is not known whose they are.
    unclaimed: usize,
    /// When those were counted.
    counted: Option<Stage>,
}

/// What is being waited for, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// For somebody to ask.
    Serving,
    /// For ordinary pods.
    Ordinary { until: Instant },
    /// For critical ones, and for those that were killed.
    Critical { until: Instant },
    /// For nothing.
    Done,
}

// === impl Departure ===

impl Departure {
    /// How far it is: at once, and then whenever that changes. None when the supervisor ended before it was done: what
    /// is left is left to the next agent.
    pub async fn next(&mut self) -> Option<Progress> {
        loop {
            self.0.changed().await.ok()?;
            if let Some(progress) = *self.0.borrow_and_update() {
                return Some(progress);
            }
        }
    }
}

// === impl Gate ===

impl Gate {
    /// Called from anywhere, at any time.
    pub(super) fn ask(&self, shutdown: Shutdown) -> Departure {
        let schedule = Schedule::new(Instant::now(), shutdown);
        self.asked.send_if_modified(|asked| {
            let before = *asked;
            *asked = Some(before.map_or(schedule, |before| before.shorter(schedule)));
            *asked != before
        });
        let mut progress = self.progress.clone();
        progress.mark_changed();
        Departure(progress)
    }
}

// === impl Schedule ===

impl Schedule {
    fn new(now: Instant, Shutdown { period, critical }: Shutdown) -> Self {
        let period = period.min(LONGEST);
        let critical = critical.min(period);
        let ordinary_until = now + (period - critical).max(SHORTEST);
        let critical = critical.max(SHORTEST);
        Self { ordinary_until, critical_until: ordinary_until + critical, critical }
    }

    fn shorter(self, other: Self) -> Self {
        Self {
            ordinary_until: self.ordinary_until.min(other.ordinary_until),
            critical_until: self.critical_until.min(other.critical_until),
            critical: self.critical.min(other.critical),
        }
    }
}

// === impl Leaving ===

impl Leaving {
    pub(super) fn new() -> (Self, Gate) {
        let (asked, asking) = watch::channel(None);
        let (progress, seen) = watch::channel(None);
        let leaving = Self { asked: asking, progress, stage: Stage::Serving, unclaimed: 0, counted: None };
        (leaving, Gate { asked, progress: seen })
    }

    /// Until somebody asks, or a stage's time is over.
    pub(super) async fn due(&mut self) {
        let until = match self.stage {
            Stage::Serving | Stage::Done => None,
            Stage::Ordinary { until } => Some(until),
            Stage::Critical { until } => Some(until + KILLED),
        };
        tokio::select! {
            Ok(()) = self.asked.changed() => {}
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            else => std::future::pending().await,
        }
    }

    fn schedule(&self) -> Option<Schedule> {
        *self.asked.borrow()
    }

    fn tell(&self, now: Progress) {
        self.progress.send_if_modified(|told| told.replace(now) != Some(now));
    }
}

// === impl Supervisor ===

impl Supervisor {
    /// Goes on with the shutdown, if one was asked for. Called after everything that may have ended a pod.
    pub(super) async fn leave(&mut self) {
        let Some(schedule) = self.leaving.schedule() else { return };
        let now = Instant::now();
        loop {
            let (ordinary, critical) = self.unended();
            let next = self.next_stage(now, schedule, ordinary, critical);
            if next == self.leaving.stage {
                break;
            }
            self.leaving.stage = next;
        }
        self.end_pods(now);
        self.count_unclaimed().await;
        let (ordinary, critical) = self.unended();
        let left = ordinary + critical + self.leaving.unclaimed;
        let is_done = self.leaving.stage == Stage::Done;
        self.leaving.tell(if is_done { Progress::Over(left) } else { Progress::Ending(left) });
    }

    fn next_stage(&mut self, now: Instant, schedule: Schedule, ordinary: usize, critical: usize) -> Stage {
        // Until all pods are known their number says nothing.
        let is_known = self.collected.is_none();
        match self.leaving.stage {
            Stage::Serving => {
                info!(pods = ordinary + critical, "Shutting down");
                self.ledger.close();
                Stage::Ordinary { until: schedule.ordinary_until }
            }
            Stage::Ordinary { .. } if is_known && ordinary == 0 || now >= schedule.ordinary_until => {
                let until = schedule.critical_until.min(now + schedule.critical);
                info!(critical, left = ordinary, "Ending critical pods");
                Stage::Critical { until }
            }
            Stage::Ordinary { .. } => Stage::Ordinary { until: schedule.ordinary_until },
            Stage::Critical { .. } if is_known && ordinary + critical == 0 => {
                info!("All pods have ended");
                Stage::Done
            }
            Stage::Critical { until } if now >= until + KILLED => {
                warn!(left = ordinary + critical, "Some pods did not end in time");
                Stage::Done
            }
            Stage::Critical { until } => Stage::Critical { until: until.min(schedule.critical_until) },
            Stage::Done => Stage::Done,
        }
    }

    /// Number of pods that may run: ordinary ones, with those that were deleted while there was no agent, and critical
    /// ones.
    fn unended(&self) -> (usize, usize) {
        let running = self.slots.values().filter(|slot| !slot.is_over);
        running.fold((self.orphans.len(), 0), |(ordinary, critical), slot| {
            if slot.is_critical() { (ordinary, critical + 1) } else { (ordinary + 1, critical) }
        })
    }

    /// Until it is known whose they are, and that may be never, sandboxes stand for their pods. Counted once per stage.
    async fn count_unclaimed(&mut self) {
        let Some(collected) = &self.collected else {
            self.leaving.unclaimed = 0;
            return;
        };
        if self.leaving.counted.replace(self.leaving.stage) == Some(self.leaving.stage) {
            return;
        }
        self.leaving.unclaimed = match self.context.ports.provider.list().await {
            Ok(listing) => {
                let of_runs = listing.runs.into_iter().map(|run| run.sandbox);
                listing.sandboxes.into_iter().chain(of_runs).collect::<HashSet<_>>().len()
            }
            Err(error) => {
                warn!(%error, "Could not list what the pod runtime runs");
                collected.len().max(1)
            }
        };
    }

    /// Tells every pod whose turn it is; one that was told before only if there is less time now. Those that come when
    /// everybody else has gone have the shortest.
    fn end_pods(&mut self, now: Instant) {
        let (until, critical) = match self.leaving.stage {
            Stage::Ordinary { until } => (until, false),
            Stage::Critical { until } => (until, true),
            Stage::Done => (now + SHORTEST, true),
            Stage::Serving => return,
        };
        let grace = SignedDuration::try_from(until.saturating_duration_since(now)).unwrap_or(SignedDuration::MAX);
        for slot in self.slots.values_mut() {
            let is_due = !slot.is_over && (critical || !slot.is_critical());
            if is_due && slot.ends_by.is_none_or(|before| until < before) {
                slot.end(until, PodEnd::shutdown(grace));
            }
        }
    }
}
