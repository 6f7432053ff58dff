//! The provider contract: what a pod runtime must do, as plain data.
//!
//! It speaks of artifacts, sandboxes and runs and knows no Kubernetes. Three moments, as in Spin's factors:
//! once per process ([`Provider::hello`], [`Provider::configure`]), once per artifact ([`Provider::prepare`]),
//! once per run ([`Provider::start`]). Everything that crosses the trait has a wire form in [`wire`], and the
//! conformance tests run each provider both directly and through an encode/decode shim, so that a provider in
//! this process and one behind a socket cannot drift apart.
//!
//! **Expected flow.** `hello` → `configure` → `list` (adopt what runs) → per pod: `create_sandbox`, `target`, `prepare`,
//! `start`…, events, `stop`/`kill`, `acknowledge`, `remove_sandbox`.
//!
//! **Guarantees.** Every successful `start` is followed by exactly one [`Event::Exited`], which is repeated by
//! `list` until it is acknowledged. `stop` and `kill` of a run that has ended succeed and change nothing.
//! Repeating `prepare`, `create_sandbox` or `remove_sandbox` with the same data changes nothing.
//!
//! **Assumptions.** Deadlines belong to the caller: a provider never turns a `stop` into a `kill` by itself.

mod artifact;
mod error;
mod event;
mod http;
mod ids;
mod layer;
mod process;
mod provider;
mod reporter;
mod run;
mod sandbox;
mod stream;
pub mod wire;

pub use artifact::{Artifact, ArtifactKind, EngineName};
pub use error::{Error, StartFailure};
pub use event::{Event, Exit, ExitReason};
pub use http::HttpSettings;
pub use ids::{EngineId, InvalidId, RunId, SandboxId};
pub use layer::Layer;
pub use process::{Configure, Engine, Hello, ListedRun, Listing, Target, Welcome};
pub use provider::{EventStream, Provider};
pub use reporter::Reporter;
pub use run::{Limits, Log, Mount, RunSpec, Stdin, Stdio, StopMode, Workload};
pub use sandbox::{ContainerUsage, HostPath, Isolation, SandboxSpec, SandboxUpdate, ServicesDelta, Usage};
pub use stream::{Duplex, ExecSpec, Streams, TerminalSize};
