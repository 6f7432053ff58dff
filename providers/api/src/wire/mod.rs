//! The wire form of the contract: protocol buffers, derived by prost, without a `.proto` file.
//!
//! Every type that crosses the [`crate::Provider`] trait has a message of the same name in here, `From` towards it
//! and `TryFrom` back. A missing or unknown variant is [`Error::Malformed`] and names the field; an unknown field is
//! skipped, so that a peer may be one version ahead. Field numbers are never reused.
//!
//! Sizes are the transport's to bound: decoding allocates no more than a small multiple of its input.

mod artifact;
mod error;
mod event;
mod http;
mod ids;
mod process;
mod run;
mod sandbox;
mod stdio;
mod stream;
#[cfg(test)]
mod tests;
mod time;

pub use artifact::{Artifact, ArtifactKind, EngineName};
pub use error::{Failure, FailureKind, Imports, Named, StartFailure, StartFailureKind};
pub use event::{Event, EventKind, Exit, ExitReason, FirstRequest, Started};
pub use http::HttpSettings;
pub use ids::Id;
pub use process::{Configure, Engine, Hello, ListedRun, Listing, Target, Welcome};
pub use run::{Command, EnvVar, HttpServer, Limits, Mount, RunSpec, StopMode, Workload, WorkloadKind};
pub use sandbox::{ContainerUsage, HostPath, Isolation, SandboxSpec, SandboxUpdate, ServicesDelta, Usage};
pub use stdio::{Log, OpenStdin, Stdin, Stdio};
pub use stream::{ExecSpec, TerminalSize};
pub use time::Time;

use crate::Error;

/// A type of the contract and the message that carries it.
pub trait Wire: Sized + TryFrom<Self::Message, Error = Error> {
    /// The message.
    type Message: prost::Message + Default + From<Self>;
}

/// The bytes of a value.
pub fn encode<T: Wire>(value: T) -> Vec<u8> {
    prost::Message::encode_to_vec(&T::Message::from(value))
}

/// The value of bytes that [`encode`] made, here or in a peer of another version.
///
/// # Errors
/// [`Error::Malformed`], naming the field where one is at fault.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, Error> {
    let message = <T::Message as prost::Message>::decode(bytes).map_err(|e| Error::Malformed(e.to_string()))?;
    T::try_from(message)
}

macro_rules! wire {
    ($($name:ident => $message:ident),* $(,)?) => {
        $(impl $crate::wire::Wire for $crate::$name {
            type Message = $message;
        })*
    };
}
use wire;

fn malformed(what: &str) -> Error {
    Error::Malformed(what.to_owned())
}

/// A nested message that must be there.
fn required<T, U: TryFrom<T, Error = Error>>(value: Option<T>, field: &str) -> Result<U, Error> {
    let value = value.ok_or_else(|| Error::Malformed(format!("{field} is missing")))?;
    U::try_from(value)
}

/// A variant by its number.
fn variant<T: TryFrom<i32>, U: TryFrom<T, Error = ()>>(value: i32, field: &str) -> Result<U, Error> {
    T::try_from(value)
        .ok()
        .and_then(|known| U::try_from(known).ok())
        .ok_or_else(|| Error::Malformed(format!("{field} has the unknown variant {value}")))
}

fn all<T, U: TryFrom<T, Error = Error>>(values: Vec<T>) -> Result<Vec<U>, Error> {
    values.into_iter().map(U::try_from).collect()
}

fn into_all<T, U: From<T>>(values: Vec<T>) -> Vec<U> {
    values.into_iter().map(U::from).collect()
}

fn small(value: u32, field: &str) -> Result<u16, Error> {
    u16::try_from(value).map_err(|_| Error::Malformed(format!("{field} is {value}, more than 65535")))
}

fn path_bytes(path: std::path::PathBuf) -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    path.into_os_string().into_vec()
}

fn path_of(bytes: Vec<u8>) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}
