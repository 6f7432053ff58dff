//! Everything that talks to the API server.

use std::sync::Arc;

use wasmnode_cluster::{
    Client, ClusterMetrics, EventLimits, EventRecorder, EventSender, NodeView, ObjectStore, StatusWriter, TokenStore,
    event_channel,
};
use wasmnode_images::Images;
use wasmnode_pods::{Ports, system_clock};
use wasmnode_provider_api::Provider;

use crate::config::Config;
use crate::wire::PostedStatuses;

/// The parts of the cluster's side that others use or that are spawned.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) metrics: Arc<ClusterMetrics>,
    pub(super) recorder: EventRecorder,
    pub(super) events: EventSender,
    pub(super) statuses: StatusWriter,
    pub(super) objects: ObjectStore,
    pub(super) node: NodeView,
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn new(client: Client, config: &Config) -> Self {
        let metrics = Arc::new(ClusterMetrics::default());
        let limits = EventLimits { qps: config.file.event_record_qps, burst: config.file.event_burst };
        let (recorder, events) = event_channel(client.clone(), &config.node_name, limits, metrics.clone());
        Self {
            statuses: StatusWriter::new(client.clone(), metrics.clone()),
            objects: ObjectStore::new(client.clone(), metrics.clone()),
            node: NodeView::default(),
            client,
            metrics,
            recorder,
            events,
        }
    }

    /// What the supervisor acts upon.
    pub(super) fn ports(&self, provider: Arc<dyn Provider>, images: Images) -> Ports {
        Ports {
            statuses: Arc::new(PostedStatuses(self.statuses.clone())),
            objects: Arc::new(self.objects.clone()),
            tokens: Arc::new(TokenStore::new(self.client.clone(), self.metrics.clone())),
            recorder: Arc::new(self.recorder.clone()),
            provider,
            images: Arc::new(images),
            clock: system_clock(),
        }
    }
}
