//! Directories below the user's directory of caches.
//!
//! ```text
//! <root>/images/ code/   what was pulled and compiled, shared by all runs
//! <root>/lock            held by whoever changes them
//! <root>/in-use          held shared by every run, and alone by whoever removes images
//! <root>/runs/<id>/      files and logs of one run, locked by it, removed with it
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// What `run` and the image tools share.
#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

/// The directory of one run. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    // Held open for its lock: a run whose directory is not locked is gone.
    _lock: File,
}

// === impl Root ===

impl Root {
    /// The directory that was asked for, or the user's.
    pub(crate) fn create(asked: Option<&Path>) -> anyhow::Result<Self> {
        let path = match asked {
            Some(path) => std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?,
            None => user_caches()?.join("wasmnode"),
        };
        let mut builder = std::fs::DirBuilder::new();
        let created = builder.recursive(true).mode(0o700).create(path.join("runs"));
        created.with_context(|| format!("cannot create directory {}: choose another --root-dir", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The file whose lock guards images and code.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        self.open("lock")
    }

    /// Until it is dropped, nobody removes images.
    pub(crate) fn use_images(&self) -> anyhow::Result<File> {
        let file = self.open("in-use")?;
        file.lock_shared().context("cannot lock the images")?;
        Ok(file)
    }

    /// The right to remove images, if nobody runs one.
    pub(crate) fn own_images(&self) -> anyhow::Result<File> {
        let file = self.open("in-use")?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                bail!("images of {} are in use: wait until nothing runs", self.0.display())
            }
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock the images"),
        }
    }

    fn open(&self, name: &str) -> anyhow::Result<File> {
        open(&self.0.join(name))
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.with_context(|| format!("cannot open {}", path.display()))
}

/// As the XDG base directory specification has it: a relative path is as if there were none.
fn user_caches() -> anyhow::Result<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    directory("XDG_CACHE_HOME")
        .or_else(|| Some(directory("HOME")?.join(".cache")))
        .context("there is no home directory to keep images in: set HOME, XDG_CACHE_HOME or --root-dir")
}

// === impl Scratch ===

impl Scratch {
    /// Removes what runs left that were killed, and makes a new one.
    pub(super) fn create(root: &Root, id: &str) -> anyhow::Result<Self> {
        let runs = root.0.join("runs");
        // Between making a directory and locking it, it looks abandoned.
        let guard = open(&runs.join("lock"))?;
        guard.lock().context("cannot lock the directory of runs")?;
        remove_abandoned(&runs).with_context(|| format!("cannot clean up {}", runs.display()))?;
        let path = runs.join(id);
        std::fs::create_dir(&path).with_context(|| format!("cannot create directory {}", path.display()))?;
        let lock = open(&path.join("lock"))?;
        lock.lock().context("cannot lock the directory of this run")?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "Cannot remove the files of this run, the next one will");
        }
    }
}

fn remove_abandoned(runs: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(runs)? {
        let path = entry?.path();
        let Ok(lock) = File::open(path.join("lock")) else { continue };
        if lock.try_lock().is_ok() {
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn abandoned_runs_are_removed_and_live_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::create(Some(folder.path())).unwrap();
        let live = Scratch::create(&root, "live").unwrap();
        let abandoned = folder.path().join("runs/abandoned");
        std::fs::create_dir(&abandoned).unwrap();
        std::fs::write(abandoned.join("lock"), "").unwrap();
        let other = Scratch::create(&root, "other").unwrap();
        assert!(live.path().exists() && other.path().exists() && !abandoned.exists());
        let path = other.path().to_owned();
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn images_are_removed_by_nobody_while_something_runs() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::create(Some(folder.path())).unwrap();
        let used = root.use_images().unwrap();
        assert!(root.own_images().unwrap_err().to_string().contains("in use"));
        drop(used);
        root.own_images().unwrap();
    }
}
