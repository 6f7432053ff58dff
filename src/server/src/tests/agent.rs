//! A server with a fake agent behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use wasmnode_logs::Writer;
use wasmnode_logs::paths::{create_container_dir, log_file, pod_dir};

use crate::metrics::{Registry, Requests};
use crate::{
    Backends, Certificate, Config, Health, Instance, Limits, LogTarget, Pods, ReviewError, Reviewer, Server, User,
};

/// The node's state, to be changed by tests. `admin` is the token of a user who may do everything, `scraper` of
/// one with `nodes/metrics`.
pub(super) struct Node {
    pub(super) dir: tempfile::TempDir,
    pub(super) ended: CancellationToken,
    failing: Mutex<Vec<(String, String)>>,
    pod: Mutex<Pod>,
}

pub(super) struct Running {
    pub(super) node: Arc<Node>,
    pub(super) address: SocketAddr,
    pub(super) task: Option<JoinHandle<()>>,
    shutdown: Option<DropGuard>,
}

struct Agent(Arc<Node>);

// === impl Running ===

impl Running {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let node = Arc::new(Node::new());
        let mut config = Config {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            node_name: "node-1".to_owned(),
            certificate: Certificate::SelfSigned {
                directory: node.dir.path().join("pki"),
                addresses: vec![[127, 0, 0, 1].into()],
            },
            client_ca_file: None,
            limits: Limits::default(),
        };
        change(&mut config);
        let mut registry = Registry::default();
        let requests = Requests::register(&mut registry);
        let agent = Arc::new(Agent(node.clone()));
        let backends = Backends {
            reviewer: agent.clone(),
            pods: agent.clone(),
            health: agent,
            registry: Arc::new(registry),
            requests,
        };
        let server = Server::bind(config, backends).await.unwrap();
        let (address, shutdown) = (server.address(), CancellationToken::new());
        let task = Some(tokio::spawn(server.serve(shutdown.clone())));
        Self { node, address, task, shutdown: Some(shutdown.drop_guard()) }
    }

    /// Asks the server to stop.
    pub(super) fn stop(&mut self) {
        self.shutdown = None;
    }
}

// === impl Node ===

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        create_container_dir(&dir.path().join("logs"), "ns", "p", "u", "c").unwrap();
        let pod = pod(r#"{"running": {}}"#, 0);
        Self { dir, ended: CancellationToken::new(), failing: Mutex::default(), pod: Mutex::new(pod) }
    }

    pub(super) fn certificate(&self) -> std::path::PathBuf {
        self.dir.path().join("pki/kubelet.crt")
    }

    pub(super) fn writer(&self, max_bytes: u64) -> Writer {
        let file = log_file(&pod_dir(&self.dir.path().join("logs"), "ns", "p", "u"), "c", 0);
        Writer::open(file, max_bytes, 5).unwrap()
    }

    pub(super) fn fail(&self, name: &str, reason: &str) {
        self.failing.lock().unwrap().push((name.to_owned(), reason.to_owned()));
    }

    pub(super) fn set_pod(&self, state: &str, restarts: u32) {
        *self.pod.lock().unwrap() = pod(state, restarts);
    }
}

fn pod(state: &str, restarts: u32) -> Pod {
    let json = format!(
        r#"{{"metadata": {{"name": "p", "namespace": "ns", "uid": "u"}}, "spec": {{"containers": [{{"name": "c"}}]}},
            "status": {{"containerStatuses": [{{"name": "c", "state": {state}, "restartCount": {restarts},
            "containerID": "wasmtime://1", "image": "", "imageID": "", "ready": false}}]}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

// === impl Agent ===

#[async_trait]
impl Reviewer for Agent {
    async fn token_review(&self, token: &str) -> Result<Option<User>, ReviewError> {
        let known = ["admin", "scraper"].contains(&token);
        Ok(known.then(|| User { name: token.to_owned(), ..User::default() }))
    }

    async fn access_review(&self, user: &User, verb: &str, subresource: &str, node: &str) -> Result<bool, ReviewError> {
        let rights = match user.name.as_str() {
            "admin" => true,
            "scraper" => subresource == "metrics",
            "apiserver" => user.groups.iter().any(|group| group == "admins"),
            _ => return Err(ReviewError(format!("no answer about {}", user.name))),
        };
        Ok(rights && !verb.is_empty() && node == "node-1")
    }
}

impl Pods for Agent {
    fn list(&self) -> Vec<Pod> {
        vec![self.0.pod.lock().unwrap().clone()]
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Pod> {
        assert_ne!(name, "panic", "a panic that a test asked for");
        ((namespace, name) == ("ns", "p")).then(|| self.0.pod.lock().unwrap().clone())
    }

    fn log_target(&self, _pod: &Pod, instance: &Instance) -> Option<LogTarget> {
        let pod = pod_dir(Path::new(""), "ns", "p", "u");
        Some(LogTarget {
            root: self.0.dir.path().join("logs"),
            relative: log_file(&pod, &instance.container, instance.attempt),
            ended: self.0.ended.clone(),
        })
    }
}

impl Health for Agent {
    fn failing(&self) -> Vec<(String, String)> {
        self.0.failing.lock().unwrap().clone()
    }
}
