//! What is on disk of a pod's earlier runs: how they ended, and their logs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use wasmnode_core::PodRef;
use wasmnode_core::desired::Desired;
use wasmnode_logs::paths;

use crate::exits;
use crate::groups::Groups;

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
    /// Blocking.
    pub(crate) fn read(groups: &Groups, desired: &Desired) -> io::Result<Self> {
        let recorded = match groups.find(&desired.pod) {
            Some(layout) => exits::read(&layout, desired)?,
            None => Vec::new(),
        };
        Ok(Self { recorded, highest_log: highest_logs(&groups.layout().logs_root, desired)? })
    }

    /// The highest number of a run that anything tells of, by container.
    pub(crate) fn highest(&self, status: Option<&PodStatus>) -> BTreeMap<String, u32> {
        let mut highest = self.highest_log.clone();
        let theirs = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
        for ContainerStatus { name, restart_count, .. } in theirs.chain(&self.recorded) {
            let count = u32::try_from(*restart_count).unwrap_or(0);
            let known = highest.entry(name.clone()).or_default();
            *known = count.max(*known);
        }
        highest
    }
}

fn highest_logs(logs: &Path, desired: &Desired) -> io::Result<BTreeMap<String, u32>> {
    let PodRef { namespace, name, uid } = &desired.pod;
    let mut highest = BTreeMap::new();
    for container in &desired.containers {
        if let Some(attempt) = paths::highest_attempt(logs, namespace, name, uid, &container.name)? {
            highest.insert(container.name.clone(), attempt);
        }
    }
    Ok(highest)
}
