//! What the API server is told: phase, conditions and container statuses (contract sections 4.2 to 4.6).

mod conditions;
mod containers;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::body::{Body, Setup};
use super::container::{Container, Phase};
use super::{Pod, PodEnd};

/// Addresses of the node, primary family first. Until pods have addresses of their own, theirs too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeAddresses {
    /// InternalIPs.
    pub ips: Vec<String>,
}

impl Pod {
    /// The status to report. `previous` is the one reported last: transition times are kept from it.
    pub fn status(&self, now: Timestamp, node: &NodeAddresses, previous: Option<&PodStatus>) -> PodStatus {
        let body = self.body();
        if let Some(frozen) = &body.frozen {
            return PodStatus { observed_generation: body.desired.generation, ..frozen.clone() };
        }
        if let Some((reason, message)) = &body.refusal {
            return refused(body, reason, message);
        }
        let facts = Facts::of(self);
        let mut status = PodStatus {
            observed_generation: body.desired.generation,
            phase: Some(facts.phase.to_owned()),
            reason: facts.end.map(|end| end.reason.clone().into_owned()),
            message: facts.end.map(|end| end.message.clone().into_owned()),
            start_time: Some(Time(whole_second(body.start_time))),
            container_statuses: Some(containers::statuses(self, facts.final_states)),
            ..PodStatus::default()
        };
        addresses(body, node, previous, &mut status);
        status.conditions = Some(conditions::conditions(body, &facts, &status, now, previous));
        status
    }
}

/// What of a status from the API server is this node's to repeat: conditions of others are not.
pub(super) fn own(mut status: PodStatus) -> PodStatus {
    status.conditions.iter_mut().for_each(|all| all.retain(|condition| conditions::is_own(&condition.type_)));
    status
}

/// Timestamps of the API are whole seconds; a fraction would make every comparison with what came back fail.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// What follows from the containers as a whole.
struct Facts<'a> {
    phase: &'static str,
    /// Containers that never ended get a final state (contract section 4.11).
    final_states: bool,
    /// Why the node ended it; withheld like the phase.
    end: Option<&'a PodEnd>,
}

impl<'a> Facts<'a> {
    fn of(pod: &'a Pod) -> Self {
        let over = pod.body().containers.iter().all(|container| matches!(container.phase, Phase::Ended));
        let final_states = pod.was_ended() && over;
        let end = pod.body().end.as_ref().filter(|_| over);
        let phase = if end.is_some() { "Failed" } else { phase(&pod.body().containers, final_states) };
        Self { phase, final_states, end }
    }
}

/// Contract section 4.2. A terminal phase needs every container to have ended for good, so that it is never shown
/// while one may be running.
fn phase(containers: &[Container], final_states: bool) -> &'static str {
    let all_ended = containers.iter().all(|container| container.phase == Phase::Ended);
    let succeeded = containers.iter().all(|c| c.current.as_ref().is_some_and(|ended| ended.exit.code == 0));
    let waiting = containers.iter().any(|c| c.current.is_none() && !matches!(c.phase, Phase::Running { .. }));
    match (all_ended, succeeded) {
        (true, true) => "Succeeded",
        (true, false) if final_states || !waiting => "Failed",
        _ if waiting => "Pending",
        _ => "Running",
    }
}

fn refused(body: &Body, reason: &str, message: &str) -> PodStatus {
    PodStatus {
        observed_generation: body.desired.generation,
        phase: Some("Failed".to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(format!("Pod was rejected: {message}")),
        start_time: Some(Time(whole_second(body.start_time))),
        ..PodStatus::default()
    }
}

/// A pod that had an address keeps showing it after its sandbox is gone.
fn addresses(body: &Body, node: &NodeAddresses, previous: Option<&PodStatus>, status: &mut PodStatus) {
    status.host_ip = node.ips.first().cloned();
    status.host_ips = Some(node.ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let had = previous.is_some_and(|previous| previous.pod_ip.is_some());
    if body.sandbox == Setup::Done || body.desired.host_network || had {
        status.pod_ip = node.ips.first().cloned();
        status.pod_ips = Some(node.ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect());
    }
}
