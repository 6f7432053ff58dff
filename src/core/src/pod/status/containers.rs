//! Container statuses (contract sections 4.4 to 4.6).

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::container::{Container, Ended, Phase};
use super::super::{Pod, PullErrorKind, texts};
use super::whole_second;
use crate::desired::{self, Desired};

pub(super) fn statuses(pod: &Pod, final_states: bool) -> Vec<ContainerStatus> {
    let body = pod.body();
    body.containers.iter().map(|container| status(container, &body.desired, final_states)).collect()
}

fn status(container: &Container, desired: &Desired, final_states: bool) -> ContainerStatus {
    let (state, last_state) = states(container, desired, final_states);
    let running = matches!(container.phase, Phase::Running { .. });
    let spec = desired.container(&container.name);
    ContainerStatus {
        name: container.name.clone(),
        container_id: container_id(container, desired),
        image: image(container, spec),
        image_id: container.image_id.clone(),
        ready: running,
        started: Some(running),
        restart_count: i32::try_from(restart_count(container)).unwrap_or(i32::MAX),
        state: Some(state),
        last_state: Some(last_state),
        volume_mounts: spec.map(|spec| spec.mounts.iter().map(volume_mount).collect()),
        allocated_resources: spec.and_then(|spec| spec.resources.as_ref()?.requests.clone()),
        resources: spec.and_then(|spec| spec.resources.clone()),
        ..ContainerStatus::default()
    }
}

/// The image of the run that is shown, which may not be the spec's any more: the next agent has to see that. Of one
/// that is yet to be started the image that it will have.
fn image(container: &Container, spec: Option<&desired::Container>) -> String {
    let is_shown = matches!(container.phase, Phase::Running { .. } | Phase::Starting | Phase::Ended);
    let own = Some(&container.image).filter(|image| is_shown && !image.is_empty());
    own.or_else(|| spec.map(|spec| &spec.image)).cloned().unwrap_or_default()
}

fn volume_mount(mount: &desired::VolumeMount) -> VolumeMountStatus {
    VolumeMountStatus {
        mount_path: mount.path.clone(),
        name: mount.volume.clone(),
        read_only: mount.read_only.then_some(true),
        recursive_read_only: mount.read_only.then(|| "Disabled".to_owned()),
        ..VolumeMountStatus::default()
    }
}

/// The number of the run that the state shows: a run that is being started does not count yet.
fn restart_count(container: &Container) -> u32 {
    if container.phase == Phase::Starting { container.attempt.saturating_sub(1) } else { container.attempt }
}

fn container_id(container: &Container, desired: &Desired) -> Option<String> {
    match (&container.phase, &container.current) {
        (Phase::Running { .. }, _) => Some(texts::container_id(&desired.pod, &container.name, container.attempt)),
        (_, Some(ended)) => ended.container_id.clone(),
        (_, None) => None,
    }
}

/// State and last state. A run that ended is the state until the next one runs, unless there is a reason to wait.
fn states(container: &Container, desired: &Desired, final_states: bool) -> (ContainerState, ContainerState) {
    let current = container.current.as_ref().map(terminated);
    let previous = container.previous.as_ref().map(terminated);
    if let Phase::Running { started_at, .. } = &container.phase {
        let running = ContainerStateRunning { started_at: Some(Time(whole_second(*started_at))) };
        return (ContainerState { running: Some(running), ..ContainerState::default() }, last(previous));
    }
    if let Some(waiting) = waiting(container, desired) {
        return (state_waiting(waiting), last(current.or(previous)));
    }
    match current {
        Some(current) => (ended_as(current), last(previous)),
        None if final_states => (ended_as(not_located()), last(previous)),
        None => (state_waiting(reason("ContainerCreating", None)), last(previous)),
    }
}

fn last(terminated: Option<ContainerStateTerminated>) -> ContainerState {
    ContainerState { terminated, ..ContainerState::default() }
}

fn ended_as(terminated: ContainerStateTerminated) -> ContainerState {
    last(Some(terminated))
}

fn state_waiting(waiting: ContainerStateWaiting) -> ContainerState {
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn reason(reason: &str, message: Option<String>) -> ContainerStateWaiting {
    ContainerStateWaiting { reason: Some(reason.to_owned()), message }
}

/// Why a container is kept waiting, if something keeps it.
fn waiting(container: &Container, desired: &Desired) -> Option<ContainerStateWaiting> {
    let retried = matches!(container.phase, Phase::Pulling { .. } | Phase::Starting);
    let phase = container.held.as_ref().filter(|_| retried).unwrap_or(&container.phase);
    let is_begun = retried || container.changed && container.phase == Phase::Waiting;
    let reopened = || (is_begun && reopened(container, desired)).then(|| reason("ContainerCreating", None));
    kept_waiting(phase, &container.name, desired).or_else(reopened)
}

/// Whether a container is started again that its policy lets rest, because its image changed. The API server takes a
/// final state for final, so that it must never see it.
fn reopened(container: &Container, desired: &Desired) -> bool {
    let ended = container.current.as_ref().zip(desired.container(&container.name));
    ended.is_some_and(|(ended, spec)| !spec.restarts(desired.restart_policy, ended.exit.code))
}

fn kept_waiting(phase: &Phase, name: &str, desired: &Desired) -> Option<ContainerStateWaiting> {
    match phase {
        Phase::PullFailed { error, backing_off, .. } => Some(match error.kind {
            PullErrorKind::NeverPull => reason("ErrImageNeverPull", Some(error.message.clone())),
            PullErrorKind::InvalidName => reason("InvalidImageName", Some(error.message.clone())),
            PullErrorKind::Failed | PullErrorKind::NotWasm if *backing_off => {
                let image = desired.container(name).map(|spec| spec.image.as_str()).unwrap_or_default();
                let message = format!("Back-off pulling image {image:?}: ErrImagePull: {}", error.message);
                reason("ImagePullBackOff", Some(message))
            }
            PullErrorKind::Failed | PullErrorKind::NotWasm => reason("ErrImagePull", Some(error.message.clone())),
        }),
        Phase::StartFailed { error, .. } => Some(reason(error.reason.as_str(), Some(error.message.clone()))),
        Phase::CrashLoop { delay, .. } => {
            Some(reason("CrashLoopBackOff", Some(texts::crash_loop(*delay, name, &desired.pod))))
        }
        Phase::Waiting | Phase::Pulling { .. } | Phase::Starting | Phase::Running { .. } | Phase::Ended => None,
    }
}

fn terminated(ended: &Ended) -> ContainerStateTerminated {
    ContainerStateTerminated {
        container_id: ended.container_id.clone(),
        exit_code: ended.exit.code,
        finished_at: Some(Time(whole_second(ended.exit.finished_at))),
        message: (!ended.exit.message.is_empty()).then(|| ended.exit.message.clone()),
        reason: Some(ended.reason.clone()),
        signal: None,
        started_at: Some(Time(whole_second(ended.exit.started_at))),
    }
}

fn not_located() -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".to_owned()),
        message: Some(texts::NOT_LOCATED.to_owned()),
        ..ContainerStateTerminated::default()
    }
}
