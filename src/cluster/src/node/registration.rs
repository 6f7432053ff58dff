//! Creates the Node, or brings an existing one up to date, and does so again whenever it is deleted.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wasmnode_core::node::{NodeFacts, metadata_patch, new_node};

use super::NodeView;
use crate::api::{ApiError, call};
use crate::metrics::ClusterMetrics;
use crate::retry::{Pauses, Told, is_answer};

/// Registers the node and follows it.
pub struct Registration {
    nodes: Api<Node>,
    facts: watch::Receiver<NodeFacts>,
    view: NodeView,
    metrics: Arc<ClusterMetrics>,
}

impl Registration {
    /// `view` is kept up to date with what the API server shows.
    pub fn new(
        client: Client,
        facts: watch::Receiver<NodeFacts>,
        view: NodeView,
        metrics: Arc<ClusterMetrics>,
    ) -> Self {
        Self { nodes: Api::all(client), facts, view, metrics }
    }

    /// Until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let forever = async {
            loop {
                self.register().await;
                self.follow().await;
                warn!(node = self.name(), "The Node was deleted, registering it again");
            }
        };
        shutdown.run_until_cancelled(Box::pin(forever)).await;
    }

    fn name(&self) -> String {
        self.facts.borrow().name.clone()
    }

    async fn register(&self) {
        let mut pauses = Pauses::patient();
        let mut told = Told::default();
        loop {
            match self.attempt().await {
                Ok(node) => {
                    self.metrics.node_registrations.add();
                    info!(node = self.name(), uid = node.metadata.uid, "Registered the node");
                    return self.view.observe(node);
                }
                Err(error) => self.failed(&error, &mut told),
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    async fn attempt(&self) -> Result<Node, ApiError> {
        let facts = self.facts.borrow().clone();
        let node = new_node(&facts, Timestamp::now());
        match call(self.nodes.create(&PostParams::default(), &node)).await {
            // A node that may not create Nodes may still have one that an administrator created.
            Err(error) if error.is_conflict() || error.is_forbidden() => self.adopt(&facts, error).await,
            created => created,
        }
    }

    async fn adopt(&self, facts: &NodeFacts, refusal: ApiError) -> Result<Node, ApiError> {
        let Some(existing) = call(self.nodes.get_opt(&facts.name)).await? else { return Err(refusal) };
        match metadata_patch(facts, &existing) {
            None => Ok(existing),
            Some(patch) => call(self.nodes.patch(&facts.name, &PatchParams::default(), &Patch::Strategic(patch))).await,
        }
    }

    fn failed(&self, error: &ApiError, told: &mut Told) {
        self.metrics.node_errors.add();
        if !told.is_news(error) {
            return;
        }
        let node = self.name();
        let forbidden = error.is_forbidden();
        let remedy =
            forbidden.then(|| format!("give the kubeconfig the user system:node:{node} of the group system:nodes"));
        warn!(%error, node, remedy, "Failed to register the node, trying again");
    }

    /// Returns when the Node is gone.
    async fn follow(&self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name()));
        let mut stream = pin!(watcher::watcher(self.nodes.clone(), config));
        let mut pauses = Pauses::patient();
        let mut listed = false;
        while let Some(event) = stream.next().await {
            if is_answer(&event) {
                pauses.reset();
            }
            match event {
                Ok(Event::Init) => listed = false,
                Ok(Event::InitApply(node) | Event::Apply(node)) => {
                    listed = true;
                    self.view.observe(node);
                }
                Ok(Event::InitDone) if listed => {}
                Ok(Event::InitDone | Event::Delete(_)) => return self.view.gone(),
                Err(error) => {
                    self.metrics.node_errors.add();
                    debug!(error = %ApiError::from(error), "Watch of the Node was interrupted");
                    tokio::time::sleep(pauses.next()).await;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answer, FakeApi, facts, node};

    /// Methods and bodies, watches left out.
    type Log = Arc<Mutex<Vec<(String, Value)>>>;

    #[tokio::test(start_paused = true)]
    async fn an_existing_node_is_patched_and_a_deleted_one_created_again() {
        let log: Log = Arc::default();
        let server = log.clone();
        let fake = FakeApi::new(move |request| {
            if request.query.contains("watch=true") {
                let gone = json!({"type": "DELETED", "object": node("wasm-1", "u1", "7")});
                return Answer::lines(&[gone]);
            }
            if request.path == "/api/v1/nodes" && request.method == "GET" {
                let items = [node("wasm-1", "u1", "6")];
                return Answer::ok(json!({"metadata": {"resourceVersion": "6"}, "items": items}));
            }
            let mut log = server.lock().unwrap();
            log.push((request.method.clone(), request.body));
            match (request.method.as_str(), log.len()) {
                ("POST", 1) => Answer::status(500, "etcd is away"),
                ("POST", 2) => Answer::status(409, "nodes \"wasm-1\" already exists"),
                ("POST", _) => Answer::ok(json!(node("wasm-1", "u2", "8"))),
                _ => Answer::ok(json!(node("wasm-1", "u1", "5"))),
            }
        });
        let (_facts, receiver) = watch::channel(facts());
        let view = NodeView::default();
        let metrics = Arc::new(ClusterMetrics::default());
        let registration = Registration::new(fake.client(), receiver, view.clone(), metrics.clone());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(registration.run(shutdown.clone()));
        let mut changes = view.subscribe();
        changes
            .wait_for(|node| node.as_ref().is_some_and(|node| node.metadata.uid.as_deref() == Some("u2")))
            .await
            .unwrap();
        shutdown.cancel();
        task.await.unwrap();

        let log = log.lock().unwrap();
        let methods: Vec<&str> = log.iter().map(|(method, _)| method.as_str()).collect();
        assert_eq!(methods[..5], ["POST", "POST", "GET", "PATCH", "POST"]);
        assert_eq!(log[0].1["spec"]["taints"].as_array().unwrap().len(), 2);
        assert_eq!(log[3].1["metadata"]["labels"]["kubernetes.io/os"], "wasi");
        assert!(log[3].1.get("spec").is_none());
    }
}
