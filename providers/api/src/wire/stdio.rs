//! The standard streams of a run.

use super::{malformed, path_bytes, path_of, wire};
use crate::Error;

/// As [`crate::Log`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Log {
    #[prost(bytes = "vec", tag = "1")]
    pub path: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub max_bytes: u64,
    #[prost(uint32, tag = "3")]
    pub max_files: u32,
}

impl From<crate::Log> for Log {
    fn from(log: crate::Log) -> Self {
        Self { path: path_bytes(log.path), max_bytes: log.max_bytes, max_files: log.max_files }
    }
}

impl TryFrom<Log> for crate::Log {
    type Error = Error;

    fn try_from(log: Log) -> Result<Self, Error> {
        Ok(Self { path: path_of(log.path), max_bytes: log.max_bytes, max_files: log.max_files })
    }
}

/// As [`crate::Stdin::Open`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct OpenStdin {
    #[prost(bool, tag = "1")]
    pub once: bool,
}

/// The variants of [`crate::Stdin`].
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(missing_docs)]
pub enum Stdin {
    #[prost(bool, tag = "2")]
    Empty(bool),
    #[prost(message, tag = "3")]
    Open(OpenStdin),
}

/// As [`crate::Stdio`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Stdio {
    #[prost(message, optional, tag = "1")]
    pub log: Option<Log>,
    #[prost(oneof = "Stdin", tags = "2, 3")]
    pub stdin: Option<Stdin>,
    #[prost(bool, tag = "4")]
    pub tty: bool,
}

impl From<crate::Stdio> for Stdio {
    fn from(stdio: crate::Stdio) -> Self {
        let stdin = match stdio.stdin {
            crate::Stdin::Empty => Stdin::Empty(true),
            crate::Stdin::Open { once } => Stdin::Open(OpenStdin { once }),
        };
        Self { log: stdio.log.map(Log::from), stdin: Some(stdin), tty: stdio.tty }
    }
}

impl TryFrom<Stdio> for crate::Stdio {
    type Error = Error;

    fn try_from(stdio: Stdio) -> Result<Self, Error> {
        let stdin = match stdio.stdin.ok_or_else(|| malformed("stdio.stdin has no known kind"))? {
            Stdin::Empty(_) => crate::Stdin::Empty,
            Stdin::Open(OpenStdin { once }) => crate::Stdin::Open { once },
        };
        Ok(Self { log: stdio.log.map(crate::Log::try_from).transpose()?, stdin, tty: stdio.tty })
    }
}

wire!(
    Log => Log,
    Stdio => Stdio,
);
