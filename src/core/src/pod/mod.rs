//! The lifecycle of one pod, as a value: `step` consumes the state and an event and gives the next state and what to do.
//!
//! ```text
//!            ┌ ledger says no ─▶ Refused ───────────────────────────────────────────┐ deleted
//!  bound ────┤                                                                      ▼
//!            └▶ Preparing ─ volumes, sandbox ─▶ Running ─ all ended ─▶ Terminating ─▶ Released
//!                   │                             │                    ▲   │
//!                   └── deleted, gone or ended ───┴────────────────────┘   └ completed ─▶ Finished ─ deleted ─▶ Released
//! ```
//!
//! Terminating stops the containers, then removes the sandbox, then the volumes; a completed pod goes through the same
//! steps with nothing left to stop and waits, Finished, for its deletion. So does one that the node ends, after its
//! containers were stopped. Nothing ever leads back: a container that
//! could start again lives in Preparing or Running only.
//!
//! Time is a parameter; [`Pod::next_deadline`] is the only clock. Every event is answered in every state, if only by
//! being ignored on purpose: results of work that was started before the state changed arrive late.

mod action;
mod body;
mod container;
mod end;
mod event;
mod image;
mod preparing;
mod prior;
mod running;
mod status;
mod terminating;
#[cfg(test)]
mod tests;
mod texts;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use action::Action;
use body::Body;
pub use end::PodEnd;
pub use event::{Event, Exit, ExitCause, PullError, PullErrorKind, Pulled, StartError, StartErrorReason};
pub use prior::{LiveRun, Prior};
pub use status::NodeAddresses;
use terminating::{Cause, Terminating};
pub use texts::CONTAINER_ID_PREFIX;

use crate::desired::Desired;

/// What the node's configuration says about every pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `crashLoopBackOff.maxContainerRestartPeriod`, 300 s by default.
    pub restart_cap: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { restart_cap: SignedDuration::from_secs(300) }
    }
}

/// A pod in one of its states.
#[derive(Debug, Clone, PartialEq)]
pub enum Pod {
    /// The node does not take it: `Failed`, until someone deletes it.
    Refused(Body),
    /// Its volumes and its sandbox are being made.
    Preparing(Body),
    /// Its containers may run and may be started.
    Running(Body),
    /// Its containers end, then all it holds is given back.
    Terminating(Terminating),
    /// It completed, or the node ended it, and it holds nothing; it waits for its deletion.
    Finished(Body),
    /// It is gone from this node.
    Released(Body),
}

impl Pod {
    /// A pod that the ledger admitted.
    pub fn new(now: Timestamp, desired: Arc<Desired>, prior: Prior, settings: Settings) -> (Self, Vec<Action>) {
        prior::admit(now, desired, prior, settings)
    }

    /// A pod that the ledger refused (contract section 4.1).
    pub fn refused(
        now: Timestamp,
        desired: Arc<Desired>,
        prior: Prior,
        reason: String,
        message: String,
    ) -> (Self, Vec<Action>) {
        prior::refuse(now, desired, prior, reason, message)
    }

    /// The next state and what to do.
    pub fn step(self, now: Timestamp, event: Event) -> (Self, Vec<Action>) {
        let mut actions = Vec::new();
        let next = match self {
            Self::Refused(body) => waiting_for_deletion(Self::Refused, body, event, &mut actions),
            Self::Finished(body) => waiting_for_deletion(Self::Finished, body, event, &mut actions),
            Self::Preparing(body) => preparing::step(body, now, event, &mut actions),
            Self::Running(body) => running::step(body, now, event, &mut actions),
            Self::Terminating(terminating) => terminating.step(now, event, &mut actions),
            Self::Released(body) => Self::Released(body),
        };
        (next, actions)
    }

    /// When to send [`Event::Tick`] at the latest; later than the last `now`.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Preparing(body) => body.setup_deadline(),
            Self::Running(body) => body.next_deadline(),
            Self::Terminating(terminating) => terminating.body().next_deadline(),
            Self::Refused(_) | Self::Finished(_) | Self::Released(_) => None,
        }
    }

    /// What was asked for last.
    pub fn desired(&self) -> &Arc<Desired> {
        &self.body().desired
    }

    /// Whether nothing is left to do.
    pub fn is_released(&self) -> bool {
        matches!(self, Self::Released(_))
    }

    /// Whether no container of the pod can run any more.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Finished(_) | Self::Released(_) => true,
            Self::Preparing(_) | Self::Running(_) => false,
            Self::Terminating(terminating) => terminating.body().containers.iter().all(|c| !c.may_run()),
        }
    }

    fn body(&self) -> &Body {
        match self {
            Self::Refused(body)
            | Self::Preparing(body)
            | Self::Running(body)
            | Self::Finished(body)
            | Self::Released(body) => body,
            Self::Terminating(terminating) => terminating.body(),
        }
    }

    /// Whether somebody asked for its end, so that a final status is due for every container.
    fn was_ended(&self) -> bool {
        match self {
            Self::Terminating(terminating) => terminating.cause() != Cause::Completed,
            Self::Finished(body) => body.end.is_some(),
            Self::Released(body) => body.refusal.is_none() && body.frozen.is_none(),
            Self::Refused(_) | Self::Preparing(_) | Self::Running(_) => false,
        }
    }
}

/// Refused and Finished: nothing runs, only the deletion matters.
fn waiting_for_deletion(stay: fn(Body) -> Pod, mut body: Body, event: Event, actions: &mut Vec<Action>) -> Pod {
    match event {
        Event::Desired(desired) => {
            let deleted = desired.deletion.is_some();
            body.desired = desired;
            if !deleted {
                return stay(body);
            }
            actions.push(Action::Release { delete: true });
            Pod::Released(body)
        }
        Event::Gone => {
            actions.push(Action::Release { delete: false });
            Pod::Released(body)
        }
        Event::End(_)
        | Event::Mounted(_)
        | Event::SandboxReady(_)
        | Event::Pulling { .. }
        | Event::Pulled { .. }
        | Event::Started { .. }
        | Event::Exited { .. }
        | Event::SandboxRemoved
        | Event::Unmounted
        | Event::Tick => stay(body),
    }
}
