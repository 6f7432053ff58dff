//! One pod driven by hand, and short ways to say what is expected of it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PodStatus;

use super::mk_desired;
use super::{at, deleted};
use crate::desired::Desired;
use crate::pod::{Action, Event, Exit, ExitCause, NodeAddresses, Pod, Prior, Pulled, Settings};

pub(super) const IMAGE: &str = "registry.test/app:1";

pub(super) fn pull(image: &str) -> Action {
    Action::Pull { container: "c".to_owned(), image: image.to_owned() }
}

/// A pod and what it asked for last.
pub(super) struct Play {
    pub(super) pod: Option<Pod>,
    pub(super) desired: Desired,
    pub(super) now: i64,
    pub(super) actions: Vec<Action>,
    pub(super) status: PodStatus,
}

impl Play {
    pub(super) fn new(policy: &str, containers: &[&str]) -> Self {
        Self::continued(mk_desired(policy, containers), Prior::default())
    }

    pub(super) fn continued(desired: Desired, prior: Prior) -> Self {
        let (pod, actions) = Pod::new(at(0), Arc::new(desired.clone()), prior, Settings::default());
        let mut play = Self { pod: Some(pod), desired, now: 0, actions, status: PodStatus::default() };
        play.observe();
        play
    }

    pub(super) fn observe(&mut self) {
        let node = NodeAddresses { ips: vec!["10.0.0.1".to_owned()] };
        self.status = self.pod.as_ref().unwrap().status(at(self.now), &node, Some(&self.status));
    }

    pub(super) fn send(&mut self, event: Event) -> &mut Self {
        let (pod, actions) = self.pod.take().unwrap().step(at(self.now), event);
        self.pod = Some(pod);
        self.actions = actions;
        self.observe();
        self
    }

    pub(super) fn prepare(&mut self) -> &mut Self {
        self.send(Event::Mounted(Ok(()))).send(Event::SandboxReady(Ok(())))
    }

    pub(super) fn pulled(&mut self, container: &str) -> &mut Self {
        let pulled = Pulled { image_id: "registry.test/app@sha256:0".to_owned(), size_bytes: 7, timing: None };
        self.send(Event::Pulled { container: container.to_owned(), image: IMAGE.to_owned(), result: Ok(pulled) })
    }

    pub(super) fn run(&mut self, container: &str, attempt: u32) -> &mut Self {
        self.pulled(container);
        let now = at(self.now);
        self.send(Event::Started { container: container.to_owned(), attempt, result: Ok(now) })
    }

    pub(super) fn exit(&mut self, container: &str, attempt: u32, code: i32) -> &mut Self {
        let now = at(self.now);
        self.exit_as(
            container,
            attempt,
            Exit { code, cause: ExitCause::Ended, message: String::new(), started_at: now, finished_at: now },
        )
    }

    pub(super) fn exit_as(&mut self, container: &str, attempt: u32, exit: Exit) -> &mut Self {
        self.send(Event::Exited { container: container.to_owned(), attempt, exit })
    }

    pub(super) fn wait_to(&mut self, seconds: i64) -> &mut Self {
        self.now = seconds;
        self.send(Event::Tick)
    }

    pub(super) fn delete(&mut self, grace: i64) -> &mut Self {
        let desired = deleted(&self.desired, at(self.now), grace);
        self.send(Event::Desired(desired))
    }

    pub(super) fn records(&self) -> Vec<String> {
        let text = |action: &Action| match action {
            Action::Record(record) => Some(format!("{} {}", record.reason, record.message)),
            _ => None,
        };
        self.actions.iter().filter_map(text).collect()
    }

    pub(super) fn effects(&self) -> Vec<&Action> {
        self.actions.iter().filter(|action| !matches!(action, Action::Record(_))).collect()
    }

    pub(super) fn phase(&self) -> &str {
        self.status.phase.as_deref().unwrap()
    }

    pub(super) fn waiting(&self, index: usize) -> (String, String) {
        let waiting = self.status.container_statuses.as_ref().unwrap()[index].state.clone().unwrap().waiting.unwrap();
        (waiting.reason.unwrap(), waiting.message.unwrap_or_default())
    }

    pub(super) fn terminated(&self, index: usize) -> (i32, String) {
        let state = self.status.container_statuses.as_ref().unwrap()[index].state.clone().unwrap();
        let terminated = state.terminated.unwrap();
        (terminated.exit_code, terminated.reason.unwrap())
    }

    pub(super) fn condition(&self, type_: &str) -> (String, String) {
        let condition = self.status.conditions.iter().flatten().find(|c| c.type_ == type_).unwrap();
        (condition.status.clone(), condition.reason.clone().unwrap_or_default())
    }
}
