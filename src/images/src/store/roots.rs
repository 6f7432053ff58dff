//! Unpacked roots: directories that get their name when they are complete, and lose it before they are deleted.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::files::{self, blocking};
use super::{Module, State, Store};
use crate::digest::Digest;
use crate::error::DiskError;

/// Paths whose wasm is remembered for each root; what is not is hashed at each start.
const MAX_MODULES: usize = 64;

// === impl Store ===

impl Store {
    /// Where the root of a manifest is or will be.
    pub(crate) fn root_path(&self, manifest: Digest) -> PathBuf {
        self.paths.root(manifest)
    }

    pub(crate) async fn has_root(&self, manifest: Digest) -> bool {
        tokio::fs::symlink_metadata(self.root_path(manifest)).await.is_ok_and(|meta| meta.is_dir())
    }

    /// Size of a recorded root that is there.
    pub(crate) async fn root_size(&self, manifest: Digest) -> Option<u64> {
        let find = |state: &State| {
            let mut roots = state.images.values().filter_map(|image| image.root.as_ref());
            roots.find(|root| root.manifest == manifest).map(|root| root.size)
        };
        let size = find(&self.state());
        if self.has_root(manifest).await { size } else { None }
    }

    /// An empty directory for a root. Blocking.
    pub(crate) fn temp_root(&self) -> Result<TempDir, DiskError> {
        self.paths.temp_root()
    }

    /// Gives a complete root its name; the caller has pinned and recorded it. Blocking.
    pub(crate) fn put_root(&self, manifest: Digest, temp: TempDir) -> Result<(), DiskError> {
        files::settle_dir(temp, &self.root_path(manifest))
    }

    /// What is known of a file in a root.
    pub(crate) fn module(&self, manifest: Digest, path: &Path) -> Option<Module> {
        let state = self.state();
        let mut roots = state.images.values().filter_map(|image| image.root.as_ref());
        roots.find(|root| root.manifest == manifest)?.modules.get(path.to_str()?).copied()
    }

    /// Remembers what a file in a root is: roots do not change.
    pub(crate) async fn put_module(&self, manifest: Digest, path: &Path, module: Module) -> Result<(), DiskError> {
        let Some(path) = path.to_str() else { return Ok(()) };
        for image in self.state().images.values_mut() {
            let root = image.root.as_mut().filter(|root| root.manifest == manifest);
            if let Some(root) = root.filter(|root| root.modules.len() < MAX_MODULES) {
                root.modules.insert(path.to_owned(), module);
            }
        }
        self.save().await
    }

    /// Removes a root that is damaged, whoever uses it: the next pull unpacks it again.
    pub(crate) async fn remove_root(self: &std::sync::Arc<Self>, manifest: Digest) -> Result<(), DiskError> {
        let store = std::sync::Arc::clone(self);
        blocking(move || {
            let aside = store.lay_aside(&mut store.state(), manifest);
            aside.and_then(|()| store.bury())
        })
        .await
    }

    /// Takes a root's name away, which is quick and at once. Blocking.
    pub(super) fn lay_aside(&self, state: &mut State, manifest: Digest) -> Result<(), DiskError> {
        state.graves.extend(self.paths.lay_aside(&self.root_path(manifest))?);
        Ok(())
    }

    /// Deletes what was laid aside. Blocking.
    pub(crate) fn bury(&self) -> Result<(), DiskError> {
        let graves = std::mem::take(&mut self.state().graves);
        graves.iter().try_for_each(|grave| files::remove(grave))
    }
}
