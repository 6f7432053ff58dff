//! What the server needs from the rest of the agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::Instance;
use crate::metrics::Requests;

/// Everything a server asks. The binary makes one.
#[derive(Clone)]
pub struct Backends {
    /// Who callers are and what they may do.
    pub reviewer: Arc<dyn Reviewer>,
    /// The node's pods.
    pub pods: Arc<dyn Pods>,
    /// Whether the agent works.
    pub health: Arc<dyn Health>,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// The server's own figures, registered in `registry`.
    pub requests: Requests,
}

/// A caller, as TokenReview or a client certificate names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// User name.
    pub name: String,
    /// UID, empty for certificates.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Extra fields of the review.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A review that could not be made: the API server is away or refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("review failed: {0}")]
pub struct ReviewError(pub String);

/// TokenReview and SubjectAccessReview with the agent's own credentials. Answers are cached by the server.
#[async_trait]
pub trait Reviewer: Send + Sync + 'static {
    /// Per unknown token: whose it is, `None` when it is nobody's.
    async fn token_review(&self, token: &str) -> Result<Option<User>, ReviewError>;

    /// Whether `user` may do `verb` on `nodes/<subresource>` of the node (group "", version v1).
    async fn access_review(&self, user: &User, verb: &str, subresource: &str, node: &str) -> Result<bool, ReviewError>;
}

/// The node's pods. Called per request; answers from memory.
pub trait Pods: Send + Sync + 'static {
    /// All pods the agent knows, with the agent's newest status.
    fn list(&self) -> Vec<Pod>;

    /// One of them.
    fn get(&self, namespace: &str, name: &str) -> Option<Pod>;

    /// Where the log of this instance of a container of `pod` is; `None` when instance and log were removed.
    fn log_target(&self, pod: &Pod, instance: &Instance) -> Option<LogTarget>;
}

/// A log file to read.
#[derive(Debug, Clone)]
pub struct LogTarget {
    /// Directory of all pods' logs, trusted.
    pub root: PathBuf,
    /// The file below it. Nothing on the way is trusted.
    pub relative: PathBuf,
    /// Cancelled when the instance has ended and its last line is written. Instances whose status says that they
    /// have ended need none.
    pub ended: CancellationToken,
}

/// The agent's own checks.
pub trait Health: Send + Sync + 'static {
    /// Per request: names of checks that fail now, with reasons for the agent's own log. `log` and `syncloop` are
    /// the kubelet's names; others are shown as well.
    fn failing(&self) -> Vec<(String, String)>;
}
