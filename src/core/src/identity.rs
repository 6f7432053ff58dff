//! Who a pod is, and the names that follow from it.

use std::fmt;

use sha2::{Digest, Sha256};

/// A pod by namespace, name and UID. Two pods of one name are told apart by their UIDs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID given by the API server.
    pub uid: String,
}

impl PodRef {
    /// `namespace/name`, by which only one pod runs at a time.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Sandbox id: 64 hex digits, a hash of the UID and the sandbox attempt.
    pub fn sandbox_id(&self, attempt: u32) -> String {
        hash(&[&self.uid, &attempt.to_string()])
    }
}

/// As the kubelet prints a pod in messages: `NAME_NAMESPACE(UID)`.
impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}({})", self.name, self.namespace, self.uid)
    }
}

/// Run id: 64 hex digits, a hash of sandbox, container and attempt; the part of containerID after `wasmtime://`.
pub fn run_id(sandbox: &str, container: &str, attempt: u32) -> String {
    hash(&[sandbox, container, &attempt.to_string()])
}

/// SHA-256 over the parts with their lengths, so that no two lists of parts give the same text.
fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(run_id("ab", "c", 1), run_id("a", "bc", 1));
        assert_ne!(run_id("a", "b", 1), run_id("a", "b", 11));
        assert_eq!(run_id("a", "b", 1).len(), 64);
    }
}
