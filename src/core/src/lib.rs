//! The pure core: every decision about pods, and nothing that does them.
//!
//! No tokio, kube client, wasmtime, file system, clock or randomness: time is a parameter, effects are values.

pub mod backoff;
pub mod desired;
pub mod downward;
pub mod env;
mod identity;
pub mod ledger;
pub mod node;
mod objects;
pub mod pod;
pub mod quantity;
mod record;
pub mod services_env;

pub use identity::{PodRef, run_id};
pub use objects::{ObjectError, ObjectRef, Objects, Token, TokenRequest, Tokens};
pub use record::{Record, Recorder, Severity};
