//! What this agent made on disk for a pod, recorded beside it, so that clean-up removes only that.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tracing::{info, warn};
use wasmnode_core::PodRef;
use wasmnode_logs::beneath::Root;
use wasmnode_logs::{links, paths};

use crate::layout::{Layout, Medium, PodLayout};
use crate::replace::replace;
use crate::{site, volumes};

const FILE: &str = "pod.json";

/// Far more than names and a path need.
const MAX_BYTES: u64 = 64 * 1024;

/// Directories looked at when cleaning up; more than a node has pods by orders of magnitude.
const MAX_PODS: usize = 1_000_000;

/// Containers of one pod that are looked at; the API server bounds a pod to 1 MiB or so.
const MAX_CONTAINERS: usize = 100_000;

/// Log files of one container that are looked at: two runs' and their rotated ones.
const MAX_LOG_FILES: usize = 10_000;

/// Records a pod before anything else is made for it. Repeating it changes nothing.
pub(crate) fn record(pod: &PodLayout) -> io::Result<()> {
    let directory = pod.open(Medium::Disk)?;
    if directory.read(Path::new(FILE), MAX_BYTES).is_ok_and(|bytes| parse(&bytes).is_some()) {
        return Ok(());
    }
    let PodRef { namespace, name, uid } = pod.pod();
    let record = json!({ "namespace": namespace, "name": name, "uid": uid, "logs": pod.node().logs_root });
    replace(&directory, FILE, record.to_string().as_bytes())
}

/// Removes all that was made for a pod. The record goes last, so that an interrupted removal is taken up again.
pub(crate) fn remove(pod: &PodLayout) -> io::Result<()> {
    let logs = &pod.node().logs_root;
    remove_from(pod, logs)
}

/// UIDs of pods for which something is on disk. Read before the first pod is started, so that nothing that this
/// agent makes is taken for an earlier one's.
pub(crate) fn on_disk(layout: &Layout) -> io::Result<Vec<String>> {
    layout.pods_dir(Medium::Disk)?.names(MAX_PODS)
}

/// Removes links to log files that were never written, or that someone else removed: no file tells their names any
/// more. Before the first pod is started, whose link may be there a moment before its file.
pub(crate) fn remove_dangling_links(layout: &Layout) -> io::Result<()> {
    layout.links_dir.as_ref().map_or(Ok(()), |directory| links::remove_dangling(directory, &layout.logs_root))
}

/// Removes what an earlier agent made for these pods, which are gone.
pub(crate) fn remove_left(layout: &Layout, uids: &[String]) -> io::Result<()> {
    let Some(pods) = layout.pods_if_there(Medium::Disk)? else { return Ok(()) };
    for uid in uids {
        let record = pods.dir(Path::new(uid)).and_then(|directory| directory.read(Path::new(FILE), MAX_BYTES));
        let Some((pod, logs)) = record.ok().and_then(|bytes| parse(&bytes)).filter(|(pod, _)| pod.uid == *uid) else {
            warn!(uid, "Directory without a record is left alone");
            continue;
        };
        match layout.pod(&pod).map_err(io::Error::other).and_then(|pod| remove_from(&pod, &logs)) {
            Ok(()) => info!(%pod, "Removed what an earlier agent left of a pod"),
            Err(error) => warn!(%pod, %error, "Could not remove what an earlier agent left of a pod"),
        }
    }
    Ok(())
}

fn remove_from(pod: &PodLayout, logs: &Path) -> io::Result<()> {
    volumes::tear_down(pod)?;
    if let Some(directory) = &pod.node().links_dir {
        remove_links(directory, pod.pod(), logs)?;
    }
    let PodRef { namespace, name, uid } = pod.pod();
    paths::remove_pod_dir(logs, namespace, name, uid)?;
    pod.remove(Medium::Disk)
}

/// Removes the links to the pod's log files. Their names follow from those of the files: the directory of all links
/// is not read, since with thousands of pods that would be thousands of names for each of them.
fn remove_links(links: &Path, pod: &PodRef, logs: &Path) -> io::Result<()> {
    let directory = match Root::open(&paths::pod_dir(logs, &pod.namespace, &pod.name, &pod.uid)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for container in directory.names(MAX_CONTAINERS)? {
        for file in directory.dir(Path::new(&container))?.names(MAX_LOG_FILES)? {
            let Some(attempt) = file.strip_suffix(".log").and_then(|number| number.parse().ok()) else { continue };
            links::remove(links, &link_name(pod, &container, attempt)?)?;
        }
    }
    Ok(())
}

/// Name of the link to the log of one run.
pub(crate) fn link_name(pod: &PodRef, container: &str, attempt: u32) -> io::Result<String> {
    let run = site::run(pod, container, attempt).map_err(io::Error::other)?;
    Ok(paths::link_name(&pod.namespace, &pod.name, container, run.as_str()))
}

fn parse(bytes: &[u8]) -> Option<(PodRef, PathBuf)> {
    let record: Value = serde_json::from_slice(bytes).ok()?;
    let text = |key: &str| Some(record.get(key)?.as_str()?.to_owned());
    let pod = PodRef { namespace: text("namespace")?, name: text("name")?, uid: text("uid")? };
    Some((pod, text("logs")?.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fixtures::{layout, pod_ref};

    fn make(layout: &Layout, uid: &str) -> PodLayout {
        let pod = layout.pod(&pod_ref("p", uid)).unwrap();
        record(&pod).unwrap();
        paths::create_container_dir(&layout.logs_root, "ns", "p", uid, "c").unwrap();
        std::fs::write(pod.log_file("c", 7), "").unwrap();
        let link = link_name(pod.pod(), "c", 7).unwrap();
        links::create(&layout.links_dir.clone().unwrap(), &link, &pod.log_file("c", 7)).unwrap();
        pod.open(Medium::Memory).unwrap().create_dirs(Path::new("volumes/v"), 0o755).unwrap();
        pod
    }

    fn entries(path: PathBuf) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_recorded_pods_that_are_gone_are_removed() {
        let top = tempfile::tempdir().unwrap();
        let layout = layout(top.path());
        make(&layout, "keep");
        make(&layout, "gone");
        let pods = top.path().join("state/groups/node/pods");
        std::fs::create_dir(pods.join("foreign")).unwrap();
        std::fs::create_dir(top.path().join("logs/ns_p_foreign")).unwrap();

        let left: Vec<_> = on_disk(&layout).unwrap().into_iter().filter(|uid| uid != "keep").collect();
        remove_left(&layout, &left).unwrap();
        assert_eq!(entries(pods), ["foreign", "keep"]);
        assert_eq!(entries(top.path().join("logs")), ["ns_p_foreign", "ns_p_keep"]);
        assert_eq!(entries(top.path().join("run/groups/node/pods")), ["keep"]);
        assert_eq!(entries(top.path().join("links")), [link_name(&pod_ref("p", "keep"), "c", 7).unwrap()]);
    }

    #[test]
    fn recording_is_idempotent_and_repairs() {
        let top = tempfile::tempdir().unwrap();
        let layout = layout(top.path());
        let pod = make(&layout, "u");
        record(&pod).unwrap();
        let file = top.path().join("state/groups/node/pods/u/pod.json");
        std::fs::write(&file, "{").unwrap();
        record(&pod).unwrap();
        let (found, logs) = parse(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!((&found, logs), (pod.pod(), layout.logs_root.clone()));
        remove(&pod).unwrap();
        remove(&pod).unwrap();
        assert!(!file.exists());
    }
}
