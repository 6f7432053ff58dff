//! The only crate that talks to the API server.
//!
//! It follows the pods bound to this node ([`Feed`]), posts their statuses and deletes them at the end
//! ([`StatusWriter`]), reads what they name ([`ObjectStore`], [`TokenStore`]), keeps the Node and its lease alive
//! ([`Registration`], [`StatusReporter`], [`Heartbeat`]), and records events ([`EventRecorder`]). Decisions are
//! `wasmnode_core`'s; here they meet a server that is slow, away or refuses.
//!
//! Nothing here spawns a task of its own but the watches of [`ObjectStore`], which end with their last user: every
//! `run` is a future for the binary to spawn, and ends with its token.

mod api;
pub mod client;
mod events;
mod feed;
mod lease;
mod metrics;
mod node;
mod objects;
mod retry;
mod reviews;
mod status;
#[cfg(test)]
mod testing;
mod tokens;

pub use api::ApiError;
pub use client::{ClientError, connect};
pub use events::{EventLimits, EventRecorder, EventSender, event_channel};
pub use feed::{FEED_QUEUE, Feed, FeedEvent};
pub use kube::Client;
pub use lease::Heartbeat;
pub use metrics::ClusterMetrics;
pub use node::{NodeView, Registration, StatusIntervals, StatusReporter};
pub use objects::ObjectStore;
pub use reviews::{AccessAnswer, AccessQuestion, Caller, access_review, token_review};
pub use status::StatusWriter;
pub use tokens::TokenStore;
