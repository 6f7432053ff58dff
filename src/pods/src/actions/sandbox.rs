//! What a pod's containers share in the provider.

use tracing::warn;
use wasmnode_core::desired::Desired;
use wasmnode_provider_api::{Isolation, SandboxSpec};

use super::Pauses;
use crate::site::Site;

/// Makes the sandbox. The error is what follows `Failed to create pod sandbox: `.
pub(crate) async fn create(site: &Site, desired: &Desired) -> Result<(), String> {
    let place = site.layout().map_err(|e| e.to_string())?;
    let isolation = Isolation { group: place.group().as_str().to_owned(), user: place.user(), paths: Vec::new() };
    let spec = SandboxSpec {
        id: site.sandbox().map_err(|e| e.to_string())?,
        name: site.pod.full_name(),
        hostname: desired.hostname(),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
        isolation,
    };
    site.context.ports.provider.create_sandbox(spec).await.map_err(|e| e.to_string())
}

/// Removes the sandbox and every run in it, however often it takes: the pod cannot end before.
pub(crate) async fn remove(site: &Site) {
    let Ok(id) = site.sandbox() else { return };
    let mut pauses = Pauses::new();
    while let Err(error) = site.context.ports.provider.remove_sandbox(&id).await {
        warn!(%error, "Could not remove the sandbox, trying again");
        pauses.pause().await;
    }
}
