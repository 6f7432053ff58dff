//! Why an image cannot be used, as text that `kubectl describe` shows.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::reference::Reference;

/// Characters of foreign text that fit into a status message.
const MAX_DETAIL: usize = 1000;

/// Why [`Images::ensure`](crate::Images::ensure) failed. A variant exists where the caller acts
/// differently or where the text has parts of its own; all texts stand after
/// `Failed to pull image "X": `, except [`ImageError::Never`]'s, which is whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not an image that this node runs. Asking again costs one manifest.
    #[error("\"{image}\" is {what}")]
    NotWasm {
        /// Normalised reference.
        image: String,
        /// What it is instead, as in `for linux/amd64, not WebAssembly`.
        what: String,
    },
    /// The policy forbids pulling and it is not here, or not for these credentials: `ErrImageNeverPull`. Which of the
    /// two is not told, as by a kubelet: a pod must not learn what others pulled.
    #[error("Container image \"{image}\" is not present with pull policy of Never")]
    Never {
        /// Normalised reference.
        image: String,
    },
    /// The registry did not deliver.
    #[error("failed to pull and unpack image \"{image}\": {detail}")]
    Pull {
        /// Normalised reference.
        image: String,
        /// The step that failed and why.
        detail: String,
    },
    /// The wasm is larger than the node allows.
    #[error(
        "\"{image}\" has {size} bytes of wasm, more than this node's maxModuleSize of {limit}; make it smaller or raise the limit"
    )]
    TooLarge {
        /// Normalised reference.
        image: String,
        /// Declared size in bytes.
        size: u64,
        /// `maxModuleSize` in bytes.
        limit: u64,
    },
    /// The wasm is broken: only another image helps.
    #[error("\"{image}\" is not valid WebAssembly: {detail}")]
    InvalidWasm {
        /// Normalised reference.
        image: String,
        /// What the parser or compiler says.
        detail: String,
    },
    /// Layers that cannot be unpacked: only another image helps.
    #[error("failed to pull and unpack image \"{image}\": {detail}")]
    Layers {
        /// Normalised reference.
        image: String,
        /// The layer and what is wrong with it.
        detail: String,
    },
    /// A component of WASI 0.3 on a node without that engine.
    #[error("\"{image}\" needs WASI 0.3, which is switched off on this node (wasip3)")]
    NeedsWasip3 {
        /// Normalised reference.
        image: String,
    },
    /// The compiler did not finish; trying again may help.
    #[error("failed to compile \"{image}\": {detail}")]
    Compile {
        /// Normalised reference.
        image: String,
        /// Exit status, last words, limits.
        detail: String,
    },
    /// What is stored is damaged and the policy forbids to pull it again, or it was damaged twice.
    #[error("stored content of \"{image}\" is damaged: {digest} does not match its digest")]
    Damaged {
        /// Normalised reference.
        image: String,
        /// The blob.
        digest: Digest,
    },
    /// The node's own disk.
    #[error("image store: {0}")]
    Disk(String),
}

/// Why [`Images::open`](crate::Images::open) failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory or file of the store.
    #[error("cannot open the image store: {0}")]
    Disk(String),
    /// An engine id that would not be one directory name.
    #[error("engine id {0:?} is not 64 hex digits")]
    EngineId(String),
    /// The HTTP client.
    #[error("cannot set up the registry client: {0}")]
    Client(String),
}

/// An I/O error with the verb and the path, which `io::Error` leaves out.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}: {source}")]
pub(crate) struct DiskError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Adds the verb and the path to an I/O result.
pub(crate) trait DiskContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DiskError>;
}

// === impl ImageError ===

impl ImageError {
    /// Whether the image is something else than wasm: then the pod waits, and only the manifest is
    /// read again, every five minutes.
    #[must_use]
    pub fn is_not_wasm(&self) -> bool {
        matches!(self, Self::NotWasm { .. })
    }

    /// Whether this is `ErrImageNeverPull` rather than `ErrImagePull`.
    #[must_use]
    pub fn is_never_pull(&self) -> bool {
        matches!(self, Self::Never { .. })
    }

    pub(crate) fn not_wasm(reference: &Reference, what: impl Into<String>) -> Self {
        Self::NotWasm { image: reference.to_string(), what: bounded(what.into()) }
    }

    pub(crate) fn layers(reference: &Reference, detail: impl Into<String>) -> Self {
        Self::Layers { image: reference.to_string(), detail: bounded(detail.into()) }
    }

    pub(crate) fn pull(reference: &Reference, detail: impl Into<String>) -> Self {
        Self::Pull { image: reference.to_string(), detail: bounded(detail.into()) }
    }
}

/// Messages quote what a registry sent.
fn bounded(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_DETAIL) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl From<DiskError> for ImageError {
    fn from(err: DiskError) -> Self {
        Self::Disk(err.to_string())
    }
}

impl From<DiskError> for OpenError {
    fn from(err: DiskError) -> Self {
        Self::Disk(err.to_string())
    }
}

// === impl DiskError ===

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }
}

impl<T> DiskContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|source| DiskError { action, path: path.to_owned(), source })
    }
}
