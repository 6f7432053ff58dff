//! What this agent made on disk for a pod, recorded beside it, so that clean-up removes only that.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tracing::{info, warn};
use wasmnode_core::PodRef;
use wasmnode_logs::beneath::Root;
use wasmnode_logs::{links, paths};

use crate::groups::{Found, Groups, IsolationPolicy};
use crate::layout::{Layout, Medium, PodLayout};
use crate::replace::replace;
use crate::{site, volumes};

const FILE: &str = "pod.json";

/// Longer than any pod is waited for; what is longer cannot be reckoned with.
const LONGEST_GRACE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Far more than names and a path need.
const MAX_BYTES: u64 = 64 * 1024;

/// Containers of one pod that are looked at; the API server bounds a pod to 1 MiB or so.
const MAX_CONTAINERS: usize = 100_000;

/// Log files of one container that are looked at: two runs' and their rotated ones.
const MAX_LOG_FILES: usize = 10_000;

/// What is recorded of a pod. The release before reads it, too: fields are only added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) pod: PodRef,
    /// Directory of all logs.
    pub(crate) logs: PathBuf,
    /// Its isolation group; none: recorded by a release that knew one only.
    pub(crate) group: Option<String>,
    /// `terminationGracePeriodSeconds`, if recorded.
    pub(crate) grace_seconds: Option<i64>,
}

/// What an earlier agent left of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    layout: PodLayout,
    record: Record,
}

// === impl Left ===

impl Left {
    pub(crate) fn pod(&self) -> &PodRef {
        &self.record.pod
    }

    /// The pod's own grace period; none: a release recorded the pod that did not record it.
    pub(crate) fn grace(&self) -> Option<Duration> {
        let seconds = self.record.grace_seconds.and_then(|seconds| seconds.try_into().ok());
        seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_GRACE))
    }
}

/// Records a pod before anything else is made for it. Repeating it changes nothing.
pub(crate) fn record(pod: &PodLayout, grace_seconds: i64) -> io::Result<()> {
    let directory = pod.open(Medium::Disk)?;
    let record = Record {
        pod: pod.pod().clone(),
        logs: pod.node().logs_root.clone(),
        group: Some(pod.group().as_str().to_owned()),
        grace_seconds: Some(grace_seconds),
    };
    if read(&directory, &pod.pod().uid).is_ok_and(|found| found == record) {
        return Ok(());
    }
    replace(&directory, FILE, record.to_json().to_string().as_bytes())
}

/// The record in a pod's directory.
pub(crate) fn read(directory: &Root, uid: &str) -> io::Result<Record> {
    let bytes = directory.read(Path::new(FILE), MAX_BYTES)?;
    let record = Record::parse(&bytes).filter(|record| record.pod.uid == uid);
    record.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "pod.json is no record of this pod"))
}

/// Removes all that was made for a pod. The record goes last, so that an interrupted removal is taken up again.
pub(crate) fn remove(groups: &Groups, pod: &PodLayout) -> io::Result<()> {
    let logs = &pod.node().logs_root;
    remove_from(groups, pod, logs)
}

/// Pods for which something is on disk, each once. Read before the first pod is started, so that nothing that this
/// agent makes is taken for an earlier one's.
pub(crate) fn left(groups: &Groups) -> io::Result<Vec<Left>> {
    let mut found = groups.scan()?;
    // Of two directories the one in use.
    found.retain(|found| groups.find(&found.record.pod).is_some_and(|used| used.group() == found.layout.group()));
    Ok(found.into_iter().map(|Found { layout, record }| Left { layout, record }).collect())
}

/// Removes links to log files that were never written, or that someone else removed: no file tells their names any
/// more. Before the first pod is started, whose link may be there a moment before its file.
pub(crate) fn remove_dangling_links(layout: &Layout) -> io::Result<()> {
    layout.links_dir.as_ref().map_or(Ok(()), |directory| links::remove_dangling(directory, &layout.logs_root))
}

/// Removes what an earlier agent made for a pod that is gone.
pub(crate) fn remove_left(groups: &Groups, left: &Left) {
    let Left { layout, record } = left;
    let pod = &record.pod;
    match remove_from(groups, layout, &record.logs) {
        Ok(()) => info!(%pod, "Removed what an earlier agent left of a pod"),
        Err(error) => warn!(%pod, %error, "Could not remove what an earlier agent left of a pod"),
    }
}

/// Removes what all agents of this node recorded as made for their pods, and says for which: the last step before the
/// node's own directories go. Nothing runs, and no agent will look for it. Blocking.
///
/// # Errors
/// The first failure; what comes after it is still there, and so is its record.
pub fn remove_all(layout: Layout) -> io::Result<Vec<PodRef>> {
    let groups = Groups::new(layout, IsolationPolicy::default());
    let mut removed = Vec::new();
    for Found { layout, record } in groups.scan()? {
        remove_from(&groups, &layout, &record.logs)?;
        removed.push(record.pod);
    }
    remove_dangling_links(groups.layout())?;
    Ok(removed)
}

fn remove_from(groups: &Groups, pod: &PodLayout, logs: &Path) -> io::Result<()> {
    let places = groups.places(pod);
    places.iter().try_for_each(volumes::tear_down)?;
    if let Some(directory) = &pod.node().links_dir {
        remove_links(directory, pod.pod(), logs)?;
    }
    let PodRef { namespace, name, uid } = pod.pod();
    paths::remove_pod_dir(logs, namespace, name, uid)?;
    places.iter().try_for_each(|place| place.remove(Medium::Disk))?;
    groups.forget(uid);
    Ok(())
}

