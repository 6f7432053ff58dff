//! The nested parts of the configuration file.

use std::ops::Range;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Bytes, GoDuration};

/// Who may call the kubelet API. Bearer tokens are always accepted, checked by the API server (TokenReview).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Authentication {
    /// Client certificates.
    pub(crate) x509: X509,
}

/// Client certificates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct X509 {
    /// PEM bundle of the authorities whose client certificates are accepted: the cluster's CA, for the API server's
    /// own calls (`kubectl logs`). Without it only bearer tokens are accepted.
    #[serde(rename = "clientCAFile")]
    pub(crate) client_ca_file: Option<PathBuf>,
}

/// Restarts of crashing containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CrashLoopBackOff {
    /// The longest delay between restarts of a crashing container; between 1s and 300s.
    pub(crate) max_container_restart_period: GoDuration,
}

/// Compile jobs: wasm becomes machine code in a process of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Compile {
    /// Jobs at the same time; 0 is one per two cores, at least one.
    pub(crate) jobs: usize,
    /// Address space of one job. A module that needs more fails to compile, and nothing else suffers.
    pub(crate) memory_limit: Bytes,
    /// When a job is ended.
    pub(crate) timeout: GoDuration,
    /// Niceness of a job, 0 to 19.
    pub(crate) nice: u8,
}

/// What pods share a process with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Isolation {
    /// With all pods of the node: the least memory.
    Node,
    /// With the pods of their namespace.
    Namespace,
    /// With no other pod.
    Pod,
}

/// User ids for isolation groups, each of which has one of its own; group ids are the same numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct GroupUsers {
    /// The first one. No user of the machine may have one of these ids.
    pub(crate) first: u32,
    /// How many; 0: all groups run as the agent's own user, which keeps them less well apart.
    pub(crate) count: u32,
}

/// The agent's own log, on standard error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Logging {
    /// One line of text or one JSON object per message.
    pub(crate) format: LogFormat,
    /// 0 and 1: what an operator should know; 2 and 3: and what each pod does; 4 and 5: debugging; 6 and more:
    /// everything, libraries included. The flag `--v` takes precedence.
    pub(crate) verbosity: u8,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// A taint to register with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Taint {
    /// Key.
    pub(crate) key: String,
    /// Value.
    #[serde(default)]
    pub(crate) value: String,
    /// What it does to pods that do not tolerate it.
    pub(crate) effect: TaintEffect,
}

/// The effects that Kubernetes knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum TaintEffect {
    /// No new pods.
    NoSchedule,
    /// New pods only where nothing else fits.
    PreferNoSchedule,
    /// No new pods, and running ones are evicted.
    NoExecute,
}

// === defaults ===

impl Default for CrashLoopBackOff {
    fn default() -> Self {
        Self { max_container_restart_period: GoDuration::secs(300) }
    }
}

impl Default for GroupUsers {
    /// Above everything that distributions and systemd hand out.
    fn default() -> Self {
        Self { first: 1_880_000_000, count: 65_536 }
    }
}

impl GroupUsers {
    /// All of them; none where there are to be none.
    pub(crate) fn range(&self) -> Option<Range<u32>> {
        (self.count > 0).then(|| self.first..self.first.saturating_add(self.count))
    }
}

impl Default for Compile {
    fn default() -> Self {
        Self { jobs: 0, memory_limit: Bytes::gibi(4), timeout: GoDuration::secs(300), nice: 10 }
    }
}

impl TaintEffect {
    /// As in a Node object.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
