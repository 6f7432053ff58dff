//! What the content of volumes comes from.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use wasmnode_core::desired::Desired;
use wasmnode_core::downward::Facts;
use wasmnode_core::{ObjectError, Objects, Tokens};

/// What the content of a pod's volumes comes from.
pub(crate) struct Sources<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) objects: &'a dyn Objects,
    pub(crate) tokens: &'a dyn Tokens,
    pub(crate) facts: Facts<'a>,
}

// === impl Sources ===

impl Sources<'_> {
    pub(super) async fn config_map(&self, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        self.objects.config_map(&self.desired.pod.namespace, name).await
    }

    pub(super) async fn secret(&self, name: &str) -> Result<Arc<Secret>, ObjectError> {
        self.objects.secret(&self.desired.pod.namespace, name).await
    }
}
