//! The end: containers, then the sandbox, then the volumes (contract section 4.11).

use jiff::{SignedDuration, Timestamp};

use super::body::{Body, Setup, after, stop_window};
use super::container::Phase;
use super::running::{self, Entered};
use super::{Action, Event, Pod, PodEnd};
use crate::Severity::Normal;

/// A pod that gives back what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Terminating {
    body: Body,
    cause: Cause,
    stage: Stage,
    /// Longest grace that the node allows.
    limit: Option<SignedDuration>,
}

/// Why a pod ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its containers have all ended for good.
    Completed,
    /// It was deleted through the API server.
    Deleted,
    /// The API server has it no more.
    Gone,
    /// The node ends it.
    Ended,
}

/// What is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The containers, and answers to what was asked for before.
    Containers,
    /// `SandboxRemoved`.
    Sandbox,
    /// `Unmounted`.
    Volumes,
}

/// Begins the end of a pod.
pub(super) fn begin(mut body: Body, cause: Cause, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    for container in &mut body.containers {
        if !container.may_run() {
            container.phase = Phase::Ended;
        }
    }
    // What has failed is not tried again, but may have left something behind.
    for setup in [&mut body.mount, &mut body.sandbox] {
        if matches!(setup, Setup::Failed { .. }) {
            *setup = Setup::Done;
        }
    }
    let limit = body.end.as_ref().and_then(|end| end.grace);
    let mut terminating = Terminating { body, cause, stage: Stage::Containers, limit };
    terminating.stop_all(now, actions);
    terminating.advance(actions)
}

/// Begins the end of a pod that the node decided.
pub(super) fn end(mut body: Body, end: PodEnd, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    body.end = Some(end);
    begin(body, Cause::Ended, now, actions)
}

/// Goes on with the end of a pod that an earlier agent may have begun: of the grace only what is left counts.
pub(super) fn resume(body: Body, cause: Cause, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    let latest = body.desired.deletion.map(|deletion| deletion.at.max(after(now, stop_window(0))));
    let mut pod = begin(body, cause, now, actions);
    if let (Pod::Terminating(terminating), Some(latest)) = (&mut pod, latest) {
        terminating.kill_by(latest);
    }
    pod
}

impl Terminating {
    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    pub(super) fn cause(&self) -> Cause {
        self.cause
    }

    pub(super) fn step(mut self, now: Timestamp, event: Event, actions: &mut Vec<Action>) -> Pod {
        match event {
            Event::Desired(desired) => {
                if desired.deletion.is_some() && self.cause != Cause::Gone {
                    self.cause = Cause::Deleted;
                }
                self.body.desired = desired;
                self.shorten(now);
            }
            Event::Gone => self.cause = Cause::Gone,
            Event::End(end) => self.limit(end.grace, now),
            Event::Mounted(_) => settle(&mut self.body.mount),
            // One of them: the sandbox is asked for when the mount is done.
            Event::SandboxReady(_) if self.body.sandbox.in_flight() => settle(&mut self.body.sandbox),
            Event::SandboxReady(_) => settle(&mut self.body.mount),
            Event::Started { container, attempt, result } => {
                match running::started(&mut self.body, &container, attempt, now, result, actions) {
                    Entered::Alive => self.stop_all(now, actions),
                    Entered::Failed => self.end(&container),
                    Entered::Ended | Entered::Unexpected => {}
                }
            }
            Event::Exited { container, attempt, exit } => {
                running::ended(&mut self.body, &container, attempt, now, exit, actions);
            }
            Event::Tick => {
                for index in 0..self.body.containers.len() {
                    running::kill_if_due(&mut self.body, index, now, actions);
                }
            }
            Event::SandboxRemoved => {
                if self.stage == Stage::Sandbox {
                    self.body.sandbox = Setup::None;
                }
            }
            Event::Unmounted => {
                if self.stage == Stage::Volumes {
                    self.body.mount = Setup::None;
                }
            }
            // Nothing is started any more, so that images do not matter.
            Event::Pulling { .. } | Event::Pulled { .. } => {}
        }
        self.advance(actions)
    }

    fn window(&self) -> SignedDuration {
        let seconds = self.body.desired.deletion.map_or(self.body.desired.grace_seconds, |d| d.grace_seconds);
        let window = stop_window(seconds);
        self.limit.map_or(window, |limit| window.min(limit.max(stop_window(0))))
    }

    fn limit(&mut self, grace: Option<SignedDuration>, now: Timestamp) {
        self.limit = self.limit.into_iter().chain(grace).min();
        self.shorten(now);
    }

    /// All at once; each has the whole grace.
    fn stop_all(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let deadline = after(now, self.window());
        for index in 0..self.body.containers.len() {
            let container = &mut self.body.containers[index];
            let Phase::Running { kill_at, .. } = &mut container.phase else { continue };
            if kill_at.is_some() {
                continue;
            }
            *kill_at = Some(deadline);
            let (name, attempt) = (container.name.clone(), container.attempt);
            self.body.record(actions, Normal, "Killing", &name, format!("Stopping container {name}"));
            actions.push(Action::Stop { container: name, attempt });
        }
        self.shorten(now);
    }

    /// Grace only ever shrinks (contract section 4.9).
    fn shorten(&mut self, now: Timestamp) {
        self.kill_by(after(now, self.window()));
    }

    fn kill_by(&mut self, deadline: Timestamp) {
        for container in &mut self.body.containers {
            if let Phase::Running { kill_at: Some(kill_at), .. } = &mut container.phase {
                *kill_at = (*kill_at).min(deadline);
            }
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(container) = self.body.container_mut(name) {
            container.phase = Phase::Ended;
        }
    }

    /// On to the next stage as far as nothing is waited for.
    fn advance(mut self, actions: &mut Vec<Action>) -> Pod {
        if self.stage == Stage::Containers {
            let busy = self.body.containers.iter().any(|container| container.may_run());
            if busy || self.body.mount.in_flight() || self.body.sandbox.in_flight() {
                return Pod::Terminating(self);
            }
            self.stage = Stage::Sandbox;
            if self.body.sandbox == Setup::Done {
                actions.push(Action::RemoveSandbox);
            }
        }
        if self.stage == Stage::Sandbox && self.body.sandbox == Setup::None {
            self.stage = Stage::Volumes;
            if self.body.mount == Setup::Done {
                actions.push(Action::Unmount);
            }
        }
        if self.stage == Stage::Volumes && self.body.mount == Setup::None {
            return self.done(actions);
        }
        Pod::Terminating(self)
    }

    fn done(self, actions: &mut Vec<Action>) -> Pod {
        match self.cause {
            Cause::Completed | Cause::Ended => Pod::Finished(self.body),
            Cause::Deleted => {
                actions.push(Action::Release { delete: true });
                Pod::Released(self.body)
            }
            Cause::Gone => {
                actions.push(Action::Release { delete: false });
                Pod::Released(self.body)
            }
        }
    }
}

/// An answer that came after the end began: what was made must be given back, and what failed may have left some.
fn settle(setup: &mut Setup) {
    if setup.in_flight() {
        *setup = Setup::Done;
    }
}
