//! What the node's configuration decides about images. Plain data: the binary validates it.

use std::path::PathBuf;
use std::time::Duration;

use crate::image::Engine;

const MIN_UNPACKED: u64 = 1 << 30;

/// Settings of [`Images::open`](crate::Images::open).
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory that gets `images/` and `code/`. Only one process may use it at a time.
    pub root: PathBuf,
    /// Registries (`host` or `host:port`, as written in references) that are spoken to without
    /// TLS. Loopback hosts always are, except on port 443.
    pub insecure_registries: Vec<String>,
    /// Directory with settings of registries in containerd's form, `<host>/hosts.toml`: mirrors, certificates. Read
    /// at each pull.
    pub registry_config_dir: Option<PathBuf>,
    /// Largest wasm blob that is pulled, in bytes.
    pub max_module_size: u64,
    /// Bytes that the layers of one container image may have, unpacked; see [`Config::unpacked_size_for`].
    pub max_unpacked_size: u64,
    /// How wasm becomes machine code; its program makes code for `engines`.
    pub compile: CompileConfig,
    /// The engines that code is compiled for where no [`Target`](crate::Target) is named.
    pub engines: Engines,
    /// How many pulls talk to registries at once; at least 1.
    pub pull_parallelism: usize,
    /// How long registries may take.
    pub timeouts: Timeouts,
    /// Bytes that images and code may take together; beyond it the least recently used images
    /// that no pod holds are removed.
    pub size_limit: u64,
}

/// The out-of-process compiler.
#[derive(Debug, Clone)]
pub struct CompileConfig {
    /// Program that is run as `PROGRAM compile --engine NAME --nice N --memory-limit BYTES` with
    /// wasm on stdin and compiled code on stdout.
    pub program: PathBuf,
    /// Compilations at once; 0 means one per two cores, at least one.
    pub jobs: usize,
    /// Address space that one job may use, in bytes.
    pub memory_bytes: u64,
    /// When a job is killed.
    pub timeout: Duration,
    /// Niceness of a job, 0 to 19.
    pub nice: u8,
}

/// Ids of the engine configurations, as 64 hex digits; each has its own compiled code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Engines {
    /// The engine of modules and of components up to WASI 0.2.
    pub base: String,
    /// The engine of WASI 0.3, if the node has it.
    pub wasip3: Option<String>,
}

/// Bounds on a registry's slowness.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection is established.
    pub connect: Duration,
    /// Between two reads.
    pub stall: Duration,
    /// One manifest, token or configuration.
    pub request: Duration,
    /// One blob.
    pub blob: Duration,
}

impl Config {
    /// A [`Config::max_unpacked_size`] that goes with a [`Config::max_module_size`]: room for the program and what it
    /// comes with (interpreters bring libraries), and never less than 1 GiB.
    #[must_use]
    pub fn unpacked_size_for(max_module_size: u64) -> u64 {
        max_module_size.saturating_mul(4).max(MIN_UNPACKED)
    }
}

impl CompileConfig {
    /// `jobs` with 0 resolved for this machine.
    pub(crate) fn effective_jobs(&self) -> usize {
        if self.jobs > 0 {
            return self.jobs;
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (cores / 2).max(1)
    }
}

impl Engines {
    /// The id of `engine`, or none where the node does not have it.
    pub(crate) fn id(&self, engine: Engine) -> Option<&str> {
        match engine {
            Engine::Base => Some(&self.base),
            Engine::Wasip3 => self.wasip3.as_deref(),
        }
    }

    /// All of them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        [Some(self.base.as_str()), self.wasip3.as_deref()].into_iter().flatten()
    }

    /// Whether code of engine `id` can still be loaded.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids().any(|known| known == id)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            request: Duration::from_secs(60),
            blob: Duration::from_secs(30 * 60),
        }
    }
}
