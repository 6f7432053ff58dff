//! Conditions of the node: the kubelet's, byte for byte, and this agent's own.

use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{NodeFacts, missing_taints};

/// A condition of this agent's own. Positive polarity: true is how a node should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFact {
    /// Type, with this project's prefix.
    pub kind: &'static str,
    /// Whether all is as it should be.
    pub holds: bool,
    /// One word.
    pub reason: &'static str,
    /// What follows for pods, without full stop.
    pub message: String,
}

impl NodeFact {
    /// Whether the processes of each isolation group have a user of their own.
    pub fn isolation(group_users: bool) -> Self {
        let (reason, message) = if group_users {
            ("GroupUsers", "isolation groups run in processes of their own, each as a user of its own")
        } else {
            ("OneUser", "isolation groups run in processes of their own, but all as the agent's user")
        };
        Self { kind: "wasmnode.dev/Isolation", holds: group_users, reason, message: message.to_owned() }
    }

    /// Pods have the node's addresses, because there is no pod network.
    pub fn node_addresses() -> Self {
        Self {
            kind: "wasmnode.dev/PodNetwork",
            holds: false,
            reason: "NodeAddresses",
            message: "pods have the node's addresses, as with hostNetwork: two pods cannot listen on the same port"
                .to_owned(),
        }
    }

    /// Whether the node carries its taints: it can set them only when it creates the Node.
    fn taints(facts: &NodeFacts, node: Option<&Node>) -> Self {
        let missing = node.map(|node| missing_taints(facts, node)).unwrap_or_default();
        let kind = "wasmnode.dev/Taints";
        if missing.is_empty() {
            let message = "the node carries its configured taints".to_owned();
            return Self { kind, holds: true, reason: "TaintsPresent", message };
        }
        let message = super::metadata::missing_taints_message(&facts.name, &missing);
        Self { kind, holds: false, reason: "TaintsMissing", message }
    }
}

/// One condition before it is known since when it holds.
struct Wanted {
    kind: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

/// All conditions that this agent owns, Ready last, preceded by those of others.
pub(super) fn conditions(facts: &NodeFacts, node: Option<&Node>, now: &Time) -> Vec<NodeCondition> {
    let previous = node.and_then(|node| node.status.as_ref()?.conditions.as_deref()).unwrap_or_default();
    let wanted = wanted(facts, node);
    let foreign = previous.iter().filter(|old| wanted.iter().all(|ours| ours.kind != old.type_)).cloned();
    let ours = wanted.iter().map(|condition| stamp(condition, previous, now));
    foreign.chain(ours).collect()
}

fn wanted(facts: &NodeFacts, node: Option<&Node>) -> Vec<Wanted> {
    let mut all = vec![memory(facts.pressure.memory), disk(facts.pressure.disk), pid(facts.pressure.pid)];
    let own = facts.conditions.iter().cloned().chain([NodeFact::taints(facts, node)]);
    all.extend(own.map(|fact| Wanted {
        kind: fact.kind,
        status: fact.holds,
        reason: fact.reason,
        message: fact.message,
    }));
    all.push(ready(facts));
    all
}

/// The times: heartbeat now, transition only where the status changed.
fn stamp(wanted: &Wanted, previous: &[NodeCondition], now: &Time) -> NodeCondition {
    let status = if wanted.status { "True" } else { "False" };
    let same = previous.iter().find(|old| old.type_ == wanted.kind && old.status == status);
    let since = same.and_then(|old| old.last_transition_time.clone()).unwrap_or_else(|| now.clone());
    NodeCondition {
        type_: wanted.kind.to_owned(),
        status: status.to_owned(),
        reason: Some(wanted.reason.to_owned()),
        message: Some(wanted.message.clone()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(since),
    }
}

fn memory(short: bool) -> Wanted {
    let (reason, message) = if short {
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
    } else {
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available")
    };
    Wanted { kind: "MemoryPressure", status: short, reason, message: message.to_owned() }
}

fn disk(short: bool) -> Wanted {
    let (reason, message) = if short {
        ("KubeletHasDiskPressure", "kubelet has disk pressure")
    } else {
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure")
    };
    Wanted { kind: "DiskPressure", status: short, reason, message: message.to_owned() }
}

fn pid(short: bool) -> Wanted {
    let (reason, message) = if short {
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available")
    } else {
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available")
    };
    Wanted { kind: "PIDPressure", status: short, reason, message: message.to_owned() }
}

fn ready(facts: &NodeFacts) -> Wanted {
    let mut problems = facts.problems.clone();
    let missing = facts.capacity.missing();
    if !missing.is_empty() {
        problems.push(format!("missing node capacity for resources: {}", missing.join(", ")));
    }
    let (reason, message) = match problems.as_slice() {
        [] => ("KubeletReady", "kubelet is posting ready status".to_owned()),
        [only] => ("KubeletNotReady", only.clone()),
        several => ("KubeletNotReady", format!("[{}]", several.join(", "))),
    };
    Wanted { kind: "Ready", status: problems.is_empty(), reason, message }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::core::v1::NodeStatus;

    use super::*;
    use crate::node::facts::tests::facts;
    use crate::node::new_node;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn find<'a>(conditions: &'a [NodeCondition], kind: &str) -> &'a NodeCondition {
        conditions.iter().find(|condition| condition.type_ == kind).unwrap()
    }

