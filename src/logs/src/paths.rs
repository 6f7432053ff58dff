//! Where logs are: `<root>/<namespace>_<pod>_<uid>/<container>/<attempt>.log`, the kubelet's layout.
//!
//! Kubernetes names hold no underscore, so two pods never share a directory.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::beneath::{Owner, Root};

/// Mode of the directory of all pods' logs.
const ROOT_MODE: u32 = 0o755;
/// Mode of a pod's directories: its group's user and collectors that run as root.
const DIR_MODE: u32 = 0o750;
/// Mode of log files.
pub(crate) const FILE_MODE: u32 = 0o640;

/// Longest file name that common file systems allow, bytes.
const MAX_NAME: usize = 255;

/// Entries read from a container's log directory.
const MAX_ENTRIES: usize = 65_536;

/// A pod's log directory below `root`.
pub fn pod_dir(root: &Path, namespace: &str, pod: &str, uid: &str) -> PathBuf {
    root.join(format!("{namespace}_{pod}_{uid}"))
}

/// The log file of one attempt of a container. With an empty `pod_dir`'s name it is relative.
pub fn log_file(pod_dir: &Path, container: &str, attempt: u32) -> PathBuf {
    pod_dir.join(container).join(format!("{attempt}.log"))
}

/// Name of a container's link in `/var/log/containers`, from which collectors read pod, namespace and container.
/// Cut to the length of a file name as the kubelet does it: the container id loses its end.
pub fn link_name(namespace: &str, pod: &str, container: &str, container_id: &str) -> String {
    const SUFFIX: &str = ".log";
    let mut name = format!("{pod}_{namespace}_{container}-{container_id}");
    name.truncate(name.floor_char_boundary(MAX_NAME - SUFFIX.len()));
    name + SUFFIX
}

/// Creates a container's log directory, before its first start. Repeating it changes nothing.
pub fn create_container_dir(root: &Path, namespace: &str, pod: &str, uid: &str, container: &str) -> io::Result<()> {
    create_container_dir_for(root, namespace, pod, uid, container, None)
}

/// As [`create_container_dir`], for a container whose log is written by `user`. The directory is that user's; the pod's
/// above it stays the caller's, so that the user cannot put anything else in the container's place.
pub fn create_container_dir_for(
    root: &Path,
    namespace: &str,
    pod: &str,
    uid: &str,
    container: &str,
    user: Option<u32>,
) -> io::Result<()> {
    create_root(root)?;
    let pod = Root::open(root)?.create_dirs_for(
        &pod_dir(Path::new(""), namespace, pod, uid),
        DIR_MODE,
        Owner::group(user),
    )?;
    pod.create_dirs_for(Path::new(container), DIR_MODE, Owner::user(user)).map(drop)
}

/// Whoever writes below it must be able to pass, whatever the process's umask is.
fn create_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(root)?;
    std::fs::set_permissions(root, Permissions::from_mode(ROOT_MODE))
}

/// Removes a deleted pod's logs. No error when there are none.
pub fn remove_pod_dir(root: &Path, namespace: &str, pod: &str, uid: &str) -> io::Result<()> {
    match Root::open(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.remove_tree(&pod_dir(Path::new(""), namespace, pod, uid)),
    }
}

/// The highest N of the `N.log` files of a container, rotated ones included: restart counts go on from there when
/// no status is known. `None` without a file or directory. Whoever may write there can make any number up: what is
/// beyond `at_most` does not count.
pub fn highest_attempt(
    root: &Path,
    namespace: &str,
    pod: &str,
    uid: &str,
    container: &str,
    at_most: u32,
) -> io::Result<Option<u32>> {
    let relative = pod_dir(Path::new(""), namespace, pod, uid).join(container);
    let Some(dir) = open_if_there(root, &relative)? else { return Ok(None) };
    let numbers = dir.names(MAX_ENTRIES)?;
    Ok(numbers.iter().filter_map(|name| attempt_of(name)).filter(|number| *number <= at_most).max())
}

