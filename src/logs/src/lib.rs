//! Container logs in CRI form: what a guest prints becomes lines of a file that log collectors understand, and
//! `kubectl logs` reads them back.
//!
//! [`Writer`] is used by whatever runs the guest, [`Reader`] by the kubelet API, possibly in another process that
//! trusts the first one's user with nothing. Hence [`beneath`], which every agent component uses to touch files
//! below directories that a pod's user owns.
//!
//! **Invariant:** the writer alone rotates. Names of rotated files strictly increase, so that a reader that
//! follows can tell which files it has not seen, however many rotations it slept through.

pub mod beneath;
mod line;
pub mod links;
pub mod paths;
mod reader;
mod rotated;
mod splitter;
mod writer;

pub use line::Stream;
pub use reader::{Options, Reader, last_output};
pub use writer::{StreamWriter, Writer};
