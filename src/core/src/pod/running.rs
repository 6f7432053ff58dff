//! Containers are started, end, and are started again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::body::{Body, after, stop_window};
use super::container::{Ended, Phase};
use super::terminating::{self, Cause};
use super::{Action, Event, Exit, Pod, StartError, StartErrorReason, image, texts};
use crate::Severity::{Normal, Warning};
use crate::desired::Desired;
use crate::run_id;

/// How often a missing object is looked for again; the kubelet's retry after a sync error.
const CONFIG_RETRY: SignedDuration = SignedDuration::from_secs(10);

/// A kill that brought no exit is repeated after this time.
const KILL_AGAIN: SignedDuration = SignedDuration::from_secs(10);

pub(super) fn step(mut body: Body, now: Timestamp, event: Event, actions: &mut Vec<Action>) -> Pod {
    match event {
        Event::Desired(desired) if desired.deletion.is_some() => {
            body.desired = desired;
            return terminating::begin(body, Cause::Deleted, now, actions);
        }
        Event::Desired(desired) => desired_changed(&mut body, now, desired, actions),
        Event::Gone => return terminating::begin(body, Cause::Gone, now, actions),
        Event::Pulling { container } => image::pulling(&mut body, &container, actions),
        Event::Pulled { container, image, result } => {
            image::pulled(&mut body, &container, &image, now, result, actions);
        }
        Event::Started { container, attempt, result } => {
            if started(&mut body, &container, attempt, now, result, actions) {
                stop_if_changed(&mut body, &container, now, actions);
            }
        }
        Event::Exited { container, attempt, exit } => exited(&mut body, &container, attempt, now, exit, actions),
        Event::Tick => tick(&mut body, now, actions),
        // Answers to what was asked for in another state.
        Event::Mounted(_) | Event::SandboxReady(_) | Event::SandboxRemoved | Event::Unmounted => {}
    }
    if body.all_ended() { terminating::begin(body, Cause::Completed, now, actions) } else { Pod::Running(body) }
}

/// An image may change in a live pod: the container is started again with it (contract section 3).
fn desired_changed(body: &mut Body, now: Timestamp, desired: Arc<Desired>, actions: &mut Vec<Action>) {
    let before = body.update(desired, actions);
    for index in 0..body.containers.len() {
        let name = body.containers[index].name.clone();
        let image = |desired: &Desired| desired.container(&name).map(|container| container.image.clone());
        if image(&before) == image(&body.desired) {
            continue;
        }
        let container = &mut body.containers[index];
        container.crash.reset();
        container.pull.reset();
        match container.phase {
            Phase::Starting => container.changed = true,
            Phase::Running { .. } => {
                container.changed = true;
                stop_if_changed(body, &name, now, actions);
            }
            Phase::Pulling { .. } | Phase::PullFailed { .. } | Phase::StartFailed { .. } | Phase::CrashLoop { .. } => {
                // What it waited for was the other image's.
                (container.phase, container.held) = (Phase::Waiting, None);
                image::pull(body, index, actions);
            }
            Phase::Waiting | Phase::Ended => {}
        }
    }
}

fn stop_if_changed(body: &mut Body, name: &str, now: Timestamp, actions: &mut Vec<Action>) {
    let window = stop_window(body.desired.grace_seconds);
    let Some(container) = body.container_mut(name) else { return };
    let Phase::Running { kill_at: kill_at @ None, .. } = &mut container.phase else { return };
    if !container.changed {
        return;
    }
    *kill_at = Some(after(now, window));
    let attempt = container.attempt;
    let message = format!("Container {name} definition changed, will be restarted");
    body.record(actions, Normal, "Killing", name, message);
    actions.push(Action::Stop { container: name.to_owned(), attempt });
}

