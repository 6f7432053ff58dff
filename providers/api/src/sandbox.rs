//! What a pod's containers share.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::SandboxId;

/// What `create_sandbox` needs. Idempotent by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSpec {
    /// Unique per pod and sandbox attempt.
    pub id: SandboxId,
    /// The pod's display name for the provider's logs, e.g. `default/web-0`.
    pub name: String,
    /// Host name that guests see.
    pub hostname: String,
    /// Addresses of the pod, primary family first; empty until networking assigns them.
    pub addresses: Vec<IpAddr>,
    /// Bytes that all containers of the pod may use together; `None`: no limit of its own.
    pub memory_limit: Option<u64>,
    /// Thousandths of a core that all containers may use together; `None`: no limit of its own.
    pub cpu_millis: Option<u64>,
    /// Whom it may share a process with.
    pub isolation: Isolation,
}

/// Whom a sandbox may share a process with. A provider that has one process only has nothing to keep apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Isolation {
    /// Sandboxes of one group may share a process, those of two groups never do. A single element of a path.
    pub group: String,
    /// User and group id that the group's processes run as and that own its files; `None`: those of the caller.
    pub user: Option<u32>,
    /// Directories and files outside the group's own that its containers see. With any, the sandbox has a process to
    /// itself.
    pub paths: Vec<HostPath>,
}

/// A part of the host's tree that a sandbox is let into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath {
    /// Absolute.
    pub path: PathBuf,
    /// Nothing below it may be changed.
    pub read_only: bool,
}

/// What may change while a sandbox lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxUpdate {
    /// Which sandbox.
    pub id: SandboxId,
    /// As in [`SandboxSpec`].
    pub memory_limit: Option<u64>,
    /// As in [`SandboxSpec`].
    pub cpu_millis: Option<u64>,
}

/// Service table changes for one runner; filled with the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicesDelta {
    /// Sequence number of the table after this delta.
    pub version: u64,
}

/// What one container used since its run started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Container name as given in `RunSpec`.
    pub container: String,
    /// CPU time, nanoseconds, cumulative over the run.
    pub cpu_nanoseconds: u64,
    /// Linear memory in use now, bytes.
    pub memory_bytes: u64,
    /// Live instances.
    pub instances: u64,
    /// Requests served, cumulative.
    pub requests: u64,
}

/// What a sandbox used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Per container with a live run.
    pub containers: Vec<ContainerUsage>,
    /// Bytes received, cumulative.
    pub network_received: u64,
    /// Bytes sent, cumulative.
    pub network_sent: u64,
}
