//! What this build is.

use std::sync::LazyLock;

use wasmnode_provider_wasmtime::{PROTOCOL, WASMTIME_VERSION};

/// This project's version.
pub(crate) const WASMNODE: &str = env!("CARGO_PKG_VERSION");

/// The Kubernetes version whose kubelet this agent behaves like: what `kubectl get nodes` shows and version-skew
/// tools read.
pub(crate) const KUBELET: &str = "v1.36.3";

/// Everything, for `--version`.
pub(crate) fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!("{WASMNODE} (kubelet {KUBELET}, wasmtime {WASMTIME_VERSION}, provider protocol {PROTOCOL})")
    });
    &TEXT
}
