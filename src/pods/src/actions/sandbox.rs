//! What a pod's containers share in the provider.

use tracing::warn;
use wasmnode_core::desired::Desired;
use wasmnode_provider_api::SandboxSpec;

use super::Pauses;
use crate::site::Site;

/// Makes the sandbox. The error is what follows `Failed to create pod sandbox: `.
pub(crate) async fn create(site: &Site, desired: &Desired) -> Result<(), String> {
    check_handler(site, desired).await?;
    let spec = SandboxSpec {
        id: site.sandbox().map_err(|e| e.to_string())?,
        name: site.pod.full_name(),
        hostname: desired.hostname(),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
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

/// A RuntimeClass decides how a pod is kept apart from others; one that this node does not have must not be ignored.
async fn check_handler(site: &Site, desired: &Desired) -> Result<(), String> {
    let Some(class) = &desired.runtime_class else { return Ok(()) };
    let handler = site.context.ports.objects.runtime_handler(class).await.map_err(|e| e.to_string())?;
    let known = &site.context.config.handlers;
    if handler.is_empty() || known.contains(&handler) {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(format!("no runtime for {handler:?} is configured; this node has: {}", names.join(", ")))
}
