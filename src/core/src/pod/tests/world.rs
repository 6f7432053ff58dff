//! A worker, a runtime and an API server in miniature, driven by a script, that check every property as they go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodStatus;

use super::checks::{Violation, check, counts_never_fall, final_containers_stay, terminal_means_dead, terminal_stays};
use super::{at, deleted, mk_desired};
use crate::desired::Desired;
use crate::pod::{
    Action, Event, Exit, ExitCause, LiveRun, NodeAddresses, Pod, PodEnd, Prior, PullError, PullErrorKind, Pulled,
    Settings, StartError, StartErrorReason,
};

/// One line of a script.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// Time passes, up to so many seconds; due ticks are sent.
    Wait(u16),
    /// One outstanding action, by index, succeeds.
    Succeed(u8),
    /// One outstanding action fails.
    Fail(u8),
    /// The last event is delivered again.
    Repeat,
    /// The run of a container, by index, ends with a code.
    Exit(u8, u8),
    /// The API server sends the pod again.
    Resend,
    /// The first container's image changes.
    ChangeImage,
    /// Somebody deletes the pod.
    Delete(u8),
    /// The pod vanishes.
    Gone,
    /// The node ends it, within so many seconds.
    End(u8),
    /// The agent dies and starts again: runs are lost, status and logs remain.
    Crash,
    /// The agent dies and starts again, and the runs live on. By its bits: a run that was being started was started;
    /// the first, the second run ends meanwhile.
    Restart(u8),
}

/// The transition under test.
pub(super) type Step = fn(Pod, Timestamp, Event) -> (Pod, Vec<Action>);

/// Everything around one pod.
pub(super) struct World {
    step: Step,
    /// What a starting agent is told of what is left.
    tell: fn(Prior) -> Prior,
    now: Timestamp,
    pod: Option<Pod>,
    desired: Desired,
    outstanding: Vec<Action>,
    /// Live runs: container → attempt.
    live: BTreeMap<String, LiveRun>,
    /// Ends that no agent has heard of.
    unheard: BTreeMap<String, (u32, Exit)>,
    /// Runs that were asked to stop.
    stopping: BTreeSet<String>,
    used: BTreeSet<(String, u32)>,
    logs: BTreeMap<String, u32>,
    status: Option<PodStatus>,
    mounted: bool,
    sandbox: bool,
    ending_since: Option<(Timestamp, i64)>,
    /// The agent that is there was told to end the pod.
    ended: bool,
    last: Option<Event>,
    released: bool,
}

impl World {
    pub(super) fn new(step: Step, policy: &str) -> Result<Self, Violation> {
        Self::telling(step, |prior| prior, policy)
    }

    /// A world in which starting agents are told something else than what there is.
    pub(super) fn telling(step: Step, tell: fn(Prior) -> Prior, policy: &str) -> Result<Self, Violation> {
        let mut world = Self {
            step,
            tell,
            now: at(0),
            pod: None,
            desired: mk_desired(policy, &["a", "b"]),
            outstanding: Vec::new(),
            live: BTreeMap::new(),
            unheard: BTreeMap::new(),
            stopping: BTreeSet::new(),
            used: BTreeSet::new(),
            logs: BTreeMap::new(),
            status: None,
            mounted: false,
            sandbox: false,
            ending_since: None,
            ended: false,
            last: None,
            released: false,
        };
        world.boot()?;
        Ok(world)
    }

    fn boot(&mut self) -> Result<(), Violation> {
        let prior = (self.tell)(Prior {
            status: self.status.clone(),
            highest_log: self.logs.clone(),
            sandbox: self.sandbox,
            live: self.live.clone(),
            exits: std::mem::take(&mut self.unheard),
        });
        let (pod, actions) = Pod::new(self.now, Arc::new(self.desired.clone()), prior, Settings::default());
        self.pod = Some(pod);
        self.take(actions)
    }

