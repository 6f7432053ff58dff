//! The last act for a pod.

use std::sync::Arc;

use tracing::{info, warn};

use crate::site::Site;
use crate::{blocking, own};

/// Gives back everything that is kept for the pod outside of the lifecycle. With `delete` the API object is deleted
/// once its last status was sent.
pub(crate) async fn release(site: &Site, delete: bool) {
    let ports = &site.context.ports;
    if delete {
        ports.statuses.release(&site.pod);
    } else {
        ports.statuses.forget(&site.pod);
    }
    ports.objects.release(&site.pod);
    ports.tokens.release(&site.pod);
    if let Ok(layout) = site.layout() {
        let groups = Arc::clone(&site.context.groups);
        // What is left behind is removed when the agent starts again: its record goes last.
        if let Err(error) = blocking::io(move || own::remove(&groups, &layout)).await {
            warn!(%error, "Could not remove what was kept for the pod");
        }
    }
    info!(delete, "Released");
}
