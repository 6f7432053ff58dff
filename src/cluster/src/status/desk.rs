//! What is to be sent for which pod, and when. No I/O: jobs go out, reports come back.
//!
//! ```text
//!  set, release ──► queued ──next_job──► busy ──report──► settled | queued (changed meanwhile) | waiting (failed)
//!                     ▲                                                                              │
//!                     └───────────────────────────── wake, at its time ◄─────────────────────────────┘
//! ```

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::time::Instant;
use wasmnode_core::PodRef;

use super::carry::carry_over;
use super::job::{End, Job, Report};
use super::patch;
use crate::retry::Pauses;

/// All pods.
#[derive(Default)]
pub(super) struct Desk {
    entries: HashMap<String, Entry>,
    queue: VecDeque<String>,
    retries: BTreeSet<(Instant, String)>,
}

struct Entry {
    pod: PodRef,
    known: Option<Arc<Pod>>,
    wanted: Option<Arc<PodStatus>>,
    /// Counts what was set; `posted` follows it.
    version: u64,
    posted: u64,
    since: Option<Instant>,
    release: bool,
    place: Place,
    /// Someone wrote to the pod since its status was compared.
    suspect: bool,
    /// A sweep found that nobody has said anything about the pod.
    unclaimed: bool,
    pauses: Pauses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Settled,
    Queued,
    Busy,
    Waiting(Instant),
}

impl Desk {
    pub(super) fn observe(&mut self, pod: Arc<Pod>) {
        let Some(id) = pod_ref(&pod) else { return };
        let entry = self.entry(&id);
        match entry.known.as_deref().map_or(Ordering::Greater, |known| age(&pod, known)) {
            Ordering::Less => {}
            // The echo of our own patch: one copy, shared with the supervisor, is enough.
            Ordering::Equal => entry.known = Some(pod),
            Ordering::Greater => {
                entry.known = Some(pod);
                entry.suspect = true;
            }
        }
    }

    pub(super) fn set(&mut self, pod: &PodRef, mut status: PodStatus, now: Timestamp, instant: Instant) {
        let entry = self.entry(pod);
        let base = entry.wanted.as_deref().or_else(|| entry.known.as_deref()?.status.as_ref());
        carry_over(&mut status, base, now);
        if entry.wanted.as_deref() == Some(&status) {
            return;
        }
        entry.wanted = Some(Arc::new(status));
        entry.version += 1;
        entry.since.get_or_insert(instant);
        self.enqueue(&pod.uid);
    }

    pub(super) fn release(&mut self, pod: &PodRef) {
        self.entry(pod).release = true;
        self.enqueue(&pod.uid);
    }

    pub(super) fn forget(&mut self, pod: &PodRef) {
        if let Some(Entry { place: Place::Waiting(time), .. }) = self.entries.remove(&pod.uid) {
            self.retries.remove(&(time, pod.uid.clone()));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.entries.values().all(|entry| entry.place == Place::Settled)
    }

    pub(super) fn next_job(&mut self) -> Option<Job> {
        while let Some(uid) = self.queue.pop_front() {
            if let Some(entry) = self.entries.get_mut(&uid).filter(|entry| entry.place == Place::Queued) {
                entry.place = Place::Busy;
                return Some(entry.job());
            }
        }
        None
    }

    pub(super) fn report(&mut self, report: Report, now: Instant) {
        let uid = &report.pod.uid;
        // Forgotten meanwhile.
        let Some(entry) = self.entries.get_mut(uid).filter(|entry| entry.place == Place::Busy) else { return };
        match report.end {
            End::Read(pod) => entry.read(pod),
            End::Posted { version, known } => entry.posted(version, known),
            End::Over => {
                self.entries.remove(uid);
                return;
            }
            End::Failed { stale, posted } => {
                if let Some((version, known)) = posted {
                    entry.posted(version, known);
                }
                if stale {
                    entry.known = None;
                }
                let time = now + entry.pauses.next();
                entry.place = Place::Waiting(time);
                self.retries.insert((time, uid.clone()));
                return;
            }
        }
        entry.place = Place::Settled;
        if entry.is_dirty() {
            self.enqueue(uid);
        }
    }

    /// When the next failed job is to be tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retries.first().map(|(time, _)| *time)
    }

