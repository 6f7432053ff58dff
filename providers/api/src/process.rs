//! Verbs about the provider's process as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::{EngineId, EngineName, Exit, RunId, SandboxId};

/// What the caller says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Protocol major that the caller prefers; the one before is spoken too.
    pub protocol: u32,
    /// The caller's build, for logs.
    pub build: String,
}

/// One engine configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Which.
    pub name: EngineName,
    /// Key of code compiled for it.
    pub id: EngineId,
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Protocol major that will be spoken.
    pub protocol: u32,
    /// The provider's build.
    pub build: String,
    /// What it is and which version, as in containerRuntimeVersion: `wasmtime://48.0.8`.
    pub runtime: String,
    /// Its engines.
    pub engines: Vec<Engine>,
    /// Runs that fit at the same time.
    pub capacity: u32,
    /// Features of the kernel in use, e.g. `pagemap_scan`.
    pub features: Vec<String>,
}

/// What code for a sandbox is compiled for: its process may be of another build than the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The engines of its process.
    pub engines: Vec<Engine>,
    /// The program that compiles for them, with the verb `compile`.
    pub compiler: PathBuf,
}

/// Settings sent once after the hello.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configure {
    /// PEM bundle of additional roots for outgoing TLS.
    pub ca_bundle: Vec<u8>,
    /// Pod and Service networks of the cluster, in CIDR form.
    pub cluster_cidrs: Vec<String>,
    /// Where the node's own API listens, with each of the node's addresses: no guest reaches it.
    pub node_api: Vec<SocketAddr>,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRun {
    /// Its id.
    pub run: RunId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// Container name.
    pub container: String,
    /// When it started.
    pub started_at: SystemTime,
}

/// The answer to `list`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sandboxes that exist.
    pub sandboxes: Vec<SandboxId>,
    /// What runs.
    pub runs: Vec<ListedRun>,
    /// What has ended and was not acknowledged.
    pub exits: Vec<Exit>,
}
