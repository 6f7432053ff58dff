//! The file system in memory below `runDirectory`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};
use tracing::{info, warn};

/// Secrets and tokens belong in memory: mounts a tmpfs of `size` bytes unless something is mounted there already.
pub(crate) fn ensure(path: &Path, size: u64) -> anyhow::Result<()> {
    if size == 0 || is_mount_point(path)? {
        return Ok(());
    }
    match mount_tmpfs(path, size) {
        Ok(()) => info!(path = %path.display(), size, "Mounted a tmpfs for volumes in memory"),
        Err(error) if matches!(error, rustix::io::Errno::PERM | rustix::io::Errno::NOSYS) => {
            warn!(path = %path.display(), %error, "Volumes in memory are plain files, since no tmpfs can be mounted");
        }
        Err(error) => return Err(error).with_context(|| format!("cannot mount a tmpfs on {}", path.display())),
    }
    Ok(())
}

fn is_mount_point(path: &Path) -> anyhow::Result<bool> {
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev());
    let parent = path.parent().unwrap_or(path);
    let devices = device(path).and_then(|own| Ok((own, device(parent)?)));
    let (own, parent) = devices.with_context(|| format!("cannot inspect {}", path.display()))?;
    Ok(own != parent)
}

/// With the calls that take descriptors, so that a path replaced meanwhile cannot be mounted over.
fn mount_tmpfs(path: &Path, size: u64) -> rustix::io::Result<()> {
    use rustix::mount;
    let directory = rustix::fs::open(
        path,
        rustix::fs::OFlags::PATH
            | rustix::fs::OFlags::DIRECTORY
            | rustix::fs::OFlags::NOFOLLOW
            | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let context = mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    mount::fsconfig_set_string(&context, "source", "wasmnode")?;
    mount::fsconfig_set_string(&context, "size", size.to_string())?;
    mount::fsconfig_set_string(&context, "mode", "0755")?;
    mount::fsconfig_create(&context)?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tmpfs = mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    mount::move_mount(&tmpfs, "", &directory, "", flags)
}
