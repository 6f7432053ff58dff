//! Images that are on this machine's disk: a file of wasm, or an OCI image layout. Their content is copied into the
//! store, so that they are compiled, kept and removed like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::build::module_of;
use crate::digest::Digest;
use crate::ensure::{Images, Inner};
use crate::error::ImageError;
use crate::extract::extract;
use crate::image::RunConfig;
use crate::manifest::{Descriptor, Document, ImageConfig, Index, Manifest, OCI_MANIFEST};
use crate::pack::pack;
use crate::packaging::{self, ARTIFACT_LAYER, Content, Layout};
use crate::plan;
use crate::platform;
use crate::reference::Reference;
use crate::registry::Credential;
use crate::store::{BlobRecord, ImageRecord, Pin, Source};

/// Hosts that no name server knows (RFC 6761): names in the store, never asked for anything.
const FILES: &str = "file.localhost";
const LAYOUTS: &str = "oci.localhost";
/// Documents of a layout, as of a registry.
const MAX_DOCUMENT: u64 = 4 << 20;
/// Digits of a digest that tell versions of a file apart.
const SHORT: usize = 12;
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A complete image in memory.
struct Local {
    reference: Reference,
    /// Every blob; what the name stands for first.
    blobs: Vec<(Digest, Vec<u8>)>,
    /// The manifest itself, below whatever index.
    manifest: Digest,
    layout: Layout,
    title: Option<String>,
}

/// `index.json` of a layout.
#[derive(Deserialize)]
struct LayoutIndex {
    manifests: Vec<Descriptor>,
}

// === impl Images ===

impl Images {
    /// Stores a file of wasm as an image, and returns the name under which [`Images::ensure`] finds it.
    ///
    /// # Errors
    /// When the file cannot be read, is no wasm or too large, or the disk refuses.
    pub async fn import_file(&self, path: &Path) -> Result<Reference, ImageError> {
        let (path, limit) = (path.to_owned(), self.inner.config.max_module_size);
        self.import(move || read_file(&path, limit)).await
    }

    /// As [`Images::import_file`], for an OCI image layout; `tag` is needed where it holds several images.
    ///
    /// # Errors
    /// As [`Images::import_file`], and when the layout does not hold what its index says.
    pub async fn import_layout(&self, directory: &Path, tag: Option<&str>) -> Result<Reference, ImageError> {
        let (directory, tag) = (directory.to_owned(), tag.map(str::to_owned));
        let limit = self.inner.config.max_module_size;
        self.import(move || read_layout(&directory, tag.as_deref(), limit)).await
    }

    async fn import(
        &self,
        read: impl FnOnce() -> Result<Local, ImageError> + Send + 'static,
    ) -> Result<Reference, ImageError> {
        let read = tokio::task::spawn_blocking(read).await;
        let local = read.map_err(|err| ImageError::Disk(err.to_string()))??;
        store(&self.inner, local).await
    }
}

async fn store(inner: &Arc<Inner>, local: Local) -> Result<Reference, ImageError> {
    let Local { reference, blobs: contents, manifest, layout, title } = local;
    if inner.store.find(&reference.stored_name()).await.is_some() {
        return Ok(reference);
    }
    let record = |(digest, bytes): &(Digest, Vec<u8>)| BlobRecord { digest: *digest, size: bytes.len() as u64 };
    let blobs: Vec<BlobRecord> = contents.iter().map(record).collect();
    let digest = blobs[0].digest;
    let root = matches!(layout.content, Content::Root { .. }).then_some(Pin::Root(manifest));
    let pins: Vec<_> = blobs.iter().map(|blob| Pin::Blob(blob.digest)).chain(root).collect();
    let _lease = inner.store.pin(pins.clone());
    inner.store.intend(pins).await?;
    for (digest, bytes) in contents {
        if !inner.store.has_blob(digest, bytes.len() as u64).await {
            inner.store.put_blob(digest, bytes).await?;
        }
    }
    let (module, root) = match &layout.content {
        Content::Wasm(wasm) => {
            (Some(module_of(inner, &reference, Source::Blob(wasm.digest), wasm.digest).await?), None)
        }
        Content::Root { layers, diff_ids } => {
            (None, Some(extract(inner, &reference, manifest, layers, diff_ids).await?))
        }
    };
    inner
        .store
        .put(ImageRecord {
            digest,
            media_type: OCI_MANIFEST.to_owned(),
            names: BTreeSet::from([reference.stored_name(), reference.pinned(digest)]),
            blobs,
            module,
            root,
            title,
            config: layout.config,
            access: BTreeMap::default(),
            last_used: 0,
        })
        .await?;
    // Whoever reads this machine's files may run them.
    inner.store.grant(digest, &reference, &Credential::default()).await?;
    Ok(reference)
}

// === files ===

