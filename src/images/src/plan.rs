//! What an artifact consists of: its documents, its configuration, and where its wasm is. Only
//! small things are read for that.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::ensure::Inner;
use crate::error::ImageError;
use crate::manifest::{Descriptor, Document, ImageConfig, Index, Manifest, OCI_INDEX, OCI_MANIFEST};
use crate::packaging::{self, Content, Layout};
use crate::platform;
use crate::reference::Reference;
use crate::registry::{Fetched, Session};
use crate::store::{BlobRecord, ImageRecord, Module, RootRecord};

/// Image configurations are a few KiB; some carry long histories.
const MAX_CONFIG: usize = 4 << 20;

/// Layers of a container image: what the storage drivers of other runtimes can stack.
const MAX_LAYERS: usize = 128;
/// Bytes of the entry point, environment and so on, which are recorded.
const MAX_RUN_CONFIG: usize = 128 << 10;

/// What was made of an artifact's content.
pub(crate) enum Unpacked {
    Module(Module),
    Root(RootRecord),
}

/// Everything about an artifact but its content.
pub(crate) struct Plan {
    /// What the reference resolved to; then what that leads to, if it is an index.
    documents: Vec<Fetched>,
    is_index: bool,
    config: (Digest, Vec<u8>),
    pub(crate) layout: Layout,
}

/// Reads documents and configuration, and decides what to load.
pub(crate) async fn plan(reference: &Reference, session: &mut Session<'_>, top: Fetched) -> Result<Plan, ImageError> {
    match Document::parse(&top.bytes).map_err(|what| ImageError::pull(reference, what))? {
        Document::Manifest(manifest) => of_manifest(reference, session, vec![top], &manifest).await,
        Document::Index(index) => of_index(reference, session, top, &index).await,
    }
}

async fn of_index(
    reference: &Reference,
    session: &mut Session<'_>,
    top: Fetched,
    index: &Index,
) -> Result<Plan, ImageError> {
    let what = match platform::choose(index) {
        Ok(chosen) => return of_entry(reference, session, top, chosen).await,
        Err(what) => what,
    };
    let unusable = || ImageError::not_wasm(reference, what);
    // One that is for another platform by its name may be wasm by its marks.
    let Some(native) = platform::native(index) else { return Err(unusable()) };
    match of_entry(reference, session, top, native).await {
        Err(err) if err.is_not_wasm() => Err(unusable()),
        planned => planned,
    }
}

async fn of_entry(
    reference: &Reference,
    session: &mut Session<'_>,
    top: Fetched,
    chosen: Digest,
) -> Result<Plan, ImageError> {
    let child = session.manifest(&chosen.to_string()).await;
    let child = child.map_err(|err| copy_error(reference, chosen, &err))?;
    let manifest = inner_manifest(&child.bytes).map_err(|what| ImageError::pull(reference, what))?;
    of_manifest(reference, session, vec![top, child], &manifest).await
}

/// The last of `documents` is the manifest.
async fn of_manifest(
    reference: &Reference,
    session: &mut Session<'_>,
    documents: Vec<Fetched>,
    manifest: &Manifest,
) -> Result<Plan, ImageError> {
    let config = read_config(reference, session, &manifest.config).await?;
    let layout = packaging::recognise(manifest, &ImageConfig::parse(&config));
    let layout = layout.map_err(|what| ImageError::not_wasm(reference, what))?;
    check(&layout).map_err(|what| ImageError::pull(reference, what))?;
    Ok(Plan { is_index: documents.len() > 1, documents, config: (manifest.config.digest, config), layout })
}

/// Bounds what an image says of itself.
pub(crate) fn check(layout: &Layout) -> Result<(), String> {
    let run = layout.config.size();
    if run > MAX_RUN_CONFIG {
        return Err(format!("its command and environment have {run} bytes, more than {MAX_RUN_CONFIG}"));
    }
    let Content::Root { layers, diff_ids } = &layout.content else { return Ok(()) };
    let (layers, diff_ids) = (layers.len(), diff_ids.len());
    if layers > MAX_LAYERS {
        return Err(format!("it has {layers} layers, more than {MAX_LAYERS}"));
    }
    if layers != diff_ids {
        return Err(format!("mismatched image rootfs and manifest layers: {diff_ids} diff_ids, {layers} layers"));
    }
    Ok(())
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
        let small = |digest, bytes: &[u8]| BlobRecord { digest, size: bytes.len() as u64 };
        self.documents
            .iter()
            .map(|document| small(document.digest, &document.bytes))
            .chain([small(*config, bytes)])
            .chain(self.layout.content.blobs().iter().map(|blob| BlobRecord { digest: blob.digest, size: blob.size }))
            .collect()
    }

    /// Digest of the manifest itself, below whatever index.
    pub(crate) fn manifest(&self) -> Option<Digest> {
        self.documents.last().map(|document| document.digest)
    }

    /// Writes the small blobs and the record; the content is there.
    pub(crate) async fn store(
        self,
        inner: &Inner,
        reference: &Reference,
        blobs: Vec<BlobRecord>,
        unpacked: Unpacked,
    ) -> Result<ImageRecord, ImageError> {
        let digest = self.documents[0].digest;
        let small = self.documents.into_iter().map(|d| (d.digest, d.bytes)).chain([self.config]);
        for (digest, bytes) in small {
            if !inner.store.has_blob(digest, bytes.len() as u64).await {
                inner.store.put_blob(digest, bytes).await?;
            }
        }
        let (module, root) = match unpacked {
            Unpacked::Module(module) => (Some(module), None),
            Unpacked::Root(root) => (None, Some(root)),
        };
        let record = ImageRecord {
            digest,
            media_type: if self.is_index { OCI_INDEX } else { OCI_MANIFEST }.to_owned(),
            names: BTreeSet::from([reference.stored_name(), reference.pinned(digest)]),
            blobs,
            module,
            root,
            title: self.layout.content.title(),
            config: self.layout.config,
            access: std::collections::BTreeMap::new(),
            last_used: 0,
        };
        inner.store.put(record.clone()).await?;
        Ok(record)
    }
}
