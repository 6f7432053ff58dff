//! What happens to a pod.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::PodEnd;
use crate::desired::Desired;

/// Something that happened; every result of an [`super::Action`] comes back as one of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The API server's newest wish. Repeating it changes nothing.
    Desired(Arc<Desired>),
    /// The API server has the pod no more (force deletion, or another UID under its name).
    Gone,
    /// The node ends it. Of several the first one says why, and the shortest grace counts; a pod that is being
    /// deleted already only gets less time.
    End(PodEnd),
    /// The volumes are there, or why not: the text of the `FailedMount` event.
    Mounted(Result<(), String>),
    /// The sandbox is there, or why not: what follows `Failed to create pod sandbox: `. A refusal also answers
    /// [`super::Action::Mount`], where it turns out that the pod will have no sandbox.
    SandboxReady(Result<(), String>),
    /// The registry is being asked for the image's content.
    Pulling {
        /// Container name.
        container: String,
    },
    /// The image is there, compiled, or why not.
    Pulled {
        /// Container name.
        container: String,
        /// As in [`super::Action::Pull`]: an answer about an image that was changed since says nothing.
        image: String,
        /// What was found.
        result: Result<Pulled, PullError>,
    },
    /// The container's code was entered, or why not.
    Started {
        /// Container name.
        container: String,
        /// As in [`super::Action::Start`].
        attempt: u32,
        /// When, or why not.
        result: Result<Timestamp, StartError>,
    },
    /// A run ended. May arrive before its `Started`.
    Exited {
        /// Container name.
        container: String,
        /// Which run.
        attempt: u32,
        /// How.
        exit: Exit,
    },
    /// The sandbox is gone, and with it every run.
    SandboxRemoved,
    /// The volumes are gone.
    Unmounted,
    /// `next_deadline` has passed.
    Tick,
}

/// An image that is ready to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// `registry/repository@sha256:…`.
    pub image_id: String,
    /// Bytes of the image.
    pub size_bytes: u64,
    /// Time for pulling, and the same with waiting for other pulls; none: it was present already.
    pub timing: Option<(SignedDuration, SignedDuration)>,
}

/// Why an image is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullError {
    /// Which kind; it decides reason and retries.
    pub kind: PullErrorKind,
    /// For people.
    pub message: String,
}

/// Kinds of pull errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PullErrorKind {
    /// The registry, the network, the disk, the content: `ErrImagePull`, then `ImagePullBackOff`.
    Failed,
    /// Not WebAssembly: as `Failed`, but one event and a look every 5 minutes.
    NotWasm,
    /// `imagePullPolicy: Never` and not present: `ErrImageNeverPull`.
    NeverPull,
    /// Not an image reference: `InvalidImageName`.
    InvalidName,
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// Waiting reason.
    pub reason: StartErrorReason,
    /// For people.
    pub message: String,
}

/// Reasons of containers that cannot start (contract sections 4.5 and 4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StartErrorReason {
    /// Something that the spec names is missing or not supported.
    CreateContainerConfigError,
    /// The runtime refuses it: unknown imports, the wrong world.
    CreateContainerError,
    /// The runtime could not enter it.
    RunContainerError,
    /// Its image has no such program: not a reason to wait, but a run that ended before it began.
    StartError,
}

impl StartErrorReason {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateContainerConfigError => "CreateContainerConfigError",
            Self::CreateContainerError => "CreateContainerError",
            Self::RunContainerError => "RunContainerError",
            Self::StartError => "StartError",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// 0..=255.
    pub code: i32,
    /// Decides the reason.
    pub cause: ExitCause,
    /// Termination message; empty when there is nothing to say.
    pub message: String,
    /// When it started; 1970 where it never did.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// Why a run ended, as far as the reason shown depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCause {
    /// By itself, by a trap or by a stop: `Completed` or `Error` by its code.
    Ended,
    /// At its memory limit: `OOMKilled`.
    OutOfMemory,
    /// With the process that held it: `Unknown`.
    Lost,
    /// It never started: `StartError`.
    NotStarted,
}
