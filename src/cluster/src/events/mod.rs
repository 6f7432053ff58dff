//! Events in core/v1, as a kubelet records them (contract section 6). kube's own recorder writes events.k8s.io, which
//! `kubectl describe` and the conformance tests do not read the same way.

mod bucket;
mod correlator;
mod lru;
mod object;
mod sender;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use tokio::sync::mpsc;
use tracing::debug;
use wasmnode_core::{PodRef, Record, Recorder, Severity};

pub use self::sender::EventSender;
use crate::metrics::ClusterMetrics;

/// Bound of the queue, as client-go's: enough for a minute without the API server on a busy node. When it is full,
/// new events are dropped and counted; events are advice, and nothing repairs them.
const QUEUE: usize = 1000;

/// How fast events are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventLimits {
    /// `eventRecordQPS`: requests per second; 0: no limit.
    pub qps: u32,
    /// `eventBurst`.
    pub burst: u32,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self { qps: 50, burst: 100 }
    }
}

/// Takes events. Never waits.
#[derive(Clone)]
pub struct EventRecorder {
    node: Arc<str>,
    queue: mpsc::Sender<Event>,
    metrics: Arc<ClusterMetrics>,
}

/// A recorder and what sends its events.
pub fn event_channel(
    client: Client,
    node: &str,
    limits: EventLimits,
    metrics: Arc<ClusterMetrics>,
) -> (EventRecorder, EventSender) {
    let (queue, events) = mpsc::channel(QUEUE);
    let recorder = EventRecorder { node: node.into(), queue, metrics: metrics.clone() };
    (recorder, EventSender::new(client, events, limits, metrics))
}

impl EventRecorder {
    fn enqueue(&self, event: Event) {
        if self.queue.try_send(event).is_err() {
            self.metrics.events_overflowed.add();
            debug!(node = %self.node, "Dropped an event because the queue is full");
        }
    }
}

impl Recorder for EventRecorder {
    fn pod(&self, pod: &PodRef, resource_version: &str, record: Record) {
        self.enqueue(object::about_pod(&self.node, pod, resource_version, record, Timestamp::now()));
    }

    fn node(&self, severity: Severity, reason: &'static str, message: String) {
        self.enqueue(object::about_node(&self.node, severity, reason, message, Timestamp::now()));
    }
}
