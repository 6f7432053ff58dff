//! What the lifecycle needs of the API server besides pods; the crate that talks to it implements these.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};

use crate::PodRef;

/// An object that a pod names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectRef {
    /// A ConfigMap of the pod's namespace.
    ConfigMap(String),
    /// A Secret of the pod's namespace.
    Secret(String),
}

/// Why an object could not be had. The text is the kubelet's: it ends in pod events and waiting messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// It does not exist.
    #[error("{kind} \"{name}\" not found")]
    NotFound {
        /// Lower-case kind: `configmap`, `secret`, `runtimeclass.node.k8s.io`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The API server refuses it to this node.
    #[error("{0}")]
    Forbidden(String),
    /// No answer now; worth trying again.
    #[error("{0}")]
    Unavailable(String),
}

/// ConfigMaps, Secrets, Services and RuntimeClasses. A node may read only objects that pods bound to it name, one
/// watch each (kubelet contract sections 3 and 14).
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// Before anything of a pod is read, and again when its references changed: starts one watch per object that no
    /// other pod watches yet. Replaces the pod's earlier set.
    fn register(&self, pod: &PodRef, references: &[ObjectRef]);

    /// When a pod is released: ends the watches that nobody else needs.
    fn release(&self, pod: &PodRef);

    /// The newest state of a registered ConfigMap; waits a bounded time for the watch's first answer.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError>;

    /// As [`Objects::config_map`].
    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError>;

    /// All Services of the namespaces given, for service environment variables. `None` until they were read once.
    fn services(&self, namespaces: &[&str]) -> Option<Vec<Arc<Service>>>;

    /// Handler of a RuntimeClass.
    async fn runtime_handler(&self, class: &str) -> Result<String, ObjectError>;
}

/// A token to request for a pod's service account (TokenRequest, bound to the pod).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    /// The pod it is bound to.
    pub pod: PodRef,
    /// Service account of the pod's namespace.
    pub service_account: String,
    /// Audience; `None`: the API server's default.
    pub audience: Option<String>,
    /// Wanted lifetime, seconds, at least 600.
    pub expiration_seconds: i64,
}

/// A service account token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The bearer token; secret.
    pub value: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Service account tokens.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// A token that is good for most of its life: cached per request and refreshed when older than 80 % of its
    /// lifetime or 24 hours (kubelet contract section 10.3).
    async fn token(&self, request: &TokenRequest) -> Result<Token, ObjectError>;

    /// When a pod is released: forget its tokens.
    fn release(&self, pod: &PodRef);
}
