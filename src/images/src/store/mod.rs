//! What is on disk, and who needs it.
//!
//! ```text
//! images/oci-layout  index.json  blobs/sha256/<hex>     an OCI image layout any tool can read
//! images/root/<hex of the manifest>/                     unpacked layers of a container image
//! images/records.json                                    what this agent pulled and compiled
//! images/.tmp/                                           unfinished files, emptied at open
//! code/<engine-id>/<hex of the wasm>.cwasm               compiled code, 0444
//! ```
//!
//! One mutex guards the maps; files are written outside of it and named by digest, so two writers
//! of one file write the same. What keeps collection and use apart are pins: whoever is about to
//! use or write a file pins it first, under the mutex, and collection removes a file only while
//! it holds the mutex and finds no pin. What is about to be written is recorded as pending first,
//! so that a crash leaves no file that nobody owns.

mod access;
mod blob;
mod code;
mod collect;
mod files;
mod layout;
mod lease;
mod manage;
mod records;
mod roots;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use blob::{BlobError, Source};
use files::Paths;
pub(crate) use files::blocking;
pub use lease::Lease;
pub(crate) use lease::Pin;
pub(crate) use manage::Forgotten;
pub(crate) use records::{BlobRecord, CodeKey, CodeRecord, ImageRecord, Module, RootRecord};

use crate::digest::Digest;
use crate::error::{DiskContext, DiskError};
use crate::image::ListedImage;
use records::Records;

/// How stale last-used times on disk may be: collection by age needs no more, and a pod start
/// must not wait for a disk.
const SAVE_USES_EVERY: Duration = Duration::from_secs(10 * 60);

pub(crate) struct Store {
    paths: Paths,
    state: Mutex<State>,
    /// Held while records are written, so that an older snapshot never replaces a newer one.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    images: BTreeMap<Digest, ImageRecord>,
    code: BTreeMap<CodeKey, CodeRecord>,
    /// Written or about to be, and not yet part of a record.
    pending: BTreeSet<Pin>,
    pins: HashMap<Pin, usize>,
    /// Code whose digest was checked since this process started.
    checked: HashSet<CodeKey>,
    /// Roots that are removed and still have to be deleted.
    graves: Vec<PathBuf>,
    /// Of the hashes of credentials.
    salt: String,
    saved: Option<Instant>,
}

// === impl Store ===

impl Store {
    /// Makes the directories, forgets unfinished files, reads the records. Blocking.
    pub(crate) fn open(root: PathBuf) -> Result<Self, DiskError> {
        let paths = Paths::create(root)?;
        layout::create(&paths)?;
        let records = Records::read(&paths)?;
        let state = State {
            images: records.images.into_iter().map(|image| (image.digest, image)).collect(),
            code: records.code.into_iter().map(|code| (code.key(), code)).collect(),
            pending: records.pending,
            salt: if records.salt.is_empty() {
                access::new_salt().at("read", Path::new("/dev/urandom"))?
            } else {
                records.salt
            },
            ..State::default()
        };
        Ok(Self { paths, state: Mutex::new(state), saving: tokio::sync::Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before the guard goes: a panic elsewhere leaves whole maps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image of a stored name, pinned, if all its blobs have their size.
    pub(crate) async fn find(self: &std::sync::Arc<Self>, name: &str) -> Option<(ImageRecord, Lease)> {
        let (record, lease) = self.find_recorded(name)?;
        for blob in &record.blobs {
            if !self.has_blob(blob.digest, blob.size).await {
                tracing::warn!(%name, blob = %blob.digest, "Stored image is damaged");
                return None;
            }
        }
        if let Some(root) = &record.root
            && !self.has_root(root.manifest).await
        {
            tracing::warn!(%name, "The unpacked root of a stored image is gone");
            return None;
        }
        Some((record, lease))
    }

    fn find_recorded(self: &std::sync::Arc<Self>, name: &str) -> Option<(ImageRecord, Lease)> {
        let mut state = self.state();
        let record = state.images.values_mut().find(|image| image.names.contains(name))?;
        record.last_used = now();
        let record = record.clone();
        let lease = Lease::take(self, &mut state, record.pins());
        Some((record, lease))
    }

    /// Keeps `pins` from being collected.
    pub(crate) fn pin(self: &std::sync::Arc<Self>, pins: impl IntoIterator<Item = Pin>) -> Lease {
        Lease::take(self, &mut self.state(), pins)
    }

    /// Records files that are about to be written.
    pub(crate) async fn intend(&self, pins: impl IntoIterator<Item = Pin>) -> Result<(), DiskError> {
        self.state().pending.extend(pins);
        self.save().await
    }

    /// Records a complete image; its names move here from wherever they were.
    pub(crate) async fn put(&self, mut record: ImageRecord) -> Result<(), DiskError> {
        record.last_used = now();
        self.state().put(record);
        self.save().await
    }

    /// Writes the records if only times of use changed, and not lately.
    pub(crate) async fn save_uses(&self) -> Result<(), DiskError> {
        let due = self.state().saved.is_none_or(|at| at.elapsed() >= SAVE_USES_EVERY);
        if due { self.save().await } else { Ok(()) }
    }

    /// Writes records.json, then index.json, which is derived from it.
    pub(crate) async fn save(&self) -> Result<(), DiskError> {
        let _saving = self.saving.lock().await;
        let records = {
            let mut state = self.state();
            state.saved = Some(Instant::now());
            state.snapshot()
        };
        let paths = self.paths.clone();
        files::blocking(move || {
            records.write(&paths)?;
            layout::write_index(&paths, &records.images)
        })
        .await
    }

    /// For a node's `status.images`.
    pub(crate) fn list(&self) -> Vec<ListedImage> {
        self.state().images.values().map(ImageRecord::listed).collect()
    }

    /// Number of images, and bytes of everything recorded.
    pub(crate) fn usage(&self) -> (usize, u64) {
        let state = self.state();
        (state.images.len(), state.bytes())
    }
}

// === impl State ===

impl State {
    fn put(&mut self, mut record: ImageRecord) {
        for other in self.images.values_mut() {
            other.names.retain(|name| !record.names.contains(name));
        }
        for pin in record.pins() {
            self.pending.remove(&pin);
        }
        if let Some(old) = self.images.remove(&record.digest) {
            record.names.extend(old.names);
            for (name, access) in old.access {
                record.access.entry(name).or_default().merge(access);
            }
            // The root is the same, and so is what is in it.
            if let (Some(root), Some(old)) = (&mut record.root, old.root) {
                root.modules.extend(old.modules);
            }
        }
        self.images.insert(record.digest, record);
    }

    fn snapshot(&self) -> Records {
        Records {
            images: self.images.values().cloned().collect(),
            code: self.code.values().cloned().collect(),
            pending: self.pending.clone(),
            salt: self.salt.clone(),
            ..Records::default()
        }
    }

    /// Bytes of blobs and roots, each once, and of code.
    fn bytes(&self) -> u64 {
        let blobs: BTreeMap<_, _> = self.images.values().flat_map(|i| &i.blobs).map(|b| (b.digest, b.size)).collect();
        let roots: BTreeMap<_, _> =
            self.images.values().filter_map(|i| i.root.as_ref()).map(|root| (root.manifest, root.size)).collect();
        let code = self.code.values().map(|code| code.size).sum::<u64>();
        blobs.values().sum::<u64>() + roots.values().sum::<u64>() + code
    }
}

/// Seconds since 1970: times of use outlive the process, so no monotonic clock will do.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
