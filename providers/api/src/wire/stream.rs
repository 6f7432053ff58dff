//! What goes with streams. Their bytes are the transport's.

use super::{Id, required, small, wire};
use crate::Error;

/// As [`crate::TerminalSize`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct TerminalSize {
    #[prost(uint32, tag = "1")]
    pub width: u32,
    #[prost(uint32, tag = "2")]
    pub height: u32,
}

impl From<crate::TerminalSize> for TerminalSize {
    fn from(size: crate::TerminalSize) -> Self {
        Self { width: size.width.into(), height: size.height.into() }
    }
}

impl TryFrom<TerminalSize> for crate::TerminalSize {
    type Error = Error;

    fn try_from(size: TerminalSize) -> Result<Self, Error> {
        Ok(Self { width: small(size.width, "width")?, height: small(size.height, "height")? })
    }
}

/// As [`crate::ExecSpec`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct ExecSpec {
    #[prost(message, optional, tag = "1")]
    pub run: Option<Id>,
    #[prost(string, repeated, tag = "2")]
    pub argv: Vec<String>,
    #[prost(bool, tag = "3")]
    pub tty: bool,
}

impl From<crate::ExecSpec> for ExecSpec {
    fn from(exec: crate::ExecSpec) -> Self {
        Self { run: Some(exec.run.into()), argv: exec.argv, tty: exec.tty }
    }
}

impl TryFrom<ExecSpec> for crate::ExecSpec {
    type Error = Error;

    fn try_from(exec: ExecSpec) -> Result<Self, Error> {
        Ok(Self { run: required(exec.run, "exec.run")?, argv: exec.argv, tty: exec.tty })
    }
}

wire!(TerminalSize => TerminalSize, ExecSpec => ExecSpec);
