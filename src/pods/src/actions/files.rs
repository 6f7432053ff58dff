//! The files of one run: a fresh root, the termination message's file, the log's directory and link.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use tracing::debug;
use wasmnode_core::PodRef;
use wasmnode_core::desired::Container;
use wasmnode_logs::beneath::{Owner, Root};
use wasmnode_logs::{links, paths};
use wasmnode_provider_api::Mount;

use super::mounts::{message_file, relative};
use crate::layout::{Medium, PodLayout, element};
use crate::own::link_name;

/// Mode of directories that the guest sees.
const DIRECTORY_MODE: u32 = 0o755;

/// Mode of a container's root while it is filled.
const PRIVATE_MODE: u32 = 0o700;

/// Mode of the termination message's file: the guest writes it, whoever it is.
const MESSAGE_MODE: u32 = 0o666;

/// How many runs' logs are kept besides the current one.
const KEPT_RUNS: u32 = 1;

/// Prepares the files of one run. What an earlier run of the container wrote to its root is gone, as with any
/// container that starts anew.
/// `image` is the root file system of its image, if that has one.
pub(super) fn prepare(
    pod: &PodLayout,
    container: &Container,
    attempt: u32,
    mounts: &[Mount],
    image: Option<&Path>,
) -> io::Result<()> {
    element(&container.name).map_err(io::Error::other)?;
    let roots = pod.create(Medium::Disk, Path::new("root"))?;
    roots.remove_tree(Path::new(&container.name))?;
    // What is being filled is given away from the inside, so that nobody else may come in before it is complete.
    let root = roots.create_dirs(Path::new(&container.name), PRIVATE_MODE)?;
    if let Some(image) = image {
        wasmnode_images::copy_root_for(image, root.as_fd(), pod.user())?;
    }
    create_mount_points(&root, pod, &container.name, mounts)?;
    if let Some((directory, file)) = message_file(pod, container, mounts) {
        create_message(&Root::open(&directory)?, &file, pod.owner())?;
    }
    root.hand_over(pod.owner())?;
    root.set_mode(DIRECTORY_MODE)?;
    prepare_log(pod, &container.name, attempt)
}

/// Mount points are shown by a listing of the directory above them. Where a link of the image is in the way they are
/// not, and the volume is there all the same; but a directory of the root itself must be what it looks like, since
/// it is opened by its path.
fn create_mount_points(root: &Root, pod: &PodLayout, container: &str, mounts: &[Mount]) -> io::Result<()> {
    let host = pod.container_root(container);
    for mount in mounts {
        let Some(path) = relative(&mount.guest) else { continue };
        match root.create_dirs_for(&path, DIRECTORY_MODE, pod.owner()) {
            Err(error) if !mount.host.starts_with(&host) => {
                debug!(%error, guest = mount.guest, "A mount point is not shown");
            }
            created => drop(created?),
        }
    }
    Ok(())
}

/// A new file for each run: in a volume, the message of the run before would be taken for this one's. `file` is below
/// the pod's directory, in a container's root or a volume.
fn create_message(pod: &Root, file: &Path, owner: Owner) -> io::Result<()> {
    let mut parts = file.components();
    let place: PathBuf = parts.by_ref().take(2).collect();
    let (place, file) = (pod.dir(&place)?, parts.as_path());
    let Some(name) = file.file_name().map(Path::new) else { return Ok(()) };
    let created = match file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => create_anew(&place.create_dirs_for(parent, DIRECTORY_MODE, owner)?, name, owner),
        None => create_anew(&place, name, owner),
    };
    match created {
        // A directory, or a volume that is mounted there: no place for a message.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

fn create_anew(directory: &Root, name: &Path, owner: Owner) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
        Err(e) => return Err(e.into()),
    }
    owner.give(directory.create(name, MESSAGE_MODE)?)
}

fn prepare_log(pod: &PodLayout, container: &str, attempt: u32) -> io::Result<()> {
    let logs = &pod.node().logs_root;
    let PodRef { namespace, name, uid } = pod.pod();
    paths::create_container_dir_for(logs, namespace, name, uid, container, pod.user())?;
    let oldest = attempt.saturating_sub(KEPT_RUNS);
    paths::remove_attempts_before(logs, namespace, name, uid, container, oldest)?;
    let Some(directory) = &pod.node().links_dir else { return Ok(()) };
    if let Some(removed) = oldest.checked_sub(1) {
        links::remove(directory, &link_name(pod.pod(), container, removed)?)?;
    }
    links::create(directory, &link_name(pod.pod(), container, attempt)?, &pod.log_file(container, attempt))
}

