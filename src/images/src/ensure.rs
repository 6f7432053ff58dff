//! [`Images`]: the one thing the rest of the node asks for images.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

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
use crate::target::{OlderEngines, Target};

/// Pods that an earlier process started hold their images by then. Until then the limit alone removes nothing that was
/// recorded.
const SETTLING: Duration = Duration::from_secs(60);

/// The images of this node. Clones are cheap and share everything; [`Images::for_target`] gives one that compiles for
/// other engines.
#[derive(Clone)]
pub struct Images {
    pub(crate) inner: Arc<Inner>,
    pub(crate) target: Arc<Target>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    /// What the configuration names.
    pub(crate) target: Arc<Target>,
    pub(crate) older: OlderEngines,
    pub(crate) registry: Registry,
    pub(crate) store: Arc<Store>,
    pub(crate) opened: Instant,
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
    /// records. Blocking, once at start; the caller makes sure that no other process does the same. Images stay, however
    /// many they are: those who used them before cannot have said so yet.
    ///
    /// # Errors
    /// When the disk refuses, an engine id is malformed, or no HTTP client can be made.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let target = Arc::new(Target::of(&config)?);
        let store = Arc::new(Store::open(config.root.clone())?);
        gc::remove_leftovers(&store)?;
        let inner = Inner {
            registry: Registry::new(&config)?,
            compiler: Compiler::new(config.compile.clone()),
            turns: Semaphore::new(config.pull_parallelism.max(1)),
            store,
            opened: Instant::now(),
            config,
            target: Arc::clone(&target),
            older: OlderEngines::default(),
            counters: Counters::default(),
            announcements: Announcements::default(),
            pulls: Flights::default(),
            compiles: Flights::default(),
            refused: Refusals::default(),
            invalid: Refusals::default(),
        };
        Ok(Self { inner: Arc::new(inner), target })
    }

    /// Resolves, pulls (as the policy says), chooses the program and compiles it for this handle's target. Calls for
    /// the same image with the same credentials share one pull, calls for the same wasm and engine one compilation;
    /// dropping the future gives up, and what nobody waits for stops. An image that is here is used without its
    /// registry only if that gave it to anybody, or to one of the request's credentials.
    ///
    /// # Errors
    /// See [`ImageError`]; a later call starts over, so that back-off is the caller's.
    pub async fn ensure(&self, request: &Request<'_>) -> Result<Image, ImageError> {
        let result = self.inner.ensure(request, &self.target).await;
        let changed = match &result {
            Ok(image) => image.pulled.is_some() || image.was_compiled(),
            Err(_) => true,
        };
        if changed && let Err(err) = self.tidy().await {
            tracing::warn!(%err, "Cannot clean up images");
        }
        result
    }

    async fn tidy(&self) -> Result<(), ImageError> {
        if self.inner.opened.elapsed() >= SETTLING {
            return self.collect_garbage().await.map(|_| ());
        }
        let store = Arc::clone(&self.inner.store);
        Ok(blocking(move || gc::remove_leftovers(&store)).await?)
    }

    /// What is recorded, for a node's `status.images`.
    #[must_use]
    pub fn list(&self) -> Vec<ListedImage> {
        self.inner.store.list()
    }

    /// Removes the least recently used images that nobody holds until the rest fits
    /// `size_limit`, and code of engines that are gone. Code in use stays: leased here, or hard-linked by a runner.
    /// Also runs after each pull, but in the first minute: then a pull removes leftovers only.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn collect_garbage(&self) -> Result<Collected, ImageError> {
        let inner = Arc::clone(&self.inner);
        let collected = blocking(move || gc::collect(&inner.store, &inner.config, &inner.older)).await?;
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

// === impl Inner ===

impl Inner {
    async fn ensure(self: &Arc<Self>, request: &Request<'_>, target: &Target) -> Result<Image, ImageError> {
        let found = self.find_or_pull(request).await?;
        match self.build(request, target, found).await {
            // What is damaged is gone from disk by now: pulling writes it again, once.
            Err(ImageError::Damaged { .. }) if request.policy != PullPolicy::Never => {
                let found = self.pull(request).await?;
                self.build(request, target, found).await
            }
            built => built,
        }
    }

    async fn find_or_pull(self: &Arc<Self>, request: &Request<'_>) -> Result<Found, ImageError> {
        let Request { reference, policy, credentials, .. } = *request;
        if policy == PullPolicy::Always {
            return self.pull(request).await;
        }
        if let Some((record, lease)) = self.store.find(&reference.stored_name()).await
            && self.store.may_use(&record, reference, credentials)
        {
            self.store.save_uses().await?;
            return Ok(Found { record, lease, pulled: None });
        }
        match policy {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;
    use crate::config::{CompileConfig, Engines, Timeouts};
    use crate::digest::Digest;
    use crate::image::RunConfig;
    use crate::reference::Reference;
    use crate::store::BlobRecord;

    fn mk_config(root: &Path) -> Config {
        Config {
            root: root.to_owned(),
            insecure_registries: Vec::new(),
            registry_config_dir: None,
            max_module_size: 1,
            max_unpacked_size: 1,
            compile: CompileConfig { program: "/nothing".into(), jobs: 1, memory_bytes: 1, timeout: SETTLING, nice: 0 },
            engines: Engines { base: "ba".repeat(32), wasip3: None },
            pull_parallelism: 1,
            timeouts: Timeouts::default(),
            size_limit: 0,
        }
    }

    fn mk_record() -> ImageRecord {
        let digest = Digest::of(b"image");
        ImageRecord {
            digest,
            media_type: String::new(),
            names: BTreeSet::from(["a/b:v1".to_owned()]),
            blobs: vec![BlobRecord { digest, size: 1 }],
            module: None,
            root: None,
            title: None,
            config: RunConfig::default(),
            access: BTreeMap::new(),
            last_used: 0,
        }
    }

    #[tokio::test]
    async fn what_was_there_stays_until_its_users_have_come() {
        let root = tempfile::tempdir().unwrap();
        let mut images = Images::open(mk_config(root.path())).unwrap();
        images.inner.store.put(mk_record()).await.unwrap();
        let other = Reference::parse("registry.example/other:v1").unwrap();
        let request = Request::new(&other, PullPolicy::Never);
        images.ensure(&request).await.unwrap_err();
        assert_eq!(images.list().len(), 1);
        Arc::get_mut(&mut images.inner).unwrap().opened = Instant::now().checked_sub(SETTLING).unwrap();
        images.ensure(&request).await.unwrap_err();
        assert_eq!(images.list().len(), 0);
    }
}
