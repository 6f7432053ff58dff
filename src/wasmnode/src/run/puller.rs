//! Images of registries and of this machine's disk, with a line of progress while they are got.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use wasmnode_core::desired::PullPolicy;
use wasmnode_core::pod::{PullError, PullErrorKind};
use wasmnode_images::{ImageError, ImageMetrics, Images, Reference};
use wasmnode_pods::{Keyring, PullRequest, PulledImage, Puller};

use super::cache::Cache;
use super::console::Console;

/// How often the line of progress is written anew.
const TICK: Duration = Duration::from_millis(100);

/// Shorter work shows nothing: a line that flickers tells nothing.
const PATIENCE: Duration = Duration::from_millis(200);

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In a registry, or pulled from one before.
    Registry(String),
    /// A file of wasm.
    File(PathBuf),
    /// An OCI image layout.
    Layout { directory: PathBuf, tag: Option<String> },
}

/// Gets images for pods.
pub(super) struct FilePuller {
    pub(super) cache: Arc<Cache>,
    pub(super) console: Arc<Console>,
    /// What relative paths are relative to.
    pub(super) base: PathBuf,
    /// What the user is logged in to.
    pub(super) keyring: Keyring,
}

// === impl Source ===

impl Source {
    /// A path is one that begins like a path, or the name of a `.wasm` file that is there.
    pub(crate) fn of(image: &str, base: &Path) -> Self {
        if let Some(layout) = image.strip_prefix("oci:") {
            let (directory, tag) = match layout.rsplit_once(':') {
                Some((directory, tag)) if !tag.contains('/') => (directory, Some(tag.to_owned())),
                _ => (layout, None),
            };
            return Self::Layout { directory: base.join(directory), tag };
        }
        let is_path = ["/", "./", "../"].iter().any(|start| image.starts_with(start));
        let path = base.join(image);
        if is_path || (image.ends_with(".wasm") && path.is_file()) {
            return Self::File(path);
        }
        Self::Registry(image.to_owned())
    }

    /// The name under which the store has it, after it was put there if it is on disk.
    pub(crate) async fn import(&self, images: &Images) -> Result<Option<String>, ImageError> {
        let reference = match self {
            Self::Registry(_) => return Ok(None),
            Self::File(path) => images.import_file(path).await?,
            Self::Layout { directory, tag } => images.import_layout(directory, tag.as_deref()).await?,
        };
        Ok(Some(reference.to_string()))
    }
}

// === impl FilePuller ===

impl FilePuller {
    async fn get(
        &self,
        images: &Images,
        request: PullRequest<'_>,
        on_pulling: &(dyn Fn() + Send + Sync),
    ) -> Result<PulledImage, PullError> {
        match Source::of(request.image, &self.base).import(images).await.map_err(failed)? {
            Some(image) => {
                let request = PullRequest { image: &image, policy: PullPolicy::Never, ..request };
                Puller::ensure(images, request, on_pulling).await
            }
            None => {
                let keyring = self.keyring(request);
                Puller::ensure(images, PullRequest { keyring, ..request }, on_pulling).await
            }
        }
    }

    /// The pod's credentials, or where it has none for an image those of the user.
    fn keyring<'a>(&'a self, request: PullRequest<'a>) -> &'a Keyring {
        let known = Reference::parse(request.image)
            .is_ok_and(|image| !request.keyring.for_image(image.registry(), image.repository()).is_empty());
        if known { request.keyring } else { &self.keyring }
    }
}

#[async_trait]
impl Puller for FilePuller {
    async fn ensure(
        &self,
        request: PullRequest<'_>,
        on_pulling: &(dyn Fn() + Send + Sync),
    ) -> Result<PulledImage, PullError> {
        let opened = self.cache.open().await.map_err(failed)?;
        let pulling = AtomicBool::new(false);
        let announce = || {
            pulling.store(true, Ordering::Relaxed);
            on_pulling();
        };
        let get = self.get(&opened.images, request, &announce);
        let result = with_progress(&self.console, &opened.images, request.image, &pulling, get).await;
        self.cache.note_growth(&opened.images);
        result
    }

    async fn recompile(&self, image: &str, stale: &PulledImage) -> Result<PulledImage, PullError> {
        let opened = self.cache.open().await.map_err(failed)?;
        let name = Source::of(image, &self.base).import(&opened.images).await.map_err(failed)?;
        opened.images.recompile(name.as_deref().unwrap_or(image), stale).await
    }
}

/// Works, and says on a terminal for how long already.
pub(crate) async fn with_progress<T>(
    console: &Console,
    images: &Images,
    image: &str,
    pulling: &AtomicBool,
    work: impl Future<Output = T>,
) -> T {
    if !console.is_terminal() {
        return work.await;
    }
    let began = Instant::now();
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval_at(began + PATIENCE, TICK);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = ticks.tick() => {
                let verb = verb(&images.metrics(), pulling.load(Ordering::Relaxed));
                console.progress(Some(&format!("{verb} {image} … {:.1} s", began.elapsed().as_secs_f32())));
            }
        }
    };
    console.progress(None);
    result
}

fn verb(now: &ImageMetrics, pulling: bool) -> &'static str {
    if now.compiles_running + now.compiles_waiting > 0 {
        "Compiling"
    } else if pulling {
        "Pulling"
    } else {
        "Looking for"
    }
}

fn failed(error: impl std::fmt::Display) -> PullError {
    PullError { kind: PullErrorKind::Failed, message: format!("{error:#}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn where_images_are() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::write(base.join("here.wasm"), "").unwrap();
        let file = |name: &str| Source::File(base.join(name));
        let registry = |name: &str| Source::Registry(name.to_owned());
        let layout = |directory: &str, tag: Option<&str>| Source::Layout {
            directory: base.join(directory),
            tag: tag.map(str::to_owned),
        };
        let cases = [
            ("hello", registry("hello")),
            ("ghcr.io/a/b.wasm", registry("ghcr.io/a/b.wasm")),
            ("gone.wasm", registry("gone.wasm")),
            ("here.wasm", file("here.wasm")),
            ("./gone.wasm", file("./gone.wasm")),
            ("/abs", Source::File("/abs".into())),
            ("oci:dir", layout("dir", None)),
            ("oci:dir:v1", layout("dir", Some("v1"))),
            ("oci:a:b/dir", layout("a:b/dir", None)),
        ];
        for (image, expected) in cases {
            assert_eq!(Source::of(image, base), expected, "{image}");
        }
    }
}
