//! From what a watch says to what happened to pods: a list says what is there, never what is gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use wasmnode_core::PodRef;

use super::FeedEvent;

/// Namespace and name.
type Key = (String, String);

/// Which pods have been told, by UID.
#[derive(Default)]
pub(super) struct Tracker {
    known: HashMap<Key, String>,
    listed: HashSet<Key>,
}

impl Tracker {
    /// What to tell.
    pub(super) fn apply(&mut self, event: Event<Pod>) -> Vec<FeedEvent> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(pod) => {
                self.listed.extend(key(&pod).map(|(key, _)| key));
                self.present(pod)
            }
            Event::InitDone => self.list_done(),
            Event::Apply(pod) => self.present(pod),
            Event::Delete(pod) => self.deleted(&pod),
        }
    }

    fn present(&mut self, mut pod: Pod) -> Vec<FeedEvent> {
        let Some((key, uid)) = key(&pod) else { return Vec::new() };
        // Nobody here reads them, and they are often the largest part.
        pod.metadata.managed_fields = None;
        let before = self.known.insert(key.clone(), uid.clone()).filter(|before| *before != uid);
        let gone = before.map(|before| FeedEvent::Gone(pod_ref(key, before)));
        gone.into_iter().chain([FeedEvent::Pod(Arc::new(pod))]).collect()
    }

    fn deleted(&mut self, pod: &Pod) -> Vec<FeedEvent> {
        let Some((key, uid)) = key(pod) else { return Vec::new() };
        // Of another UID: its end has been told when its successor came.
        if self.known.get(&key) != Some(&uid) {
            return Vec::new();
        }
        self.known.remove(&key);
        vec![FeedEvent::Gone(pod_ref(key, uid))]
    }

    fn list_done(&mut self) -> Vec<FeedEvent> {
        let listed = std::mem::take(&mut self.listed);
        let gone = self.known.extract_if(|key, _| !listed.contains(key));
        let mut events: Vec<FeedEvent> = gone.map(|(key, uid)| FeedEvent::Gone(pod_ref(key, uid))).collect();
        events.push(FeedEvent::Synced);
        events
    }
}

fn key(pod: &Pod) -> Option<(Key, String)> {
    let metadata = &pod.metadata;
    let key = (metadata.namespace.clone()?, metadata.name.clone()?);
    Some((key, metadata.uid.clone()?))
}

fn pod_ref((namespace, name): Key, uid: String) -> PodRef {
    PodRef { namespace, name, uid }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    fn told(tracker: &mut Tracker, events: Vec<Event<Pod>>) -> Vec<String> {
        let events = events.into_iter().flat_map(|event| tracker.apply(event));
        events
            .map(|event| match event {
                FeedEvent::Pod(pod) => format!("+{}", pod.metadata.uid.as_deref().unwrap_or_default()),
                FeedEvent::Gone(pod) => format!("-{}", pod.uid),
                FeedEvent::Synced => "synced".to_owned(),
            })
            .collect()
    }

    #[test]
    fn what_a_watch_says_becomes_what_happened() {
        let mut tracker = Tracker::default();
        let first =
            vec![Event::Init, Event::InitApply(pod("a", "1")), Event::InitApply(pod("b", "2")), Event::InitDone];
        assert_eq!(told(&mut tracker, first), ["+1", "+2", "synced"]);
        let changes = vec![Event::Apply(pod("a", "1")), Event::Delete(pod("a", "1")), Event::Delete(pod("a", "1"))];
        assert_eq!(told(&mut tracker, changes), ["+1", "-1"]);
        let again = vec![Event::Init, Event::InitApply(pod("b", "3")), Event::InitDone, Event::Delete(pod("b", "2"))];
        assert_eq!(told(&mut tracker, again), ["-2", "+3", "synced"]);
        assert_eq!(told(&mut tracker, vec![Event::Init, Event::InitDone]), ["-3", "synced"]);
    }

    #[test]
    fn a_list_that_breaks_off_ends_nothing() {
        let mut tracker = Tracker::default();
        told(&mut tracker, vec![Event::Init, Event::InitApply(pod("a", "1")), Event::InitDone]);
        let broken = vec![Event::Init, Event::InitApply(pod("b", "2")), Event::Init, Event::InitApply(pod("a", "1"))];
        assert_eq!(told(&mut tracker, broken), ["+2", "+1"]);
        assert_eq!(told(&mut tracker, vec![Event::InitDone]), ["-2", "synced"]);
    }
}
