//! What to do about a pod.

use crate::Record;

/// An effect that the worker carries out; each but `Record` and `Release` answers with an event. Idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Set up every volume and each container's root; answered by `Mounted`.
    Mount,
    /// Make the sandbox; answered by `SandboxReady`.
    CreateSandbox,
    /// Get the container's image by its policy, compiled; answered by `Pulling` (maybe) and `Pulled`.
    Pull {
        /// Container name.
        container: String,
        /// Image as written in the spec.
        image: String,
    },
    /// Resolve the environment and start the container; answered by `Started`, later by `Exited`.
    Start {
        /// Container name.
        container: String,
        /// Number of the run: restartCount, log file name and run id follow from it.
        attempt: u32,
    },
    /// Ask the run to end; answered by `Exited`.
    Stop {
        /// Container name.
        container: String,
        /// Which run.
        attempt: u32,
    },
    /// End the run now; answered by `Exited`.
    Kill {
        /// Container name.
        container: String,
        /// Which run.
        attempt: u32,
    },
    /// Record an event.
    Record(Record),
    /// Remove the sandbox; answered by `SandboxRemoved`.
    RemoveSandbox,
    /// Tear the volumes down; answered by `Unmounted`.
    Unmount,
    /// Last: the pod holds nothing any more; its API object may be deleted.
    Release {
        /// Whether the API object still exists and waits for the final delete.
        delete: bool,
    },
}
