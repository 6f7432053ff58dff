//! What a pod carries from state to state.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodStatus;

use super::container::{Container, Phase};
use super::{Action, Exit, PodEnd, Settings, texts};
use crate::backoff::Backoff;
use crate::desired::{Desired, Unsupported};
use crate::{Record, Severity};

/// What a pod carries from state to state.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    pub(super) desired: Arc<Desired>,
    pub(super) settings: Settings,
    /// First seen by the agent; never changes (contract section 4.4).
    pub(super) start_time: Timestamp,
    /// In spec order.
    pub(super) containers: Vec<Container>,
    pub(super) mount: Setup,
    pub(super) sandbox: Setup,
    /// Delays while it is not even known what sandbox the pod will have.
    pub(super) unresolved: Backoff,
    /// Cause and time of the latest death of a process that held containers: it is told once for all of them.
    pub(super) lost: Option<(String, Timestamp)>,
    /// Why the node ends it, or did.
    pub(super) end: Option<PodEnd>,
    /// Reason and message of a pod that was not admitted.
    pub(super) refusal: Option<(String, String)>,
    /// Final status that an earlier agent wrote; it is not written anew.
    pub(super) frozen: Option<PodStatus>,
}

/// Progress of something that the pod needs once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setup {
    /// Not asked for, or given back.
    None,
    /// Asked for; an answer will come.
    InFlight { backoff: Backoff },
    /// There.
    Done,
    /// To be asked for again.
    Failed { retry_at: Timestamp, backoff: Backoff },
}

impl Setup {
    pub(super) fn asked(first: SignedDuration, cap: SignedDuration) -> Self {
        Self::InFlight { backoff: Backoff::new(first, cap) }
    }

    pub(super) fn in_flight(&self) -> bool {
        matches!(self, Self::InFlight { .. })
    }

    /// Takes an answer; false when nobody waited for it.
    pub(super) fn answered(&mut self, now: Timestamp, ok: bool) -> bool {
        let Self::InFlight { backoff } = self else { return false };
        *self = if ok {
            Self::Done
        } else {
            let retry_at = after(now, backoff.next_delay());
            Self::Failed { retry_at, backoff: backoff.clone() }
        };
        true
    }

    /// Takes a refusal that has a delay of its own; false when nobody waited for it.
    pub(super) fn put_off(&mut self, retry_at: Timestamp) -> bool {
        let Self::InFlight { backoff } = self else { return false };
        *self = Self::Failed { retry_at, backoff: backoff.clone() };
        true
    }

    /// Whether it is time to ask again; then it counts as asked.
    pub(super) fn retry(&mut self, now: Timestamp) -> bool {
        match self {
            Self::Failed { retry_at, backoff } if *retry_at <= now => {
                *self = Self::InFlight { backoff: backoff.clone() };
                true
            }
            Self::None | Self::InFlight { .. } | Self::Done | Self::Failed { .. } => false,
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Failed { retry_at, .. } => Some(*retry_at),
            Self::None | Self::InFlight { .. } | Self::Done => None,
        }
    }
}

/// A deadline that is later than `now` even where the delay is none.
pub(super) fn after(now: Timestamp, delay: SignedDuration) -> Timestamp {
    now.checked_add(delay.max(SignedDuration::from_millis(1))).unwrap_or(Timestamp::MAX)
}

/// Time between the request to stop and the kill; at least 2 s however short the grace is (contract section 4.9).
pub(super) fn stop_window(grace_seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(grace_seconds.max(2))
}

impl Body {
    /// Takes over what is wanted now, tells which fields of it are new and not honoured, and returns what was wanted
    /// before. A live pod may get such fields: ephemeral containers, a deadline.
    pub(super) fn update(&mut self, desired: Arc<Desired>, actions: &mut Vec<Action>) -> Arc<Desired> {
        let before = std::mem::replace(&mut self.desired, desired);
        let is_new = |field: &&Unsupported| !before.reported.contains(field) && !before.refused.contains(field);
        let new = self.desired.reported.iter().chain(&self.desired.refused).filter(is_new);
        actions.extend(new.map(|field| Action::Record(texts::not_honoured(field))));
        before
    }

    /// While volumes and sandbox are being made, nothing else is waited for.
    pub(super) fn setup_deadline(&self) -> Option<Timestamp> {
        self.mount.deadline().into_iter().chain(self.sandbox.deadline()).min()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let containers = self.containers.iter().filter_map(Container::deadline);
        containers.chain(self.setup_deadline()).min()
    }

    /// Whether every container has ended for good.
    pub(super) fn all_ended(&self) -> bool {
        self.containers.iter().all(|container| matches!(container.phase, Phase::Ended))
    }

    pub(super) fn container_mut(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| container.name == name)
    }

    /// Index of a container, for changing it with the rest of the body at hand.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.containers.iter().position(|container| container.name == name)
    }

    /// A process that dies takes several containers of a pod along: one event for all of them.
    pub(super) fn tell_lost(&mut self, exit: &Exit, actions: &mut Vec<Action>) {
        let at = exit.finished_at;
        let told = self.lost.as_ref().is_some_and(|(cause, before)| {
            *cause == exit.message && at.duration_since(*before).abs() <= SignedDuration::from_secs(1)
        });
        if !told {
            self.lost = Some((exit.message.clone(), at));
            actions.push(Action::Record(Record::pod(Severity::Warning, "RunnerLost", exit.message.clone())));
        }
    }

    pub(super) fn record(
        &self,
        actions: &mut Vec<Action>,
        severity: Severity,
        reason: &'static str,
        container: &str,
        message: impl Into<String>,
    ) {
        actions.push(Action::Record(Record::container(severity, reason, container, message)));
    }
}
