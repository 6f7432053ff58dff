//! The file system in memory below `runDirectory`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags};
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

/// Unmounts it if it is one that [`ensure`] mounted. A root directory that was moved may have mounted several.
pub(crate) fn remove(path: &Path) -> anyhow::Result<bool> {
    let mut is_removed = false;
    while is_ours(path)? {
        rustix::mount::unmount(path, UnmountFlags::NOFOLLOW)
            .with_context(|| format!("cannot unmount {}: is a shell in it?", path.display()))?;
        is_removed = true;
    }
    Ok(is_removed)
}

/// By what proc_pid_mountinfo(5) says of the mount that is on top.
fn is_ours(path: &Path) -> anyhow::Result<bool> {
    let Ok(path) = path.canonicalize() else { return Ok(false) };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    Ok(is_mounted_by_us(&mounts, &path.to_string_lossy()))
}

fn is_mounted_by_us(mounts: &str, path: &str) -> bool {
    let path = path.replace('\\', r"\134").replace(' ', r"\040");
    let top = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(path.as_str()));
    let kind = top.and_then(|line| line.split_once(" - ")).map(|(_, kind)| kind);
    kind.is_some_and(|kind| kind.starts_with("tmpfs wasmnode "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agents_own_mount_is_its_own() {
        let mounts = "\
22 1 0:20 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=1
30 22 0:31 / /run/wasmnode rw,nosuid - tmpfs wasmnode rw,size=1
31 22 0:32 / /run/with\\040blank rw,nosuid shared:7 - tmpfs wasmnode rw,size=1
32 22 0:33 / /run/covered rw - tmpfs wasmnode rw
33 32 0:34 / /run/covered rw - tmpfs other rw
34 22 0:35 / /run/disk rw - ext4 wasmnode rw
";
        let cases = [
            ("/run", false),
            ("/run/wasmnode", true),
            ("/run/with blank", true),
            ("/run/covered", false),
            ("/run/disk", false),
            ("/run/none", false),
        ];
        for (path, ours) in cases {
            assert_eq!(is_mounted_by_us(mounts, path), ours, "{path}");
        }
    }
}