    pub(super) fn run(&mut self, op: Op) -> Result<(), Violation> {
        if self.released {
            return Ok(());
        }
        match op {
            Op::Wait(seconds) => self.wait(i64::from(seconds)),
            Op::Succeed(index) => self.answer(index, true),
            Op::Fail(index) => self.answer(index, false),
            Op::Repeat => self.repeat(),
            Op::Exit(index, code) => {
                let Some((name, _)) = pick(&self.live, index) else { return Ok(()) };
                self.exit(&name, i32::from(code))
            }
            Op::Resend => self.send(Event::Desired(Arc::new(self.desired.clone()))),
            Op::ChangeImage => {
                self.desired.containers[0].image.push('x');
                self.send(Event::Desired(Arc::new(self.desired.clone())))
            }
            Op::Delete(grace) => self.delete(i64::from(grace).max(1)),
            Op::Gone => {
                let grace = self.desired.deletion.map_or(self.desired.grace_seconds, |d| d.grace_seconds);
                self.ending_since.get_or_insert((self.now, grace));
                self.send(Event::Gone)
            }
            Op::End(grace) => {
                self.ended = true;
                self.send(Event::End(PodEnd::shutdown(SignedDuration::from_secs(i64::from(grace)))))
            }
            Op::Crash => self.crash(),
            Op::Restart(bits) => self.restart(bits),
        }
    }

    fn delete(&mut self, grace: i64) -> Result<(), Violation> {
        let grace = self.desired.deletion.map_or(grace, |deletion| deletion.grace_seconds.min(grace));
        self.desired = (*deleted(&self.desired, self.now, grace)).clone();
        self.ending_since.get_or_insert((self.now, grace));
        self.send(Event::Desired(Arc::new(self.desired.clone())))
    }

    fn crash(&mut self) -> Result<(), Violation> {
        self.outstanding.clear();
        self.live.clear();
        self.sandbox = false;
        self.reboot()
    }

    fn restart(&mut self, bits: u8) -> Result<(), Violation> {
        for action in std::mem::take(&mut self.outstanding) {
            if let Action::Start { container, attempt } = action
                && bits & 1 != 0
            {
                self.enter(&container, attempt)?;
            }
        }
        for (index, code) in [(0, 3), (1, 0)] {
            if bits & (2 << index) != 0
                && let Some((name, _)) = pick(&self.live, index)
            {
                self.end_unheard(&name, code);
            }
        }
        self.reboot()
    }

    /// A run ends while no agent is there.
    pub(super) fn end_unheard(&mut self, container: &str, code: i32) {
        if let Some(run) = self.live.remove(container) {
            self.unheard.insert(container.to_owned(), (run.attempt, self.exit_of(run, code)));
        }
    }

    pub(super) fn reboot(&mut self) -> Result<(), Violation> {
        self.outstanding.clear();
        self.stopping.clear();
        self.last = None;
        // Nobody told the new agent.
        self.ended = false;
        if self.ending_since.is_some() && self.desired.deletion.is_none() {
            // It had vanished, so that nobody tells the new agent of it.
            self.released = true;
            return Ok(());
        }
        self.boot()
    }

    pub(super) fn wait(&mut self, seconds: i64) -> Result<(), Violation> {
        let until = self.now + SignedDuration::from_secs(seconds);
        // More ticks than deadlines can fall into the longest wait would be a busy loop.
        for _ in 0..2000 {
            match self.pod.as_ref().and_then(Pod::next_deadline) {
                Some(due) if due <= until => {
                    self.now = due.max(self.now);
                    self.send(Event::Tick)?;
                }
                _ => break,
            }
        }
        self.now = until;
        Ok(())
    }

    fn repeat(&mut self) -> Result<(), Violation> {
        let Some(event) = self.last.clone() else { return Ok(()) };
        let before = self.pod.clone();
        let (after, actions) = (self.step)(self.pod.take().unwrap(), self.now, event.clone());
        self.pod = Some(after);
        check(before == self.pod && actions.is_empty(), "repeat", || format!("{event:?} gave {actions:?}"))
    }

