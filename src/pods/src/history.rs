//! What is on disk of a pod's earlier runs: how they ended, and their logs.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use tracing::warn;
use wasmnode_core::PodRef;
use wasmnode_core::desired::Desired;
use wasmnode_logs::paths;

use crate::exits;
use crate::groups::Groups;
use crate::survivors::AHEAD;

/// What is on disk of a pod's earlier runs.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Containers as they were after their latest exit.
    pub(crate) recorded: Vec<ContainerStatus>,
    /// The highest number of a log, by container.
    pub(crate) highest_log: BTreeMap<String, u32>,
}

// === impl History ===

impl History {
    /// `status` is the newest that is known of the pod. What cannot be read is as good as not there. Blocking.
    pub(crate) fn read(groups: &Groups, desired: &Desired, status: Option<&PodStatus>) -> Self {
        let recorded = groups.find(&desired.pod).map_or(Ok(Vec::new()), |layout| exits::read(&layout, desired));
        let recorded = recorded.unwrap_or_else(|error| {
            warn!(pod = %desired.pod, %error, "Could not read how containers of the pod ended before");
            Vec::new()
        });
        let counts = counts(status, &recorded);
        let highest_log = highest_logs(&groups.layout().logs_root, desired, &counts);
        Self { recorded, highest_log }
    }

    /// The highest number of a run that anything tells of, by container.
    pub(crate) fn highest(&self, status: Option<&PodStatus>) -> BTreeMap<String, u32> {
        let mut highest = self.highest_log.clone();
        for (name, count) in counts(status, &self.recorded) {
            let known = highest.entry(name).or_default();
            *known = count.max(*known);
        }
        highest
    }
}

/// The highest restart count that the agent wrote down, by container.
fn counts(status: Option<&PodStatus>, recorded: &[ContainerStatus]) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let theirs = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    for ContainerStatus { name, restart_count, .. } in theirs.chain(recorded) {
        let known: &mut u32 = counts.entry(name.clone()).or_default();
        *known = u32::try_from(*restart_count).unwrap_or(0).max(*known);
    }
    counts
}

/// The directory of logs is the group's user's, who may put any number there: where the agent wrote one down, only
/// those that can follow it count.
fn highest_logs(logs: &Path, desired: &Desired, counts: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    let PodRef { namespace, name, uid } = &desired.pod;
    let mut highest = BTreeMap::new();
    for container in desired.containers.iter().map(|container| &container.name) {
        let at_most = counts.get(container).map_or(u32::MAX, |count| count.saturating_add(AHEAD));
        match paths::highest_attempt(logs, namespace, name, uid, container, at_most) {
            Ok(attempt) => highest.extend(attempt.map(|attempt| (container.clone(), attempt))),
            Err(error) => warn!(pod = %desired.pod, container, %error, "Could not read names of the container's logs"),
        }
    }
    highest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{desired, groups, pod_ref};
    use crate::groups::Group;

    fn status(restarts: i32) -> ContainerStatus {
        let status = json!({ "name": "c", "restartCount": restarts, "image": "", "imageID": "", "ready": false });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_number_that_nothing_explains_does_not_count() {
        // Logs, restart count at the API server, restart count recorded → highest log
        type Case = (&'static [u32], Option<i32>, Option<i32>, Option<u32>);
        let cases: [Case; 5] = [
            (&[2, 2_147_483_647], Some(2), None, Some(2)),
            (&[4, 2_147_483_647], None, Some(3), Some(4)),
            (&[4, 5], Some(0), Some(5), Some(5)),
            (&[9], Some(0), None, None),
            (&[9], None, None, Some(9)),
        ];
        for (logs, theirs, recorded, expected) in cases {
            let top = tempfile::tempdir().unwrap();
            let (groups, desired) = (groups(top.path()), desired("p", "u"));
            groups.place(&pod_ref("p", "u"), &Group::named("a".to_owned()), &[]).unwrap();
            let pod = groups.find(&pod_ref("p", "u")).unwrap();
            crate::own::record(&pod, 30).unwrap();
            recorded.iter().for_each(|count| exits::record(&pod, &status(*count)).unwrap());
            paths::create_container_dir(&groups.layout().logs_root, "ns", "p", "u", "c").unwrap();
            logs.iter().for_each(|number| std::fs::write(pod.log_file("c", *number), "").unwrap());
            let theirs =
                theirs.map(|count| PodStatus { container_statuses: Some(vec![status(count)]), ..PodStatus::default() });
            let history = History::read(&groups, &desired, theirs.as_ref());
            assert_eq!(history.highest_log.get("c").copied(), expected, "{logs:?} {theirs:?} {recorded:?}");
        }
    }

    #[test]
    fn logs_that_cannot_be_read_hide_no_exit() {
        let top = tempfile::tempdir().unwrap();
        let (groups, desired) = (groups(top.path()), desired("p", "u"));
        groups.place(&pod_ref("p", "u"), &Group::named("a".to_owned()), &[]).unwrap();
        let pod = groups.find(&pod_ref("p", "u")).unwrap();
        crate::own::record(&pod, 30).unwrap();
        exits::record(&pod, &status(1)).unwrap();
        let logs = pod.log_file("c", 0);
        std::fs::create_dir_all(logs.parent().unwrap().parent().unwrap()).unwrap();
        std::fs::write(logs.parent().unwrap(), "no directory").unwrap();
        let history = History::read(&groups, &desired, None);
        assert_eq!((history.recorded, history.highest_log), (vec![status(1)], [].into()));
    }
}
