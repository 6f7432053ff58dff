//! Pod statuses from the workers to the API server.

use k8s_openapi::api::core::v1::PodStatus;
use wasmnode_cluster::StatusWriter;
use wasmnode_core::PodRef;
use wasmnode_pods::Statuses;

/// The cluster's status writer, as the workers see it.
pub(crate) struct PostedStatuses(pub(crate) StatusWriter);

impl Statuses for PostedStatuses {
    fn set(&self, pod: &PodRef, status: PodStatus) {
        self.0.set(pod, status);
    }

    fn release(&self, pod: &PodRef) {
        self.0.release(pod);
    }

    fn forget(&self, pod: &PodRef) {
        self.0.forget(pod);
    }
}
