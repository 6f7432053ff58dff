//! Properties of what a pod's status says from one moment to the next.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use crate::desired::Desired;
use crate::pod::LiveRun;

/// A property that does not hold, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation(pub(super) &'static str, pub(super) String);

pub(super) fn check(holds: bool, name: &'static str, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(name, detail())) }
}

fn is_terminal(status: &PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

pub(super) fn terminal_stays(before: Option<&PodStatus>, after: &PodStatus) -> Result<(), Violation> {
    let Some(before) = before.filter(|status| is_terminal(status)) else { return Ok(()) };
    check(before.phase == after.phase, "a terminal phase never changes", || {
        format!("{:?} became {:?}", before.phase, after.phase)
    })
}

pub(super) fn terminal_means_dead(status: &PodStatus, live: &BTreeMap<String, LiveRun>) -> Result<(), Violation> {
    check(!is_terminal(status) || live.is_empty(), "a terminal phase means that nothing runs", || format!("{live:?}"))
}

pub(super) fn counts_never_fall(before: Option<&PodStatus>, after: &PodStatus) -> Result<(), Violation> {
    let counts = |status: &PodStatus| -> Vec<i32> {
        status.container_statuses.iter().flatten().map(|status| status.restart_count).collect()
    };
    let Some(before) = before else { return Ok(()) };
    let fell = counts(before).iter().zip(counts(after)).any(|(before, after)| *before > after);
    check(!fell, "restart counts never fall", || format!("{:?} became {:?}", counts(before), counts(after)))
}

/// The API server refuses a status in which a container runs or waits again that has ended for good.
pub(super) fn final_containers_stay(
    before: Option<&PodStatus>,
    after: &PodStatus,
    desired: &Desired,
) -> Result<(), Violation> {
    let ended_for_good = |status: &ContainerStatus| {
        let terminated = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        let spec = desired.container(&status.name);
        terminated.zip(spec).is_some_and(|(ended, spec)| !spec.restarts(desired.restart_policy, ended.exit_code))
    };
    let is_terminated =
        |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    let statuses = |status: &PodStatus| status.container_statuses.clone().unwrap_or_default();
    let Some(before) = before else { return Ok(()) };
    let mut pairs = statuses(before).into_iter().zip(statuses(after));
    let reopened = pairs.find(|(before, after)| ended_for_good(before) && !is_terminated(after));
    check(reopened.is_none(), "a container that ended for good is not opened again", || format!("{reopened:?}"))
}