fn read_file(path: &Path, limit: u64) -> Result<Local, ImageError> {
    let image = path.display().to_string();
    let wasm = read(path, limit)?;
    let title = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let packed =
        pack(&wasm, title.as_deref()).map_err(|detail| ImageError::InvalidWasm { image: image.clone(), detail })?;
    let reference = name(FILES, path, None, packed.wasm)?;
    let manifest = packed.manifest.0;
    let layer = Descriptor {
        media_type: ARTIFACT_LAYER.to_owned(),
        digest: packed.wasm,
        size: wasm.len() as u64,
        annotations: BTreeMap::default(),
    };
    let layout = Layout { content: Content::Wasm(layer), config: RunConfig::default() };
    let blobs = vec![packed.manifest, packed.config, (packed.wasm, wasm)];
    Ok(Local { reference, blobs, manifest, layout, title })
}

/// A name that is made of the file's, with the digest as its tag: two versions never share one.
fn name(host: &str, path: &Path, tag: Option<&str>, digest: Digest) -> Result<Reference, ImageError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let clean: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let clean = match clean.trim_matches('-') {
        "" => "image",
        name => name,
    };
    let short = &digest.hex()[..SHORT];
    let tag = tag.map_or_else(|| short.to_owned(), |tag| format!("{tag}-{short}"));
    let text = format!("{host}/{clean}:{tag}");
    Reference::parse(&text).map_err(|err| unusable(path, &err.to_string()))
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ImageError> {
    let failed = |err: std::io::Error| ImageError::Disk(format!("cannot read {}: {err}", path.display()));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let size = file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)? as u64;
    if size > limit {
        let size = path.metadata().map_or(size, |meta| meta.len());
        return Err(ImageError::TooLarge { image: path.display().to_string(), size, limit });
    }
    Ok(bytes)
}

// === layouts ===

fn read_layout(directory: &Path, tag: Option<&str>, limit: u64) -> Result<Local, ImageError> {
    let wrong = |what: &str| unusable(directory, what);
    let index = read(&directory.join("index.json"), MAX_DOCUMENT)?;
    let chosen = choose(&index, tag).map_err(|what| wrong(&what))?;
    let mut blobs = vec![(chosen, blob(directory, chosen, MAX_DOCUMENT)?)];
    let mut digest = chosen;
    if let Document::Index(index) = Document::parse(&blobs[0].1).map_err(|what| wrong(&what))? {
        digest = platform::choose(&index).map_err(|what| foreign(directory, &what))?;
        blobs.push((digest, blob(directory, digest, MAX_DOCUMENT)?));
    }
    let document = blobs.last().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
    let manifest = inner(document).map_err(|what| wrong(&what))?;
    let config = blob(directory, manifest.config.digest, MAX_DOCUMENT)?;
    let layout =
        packaging::recognise(&manifest, &ImageConfig::parse(&config)).map_err(|what| foreign(directory, &what))?;
    plan::check(&layout).map_err(|what| wrong(&what))?;
    blobs.push((manifest.config.digest, config));
    for content in layout.content.blobs() {
        blobs.push((content.digest, blob(directory, content.digest, limit)?));
    }
    let (reference, title) = (name(LAYOUTS, directory, tag, chosen)?, layout.content.title());
    Ok(Local { reference, blobs, manifest: digest, layout, title })
}

fn inner(document: &[u8]) -> Result<Manifest, String> {
    match Document::parse(document)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err("an index inside an index is not supported".to_owned()),
    }
}

/// The entry of a tag; without one the only image, or the one for wasm.
fn choose(index: &[u8], tag: Option<&str>) -> Result<Digest, String> {
    let parsed: LayoutIndex = serde_json::from_slice(index).map_err(|err| format!("index.json: {err}"))?;
    let named = |entry: &&Descriptor, tag: &str| {
        let name = entry.annotations.get(REF_NAME).map(String::as_str).unwrap_or_default();
        name == tag || name.rsplit_once(':').is_some_and(|(_, last)| last == tag)
    };
    if let Some(tag) = tag {
        let found = parsed.manifests.iter().find(|entry| named(entry, tag));
        return found.map(|entry| entry.digest).ok_or_else(|| format!("it holds no image of tag {tag:?}"));
    }
    match parsed.manifests.as_slice() {
        [] => Err("it holds no image".to_owned()),
        // An image has one entry for each of its names.
        [first, rest @ ..] if rest.iter().all(|entry| entry.digest == first.digest) => Ok(first.digest),
        several => {
            let index: Index = serde_json::from_slice(index).map_err(|err| format!("index.json: {err}"))?;
            platform::choose(&index)
                .map_err(|_| format!("it holds {} images: name one, as in oci:DIR:TAG", several.len()))
        }
    }
}

/// A blob that has its digest.
fn blob(directory: &Path, digest: Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
    let bytes = read(&directory.join("blobs/sha256").join(digest.hex()), limit)?;
    if Digest::of(&bytes) != digest {
        return Err(ImageError::Damaged { image: directory.display().to_string(), digest });
    }
    Ok(bytes)
}

fn unusable(path: &Path, what: &str) -> ImageError {
    ImageError::Disk(format!("{}: {what}", path.display()))
}

fn foreign(path: &Path, what: &str) -> ImageError {
    ImageError::NotWasm { image: path.display().to_string(), what: what.to_owned() }
}
