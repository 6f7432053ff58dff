//! The pods of this node as they are now, for those who ask: the API server's object with the agent's own status.
//!
//! Written by the supervisor (objects) and the workers (statuses), read by the kubelet API. Locked for a look-up only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Pod, PodStatus};

/// Pods by UID.
#[derive(Default)]
pub(crate) struct Board(Mutex<BTreeMap<String, Known>>);

struct Known {
    pod: Arc<Pod>,
    status: Option<Arc<PodStatus>>,
}

// === impl Board ===

impl Board {
    pub(crate) fn set_pod(&self, uid: &str, pod: Arc<Pod>) {
        match self.lock().entry(uid.to_owned()) {
            std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().pod = pod,
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(Known { pod, status: None });
            }
        }
    }

    pub(crate) fn set_status(&self, uid: &str, status: Arc<PodStatus>) {
        if let Some(known) = self.lock().get_mut(uid) {
            known.status = Some(status);
        }
    }

    pub(crate) fn status(&self, uid: &str) -> Option<Arc<PodStatus>> {
        self.lock().get(uid)?.status.clone()
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// All pods, by UID.
    pub(crate) fn pods(&self) -> Vec<Pod> {
        let known: Vec<_> = self.lock().values().map(Known::parts).collect();
        known.into_iter().map(|(pod, status)| with_status(&pod, status.as_deref())).collect()
    }

    /// The pod of that name; of two, the one that is not being deleted.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Pod> {
        let (pod, status) = {
            let pods = self.lock();
            let named = pods.values().filter(|known| {
                let meta = &known.pod.metadata;
                meta.namespace.as_deref() == Some(namespace) && meta.name.as_deref() == Some(name)
            });
            named.min_by_key(|known| known.pod.metadata.deletion_timestamp.is_some())?.parts()
        };
        Some(with_status(&pod, status.as_deref()))
    }

    /// Number of pods by phase.
    pub(crate) fn phases(&self) -> BTreeMap<String, usize> {
        let mut phases = BTreeMap::new();
        for known in self.lock().values() {
            let status = known.status.as_deref().or(known.pod.status.as_ref());
            let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
            *phases.entry(phase.to_owned()).or_insert(0) += 1;
        }
        phases
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        // A panic while it is held leaves the map as it was: each use is one call of the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn parts(&self) -> (Arc<Pod>, Option<Arc<PodStatus>>) {
        (Arc::clone(&self.pod), self.status.clone())
    }
}

fn with_status(pod: &Pod, status: Option<&PodStatus>) -> Pod {
    let Some(own) = status else { return pod.clone() };
    let status = Some(merge(own, pod.status.as_ref()));
    Pod { metadata: pod.metadata.clone(), spec: pod.spec.clone(), status }
}

/// `own` with the conditions that others wrote to the API server, and what the API server itself fills in.
pub(crate) fn merge(own: &PodStatus, theirs: Option<&PodStatus>) -> PodStatus {
    let mut merged = own.clone();
    let Some(theirs) = theirs else { return merged };
    let conditions = merged.conditions.get_or_insert_default();
    for condition in theirs.conditions.iter().flatten() {
        if conditions.iter().all(|own| own.type_ != condition.type_) {
            conditions.push(condition.clone());
        }
    }
    merged.qos_class = merged.qos_class.or_else(|| theirs.qos_class.clone());
    merged
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, deleted: bool) -> Arc<Pod> {
        let mut meta = json!({ "namespace": "ns", "name": name });
        if deleted {
            meta["deletionTimestamp"] = json!("2026-01-02T15:04:05Z");
        }
        let status = json!({ "phase": "Pending", "qosClass": "Burstable", "conditions": [
            { "type": "Ready", "status": "False" }, { "type": "example.com/gate", "status": "True" } ] });
        Arc::new(serde_json::from_value(json!({ "metadata": meta, "status": status })).unwrap())
    }

    #[test]
    fn own_status_with_the_conditions_of_others() {
        let board = Board::default();
        board.set_pod("u", pod("p", false));
        assert_eq!(board.phases(), [("Pending".to_owned(), 1)].into());
        let own = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
        board.set_status("u", Arc::new(serde_json::from_value(own).unwrap()));
        board.set_status("unknown", Arc::default());
        assert_eq!(board.phases(), [("Running".to_owned(), 1)].into());

        let status = board.find("ns", "p").unwrap().status.unwrap();
        let conditions: Vec<_> = status.conditions.unwrap().into_iter().map(|c| (c.type_, c.status)).collect();
        let expected = [("Ready", "True"), ("example.com/gate", "True")];
        assert_eq!(conditions, expected.map(|(t, s)| (t.to_owned(), s.to_owned())));
        assert_eq!((status.phase.as_deref(), status.qos_class.as_deref()), (Some("Running"), Some("Burstable")));
        board.remove("u");
        assert_eq!((board.pods(), board.find("ns", "p")), (Vec::new(), None));
    }

    #[test]
    fn of_two_pods_with_a_name_the_one_that_stays_is_found() {
        let board = Board::default();
        board.set_pod("a", pod("p", true));
        board.set_pod("b", pod("p", false));
        assert_eq!(board.find("ns", "p").unwrap().metadata.deletion_timestamp, None);
        assert_eq!(board.pods().len(), 2);
    }
}
