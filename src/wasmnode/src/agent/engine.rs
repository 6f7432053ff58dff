//! The engine in this process, for verbs that run no agent, and the images of all of them.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tracing::info;
use wasmnode_images::{CompileConfig, Engines, Images, Timeouts};
use wasmnode_provider_api::{Configure, EngineName, Hello, Provider, Welcome};
use wasmnode_provider_wasmtime::WasmtimeProvider;

use crate::config::Config;
use crate::config::sections::Switch;
use crate::version;

/// This program. The link leads to the file that this process was started from, even after it was replaced: only that
/// one makes code that this engine can load.
pub(crate) const PROGRAM: &str = "/proc/self/exe";

/// The engine, once it was said hello to.
pub(crate) struct Engine {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) welcome: Welcome,
}

// === impl Engine ===

impl Engine {
    /// Makes it and reserves its address space.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let settings = wasmnode_provider_wasmtime::Settings {
            capacity: config.file.capacity,
            wasip3: config.file.wasip3 == Switch::On,
            ..wasmnode_provider_wasmtime::Settings::default()
        };
        // Reserving the pool's address space takes some milliseconds.
        let making = tokio::task::spawn_blocking(|| WasmtimeProvider::new(settings));
        let provider = making.await.context("cannot make the engine")?.context("cannot make the engine")?;
        let hello = Hello { protocol: wasmnode_provider_wasmtime::PROTOCOL, build: version::WASMNODE.to_owned() };
        let welcome = provider.hello(hello).await.context("the engine does not answer")?;
        provider.configure(Configure::default()).await.context("the engine refuses its settings")?;
        info!(
            runtime = welcome.runtime,
            capacity = welcome.capacity,
            features = welcome.features.join(","),
            "The engine is ready"
        );
        Ok(Self { provider: Arc::new(provider), welcome })
    }
}

/// Opens the image store, with code for these engines, compiled by that program.
pub(crate) async fn open_images(config: &Config, welcome: &Welcome, program: &Path) -> anyhow::Result<Images> {
    let id = |name| welcome.engines.iter().find(|engine| engine.name == name).map(|engine| engine.id.to_string());
    let file = &config.file;
    let config = wasmnode_images::Config {
        root: config.root_dir.clone(),
        insecure_registries: file.insecure_registries.clone(),
        registry_config_dir: file.registry_config_dir.clone(),
        max_module_size: file.max_module_size.0,
        max_unpacked_size: wasmnode_images::Config::unpacked_size_for(file.max_module_size.0),
        compile: CompileConfig {
            program: program.to_owned(),
            jobs: file.compile.jobs,
            memory_bytes: file.compile.memory_limit.0,
            timeout: file.compile.timeout.0,
            nice: file.compile.nice,
        },
        engines: Engines {
            base: id(EngineName::Base).context("the engine has no base configuration")?,
            wasip3: id(EngineName::Wasip3),
        },
        pull_parallelism: file.max_parallel_image_pulls,
        timeouts: Timeouts::default(),
        size_limit: file.image_store_size_limit.0,
    };
    let opening = tokio::task::spawn_blocking(|| Images::open(config)).await.context("cannot open the image store")?;
    opening.context("cannot open the image store")
}
