//! From the layers of a container image to its root file system.
//!
//! Layers are read twice where there is something below them: first their whiteouts are applied, which are about
//! lower layers only and may stand anywhere in the stream, then their files are written. What comes out holds regular
//! files, directories, symbolic and hard links; no devices, no owners, no set-user-id bits, no attributes: the guest
//! that sees it knows none of them.

mod entry;
mod stream;
#[cfg(test)]
mod tests;
mod zstd;

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

use tar::Archive;

use crate::digest::Digest;
use crate::tree::Tree;
use entry::Writer;
pub(crate) use stream::Limits;
use stream::{Meter, Stream};

/// A layer whose compressed bytes are verified.
#[derive(Debug)]
pub(crate) struct LayerFile {
    /// Of the compressed bytes.
    pub(crate) digest: Digest,
    /// Of the tar stream.
    pub(crate) diff_id: Digest,
    pub(crate) file: File,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// Nothing but another image helps.
    #[error("failed to extract layer {layer}: {what}")]
    Content { layer: Digest, what: String },
    /// The node's disk.
    #[error("extract layer {layer}: {source}")]
    Disk { layer: Digest, source: io::Error },
    #[error("the image is not wanted any more")]
    Cancelled,
}

/// Whose fault it is.
#[derive(Debug)]
enum Problem {
    Content(String),
    Disk(io::Error),
}

/// Which half of the work a reading of a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Whiteouts,
    Files,
}

/// Writes `layers`, lowest first, below the empty directory `root` and syncs it; returns the bytes that it takes.
/// Blocking.
///
/// # Errors
/// The caller removes what is there.
pub(crate) fn unpack(root: &Path, layers: &[LayerFile], limits: &Limits) -> Result<u64, UnpackError> {
    let meter = Meter::new(limits);
    for (n, layer) in layers.iter().enumerate() {
        let applied =
            Tree::open(root).map_err(Problem::Disk).and_then(|tree| apply(tree, layer, n > 0, &meter, limits));
        applied.map_err(|problem| problem.about(layer.digest, &meter))?;
    }
    if let Some(last) = layers.last() {
        sync(root).map_err(|source| UnpackError::Disk { layer: last.digest, source })?;
    }
    Ok(meter.written())
}

fn apply(tree: Tree, layer: &LayerFile, above: bool, meter: &Meter<'_>, limits: &Limits) -> Result<(), Problem> {
    let mut writer = Writer::new(tree, meter);
    if above {
        read(&mut writer, layer, Pass::Whiteouts, &Meter::new(limits))?;
    }
    let diff_id = read(&mut writer, layer, Pass::Files, meter)?;
    if diff_id != layer.diff_id {
        return Err(Problem::Content(format!("mismatched rootfs diff_id: expected {}, got {diff_id}", layer.diff_id)));
    }
    Ok(())
}

/// Reads a whole layer; its digest is what comes out.
fn read(writer: &mut Writer<'_>, layer: &LayerFile, pass: Pass, meter: &Meter<'_>) -> Result<Digest, Problem> {
    (&layer.file).rewind().map_err(Problem::Disk)?;
    let stream = Stream::new(&layer.file, meter).map_err(Problem::Disk)?;
    let mut archive = Archive::new(stream);
    read_entries(writer, &mut archive, pass, meter)?;
    archive.into_inner().finish().map_err(content)
}

fn read_entries<'a>(
    writer: &mut Writer<'_>,
    archive: &mut Archive<Stream<'a>>,
    pass: Pass,
    meter: &'a Meter<'a>,
) -> Result<(), Problem> {
    let mut entries = archive.entries().map_err(content)?;
    while let Some(entry) = meter.metadata(|| entries.next()) {
        let mut entry = entry.map_err(content)?;
        if entry.header().entry_type().is_gnu_sparse() {
            // Holes cost the stream nothing, but reading and writing them does.
            meter.take(entry.size()).map_err(content)?;
        }
        match pass {
            Pass::Whiteouts => writer.remove(&entry)?,
            Pass::Files => writer.write(&mut entry)?,
        }
        // The reader would skip the rest itself, but on the account of the next entry's names.
        io::copy(&mut entry, &mut io::sink()).map_err(content)?;
    }
    Ok(())
}

/// What a layer's tar stream hashes to.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn stream_digest(file: &File, limits: &Limits) -> io::Result<Digest> {
    Stream::new(file, &Meter::new(limits))?.finish()
}

/// One call for the whole tree: syncing file by file takes seconds for thousands of small ones.
fn sync(root: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(root)?)?)
}

/// What the tar reader and the decompressors say.
fn content(err: io::Error) -> Problem {
    Problem::Content(err.to_string())
}

// === impl Problem ===

impl Problem {
    /// Errors of the file system that another try or another node would not have.
    fn of_disk(err: io::Error, doing: &str, path: &Path) -> Self {
        use io::ErrorKind as Kind;
        let described = io::Error::new(err.kind(), format!("{doing} {}: {err}", path.display()));
        let by_names = [
            Kind::NotFound,
            Kind::AlreadyExists,
            Kind::NotADirectory,
            Kind::IsADirectory,
            Kind::DirectoryNotEmpty,
            Kind::InvalidFilename,
            Kind::InvalidInput,
            Kind::TooManyLinks,
            Kind::CrossesDevices,
        ];
        let is_loop = err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if by_names.contains(&err.kind()) || is_loop {
            return Self::Content(described.to_string());
        }
        Self::Disk(described)
    }

    fn about(self, layer: Digest, meter: &Meter<'_>) -> UnpackError {
        match self {
            _ if meter.is_cancelled() => UnpackError::Cancelled,
            Self::Content(what) => UnpackError::Content { layer, what },
            Self::Disk(source) => UnpackError::Disk { layer, source },
        }
    }
}
