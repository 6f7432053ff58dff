//! Volumes: set up, kept up to date, torn down.

use std::sync::Arc;

use tracing::warn;
use wasmnode_core::desired::Desired;

use super::Pauses;
use crate::site::Site;
use crate::volumes::{self, Sources};
use crate::{blocking, own};

/// Sets everything up for the first time. The pod is recorded before anything else is made for it.
pub(crate) async fn mount(site: &Site, desired: &Desired) -> Result<(), String> {
    let layout = site.layout.clone();
    let recorded = blocking::io(move || own::record(&layout)).await;
    recorded.map_err(|e| format!("Unable to record the pod in {}: {e}", site.layout.node().state_root.display()))?;
    set_up(site, desired).await
}

/// Makes every volume hold what it should.
pub(crate) async fn set_up(site: &Site, desired: &Desired) -> Result<(), String> {
    let torn_down = site.torn_down.lock().await;
    if *torn_down {
        return Ok(());
    }
    let node = site.context.node();
    let ports = &site.context.ports;
    let sources = Sources { desired, objects: &*ports.objects, tokens: &*ports.tokens, facts: node.facts() };
    volumes::set_up(&sources, &site.layout, site.now()).await
}

/// Removes every volume, however often it takes: what is left would keep secrets in memory and fill the disk.
pub(crate) async fn tear_down(site: &Arc<Site>) {
    let mut torn_down = site.torn_down.lock().await;
    *torn_down = true;
    let mut pauses = Pauses::new();
    loop {
        let layout = site.layout.clone();
        match blocking::io(move || volumes::tear_down(&layout)).await {
            Ok(()) => return,
            Err(error) => warn!(%error, "Could not remove the volumes, trying again"),
        }
        pauses.pause().await;
    }
}
