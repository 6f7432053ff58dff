//! What every worker of the node shares.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use wasmnode_core::downward::Facts;
use wasmnode_core::ledger::NodeView;
use wasmnode_core::pod::{NodeAddresses, Settings};

use crate::board::Board;
use crate::groups::{Groups, IsolationPolicy};
use crate::layout::Layout;
use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::routes::Routes;

/// What the node's configuration says about pods.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where files go.
    pub layout: Layout,
    /// Settings of the lifecycle.
    pub lifecycle: Settings,
    /// Bounds on a container's log files.
    pub log_limits: LogLimits,
    /// Which pods share a process.
    pub isolation: IsolationPolicy,
    /// How often volumes are brought up to date; the kubelet's `syncFrequency`, one minute by default.
    pub volume_refresh: Duration,
}

/// Rotation of a container's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// `containerLogMaxSize`, bytes.
    pub max_bytes: u64,
    /// `containerLogMaxFiles`, at least 2.
    pub max_files: u32,
}

/// The node as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeState {
    /// What admission compares with.
    pub view: NodeView,
    /// Addresses, shown in statuses and through the downward API.
    pub addresses: NodeAddresses,
}

/// What every worker of the node shares.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) ports: Ports,
    pub(crate) node: watch::Receiver<NodeState>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) routes: Routes,
    pub(crate) board: Arc<Board>,
    pub(crate) groups: Arc<Groups>,
}

// === impl Context ===

impl Context {
    pub(crate) fn now(&self) -> Timestamp {
        (self.ports.clock)()
    }

    pub(crate) fn node(&self) -> NodeState {
        self.node.borrow().clone()
    }
}

// === impl NodeState ===

impl NodeState {
    /// Until pods have addresses of their own, the node's are theirs too.
    pub(crate) fn facts(&self) -> Facts<'_> {
        let ips = &self.addresses.ips;
        Facts { host_ips: ips, pod_ips: ips, allocatable: &self.view.allocatable }
    }
}
