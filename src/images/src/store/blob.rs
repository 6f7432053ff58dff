//! Blobs: written while they are verified, verified again before they are compiled.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::files::{self, Paths, blocking};
use super::{BlobRecord, Store};
use crate::digest::{Digest, Hasher};
use crate::error::{DiskContext, DiskError};
use crate::tree::Tree;

/// Registries send chunks of some KiB; each write is a hop to a blocking thread.
const BUFFER: usize = 512 << 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    #[error("more than the declared {0} bytes arrived")]
    TooLong(u64),
    #[error("only {got} of {expected} bytes arrived")]
    TooShort { expected: u64, got: u64 },
    #[error("digest mismatch: expected {expected}, got {actual}")]
    Digest { expected: Digest, actual: Digest },
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Where wasm is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Blob(Digest),
    /// A file in an unpacked root, which is named by its manifest.
    File {
        root: Digest,
        path: PathBuf,
    },
}

/// A blob on its way to disk. Dropping it leaves nothing behind.
pub(crate) struct BlobWriter {
    paths: Paths,
    expected: BlobRecord,
    hasher: Hasher,
    file: BufWriter<tokio::fs::File>,
    temp: tempfile::TempPath,
}

// === impl Source ===

impl Source {
    /// For messages.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Blob(_) => Path::new("a blob"),
            Self::File { path, .. } => path,
        }
    }
}

// === impl BlobWriter ===

impl BlobWriter {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        if self.hasher.bytes() + bytes.len() as u64 > self.expected.size {
            return Err(BlobError::TooLong(self.expected.size));
        }
        self.hasher.update(bytes);
        Ok(self.file.write_all(bytes).await.at("write", &self.temp)?)
    }

    /// Verifies, syncs, and gives the blob its name.
    pub(crate) async fn finish(mut self) -> Result<(), BlobError> {
        let BlobRecord { digest: expected, size } = self.expected;
        let got = self.hasher.bytes();
        if got != size {
            return Err(BlobError::TooShort { expected: size, got });
        }
        let actual = self.hasher.finish();
        if actual != expected {
            return Err(BlobError::Digest { expected, actual });
        }
        self.file.flush().await.at("write", &self.temp)?;
        self.file.get_ref().sync_all().await.at("sync", &self.temp)?;
        let (temp, path) = (self.temp, self.paths.blob(expected));
        Ok(blocking(move || files::settle(temp, &path)).await?)
    }
}

// === impl Store ===

impl Store {
    /// Whether a blob is there with its size. Its digest is checked where it is read.
    pub(crate) async fn has_blob(&self, digest: Digest, size: u64) -> bool {
        let found = tokio::fs::symlink_metadata(self.paths.blob(digest)).await;
        found.is_ok_and(|meta| meta.is_file() && meta.len() == size)
    }

    /// Starts a blob; the caller has pinned and recorded it.
    pub(crate) async fn write_blob(&self, expected: BlobRecord) -> Result<BlobWriter, DiskError> {
        let paths = self.paths.clone();
        let temp = blocking(move || paths.temp_blob()).await?;
        let (file, temp) = temp.into_parts();
        Ok(BlobWriter {
            paths: self.paths.clone(),
            expected,
            hasher: Hasher::default(),
            file: BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file)),
            temp,
        })
    }

    /// Stores verified bytes.
    pub(crate) async fn put_blob(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), DiskError> {
        let paths = self.paths.clone();
        blocking(move || {
            let mut temp = paths.temp_blob()?;
            write_synced(&mut temp, &bytes)?;
            files::settle(temp.into_temp_path(), &paths.blob(digest))
        })
        .await
    }

    /// Opens wasm at its start; also its size. Blocking.
    pub(crate) fn open_source(&self, source: &Source) -> Result<(File, u64), DiskError> {
        let (path, opened) = match source {
            Source::Blob(digest) => {
                let path = self.paths.blob(*digest);
                let opened = File::open(&path);
                (path, opened)
            }
            Source::File { root, path } => {
                let tree = Tree::open(&self.root_path(*root));
                (self.root_path(*root).join(path), tree.and_then(|tree| tree.file(path)))
            }
        };
        let file = opened.at("open", &path)?;
        let size = file.metadata().at("read", &path)?.len();
        Ok((file, size))
    }

    /// Opens wasm that still has its digest; none where it has not. Blocking.
    pub(crate) fn open_verified_source(&self, source: &Source, digest: Digest) -> Result<Option<File>, DiskError> {
        match source {
            Source::Blob(blob) => self.open_verified(*blob),
            Source::File { .. } => self.open_verified_file(source, digest),
        }
    }

    fn open_verified_file(&self, source: &Source, digest: Digest) -> Result<Option<File>, DiskError> {
        let Ok((mut file, _)) = self.open_source(source) else { return Ok(None) };
        if Hasher::read_all(&mut file).at("read", source.path())? != digest {
            tracing::warn!(path = %source.path().display(), "A file of an unpacked image is damaged");
            return Ok(None);
        }
        file.rewind().at("read", source.path())?;
        Ok(Some(file))
    }

    /// Opens a blob whose content still has its digest; removes it and says none where it has
    /// not, so that the next pull writes it again. Blocking.
    pub(crate) fn open_verified(&self, digest: Digest) -> Result<Option<File>, DiskError> {
        let path = self.paths.blob(digest);
        let Ok(mut file) = File::open(&path) else { return Ok(None) };
        if Hasher::read_all(&mut file).at("read", &path)? == digest {
            file.rewind().at("read", &path)?;
            return Ok(Some(file));
        }
        tracing::warn!(path = %path.display(), "Removed a damaged blob");
        files::remove(&path)?;
        Ok(None)
    }
}

fn write_synced(temp: &mut NamedTempFile, bytes: &[u8]) -> Result<(), DiskError> {
    temp.write_all(bytes).at("write", temp.path())?;
    temp.as_file().sync_all().at("sync", temp.path())
}
