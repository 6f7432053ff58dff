//! One pull: reference → manifest → layout → blobs on disk → record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::ensure::Inner;
use crate::error::ImageError;
use crate::extract::extract;
use crate::manifest::Descriptor;
use crate::packaging::Content;
use crate::plan::{Plan, Unpacked, copy_error, plan};
use crate::reference::Reference;
use crate::registry::{Credential, Endpoint, Fetched, RegistryError, Resolved, Session};
use crate::store::{BlobError, BlobRecord, ImageRecord, Lease, Pin, Source};

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
    Layers(String),
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

/// Asks mirrors first, each as nobody; what they do not deliver the registry itself may.
async fn load(
    inner: &Arc<Inner>,
    reference: &Reference,
    credentials: &[Credential],
) -> Result<(ImageRecord, Lease), ImageError> {
    let (owned, asked) = (Arc::clone(inner), reference.clone());
    let endpoints = tokio::task::spawn_blocking(move || owned.registry.endpoints(&asked)).await;
    let endpoints = endpoints.unwrap_or_else(|err| Err(err.to_string()));
    for endpoint in endpoints.map_err(|err| ImageError::pull(reference, err))? {
        let credentials = if endpoint.is_mirror() { &[] } else { credentials };
        match load_from(inner, reference, &endpoint, credentials).await {
            Err(err @ ImageError::Pull { .. }) if endpoint.is_mirror() => {
                tracing::warn!(mirror = endpoint.address(), %err, "A mirror did not deliver");
            }
            result => return result,
        }
    }
    Err(ImageError::pull(reference, "hosts.toml gives no host the capability to pull it"))
}

async fn load_from(
    inner: &Arc<Inner>,
    reference: &Reference,
    endpoint: &Endpoint,
    credentials: &[Credential],
) -> Result<(ImageRecord, Lease), ImageError> {
    let known = inner.store.find(&reference.stored_name()).await;
    let known_digest = known.as_ref().map(|(record, _)| record.digest);
    let (mut session, resolved) = resolve(inner, reference, endpoint, credentials, known_digest).await?;
    let credential = session.credential().clone();
    let top = match (resolved, known) {
        (Resolved::Unchanged, Some((record, lease))) => {
            inner.store.grant(record.digest, reference, &credential).await?;
            return Ok((record, lease));
        }
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
    let (record, lease) = result?;
    inner.store.grant(record.digest, reference, &credential).await?;
    Ok((record, lease))
}

/// Finds the credential that may read the image.
async fn resolve<'a>(
    inner: &'a Inner,
    reference: &'a Reference,
    endpoint: &Endpoint,
    credentials: &'a [Credential],
    known: Option<Digest>,
) -> Result<(Session<'a>, Resolved), ImageError> {
    let anonymous = std::slice::from_ref(&ANONYMOUS);
    let candidates = if credentials.is_empty() { anonymous } else { credentials };
    let mut denied = RegistryError::NotFound;
    for credential in candidates.iter().take(MAX_CREDENTIALS) {
        let mut session = inner.registry.session(endpoint, reference, credential);
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
    let digest = top.digest;
    let plan = plan(reference, session, top).await?;
    check_sizes(inner, reference, &plan.layout.content)?;
    let blobs = plan.blobs();
    let pins = pins(&plan, &blobs);
    let lease = inner.store.pin(pins.clone());
    inner.store.intend(pins).await?;
    inner.announcements.begun(reference);
    for blob in plan.layout.content.blobs() {
        fetch(inner, session, blob).await.map_err(|err| err.about(reference, blob.digest))?;
    }
    let unpacked = match &plan.layout.content {
        Content::Wasm(wasm) => {
            let digest = wasm.digest;
            Unpacked::Module(crate::build::module_of(inner, reference, Source::Blob(digest), digest).await?)
        }
        Content::Root { layers, diff_ids } => {
            let manifest = plan.manifest().unwrap_or(digest);
            Unpacked::Root(extract(inner, reference, manifest, layers, diff_ids).await?)
        }
    };
    let record = plan.store(inner, reference, blobs, unpacked).await?;
    Ok((record, lease))
}

fn check_sizes(inner: &Inner, reference: &Reference, content: &Content) -> Result<(), ImageError> {
    let size = content.blobs().iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    match content {
        Content::Wasm(_) => crate::build::check_module_size(inner, reference, size),
        // What is compressed to more than all of it may take cannot be unpacked.
        Content::Root { .. } if size > inner.config.max_unpacked_size => {
            let limit = inner.config.max_unpacked_size;
            Err(ImageError::pull(reference, format!("its layers have {size} bytes, this node unpacks at most {limit}")))
        }
        Content::Root { .. } => Ok(()),
    }
}

/// Everything that is about to be written.
fn pins(plan: &Plan, blobs: &[BlobRecord]) -> Vec<Pin> {
    let root = match &plan.layout.content {
        Content::Wasm(_) => None,
        Content::Root { .. } => plan.manifest().map(Pin::Root),
    };
    blobs.iter().map(|blob| Pin::Blob(blob.digest)).chain(root).collect()
}

/// Loads a blob, unless it is there.
async fn fetch(inner: &Inner, session: &mut Session<'_>, blob: &Descriptor) -> Result<(), FetchError> {
    if inner.store.has_blob(blob.digest, blob.size).await {
        return Ok(());
    }
    let limit = session.blob_timeout();
    let copied = tokio::time::timeout(limit, copy(inner, session, blob)).await;
    copied.unwrap_or_else(|_| Err(RegistryError::Timeout(limit).into()))?;
    inner.counters.bytes_pulled.fetch_add(blob.size, Ordering::Relaxed);
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
            ImageError::Layers { detail, .. } => Some(Self::Layers(detail.clone())),
            _ => None,
        }
    }

    fn about(self, reference: &Reference) -> ImageError {
        match self {
            Self::NotWasm(what) => ImageError::not_wasm(reference, what),
            Self::Invalid(detail) => ImageError::InvalidWasm { image: reference.to_string(), detail },
            Self::Layers(detail) => ImageError::layers(reference, detail),
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
