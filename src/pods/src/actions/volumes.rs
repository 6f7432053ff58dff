//! Volumes: set up, kept up to date, torn down.

use std::io;
use std::sync::Arc;

use tracing::warn;
use wasmnode_core::PodRef;
use wasmnode_core::desired::Desired;
use wasmnode_core::pod::Event;

use super::Pauses;
use crate::groups::{Group, Groups, NoUser, NotPlaced, PlaceError};
use crate::site::Site;
use crate::volumes::{self, Sources};
use crate::{blocking, own};

/// Why nothing could be set up.
enum Refused {
    /// The pod has no place here: what follows `Failed to create pod sandbox: `.
    Sandbox(String),
    /// Its place cannot be used now.
    Mount(String),
}

/// Sets everything up for the first time. The pod is given its group and recorded before anything else is made for it.
pub(crate) async fn mount(site: &Site, desired: &Desired) -> Event {
    match place(site, desired).await {
        Ok(()) => Event::Mounted(set_up(site, desired).await),
        Err(Refused::Mount(error)) => Event::Mounted(Err(error)),
        Err(Refused::Sandbox(error)) => Event::SandboxReady(Err(error)),
    }
}

async fn place(site: &Site, desired: &Desired) -> Result<(), Refused> {
    let groups = Arc::clone(&site.context.groups);
    let group = match groups.is_settled(&site.pod) {
        true => None,
        false => Some(group(site, desired).await.map_err(Refused::Sandbox)?),
    };
    let torn_down = site.torn_down.lock().await;
    if *torn_down {
        return Ok(());
    }
    let (pod, grace) = (site.pod.clone(), desired.grace_seconds);
    let writable = desired.volumes.iter().filter(|volume| volumes::is_writable(&volume.source));
    let writable: Vec<String> = writable.map(|volume| volume.name.clone()).collect();
    let recorded = blocking::io(move || record(&groups, &pod, group.as_ref(), &writable, grace)).await;
    let state = site.context.config.layout.state_root.display();
    recorded
        .map_err(|e| Refused::Mount(format!("Unable to record the pod in {state}: {e}")))?
        .map_err(|e| Refused::Sandbox(e.to_string()))
}

/// A RuntimeClass decides how a pod is kept apart from others; one that this node does not have must not be ignored.
async fn group(site: &Site, desired: &Desired) -> Result<Group, String> {
    let handler = match &desired.runtime_class {
        Some(class) => site.context.ports.objects.runtime_handler(class).await.map_err(|e| e.to_string())?,
        None => String::new(),
    };
    site.context.groups.group(&site.pod, &handler).map_err(|e| e.to_string())
}

fn record(
    groups: &Groups,
    pod: &PodRef,
    group: Option<&Group>,
    writable: &[String],
    grace: i64,
) -> io::Result<Result<(), NoUser>> {
    match group.map_or(Ok(()), |group| groups.place(pod, group, writable)) {
        Ok(()) => {
            let layout = groups.find(pod).ok_or(NotPlaced)?;
            layout.make_group()?;
            own::record(&layout, grace).map(Ok)
        }
        Err(PlaceError::Users(error)) => Ok(Err(error)),
        Err(PlaceError::Disk(error)) => Err(error),
    }
}

/// Makes every volume hold what it should.
pub(crate) async fn set_up(site: &Site, desired: &Desired) -> Result<(), String> {
    let torn_down = site.torn_down.lock().await;
    if *torn_down {
        return Ok(());
    }
    let layout = site.layout().map_err(|e| e.to_string())?;
    let node = site.context.node();
    let ports = &site.context.ports;
    let sources = Sources { desired, objects: &*ports.objects, tokens: &*ports.tokens, facts: node.facts() };
    volumes::set_up(&sources, &layout, site.now()).await
}

/// Removes every volume, however often it takes: what is left would keep secrets in memory and fill the disk.
pub(crate) async fn tear_down(site: &Arc<Site>) {
    let mut torn_down = site.torn_down.lock().await;
    *torn_down = true;
    let Ok(layout) = site.layout() else { return };
    let mut pauses = Pauses::new();
    loop {
        let layout = layout.clone();
        match blocking::io(move || volumes::tear_down(&layout)).await {
            Ok(()) => return,
            Err(error) => warn!(%error, "Could not remove the volumes, trying again"),
        }
        pauses.pause().await;
    }
}
