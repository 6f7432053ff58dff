//! From an image reference to verified, compiled code on the local disk.
//!
//! The crate knows no Kubernetes and no engine: what a pod asks for arrives as a [`Reference`], a
//! [`PullPolicy`] and credentials, what leaves is an [`Image`] that names a `.cwasm` file and keeps
//! it from being collected. The way through it:
//!
//! ```text
//! Images::ensure ─ reference ─ registry (manifest) ─ platform ─ packaging ─ registry (blobs)
//!                                                                               │ verified
//!                           code/<engine>/<digest>.cwasm ─ compile ─ inspect ─ store
//! ```
//!
//! Invariants: nothing is read from a registry without a bound on its size and its time; a file
//! gets its final name only when it is complete, verified and synced; code is keyed by the digest
//! of the wasm and the engine's id, never by a tag; nothing is removed that this crate did not
//! record as its own, and nothing while a [`Lease`] on it lives.

mod announce;
mod compile;
mod config;
mod digest;
mod ensure;
mod error;
mod flight;
mod gc;
mod image;
mod inspect;
mod manifest;
mod metrics;
mod native;
mod packaging;
mod plan;
mod platform;
mod pull;
mod reference;
mod refusals;
mod registry;
mod store;

pub use config::{CompileConfig, Config, Engines, Timeouts};
pub use digest::{Digest, InvalidDigest};
pub use ensure::Images;
pub use error::{ImageError, OpenError};
pub use gc::Collected;
pub use image::{Engine, Image, Kind, ListedImage, PullPolicy, PullTiming, RunConfig};
pub use metrics::ImageMetrics;
pub use reference::{InvalidReference, Reference};
pub use registry::Credential;
pub use store::Lease;
