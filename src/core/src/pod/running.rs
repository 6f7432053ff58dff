//! Containers are started, end, and are started again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::body::{Body, after, stop_window};
use super::container::{Container, Ended, Phase};
use super::terminating::{self, Cause};
use super::{Action, Event, Exit, ExitCause, Pod, StartError, StartErrorReason, image, texts};
use crate::Severity::{Normal, Warning};
use crate::desired::Desired;

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
        Event::End(end) => return terminating::end(body, end, now, actions),
        Event::Pulling { container } => image::pulling(&mut body, &container, actions),
        Event::Pulled { container, image, result } => {
            image::pulled(&mut body, &container, &image, now, result, actions);
        }
        Event::Started { container, attempt, result } => {
            match started(&mut body, &container, attempt, now, result, actions) {
                Entered::Alive => stop_if_changed(&mut body, &container, now, actions),
                Entered::Ended => go_on(&mut body, &container, now, actions),
                Entered::Failed | Entered::Unexpected => {}
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

pub(super) fn stop_if_changed(body: &mut Body, name: &str, now: Timestamp, actions: &mut Vec<Action>) {
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

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// The run is alive.
    Alive,
    /// There was none: its number is free, and it is tried again.
    Failed,
    /// It ended before it began.
    Ended,
    /// Nobody waited for that answer.
    Unexpected,
}

/// Takes the answer to a start.
pub(super) fn started(
    body: &mut Body,
    name: &str,
    attempt: u32,
    now: Timestamp,
    result: Result<Timestamp, StartError>,
    actions: &mut Vec<Action>,
) -> Entered {
    let container_id = texts::container_id(&body.desired.pod, name, attempt);
    let Some(container) = body.container_mut(name) else { return Entered::Unexpected };
    if container.phase != Phase::Starting || container.attempt != attempt {
        return Entered::Unexpected;
    }
    match result {
        Ok(at) => {
            container.started(container.began(at, now));
            body.record(actions, Normal, "Created", name, "Container created");
            body.record(actions, Normal, "Started", name, "Container started");
            Entered::Alive
        }
        Err(error) => {
            let message = format!("Error: {}", error.message);
            let entered = not_started(container, container_id, attempt, now, error);
            body.record(actions, Warning, "Failed", name, message);
            entered
        }
    }
}

fn not_started(
    container: &mut Container,
    container_id: String,
    attempt: u32,
    now: Timestamp,
    error: StartError,
) -> Entered {
    let delay = match error.reason {
        StartErrorReason::CreateContainerConfigError => CONFIG_RETRY,
        StartErrorReason::CreateContainerError | StartErrorReason::RunContainerError => container.start.next_delay(),
        StartErrorReason::StartError => {
            container.started(Timestamp::UNIX_EPOCH);
            container.ended(never_began(error.message, now), container_id);
            return Entered::Ended;
        }
    };
    // No run came of it, so that its number is free: the next one takes it.
    (container.attempt, container.ran) = attempt.checked_sub(1).map_or((0, false), |last| (last, true));
    container.phase = Phase::StartFailed { error, retry_at: Some(after(now, delay)) };
    Entered::Failed
}

/// Contract section 4.6.
fn never_began(message: String, now: Timestamp) -> Exit {
    Exit { code: 128, cause: ExitCause::NotStarted, message, started_at: Timestamp::UNIX_EPOCH, finished_at: now }
}

/// Takes an exit; true when the run was alive. An exit that overtook the start's answer implies it. Its times are
/// another process' word, and what a run lasted decides when the next one is due: they are kept to what can be.
pub(super) fn ended(
    body: &mut Body,
    name: &str,
    attempt: u32,
    now: Timestamp,
    mut exit: Exit,
    actions: &mut Vec<Action>,
) -> bool {
    if !body.container_mut(name).is_some_and(|container| container.is_current(attempt)) {
        return false;
    }
    started(body, name, attempt, now, Ok(exit.started_at), actions);
    if let Some(container) = body.container_mut(name) {
        exit.started_at = container.began(exit.started_at, now);
        exit.finished_at = exit.finished_at.max(exit.started_at).min(now);
    }
    if exit.cause == ExitCause::Lost {
        body.tell_lost(&exit, actions);
    }
    let container_id = texts::container_id(&body.desired.pod, name, attempt);
    let Some(container) = body.container_mut(name) else { return false };
    container.ended(exit, container_id);
    true
}

fn exited(body: &mut Body, name: &str, attempt: u32, now: Timestamp, exit: Exit, actions: &mut Vec<Action>) {
    if ended(body, name, attempt, now, exit, actions) {
        go_on(body, name, now, actions);
    }
}

/// What follows the end of a run.
fn go_on(body: &mut Body, name: &str, now: Timestamp, actions: &mut Vec<Action>) {
    let Some(index) = body.index(name) else { return };
    let Some(Ended { exit: Exit { code, .. }, .. }) = body.containers[index].current else { return };
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
    // What never began did not run for long either.
    let began = if exit.cause == ExitCause::NotStarted { finished } else { exit.started_at };
    let due = container.crash.due(began, finished);
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
