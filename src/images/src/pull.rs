//! One pull: reference → manifest → layout → blobs on disk → record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::ensure::Inner;
use crate::error::ImageError;
use crate::inspect::{InspectError, Inspection, inspect};
use crate::manifest::Descriptor;
use crate::plan::{copy_error, plan};
use crate::reference::Reference;
use crate::registry::{Credential, Fetched, RegistryError, Resolved, Session};
use crate::store::{BlobError, BlobRecord, ImageRecord, Lease, Pin};

/// A pod names a few secrets; each may hold several entries that match.
const MAX_CREDENTIALS: usize = 32;

/// Pulls are shared by those who ask for the same with the same rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PullKey {
    name: String,
    credentials: Vec<Credential>,
}

/// A stored image that cannot be removed while this lives.
#[derive(Debug, Clone)]
pub(crate) struct Pulled {
    pub(crate) record: ImageRecord,
    pub(crate) lease: Lease,
    pub(crate) took: Duration,
}

/// Why content will never run, whatever its name.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    NotWasm(String),
    Invalid(String),
}

/// Pulls in turn, counted.
pub(crate) async fn pull(
    inner: Arc<Inner>,
    reference: Reference,
    credentials: Vec<Credential>,
) -> Result<Pulled, ImageError> {
    let waiting = inner.counters.pulls.wait();
    // The semaphore is never closed.
    let _turn = inner.turns.acquire().await;
    drop(waiting);
    let _running = inner.counters.pulls.run();
    let started = Instant::now();
    let result = load(&inner, &reference, &credentials).await;
    let took = started.elapsed();
    inner.counters.pulls.done(result.is_ok(), took);
    let (record, lease) = result?;
    tracing::info!(image = %reference, digest = %record.digest, ?took, "Pulled");
    Ok(Pulled { record, lease, took })
}

async fn load(
    inner: &Arc<Inner>,
    reference: &Reference,
    credentials: &[Credential],
) -> Result<(ImageRecord, Lease), ImageError> {
    let known = inner.store.find(&reference.stored_name()).await;
    let known_digest = known.as_ref().map(|(record, _)| record.digest);
    let (mut session, resolved) = resolve(inner, reference, credentials, known_digest).await?;
    let top = match (resolved, known) {
        (Resolved::Unchanged, Some(known)) => return Ok(known),
        (Resolved::Unchanged, None) => return Err(ImageError::pull(reference, "nothing resolved")),
        (Resolved::Fetched(top), _) => top,
    };
    let digest = top.digest;
    if let Some(refusal) = inner.refused.get(&digest) {
        return Err(refusal.about(reference));
    }
    let result = load_resolved(inner, reference, &mut session, top).await;
    if let Err(err) = &result
        && let Some(refusal) = Refusal::from_error(err)
    {
        inner.refused.insert(digest, refusal);
    }
    result
}

/// Finds the credential that may read the image.
async fn resolve<'a>(
    inner: &'a Inner,
    reference: &'a Reference,
    credentials: &'a [Credential],
    known: Option<Digest>,
) -> Result<(Session<'a>, Resolved), ImageError> {
    let anonymous = std::slice::from_ref(&ANONYMOUS);
    let candidates = if credentials.is_empty() { anonymous } else { credentials };
    let mut denied = RegistryError::NotFound;
    for credential in candidates.iter().take(MAX_CREDENTIALS) {
        let mut session = inner.registry.session(reference, credential);
        match session.resolve(&reference.wanted(), known).await {
            Ok(resolved) => return Ok((session, resolved)),
            Err(err) if err.is_denial() => denied = err,
            Err(err) => return Err(resolve_error(reference, &err)),
        }
    }
    Err(resolve_error(reference, &denied))
}

static ANONYMOUS: Credential = Credential { username: String::new(), password: String::new() };

/// containerd's words, which people search for.
fn resolve_error(reference: &Reference, err: &RegistryError) -> ImageError {
    let detail = match err {
        RegistryError::NotFound => format!("failed to resolve reference \"{reference}\": {reference}: not found"),
        err => format!("failed to resolve reference \"{reference}\": {err}"),
    };
    ImageError::pull(reference, detail)
}

