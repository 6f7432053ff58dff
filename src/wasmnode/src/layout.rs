//! The agent's directories, their modes, and the version of what is in them.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::Config;
use crate::tmpfs;

/// Version of the tree below the root directory. An agent reads this one and the one before it; a change that the
/// release before cannot read gets a new number.
const VERSION: u32 = 1;

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The root directory.
    pub(crate) root: PathBuf,
    /// Keys and certificates, agent only.
    pub(crate) pki: PathBuf,
    /// Sockets and volumes in memory.
    pub(crate) run: PathBuf,
    /// Log directories of pods.
    pub(crate) pod_logs: PathBuf,
    /// Links that log collectors follow.
    pub(crate) container_links: PathBuf,
}

// === impl Layout ===

impl Layout {
    /// Creates what is missing. Called before the lock is taken, since the lock is a file of the root directory.
    pub(crate) fn create_root(root: &Path) -> anyhow::Result<()> {
        directory(root, 0o755)
    }

    /// Under the lock: everything else.
    pub(crate) fn create(config: &Config) -> anyhow::Result<Self> {
        let layout = Self {
            root: config.root_dir.clone(),
            pki: config.root_dir.join("pki"),
            run: config.file.run_directory.clone(),
            pod_logs: config.file.pod_logs_dir.clone(),
            container_links: config.file.container_links_dir.clone(),
        };
        check_version(&layout.root.join("version"))?;
        directory(&layout.pki, 0o700)?;
        directory(&layout.root.join("images"), 0o700)?;
        directory(&layout.root.join("code"), 0o755)?;
        directory(&layout.bin(), 0o755)?;
        directory(&layout.root.join("groups"), 0o755)?;
        directory(&layout.pod_logs, 0o755)?;
        directory(&layout.container_links, 0o755)?;
        directory(&layout.run, 0o755)?;
        tmpfs::ensure(&layout.run, config.file.run_directory_size.0)?;
        directory(&layout.run.join("groups"), 0o755)?;
        Ok(layout)
    }

    /// Programs that runners were started from, by build.
    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }
}

/// Creates a directory with its parents; an existing one keeps its mode, since an operator may have narrowed it.
fn directory(path: &Path, mode: u32) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let create = || {
        DirBuilder::new().recursive(true).mode(0o755).create(path)?;
        // The process's umask takes bits from what was asked for.
        std::fs::set_permissions(path, Permissions::from_mode(mode))
    };
    create().with_context(|| format!("cannot create directory {}", path.display()))
}

/// Writes the version, or refuses a tree that a newer release made.
fn check_version(path: &Path) -> anyhow::Result<()> {
    match std::fs::read_to_string(path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(version) if version <= VERSION => {}
            Ok(version) => bail!(
                "{} says version {version}, and this release knows versions up to {VERSION}: run the newer release, or \
                 choose another --root-dir",
                path.display()
            ),
            Err(_) => bail!("{} does not hold a version number: is this the right --root-dir?", path.display()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    std::fs::write(path, format!("{VERSION}\n")).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_tree_of_a_newer_release_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("version");
        check_version(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
        check_version(&path).unwrap();
        std::fs::write(&path, "2\n").unwrap();
        assert!(check_version(&path).unwrap_err().to_string().contains("version 2"));
        std::fs::write(&path, "other\n").unwrap();
        assert!(check_version(&path).is_err());
    }

    #[test]
    fn directories_get_their_modes_and_keep_narrower_ones() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        directory(&path, 0o750).unwrap();
        assert_eq!(mode(&path), 0o750);
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        directory(&path, 0o750).unwrap();
        assert_eq!(mode(&path), 0o700);
    }
}
