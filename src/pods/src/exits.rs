//! How containers ended, on disk. Once an exit is acknowledged nobody else can tell the next agent how a run ended
//! whose last status did not reach the API server: it would be taken for lost and started again.
//!
//! Written before an exit is acknowledged, one file per container, gone with the pod.

use std::io;
use std::path::Path;

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use tracing::warn;
use wasmnode_core::desired::Desired;
use wasmnode_logs::beneath::Root;

use crate::layout::{Medium, PodLayout, element};
use crate::replace::replace;

const DIRECTORY: &str = "exits";
const DIRECTORY_MODE: u32 = 0o750;

/// A status with its message and the mounts of a container has a few KiB; a pod as a whole cannot be larger.
const MAX_BYTES: u64 = 4 << 20;

/// Records the status of a container after its exit. A pod whose directory is gone needs none any more.
pub(crate) fn record(pod: &PodLayout, status: &ContainerStatus) -> io::Result<()> {
    let name = file_name(&status.name)?;
    let Some(directory) = pod.if_there(Medium::Disk)? else { return Ok(()) };
    let exits = directory.create_dirs(Path::new(DIRECTORY), DIRECTORY_MODE)?;
    replace(&exits, &name, &serde_json::to_vec(status)?)
}

/// What was recorded of the pod's containers. What cannot be read is as good as not there.
pub(crate) fn read(pod: &PodLayout, desired: &Desired) -> io::Result<Vec<ContainerStatus>> {
    let Some(directory) = pod.if_there(Medium::Disk)? else { return Ok(Vec::new()) };
    let recorded = desired.containers.iter().map(|container| read_one(&directory, &container.name));
    Ok(recorded.flatten().collect())
}

fn read_one(directory: &Root, container: &str) -> Option<ContainerStatus> {
    let path = Path::new(DIRECTORY).join(file_name(container).ok()?);
    match directory.read(&path, MAX_BYTES).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
        Ok(status) => Some(status),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            warn!(container, %error, "Could not read how a container ended before");
            None
        }
    }
}

fn file_name(container: &str) -> io::Result<String> {
    Ok(format!("{}.json", element(container).map_err(io::Error::other)?))
}

/// The API server's status with the exits that it has not heard of. A final status is never touched.
pub(crate) fn merge(status: Option<PodStatus>, recorded: Vec<ContainerStatus>) -> Option<PodStatus> {
    if recorded.is_empty() || is_terminal(status.as_ref()) {
        return status;
    }
    let mut status = status.unwrap_or_default();
    let known = status.container_statuses.get_or_insert_default();
    for exit in recorded {
        match known.iter_mut().find(|known| known.name == exit.name) {
            Some(known) if is_older(known, &exit) => *known = exit,
            Some(_) => {}
            None => known.push(exit),
        }
    }
    Some(status)
}

/// Whether the pod is over, so that nothing of it runs or will.
pub(crate) fn is_terminal(status: Option<&PodStatus>) -> bool {
    matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// Whether `status` is from before that exit: of an earlier run, or of the same run before it ended.
fn is_older(status: &ContainerStatus, exit: &ContainerStatus) -> bool {
    let has_ended = status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    status.restart_count < exit.restart_count || status.restart_count == exit.restart_count && !has_ended
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{desired, groups, pod_layout};

    fn status(restarts: i32, state: &str) -> ContainerStatus {
        let state = match state {
            "running" => json!({ "running": { "startedAt": "2026-01-02T15:04:05Z" } }),
            reason => json!({ "terminated": { "exitCode": 0, "reason": reason } }),
        };
        let status = json!({ "name": "c", "restartCount": restarts, "state": state,
            "image": "", "imageID": "", "ready": false });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn what_is_recorded_is_read_until_the_pod_is_removed() {
        let top = tempfile::tempdir().unwrap();
        let pod = pod_layout(top.path(), "p", "u");
        record(&pod, &status(0, "Completed")).unwrap();
        assert!(!top.path().join("state").exists(), "a pod that is gone is not brought back");
        crate::own::record(&pod, 30).unwrap();
        assert_eq!(read(&pod, &desired("p", "u")).unwrap(), []);
        for restarts in [0, 1] {
            record(&pod, &status(restarts, "Completed")).unwrap();
        }
        assert_eq!(read(&pod, &desired("p", "u")).unwrap(), [status(1, "Completed")]);
        let file = top.path().join("state/groups/node/pods/u/exits/c.json");
        std::fs::write(&file, "{").unwrap();
        assert_eq!(read(&pod, &desired("p", "u")).unwrap(), []);
        crate::own::remove(&groups(top.path()), &pod).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn the_newer_one_counts() {
        // restart count and state at the API server, restart count recorded → which one counts
        let cases = [
            (0, "running", 0, true),
            (0, "running", 1, true),
            (0, "Error", 1, true),
            (0, "Error", 0, false),
            (1, "running", 0, false),
        ];
        for (theirs, state, recorded, counts) in cases {
            let status_then = status(theirs, state);
            let pod = PodStatus { container_statuses: Some(vec![status_then.clone()]), ..PodStatus::default() };
            let exit = status(recorded, "Completed");
            let merged = merge(Some(pod), vec![exit.clone()]).unwrap().container_statuses.unwrap();
            assert_eq!(merged, [if counts { exit } else { status_then }], "{theirs} {state} {recorded}");
        }
        let done = Some(PodStatus { phase: Some("Failed".to_owned()), ..PodStatus::default() });
        assert_eq!(merge(done.clone(), vec![status(0, "Error")]), done);
        assert_eq!(merge(None, Vec::new()), None);
        assert_eq!(merge(None, vec![status(0, "Error")]).unwrap().container_statuses.unwrap(), [status(0, "Error")]);
    }
}
