//! One container, from what an earlier agent and the provider say of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::body::{Body, after};
use super::super::container::{Container, Ended, Phase};
use super::super::{Exit, ExitCause, Settings, texts};
use super::{LiveRun, Prior};
use crate::desired::Desired;

/// Leaves only those exits that the status does not show yet: an earlier agent may have died between acting upon an
/// exit and acknowledging it.
pub(super) fn forget_what_was_told(desired: &Desired, prior: &mut Prior) {
    prior.live.retain(|name, _| desired.container(name).is_some());
    let mut exits = std::mem::take(&mut prior.exits);
    exits.retain(|name, (attempt, _)| {
        let news = prior.container(name).is_none_or(|status| is_news(status, desired, *attempt));
        news && !prior.live.contains_key(name) && desired.container(name).is_some()
    });
    prior.exits = exits;
}

fn is_news(status: &ContainerStatus, desired: &Desired, attempt: u32) -> bool {
    let id = texts::container_id(&desired.pod, &status.name, attempt);
    let states = [&status.state, &status.last_state].into_iter().flatten();
    let shown = states.filter_map(|state| state.terminated.as_ref()?.container_id.as_ref()).any(|shown| *shown == id);
    !shown && u32::try_from(status.restart_count).unwrap_or(0) <= attempt
}

/// A container as it was. One whose exit is about to be told is as alive as one that lives.
pub(super) fn recall(desired: &Desired, name: &str, now: Timestamp, prior: &Prior, settings: Settings) -> Container {
    let mut container = Container::new(name, settings, &prior.highest_log);
    let exited = |(attempt, exit): &(u32, Exit)| LiveRun { attempt: *attempt, started_at: exit.started_at };
    let live = prior.live.get(name).copied().or_else(|| prior.exits.get(name).map(exited));
    if let Some(status) = prior.container(name) {
        container.image_id.clone_from(&status.image_id);
        container.image.clone_from(&status.image);
        (container.current, container.previous) = ends(status, live.is_some(), now);
        if container.current.is_some() || status.restart_count > 0 {
            container.ran = true;
            container.attempt = container.attempt.max(u32::try_from(status.restart_count).unwrap_or(0));
        }
    }
    wait_on(&mut container, prior.container(name), now, settings);
    if let Some(LiveRun { attempt, started_at }) = live {
        (container.attempt, container.ran) = (attempt, true);
        container.asked_at = earliest(prior, name, attempt);
        container.phase = Phase::Running { started_at: container.began(started_at, now), kill_at: None };
    }
    container.changed = is_changed(&container, desired, prior);
    container
}

/// The run that is shown began when it is shown to have begun, any other one after the latest that ended.
fn earliest(prior: &Prior, name: &str, attempt: u32) -> Timestamp {
    let status = prior.container(name);
    let state = status.and_then(|status| status.state.as_ref());
    let shown = state.and_then(|state| state.running.as_ref()?.started_at.clone());
    let is_shown = status.is_some_and(|status| u32::try_from(status.restart_count) == Ok(attempt));
    let last = status.and_then(|status| status.last_state.as_ref());
    let ended = [state, last].into_iter().flatten().filter_map(|state| state.terminated.as_ref()?.finished_at.clone());
    let pod = prior.status.as_ref().and_then(|status| status.start_time.clone());
    let known = shown.filter(|_| is_shown).or_else(|| ended.max()).or(pod);
    known.map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// Whether it has to start again whatever its policy says: its image is another one now, or was already when it ended,
/// so that it waits for its next run though its policy lets it rest.
fn is_changed(container: &Container, desired: &Desired, prior: &Prior) -> bool {
    let Some(spec) = desired.container(&container.name) else { return false };
    if matches!(container.phase, Phase::Running { .. }) {
        return !container.image.is_empty() && container.image != spec.image;
    }
    let state = prior.container(&container.name).and_then(|status| status.state.as_ref());
    let waits = state.is_some_and(|state| state.waiting.is_some());
    let rests = |ended: &Ended| !spec.restarts(desired.restart_policy, ended.exit.code);
    waits && container.current.as_ref().is_some_and(rests)
}

/// A container in its back-off stays there: a restart of the agent is no reason to start it.
fn wait_on(container: &mut Container, status: Option<&ContainerStatus>, now: Timestamp, settings: Settings) {
    let waiting = status.and_then(|status| status.state.as_ref()?.waiting.as_ref());
    let Some(waiting) = waiting.filter(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff")) else { return };
    let delay = waiting.message.as_deref().and_then(texts::crash_loop_delay);
    if let Some((delay, ended)) = delay.zip(container.current.as_ref()) {
        let delay = delay.clamp(SignedDuration::ZERO, settings.restart_cap);
        // An end that lies ahead is a clock that was set back since.
        let until = after(ended.exit.finished_at.min(now), delay);
        container.crash.resume(delay);
        container.phase = Phase::CrashLoop { until, delay };
    }
}

/// How the latest run ended, and how the one before it did; of a container that lives there is only the latter.
fn ends(status: &ContainerStatus, lives: bool, now: Timestamp) -> (Option<Ended>, Option<Ended>) {
    let ContainerState { running, terminated, .. } = status.state.clone().unwrap_or_default();
    let last = status.last_state.clone().and_then(|state| state.terminated).map(ended);
    match (running, terminated) {
        (Some(_), _) if lives => (None, last),
        (Some(run), _) => {
            let started_at = run.started_at.map_or(now, |time| time.0);
            (Some(lost(started_at, now, status.container_id.clone())), last)
        }
        (None, Some(terminated)) if lives => (None, Some(ended(terminated))),
        (None, Some(terminated)) => (Some(ended(terminated)), last),
        (None, None) if lives => (None, last),
        (None, None) => (last, None),
    }
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
    let at = |time: Option<Time>| time.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let reason = terminated.reason.unwrap_or_default();
    let cause = match reason.as_str() {
        "OOMKilled" => ExitCause::OutOfMemory,
        "Unknown" => ExitCause::Lost,
        "StartError" => ExitCause::NotStarted,
        _ => ExitCause::Ended,
    };
    let (started_at, finished_at) = (at(terminated.started_at), at(terminated.finished_at));
    let message = terminated.message.unwrap_or_default();
    let exit = Exit { code: terminated.exit_code, cause, message, started_at, finished_at };
    Ended { exit, reason, container_id: terminated.container_id }
}

/// A run that was begun after the one whose exit was told now has used its number, too.
pub(super) fn keep_number(body: &mut Body, name: &str, logs: &BTreeMap<String, u32>) {
    if let Some((container, logged)) = body.container_mut(name).zip(logs.get(name)) {
        container.attempt = container.attempt.max(*logged);
    }
}
