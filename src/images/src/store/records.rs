//! `records.json`: what this agent pulled and compiled, when it was last used, and what it was
//! about to write. Only what stands here is ever removed.
//!
//! A release reads the records of the one before and after it: unknown fields are ignored, missing
//! ones have defaults, and the version changes only when that no longer holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::access::Access;
use super::files::{self, Paths};
use super::lease::Pin;
use crate::digest::Digest;
use crate::error::{DiskContext, DiskError};
use crate::image::{ListedImage, RunConfig};
use crate::inspect::Inspection;

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Records {
    pub(super) version: u32,
    #[serde(default)]
    pub(super) images: Vec<ImageRecord>,
    #[serde(default)]
    pub(super) code: Vec<CodeRecord>,
    #[serde(default)]
    pub(super) pending: BTreeSet<Pin>,
    /// Of the hashes of credentials.
    #[serde(default)]
    pub(super) salt: String,
}

/// One image: a manifest or index, and everything below it that was pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// Of the manifest or index that names resolve to.
    pub(crate) digest: Digest,
    /// Its media type, for index.json.
    pub(crate) media_type: String,
    /// `repo:tag` and `repo@digest`.
    pub(crate) names: BTreeSet<String>,
    pub(crate) blobs: Vec<BlobRecord>,
    /// The one module of an image without a root file system.
    #[serde(flatten)]
    pub(crate) module: Option<Module>,
    /// Unpacked layers.
    #[serde(default)]
    pub(crate) root: Option<RootRecord>,
    #[serde(default)]
    pub(crate) title: Option<String>,
    #[serde(default)]
    pub(crate) config: RunConfig,
    /// By `registry/repository`.
    #[serde(default)]
    pub(crate) access: BTreeMap<String, Access>,
    /// Seconds since 1970.
    #[serde(default)]
    pub(crate) last_used: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlobRecord {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Wasm that can be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Module {
    pub(crate) wasm: Digest,
    #[serde(flatten)]
    pub(crate) inspection: Inspection,
}

/// A root file system on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootRecord {
    /// Of the manifest whose layers it was unpacked from.
    pub(crate) manifest: Digest,
    /// Bytes on disk.
    pub(crate) size: u64,
    /// Files in it that were found to be wasm, by their path.
    #[serde(default)]
    pub(crate) modules: BTreeMap<String, Module>,
}

/// What identifies compiled code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct CodeKey {
    pub(crate) wasm: Digest,
    pub(crate) engine_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeRecord {
    #[serde(flatten)]
    key: CodeKey,
    pub(crate) size: u64,
    /// Of the compiled file.
    pub(crate) digest: Digest,
}

// === impl Records ===

impl Records {
    /// Reads the records. Broken ones are set aside: the images they named are pulled again.
    pub(super) fn read(paths: &Paths) -> Result<Self, DiskError> {
        let path = paths.records();
        let bytes = match std::fs::read(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read.at("read", &path)?,
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(records) if records.version == VERSION => Ok(records),
            unreadable => {
                let why = unreadable.map_or_else(|err| err.to_string(), |r| format!("version {}", r.version));
                let aside = path.with_extension("damaged");
                tracing::warn!(path = %path.display(), %why, aside = %aside.display(), "Cannot read the image records: starting without them");
                std::fs::rename(&path, &aside).at("rename", &path)?;
                Ok(Self::default())
            }
        }
    }

    pub(super) fn write(&self, paths: &Paths) -> Result<(), DiskError> {
        let path = paths.records();
        let bytes = serde_json::to_vec(self).map_err(io::Error::from).at("encode", &path)?;
        files::write_atomically(&path, &bytes)
    }
}

impl Default for Records {
    fn default() -> Self {
        Self { version: VERSION, images: Vec::new(), code: Vec::new(), pending: BTreeSet::new(), salt: String::new() }
    }
}

// === impl ImageRecord ===

impl ImageRecord {
    pub(crate) fn pins(&self) -> impl Iterator<Item = Pin> + '_ {
        let root = self.root.as_ref().map(|root| Pin::Root(root.manifest));
        self.blobs.iter().map(|blob| Pin::Blob(blob.digest)).chain(root)
    }

    /// Wasm that was compiled for this image.
    pub(super) fn wasms(&self) -> impl Iterator<Item = Digest> + '_ {
        let files = self.root.iter().flat_map(|root| root.modules.values());
        self.module.iter().chain(files).map(|module| module.wasm)
    }

    pub(crate) fn size(&self) -> u64 {
        let blobs: BTreeMap<_, _> = self.blobs.iter().map(|b| (b.digest, b.size)).collect();
        blobs.values().sum()
    }

    pub(super) fn listed(&self) -> ListedImage {
        let (by_digest, by_tag): (Vec<_>, Vec<_>) = self.names.iter().cloned().partition(|name| name.contains('@'));
        ListedImage { names: [by_digest, by_tag].concat(), size_bytes: self.size() }
    }
}

// === impl CodeRecord ===

impl CodeRecord {
    pub(crate) fn new(key: CodeKey, size: u64, digest: Digest) -> Self {
        Self { key, size, digest }
    }

    pub(crate) fn key(&self) -> CodeKey {
        self.key.clone()
    }
}
