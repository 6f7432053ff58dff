//! `v1::Pod` → [`Desired`]. Total: what makes no sense becomes a refused field, never a panic or a lost pod.

mod container;
mod env;
mod notes;
mod quantity;
mod scheduling;
#[cfg(test)]
mod tests;
mod volume;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Deletion, Desired, RestartPolicy, fields};
use crate::PodRef;
use notes::Notes;

/// `terminationGracePeriodSeconds` where the API server filled in none.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// Reads a pod. Called for every pod that the API server sends; the defaults are the API server's own, for pods that
/// come from elsewhere.
pub fn parse(pod: &v1::Pod) -> Desired {
    let spec = pod.spec.clone().unwrap_or_default();
    let meta = &pod.metadata;
    let mut notes = Notes::default();
    note_fields(&spec, &mut notes);
    let containers = container::containers(&spec.containers, &mut notes);
    let volumes = volume::volumes(spec.volumes.as_deref().unwrap_or_default(), &mut notes);
    let requests = quantity::pod_requests(&spec, &containers, &mut notes);
    let grace_seconds = grace(spec.termination_grace_period_seconds);
    let restart_policy = restart_policy(spec.restart_policy.as_deref(), "spec", &mut notes);
    let (refused, reported) = notes.into_lists();
    Desired {
        pod: pod_ref(meta),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        generation: meta.generation,
        labels: meta.labels.clone().unwrap_or_default(),
        annotations: meta.annotations.clone().unwrap_or_default(),
        deletion: deletion(meta, grace_seconds),
        grace_seconds,
        priority: spec.priority.unwrap_or_default(),
        restart_policy: restart_policy.unwrap_or(RestartPolicy::Always),
        containers,
        volumes,
        requests,
        node_affinity: scheduling::required_affinity(spec.affinity.as_ref()),
        node_selector: spec.node_selector.unwrap_or_default(),
        tolerations: scheduling::tolerations(spec.tolerations.as_deref().unwrap_or_default()),
        os: spec.os.map(|os| os.name),
        host_network: spec.host_network.unwrap_or_default(),
        hostname: non_empty(spec.hostname),
        service_account: non_empty(spec.service_account_name)
            .or_else(|| non_empty(spec.service_account))
            .unwrap_or_else(|| "default".to_owned()),
        runtime_class: non_empty(spec.runtime_class_name),
        image_pull_secrets: names(spec.image_pull_secrets),
        enable_service_links: spec.enable_service_links.unwrap_or(true),
        readiness_gates: spec.readiness_gates.into_iter().flatten().map(|gate| gate.condition_type).collect(),
        node_name: spec.node_name.unwrap_or_default(),
        refused,
        reported,
    }
}

/// Fields of the pod as a whole; containers and volumes note their own.
fn note_fields(spec: &v1::PodSpec, notes: &mut Notes) {
    notes.take("spec", fields::pod(spec));
    if let Some(resources) = &spec.resources {
        notes.take("spec.resources", fields::pod_resources(resources));
    }
    if let Some(context) = &spec.security_context {
        notes.take("spec.securityContext", fields::pod_security(context));
    }
}

fn pod_ref(meta: &ObjectMeta) -> PodRef {
    PodRef {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
    }
}

/// Negative values are 1, as the API server has it.
fn grace(seconds: Option<i64>) -> i64 {
    let seconds = seconds.unwrap_or(DEFAULT_GRACE_SECONDS);
    if seconds < 0 { 1 } else { seconds }
}

fn deletion(meta: &ObjectMeta, spec_grace: i64) -> Option<Deletion> {
    let at = meta.deletion_timestamp.as_ref()?.0;
    let grace_seconds = meta.deletion_grace_period_seconds.map_or(spec_grace, |seconds| grace(Some(seconds)));
    Some(Deletion { at, grace_seconds })
}

/// `restartPolicy` of a pod or container; `None`: unset, or refused.
fn restart_policy(text: Option<&str>, object: &str, notes: &mut Notes) -> Option<RestartPolicy> {
    match text.filter(|text| !text.is_empty())? {
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => {
            notes.refuse(format!("{object}.restartPolicy"), "not one of `Always`, `OnFailure` and `Never`");
            None
        }
    }
}

/// In the API, an empty text and none mean the same.
fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Entries without a name are valid, and mean nothing.
fn names(references: Option<Vec<v1::LocalObjectReference>>) -> Vec<String> {
    references.into_iter().flatten().filter_map(|reference| non_empty(Some(reference.name))).collect()
}