/// Removes the log files of attempts before `oldest`, rotated ones included: the kubelet keeps the current
/// instance and one dead one.
pub fn remove_attempts_before(
    root: &Path,
    namespace: &str,
    pod: &str,
    uid: &str,
    container: &str,
    oldest: u32,
) -> io::Result<()> {
    let relative = pod_dir(Path::new(""), namespace, pod, uid).join(container);
    let Some(dir) = open_if_there(root, &relative)? else { return Ok(()) };
    for name in dir.names(MAX_ENTRIES)? {
        if attempt_of(&name).is_some_and(|n| n < oldest) {
            dir.remove_tree(Path::new(&name))?;
        }
    }
    Ok(())
}

fn open_if_there(root: &Path, relative: &Path) -> io::Result<Option<Root>> {
    match Root::open(root).and_then(|root| root.dir(relative)) {
        Ok(dir) => Ok(Some(dir)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// `7` for `7.log` and `7.log.20260102-150405.gz`.
fn attempt_of(name: &str) -> Option<u32> {
    let (number, rest) = name.split_once('.')?;
    let is_log = rest == "log" || rest.starts_with("log.");
    // Parsing accepts a sign, which no file of ours has. A restart count is an int32: a larger number is a planted one.
    let digits = is_log && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<i32>().ok().filter(|_| digits).map(i32::unsigned_abs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn follows_the_kubelets_layout() {
        let pod = pod_dir(Path::new("/var/log/pods"), "ns", "web-0", "u-1");
        assert_eq!(log_file(&pod, "c", 3), Path::new("/var/log/pods/ns_web-0_u-1/c/3.log"));
        assert_eq!(link_name("ns", "web-0", "c", "abc"), "web-0_ns_c-abc.log");
    }

    #[test]
    fn long_links_lose_the_end_of_the_id() {
        let name = link_name(&"n".repeat(63), &"p".repeat(150), "c", &"f".repeat(64));
        assert_eq!(name.len(), MAX_NAME);
        assert!(name.ends_with("ffff.log") && name.contains("_c-f"));
    }

    #[test]
    fn attempts_are_found_by_file_name() {
        for (name, expected) in [
            ("0.log", Some(0)),
            ("12.log.20260102-150405.gz", Some(12)),
            ("+1.log", None),
            ("1.logs", None),
            (".log", None),
            ("2147483647.log", Some(2_147_483_647)),
            ("2147483648.log", None),
            ("99999999999.log", None),
            ("log", None),
        ] {
            assert_eq!(attempt_of(name), expected, "{name}");
        }
    }

    #[test]
    fn directories_live_from_creation_to_removal() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("pods");
        assert_eq!(highest_attempt(&root, "n", "p", "u", "c", u32::MAX).unwrap(), None);
        remove_pod_dir(&root, "n", "p", "u").unwrap();
        create_container_dir(&root, "n", "p", "u", "c").unwrap();
        create_container_dir(&root, "n", "p", "u", "c").unwrap();
        let container = root.join("n_p_u/c");
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&root), mode(&container)), (0o755, 0o750));
        for name in ["0.log", "1.log", "1.log.20260102-150405.gz", "2.log"] {
            std::fs::write(container.join(name), "").unwrap();
        }
        assert_eq!(highest_attempt(&root, "n", "p", "u", "c", u32::MAX).unwrap(), Some(2));
        assert_eq!(highest_attempt(&root, "n", "p", "u", "c", 1).unwrap(), Some(1));
        remove_attempts_before(&root, "n", "p", "u", "c", 2).unwrap();
        assert_eq!(Root::open(&container).unwrap().names(9).unwrap(), ["2.log"]);
        remove_pod_dir(&root, "n", "p", "u").unwrap();
        assert!(!root.join("n_p_u").exists());
    }
}
