//! What the work for one pod is done with: shared by its worker and the tasks that the worker starts.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, mpsc};
use wasmnode_core::desired::Desired;
use wasmnode_core::pod::{Event, PullError};
use wasmnode_core::{PodRef, run_id};
use wasmnode_provider_api::{InvalidId, RunId, SandboxId};

use crate::actions::pull::Chosen;
use crate::context::Context;
use crate::groups::NotPlaced;
use crate::layout::PodLayout;
use crate::routes::{Happened, RunEvent};

/// The only sandbox of a pod: it is never made anew while the pod lives.
const SANDBOX_ATTEMPT: u32 = 0;

/// One pod's surroundings.
pub(crate) struct Site {
    pub(crate) context: Arc<Context>,
    pub(crate) pod: PodRef,
    /// Messages are boxed: a channel keeps room for dozens, and there are thousands of pods.
    pub(crate) answers: mpsc::Sender<Box<Answer>>,
    pub(crate) mailbox: mpsc::Sender<Box<RunEvent>>,
    /// Held while volumes are worked on; true once they were torn down, so that a refresh that comes late does not
    /// bring them back.
    pub(crate) torn_down: Mutex<bool>,
}

/// What a task tells its worker.
pub(crate) enum Answer {
    /// For the lifecycle as it is.
    Event(Event),
    /// The image, to be kept for the start.
    Pulled { container: String, image: String, result: Result<Chosen, PullError> },
    /// The image of a container that outlived the agent before, to be kept.
    Held { container: String, image: Chosen },
    /// A run of a container that ended, with its message.
    Exited { run: RunId, container: String, event: Event },
    /// Volumes were brought up to date, or not.
    Refreshed(Result<(), String>),
}

// === impl Site ===

impl Site {
    pub(crate) fn now(&self) -> Timestamp {
        self.context.now()
    }

    /// Where the pod's files are: from its first mount on, or since an earlier agent's, until it is released.
    pub(crate) fn layout(&self) -> Result<PodLayout, NotPlaced> {
        self.context.groups.find(&self.pod).ok_or(NotPlaced)
    }

    /// Tells the worker what happened to a run, as the provider's own event would.
    pub(crate) async fn tell(&self, container: &str, attempt: u32, what: Happened) {
        let event = RunEvent { container: container.to_owned(), attempt, what };
        let _ = self.mailbox.send(Box::new(event)).await;
    }

    /// Sends an answer. The worker reads as long as it lives; its tasks end with it.
    pub(crate) async fn answer(&self, answer: Answer) {
        let _ = self.answers.send(Box::new(answer)).await;
    }

    pub(crate) fn sandbox(&self) -> Result<SandboxId, InvalidId> {
        sandbox(&self.pod)
    }

    pub(crate) fn run(&self, container: &str, attempt: u32) -> Result<RunId, InvalidId> {
        run(&self.pod, container, attempt)
    }

    /// Tells the API server about something that went wrong outside of the lifecycle.
    pub(crate) fn record(&self, desired: &Desired, record: wasmnode_core::Record) {
        self.context.ports.recorder.pod(&self.pod, &desired.resource_version, record);
    }
}

/// The id of a pod's sandbox.
pub(crate) fn sandbox(pod: &PodRef) -> Result<SandboxId, InvalidId> {
    SandboxId::new(pod.sandbox_id(SANDBOX_ATTEMPT))
}

/// The id of one run of a container.
pub(crate) fn run(pod: &PodRef, container: &str, attempt: u32) -> Result<RunId, InvalidId> {
    RunId::new(run_id(&pod.sandbox_id(SANDBOX_ATTEMPT), container, attempt))
}

/// How long to sleep until `deadline`, at least a moment: deadlines that have passed are acted upon in the next turn.
pub(crate) fn until(now: Timestamp, deadline: Timestamp) -> std::time::Duration {
    let left = deadline.duration_since(now).max(SignedDuration::from_millis(1));
    left.unsigned_abs()
}
