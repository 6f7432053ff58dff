//! Paths of the store, and files that appear complete or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir, TempPath};

use super::records::CodeKey;
use crate::digest::Digest;
use crate::error::{DiskContext, DiskError};
use crate::target::is_engine_id;

/// Start of the names of unfinished files beside compiled code.
const TEMP_PREFIX: &str = ".tmp-";
/// Compiled code is read by runners of other users, images by the agent alone.
const CODE_DIR_MODE: u32 = 0o755;
const IMAGES_DIR_MODE: u32 = 0o700;
const CODE_MODE: u32 = 0o444;

#[derive(Debug, Clone)]
pub(super) struct Paths {
    root: PathBuf,
}

// === impl Paths ===

impl Paths {
    pub(super) fn create(root: PathBuf) -> Result<Self, DiskError> {
        let paths = Self { root };
        make_dir(&paths.blobs(), IMAGES_DIR_MODE)?;
        make_dir(&paths.temp(), IMAGES_DIR_MODE)?;
        make_dir(&paths.roots(), IMAGES_DIR_MODE)?;
        make_dir(&paths.code(), CODE_DIR_MODE)?;
        remove_files(&paths.temp(), "")?;
        for engine in entries(&paths.code())? {
            if engine.is_dir() {
                remove_files(&engine, TEMP_PREFIX)?;
            }
        }
        Ok(paths)
    }

    pub(super) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    fn code(&self) -> PathBuf {
        self.root.join("code")
    }

    fn blobs(&self) -> PathBuf {
        self.images().join("blobs/sha256")
    }

    fn roots(&self) -> PathBuf {
        self.images().join("root")
    }

    pub(super) fn temp(&self) -> PathBuf {
        self.images().join(".tmp")
    }

    pub(super) fn records(&self) -> PathBuf {
        self.images().join("records.json")
    }

    pub(super) fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(super) fn root(&self, manifest: Digest) -> PathBuf {
        self.roots().join(manifest.hex())
    }

    /// Where code of an engine is.
    pub(super) fn engine(&self, id: &str) -> PathBuf {
        self.code().join(id)
    }

    /// Ids of engines that have a directory.
    pub(super) fn engines(&self) -> Result<Vec<String>, DiskError> {
        let names = entries(&self.code())?.into_iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.filter(|name| is_engine_id(name)).collect())
    }

    pub(super) fn code_file(&self, key: &CodeKey) -> PathBuf {
        self.engine(&key.engine_id).join(format!("{}.cwasm", key.wasm.hex()))
    }

    /// Whether compiled code has another name, too: runners link what they use into their group's directory.
    pub(super) fn is_linked(&self, key: &CodeKey) -> bool {
        fs::symlink_metadata(self.code_file(key)).is_ok_and(|meta| meta.nlink() > 1)
    }

    /// An unfinished blob.
    pub(super) fn temp_blob(&self) -> Result<NamedTempFile, DiskError> {
        let dir = self.temp();
        NamedTempFile::new_in(&dir).at("create a file in", &dir)
    }

    /// An unfinished root.
    pub(super) fn temp_root(&self) -> Result<TempDir, DiskError> {
        let dir = self.temp();
        TempDir::new_in(&dir).at("create a directory in", &dir)
    }

    /// Moves a directory among the unfinished files, if it is there; its new path.
    pub(super) fn lay_aside(&self, path: &Path) -> Result<Option<PathBuf>, DiskError> {
        let grave = self.temp_root()?.keep();
        match fs::rename(path, &grave) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => remove(&grave).map(|()| None),
            moved => moved.at("move", path).map(|()| Some(grave)),
        }
    }

    /// An unfinished file beside its destination.
    pub(super) fn temp_code(&self, key: &CodeKey) -> Result<NamedTempFile, DiskError> {
        let dir = self.engine(&key.engine_id);
        make_dir(&dir, CODE_DIR_MODE)?;
        tempfile::Builder::new().prefix(TEMP_PREFIX).tempfile_in(&dir).at("create a file in", &dir)
    }
}

/// Runs file work off the runtime's own threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
) -> Result<T, DiskError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(err) => match err.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only at the end of the runtime, when nobody waits for the answer any more.
            Err(err) => Err(std::io::Error::other(err)).at("work on", Path::new("the image store")),
        },
    }
}

/// Content first, then the name, each synced.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let dir = parent(path);
    let mut temp = tempfile::Builder::new().prefix(TEMP_PREFIX).tempfile_in(dir).at("create a file in", dir)?;
    temp.write_all(bytes).at("write", temp.path())?;
    temp.as_file().sync_all().at("sync", temp.path())?;
    settle(temp.into_temp_path(), path)
}

/// Gives a synced file its name.
pub(super) fn settle(temp: TempPath, path: &Path) -> Result<(), DiskError> {
    temp.persist(path).map_err(|err| err.error).at("rename to", path)?;
    sync_dir(parent(path))
}

/// Gives a complete, synced directory its name. Where there is one of that name, it holds the same.
pub(super) fn settle_dir(temp: TempDir, path: &Path) -> Result<(), DiskError> {
    use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty};
    match fs::rename(temp.path(), path) {
        Err(err) if matches!(err.kind(), AlreadyExists | DirectoryNotEmpty) => return Ok(()),
        moved => moved.at("rename to", path)?,
    }
    // There is nothing left to remove under its temporary name.
    let _ = temp.keep();
    sync_dir(parent(path))
}

/// Makes a compiled file immutable, syncs it and gives it its name.
pub(super) fn settle_code(temp: NamedTempFile, path: &Path) -> Result<(), DiskError> {
    let (file, temp) = temp.into_parts();
    file.set_permissions(fs::Permissions::from_mode(CODE_MODE)).at("set the mode of", &temp)?;
    file.sync_all().at("sync", &temp)?;
    settle(temp, path)
}

/// Removes a file or a tree; one that is gone already is as good.
pub(super) fn remove(path: &Path) -> Result<(), DiskError> {
    use std::io::ErrorKind::{IsADirectory, NotFound};
    let removed = match fs::remove_file(path) {
        Err(err) if err.kind() == IsADirectory => fs::remove_dir_all(path),
        removed => removed,
    };
    match removed {
        Err(err) if err.kind() == NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}

/// Removes a directory, unless there is something in it.
pub(super) fn remove_empty_dir(path: &Path) -> Result<(), DiskError> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    match fs::remove_dir(path) {
        Err(err) if matches!(err.kind(), DirectoryNotEmpty | NotADirectory | NotFound) => Ok(()),
        removed => removed.at("remove", path),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("/"))
}

fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    File::open(dir).and_then(|dir| dir.sync_all()).at("sync", dir)
}

fn make_dir(path: &Path, mode: u32) -> Result<(), DiskError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).at("create directory", path)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, DiskError> {
    fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()).at("read", dir)
}

fn remove_files(dir: &Path, prefix: &str) -> Result<(), DiskError> {
    let unfinished = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    entries(dir)?.iter().filter(|path| unfinished(path)).try_for_each(|path| remove(path))
}
