//! The files of one run: a fresh root, the termination message's file, the log's directory and link.

use std::io;
use std::path::Path;

use wasmnode_core::PodRef;
use wasmnode_core::desired::Container;
use wasmnode_logs::beneath::Root;
use wasmnode_logs::{links, paths};

use super::mounts::relative;
use crate::layout::{Medium, PodLayout, element};
use crate::own::link_name;

/// Mode of directories that the guest sees.
const DIRECTORY_MODE: u32 = 0o755;

/// Mode of the termination message's file: the guest writes it, whoever it is.
const MESSAGE_MODE: u32 = 0o666;

/// How many runs' logs are kept besides the current one.
const KEPT_RUNS: u32 = 1;

/// Prepares the files of one run. What an earlier run of the container wrote to its root is gone, as with any
/// container that starts anew.
pub(super) fn prepare(pod: &PodLayout, container: &Container, attempt: u32, guests: &[String]) -> io::Result<()> {
    element(&container.name).map_err(io::Error::other)?;
    let roots = pod.open(Medium::Disk)?.create_dirs(Path::new("root"), DIRECTORY_MODE)?;
    roots.remove_tree(Path::new(&container.name))?;
    let root = roots.create_dirs(Path::new(&container.name), DIRECTORY_MODE)?;
    // Mount points are shown by a listing of the directory above them.
    for path in guests.iter().filter_map(|guest| relative(guest)) {
        root.create_dirs(&path, DIRECTORY_MODE)?;
    }
    if let Some(file) = relative(&container.termination_message_path) {
        create_message(&root, &file)?;
    }
    prepare_log(pod, &container.name, attempt)
}

fn create_message(root: &Root, file: &Path) -> io::Result<()> {
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        root.create_dirs(parent, DIRECTORY_MODE)?;
    }
    match root.create(file, MESSAGE_MODE) {
        // A volume is mounted there: the message is a file of that volume, if anything.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map(drop),
    }
}

fn prepare_log(pod: &PodLayout, container: &str, attempt: u32) -> io::Result<()> {
    let logs = &pod.node().logs_root;
    let PodRef { namespace, name, uid } = pod.pod();
    paths::create_container_dir(logs, namespace, name, uid, container)?;
    let oldest = attempt.saturating_sub(KEPT_RUNS);
    paths::remove_attempts_before(logs, namespace, name, uid, container, oldest)?;
    let Some(directory) = &pod.node().links_dir else { return Ok(()) };
    if let Some(removed) = oldest.checked_sub(1) {
        links::remove(directory, &link_name(pod.pod(), container, removed)?)?;
    }
    links::create(directory, &link_name(pod.pod(), container, attempt)?, &pod.log_file(container, attempt))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::fixtures::{container, layout, pod_ref};

    fn names(path: PathBuf) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_run_has_a_fresh_root_and_the_last_two_logs_stay() {
        let top = tempfile::tempdir().unwrap();
        let pod = layout(top.path()).pod(&pod_ref("p", "u")).unwrap();
        let root = pod.container_root("c");
        for attempt in 0..4 {
            prepare(&pod, &container("c"), attempt, &["/".to_owned(), "/data/a".to_owned()]).unwrap();
            assert_eq!(names(root.clone()), ["data", "dev"]);
            assert_eq!(std::fs::read(root.join("dev/termination-log")).unwrap(), b"");
            std::fs::write(root.join("dev/termination-log"), "old").unwrap();
            std::os::unix::fs::symlink("/etc", root.join("planted")).unwrap();
            std::fs::write(pod.log_file("c", attempt), "").unwrap();
        }
        assert_eq!(names(top.path().join("logs/ns_p_u/c")), ["2.log", "3.log"]);
        assert_eq!(names(top.path().join("links")).len(), 2);
    }
}
