//! A file of wasm to a registry.

use std::sync::Arc;

use crate::digest::Digest;
use crate::ensure::Images;
use crate::pack::pack;
use crate::reference::Reference;
use crate::registry::{Credential, Endpoint, RegistryError, Session};

/// Why an artifact was not pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot push to \"{reference}\": {detail}")]
pub struct PushError {
    reference: String,
    detail: String,
}

impl Images {
    /// Pushes a file of wasm as a CNCF wasm artifact and returns its manifest's digest. It goes to the first host that
    /// `hosts.toml` gives the capability `push`. `credentials` are those for a host (`host[:port]`) in the order of
    /// trying; none means anonymous.
    ///
    /// # Errors
    /// When it is no wasm, the settings of the registry are broken or allow it nowhere, or in the registry's own words.
    pub async fn push(
        &self,
        wasm: &[u8],
        title: Option<&str>,
        reference: &Reference,
        credentials: impl FnOnce(&str) -> Vec<Credential>,
    ) -> Result<Digest, PushError> {
        let failed = |detail: String| PushError { reference: reference.to_string(), detail };
        let packed = pack(wasm, title).map_err(|why| failed(format!("it is not valid WebAssembly: {why}")))?;
        if reference.digest().is_some_and(|wanted| wanted != packed.manifest.0) {
            return Err(failed(format!("the artifact's digest would be {}", packed.manifest.0)));
        }
        let blobs = [(packed.wasm, wasm), (packed.config.0, packed.config.1.as_slice())];
        let endpoint = self.push_endpoint(reference).await.map_err(failed)?;
        let mut candidates = credentials(endpoint.host(reference));
        if candidates.is_empty() {
            candidates.push(Credential::default());
        }
        let mut denied = RegistryError::NotFound;
        for credential in &candidates {
            let session = self.inner.registry.session(&endpoint, reference, credential).for_pushing();
            match push_to(session, &reference.wanted(), &blobs, &packed.manifest.1).await {
                Ok(()) => return Ok(packed.manifest.0),
                Err(err) if err.is_denial() => denied = err,
                Err(err) => return Err(failed(err.to_string())),
            }
        }
        Err(failed(denied.to_string()))
    }

    async fn push_endpoint(&self, reference: &Reference) -> Result<Endpoint, String> {
        let (inner, reference) = (Arc::clone(&self.inner), reference.clone());
        let found = tokio::task::spawn_blocking(move || inner.registry.push_endpoint(&reference)).await;
        found.unwrap_or_else(|err| Err(err.to_string()))
    }
}

async fn push_to(
    mut session: Session<'_>,
    wanted: &str,
    blobs: &[(Digest, &[u8])],
    manifest: &[u8],
) -> Result<(), RegistryError> {
    for (digest, bytes) in blobs {
        session.push_blob(*digest, bytes).await?;
    }
    session.push_manifest(wanted, manifest).await
}
