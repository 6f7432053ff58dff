//! What every tool works with: the engine, for its ids and its verdicts, and the user's store.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use wasmnode_provider_api::Provider;

use super::args::StoreArgs;
use crate::agent::engine::Engine;
use crate::exit::Failure;
use crate::run::cache::Cache;
use crate::run::console::Console;
use crate::run::place::Root;
use crate::run::store_config;

/// The engine only loads code here, one artifact at a time.
const CAPACITY: u32 = 1;

/// The tools' workplace.
pub(super) struct Bench {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) cache: Cache,
    pub(super) console: Arc<Console>,
    root: Root,
    /// What relative paths are relative to.
    pub(super) base: PathBuf,
}

// === impl Bench ===

impl Bench {
    pub(super) async fn new(args: &StoreArgs) -> Result<Self, Failure> {
        let console = Arc::new(Console::new());
        let root = Root::create(args.root_dir.as_deref())?;
        let mut config = store_config(args.config.clone(), &root)?;
        config.file.capacity = CAPACITY;
        let Engine { provider, welcome } = Engine::start(&config).await?;
        let cache = Cache::new(root.clone(), config, welcome, Arc::clone(&console));
        Ok(Self { provider, cache, console, root, base: PathBuf::from(".") })
    }

    /// Until it is dropped, no run starts; fails while one is under way.
    pub(super) fn alone(&self) -> anyhow::Result<File> {
        self.root.own_images()
    }

    /// Until it is dropped, nobody removes images.
    pub(super) fn using(&self) -> anyhow::Result<File> {
        self.root.use_images()
    }
}
