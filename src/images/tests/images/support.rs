//! A store in a temporary directory and the smallest guests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use wasmnode_images::{
    CompileConfig, Config, Engines, Image, ImageError, Images, Program, PullPolicy, Reference, Request, Timeouts,
};

pub(crate) struct Node {
    pub(crate) images: Images,
    pub(crate) root: TempDir,
    config: Config,
}

/// A node with a directory of settings.
pub(crate) struct Configured {
    pub(crate) node: Node,
    settings: TempDir,
}

/// Scripts below `tests/compilers` that stand for the compiler.
pub(crate) fn compiler(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compilers").join(name)
}

/// A module whose bytes depend on `n`.
pub(crate) fn mk_module(n: usize) -> Vec<u8> {
    wat::parse_str(format!("(module (func (export \"f{n}\")))")).unwrap()
}

pub(crate) fn mk_wasip3_component() -> Vec<u8> {
    wat::parse_str("(component (import \"wasi:clocks/types@0.3.0\" (instance)))").unwrap()
}

fn mk_config(root: &Path) -> Config {
    Config {
        root: root.to_owned(),
        insecure_registries: Vec::new(),
        registry_config_dir: None,
        max_module_size: 1 << 20,
        max_unpacked_size: 4 << 20,
        compile: CompileConfig {
            program: compiler("copy"),
            jobs: 2,
            memory_bytes: 1 << 30,
            timeout: Duration::from_secs(30),
            nice: 5,
        },
        engines: Engines { base: "ba".repeat(32), wasip3: Some("33".repeat(32)) },
        pull_parallelism: 4,
        timeouts: Timeouts::default(),
        size_limit: 1 << 30,
    }
}

// === impl Node ===

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adapt: impl FnOnce(&mut Config)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut config = mk_config(root.path());
        adapt(&mut config);
        let images = Images::open(config.clone()).unwrap();
        Self { images, root, config }
    }

    /// Its configuration, changed.
    pub(crate) fn config(&self, adapt: impl FnOnce(&mut Config)) -> Config {
        let mut config = self.config.clone();
        adapt(&mut config);
        config
    }

    /// Another process on the same directory.
    pub(crate) fn restart(self, adapt: impl FnOnce(&mut Config)) -> Self {
        let config = self.config(adapt);
        drop(self.images);
        Self { images: Images::open(config.clone()).unwrap(), root: self.root, config }
    }

    pub(crate) async fn ensure(&self, reference: &Reference, policy: PullPolicy) -> Result<Image, ImageError> {
        self.images.ensure(&Request::new(reference, policy)).await
    }

    /// What runs of an image that must run.
    pub(crate) async fn program(&self, reference: &Reference, policy: PullPolicy) -> Program {
        self.ensure(reference, policy).await.unwrap().program.unwrap()
    }

    /// The message of a pull that must fail.
    pub(crate) async fn refusal(&self, reference: &Reference) -> String {
        self.ensure(reference, PullPolicy::IfNotPresent).await.unwrap_err().to_string()
    }

    pub(crate) fn blob(&self, digest: wasmnode_images::Digest) -> PathBuf {
        self.root.path().join("images/blobs/sha256").join(digest.hex())
    }

    /// Files of the store that are not finished.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        // The temporary directory itself is called .tmp-something.
        let inside = |path: PathBuf| path.strip_prefix(self.root.path()).unwrap().to_owned();
        files(self.root.path()).into_iter().map(inside).filter(|path| path.to_string_lossy().contains(".tmp")).collect()
    }

    pub(crate) fn blob_count(&self) -> usize {
        files(&self.root.path().join("images/blobs")).len()
    }

    pub(crate) fn code_count(&self) -> usize {
        files(&self.root.path().join("code")).len()
    }
}

// === impl Configured ===

impl Configured {
    pub(crate) fn new() -> Self {
        let settings = tempfile::tempdir().unwrap();
        let directory = settings.path().to_owned();
        Self { node: Node::with(|config| config.registry_config_dir = Some(directory)), settings }
    }

    pub(crate) fn set(&self, registry: &str, file: &str, text: &str) {
        let directory = self.settings.path().join(registry);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(file), text).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
