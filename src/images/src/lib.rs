//! From an image reference to verified, compiled code on the local disk.
//!
//! The crate knows no Kubernetes and no engine: what a pod asks for arrives as a [`Request`], what
//! leaves is an [`Image`] that names a `.cwasm` file (and a root file system, where the image has
//! one) and keeps both from being collected. The way through it:
//!
//! ```text
//! Images::ensure ─ reference ─ registry (manifest) ─ platform ─ packaging ─ registry (blobs)
//!                                                                               │ verified
//!           code/<engine>/<digest>.cwasm ─ compile ─ choose the program ─ unpack, inspect ─ store
//! ```
//!
//! Invariants: nothing is read from a registry without a bound on its size and its time; a file
//! gets its final name only when it is complete, verified and synced; code is keyed by the digest
//! of the wasm and the engine's id, never by a tag, and made by the program that has that engine ([`Target`]); a path of an image is resolved inside its root
//! by the kernel; who uses a private image has shown its registry credentials for it; nothing is removed that this crate did not
//! record as its own, and nothing while a [`Lease`] on it lives.

mod announce;
mod build;
mod compile;
mod config;
mod copy;
mod describe;
mod digest;
mod ensure;
mod error;
mod extract;
mod flight;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gc;
mod image;
mod inspect;
mod local;
mod manage;
mod manifest;
mod metrics;
mod native;
mod pack;
mod packaging;
mod plan;
mod platform;
mod program;
mod pull;
mod push;
mod reference;
mod refusals;
mod registry;
mod store;
mod target;
mod tree;
mod unpack;

pub use config::{CompileConfig, Config, Engines, Timeouts};
pub use copy::{copy_root, copy_root_for};
pub use describe::{Description, describe};
pub use digest::{Digest, InvalidDigest};
pub use ensure::Images;
pub use error::{ImageError, OpenError};
pub use gc::Collected;
pub use image::{Engine, Image, Kind, ListedImage, Program, PullPolicy, PullTiming, Request, RunConfig};
pub use manage::StoredImage;
pub use metrics::ImageMetrics;
pub use program::NoProgram;
pub use push::PushError;
pub use reference::{InvalidReference, Reference};
pub use registry::Credential;
pub use store::Lease;
pub use target::Target;
