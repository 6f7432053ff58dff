//! One container of a pod.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Exit, PullError, Settings, StartError, texts};
use crate::backoff::{Backoff, CrashBackoff};

/// One container of a pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) phase: Phase,
    /// What it waited for before it was tried again, shown until it runs: an image that is pulled for the tenth time
    /// does not look like one that is pulled for the first time.
    pub(super) held: Option<Phase>,
    /// Number of the latest run (restartCount), or of the first one if none was.
    pub(super) attempt: u32,
    /// Whether a run with that number was started.
    pub(super) ran: bool,
    /// How the latest run ended; none while it runs or when there was none.
    pub(super) current: Option<Ended>,
    /// How the run before it ended.
    pub(super) previous: Option<Ended>,
    /// Image of the latest run as the spec had it when that was started; empty: not known, or there was none.
    pub(super) image: String,
    /// No run with the latest number began before; what the process says that holds it is not relied upon.
    pub(super) asked_at: Timestamp,
    /// `registry/repository@sha256:…` of the latest pull.
    pub(super) image_id: String,
    /// The image changed in the spec: start again whatever the policy says.
    pub(super) changed: bool,
    pub(super) crash: CrashBackoff,
    pub(super) pull: Backoff,
    pub(super) start: Backoff,
    /// Text of the latest refusal of a foreign image: it is told once.
    pub(super) told: Option<String>,
}

/// Where a container is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// For the pod's volumes and sandbox.
    Waiting,
    /// The image is being fetched.
    Pulling { announced: bool },
    /// The image could not be had.
    PullFailed { error: PullError, backing_off: bool, announce_at: Option<Timestamp>, retry_at: Option<Timestamp> },
    /// The run is being started.
    Starting,
    /// The run could not be started.
    StartFailed { error: StartError, retry_at: Option<Timestamp> },
    /// The run is alive.
    Running { started_at: Timestamp, kill_at: Option<Timestamp> },
    /// The run ended and the next one is due later.
    CrashLoop { until: Timestamp, delay: SignedDuration },
    /// Nothing will start any more.
    Ended,
}

/// A run that ended, as status shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// Reason shown.
    pub(super) reason: String,
    /// containerID shown.
    pub(super) container_id: Option<String>,
}

impl Container {
    /// A container of which nothing is known; the first run gets the number after the highest log file's.
    pub(super) fn new(name: &str, settings: Settings, logs: &BTreeMap<String, u32>) -> Self {
        let ten = SignedDuration::from_secs(10);
        let logged = logs.get(name).copied();
        Self {
            name: name.to_owned(),
            phase: Phase::Waiting,
            held: None,
            attempt: logged.unwrap_or(0),
            ran: logged.is_some(),
            current: None,
            previous: None,
            image: String::new(),
            asked_at: Timestamp::UNIX_EPOCH,
            image_id: String::new(),
            changed: false,
            crash: CrashBackoff::new(settings.restart_cap),
            pull: Backoff::new(ten, SignedDuration::from_secs(300)),
            start: Backoff::new(ten, SignedDuration::from_secs(300)),
            told: None,
        }
    }

    /// Number of the next run.
    pub(super) fn next_attempt(&self) -> u32 {
        if self.ran { self.attempt.saturating_add(1) } else { self.attempt }
    }

    /// Whether a run of it is alive or about to be.
    pub(super) fn may_run(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Starting)
    }

    /// When the latest run began that is said to have begun then: not before it was asked for, and not later than now.
    pub(super) fn began(&self, said: Timestamp, now: Timestamp) -> Timestamp {
        let earliest = match &self.phase {
            Phase::Running { started_at, .. } => *started_at,
            _ => self.asked_at,
        };
        said.max(earliest).min(now)
    }

    /// A run was entered.
    pub(super) fn started(&mut self, at: Timestamp) {
        if let Some(ended) = self.current.take() {
            self.previous = Some(ended);
        }
        self.start.reset();
        self.held = None;
        self.phase = Phase::Running { started_at: at, kill_at: None };
    }

    /// A run ended. Whether there will be another one is decided elsewhere.
    pub(super) fn ended(&mut self, exit: Exit, container_id: String) {
        let reason = texts::exit_reason(&exit).to_owned();
        self.current = Some(Ended { exit, reason, container_id: Some(container_id) });
        self.phase = Phase::Ended;
    }

    /// Whether `attempt` is the run that is alive or being started.
    pub(super) fn is_current(&self, attempt: u32) -> bool {
        self.may_run() && self.attempt == attempt
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::PullFailed { announce_at, retry_at, .. } => [*announce_at, *retry_at].into_iter().flatten().min(),
            Phase::StartFailed { retry_at, .. } => *retry_at,
            Phase::Running { kill_at, .. } => *kill_at,
            Phase::CrashLoop { until, .. } => Some(*until),
            Phase::Waiting | Phase::Pulling { .. } | Phase::Starting | Phase::Ended => None,
        }
    }
}
