//! Images and compiled code, shared by everything that this user runs without a cluster.
//!
//! A store belongs to one process at a time. Programs run for long and ask for images rarely, so the store is opened
//! for each question, under a lock, and closed again; several questions at once share one opening.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use anyhow::Context;
use tokio::sync::Mutex;
use wasmnode_images::Images;
use wasmnode_provider_api::Welcome;

use super::console::Console;
use super::place::Root;
use crate::agent::engine::{PROGRAM, open_images};
use crate::config::Config;
use crate::config::units::Bytes;

/// The store of a user.
pub(crate) struct Cache {
    root: Root,
    /// What it says about registries and limits; its root directory is `root`, and nothing is too large.
    config: Config,
    /// Bytes that may stay when nothing runs.
    size_limit: Bytes,
    grown: AtomicBool,
    welcome: Welcome,
    console: Arc<Console>,
    open: Mutex<Weak<Opened>>,
}

/// The store while someone asks it. Dropping it closes it.
pub(crate) struct Opened {
    pub(crate) images: Images,
    _lock: File,
}

// === impl Cache ===

impl Cache {
    pub(crate) fn new(root: Root, mut config: Config, welcome: Welcome, console: Arc<Console>) -> Self {
        root.path().clone_into(&mut config.root_dir);
        // Other runs may be about to use what this one would remove.
        let size_limit = std::mem::replace(&mut config.file.image_store_size_limit, Bytes(u64::MAX));
        Self { root, config, size_limit, grown: AtomicBool::new(false), welcome, console, open: Mutex::default() }
    }

    /// Called after images were asked for.
    pub(crate) fn note_growth(&self, images: &Images) {
        let now = images.metrics();
        if now.pulls_succeeded + now.compiles_succeeded > 0 {
            self.grown.store(true, Ordering::Relaxed);
        }
    }

    /// Removes what was used least recently and is too much, if something was added and nothing
    /// runs. Called at the end, by whoever uses no image any more.
    pub(crate) async fn tidy(&self) -> anyhow::Result<()> {
        if !self.grown.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Ok(_alone) = self.root.own_images() else { return Ok(()) };
        let used = self.open().await?.images.metrics().disk_bytes;
        if used > self.size_limit.0 {
            let _lock = self.take_lock().await?;
            let mut config = self.config.clone();
            config.file.image_store_size_limit = self.size_limit;
            let images = open_images(&config, &self.welcome, Path::new(PROGRAM)).await?;
            images.collect_garbage().await.context("cannot clean up the images")?;
        }
        Ok(())
    }

    /// Opens the store, or joins those who have it open.
    pub(crate) async fn open(&self) -> anyhow::Result<Arc<Opened>> {
        let mut open = self.open.lock().await;
        if let Some(opened) = open.upgrade() {
            return Ok(opened);
        }
        let lock = self.take_lock().await?;
        let opened = Arc::new(Opened {
            images: open_images(&self.config, &self.welcome, Path::new(PROGRAM)).await?,
            _lock: lock,
        });
        *open = Arc::downgrade(&opened);
        Ok(opened)
    }

    async fn take_lock(&self) -> anyhow::Result<File> {
        let file = self.root.lock()?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                let root = self.root.path().display();
                self.console.say(&format!("waiting for another wasmnode that changes the images of {root}"));
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the images"),
        }
        let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
        locking.await.context("cannot lock the images")?.context("cannot lock the images")
    }
}