    #[test]
    fn order_and_texts_of_a_healthy_node() {
        let conditions = conditions(&facts(), None, &at(1));
        let shown: Vec<String> = conditions
            .iter()
            .filter(|condition| !condition.type_.contains('/'))
            .map(|c| {
                format!("{}={} {} {}", c.type_, c.status, c.reason.as_deref().unwrap(), c.message.as_deref().unwrap())
            })
            .collect();
        assert_eq!(
            shown,
            [
                "MemoryPressure=False KubeletHasSufficientMemory kubelet has sufficient memory available",
                "DiskPressure=False KubeletHasNoDiskPressure kubelet has no disk pressure",
                "PIDPressure=False KubeletHasSufficientPID kubelet has sufficient PID available",
                "Ready=True KubeletReady kubelet is posting ready status",
            ]
        );
        assert_eq!(conditions.last().unwrap().type_, "Ready");
        assert_eq!(find(&conditions, "wasmnode.dev/Taints").status, "True");
        assert_eq!(find(&conditions, "wasmnode.dev/Isolation").status, "False");
        assert_eq!(find(&conditions, "wasmnode.dev/PodNetwork").status, "False");
    }

    #[test]
    fn not_ready_says_why() {
        let mut facts = facts();
        let cases = [(vec!["container runtime is down"], "container runtime is down"), (vec!["a", "b"], "[a, b]")];
        for (problems, message) in cases {
            facts.problems = problems.into_iter().map(str::to_owned).collect();
            let conditions = conditions(&facts, None, &at(1));
            let ready = find(&conditions, "Ready");
            assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some("KubeletNotReady")));
            assert_eq!(ready.message.as_deref(), Some(message));
        }
        facts.problems.clear();
        facts.capacity.memory = 0;
        facts.capacity.ephemeral_storage = 0;
        let conditions = conditions(&facts, None, &at(1));
        assert_eq!(
            find(&conditions, "Ready").message.as_deref(),
            Some("missing node capacity for resources: memory, ephemeral-storage")
        );
    }

    #[test]
    fn transition_times_stay_and_conditions_of_others_too() {
        let mut node = new_node(&facts(), Timestamp::from_second(1).unwrap());
        let foreign =
            NodeCondition { type_: "NetworkUnavailable".to_owned(), status: "False".to_owned(), ..Default::default() };
        let status: &mut NodeStatus = node.status.as_mut().unwrap();
        status.conditions.as_mut().unwrap().push(foreign.clone());
        let mut facts = facts();
        facts.pressure.disk = true;
        let after = conditions(&facts, Some(&node), &at(60));
        assert_eq!(after[0], foreign);
        let disk = find(&after, "DiskPressure");
        assert_eq!((disk.status.as_str(), &disk.last_transition_time), ("True", &Some(at(60))));
        let ready = find(&after, "Ready");
        assert_eq!((&ready.last_transition_time, &ready.last_heartbeat_time), (&Some(at(1)), &Some(at(60))));
    }

    #[test]
    fn missing_taints_are_a_condition() {
        let mut node = new_node(&facts(), Timestamp::from_second(1).unwrap());
        node.spec.as_mut().unwrap().taints.as_mut().unwrap().remove(1);
        let after = conditions(&facts(), Some(&node), &at(60));
        let taints = find(&after, "wasmnode.dev/Taints");
        assert_eq!((taints.status.as_str(), taints.reason.as_deref()), ("False", Some("TaintsMissing")));
        assert!(taints.message.as_deref().unwrap().contains("kubernetes.io/arch=wasm32-wasi:NoExecute"));
    }
}
