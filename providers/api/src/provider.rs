//! The verbs.

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::{
    Artifact, Configure, Duplex, Error, Event, ExecSpec, Hello, Listing, RunId, RunSpec, SandboxId, SandboxSpec,
    SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome,
};

/// Events of a provider, in order; bounded, so that a caller that stops reading holds the provider's reporter and
/// nothing else. What is lost with a connection is repaired by `list`.
pub type EventStream = mpsc::Receiver<Event>;

/// A pod runtime. Methods may be called from any task, concurrently.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// First, once per connection: versions, engines, capacity.
    async fn hello(&self, hello: Hello) -> Result<Welcome, Error>;

    /// Often: whether the engine's own thread is alive. An error or silence means that it is not.
    async fn ping(&self) -> Result<(), Error>;

    /// Once after `hello`.
    async fn configure(&self, settings: Configure) -> Result<(), Error>;

    /// At connect, before any other verb: what runs and what has ended unacknowledged.
    async fn list(&self) -> Result<Listing, Error>;

    /// Once, at connect; a second call takes the stream over and ends the first.
    async fn events(&self) -> Result<EventStream, Error>;

    /// The exit was recorded by the caller and may be forgotten. Unknown runs are no error.
    async fn acknowledge(&self, run: &RunId) -> Result<(), Error>;

    /// Before code is compiled for a run of that sandbox: what it must be compiled for, and by what. Constant while the
    /// sandbox lives, unless its process was lost.
    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error>;

    /// Once per artifact and process, repeated at will: load compiled code where that sandbox is, and check its imports
    /// and exports. A provider of a single process need not know the sandbox.
    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error>;

    /// Once per pod and sandbox attempt.
    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error>;

    /// When a live pod's budget or policy changes.
    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error>;

    /// After all of its runs ended; runs that have not are killed. Unknown sandboxes are no error.
    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error>;

    /// When Services or their endpoints change.
    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error>;

    /// Once per run. Returns when the guest is about to be entered, after [`Event::Started`] was queued.
    async fn start(&self, run: RunSpec) -> Result<(), Error>;

    /// Ask a run to end, see [`crate::StopMode`]. Returns at once.
    async fn stop(&self, run: &RunId) -> Result<(), Error>;

    /// End a run now: exit 137. Returns at once.
    async fn kill(&self, run: &RunId) -> Result<(), Error>;

    /// A new instance of the run's module with other argv: same mounts, environment and network.
    /// Returns its exit code when it has ended and all its output was delivered.
    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error>;

    /// The run's own standard streams, from now on. Returns when the run or the client's streams end.
    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error>;

    /// A byte stream to a port of the pod, its loopback included.
    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error>;

    /// What a sandbox used; asked every few seconds at most.
    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error>;
}
