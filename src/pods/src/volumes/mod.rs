//! Volumes: what a pod's containers find below their mount paths.
//!
//! Setting up is idempotent, and the same path serves the first mount, its retries and the periodic refresh of
//! tokens and objects. Content is gathered first, without touching the disk, and then written on a thread that may
//! block. A new kind of volume is a file here and an arm in [`gather`].

mod atomic;
mod config_map;
mod downward;
mod empty_dir;
mod keys;
mod payload;
mod projected;
mod secret;
mod sources;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wasmnode_core::desired::{Desired, Volume, VolumeSource};

use crate::blocking;
use crate::layout::{Medium, PodLayout, element};
use payload::Payload;
pub(crate) use sources::Sources;

/// Mode of volumes whose files the agent writes. The directories are the agent's, so that nobody else changes what is
/// in them; only the files are the user's, since some are for their owner only.
const MODE: u32 = 0o755;

/// What a volume is to hold.
enum Content {
    /// Whatever the pod puts there.
    Empty,
    /// Exactly these files.
    Files(Payload),
}

/// Sets up every volume of the pod, in spec order, or makes them hold what they should hold now.
/// The error is the text of the `FailedMount` event for the first volume that failed.
pub(crate) async fn set_up(sources: &Sources<'_>, pod: &PodLayout, now: Timestamp) -> Result<(), String> {
    for volume in &sources.desired.volumes {
        set_up_one(sources, pod, volume, now)
            .await
            .map_err(|error| format!("MountVolume.SetUp failed for volume {:?} : {error}", volume.name))?;
    }
    Ok(())
}

/// Removes every volume of the pod and every container's root.
pub(crate) fn tear_down(pod: &PodLayout) -> io::Result<()> {
    pod.remove(Medium::Memory)?;
    let Some(directory) = pod.if_there(Medium::Disk)? else { return Ok(()) };
    directory.remove_tree(Path::new("volumes"))?;
    directory.remove_tree(Path::new("root"))
}

/// Host path of a volume, for mounting it.
pub(crate) fn host_path(pod: &PodLayout, volume: &Volume) -> PathBuf {
    pod.volume(medium(&volume.source), &volume.name)
}

/// Whether containers may write to the volume at all: what the agent writes is read-only to them.
pub(crate) fn is_writable(source: &VolumeSource) -> bool {
    match source {
        VolumeSource::EmptyDir { .. } => true,
        VolumeSource::ConfigMap(..)
        | VolumeSource::Secret(..)
        | VolumeSource::Downward(..)
        | VolumeSource::Projected(..)
        | VolumeSource::Unsupported(_) => false,
    }
}

/// Whether the pod has volumes whose content may change while it runs.
pub(crate) fn needs_refresh(desired: &Desired) -> bool {
    desired.volumes.iter().any(|volume| !is_writable(&volume.source))
}

/// Secrets never reach a disk; neither does anything that may hold a token.
fn medium(source: &VolumeSource) -> Medium {
    match source {
        VolumeSource::EmptyDir { memory: true, .. } | VolumeSource::Secret(..) | VolumeSource::Projected(..) => {
            Medium::Memory
        }
        VolumeSource::EmptyDir { memory: false, .. }
        | VolumeSource::ConfigMap(..)
        | VolumeSource::Downward(..)
        | VolumeSource::Unsupported(_) => Medium::Disk,
    }
}

async fn set_up_one(sources: &Sources<'_>, pod: &PodLayout, volume: &Volume, now: Timestamp) -> Result<(), String> {
    let content = gather(sources, &volume.source).await?;
    let (pod, name, medium) = (pod.clone(), volume.name.clone(), medium(&volume.source));
    element(&name).map_err(|e| e.to_string())?;
    blocking::io(move || write(&pod, medium, &name, &content, now)).await.map_err(|e| e.to_string())
}

async fn gather(sources: &Sources<'_>, source: &VolumeSource) -> Result<Content, String> {
    match source {
        VolumeSource::EmptyDir { .. } => return Ok(Content::Empty),
        VolumeSource::ConfigMap(source, mode) => config_map::payload(sources, source, *mode).await,
        VolumeSource::Secret(source, mode) => secret::payload(sources, source, *mode).await,
        VolumeSource::Downward(items, mode) => downward::payload(sources, items, *mode),
        VolumeSource::Projected(parts, mode) => projected::payload(sources, parts, *mode).await,
        VolumeSource::Unsupported(kind) => Err(format!("volumes of kind {kind} are not supported by this node")),
    }
    .map(Content::Files)
}

fn write(pod: &PodLayout, medium: Medium, name: &str, content: &Content, now: Timestamp) -> io::Result<()> {
    let volumes = pod.create(medium, Path::new("volumes"))?;
    match content {
        Content::Empty => empty_dir::set_up(&volumes, name, pod.owner()),
        Content::Files(payload) => {
            let volume = volumes.create_dirs(Path::new(name), MODE)?;
            atomic::write(&volume, payload, pod.owner(), now).map(drop)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
