//! Stored layers become a root file system, off the runtime's own threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::digest::Digest;
use crate::ensure::Inner;
use crate::error::{DiskError, ImageError};
use crate::manifest::Descriptor;
use crate::reference::Reference;
use crate::store::{RootRecord, Store};
use crate::unpack::{LayerFile, Limits, UnpackError, unpack};

/// Files, directories and links of one image; a distribution has some 10,000.
const MAX_ENTRIES: u64 = 200_000;

/// Tells the work to stop when the one who waits for it goes.
struct CancelOnDrop(Arc<AtomicBool>);

#[derive(Debug, thiserror::Error)]
enum ExtractError {
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("layer {0} is damaged")]
    Damaged(Digest),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Unpacks layers that are in the store, unless that was done. The caller has pinned and recorded them and the root.
pub(crate) async fn extract(
    inner: &Arc<Inner>,
    reference: &Reference,
    manifest: Digest,
    layers: &[Descriptor],
    diff_ids: &[Digest],
) -> Result<RootRecord, ImageError> {
    if let Some(size) = inner.store.root_size(manifest).await {
        return Ok(RootRecord { manifest, size, modules: Default::default() });
    }
    let cancelled = CancelOnDrop(Arc::default());
    let limits =
        Limits { bytes: inner.config.max_unpacked_size, entries: MAX_ENTRIES, cancelled: Arc::clone(&cancelled.0) };
    let layers: Vec<_> = layers.iter().map(|layer| layer.digest).zip(diff_ids.iter().copied()).collect();
    let store = Arc::clone(&inner.store);
    let work = tokio::task::spawn_blocking(move || write(&store, manifest, &layers, &limits));
    let written = work.await.map_err(|err| ImageError::Disk(format!("unpack {manifest}: {err}")))?;
    let size = written.map_err(|err| err.about(reference))?;
    Ok(RootRecord { manifest, size, modules: Default::default() })
}

fn write(store: &Store, manifest: Digest, layers: &[(Digest, Digest)], limits: &Limits) -> Result<u64, ExtractError> {
    // What a disk did to a layer since it was pulled must not look like a broken image.
    let open = |(digest, diff_id): &(Digest, Digest)| {
        let file = store.open_verified(*digest)?.ok_or(ExtractError::Damaged(*digest))?;
        Ok(LayerFile { digest: *digest, diff_id: *diff_id, file })
    };
    let layers = layers.iter().map(open).collect::<Result<Vec<_>, ExtractError>>()?;
    let temp = store.temp_root()?;
    let size = unpack(temp.path(), &layers, limits)?;
    store.put_root(manifest, temp)?;
    Ok(size)
}

// === impl ExtractError ===

impl ExtractError {
    fn about(self, reference: &Reference) -> ImageError {
        match self {
            Self::Unpack(err @ UnpackError::Content { .. }) => ImageError::layers(reference, err.to_string()),
            Self::Damaged(digest) => ImageError::Damaged { image: reference.to_string(), digest },
            err => ImageError::Disk(err.to_string()),
        }
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
