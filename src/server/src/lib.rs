//! The kubelet's HTTPS API, port 10250 by default.
//!
//! | path | answer |
//! |---|---|
//! | `GET /healthz`, `/healthz/{ping,log,syncloop}` | `ok`, or 500 and what fails; `?verbose`, `?exclude=` |
//! | `GET /pods` | all pods with the agent's status, a v1 PodList |
//! | `GET /metrics` | Prometheus text 0.0.4 |
//! | `GET /containerLogs/{namespace}/{pod}/{container}` | a container's log |
//!
//! **Invariant:** nothing is answered before the caller was authenticated and authorised, not even that a path
//! does not exist: [`auth`] wraps the routes from outside. The kubelet does the same, on every path.
//!
//! What the server knows about pods, health and users comes through the traits in [`backend`].

mod accept;
mod activity;
mod auth;
mod backend;
mod config;
pub mod metrics;
mod routes;
mod server;
mod tls;

pub use backend::{Backends, Health, LogTarget, Pods, ReviewError, Reviewer, User};
pub use config::{Certificate, Config, Limits};
pub use routes::logs::{Instance, LogError, select};
pub use server::{BindError, Server};
pub use tls::TlsError;

#[cfg(test)]
mod tests;