/// Removes the links to the pod's log files. Their names follow from those of the files: the directory of all links
/// is not read, since with thousands of pods that would be thousands of names for each of them.
fn remove_links(links: &Path, pod: &PodRef, logs: &Path) -> io::Result<()> {
    let directory = match Root::open(&paths::pod_dir(logs, &pod.namespace, &pod.name, &pod.uid)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for container in directory.names(MAX_CONTAINERS)? {
        // The container's user may have put anything there. Links that are missed are removed when an agent starts.
        let files = directory.dir(Path::new(&container)).and_then(|files| files.names(MAX_LOG_FILES));
        for file in files.unwrap_or_default() {
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

// === impl Record ===

impl Record {
    fn to_json(&self) -> Value {
        let PodRef { namespace, name, uid } = &self.pod;
        json!({
            "namespace": namespace, "name": name, "uid": uid, "logs": self.logs,
            "group": self.group, "graceSeconds": self.grace_seconds,
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let record: Value = serde_json::from_slice(bytes).ok()?;
        let text = |key: &str| Some(record.get(key)?.as_str()?.to_owned());
        let pod = PodRef { namespace: text("namespace")?, name: text("name")?, uid: text("uid")? };
        Layout::check(&pod).ok()?;
        let grace_seconds = record.get("graceSeconds").and_then(Value::as_i64);
        Some(Self { pod, logs: text("logs")?.into(), group: text("group"), grace_seconds })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fixtures::{groups, names, pod_ref};
    use crate::groups::Group;

    fn make(groups: &Groups, group: &str, uid: &str) -> PodLayout {
        let pod = pod_ref("p", uid);
        groups.place(&pod, &Group::named(group.to_owned()), &[]).unwrap();
        let pod = groups.find(&pod).unwrap();
        record(&pod, 5).unwrap();
        let Layout { logs_root, links_dir, .. } = pod.node();
        paths::create_container_dir(logs_root, "ns", "p", uid, "c").unwrap();
        std::fs::write(pod.log_file("c", 7), "").unwrap();
        let link = link_name(pod.pod(), "c", 7).unwrap();
        links::create(links_dir.as_ref().unwrap(), &link, &pod.log_file("c", 7)).unwrap();
        pod.create(Medium::Memory, Path::new("volumes/v")).unwrap();
        pod
    }

    #[test]
    fn only_recorded_pods_that_are_gone_are_removed() {
        let top = tempfile::tempdir().unwrap();
        let earlier = groups(top.path());
        make(&earlier, "a", "keep");
        make(&earlier, "a", "gone");
        make(&earlier, "b", "last");
        let pods = top.path().join("state/groups/a/pods");
        std::fs::create_dir(pods.join("foreign")).unwrap();
        std::fs::create_dir(top.path().join("logs/ns_p_foreign")).unwrap();

        let groups = groups(top.path());
        let found = left(&groups).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|left| left.grace() == Some(Duration::from_secs(5))));
        for left in found.iter().filter(|left| left.pod().uid != "keep") {
            remove_left(&groups, left);
        }
        assert_eq!(names(&pods), ["foreign", "keep"]);
        assert_eq!(names(&top.path().join("logs")), ["ns_p_foreign", "ns_p_keep"]);
        assert_eq!(names(&top.path().join("run/groups/a/pods")), ["keep"]);
        assert_eq!(names(&top.path().join("links")), [link_name(&pod_ref("p", "keep"), "c", 7).unwrap()]);
        for tree in ["state", "run"] {
            assert_eq!(names(&top.path().join(tree).join("groups")), ["a"], "a group without pods goes with the last");
        }
    }

    #[test]
    fn all_that_was_recorded_goes_with_the_node() {
        let top = tempfile::tempdir().unwrap();
        let earlier = groups(top.path());
        make(&earlier, "a", "one");
        make(&earlier, "b", "two");
        std::fs::create_dir(top.path().join("logs/ns_p_foreign")).unwrap();
        std::fs::write(top.path().join("links/foreign"), "").unwrap();
        let mut removed = remove_all(crate::fixtures::layout(top.path())).unwrap();
        removed.sort_by(|a, b| a.uid.cmp(&b.uid));
        assert_eq!(removed, [pod_ref("p", "one"), pod_ref("p", "two")]);
        assert_eq!(names(&top.path().join("logs")), ["ns_p_foreign"]);
        assert_eq!(names(&top.path().join("links")), ["foreign"]);
        assert_eq!(remove_all(crate::fixtures::layout(top.path())).unwrap(), []);
    }

    #[test]
    fn recording_is_idempotent_and_repairs() {
        let top = tempfile::tempdir().unwrap();
        let groups = groups(top.path());
        let pod = make(&groups, "a", "u");
        let file = top.path().join("state/groups/a/pods/u/pod.json");
        let expected = Record::parse(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!((&expected.pod, expected.group.as_deref()), (pod.pod(), Some("a")));
        for broken in ["{", "{}", &json!({ "namespace": "..", "name": "p", "uid": "u", "logs": "/" }).to_string()] {
            std::fs::write(&file, broken).unwrap();
            record(&pod, 5).unwrap();
            assert_eq!(Record::parse(&std::fs::read(&file).unwrap()), Some(expected.clone()));
        }
        remove(&groups, &pod).unwrap();
        remove(&groups, &pod).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_record_of_the_release_before_is_read() {
        let record = json!({ "namespace": "ns", "name": "p", "uid": "u", "logs": "/logs" });
        let expected = Record { pod: pod_ref("p", "u"), logs: "/logs".into(), group: None, grace_seconds: None };
        assert_eq!(Record::parse(record.to_string().as_bytes()), Some(expected));
    }
}
