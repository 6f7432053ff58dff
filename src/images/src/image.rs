//! What the rest of the node sees of an image.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::program::NoProgram;
use crate::reference::Reference;
use crate::registry::Credential;
use crate::store::{Lease, Source};

/// When a registry is asked: Kubernetes' imagePullPolicy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Resolve each time; content whose digest is here already is not loaded again.
    Always,
    /// Only when no image of that name is here.
    IfNotPresent,
    /// Not at all.
    Never,
}

/// The two shapes of wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A core module (preview 1).
    Module,
    /// A component (WASI 0.2 and later).
    Component,
}

/// The engine configuration that an image's code needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Without component-model concurrency.
    Base,
    /// With WASI 0.3.
    Wasip3,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The image.
    pub reference: &'a Reference,
    /// When its registry is asked.
    pub policy: PullPolicy,
    /// Tried in order; none means anonymous.
    pub credentials: &'a [Credential],
    /// The pod's `command`, which may name the file that runs; empty: the image decides.
    pub command: &'a [String],
    /// The pod's `args`.
    pub args: &'a [String],
    /// The pod's `PATH`; none: the image's.
    pub path: Option<&'a str>,
}

/// A verified image. Clones share the lease: while one lives, nothing of the image is removed from disk.
#[derive(Debug, Clone)]
pub struct Image {
    /// What was asked for, normalised.
    pub reference: Reference,
    /// Digest of the manifest (of the index, where there is one) that the reference resolved to.
    pub digest: Digest,
    /// `registry/repository@sha256:…`, for a container status.
    pub image_id: String,
    /// Bytes of all its blobs.
    pub size_bytes: u64,
    /// What runs, compiled; or why nothing of the image can be started with the command that was asked for.
    pub program: Result<Program, NoProgram>,
    /// Its root file system, if it has one: never written to, read by this agent's user only. A container gets a
    /// copy ([`copy_root`](crate::copy_root)).
    pub root: Option<PathBuf>,
    /// The layer's `org.opencontainers.image.title`, if it is a usable file name.
    pub title: Option<String>,
    /// How long pulling took; none if no registry was asked ("already present on machine").
    pub pulled: Option<PullTiming>,
    /// What the image says about running it; empty for plain wasm artifacts.
    pub config: RunConfig,
    /// Keeps blobs and code on disk.
    pub lease: Lease,
}

/// The wasm of an image that runs.
#[derive(Debug, Clone)]
pub struct Program {
    /// Module or component.
    pub kind: Kind,
    /// Digest of the wasm itself, which keys the compiled code.
    pub wasm_digest: Digest,
    /// Which engine runs it.
    pub engine: Engine,
    /// That engine's id.
    pub engine_id: String,
    /// The compiled code, mode 0444, immutable.
    pub code: PathBuf,
    /// Digest of the compiled code, for whoever loads it.
    pub code_digest: Digest,
    /// How long compiling took, queue included; none if the code was there.
    pub compiled: Option<Duration>,
    /// What compiled it.
    pub(crate) compiler: PathBuf,
    /// Where the wasm is.
    pub(crate) source: Source,
}

/// The two durations of the kubelet's `Pulled` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullTiming {
    /// Talking to the registry.
    pub pull: Duration,
    /// The same plus waiting for a turn.
    pub waiting_included: Duration,
}

/// The part of an OCI image configuration that a container starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunConfig {
    /// argv that a pod's `command` replaces.
    pub entrypoint: Vec<String>,
    /// argv that a pod's `args` replace.
    pub cmd: Vec<String>,
    /// `NAME=value`, before the pod's own.
    pub env: Vec<String>,
    /// Working directory, if one is set.
    pub working_dir: Option<String>,
}

/// One entry of a node's `status.images`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Names by digest first, then by tag.
    pub names: Vec<String>,
    /// Bytes of all its blobs.
    pub size_bytes: u64,
}

// === impl Request ===

impl<'a> Request<'a> {
    /// For whatever the image itself runs, pulled anonymously.
    #[must_use]
    pub fn new(reference: &'a Reference, policy: PullPolicy) -> Self {
        Self { reference, policy, credentials: &[], command: &[], args: &[], path: None }
    }
}

// === impl Image ===

impl Image {
    /// Whether compiling was part of getting it.
    pub(crate) fn was_compiled(&self) -> bool {
        self.program.as_ref().is_ok_and(|program| program.compiled.is_some())
    }
}

// === impl RunConfig ===

impl RunConfig {
    /// Bytes of all its texts.
    pub(crate) fn size(&self) -> usize {
        let lists = [&self.entrypoint, &self.cmd, &self.env].into_iter().flatten();
        lists.chain(&self.working_dir).map(String::len).sum()
    }
}

// === impl Engine ===

impl Engine {
    /// The name on the compiler's command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Wasip3 => "wasip3",
        }
    }
}