    fn answer(&mut self, index: u8, ok: bool) -> Result<(), Violation> {
        if self.outstanding.is_empty() {
            return Ok(());
        }
        let action = self.outstanding.remove(usize::from(index) % self.outstanding.len());
        match action {
            Action::Mount => {
                self.mounted = true;
                self.send(Event::Mounted(if ok { Ok(()) } else { Err("no".to_owned()) }))
            }
            Action::CreateSandbox => {
                check(!self.sandbox, "a sandbox is made once", String::new)?;
                self.sandbox = ok;
                self.send(Event::SandboxReady(if ok { Ok(()) } else { Err("no".to_owned()) }))
            }
            Action::Pull { container, image } => self.pulled(container, image, ok),
            Action::Start { container, attempt } => self.start(container, attempt, ok),
            Action::Stop { container, .. } if ok => self.exit(&container, 143),
            Action::Stop { .. } => Ok(()),
            Action::Kill { container, .. } => self.exit(&container, 137),
            Action::RemoveSandbox => {
                check(self.live.is_empty(), "sandbox outlives runs", || format!("{:?}", self.live))?;
                self.sandbox = false;
                self.send(Event::SandboxRemoved)
            }
            Action::Unmount => {
                self.mounted = false;
                self.send(Event::Unmounted)
            }
            Action::Record(_) | Action::Release { .. } => Ok(()),
        }
    }

    fn pulled(&mut self, container: String, image: String, ok: bool) -> Result<(), Violation> {
        let result = if ok {
            Ok(Pulled { image_id: "registry.test/app@sha256:0".to_owned(), size_bytes: 1, timing: None })
        } else {
            Err(PullError { kind: PullErrorKind::Failed, message: "no".to_owned() })
        };
        self.send(Event::Pulled { container, image, result })
    }

    fn start(&mut self, container: String, attempt: u32, ok: bool) -> Result<(), Violation> {
        let result = if ok {
            self.enter(&container, attempt)?;
            Ok(self.now)
        } else {
            Err(StartError { reason: StartErrorReason::CreateContainerError, message: "no".to_owned() })
        };
        self.send(Event::Started { container, attempt, result })
    }

    fn enter(&mut self, container: &str, attempt: u32) -> Result<(), Violation> {
        check(self.used.insert((container.to_owned(), attempt)), "attempts are never reused", || {
            format!("{container} {attempt}")
        })?;
        check(self.sandbox, "a run has a sandbox", || container.to_owned())?;
        let run = LiveRun { attempt, started_at: self.now };
        let other = self.live.insert(container.to_owned(), run);
        check(other.is_none(), "a container has one run at a time", || format!("{other:?} {run:?}"))?;
        self.logs.insert(container.to_owned(), attempt);
        Ok(())
    }

    fn exit_of(&self, run: LiveRun, code: i32) -> Exit {
        let LiveRun { started_at, .. } = run;
        Exit { code, cause: ExitCause::Ended, message: String::new(), started_at, finished_at: self.now }
    }

    fn exit(&mut self, container: &str, code: i32) -> Result<(), Violation> {
        let Some(run) = self.live.remove(container) else { return Ok(()) };
        self.stopping.remove(container);
        self.outstanding.retain(|action| {
            !matches!(action, Action::Stop { container: c, .. } | Action::Kill { container: c, .. } if c == container)
        });
        let exit = self.exit_of(run, code);
        self.send(Event::Exited { container: container.to_owned(), attempt: run.attempt, exit })
    }

    fn send(&mut self, event: Event) -> Result<(), Violation> {
        self.last = Some(event.clone());
        let (pod, actions) = (self.step)(self.pod.take().unwrap(), self.now, event);
        self.pod = Some(pod);
        self.take(actions)
    }

    fn take(&mut self, actions: Vec<Action>) -> Result<(), Violation> {
        for action in actions {
            match &action {
                Action::Start { container, .. } | Action::Pull { container, .. } => {
                    check(self.ending_since.is_none() && !self.ended, "nothing starts after the end", || {
                        container.clone()
                    })?;
                }
                Action::Stop { container, .. } => {
                    self.stopping.insert(container.clone());
                }
                Action::Unmount => {
                    check(self.live.is_empty() && !self.sandbox, "volumes outlive runs", || {
                        format!("{:?}", self.live)
                    })?;
                }
                Action::Release { .. } => self.release()?,
                Action::Mount
                | Action::CreateSandbox
                | Action::Kill { .. }
                | Action::Record(_)
                | Action::RemoveSandbox => {}
            }
            if !matches!(action, Action::Record(_) | Action::Release { .. }) {
                self.outstanding.push(action);
            }
        }
        self.observe()
    }

