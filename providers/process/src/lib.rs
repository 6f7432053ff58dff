//! Guests in processes of their own: the provider contract over a Unix socket.
//!
//! Three parts. The **transport**: [`Remote`] is a [`wasmnode_provider_api::Provider`] whose verbs are answered by
//! [`serve`] in another process, gRPC without a `.proto` file. The **runner's side**: [`Journal`] keeps exits on disk
//! until they were acknowledged, [`confine`] takes away from the process what it does not need. The **agent's side**:
//! [`runners`], which starts, adopts and buries runners, and is a provider over all of them.
//!
//! **Versions.** The protocol has a major number. An end speaks its own and the one before, so that an agent adopts the
//! runners of the release before it and of the one after it. Within a major number messages only gain fields.

pub mod confine;
mod journal;
mod protocol;
mod relay;
mod remote;
pub mod runners;
mod serve;

pub use journal::{EXIT_SUFFIX, Journal, JournalError, exit_file_name};
pub use protocol::{OLDEST_PROTOCOL, PROTOCOL};
pub use remote::Remote;
pub use serve::{ServeError, serve};
