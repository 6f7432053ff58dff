//! Pod conditions (contract section 4.3), in the order in which the kubelet writes them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::PodEnd;
use super::super::body::{Body, Setup};
use super::{Facts, whole_second};

/// Type, truth, reason and message.
type Draft = (&'static str, bool, Option<&'static str>, Option<String>);

/// Conditions that this node writes.
const OWN: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

pub(super) fn is_own(type_: &str) -> bool {
    OWN.contains(&type_)
}

pub(super) fn conditions(
    body: &Body,
    facts: &Facts<'_>,
    status: &PodStatus,
    now: Timestamp,
    previous: Option<&PodStatus>,
) -> Vec<PodCondition> {
    let containers_ready = containers_ready(status.container_statuses.as_deref().unwrap_or_default(), facts.phase);
    let ready = ready(body, &containers_ready, previous);
    let drafts = [
        ("PodReadyToStartContainers", body.sandbox == Setup::Done, None, None),
        initialized(facts.phase),
        ready,
        containers_ready,
        ("PodScheduled", true, None, None),
    ];
    let drafts = drafts.into_iter().chain(facts.end.and_then(disruption));
    drafts.map(|draft| condition(draft, body, now, previous)).collect()
}

/// Written with the final phase only (contract section 4.3).
fn disruption(end: &PodEnd) -> Option<Draft> {
    let message = end.message.clone().into_owned();
    end.is_disruption.then_some(("DisruptionTarget", true, Some("TerminationByKubelet"), Some(message)))
}

fn initialized(phase: &str) -> Draft {
    ("Initialized", true, (phase == "Succeeded").then_some("PodCompleted"), None)
}

fn containers_ready(statuses: &[ContainerStatus], phase: &str) -> Draft {
    const TYPE: &str = "ContainersReady";
    let unready: Vec<&str> =
        statuses.iter().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    match phase {
        "Succeeded" => (TYPE, false, Some("PodCompleted"), None),
        "Failed" => (TYPE, false, Some("PodFailed"), None),
        _ if unready.is_empty() => (TYPE, true, None, None),
        _ => {
            let message = format!("containers with unready status: [{}]", unready.join(" "));
            (TYPE, false, Some("ContainersNotReady"), Some(message))
        }
    }
}

/// As ContainersReady, and every readiness gate's condition is true.
fn ready(body: &Body, containers_ready: &Draft, previous: Option<&PodStatus>) -> Draft {
    let (_, true, ..) = containers_ready else {
        let (_, truth, reason, message) = containers_ready.clone();
        return ("Ready", truth, reason, message);
    };
    let gates: Vec<String> = body.desired.readiness_gates.iter().filter_map(|gate| closed(gate, previous)).collect();
    if gates.is_empty() {
        return ("Ready", true, None, None);
    }
    ("Ready", false, Some("ReadinessGatesNotReady"), Some(gates.join(", ")))
}

fn closed(gate: &str, previous: Option<&PodStatus>) -> Option<String> {
    match find(previous, gate) {
        None => Some(format!("corresponding condition of pod readiness gate {gate:?} does not exist.")),
        Some(condition) if condition.status == "True" => None,
        Some(condition) => {
            Some(format!("the status of pod readiness gate {gate:?} is not \"True\", but {}", condition.status))
        }
    }
}

fn find<'a>(status: Option<&'a PodStatus>, type_: &str) -> Option<&'a PodCondition> {
    status?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

fn condition(draft: Draft, body: &Body, now: Timestamp, previous: Option<&PodStatus>) -> PodCondition {
    let (type_, truth, reason, message) = draft;
    let status = if truth { "True" } else { "False" };
    let kept = find(previous, type_)
        .filter(|condition| condition.status == status)
        .and_then(|condition| condition.last_transition_time.clone());
    PodCondition {
        last_probe_time: None,
        last_transition_time: Some(kept.unwrap_or_else(|| Time(whole_second(now)))),
        message,
        observed_generation: body.desired.generation,
        reason: reason.map(str::to_owned),
        status: status.to_owned(),
        type_: type_.to_owned(),
    }
}
