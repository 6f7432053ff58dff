//! What is asked of the API server for one pod, and how it ended.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::time::Instant;
use wasmnode_core::PodRef;

/// Something to ask of the API server for one pod.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) pod: PodRef,
    /// The pod as last seen; none: read it, and do nothing else.
    pub(super) known: Option<Arc<Pod>>,
    /// The status to post.
    pub(super) status: Option<Arc<PodStatus>>,
    /// Which one that is.
    pub(super) version: u64,
    /// When it was set.
    pub(super) since: Option<Instant>,
    /// Delete the pod afterwards.
    pub(super) release: bool,
}

/// How a job ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) pod: PodRef,
    pub(super) end: End,
}

/// See [`Report`].
#[derive(Debug)]
pub(super) enum End {
    /// The pod as the API server has it now.
    Read(Arc<Pod>),
    /// That version is posted, or needs no posting; the pod as it is now.
    Posted { version: u64, known: Arc<Pod> },
    /// There is no such pod any more, or none that concerns this node.
    Over,
    /// It is to be tried again later. What is known of the pod may be `stale`; up to `posted` all is done.
    Failed { stale: bool, posted: Option<(u64, Arc<Pod>)> },
}
