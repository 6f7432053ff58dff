//! For whom code is compiled. Runners outlive the agent that started them: one of an older build keeps its engine, and
//! loads only what its own program compiled for that.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Config, Engines};
use crate::ensure::Images;
use crate::error::OpenError;

/// Engines whose code is kept besides the node's own: runners of more builds than this are not upgraded but lost.
/// Code of those beyond is removed when nobody holds it, and compiled again when it is asked for.
const MAX_OLDER: usize = 32;

/// Engines, and the program that compiles for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// What loads the code.
    pub engines: Engines,
    /// Called as [`CompileConfig::program`](crate::CompileConfig::program) is.
    pub program: PathBuf,
}

/// Engines for which code was asked for since this process started, but for the node's own.
#[derive(Default)]
pub(crate) struct OlderEngines(Mutex<BTreeSet<String>>);

// === impl Images ===

impl Images {
    /// The same images, compiled for `target`; none stands for what the node's configuration names. What one target
    /// has compiled says nothing about another.
    #[must_use]
    pub fn for_target(&self, target: Option<&Target>) -> Self {
        let inner = Arc::clone(&self.inner);
        let target = target.map_or_else(|| Arc::clone(&inner.target), |target| Arc::new(target.clone()));
        Self { inner, target }
    }
}

// === impl Target ===

impl Target {
    pub(crate) fn of(config: &Config) -> Result<Self, OpenError> {
        if let Some(bad) = config.engines.ids().find(|id| !is_engine_id(id)) {
            return Err(OpenError::EngineId(bad.to_owned()));
        }
        Ok(Self { engines: config.engines.clone(), program: config.compile.program.clone() })
    }
}

// === impl OlderEngines ===

impl OlderEngines {
    /// Keeps the code of an engine.
    pub(crate) fn note(&self, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_OLDER && !known.contains(id) {
            known.insert(id.to_owned());
        }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }
}

/// An engine id becomes a directory name.
pub(crate) fn is_engine_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_engines_are_bounded() {
        let (older, id) = (OlderEngines::default(), |n: usize| format!("{n:064x}"));
        for n in 0..=MAX_OLDER {
            older.note(&id(n));
            older.note(&id(0));
        }
        assert!(older.has(&id(0)) && older.has(&id(MAX_OLDER - 1)) && !older.has(&id(MAX_OLDER)));
    }

    #[test]
    fn engine_ids_are_plain_names() {
        assert!(is_engine_id(&"0aF".repeat(22)[..64]));
        for bad in ["", "..", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &format!("{}/", "0".repeat(63))] {
            assert!(!is_engine_id(bad), "{bad}");
        }
    }
}
