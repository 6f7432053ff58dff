//! How the process ends: one table of exit statuses and one line of text.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::lock::LockError;
use crate::run::ManifestError;

/// Something went wrong while running; the cause is in the chain.
const FAILED: u8 = 1;
/// The command line, the configuration, the credentials or a file of objects cannot work: trying again changes
/// nothing.
const USAGE: u8 = 2;
/// Another agent works on the same root directory.
const LOCKED: u8 = 3;
/// The input of a compile job is not valid wasm (EX_DATAERR of sysexits.h).
const INVALID_DATA: u8 = 65;

/// Why the process ends unsuccessfully.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Kubeconfig(#[from] wasmnode_cluster::ClientError),
    #[error(transparent)]
    Locked(#[from] LockError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    InvalidWasm(String),
    #[error("{}", chain(.0))]
    Other(#[from] anyhow::Error),
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        Self::from(match failure {
            Failure::Config(_) | Failure::Kubeconfig(_) | Failure::Manifest(_) | Failure::Usage(_) => USAGE,
            Failure::Locked(LockError::Held { .. }) => LOCKED,
            Failure::Locked(LockError::Io { .. }) | Failure::Other(_) => FAILED,
            Failure::InvalidWasm(_) => INVALID_DATA,
        })
    }
}

/// The whole chain of causes; a cause that its wrapper already quotes is not said twice.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {cause}");
        }
    }
    text
}

/// Without the line breaks and indentation that some libraries put into their messages.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_once_and_on_one_line() {
        let error = anyhow::anyhow!("disk\nfull").context("cannot write: disk\nfull").context("cannot start");
        assert_eq!(one_line(&chain(&error)), "cannot start: cannot write: disk full");
    }
}
