//! Prepared artifacts, shared by digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use wasmnode_provider_api::{Artifact, EngineId, Error};

use crate::linked::Linked;

/// Artifacts that stay loaded although nothing runs them: enough for every pod of a busy node that is between its
/// `prepare` and its `start`, few enough that forgotten images cost megabytes.
const MAX_UNUSED: usize = 256;

type Slot = Arc<OnceCell<Arc<Linked>>>;

#[derive(Default)]
pub(crate) struct Artifacts {
    inner: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    slots: HashMap<(String, EngineId), (Slot, u64)>,
    clock: u64,
}

impl Artifacts {
    /// The place of an artifact, filled or not, to be filled by one caller at a time.
    pub(crate) fn slot(&self, artifact: &Artifact) -> Slot {
        let mut loaded = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.clock += 1;
        let now = loaded.clock;
        let entry = loaded.slots.entry(key(artifact)).or_default();
        entry.1 = now;
        let slot = entry.0.clone();
        loaded.evict();
        slot
    }

    /// # Errors
    /// [`Error::NotFound`] for what was not prepared.
    pub(crate) fn get(&self, artifact: &Artifact) -> Result<Arc<Linked>, Error> {
        let mut loaded = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.clock += 1;
        let now = loaded.clock;
        let found = loaded.slots.get_mut(&key(artifact)).and_then(|(slot, used)| {
            *used = now;
            slot.get().cloned()
        });
        found.ok_or_else(|| Error::NotFound { what: "artifact".to_owned(), id: artifact.digest.clone() })
    }
}

impl Loaded {
    fn evict(&mut self) {
        if self.slots.len() <= MAX_UNUSED {
            return;
        }
        let unused = |(slot, _): &(Slot, u64)| Arc::strong_count(slot) == 1 && slot.get().is_none_or(is_idle);
        let mut idle: Vec<u64> = self.slots.values().filter(|entry| unused(entry)).map(|(_, used)| *used).collect();
        idle.sort_unstable();
        let Some(oldest_kept) = idle.len().checked_sub(MAX_UNUSED).map(|i| idle[i.min(idle.len() - 1)]) else { return };
        self.slots.retain(|_, entry| !unused(entry) || entry.1 >= oldest_kept);
    }
}

fn is_idle(command: &Arc<Linked>) -> bool {
    Arc::strong_count(command) == 1
}

fn key(artifact: &Artifact) -> (String, EngineId) {
    (artifact.digest.clone(), artifact.engine.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmnode_provider_api::{ArtifactKind, EngineName};

    use super::*;

    fn artifact(digest: usize) -> Artifact {
        Artifact {
            digest: digest.to_string(),
            engine: EngineId::new("0".repeat(64)).unwrap(),
            engine_name: EngineName::Base,
            kind: ArtifactKind::Module,
            path: "/none".into(),
        }
    }

    #[test]
    fn forgets_what_was_unused_longest() {
        let artifacts = Artifacts::default();
        let held = artifacts.slot(&artifact(0));
        for i in 1..=2 * MAX_UNUSED {
            artifacts.slot(&artifact(i));
        }
        let loaded = artifacts.inner.lock().unwrap();
        let there = |i: usize| loaded.slots.contains_key(&key(&artifact(i)));
        assert!(there(0), "what is in use should stay");
        assert!(!there(1) && there(2 * MAX_UNUSED));
        assert!((MAX_UNUSED..=MAX_UNUSED + 2).contains(&loaded.slots.len()), "{}", loaded.slots.len());
        drop(held);
    }
}
