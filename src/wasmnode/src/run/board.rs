//! What the workers report, kept until the [director](super::director) looks: the newest of each pod.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::PodStatus;
use tokio::sync::Notify;
use wasmnode_core::{PodRef, Record, Recorder, Severity};
use wasmnode_pods::Statuses;

use super::console::Console;

/// Events that a pod cannot recover from here: nothing that it lacks will ever appear.
const FATAL: [&str; 2] = ["FailedMount", "FailedCreatePodSandBox"];

/// Events that repeat what statuses say.
const REPEATED: [&str; 4] = ["Failed", "BackOff", "ErrImageNeverPull", "InspectFailed"];

/// News about pods, by UID.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) statuses: BTreeMap<String, PodStatus>,
    pub(super) released: BTreeSet<String>,
    /// Why a pod cannot start.
    pub(super) failures: BTreeMap<String, String>,
}

/// Where statuses and events of the workers go.
pub(super) struct Board {
    news: Mutex<News>,
    changed: Notify,
    console: Arc<Console>,
}

// === impl Board ===

impl Board {
    pub(super) fn new(console: Arc<Console>) -> Self {
        Self { news: Mutex::default(), changed: Notify::new(), console }
    }

    /// Waits for news, and takes them.
    pub(super) async fn news(&self) -> News {
        self.changed.notified().await;
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        // A panic while it is held leaves whole maps.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn released(&self, pod: &PodRef) {
        self.lock().released.insert(pod.uid.clone());
        self.changed.notify_one();
    }
}

impl Statuses for Board {
    fn set(&self, pod: &PodRef, status: PodStatus) {
        self.lock().statuses.insert(pod.uid.clone(), status);
        self.changed.notify_one();
    }

    fn release(&self, pod: &PodRef) {
        self.released(pod);
    }

    fn forget(&self, pod: &PodRef) {
        self.released(pod);
    }
}

impl Recorder for Board {
    fn pod(&self, pod: &PodRef, _resource_version: &str, record: Record) {
        let Record { severity, reason, message, .. } = record;
        if FATAL.contains(&reason.as_ref()) {
            self.lock().failures.entry(pod.uid.clone()).or_insert(message);
            self.changed.notify_one();
        } else if severity == Severity::Warning && !REPEATED.contains(&reason.as_ref()) {
            self.console.say(&format!("{}: {message}", pod.name));
        }
    }

    fn node(&self, severity: Severity, _reason: &'static str, message: String) {
        if severity == Severity::Warning {
            self.console.say(&message);
        }
    }
}
