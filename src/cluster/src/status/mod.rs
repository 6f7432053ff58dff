//! Posts pod statuses: always the newest, only when it changed, for ever until the API server has it; and deletes a
//! pod for good once its last status is there (contract sections 4.4 and 4.11).

mod carry;
mod desk;
mod guard;
mod job;
mod patch;
mod send;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Client;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wasmnode_core::PodRef;

use self::desk::Desk;
use crate::metrics::ClusterMetrics;

/// Requests at once, one per pod. More would not make the API server faster; fewer would let one slow answer hold up
/// a Deployment's worth of pods.
const IN_FLIGHT: usize = 16;

/// Time between passes that put right what others wrote into the statuses.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Posts pod statuses. Cloning shares it.
#[derive(Clone)]
pub struct StatusWriter(Arc<Shared>);

struct Shared {
    client: Client,
    desk: Mutex<Desk>,
    /// There is something to send.
    work: Notify,
    /// Something was sent.
    progress: Notify,
    metrics: Arc<ClusterMetrics>,
}

impl StatusWriter {
    /// Sends nothing before [`StatusWriter::run`].
    pub fn new(client: Client, metrics: Arc<ClusterMetrics>) -> Self {
        let desk = Mutex::default();
        Self(Arc::new(Shared { client, desk, work: Notify::new(), progress: Notify::new(), metrics }))
    }

    /// A pod as the feed shows it: what the next status is compared with. To be called before the pod's worker hears
    /// of the pod, or its status has to be read first.
    pub fn observe(&self, pod: Arc<Pod>) {
        self.0.lock().observe(pod);
    }

    /// The pod's status is now this. It holds all that this node says of the pod; conditions, claims and fields that
    /// others own stay as they are. Transition times and the start time are carried over from the status before
    /// where nothing changed.
    pub fn set(&self, pod: &PodRef, status: PodStatus) {
        self.0.lock().set(pod, status, Timestamp::now(), Instant::now());
        self.0.work.notify_one();
    }

    /// The pod has nothing left on this node. Once its last status is posted, a pod that someone deleted is deleted
    /// for good; any other one (a finished Job's) stays.
    pub fn release(&self, pod: &PodRef) {
        self.0.lock().release(pod);
        self.0.work.notify_one();
    }

    /// The API server has no such pod any more: nothing is sent.
    pub fn forget(&self, pod: &PodRef) {
        self.0.lock().forget(pod);
        self.0.progress.notify_waiters();
    }

    /// Waits until everything set and released so far has been sent. Without the API server that is never.
    pub async fn settled(&self) {
        loop {
            let progress = self.0.progress.notified();
            if self.0.lock().is_settled() {
                return;
            }
            progress.await;
        }
    }

    /// Until `shutdown`. Errors only delay it.
    pub async fn run(&self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled_owned(self.0.send_all()).await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_all(&self) {
        let mut flights = FuturesUnordered::new();
        let mut sweep = tokio::time::interval_at(Instant::now() + SWEEP_EVERY, SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while flights.len() < IN_FLIGHT
                && let Some(job) = self.next_job()
            {
                flights.push(send::perform(&self.client, job, &self.metrics));
            }
            let next_retry = self.lock().next_retry();
            tokio::select! {
                () = self.work.notified() => {}
                Some(report) = flights.next() => {
                    self.lock().report(report, Instant::now());
                    self.progress.notify_waiters();
                }
                () = until(next_retry) => self.lock().wake(Instant::now()),
                _ = sweep.tick() => self.lock().sweep(),
            }
        }
    }

    fn next_job(&self) -> Option<job::Job> {
        self.lock().next_job()
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
