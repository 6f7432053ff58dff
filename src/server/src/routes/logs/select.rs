//! Which instance of a container a log request means, from the pod's status: the kubelet's
//! `validateContainerLogStatus`.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus};
use wasmnode_core::{PodRef, run_id};

use super::LogError;

/// One run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Container name.
    pub container: String,
    /// The N of its `N.log`.
    pub attempt: u32,
    /// containerID with its scheme.
    pub container_id: String,
    /// It runs, so that its log may grow.
    pub running: bool,
}

/// The instance whose log is meant: the current one if it has run, else the last one that has; with `previous` the
/// one before the current one, or while waiting to restart the last one.
///
/// # Errors
/// Those that say that there is none: [`LogError::ContainerUnknown`] for the spec, others for the status.
pub fn select(pod: &Pod, container: &str, previous: bool) -> Result<Instance, LogError> {
    let names = || (container.to_owned(), pod.metadata.name.clone().unwrap_or_default());
    if !pod.spec.as_ref().is_some_and(|spec| has_container(spec, container)) {
        let (container, pod) = names();
        return Err(LogError::ContainerUnknown { container, pod });
    }
    let Some(status) = pod.status.as_ref().and_then(|status| find_status(status, container)) else {
        let (container, pod) = names();
        return Err(LogError::NotAvailable { container, pod });
    };
    let (id, current) = choose(status, previous).map_err(|reason| reason.named(names()))?;
    let running = current && status.state.as_ref().is_some_and(|state| state.running.is_some());
    let attempt = attempt(pod, status, &id, current);
    Ok(Instance { container: container.to_owned(), attempt, container_id: id, running })
}

/// Why no instance was chosen.
enum NoInstance {
    NoPrevious,
    NeverRan,
    Waiting(String),
    NoState,
}

/// containerID of the instance, and whether it is the one that the state shows.
fn choose(status: &ContainerStatus, previous: bool) -> Result<(String, bool), NoInstance> {
    let none = ContainerState::default();
    let state = status.state.as_ref().unwrap_or(&none);
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let last_id = || last.and_then(id_of);
    if previous {
        return last_id().map(|id| (id, false)).ok_or(NoInstance::NoPrevious);
    }
    if state.running.is_some() {
        return Ok((status.container_id.clone().unwrap_or_default(), true));
    }
    if let Some(terminated) = &state.terminated {
        let current = id_of(terminated).map(|id| (id, true));
        return current.or_else(|| last_id().map(|id| (id, false))).ok_or(NoInstance::NeverRan);
    }
    if last.is_some() {
        return last_id().map(|id| (id, false)).ok_or(NoInstance::NeverRan);
    }
    Err(match &state.waiting {
        Some(waiting) => NoInstance::Waiting(waiting.reason.clone().unwrap_or_default()),
        None => NoInstance::NoState,
    })
}

/// The attempt that `id` names. Run ids are hashes of the attempt, so the likely ones are tried; an id of another
/// sandbox is placed by the restart count, which while waiting is still that of the last instance.
fn attempt(pod: &Pod, status: &ContainerStatus, id: &str, current: bool) -> u32 {
    let restarts = u32::try_from(status.restart_count).unwrap_or_default();
    let reference = PodRef {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    };
    let sandbox = reference.sandbox_id(0);
    let bare = id.split_once("://").map_or(id, |(_, bare)| bare);
    let likely = (0..=2).filter_map(|back| restarts.checked_sub(back));
    let named = likely.into_iter().find(|attempt| run_id(&sandbox, &status.name, *attempt) == bare);
    let waiting = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
    named.unwrap_or_else(|| if current || waiting { restarts } else { restarts.saturating_sub(1) })
}

fn has_container(spec: &PodSpec, name: &str) -> bool {
    let init = spec.init_containers.iter().flatten();
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    spec.containers.iter().chain(init).map(|c| &c.name).chain(ephemeral.map(|c| &c.name)).any(|n| n == name)
}

fn find_status<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| status.name == name)
}

fn id_of(terminated: &ContainerStateTerminated) -> Option<String> {
    terminated.container_id.clone().filter(|id| !id.is_empty())
}

// === impl NoInstance ===

impl NoInstance {
    fn named(self, (container, pod): (String, String)) -> LogError {
        match self {
            Self::NoPrevious => LogError::PreviousNotFound { container, pod },
            Self::NeverRan => LogError::Terminated { container, pod },
            Self::NoState => LogError::NoLogsYet { container, pod },
            Self::Waiting(reason) => {
                let reason = match reason.as_str() {
                    "ErrImagePull" => "image can't be pulled".to_owned(),
                    "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
                    _ => reason,
                };
                LogError::Waiting { container, pod, reason }
            }
        }
    }
}
