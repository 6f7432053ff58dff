//! A node with a scripted provider.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmnode_core::pod::Settings;
use wasmnode_core::quantity::Milli;
use wasmnode_core::{PodRef, ledger};
use wasmnode_provider_fake::FakeProvider;

use super::cluster::Cluster;
use super::timed::Timed;
use crate::fixtures::{layout, pod_json};
use crate::ports::Clock;
use crate::{
    Config, Handle, Isolation, IsolationPolicy, LogLimits, NodeState, Ports, Supervisor, SupervisorError,
    SupervisorEvent,
};

thread_local! {
    /// Removed with the test's thread, and so after its runtime, which waits for what still works on a disk.
    static SCRATCH: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

/// A directory for this test.
pub(super) fn scratch() -> PathBuf {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    SCRATCH.with_borrow_mut(|all| all.push(directory));
    path
}

pub(super) struct Node {
    pub(super) top: PathBuf,
    pub(super) cluster: Arc<Cluster>,
    pub(super) provider: FakeProvider,
    pub(super) runtime: Timed,
    pub(super) handle: Handle,
    pub(super) feed: mpsc::Sender<SupervisorEvent>,
    pub(super) cancel: CancellationToken,
    pub(super) task: JoinHandle<Result<(), SupervisorError>>,
    _state: watch::Sender<NodeState>,
}

/// The wall clock follows tokio's, which tests pause.
pub(super) fn clock() -> Clock {
    let start = Instant::now();
    let epoch: Timestamp = "2026-01-02T15:04:05Z".parse().unwrap();
    Arc::new(move || epoch.checked_add(SignedDuration::try_from(start.elapsed()).unwrap()).unwrap())
}

impl Node {
    /// A node whose API server has no pods.
    pub(super) async fn start() -> Self {
        let node = Self::unsynced(scratch());
        node.send(SupervisorEvent::Synced).await;
        node
    }

    /// A node on a disk that may have been used.
    pub(super) fn unsynced(top: PathBuf) -> Self {
        Self::with_runtime(top, Timed::new(clock()))
    }

    /// Another agent, while what the one before had started lives on.
    pub(super) async fn succeed(self) -> Self {
        let runtime = self.runtime.clone();
        Self::with_runtime(self.stop().await, runtime)
    }

    pub(super) fn with_runtime(top: PathBuf, runtime: Timed) -> Self {
        Self::isolating(
            top,
            runtime,
            IsolationPolicy { default: Isolation::Node, allowed: BTreeSet::new(), users: None },
        )
    }

    /// A node with other rules for which pods share a process.
    pub(super) fn isolating(top: PathBuf, runtime: Timed, isolation: IsolationPolicy) -> Self {
        let (provider, clock) = (runtime.inner.clone(), runtime.clock.clone());
        let cluster = Cluster::new(clock.clone());
        let ports = Ports {
            statuses: cluster.clone(),
            objects: cluster.clone(),
            tokens: cluster.clone(),
            recorder: cluster.clone(),
            provider: Arc::new(runtime.clone()),
            images: cluster.clone(),
            clock,
        };
        let config = Config {
            layout: layout(&top),
            lifecycle: Settings::default(),
            log_limits: LogLimits { max_bytes: 1 << 20, max_files: 2 },
            isolation,
            volume_refresh: Duration::from_secs(60),
        };
        let (state, receiver) = watch::channel(node_state());
        let (supervisor, handle) = Supervisor::new(config, ports, receiver);
        let (feed, events) = mpsc::channel(16);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(supervisor.run(events, cancel.clone()));
        Self { top, cluster, provider, runtime, handle, feed, cancel, task, _state: state }
    }

    pub(super) async fn send(&self, event: SupervisorEvent) {
        self.feed.send(event).await.unwrap();
    }

    pub(super) async fn apply(&self, pod: &Value) {
        let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
        self.send(SupervisorEvent::Pod(Arc::new(pod))).await;
    }

    /// As the API server does: sets the time stamp, and the pod stays until the node lets it go.
    pub(super) async fn delete(&self, pod: &Value, grace_seconds: i64) {
        let mut pod = pod.clone();
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T16:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace_seconds);
        self.apply(&pod).await;
    }

    pub(super) async fn gone(&self, name: &str, uid: &str) {
        let pod = PodRef { namespace: "ns".into(), name: name.into(), uid: uid.into() };
        self.send(SupervisorEvent::Gone(pod)).await;
    }

    /// Stops the agent as its service manager would.
    pub(super) async fn stop(self) -> PathBuf {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
        self.top
    }

    /// The agent dies, wherever it is.
    pub(super) async fn crash(self) -> Self {
        let (top, runtime) = (self.top, self.runtime);
        self.task.abort();
        let _ = self.task.await;
        Self::with_runtime(top, runtime)
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.top.join(below)
    }
}

fn node_state() -> NodeState {
    let mut state = NodeState::default();
    state.view = ledger::NodeView { name: "wasm-1".into(), ..state.view };
    for (resource, amount) in [("cpu", 4), ("memory", 1 << 30), ("pods", 100)] {
        state.view.allocatable.insert(resource.into(), Milli(amount * 1000));
    }
    state.addresses.ips = vec!["10.0.0.5".to_owned()];
    state
}

/// A pod whose container does what the script says.
pub(super) fn pod(name: &str, uid: &str, policy: &str, script: &str) -> Value {
    let mut pod = pod_json(name, uid);
    pod["spec"]["restartPolicy"] = json!(policy);
    pod["spec"]["containers"][0]["args"] = script.split(' ').collect();
    pod
}
