//! A file of wasm to a registry.

use crate::digest::Digest;
use crate::ensure::Images;
use crate::pack::pack;
use crate::reference::Reference;
use crate::registry::{Credential, RegistryError};

/// Why an artifact was not pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot push to \"{reference}\": {detail}")]
pub struct PushError {
    reference: String,
    detail: String,
}

impl Images {
    /// Pushes a file of wasm as a CNCF wasm artifact and returns its manifest's digest. Credentials are tried in order;
    /// none means anonymous.
    ///
    /// # Errors
    /// When it is no wasm, or in the registry's own words.
    pub async fn push(
        &self,
        wasm: &[u8],
        title: Option<&str>,
        reference: &Reference,
        credentials: &[Credential],
    ) -> Result<Digest, PushError> {
        let failed = |detail: String| PushError { reference: reference.to_string(), detail };
        let packed = pack(wasm, title).map_err(|why| failed(format!("it is not valid WebAssembly: {why}")))?;
        if reference.digest().is_some_and(|wanted| wanted != packed.manifest.0) {
            return Err(failed(format!("the artifact's digest would be {}", packed.manifest.0)));
        }
        let blobs = [(packed.wasm, wasm), (packed.config.0, packed.config.1.as_slice())];
        let anonymous = [Credential::default()];
        let candidates = if credentials.is_empty() { &anonymous[..] } else { credentials };
        let mut denied = RegistryError::NotFound;
        for credential in candidates {
            match self.try_push(reference, credential, &blobs, &packed.manifest.1).await {
                Ok(()) => return Ok(packed.manifest.0),
                Err(err) if err.is_denial() => denied = err,
                Err(err) => return Err(failed(err.to_string())),
            }
        }
        Err(failed(denied.to_string()))
    }

    async fn try_push(
        &self,
        reference: &Reference,
        credential: &Credential,
        blobs: &[(Digest, &[u8])],
        manifest: &[u8],
    ) -> Result<(), RegistryError> {
        let mut session = self.inner.registry.session(reference, credential).for_pushing();
        for (digest, bytes) in blobs {
            session.push_blob(*digest, bytes).await?;
        }
        session.push_manifest(&reference.wanted(), manifest).await
    }
}
