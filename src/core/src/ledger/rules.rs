//! The rules that look at one pod and the node only, with their texts.

use super::resources::Shortage;
use super::{NodeView, Refusal, matching};
use crate::desired::Desired;

const OS_LABEL: &str = "kubernetes.io/os";

pub(super) fn os(desired: &Desired, node: &NodeView) -> Result<(), Refusal> {
    // The kubelet compares a label of the pod here. Pods carry that label for other ends, and refusing them would
    // make their controllers replace them for ever.
    let selected = desired.node_selector.get(OS_LABEL);
    if selected.is_some_and(|os| node.labels.get(OS_LABEL) != Some(os)) {
        let message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Err(Refusal::new("PodOSSelectorNodeLabelDoesNotMatch", message));
    }
    if desired.os.as_deref() == Some("windows") {
        return Err(Refusal::new("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"));
    }
    Ok(())
}

pub(super) fn affinity(desired: &Desired, node: &NodeView) -> Result<(), Refusal> {
    let selected = desired.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
    let wanted = desired.node_affinity.as_ref();
    if selected && wanted.is_none_or(|terms| terms.iter().any(|term| matching::term(term, node))) {
        return Ok(());
    }
    Err(Refusal::predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"))
}

pub(super) fn name(desired: &Desired, node: &NodeView) -> Result<(), Refusal> {
    if desired.node_name.is_empty() || desired.node_name == node.name {
        return Ok(());
    }
    Err(Refusal::predicate("NodeName", "node(s) didn't match the requested node name"))
}

/// NoSchedule was the scheduler's to look at; a pod that was bound by hand may ignore it.
pub(super) fn taints(desired: &Desired, node: &NodeView) -> Result<(), Refusal> {
    let mut taints = node.taints.iter().filter(|taint| taint.effect == "NoExecute");
    if taints.all(|taint| desired.tolerations.iter().any(|toleration| matching::tolerates(toleration, taint))) {
        return Ok(());
    }
    Err(Refusal::predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"))
}

pub(super) fn shutdown(is_closed: bool) -> Result<(), Refusal> {
    if is_closed {
        return Err(Refusal::new("NodeShutdown", "Pod was rejected as the node is shutting down."));
    }
    Ok(())
}

// === impl Refusal ===

impl Refusal {
    fn new(reason: &str, message: &str) -> Self {
        Self { reason: reason.to_owned(), message: message.to_owned() }
    }

    fn predicate(name: &str, why: &str) -> Self {
        Self::new(name, &format!("Predicate {name} failed: {why}"))
    }
}

impl From<Shortage> for Refusal {
    fn from(shortage: Shortage) -> Self {
        let Shortage { resource, requested, used, capacity } = shortage;
        let message = format!(
            "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        Self { reason: format!("OutOf{resource}"), message }
    }
}