async fn load_resolved(
    inner: &Arc<Inner>,
    reference: &Reference,
    session: &mut Session<'_>,
    top: Fetched,
) -> Result<(ImageRecord, Lease), ImageError> {
    let plan = plan(reference, session, top).await?;
    let wasm = &plan.layout.wasm;
    let limit = inner.config.max_module_size;
    if wasm.size > limit {
        return Err(ImageError::TooLarge { image: reference.to_string(), size: wasm.size, limit });
    }
    let blobs = plan.blobs();
    let pins = || blobs.iter().map(|blob| Pin::Blob(blob.digest));
    let lease = inner.store.pin(pins());
    inner.store.intend(pins()).await?;
    inner.announcements.begun(reference);
    fetch_wasm(inner, session, wasm).await.map_err(|err| err.about(reference, wasm.digest))?;
    let inspection = look_at(inner, reference, wasm.digest).await?;
    let record = plan.store(inner, reference, blobs, inspection).await?;
    Ok((record, lease))
}

/// Loads the wasm, unless it is there.
async fn fetch_wasm(inner: &Inner, session: &mut Session<'_>, wasm: &Descriptor) -> Result<(), FetchError> {
    if inner.store.has_blob(wasm.digest, wasm.size).await {
        return Ok(());
    }
    let limit = session.blob_timeout();
    let copied = tokio::time::timeout(limit, copy(inner, session, wasm)).await;
    copied.unwrap_or_else(|_| Err(RegistryError::Timeout(limit).into()))?;
    inner.counters.bytes_pulled.fetch_add(wasm.size, Ordering::Relaxed);
    Ok(())
}

/// Streams a blob to disk, verified as it comes.
async fn copy(inner: &Inner, session: &mut Session<'_>, blob: &Descriptor) -> Result<(), FetchError> {
    let mut body = session.blob(blob.digest).await?;
    let expected = BlobRecord { digest: blob.digest, size: blob.size };
    let mut writer = inner.store.write_blob(expected).await.map_err(BlobError::from)?;
    while let Some(chunk) = body.chunk().await? {
        writer.write(chunk.as_ref()).await?;
    }
    Ok(writer.finish().await?)
}

async fn look_at(inner: &Inner, reference: &Reference, wasm: Digest) -> Result<Inspection, ImageError> {
    let store = Arc::clone(&inner.store);
    let looked = tokio::task::spawn_blocking(move || Ok(inspect(&mut store.open_blob(wasm)?))).await;
    let looked = looked.unwrap_or_else(|err| Ok(Err(InspectError::Io(err.into()))));
    looked.map_err(|err: crate::error::DiskError| ImageError::from(err))?.map_err(|err| match err {
        InspectError::NotWasm(what) => ImageError::not_wasm(reference, what),
        InspectError::Invalid(detail) => ImageError::InvalidWasm { image: reference.to_string(), detail },
        InspectError::Io(err) => ImageError::Disk(format!("read {wasm}: {err}")),
    })
}

/// Either side of a copy.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

// === impl PullKey ===

impl PullKey {
    pub(crate) fn new(reference: &Reference, credentials: &[Credential]) -> Self {
        Self { name: reference.stored_name(), credentials: credentials.to_vec() }
    }
}

// === impl Refusal ===

impl Refusal {
    fn from_error(err: &ImageError) -> Option<Self> {
        match err {
            ImageError::NotWasm { what, .. } => Some(Self::NotWasm(what.clone())),
            ImageError::InvalidWasm { detail, .. } => Some(Self::Invalid(detail.clone())),
            _ => None,
        }
    }

    fn about(self, reference: &Reference) -> ImageError {
        match self {
            Self::NotWasm(what) => ImageError::not_wasm(reference, what),
            Self::Invalid(detail) => ImageError::InvalidWasm { image: reference.to_string(), detail },
        }
    }
}

// === impl FetchError ===

impl FetchError {
    fn about(self, reference: &Reference, digest: Digest) -> ImageError {
        match self {
            Self::Blob(BlobError::Disk(err)) => err.into(),
            err => copy_error(reference, digest, &err),
        }
    }
}
