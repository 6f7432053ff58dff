//! What a pod asks for, in the words of this node: the only place that reads `v1::Pod`.
//!
//! [`parse`] destructures the API types field by field in [`fields`], so that a field that is new in Kubernetes does
//! not compile undecided, and `docs/pods.md` is printed from those decisions.

mod container;
mod downward;
pub mod fields;
mod parse;
mod scheduling;
mod volume;

use std::collections::BTreeMap;

use jiff::Timestamp;

pub use container::{
    Container, EnvFrom, EnvSource, EnvValue, EnvVar, PullPolicy, RestartPolicy, RestartRule, VolumeMount,
};
pub use downward::{DownwardValue, Resource, ResourceKind};
pub use parse::parse;
pub use scheduling::{NodeRequirement, NodeTerm, Operator, Toleration};
pub use volume::{DownwardItem, FileSource, Item, Projection, Volume, VolumeSource};

use crate::quantity::Milli;
use crate::{ObjectRef, PodRef};

/// Priority of the class `system-cluster-critical`, the lower one of those that Kubernetes reserves.
pub const CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// A pod as the API server wants it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Who it is.
    pub pod: PodRef,
    /// `metadata.resourceVersion`, for events.
    pub resource_version: String,
    /// `metadata.generation`, reported back as observedGeneration.
    pub generation: Option<i64>,
    /// Labels, for the downward API.
    pub labels: BTreeMap<String, String>,
    /// Annotations, for the downward API and our own settings.
    pub annotations: BTreeMap<String, String>,
    /// Set once someone deleted it.
    pub deletion: Option<Deletion>,
    /// `terminationGracePeriodSeconds`, default 30.
    pub grace_seconds: i64,
    /// `priority`, 0 where there is none.
    pub priority: i32,
    /// `activeDeadlineSeconds` is a refused field for now; see [`fields`].
    pub restart_policy: RestartPolicy,
    /// Regular containers in spec order.
    pub containers: Vec<Container>,
    /// Volumes in spec order.
    pub volumes: Vec<Volume>,
    /// Effective requests of the pod: sum over containers, plus overhead (contract section 4.1).
    pub requests: BTreeMap<String, Milli>,
    /// `nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity; terms are alternatives. `None`: no requirement.
    pub node_affinity: Option<Vec<NodeTerm>>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// `spec.os.name`.
    pub os: Option<String>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.hostname`.
    pub hostname: Option<String>,
    /// Service account that tokens are requested for; `default` when unset.
    pub service_account: String,
    /// `runtimeClassName`.
    pub runtime_class: Option<String>,
    /// Names of `imagePullSecrets`.
    pub image_pull_secrets: Vec<String>,
    /// Environment variables of the namespace's Services; default true.
    pub enable_service_links: bool,
    /// Condition types of `readinessGates`.
    pub readiness_gates: Vec<String>,
    /// Node that the pod is bound to.
    pub node_name: String,
    /// Fields that this node cannot honour and that change what the pod does: its containers do not start.
    pub refused: Vec<Unsupported>,
    /// Fields that this node cannot honour and that the pod can live without: one event.
    pub reported: Vec<Unsupported>,
}

/// A field that is set and not honoured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Where, e.g. `spec.containers[app].livenessProbe`.
    pub path: String,
    /// Why, and what to do.
    pub why: &'static str,
}

/// A deletion that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// `deletionTimestamp`: when the grace is over, by the API server's clock.
    pub at: Timestamp,
    /// `deletionGracePeriodSeconds`.
    pub grace_seconds: i64,
}

impl Desired {
    /// Whether the cluster or the node needs it, so that it is the last to end.
    pub fn is_critical(&self) -> bool {
        self.priority >= CRITICAL_PRIORITY
    }

    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Every ConfigMap and Secret that the pod names: what may be read, and what is watched.
    pub fn object_refs(&self) -> Vec<ObjectRef> {
        let mut refs: Vec<ObjectRef> = self.volumes.iter().flat_map(|volume| volume.source.object_refs()).collect();
        refs.extend(self.containers.iter().flat_map(Container::object_refs));
        refs.extend(self.image_pull_secrets.iter().cloned().map(ObjectRef::Secret));
        refs.sort();
        refs.dedup();
        refs
    }

    /// What the pod's containers see as host name: `spec.hostname` or the pod's name, cut to 63 characters
    /// (contract section 4.16).
    pub fn hostname(&self) -> String {
        let name = self.hostname.as_deref().unwrap_or(&self.pod.name);
        let cut: String = name.chars().take(63).collect();
        cut.trim_end_matches(['-', '.']).to_owned()
    }
}
