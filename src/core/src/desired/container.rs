//! A container as it is asked for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;

use super::DownwardValue;
use crate::ObjectRef;
use crate::quantity::Milli;

/// A regular container.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Unique in the pod.
    pub name: String,
    /// Image as written in the spec.
    pub image: String,
    /// When to pull.
    pub pull_policy: PullPolicy,
    /// Replaces the image's entry point when not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments when not empty.
    pub args: Vec<String>,
    /// Environment from whole objects, in order.
    pub env_from: Vec<EnvFrom>,
    /// Environment, in order.
    pub env: Vec<EnvVar>,
    /// `workingDir`.
    pub working_dir: Option<String>,
    /// Where volumes appear.
    pub mounts: Vec<VolumeMount>,
    /// Resource limits.
    pub limits: BTreeMap<String, Milli>,
    /// Resource requests.
    pub requests: BTreeMap<String, Milli>,
    /// Keeps stdin open for attach.
    pub stdin: bool,
    /// Closes stdin after the first attach.
    pub stdin_once: bool,
    /// stdout and stderr are one terminal.
    pub tty: bool,
    /// Overrides the pod's restart policy (KEP-5307).
    pub restart_policy: Option<RestartPolicy>,
    /// Exit codes that restart whatever the policy says; the first match wins.
    pub restart_rules: Vec<RestartRule>,
    /// File in the container whose content becomes the exit message; `/dev/termination-log` by default.
    pub termination_message_path: String,
    /// Fall back to the end of the log when the file is empty and the exit code is not 0.
    pub termination_message_from_log: bool,
    /// The container's root is read-only.
    pub read_only_root: bool,
    /// Requests and limits as written, which status repeats.
    pub resources: Option<ResourceRequirements>,
}

/// When to pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PullPolicy {
    /// Ask the registry at each start.
    Always,
    /// Only when the image is not on this node.
    IfNotPresent,
    /// Never.
    Never,
}

/// What happens after an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Start again.
    Always,
    /// Start again after a failure.
    OnFailure,
    /// Stay ended.
    Never,
}

/// Restart whatever the policy says, for these exit codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartRule {
    /// True: the codes listed; false: all others.
    pub in_set: bool,
    /// Exit codes.
    pub codes: Vec<i32>,
}

/// Environment from all keys of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFrom {
    /// Put before each key.
    pub prefix: String,
    /// Which object.
    pub source: EnvSource,
    /// A missing object is not an error.
    pub optional: bool,
}

/// An object with keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvSource {
    /// A ConfigMap by name.
    ConfigMap(String),
    /// A Secret by name.
    Secret(String),
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: EnvValue,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// Text with `$(VAR)` references.
    Literal(String),
    /// A field of the pod or a resource of a container.
    Downward(DownwardValue),
    /// One key of an object.
    Key {
        /// Which object.
        source: EnvSource,
        /// Which key.
        key: String,
        /// A missing object or key leaves the variable unset.
        optional: bool,
    },
}

/// A volume in a container's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    /// Volume name.
    pub volume: String,
    /// Absolute path in the container.
    pub path: String,
    /// Writes fail.
    pub read_only: bool,
}

impl EnvSource {
    fn object_ref(&self) -> ObjectRef {
        match self {
            Self::ConfigMap(name) => ObjectRef::ConfigMap(name.clone()),
            Self::Secret(name) => ObjectRef::Secret(name.clone()),
        }
    }
}

impl Container {
    pub(super) fn object_refs(&self) -> Vec<ObjectRef> {
        let keys = self.env.iter().filter_map(|var| match &var.value {
            EnvValue::Key { source, .. } => Some(source.object_ref()),
            EnvValue::Literal(_) | EnvValue::Downward(_) => None,
        });
        self.env_from.iter().map(|from| from.source.object_ref()).chain(keys).collect()
    }

    /// Whether this container starts again after an exit with `code`: rules first, then its own policy, then the
    /// pod's (contract section 4.7).
    pub fn restarts(&self, pod_policy: RestartPolicy, code: i32) -> bool {
        if self.restart_rules.iter().any(|rule| rule.codes.contains(&code) == rule.in_set) {
            return true;
        }
        match self.restart_policy.unwrap_or(pod_policy) {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
    }
}
