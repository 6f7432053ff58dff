//! Ends that the node decides, not the API server (contract section 4.12).

use std::borrow::Cow;

use jiff::SignedDuration;

use super::texts;

/// The end of a pod that the node decides. Its containers are stopped; then the pod is `Failed` with this reason and
/// waits for its deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodEnd {
    /// `status.reason`.
    pub reason: Cow<'static, str>,
    /// `status.message`.
    pub message: Cow<'static, str>,
    /// Longest time for its containers to stop; none: the pod's own grace.
    pub grace: Option<SignedDuration>,
    /// Whether it is not the pod's own doing: controllers look for the condition `DisruptionTarget` to tell.
    pub is_disruption: bool,
}

impl PodEnd {
    /// The node is shut down, or drained by its owner.
    pub fn shutdown(grace: SignedDuration) -> Self {
        Self {
            reason: Cow::Borrowed("Terminated"),
            message: Cow::Borrowed(texts::SHUTDOWN),
            grace: Some(grace),
            is_disruption: true,
        }
    }
}
