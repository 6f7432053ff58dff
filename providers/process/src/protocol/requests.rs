//! Requests of verbs that take more than one value.

use wasmnode_provider_api::{Artifact, Error, SandboxId, wire};

/// What `prepare` takes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Prepare {
    #[prost(message, optional, tag = "1")]
    pub(crate) sandbox: Option<wire::Id>,
    #[prost(message, optional, tag = "2")]
    pub(crate) artifact: Option<wire::Artifact>,
}

/// A nested message that must be there.
pub(crate) fn required<T, U: TryFrom<T, Error = Error>>(value: Option<T>, field: &str) -> Result<U, Error> {
    U::try_from(value.ok_or_else(|| Error::Malformed(format!("{field} is missing")))?)
}

// === impl Prepare ===

impl Prepare {
    pub(crate) fn new(sandbox: &SandboxId, artifact: &Artifact) -> Self {
        Self { sandbox: Some(sandbox.clone().into()), artifact: Some(artifact.clone().into()) }
    }

    pub(crate) fn read(self) -> Result<(SandboxId, Artifact), Error> {
        Ok((required(self.sandbox, "prepare.sandbox")?, required(self.artifact, "prepare.artifact")?))
    }
}
