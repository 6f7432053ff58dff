//! The lease that says this node lives (contract section 1.3).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::{ApiError, call};
use crate::metrics::ClusterMetrics;
use crate::node::NodeView;
use crate::retry::{Pauses, Told, jittered};

/// `nodeLeaseDurationSeconds`.
const DURATION_SECONDS: i32 = 40;

/// A quarter of the duration.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Updates of the known lease before it is read again.
const UPDATE_TRIES: u32 = 5;

/// Keeps `kube-node-lease/NODE` fresh.
pub struct Heartbeat {
    leases: Api<Lease>,
    node: String,
    view: NodeView,
    metrics: Arc<ClusterMetrics>,
    last: Option<Lease>,
    told: Told,
}

impl Heartbeat {
    /// `view` gives the Node's UID, which the lease is owned by.
    pub fn new(client: Client, node: String, view: NodeView, metrics: Arc<ClusterMetrics>) -> Self {
        let leases = Api::namespaced(client, "kube-node-lease");
        Self { leases, node, view, metrics, last: None, told: Told::default() }
    }

    /// Until `shutdown`. Begins once the node is registered.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled_owned(Box::pin(self.beat())).await;
    }

    async fn beat(mut self) {
        loop {
            let owner = self.view.registered().await;
            self.renew(&owner).await;
            self.metrics.lease_renewals.add();
            tokio::select! {
                () = tokio::time::sleep(jittered(RENEW_EVERY, 0.04)) => {}
                // The lease follows the new Node at once, or the garbage collector takes it along with the old one.
                () = self.view.other_than(&owner) => {}
            }
        }
    }

    async fn renew(&mut self, owner: &str) {
        if let Some(lease) = self.last.take() {
            for _ in 0..UPDATE_TRIES {
                match self.update(lease.clone(), owner).await {
                    Ok(lease) => return self.renewed(lease),
                    Err(error) => self.failed(&error),
                }
            }
        }
        let lease = self.ensure(owner).await;
        self.renewed(lease);
    }

    fn renewed(&mut self, lease: Lease) {
        self.told.reset();
        self.last = Some(lease);
    }

    /// Reads or creates the lease, however long that takes.
    async fn ensure(&mut self, owner: &str) -> Lease {
        let mut pauses = Pauses::patient();
        loop {
            match self.read_or_create(owner).await {
                Ok(lease) => return lease,
                Err(error) => self.failed(&error),
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    async fn read_or_create(&self, owner: &str) -> Result<Lease, ApiError> {
        match call(self.leases.get_opt(&self.node)).await? {
            Some(lease) => self.update(lease, owner).await,
            None => {
                let lease = renewed(Lease::default(), &self.node, owner);
                let created = call(self.leases.create(&PostParams::default(), &lease)).await?;
                info!(node = self.node, "Created the node lease");
                Ok(created)
            }
        }
    }

    async fn update(&self, lease: Lease, owner: &str) -> Result<Lease, ApiError> {
        let lease = renewed(lease, &self.node, owner);
        call(self.leases.replace(&self.node, &PostParams::default(), &lease)).await
    }

    fn failed(&mut self, error: &ApiError) {
        self.metrics.lease_errors.add();
        if self.told.is_news(error) {
            warn!(%error, node = self.node, "Failed to renew the node lease, trying again");
        }
    }
}

/// The lease as it should be now; keeps the resource version of the one given.
fn renewed(mut lease: Lease, node: &str, owner: &str) -> Lease {
    lease.metadata = ObjectMeta {
        name: Some(node.to_owned()),
        namespace: Some("kube-node-lease".to_owned()),
        owner_references: Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: node.to_owned(),
            uid: owner.to_owned(),
            ..OwnerReference::default()
        }]),
        managed_fields: None,
        ..lease.metadata
    };
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(node.to_owned()),
        lease_duration_seconds: Some(DURATION_SECONDS),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..lease.spec.unwrap_or_default()
    });
    lease
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answer, FakeApi, node};

    /// A lease store that loses its lease once and refuses updates of it a few times.
    #[tokio::test(start_paused = true)]
    async fn the_lease_is_created_renewed_and_follows_its_node() {
        let stored: Arc<Mutex<Option<Value>>> = Arc::default();
        let server = stored.clone();
        let fake = FakeApi::new(move |request| {
            let mut stored = server.lock().unwrap();
            match (request.method.as_str(), stored.is_some()) {
                ("GET", true) => Answer::ok(stored.clone().unwrap()),
                ("GET" | "PUT", false) => Answer::status(404, "not found"),
                _ => {
                    *stored = Some(request.body.clone());
                    Answer::ok(request.body)
                }
            }
        });
        let view = NodeView::default();
        let metrics = Arc::new(ClusterMetrics::default());
        let heartbeat = Heartbeat::new(fake.client(), "wasm-1".to_owned(), view.clone(), metrics.clone());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(heartbeat.run(shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(metrics.lease_renewals.get(), 0);

        view.observe(node("wasm-1", "node-uid-1", "1"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lease = stored.lock().unwrap().clone().unwrap();
        assert_eq!(
            lease["metadata"]["ownerReferences"],
            json!([{"apiVersion": "v1", "kind": "Node", "name": "wasm-1", "uid": "node-uid-1"}])
        );
        assert_eq!(lease["spec"]["leaseDurationSeconds"], 40);
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(metrics.lease_renewals.get(), 3);

        stored.lock().unwrap().take();
        view.observe(node("wasm-1", "node-uid-2", "2"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lease = stored.lock().unwrap().clone().unwrap();
        assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], "node-uid-2");
        assert_eq!(metrics.lease_errors.get(), u64::from(UPDATE_TRIES));
        shutdown.cancel();
        task.await.unwrap();
    }
}
