//! What needs all pods of the node to be decided: whether a new one fits, and whether its name is free.
//!
//! The rules, their order and their texts are those of the kubelet's admission (kubelet contract section 4.1), with
//! three differences. What a pod's image is for is not looked at here, since a foreign image must leave the pod
//! Pending. `spec.os.name: linux` is accepted, since Kubernetes knows no other word for "not Windows". Critical pods do
//! not preempt others: they are refused like any other.

mod matching;
mod resources;
mod rules;

use std::collections::{BTreeMap, btree_map};

use crate::PodRef;
use crate::desired::Desired;
use crate::quantity::Milli;
use resources::Amounts;

/// The node, as far as admission asks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its labels, as the API server has them.
    pub labels: BTreeMap<String, String>,
    /// Its taints, as the API server has them.
    pub taints: Vec<Taint>,
    /// Allocatable resources; `pods` is the number of pods.
    pub allocatable: BTreeMap<String, Milli>,
}

/// A taint of the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; empty for none.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Whether a pod may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It counts from now on; [`Ledger::release`] ends that.
    Admitted,
    /// Never: the pod is Failed.
    Refused(Refusal),
    /// Not before that pod, of the same name, was released; then ask again.
    Wait(PodRef),
}

/// Why a pod may not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `status.reason`, and the event's.
    pub reason: String,
    /// The event's message; `status.message` has `Pod was rejected: ` before it.
    pub message: String,
}

/// The pods that may hold anything of the node. Owned by the supervisor, which asks before it starts a worker and
/// releases when a worker reports that its pod holds nothing any more: pods that are being deleted still count.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By full name: only one pod of a name runs at a time.
    pods: BTreeMap<String, Entry>,
    /// Sum of the entries' amounts.
    used: Amounts,
    /// The node shuts down: it takes no more pods.
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    pod: PodRef,
    amounts: Amounts,
}

// === impl Ledger ===

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides about a pod; asking again about an admitted one changes nothing. Called once per new UID.
    pub fn admit(&mut self, desired: &Desired, node: &NodeView) -> Admission {
        if let Some(answer) = self.known(&desired.pod) {
            return answer;
        }
        match self.check(desired, node) {
            Ok(()) => {
                self.insert(desired);
                Admission::Admitted
            }
            Err(refusal) => Admission::Refused(refusal),
        }
    }

    /// Counts a pod that an earlier agent admitted and that may still hold something, without deciding again: a node
    /// that shrank, or whose labels changed, does not kill what runs. Called after a restart for pods whose status
    /// says that this node has accepted them, before any pod is admitted.
    pub fn readmit(&mut self, desired: &Desired) -> Admission {
        if let Some(answer) = self.known(&desired.pod) {
            return answer;
        }
        self.insert(desired);
        Admission::Admitted
    }

    /// Keeps the name of a pod that the API server has no more, and that still runs: no other pod of its name is
    /// admitted till it is released. A name that is taken already stays with whom it belongs to.
    pub fn hold(&mut self, pod: &PodRef) {
        let entry = Entry { pod: pod.clone(), amounts: Amounts::of(&BTreeMap::new()) };
        self.pods.entry(pod.full_name()).or_insert(entry);
    }

    /// Takes no more pods: the node shuts down. There is no way back but a new agent.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Ends the counting of a pod, when it holds nothing any more. A pod that is not counted is none of our business.
    pub fn release(&mut self, pod: &PodRef) {
        if let btree_map::Entry::Occupied(entry) = self.pods.entry(pod.full_name())
            && entry.get().pod == *pod
        {
            self.used.subtract(&entry.remove().amounts);
        }
    }

    /// Number of pods that count.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod counts.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// What is requested by all pods that count: `cpu` in thousandths, everything else in whole units.
    pub fn used(&self, resource: &str) -> i64 {
        self.used.get(resource)
    }

    fn known(&self, pod: &PodRef) -> Option<Admission> {
        let entry = self.pods.get(&pod.full_name())?;
        Some(if entry.pod.uid == pod.uid { Admission::Admitted } else { Admission::Wait(entry.pod.clone()) })
    }

    fn insert(&mut self, desired: &Desired) {
        let amounts = Amounts::of(&desired.requests);
        self.used.add(&amounts);
        self.pods.insert(desired.pod.full_name(), Entry { pod: desired.pod.clone(), amounts });
    }

    /// The first rule that the pod breaks.
    fn check(&self, desired: &Desired, node: &NodeView) -> Result<(), Refusal> {
        rules::os(desired, node)?;
        self.check_resources(desired, node)?;
        rules::affinity(desired, node)?;
        rules::name(desired, node)?;
        rules::taints(desired, node)?;
        rules::shutdown(self.is_closed)
    }

    fn check_resources(&self, desired: &Desired, node: &NodeView) -> Result<(), Refusal> {
        let wanted = Amounts::of(&desired.requests);
        let allocatable = Amounts::of(&node.allocatable);
        let pods = i64::try_from(self.pods.len()).unwrap_or(i64::MAX);
        match resources::shortage(&wanted, &self.used, pods, &allocatable) {
            Some(shortage) => Err(shortage.into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
