//! What others may know of the pods while they are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio_util::sync::CancellationToken;
use wasmnode_core::PodRef;

use crate::board::Board;
use crate::context::Context;
use crate::metrics::Metrics;
use crate::routes::Routes;
use crate::site;
use crate::supervisor::shutdown::{Departure, Gate, Shutdown};

/// A view of the node's pods; clones share it.
#[derive(Clone)]
pub struct Handle {
    board: Arc<Board>,
    routes: Routes,
    metrics: Arc<Metrics>,
    gate: Gate,
}

// === impl Handle ===

impl Handle {
    pub(super) fn new(context: &Context, gate: Gate) -> Self {
        Self {
            board: Arc::clone(&context.board),
            routes: context.routes.clone(),
            metrics: Arc::clone(&context.metrics),
            gate,
        }
    }

    /// All pods of the node with the agent's own status, by UID.
    pub fn pods(&self) -> Vec<Pod> {
        self.board.pods()
    }

    /// The pod of that name with the agent's own status. Of two with one name, the one that is not being deleted.
    pub fn lookup(&self, namespace: &str, name: &str) -> Option<Pod> {
        self.board.find(namespace, name)
    }

    /// Cancelled when that run of a container has ended and its log is complete; at once when it is not alive.
    pub fn ended(&self, pod: &PodRef, container: &str, attempt: u32) -> CancellationToken {
        match site::run(pod, container, attempt) {
            Ok(run) => self.routes.ended(&run),
            Err(_) => crate::routes::cancelled(),
        }
    }

    /// Ends all pods, critical ones last, and takes no more of them: there is no way back but another agent. Asked
    /// again, a shutdown that is under way gets less time, never more. The pods' last statuses are with the writer of
    /// statuses when it is over.
    pub fn shut_down(&self, shutdown: Shutdown) -> Departure {
        self.gate.ask(shutdown)
    }

    /// Counters of the supervisor and its workers.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Number of pods by phase.
    pub fn phases(&self) -> BTreeMap<String, usize> {
        self.board.phases()
    }
}