/// Takes the answer to a start; true when the run is alive.
pub(super) fn started(
    body: &mut Body,
    name: &str,
    attempt: u32,
    now: Timestamp,
    result: Result<Timestamp, StartError>,
    actions: &mut Vec<Action>,
) -> bool {
    let Some(container) = body.container_mut(name) else { return false };
    if container.phase != Phase::Starting || container.attempt != attempt {
        return false;
    }
    match result {
        Ok(at) => {
            container.started(at);
            body.record(actions, Normal, "Created", name, "Container created");
            body.record(actions, Normal, "Started", name, "Container started");
            true
        }
        Err(error) => {
            let delay = match error.reason {
                StartErrorReason::CreateContainerConfigError => CONFIG_RETRY,
                StartErrorReason::CreateContainerError | StartErrorReason::RunContainerError => {
                    container.start.next_delay()
                }
            };
            // No run came of it, so that its number is free: the next one takes it.
            (container.attempt, container.ran) = attempt.checked_sub(1).map_or((0, false), |last| (last, true));
            let message = format!("Error: {}", error.message);
            container.phase = Phase::StartFailed { error, retry_at: Some(after(now, delay)) };
            body.record(actions, Warning, "Failed", name, message);
            false
        }
    }
}

/// Takes an exit; true when the run was alive. An exit that overtook the start's answer implies it.
pub(super) fn ended(
    body: &mut Body,
    name: &str,
    attempt: u32,
    now: Timestamp,
    exit: Exit,
    actions: &mut Vec<Action>,
) -> bool {
    let started_at = exit.started_at;
    if !body.container_mut(name).is_some_and(|container| container.is_current(attempt)) {
        return false;
    }
    started(body, name, attempt, now, Ok(started_at), actions);
    let sandbox = body.desired.pod.sandbox_id(0);
    let Some(container) = body.container_mut(name) else { return false };
    let container_id = format!("{}{}", texts::CONTAINER_ID_PREFIX, run_id(&sandbox, name, attempt));
    let reason = texts::exit_reason(&exit).to_owned();
    container.current = Some(Ended { exit, reason, container_id: Some(container_id) });
    container.phase = Phase::Ended;
    true
}

fn exited(body: &mut Body, name: &str, attempt: u32, now: Timestamp, exit: Exit, actions: &mut Vec<Action>) {
    let code = exit.code;
    if !ended(body, name, attempt, now, exit, actions) {
        return;
    }
    let Some(index) = body.index(name) else { return };
    let policy = body.desired.restart_policy;
    let wanted = body.desired.container(name).is_some_and(|container| container.restarts(policy, code));
    if body.containers[index].changed || wanted {
        restart(body, index, now, actions);
    }
}

/// Starts an ended container again, now or when its back-off is over.
pub(super) fn restart(body: &mut Body, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
    if schedule_restart(body, index, now, actions) {
        image::pull(body, index, actions);
    }
}

/// Puts an ended container into its back-off; true when there is none to wait for.
pub(super) fn schedule_restart(body: &mut Body, index: usize, now: Timestamp, actions: &mut Vec<Action>) -> bool {
    let container = &mut body.containers[index];
    let Some(Ended { exit, .. }) = &container.current else { return false };
    // An end that lies ahead is a clock that was set back since; nobody waits for that.
    let finished = exit.finished_at.min(now);
    let due = container.crash.due(exit.started_at, finished);
    if due <= now || std::mem::take(&mut container.changed) {
        return true;
    }
    container.phase = Phase::CrashLoop { until: due, delay: due.duration_since(finished) };
    let name = container.name.clone();
    let message = texts::back_off_restarting(&name, &body.desired.pod);
    body.record(actions, Warning, "BackOff", &name, message);
    false
}

fn tick(body: &mut Body, now: Timestamp, actions: &mut Vec<Action>) {
    for index in 0..body.containers.len() {
        match &body.containers[index].phase {
            Phase::PullFailed { .. } => image::tick(body, index, now, actions),
            Phase::StartFailed { retry_at: Some(at), .. } if *at <= now => image::pull(body, index, actions),
            Phase::CrashLoop { until, .. } if *until <= now => image::pull(body, index, actions),
            Phase::Running { .. } => kill_if_due(body, index, now, actions),
            Phase::Waiting
            | Phase::Pulling { .. }
            | Phase::Starting
            | Phase::StartFailed { .. }
            | Phase::CrashLoop { .. }
            | Phase::Ended => {}
        }
    }
}

/// The grace of a stop is over.
pub(super) fn kill_if_due(body: &mut Body, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
    let container = &mut body.containers[index];
    if let Phase::Running { kill_at: Some(at), .. } = &mut container.phase
        && *at <= now
    {
        *at = after(now, KILL_AGAIN);
        actions.push(Action::Kill { container: container.name.clone(), attempt: container.attempt });
    }
}