/// Removes the link of a run that was not started after all.
pub(super) fn withdraw_link(pod: &PodLayout, container: &str, attempt: u32) -> io::Result<()> {
    let Some(directory) = &pod.node().links_dir else { return Ok(()) };
    links::remove(directory, &link_name(pod.pod(), container, attempt)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fixtures::{container, names, pod_layout};

    #[test]
    fn each_run_has_a_fresh_root_and_the_last_two_logs_stay() {
        let top = tempfile::tempdir().unwrap();
        let pod = pod_layout(top.path(), "p", "u");
        let root = pod.container_root("c");
        for attempt in 0..4 {
            let mount = |guest: &str, host: PathBuf| Mount { host, guest: guest.to_owned(), read_only: false };
            let mounts = [mount("/", root.clone()), mount("/data/a", top.path().join("a"))];
            prepare(&pod, &container("c"), attempt, &mounts, None).unwrap();
            assert_eq!(names(&root), ["data", "dev"]);
            assert_eq!(std::fs::read(root.join("dev/termination-log")).unwrap(), b"");
            std::fs::write(root.join("dev/termination-log"), "old").unwrap();
            std::os::unix::fs::symlink("/etc", root.join("planted")).unwrap();
            std::fs::write(pod.log_file("c", attempt), "").unwrap();
        }
        assert_eq!(names(&top.path().join("logs/ns_p_u/c")), ["2.log", "3.log"]);
        assert_eq!(names(&top.path().join("links")).len(), 2);
        withdraw_link(&pod, "c", 3).unwrap();
        assert_eq!(names(&top.path().join("links")).len(), 1);
    }

    #[test]
    fn each_run_has_a_fresh_message_also_in_a_volume() {
        let top = tempfile::tempdir().unwrap();
        let pod = pod_layout(top.path(), "p", "u");
        let volume = pod.volume(Medium::Disk, "v");
        std::fs::create_dir_all(volume.join("taken")).unwrap();
        let mut container = container("c");
        let prepare = |container: &Container, attempt, read_only| {
            let root = Mount { host: pod.container_root("c"), guest: "/".to_owned(), read_only: false };
            let data = Mount { host: volume.clone(), guest: "/data".to_owned(), read_only };
            super::prepare(&pod, container, attempt, &[root, data], None).unwrap();
        };
        let message = volume.join("a/message");
        container.termination_message_path = "/data/a/message".to_owned();
        prepare(&container, 0, true);
        assert!(!message.exists(), "what is read-only is left alone");
        for attempt in 0..2 {
            prepare(&container, attempt, false);
            assert_eq!(std::fs::read(&message).unwrap(), b"");
            std::fs::write(&message, "of the run before").unwrap();
        }
        container.termination_message_path = "/data/taken".to_owned();
        prepare(&container, 2, false);
        assert!(volume.join("taken").is_dir());
    }

    #[test]
    fn each_run_has_a_copy_of_the_image() {
        let top = tempfile::tempdir().unwrap();
        let pod = pod_layout(top.path(), "p", "u");
        let image = top.path().join("image");
        std::fs::create_dir_all(image.join("run")).unwrap();
        std::fs::create_dir_all(image.join("var")).unwrap();
        std::fs::write(image.join("app.wasm"), "image").unwrap();
        std::os::unix::fs::symlink("/run", image.join("var/run")).unwrap();
        let root = pod.container_root("c");
        let mount = |guest: &str, host: PathBuf| Mount { host, guest: guest.to_owned(), read_only: false };
        // Where the token is in every pod, and where many images have a link.
        let mounts = [mount("/", root.clone()), mount("/var/run/secrets/x", top.path().join("volume"))];
        for attempt in 0..2 {
            prepare(&pod, &container("c"), attempt, &mounts, Some(&image)).unwrap();
            assert_eq!(names(&root), ["app.wasm", "dev", "run", "var"]);
            assert_eq!(std::fs::read(root.join("app.wasm")).unwrap(), b"image");
            std::fs::write(root.join("app.wasm"), "container").unwrap();
        }
        assert_eq!(std::fs::read(image.join("app.wasm")).unwrap(), b"image");
    }

    #[test]
    fn a_link_of_the_image_leads_nowhere() {
        let top = tempfile::tempdir().unwrap();
        let pod = pod_layout(top.path(), "p", "u");
        let (image, outside) = (top.path().join("image"), top.path().join("outside"));
        std::fs::create_dir(&image).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, image.join("dev")).unwrap();
        let root = pod.container_root("c");
        let mount = |guest: &str, host: PathBuf, read_only| Mount { host, guest: guest.to_owned(), read_only };
        for mounts in [
            vec![mount("/", root.clone(), false)],
            vec![mount("/", root.clone(), true), mount("/dev", root.join("dev"), false)],
        ] {
            assert!(prepare(&pod, &container("c"), 0, &mounts, Some(&image)).is_err());
            assert_eq!(names(&outside), Vec::<String>::new());
        }
    }
}
