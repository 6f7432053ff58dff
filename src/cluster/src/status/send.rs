//! One pod's turn: read it, post its status, delete it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::Value;
use tracing::{debug, error, warn};

use super::guard::objection;
use super::job::{End, Job, Report};
use super::patch::patch;
use crate::api::{ApiError, call};
use crate::metrics::ClusterMetrics;

/// Does what the job asks for. Failures are in the report.
pub(super) async fn perform(client: &Client, job: Job, metrics: &ClusterMetrics) -> Report {
    let turn = Turn { api: Api::namespaced(client.clone(), &job.pod.namespace), job: &job, metrics };
    let end = match &job.known {
        None => turn.read().await,
        Some(known) => turn.post_and_release(known.clone()).await,
    };
    Report { pod: job.pod.clone(), end }
}

struct Turn<'a> {
    api: Api<Pod>,
    job: &'a Job,
    metrics: &'a ClusterMetrics,
}

/// How posting a status went.
enum Posting {
    Done(Arc<Pod>),
    Over,
    Failed { stale: bool },
}

impl Turn<'_> {
    async fn read(&self) -> End {
        match call(self.api.get(&self.job.pod.name)).await {
            Ok(pod) if pod.metadata.uid.as_deref() == Some(&self.job.pod.uid) => End::Read(kept(pod)),
            // Another pod has its name.
            Ok(_) => End::Over,
            Err(error) if error.is_not_found() => End::Over,
            Err(error) => {
                self.failed(&error, "Failed to read a pod");
                End::Failed { stale: false, posted: None }
            }
        }
    }

    async fn post_and_release(&self, known: Arc<Pod>) -> End {
        let posting = match &self.job.status {
            Some(status) => self.post(known, status).await,
            None => Posting::Done(known),
        };
        match posting {
            Posting::Done(known) if self.job.release => self.release(known).await,
            Posting::Done(known) => End::Posted { version: self.job.version, known },
            Posting::Over => End::Over,
            Posting::Failed { stale } => End::Failed { stale, posted: None },
        }
    }

    async fn post(&self, known: Arc<Pod>, status: &PodStatus) -> Posting {
        let Some(patch) = patch(&known, status) else {
            self.metrics.status_skips.add();
            return Posting::Done(known);
        };
        if let Some(why) = objection(&known, status) {
            self.metrics.status_aborts.add();
            error!(pod = %self.job.pod, why, "Did not post a pod status that contradicts the one before");
            return Posting::Done(known);
        }
        self.send(known, patch).await
    }

    async fn send(&self, known: Arc<Pod>, patch: Value) -> Posting {
        let patch = Patch::Strategic(patch);
        match call(self.api.patch_status(&self.job.pod.name, &PatchParams::default(), &patch)).await {
            Ok(pod) => {
                self.metrics.status_patches.add();
                self.job.since.inspect(|since| self.metrics.status_micros.add_micros(since.elapsed()));
                Posting::Done(kept(pod))
            }
            Err(error) if error.is_not_found() => Posting::Over,
            Err(error) if error.is_final() => {
                self.metrics.status_refusals.add();
                error!(pod = %self.job.pod, %error, "The API server does not take a pod status");
                Posting::Done(known)
            }
            Err(error) => {
                self.failed(&error, "Failed to post a pod status");
                // Another pod of that name, or someone else was faster: both can be seen.
                Posting::Failed { stale: error.is_conflict() }
            }
        }
    }

    /// The final delete. A pod that nobody deleted stays.
    async fn release(&self, known: Arc<Pod>) -> End {
        if known.metadata.deletion_timestamp.is_none() {
            return End::Over;
        }
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: Some(self.job.pod.uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        match call(self.api.delete(&self.job.pod.name, &now)).await {
            Ok(_) => {
                self.metrics.pod_deletes.add();
                debug!(pod = %self.job.pod, "Deleted a pod for good");
                End::Over
            }
            Err(error) if error.is_not_found() || error.is_conflict() => End::Over,
            Err(error) => {
                self.failed(&error, "Failed to delete a pod for good");
                End::Failed { stale: false, posted: Some((self.job.version, known)) }
            }
        }
    }

    fn failed(&self, error: &ApiError, what: &'static str) {
        self.metrics.status_errors.add();
        // Without an answer every pod fails at once, and the feed says so already.
        if error.code() == 0 {
            debug!(pod = %self.job.pod, %error, "{what}");
        } else {
            warn!(pod = %self.job.pod, %error, "{what}");
        }
    }
}

/// Nobody here reads the managed fields, and they are often the largest part.
fn kept(mut pod: Pod) -> Arc<Pod> {
    pod.metadata.managed_fields = None;
    Arc::new(pod)
}
