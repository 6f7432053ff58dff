//! What an artifact consists of: its documents, its configuration, and where its wasm is. Only
//! small things are read for that.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::ensure::Inner;
use crate::error::ImageError;
use crate::inspect::Inspection;
use crate::manifest::{Descriptor, Document, ImageConfig, Manifest, OCI_INDEX, OCI_MANIFEST};
use crate::packaging::{self, Layout};
use crate::platform;
use crate::reference::Reference;
use crate::registry::{Fetched, Session};
use crate::store::{BlobRecord, ImageRecord};

/// Image configurations are a few KiB; some carry long histories.
const MAX_CONFIG: usize = 4 << 20;

/// Everything about an artifact but its wasm.
pub(crate) struct Plan {
    /// What the reference resolved to; then what that leads to, if it is an index.
    documents: Vec<Fetched>,
    is_index: bool,
    config: (Digest, Vec<u8>),
    pub(crate) layout: Layout,
}

/// Reads documents and configuration, and decides what to load.
pub(crate) async fn plan(reference: &Reference, session: &mut Session<'_>, top: Fetched) -> Result<Plan, ImageError> {
    let unusable = |what: String| ImageError::not_wasm(reference, what);
    let broken = |what: String| ImageError::pull(reference, what);
    let mut documents = vec![top];
    let (manifest, is_index) = match Document::parse(&documents[0].bytes).map_err(broken)? {
        Document::Manifest(manifest) => (manifest, false),
        Document::Index(index) => {
            let chosen = platform::choose(&index).map_err(unusable)?;
            let child = session.manifest(&chosen.to_string()).await;
            documents.push(child.map_err(|err| copy_error(reference, chosen, &err))?);
            (inner_manifest(&documents[1].bytes).map_err(broken)?, true)
        }
    };
    let config = read_config(reference, session, &manifest.config).await?;
    let layout = packaging::recognise(&manifest, &ImageConfig::parse(&config)).map_err(unusable)?;
    let config = (manifest.config.digest, config);
    Ok(Plan { documents, is_index, config, layout })
}

fn inner_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    match Document::parse(bytes)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err("an index inside an index is not supported".to_owned()),
    }
}

async fn read_config(
    reference: &Reference,
    session: &mut Session<'_>,
    config: &Descriptor,
) -> Result<Vec<u8>, ImageError> {
    let size = usize::try_from(config.size).unwrap_or(usize::MAX);
    if size > MAX_CONFIG {
        let detail = format!("its configuration has {size} bytes, more than {MAX_CONFIG}");
        return Err(ImageError::pull(reference, detail));
    }
    let read = session.small_blob(config.digest, size).await;
    read.map_err(|err| copy_error(reference, config.digest, &err))
}

pub(crate) fn copy_error(reference: &Reference, digest: Digest, err: &impl std::fmt::Display) -> ImageError {
    ImageError::pull(reference, format!("failed to copy {digest}: {err}"))
}

// === impl Plan ===

impl Plan {
    pub(crate) fn blobs(&self) -> Vec<BlobRecord> {
        let (config, bytes) = &self.config;
        let wasm = &self.layout.wasm;
        let small = |digest, bytes: &[u8]| BlobRecord { digest, size: bytes.len() as u64 };
        self.documents
            .iter()
            .map(|document| small(document.digest, &document.bytes))
            .chain([small(*config, bytes), BlobRecord { digest: wasm.digest, size: wasm.size }])
            .collect()
    }

    /// Writes the small blobs and the record; the wasm is there.
    pub(crate) async fn store(
        self,
        inner: &Inner,
        reference: &Reference,
        blobs: Vec<BlobRecord>,
        inspection: Inspection,
    ) -> Result<ImageRecord, ImageError> {
        let digest = self.documents[0].digest;
        let small = self.documents.into_iter().map(|d| (d.digest, d.bytes)).chain([self.config]);
        for (digest, bytes) in small {
            if !inner.store.has_blob(digest, bytes.len() as u64).await {
                inner.store.put_blob(digest, bytes).await?;
            }
        }
        let record = ImageRecord {
            digest,
            media_type: if self.is_index { OCI_INDEX } else { OCI_MANIFEST }.to_owned(),
            names: BTreeSet::from([reference.stored_name(), reference.pinned(digest)]),
            blobs,
            wasm: self.layout.wasm.digest,
            inspection,
            title: self.layout.wasm.title(),
            config: self.layout.config,
            last_used: 0,
        };
        inner.store.put(record.clone()).await?;
        Ok(record)
    }
}
