//! Artifacts and engine names.

use super::{Id, path_bytes, path_of, required, variant, wire};
use crate::Error;

/// As [`crate::EngineName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum EngineName {
    Unspecified = 0,
    Base = 1,
    Wasip3 = 2,
}

impl From<crate::EngineName> for EngineName {
    fn from(name: crate::EngineName) -> Self {
        match name {
            crate::EngineName::Base => Self::Base,
            crate::EngineName::Wasip3 => Self::Wasip3,
        }
    }
}

impl TryFrom<EngineName> for crate::EngineName {
    type Error = ();

    fn try_from(name: EngineName) -> Result<Self, ()> {
        match name {
            EngineName::Base => Ok(Self::Base),
            EngineName::Wasip3 => Ok(Self::Wasip3),
            EngineName::Unspecified => Err(()),
        }
    }
}

/// As [`crate::ArtifactKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum ArtifactKind {
    Unspecified = 0,
    Module = 1,
    Component = 2,
}

impl From<crate::ArtifactKind> for ArtifactKind {
    fn from(kind: crate::ArtifactKind) -> Self {
        match kind {
            crate::ArtifactKind::Module => Self::Module,
            crate::ArtifactKind::Component => Self::Component,
        }
    }
}

impl TryFrom<ArtifactKind> for crate::ArtifactKind {
    type Error = ();

    fn try_from(kind: ArtifactKind) -> Result<Self, ()> {
        match kind {
            ArtifactKind::Module => Ok(Self::Module),
            ArtifactKind::Component => Ok(Self::Component),
            ArtifactKind::Unspecified => Err(()),
        }
    }
}

/// As [`crate::Artifact`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Artifact {
    #[prost(string, tag = "1")]
    pub digest: String,
    #[prost(message, optional, tag = "2")]
    pub engine: Option<Id>,
    #[prost(enumeration = "EngineName", tag = "3")]
    pub engine_name: i32,
    #[prost(enumeration = "ArtifactKind", tag = "4")]
    pub kind: i32,
    #[prost(bytes = "vec", tag = "5")]
    pub path: Vec<u8>,
}

impl From<crate::Artifact> for Artifact {
    fn from(artifact: crate::Artifact) -> Self {
        Self {
            digest: artifact.digest,
            engine: Some(artifact.engine.into()),
            engine_name: EngineName::from(artifact.engine_name).into(),
            kind: ArtifactKind::from(artifact.kind).into(),
            path: path_bytes(artifact.path),
        }
    }
}

impl TryFrom<Artifact> for crate::Artifact {
    type Error = Error;

    fn try_from(artifact: Artifact) -> Result<Self, Error> {
        Ok(Self {
            digest: artifact.digest,
            engine: required(artifact.engine, "artifact.engine")?,
            engine_name: variant::<EngineName, _>(artifact.engine_name, "artifact.engine_name")?,
            kind: variant::<ArtifactKind, _>(artifact.kind, "artifact.kind")?,
            path: path_of(artifact.path),
        })
    }
}

wire!(Artifact => Artifact);