    /// Queues the jobs whose time has come.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some((_, uid)) = self.retries.first().filter(|(time, _)| *time <= now).cloned() {
            self.enqueue(&uid);
        }
    }

    /// Queues what others have overwritten since it was posted, and forgets pods that nobody reports on: the last
    /// sight of a pod may come after its deletion.
    pub(super) fn sweep(&mut self) {
        self.entries.retain(|_, entry| !entry.is_abandoned());
        let suspects = self.entries.iter_mut().filter(|(_, entry)| entry.suspect && entry.place == Place::Settled);
        let overwritten = suspects.filter_map(|(uid, entry)| {
            entry.suspect = false;
            entry.is_overwritten().then(|| uid.clone())
        });
        for uid in overwritten.collect::<Vec<_>>() {
            self.enqueue(&uid);
        }
    }

    fn entry(&mut self, pod: &PodRef) -> &mut Entry {
        self.entries.entry(pod.uid.clone()).or_insert_with(|| Entry::new(pod))
    }

    /// A failed job does not wait any longer once there is something new to send: the newest state goes out at once
    /// when the API server is back, and a server that is away is asked once more per change, not in a loop.
    fn enqueue(&mut self, uid: &str) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        match entry.place {
            Place::Queued | Place::Busy => return,
            Place::Waiting(time) => {
                self.retries.remove(&(time, uid.to_owned()));
            }
            Place::Settled => {}
        }
        entry.place = Place::Queued;
        self.queue.push_back(uid.to_owned());
    }
}

impl Entry {
    fn new(pod: &PodRef) -> Self {
        Self {
            pod: pod.clone(),
            known: None,
            wanted: None,
            version: 0,
            posted: 0,
            since: None,
            release: false,
            place: Place::Settled,
            suspect: false,
            unclaimed: false,
            pauses: Pauses::new(Duration::from_millis(200), Duration::from_secs(10)),
        }
    }

    fn job(&self) -> Job {
        Job {
            pod: self.pod.clone(),
            known: self.known.clone(),
            status: self.wanted.clone(),
            version: self.version,
            since: self.since.filter(|_| self.posted < self.version),
            release: self.release,
        }
    }

    fn is_dirty(&self) -> bool {
        self.posted < self.version || self.release
    }

    /// Whether nobody has said anything about the pod since the sweep before. It is read anew should somebody do so.
    fn is_abandoned(&mut self) -> bool {
        let unclaimed = self.place == Place::Settled && self.wanted.is_none();
        std::mem::replace(&mut self.unclaimed, unclaimed) && unclaimed
    }

    fn is_overwritten(&self) -> bool {
        match (self.known.as_deref(), self.wanted.as_deref()) {
            (Some(known), Some(wanted)) => patch::patch(known, wanted).is_some(),
            _ => false,
        }
    }

    /// The pod had to be read first: what it says about times holds for what is to be posted, too.
    fn read(&mut self, pod: Arc<Pod>) {
        if let (Some(wanted), Some(base)) = (self.wanted.as_mut(), pod.status.as_ref()) {
            let mut status = PodStatus::clone(wanted);
            carry_over(&mut status, Some(base), Timestamp::now());
            *wanted = Arc::new(status);
        }
        self.learn(pod);
        self.pauses.reset();
    }

    fn posted(&mut self, version: u64, known: Arc<Pod>) {
        self.posted = self.posted.max(version);
        if self.posted >= self.version {
            self.since = None;
        }
        self.learn(known);
        self.pauses.reset();
    }

    fn learn(&mut self, pod: Arc<Pod>) {
        if self.known.as_deref().is_none_or(|known| age(&pod, known).is_gt()) {
            self.known = Some(pod);
        }
    }
}

fn pod_ref(pod: &Pod) -> Option<PodRef> {
    let metadata = &pod.metadata;
    Some(PodRef { namespace: metadata.namespace.clone()?, name: metadata.name.clone()?, uid: metadata.uid.clone()? })
}

/// Resource versions count up; where they are no numbers, the last one seen wins.
fn age(new: &Pod, old: &Pod) -> Ordering {
    let version = |pod: &Pod| pod.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
    match (version(new), version(old)) {
        (Some(new), Some(old)) => new.cmp(&old),
        _ => Ordering::Greater,
    }
}
