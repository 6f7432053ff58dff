//! Events about the node that follow from a change of its status (contract section 6).

use k8s_openapi::api::core::v1::{Node, NodeStatus};

use super::metadata::missing_taints_message;
use super::{NodeFacts, missing_taints};
use crate::Severity;

/// An event about the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Normal or Warning.
    pub severity: Severity,
    /// One word.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

/// Condition types with the reasons of their events when they become True and False.
const REASONS: [(&str, &str, &str); 4] = [
    ("MemoryPressure", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
    ("DiskPressure", "NodeHasDiskPressure", "NodeHasNoDiskPressure"),
    ("PIDPressure", "NodeHasInsufficientPID", "NodeHasSufficientPID"),
    ("Ready", "NodeReady", "NodeNotReady"),
];

/// Condition of this agent's own whose turning false is an event.
const TAINTS: &str = "wasmnode.dev/Taints";

/// What to record when the status of `node` becomes `new`. The `first` time that an agent looks at a Node it tells
/// the whole state, as a kubelet does when it starts: a fresh Node has the right status from the beginning.
pub fn transitions(facts: &NodeFacts, node: &Node, new: &NodeStatus, first: bool) -> Vec<NodeRecord> {
    let old = node.status.as_ref().filter(|_| !first);
    let mut records: Vec<NodeRecord> = REASONS
        .iter()
        .filter(|(kind, ..)| state(old, kind) != state(Some(new), kind))
        .filter_map(|(kind, yes, no)| Some(if state(Some(new), kind)? == "True" { *yes } else { *no }))
        .map(|reason| now_is(&facts.name, reason))
        .collect();
    records.extend(rebooted(&facts.name, node.status.as_ref(), new));
    records.extend(untainted(facts, node, old, new));
    records
}

/// What to record when `spec.unschedulable` changed.
pub fn schedulable(name: &str, unschedulable: bool) -> NodeRecord {
    now_is(name, if unschedulable { "NodeNotSchedulable" } else { "NodeSchedulable" })
}

fn now_is(name: &str, reason: &'static str) -> NodeRecord {
    NodeRecord { severity: Severity::Normal, reason, message: format!("Node {name} status is now: {reason}") }
}

fn state<'a>(status: Option<&'a NodeStatus>, kind: &str) -> Option<&'a str> {
    let conditions = status?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
}

fn rebooted(name: &str, old: Option<&NodeStatus>, new: &NodeStatus) -> Option<NodeRecord> {
    let boot = &new.node_info.as_ref()?.boot_id;
    let before = &old?.node_info.as_ref()?.boot_id;
    (!before.is_empty() && before != boot).then(|| NodeRecord {
        severity: Severity::Warning,
        reason: "Rebooted",
        message: format!("Node {name} has been rebooted, boot id: {boot}"),
    })
}

fn untainted(facts: &NodeFacts, node: &Node, old: Option<&NodeStatus>, new: &NodeStatus) -> Option<NodeRecord> {
    let lost = state(Some(new), TAINTS) == Some("False") && state(old, TAINTS) != Some("False");
    lost.then(|| NodeRecord {
        severity: Severity::Warning,
        reason: "TaintsMissing",
        message: missing_taints_message(&facts.name, &missing_taints(facts, node)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::node::facts::tests::facts;
    use crate::node::{new_node, status};

    fn reasons(facts: &NodeFacts, node: &Node, first: bool) -> Vec<String> {
        let new = status(facts, Some(node), Timestamp::from_second(60).unwrap());
        transitions(facts, node, &new, first).into_iter().map(|record| record.message).collect()
    }

    #[test]
    fn every_change_is_told_once() {
        let node = new_node(&facts(), Timestamp::from_second(1).unwrap());
        assert!(reasons(&facts(), &node, false).is_empty());
        let mut worse = facts();
        worse.problems.push("container runtime is down".to_owned());
        worse.pressure.memory = true;
        worse.system.boot_id = "boot-2".to_owned();
        assert_eq!(
            reasons(&worse, &node, false),
            [
                "Node wasm-1 status is now: NodeHasInsufficientMemory",
                "Node wasm-1 status is now: NodeNotReady",
                "Node wasm-1 has been rebooted, boot id: boot-2",
            ]
        );
    }

    #[test]
    fn a_fresh_node_tells_its_state_and_an_untainted_one_says_so() {
        let mut node = new_node(&facts(), Timestamp::from_second(1).unwrap());
        assert_eq!(reasons(&facts(), &node, true).len(), 4);
        node.spec = None;
        let told = reasons(&facts(), &node, true);
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told[3].ends_with("NodeReady"));
        assert!(told[4].contains("kubectl taint node wasm-1"));
        assert_eq!(schedulable("n", true).message, "Node n status is now: NodeNotSchedulable");
    }
}
