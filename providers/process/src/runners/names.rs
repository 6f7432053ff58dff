//! Names that stand in paths, and where a runner's things are.
//!
//! ```text
//! <memory>/runners.lock                       one agent per directory; holds the boot's id
//! <memory>/groups/<g>/runners/<id>.json       the record of a runner
//! <memory>/groups/<g>/runners/<id>.sock       its socket
//! <memory>/groups/<g>/runners/<id>.runs/      one link per run that was started there and not acknowledged
//! <memory>/groups/<g>/runners/<sandbox>.spec  what a sandbox was created from
//! <state>/groups/<g>/code/<engine>/<hex>.cwasm  compiled code, root's
//! <state>/groups/<g>/exits/<id>/              exits and last words, written by the runner: the only part that is not trusted
//! ```
//!
//! All but the last belong to the agent, in directories that nobody else may write to, and are reached by path.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use wasmnode_provider_api::{Error, SandboxId};

/// Bytes of a group's name: a file system takes 255 and a namespace has 63.
const MAX_GROUP: usize = 128;

/// Which runner: 16 lower-case hexadecimal digits, never used again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunnerId(String);

/// The directories of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupDirs {
    /// `<memory>/groups/<g>/runners`.
    pub(crate) runners: PathBuf,
    /// `<state>/groups/<g>/exits`.
    pub(crate) exits: PathBuf,
    /// `<state>/groups/<g>/code`.
    pub(crate) code: PathBuf,
    /// `<state>/groups/<g>/pods` and `<memory>/groups/<g>/pods`: what a runner is let into.
    pub(crate) pods: [PathBuf; 2],
}

// === impl RunnerId ===

impl RunnerId {
    /// A new one; whoever uses it creates its files exclusively.
    pub(crate) fn random() -> Self {
        // Each state is seeded by the system's randomness.
        Self(format!("{:016x}", RandomState::new().hash_one(std::process::id())))
    }

    /// `None` for what is no id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (text.len() == 16 && digits).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl GroupDirs ===

impl GroupDirs {
    pub(crate) fn new(state_root: &Path, memory_root: &Path, group: &str) -> Self {
        let [state, memory] = [state_root, memory_root].map(|root| root.join("groups").join(group));
        Self {
            runners: memory.join("runners"),
            exits: state.join("exits"),
            code: state.join("code"),
            pods: [state, memory].map(|group| group.join("pods")),
        }
    }

    pub(crate) fn record(&self, id: &RunnerId) -> PathBuf {
        self.runners.join(format!("{id}.json"))
    }

    pub(crate) fn socket(&self, id: &RunnerId) -> PathBuf {
        self.runners.join(socket_name(id))
    }

    pub(crate) fn runs(&self, id: &RunnerId) -> PathBuf {
        self.runners.join(format!("{id}.runs"))
    }

    pub(crate) fn spec(&self, sandbox: &SandboxId) -> PathBuf {
        self.runners.join(format!("{sandbox}.spec"))
    }

    pub(crate) fn exits_of(&self, id: &RunnerId) -> PathBuf {
        self.exits.join(id.as_str())
    }
}

pub(crate) fn socket_name(id: &RunnerId) -> String {
    format!("{id}.sock")
}

/// `group`, if it can be a directory's name.
pub(crate) fn group(group: &str) -> Result<&str, Error> {
    let bad = group.is_empty() || group.starts_with('.') || group.len() > MAX_GROUP || group.contains(['/', '\0']);
    if bad {
        let shown: String = group.chars().take(64).collect();
        return Err(Error::Malformed(format!("isolation.group {shown:?} cannot be a directory's name")));
    }
    Ok(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_elements_of_a_path() {
        for good in ["node", "ns-default", "pod-4f9d", "a..b"] {
            assert_eq!(group(good), Ok(good));
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\0", &"x".repeat(200)] {
            assert!(group(bad).is_err(), "{bad:?}");
        }
        let id = RunnerId::random();
        assert_eq!(RunnerId::parse(id.as_str()), Some(id));
        for bad in ["", "0123456789abcde", "0123456789abcdeF", "../../../../../etc"] {
            assert_eq!(RunnerId::parse(bad), None);
        }
    }
}
