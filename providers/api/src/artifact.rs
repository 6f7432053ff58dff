//! Compiled code that a provider can load.

use std::path::PathBuf;

use crate::EngineId;

/// The engine configurations of a process. The WASI 0.3 one costs more per instance and exists only when used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EngineName {
    /// Without component-model concurrency: core modules and WASI 0.2 components.
    Base,
    /// With it: WASI 0.3 components.
    Wasip3,
}

/// What the wasm binary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArtifactKind {
    /// A core module (preview 1).
    Module,
    /// A component (WASI 0.2 or 0.3).
    Component,
}

/// Compiled code on disk, immutable while anything uses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Artifact {
    /// Digest of the wasm binary it was compiled from, `sha256:<64 hex>`. Pods with the same digest share it.
    pub digest: String,
    /// The engine it was compiled for; another engine refuses it.
    pub engine: EngineId,
    /// Which of the process's engines that is.
    pub engine_name: EngineName,
    /// Module or component.
    pub kind: ArtifactKind,
    /// Absolute path of the `.cwasm` file.
    pub path: PathBuf,
}
