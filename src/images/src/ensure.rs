//! [`Images`]: the one thing the rest of the node asks for images.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::announce::Announcements;
use crate::compile::Compiler;
use crate::config::Config;
use crate::error::{ImageError, OpenError};
use crate::flight::Flights;
use crate::gc::{self, Collected};
use crate::image::{Image, ListedImage, PullPolicy, PullTiming, Request};
use crate::metrics::{Counters, ImageMetrics};
use crate::native::{CodeError, Coded};
use crate::pull::{PullKey, Pulled, Refusal};
use crate::refusals::Refusals;
use crate::registry::Registry;
use crate::store::{CodeKey, ImageRecord, Lease, Store, blocking};

/// The images of this node. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Images {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) store: Arc<Store>,
    pub(crate) compiler: Compiler,
    pub(crate) counters: Counters,
    /// `pull_parallelism` turns.
    pub(crate) turns: Semaphore,
    pub(crate) announcements: Announcements,
    pub(crate) pulls: Flights<PullKey, Result<Pulled, ImageError>>,
    pub(crate) compiles: Flights<CodeKey, Result<Coded, CodeError>>,
    /// By digest of the manifest or index.
    pub(crate) refused: Refusals<crate::Digest, Refusal>,
    /// What the compiler says about wasm that is not valid.
    pub(crate) invalid: Refusals<CodeKey, String>,
}

/// An image in the store.
pub(crate) struct Found {
    pub(crate) record: ImageRecord,
    pub(crate) lease: Lease,
    pub(crate) pulled: Option<PullTiming>,
}

// === impl Images ===

impl Images {
    /// Opens the store below `config.root`: makes directories, removes unfinished files, reads the
    /// records. Blocking, once at start; the caller makes sure that no other process does the same.
    ///
    /// # Errors
    /// When the disk refuses, an engine id is malformed, or no HTTP client can be made.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let ids = [Some(&config.engines.base), config.engines.wasip3.as_ref()];
        if let Some(bad) = ids.into_iter().flatten().find(|id| !is_engine_id(id)) {
            return Err(OpenError::EngineId(bad.clone()));
        }
        let store = Arc::new(Store::open(config.root.clone())?);
        gc::collect(&store, &config)?;
        let inner = Inner {
            registry: Registry::new(&config)?,
            compiler: Compiler::new(config.compile.clone()),
            turns: Semaphore::new(config.pull_parallelism.max(1)),
            store,
            config,
            counters: Counters::default(),
            announcements: Announcements::default(),
            pulls: Flights::default(),
            compiles: Flights::default(),
            refused: Refusals::default(),
            invalid: Refusals::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Resolves, pulls (as the policy says), chooses the program and compiles it. Calls for the
    /// same image with the same credentials share one pull, calls for the same wasm one
    /// compilation; dropping the future gives up, and what nobody waits for stops. An image that
    /// is here is used without its registry only if that gave it to anybody, or to one of the
    /// request's credentials.
    ///
    /// # Errors
    /// See [`ImageError`]; a later call starts over, so that back-off is the caller's.
    pub async fn ensure(&self, request: &Request<'_>) -> Result<Image, ImageError> {
        let result = self.inner.ensure(request).await;
        let changed = match &result {
            Ok(image) => image.pulled.is_some() || image.was_compiled(),
            Err(_) => true,
        };
        if changed && let Err(err) = self.collect_garbage().await {
            tracing::warn!(%err, "Cannot clean up images");
        }
        result
    }

    /// What is recorded, for a node's `status.images`.
    #[must_use]
    pub fn list(&self) -> Vec<ListedImage> {
        self.inner.store.list()
    }

    /// Removes the least recently used images that nobody holds until the rest fits
    /// `size_limit`, and code of engines that are gone. Also runs after each pull.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn collect_garbage(&self) -> Result<Collected, ImageError> {
        let inner = Arc::clone(&self.inner);
        let collected = blocking(move || gc::collect(&inner.store, &inner.config)).await?;
        let images = u64::try_from(collected.images).unwrap_or(u64::MAX);
        self.inner.counters.images_collected.fetch_add(images, Ordering::Relaxed);
        if collected.over_limit > 0 {
            tracing::warn!(bytes = collected.over_limit, "Images in use exceed the size limit");
        }
        if collected.bytes > 0 {
            self.inner.store.save().await?;
        }
        Ok(collected)
    }

    /// Counters and gauges of this moment.
    #[must_use]
    pub fn metrics(&self) -> ImageMetrics {
        let (images, disk_bytes) = self.inner.store.usage();
        let images = u64::try_from(images).unwrap_or(u64::MAX);
        ImageMetrics { images, disk_bytes, ..self.inner.counters.snapshot() }
    }
}

/// An engine id becomes a directory name.
fn is_engine_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

// === impl Inner ===

impl Inner {
    async fn ensure(self: &Arc<Self>, request: &Request<'_>) -> Result<Image, ImageError> {
        let found = self.find_or_pull(request).await?;
        match self.build(request, found).await {
            // What is damaged is gone from disk by now: pulling writes it again, once.
            Err(ImageError::Damaged { .. }) if request.policy != PullPolicy::Never => {
                let found = self.pull(request).await?;
                self.build(request, found).await
            }
            built => built,
        }
    }

    async fn find_or_pull(self: &Arc<Self>, request: &Request<'_>) -> Result<Found, ImageError> {
        let Request { reference, policy, credentials, .. } = *request;
        if policy == PullPolicy::Always {
            return self.pull(request).await;
        }
        let found = self.store.find(&reference.stored_name()).await;
        let present = found.is_some();
        if let Some((record, lease)) = found
            && self.store.may_use(&record, reference, credentials)
        {
            self.store.save_uses().await?;
            return Ok(Found { record, lease, pulled: None });
        }
        match policy {
            PullPolicy::Never if present => Err(ImageError::NotAccessible { image: reference.to_string() }),
            PullPolicy::Never => Err(ImageError::Never { image: reference.to_string() }),
            PullPolicy::IfNotPresent | PullPolicy::Always => self.pull(request).await,
        }
    }

    async fn pull(self: &Arc<Self>, request: &Request<'_>) -> Result<Found, ImageError> {
        let Request { reference, credentials, .. } = *request;
        let started = Instant::now();
        let key = PullKey::new(reference, credentials);
        let work = || crate::pull::pull(Arc::clone(self), reference.clone(), credentials.to_vec());
        let Pulled { record, lease, took } = self.pulls.join(key, work).await?;
        let pulled = Some(PullTiming { pull: took, waiting_included: started.elapsed() });
        Ok(Found { record, lease, pulled })
    }
}
