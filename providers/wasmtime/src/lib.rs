//! Runs core modules and components in wasmtime, in this process.
//!
//! Three moments: [`WasmtimeProvider::new`] makes the engine with its pool of instances, `prepare` loads an artifact
//! and links it once, `start` makes a store and enters the guest. Whatever can be decided in an earlier moment is.
//!
//! Guests are fibers on a tokio runtime of their own: nothing that a guest does runs on a thread of the caller's,
//! and nothing that the caller waits for is behind a guest in a queue. A guest gives way every millisecond
//! ([`Settings::epoch_tick`]), which is also where it is stopped, killed and held to its CPU limit.
//!
//! A component that handles HTTP requests is no guest that runs but one that is made for a request, or for some; the
//! run is its listeners. The network that guests see is one per pod and entirely ours, and what it may reach is decided
//! in one function.
//!
//! [`compile`] makes the code that `prepare` loads. It belongs into another process: compiling trusts nobody and
//! eats memory.

mod artifact;
mod artifacts;
mod attach;
mod budget;
mod client;
mod command;
mod compile;
mod cpu;
mod descriptors;
mod engine;
mod engines;
mod entered;
mod exec;
mod exit;
mod guest;
mod http;
mod imports;
mod limiter;
mod linked;
mod meter;
mod metrics;
mod mounts;
mod net;
mod pool;
mod provider;
mod registry;
mod run;
mod runtime;
mod settings;
mod stdio;
mod ticker;
mod world;

pub use compile::{CompileError, compile};
pub use engine::{WASMTIME_VERSION, engine_ids};
pub use metrics::{EngineMetrics, Metrics};
pub use provider::{PROTOCOL, WasmtimeProvider};
pub use settings::{Settings, SetupError};
