//! What this crate needs of others and does not know the makers of; the binary joins them.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use wasmnode_core::{Objects, PodRef, Recorder, Tokens};
use wasmnode_provider_api::Provider;

use crate::images::Puller;

/// Where pod statuses go. Calls return at once: sending, retries and the merge with what others wrote are the
/// writer's.
pub trait Statuses: Send + Sync + 'static {
    /// After every change: the whole status of the pod, as this node sees it.
    fn set(&self, pod: &PodRef, status: PodStatus);

    /// Once, last: the pod holds nothing any more. The last status is still sent, then the API object is deleted.
    fn release(&self, pod: &PodRef);

    /// Once, last: the API server has the pod no more, so nothing is sent.
    fn forget(&self, pod: &PodRef);
}

/// The wall clock; tests derive it from a paused one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Everything that this crate acts upon.
#[derive(Clone)]
pub struct Ports {
    /// Where statuses go.
    pub statuses: Arc<dyn Statuses>,
    /// ConfigMaps, Secrets, Services, RuntimeClasses.
    pub objects: Arc<dyn Objects>,
    /// Service account tokens.
    pub tokens: Arc<dyn Tokens>,
    /// Where events go.
    pub recorder: Arc<dyn Recorder>,
    /// What runs the pods.
    pub provider: Arc<dyn Provider>,
    /// Where images come from.
    pub images: Arc<dyn Puller>,
    /// What time it is.
    pub clock: Clock,
}

/// The clock of the machine.
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}
