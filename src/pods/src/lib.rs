//! Does what [`wasmnode_core`] decides about the pods of this node.
//!
//! ```text
//! feed ─SupervisorEvent─▶ Supervisor ─▶ one worker per pod ─▶ images · volumes · provider · statuses · events
//!                             ▲                 │
//!                             └── run events ◀──┴──── Provider
//! ```
//!
//! The [`Supervisor`] owns the ledger and the workers, a worker owns one pod's lifecycle value; both hold no policy.
//! What they act upon comes in as [`Ports`], so that the same supervisor serves a node of a cluster and pods from
//! files. Others look at the pods through a [`Handle`].
//!
//! **Invariants.** Nothing is started, stopped or removed before the first complete list. A pod is served by one task
//! at a time. A panic fails the pod that it happened in. Files below directories that pods own are reached through
//! [`wasmnode_logs::beneath`] only. Only what this crate recorded as its own is ever removed.

mod actions;
mod argv;
mod blocking;
mod board;
mod context;
mod credentials;
mod exits;
#[cfg(test)]
mod fixtures;
mod groups;
mod history;
mod images;
mod layout;
mod metrics;
mod own;
mod ports;
mod replace;
mod routes;
mod site;
mod supervisor;
mod survivors;
#[cfg(test)]
mod tests;
mod volumes;
mod worker;

pub use context::{Config, LogLimits, NodeState};
pub use credentials::Keyring;
pub use groups::{Isolation, IsolationPolicy};
pub use images::{PullRequest, PulledImage, Puller};
pub use layout::Layout;
pub use metrics::{BUCKETS, Counter, Gauge, Histogram, Metrics, Observed};
pub use own::remove_all;
pub use ports::{Clock, Ports, Statuses, system_clock};
pub use supervisor::{Departure, Handle, Progress, Shutdown, Supervisor, SupervisorError, SupervisorEvent};
