//! How a pod begins, given what an earlier agent left: its status at the API server and its log files.
//!
//! Guests die with the process that runs them, so that a container which was running has been lost: it shows exit code
//! 255, reason `Unknown`, and starts again by its policy. What had finished stays finished.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, PodStatus};

use super::body::{Body, Setup};
use super::container::{Container, Ended, Phase};
use super::terminating::{self, Cause};
use super::{Action, Exit, ExitCause, Pod, Settings, StartError, StartErrorReason, preparing, running, status, texts};
use crate::desired::Desired;
use crate::{Record, Severity};

/// What is known of a pod from before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prior {
    /// Its status as the API server has it.
    pub status: Option<PodStatus>,
    /// The highest N of `N.log` per container.
    pub highest_log: BTreeMap<String, u32>,
}

impl Prior {
    fn phase(&self) -> &str {
        self.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
    }

    fn is_terminal(&self) -> bool {
        matches!(self.phase(), "Succeeded" | "Failed")
    }

    fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == name)
    }
}

pub(super) fn refuse(
    now: Timestamp,
    desired: Arc<Desired>,
    prior: Prior,
    reason: String,
    message: String,
) -> (Pod, Vec<Action>) {
    let mut actions = Vec::new();
    let mut body = body(now, desired, &prior, Settings::default());
    if prior.is_terminal() {
        body.frozen = prior.status.map(status::own);
    } else {
        // Told again by an agent that starts again: the correlator of events counts it.
        actions.push(Action::Record(Record::pod(Severity::Warning, reason.clone(), message.clone())));
        body.containers.clear();
        body.refusal = Some((reason, message));
    }
    if body.desired.deletion.is_some() {
        actions.push(Action::Release { delete: true });
        return (Pod::Released(body), actions);
    }
    (Pod::Refused(body), actions)
}

pub(super) fn admit(now: Timestamp, desired: Arc<Desired>, prior: Prior, settings: Settings) -> (Pod, Vec<Action>) {
    let mut actions = Vec::new();
    let mut body = body(now, desired, &prior, settings);
    let cause = if body.desired.deletion.is_some() { Cause::Deleted } else { Cause::Completed };
    if prior.is_terminal() {
        body.frozen = prior.status.map(status::own);
        return (give_back(body, cause, now, &mut actions), actions);
    }
    if cause == Cause::Deleted {
        return (give_back(body, cause, now, &mut actions), actions);
    }
    report_unsupported(&body, &mut actions);
    if refuse_fields(&mut body, &mut actions) {
        return (Pod::Preparing(body), actions);
    }
    for index in 0..body.containers.len() {
        continue_container(&mut body, index, now, &mut actions);
    }
    if body.all_ended() {
        return (give_back(body, Cause::Completed, now, &mut actions), actions);
    }
    preparing::mount(&mut body, &mut actions);
    (Pod::Preparing(body), actions)
}

fn body(now: Timestamp, desired: Arc<Desired>, prior: &Prior, settings: Settings) -> Body {
    let seen = prior.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let containers = desired.containers.iter().map(|spec| container(&spec.name, now, prior, settings)).collect();
    Body {
        desired,
        settings,
        start_time: seen.unwrap_or(now),
        containers,
        mount: Setup::None,
        sandbox: Setup::None,
        refusal: None,
        frozen: None,
    }
}

/// An earlier agent may have died before it gave everything back; giving back what is not there does nothing.
fn give_back(mut body: Body, cause: Cause, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    body.mount = Setup::Done;
    terminating::begin(body, cause, now, actions)
}

fn container(name: &str, now: Timestamp, prior: &Prior, settings: Settings) -> Container {
    let mut container = Container::new(name, settings, &prior.highest_log);
    let Some(status) = prior.container(name) else { return container };
    container.image_id.clone_from(&status.image_id);
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.clone().and_then(|state| state.terminated).map(ended);
    if let Some(run) = state.running {
        let started_at = run.started_at.map_or(now, |time| time.0);
        container.current = Some(lost(started_at, now, status.container_id.clone()));
        container.previous = last;
    } else if let Some(terminated) = state.terminated {
        container.current = Some(ended(terminated));
        container.previous = last;
    } else {
        container.current = last;
    }
    if container.current.is_some() || status.restart_count > 0 {
        container.ran = true;
        container.attempt = container.attempt.max(u32::try_from(status.restart_count).unwrap_or(0));
    }
    container
}

fn lost(started_at: Timestamp, now: Timestamp, container_id: Option<String>) -> Ended {
    let exit = Exit {
        code: 255,
        cause: ExitCause::Lost,
        message: texts::LOST.to_owned(),
        started_at,
        finished_at: now.max(started_at),
    };
    let reason = texts::exit_reason(&exit).to_owned();
    Ended { exit, reason, container_id }
}

fn ended(terminated: ContainerStateTerminated) -> Ended {
    let at = |time: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    };
    let reason = terminated.reason.unwrap_or_default();
    let cause = match reason.as_str() {
        "OOMKilled" => ExitCause::OutOfMemory,
        "Unknown" => ExitCause::Lost,
        _ => ExitCause::Ended,
    };
    let (started_at, finished_at) = (at(terminated.started_at), at(terminated.finished_at));
    let message = terminated.message.unwrap_or_default();
    let exit = Exit { code: terminated.exit_code, cause, message, started_at, finished_at };
    Ended { exit, reason, container_id: terminated.container_id }
}

/// Decides about a container that ended before this agent started.
fn continue_container(body: &mut Body, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
    let Some(Ended { exit, .. }) = &body.containers[index].current else { return };
    let code = exit.code;
    let name = body.containers[index].name.clone();
    let policy = body.desired.restart_policy;
    if body.desired.container(&name).is_some_and(|container| container.restarts(policy, code)) {
        // Where it waits, it does so in its back-off; else it starts when the pod is prepared.
        running::schedule_restart(body, index, now, actions);
    } else {
        body.containers[index].phase = Phase::Ended;
    }
}

fn report_unsupported(body: &Body, actions: &mut Vec<Action>) {
    let reported = body.desired.reported.iter();
    actions.extend(reported.map(|field| Action::Record(texts::not_honoured(field))));
}

/// Fields that cannot be left out of account keep every container from starting. The pod stays Pending: failing it
/// would make its controller create it again and again.
fn refuse_fields(body: &mut Body, actions: &mut Vec<Action>) -> bool {
    let fields: Vec<String> = body
        .desired
        .refused
        .iter()
        .map(|field| format!("{} is not supported on this node: {}", field.path, field.why))
        .collect();
    if fields.is_empty() {
        return false;
    }
    let error = StartError { reason: StartErrorReason::CreateContainerConfigError, message: fields.join("; ") };
    actions.push(Action::Record(Record::pod(Severity::Warning, "Failed", format!("Error: {}", error.message))));
    for container in &mut body.containers {
        container.phase = Phase::StartFailed { error: error.clone(), retry_at: None };
    }
    true
}
