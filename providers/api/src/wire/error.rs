//! Refusals.

use super::{malformed, required, wire};
use crate::Error;

/// An object by kind and id.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Named {
    /// `sandbox`, `run` or `artifact`.
    #[prost(string, tag = "1")]
    pub what: String,
    /// Its id.
    #[prost(string, tag = "2")]
    pub id: String,
}

/// Names of imports.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Imports {
    /// As in [`crate::StartFailure::Imports`].
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
}

/// As [`crate::StartFailure`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct StartFailure {
    /// Which.
    #[prost(oneof = "StartFailureKind", tags = "1, 2, 3, 4")]
    pub kind: Option<StartFailureKind>,
}

/// The variants of [`crate::StartFailure`].
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(missing_docs)]
pub enum StartFailureKind {
    #[prost(string, tag = "1")]
    Stale(String),
    #[prost(message, tag = "2")]
    Imports(Imports),
    #[prost(string, tag = "3")]
    World(String),
    #[prost(string, tag = "4")]
    Invalid(String),
}

impl From<crate::StartFailure> for StartFailure {
    fn from(failure: crate::StartFailure) -> Self {
        let kind = match failure {
            crate::StartFailure::Stale(text) => StartFailureKind::Stale(text),
            crate::StartFailure::Imports(names) => StartFailureKind::Imports(Imports { names }),
            crate::StartFailure::World(text) => StartFailureKind::World(text),
            crate::StartFailure::Invalid(text) => StartFailureKind::Invalid(text),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<StartFailure> for crate::StartFailure {
    type Error = Error;

    fn try_from(failure: StartFailure) -> Result<Self, Error> {
        Ok(match failure.kind.ok_or_else(|| malformed("start failure has no known kind"))? {
            StartFailureKind::Stale(text) => Self::Stale(text),
            StartFailureKind::Imports(imports) => Self::Imports(imports.names),
            StartFailureKind::World(text) => Self::World(text),
            StartFailureKind::Invalid(text) => Self::Invalid(text),
        })
    }
}

/// As [`crate::Error`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Failure {
    /// Which.
    #[prost(oneof = "FailureKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub kind: Option<FailureKind>,
}

/// The variants of [`crate::Error`].
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(missing_docs)]
pub enum FailureKind {
    #[prost(message, tag = "1")]
    NotFound(Named),
    #[prost(message, tag = "2")]
    Exists(Named),
    #[prost(string, tag = "3")]
    Full(String),
    #[prost(message, tag = "4")]
    Start(StartFailure),
    #[prost(string, tag = "5")]
    Unsupported(String),
    #[prost(string, tag = "6")]
    Malformed(String),
    #[prost(string, tag = "7")]
    Failed(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::NotFound { what, id } => FailureKind::NotFound(Named { what, id }),
            Error::Exists { what, id } => FailureKind::Exists(Named { what, id }),
            Error::Full(text) => FailureKind::Full(text),
            Error::Start(failure) => FailureKind::Start(failure.into()),
            Error::Unsupported(text) => FailureKind::Unsupported(text),
            Error::Malformed(text) => FailureKind::Malformed(text),
            Error::Failed(text) => FailureKind::Failed(text),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<Failure> for Error {
    type Error = Error;

    fn try_from(failure: Failure) -> Result<Self, Error> {
        Ok(match failure.kind.ok_or_else(|| malformed("error has no known kind"))? {
            FailureKind::NotFound(Named { what, id }) => Self::NotFound { what, id },
            FailureKind::Exists(Named { what, id }) => Self::Exists { what, id },
            FailureKind::Full(text) => Self::Full(text),
            FailureKind::Start(failure) => Self::Start(required(Some(failure), "error.start")?),
            FailureKind::Unsupported(text) => Self::Unsupported(text),
            FailureKind::Malformed(text) => Self::Malformed(text),
            FailureKind::Failed(text) => Self::Failed(text),
        })
    }
}

wire!(StartFailure => StartFailure, Error => Failure);
