//! How a pod begins, given what an earlier agent left: its status at the API server, its log files, and what runs.
//!
//! Containers outlive the agent. Those that live go on as if nothing had happened, and how others ended meanwhile is
//! acted upon as if it had just been told. A container that was running, of which the provider knows nothing, was lost
//! with the process that held it: it shows exit code 255, reason `Unknown`, and starts again by its policy. What had
//! finished stays finished.

mod containers;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use super::body::{Body, Setup};
use super::container::Phase;
use super::terminating::{self, Cause};
use super::{Action, Exit, Pod, Settings, StartError, StartErrorReason, image, preparing, running, status, texts};
use crate::backoff::Backoff;
use crate::desired::Desired;
use crate::{Record, Severity};

/// What is known of a pod from before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prior {
    /// Its status as the API server has it.
    pub status: Option<PodStatus>,
    /// The highest N of `N.log` per container.
    pub highest_log: BTreeMap<String, u32>,
    /// Whether the provider has its sandbox.
    pub sandbox: bool,
    /// Runs that are alive, by container.
    pub live: BTreeMap<String, LiveRun>,
    /// How the latest run of a container ended that does not live, with its number, if nobody acknowledged that.
    pub exits: BTreeMap<String, (u32, Exit)>,
}

/// A run that outlived the agent which started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveRun {
    /// Its number.
    pub attempt: u32,
    /// When its code was entered.
    pub started_at: Timestamp,
}

// === impl Prior ===

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

pub(super) fn admit(now: Timestamp, desired: Arc<Desired>, mut prior: Prior, settings: Settings) -> (Pod, Vec<Action>) {
    let mut actions = Vec::new();
    if prior.is_terminal() {
        // Nothing that ended since can change what was said last.
        prior.exits.clear();
    }
    containers::forget_what_was_told(&desired, &mut prior);
    let mut body = body(now, desired, &prior, settings);
    let cause = if body.desired.deletion.is_some() { Cause::Deleted } else { Cause::Completed };
    if prior.is_terminal() {
        body.frozen = prior.status.map(status::own);
        return (give_back(body, cause, now, &mut actions), actions);
    }
    for (name, (attempt, exit)) in std::mem::take(&mut prior.exits) {
        running::ended(&mut body, &name, attempt, now, exit, &mut actions);
        containers::keep_number(&mut body, &name, &prior.highest_log);
    }
    if cause == Cause::Deleted {
        return (give_back(body, cause, now, &mut actions), actions);
    }
    let pod = if prior.live.is_empty() { begin(body, now, &mut actions) } else { adopt(body, now, &mut actions) };
    (pod, actions)
}

/// Nothing of it runs: it is prepared as a new one is.
fn begin(mut body: Body, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    report_unsupported(&body, actions);
    if refuse_fields(&mut body, actions) {
        return Pod::Preparing(body);
    }
    continue_all(&mut body, now, actions);
    if body.all_ended() {
        return give_back(body, Cause::Completed, now, actions);
    }
    preparing::mount(&mut body, actions);
    Pod::Preparing(body)
}

/// Some of it lives, so that it is prepared. What its fields have to be told was told when it was begun.
fn adopt(mut body: Body, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    (body.mount, body.sandbox) = (Setup::Done, Setup::Done);
    continue_all(&mut body, now, actions);
    for index in 0..body.containers.len() {
        image::begin(&mut body, index, now, actions);
        // The image may have been changed while no agent was there to see it.
        let name = body.containers[index].name.clone();
        running::stop_if_changed(&mut body, &name, now, actions);
    }
    Pod::Running(body)
}

fn body(now: Timestamp, desired: Arc<Desired>, prior: &Prior, settings: Settings) -> Body {
    let seen = prior.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let names = desired.containers.iter().map(|spec| &spec.name);
    let containers = names.map(|name| containers::recall(&desired, name, now, prior, settings)).collect();
    let (first, cap) = preparing::SANDBOX_RETRY;
    Body {
        desired,
        settings,
        start_time: seen.unwrap_or(now),
        containers,
        mount: Setup::None,
        sandbox: if prior.sandbox { Setup::Done } else { Setup::None },
        unresolved: Backoff::new(first, cap),
        lost: None,
        end: None,
        refusal: None,
        frozen: None,
    }
}

/// An earlier agent may have died before it gave everything back; giving back what is not there does nothing.
fn give_back(mut body: Body, cause: Cause, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    body.mount = Setup::Done;
    terminating::resume(body, cause, now, actions)
}

/// Decides about the containers that ended before this agent started.
fn continue_all(body: &mut Body, now: Timestamp, actions: &mut Vec<Action>) {
    for index in 0..body.containers.len() {
        let container = &mut body.containers[index];
        let Some(ended) = container.current.as_ref() else { continue };
        if matches!(container.phase, Phase::CrashLoop { .. }) {
            continue;
        }
        let code = ended.exit.code;
        let name = container.name.clone();
        let policy = body.desired.restart_policy;
        let is_changed = container.changed;
        if body.desired.container(&name).is_some_and(|spec| is_changed || spec.restarts(policy, code)) {
            // Where it waits, it does so in its back-off; else it starts when the pod is prepared.
            body.containers[index].phase = Phase::Waiting;
            running::schedule_restart(body, index, now, actions);
        } else {
            body.containers[index].phase = Phase::Ended;
        }
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
