//! The store as a person sees it: what is in it, and how to get rid of it.

use std::io::Read;
use std::sync::Arc;

use crate::digest::Digest;
use crate::ensure::Images;
use crate::error::ImageError;
use crate::gc::Collected;
use crate::image::{Engine, Image, Kind};
use crate::reference::Reference;
use crate::store::{Forgotten, blocking};

/// A stored image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Names by tag, else by digest.
    pub names: Vec<String>,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Module or component; none where the image has a root file system, whose files may be either.
    pub kind: Option<Kind>,
    /// Which engine runs it; none as above.
    pub engine: Option<Engine>,
    /// Bytes of all its blobs.
    pub size_bytes: u64,
    /// Seconds since 1970.
    pub last_used: u64,
}

impl Images {
    /// All images, the one used last first.
    #[must_use]
    pub fn stored(&self) -> Vec<StoredImage> {
        let mut images: Vec<_> = self.inner.store.records().iter().map(StoredImage::of).collect();
        images.sort_by_key(|image| std::cmp::Reverse(image.last_used));
        images
    }

    /// Removes a name, and with an image's last name the image; false where there is no such name. By digest it is
    /// removed under all of its names.
    ///
    /// # Errors
    /// When somebody holds the image, or the disk refuses.
    pub async fn remove(&self, reference: &Reference) -> Result<bool, ImageError> {
        let (store, name) = (Arc::clone(&self.inner.store), reference.stored_name());
        let forgotten = blocking(move || {
            let forgotten = store.forget(&name)?;
            store.bury().map(|()| forgotten)
        })
        .await?;
        match forgotten {
            Forgotten::Unknown => return Ok(false),
            Forgotten::Held => return Err(ImageError::Disk(format!("{reference} is in use"))),
            Forgotten::Removed => self.inner.store.save().await?,
        }
        Ok(true)
    }

    /// Removes every image that nobody holds.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn prune(&self) -> Result<Collected, ImageError> {
        let store = Arc::clone(&self.inner.store);
        let collected = blocking(move || {
            let mut collected = Collected::default();
            while let Some(removed) = store.remove_oldest()? {
                collected.images += removed.images;
                collected.bytes += removed.bytes;
            }
            store.bury()?;
            Ok(collected)
        });
        let collected = collected.await?;
        self.inner.store.save().await?;
        Ok(collected)
    }

    /// The wasm of an image, as it was pulled.
    ///
    /// # Errors
    /// When it is damaged, or the disk refuses.
    pub async fn wasm(&self, image: &Image) -> Result<Vec<u8>, ImageError> {
        let name = image.reference.to_string();
        let program = image.program.clone().map_err(|why| ImageError::not_wasm(&image.reference, why.to_string()))?;
        let (store, digest) = (Arc::clone(&self.inner.store), program.wasm_digest);
        let file = blocking(move || store.open_verified_source(&program.source, digest)).await?;
        let mut file = file.ok_or(ImageError::Damaged { image: name, digest })?;
        let read = tokio::task::spawn_blocking(move || {
            let mut wasm = Vec::new();
            file.read_to_end(&mut wasm).map(|_| wasm)
        });
        let read = read.await.map_err(|err| ImageError::Disk(err.to_string()))?;
        read.map_err(|err| ImageError::Disk(format!("read {digest}: {err}")))
    }
}

impl StoredImage {
    fn of(record: &crate::store::ImageRecord) -> Self {
        let (by_digest, by_tag): (Vec<_>, Vec<_>) = record.names.iter().cloned().partition(|name| name.contains('@'));
        Self {
            names: if by_tag.is_empty() { by_digest } else { by_tag },
            digest: record.digest,
            kind: record.module.map(|module| module.inspection.kind),
            engine: record.module.map(|module| module.inspection.engine),
            size_bytes: record.size(),
            last_used: record.last_used,
        }
    }
}