    fn release(&mut self) -> Result<(), Violation> {
        self.released = true;
        let held = self.mounted || self.sandbox || !self.live.is_empty();
        check(!held, "release comes last", || {
            format!("mounted {} sandbox {} live {:?}", self.mounted, self.sandbox, self.live)
        })
    }

    fn observe(&mut self) -> Result<(), Violation> {
        let pod = self.pod.as_ref().unwrap();
        if let Some(deadline) = pod.next_deadline() {
            check(deadline > self.now || self.due(), "deadlines lie ahead", || format!("{deadline}"))?;
        }
        let node = NodeAddresses { ips: vec!["10.0.0.1".to_owned()] };
        let status = pod.status(self.now, &node, self.status.as_ref());
        let before = self.status.replace(status.clone());
        terminal_stays(before.as_ref(), &status)?;
        terminal_means_dead(&status, &self.live)?;
        final_containers_stay(before.as_ref(), &status, &self.desired)?;
        counts_never_fall(before.as_ref(), &status)
    }

    /// A tick that has not been sent yet may lie behind an event at the same moment.
    fn due(&self) -> bool {
        !matches!(self.last, Some(Event::Tick))
    }

    /// Answers all that was asked for, but for stops: nobody hears those.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        for _ in 0..100 {
            self.outstanding.retain(|action| !matches!(action, Action::Stop { .. }));
            if self.outstanding.is_empty() || self.released {
                return Ok(());
            }
            self.answer(0, true)?;
        }
        check(self.outstanding.is_empty(), "work ends", || format!("{:?}", self.outstanding))
    }

    pub(super) fn status(&self) -> &PodStatus {
        self.status.as_ref().unwrap()
    }

    /// Names of containers that are alive.
    pub(super) fn alive(&self) -> Vec<String> {
        self.live.keys().cloned().collect()
    }

    /// Expects a pod that the node ends to be over soon after its grace.
    fn expect_over(&mut self) -> Result<(), Violation> {
        let limit = self.now + SignedDuration::from_secs(self.desired.grace_seconds + 5);
        let is_over = |world: &Self| world.released || world.pod.as_ref().is_some_and(Pod::is_over);
        while !is_over(self) && self.now < limit {
            self.settle()?;
            self.wait(1)?;
        }
        check(is_over(self), "an ended pod is over in time", || format!("{:?}", self.pod))?;
        let phase = self.status().phase.as_deref();
        check(matches!(phase, Some("Succeeded" | "Failed")), "an ended pod is over", || format!("{phase:?}"))
    }

    /// Answers everything, lets time pass, and expects the pod to be gone soon after its grace.
    pub(super) fn finish(&mut self) -> Result<(), Violation> {
        if self.released {
            return Ok(());
        }
        if self.ended {
            self.expect_over()?;
        }
        if self.ending_since.is_none() {
            self.delete(5)?;
        }
        let grace = self.desired.deletion.map_or(self.desired.grace_seconds, |deletion| deletion.grace_seconds);
        let bound = SignedDuration::from_secs(grace + 5);
        let limit = self.now + bound;
        while !self.released && self.now < limit {
            // Guests ignore the request to stop: only the kill ends them.
            self.settle()?;
            if !self.released {
                self.wait(1)?;
            }
        }
        check(self.released, "a deleted pod is released in time", || format!("{:?}", self.pod))
    }
}

fn pick(live: &BTreeMap<String, LiveRun>, index: u8) -> Option<(String, LiveRun)> {
    let index = usize::from(index).checked_rem(live.len())?;
    live.iter().nth(index).map(|(name, run)| (name.clone(), *run))
}
