//! Removal. Each step decides and unlinks under the mutex, so that nothing gets pinned between;
//! unlinking a few files is short.

use std::collections::BTreeSet;

use super::files;
use super::{CodeKey, Pin, State, Store};
use crate::digest::Digest;
use crate::error::DiskError;

/// What one step removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) images: usize,
    pub(crate) bytes: u64,
}

// === impl Store ===

impl Store {
    /// Removes what was written and never became part of a record. Blocking.
    pub(crate) fn remove_pending(&self) -> Result<(), DiskError> {
        let mut state = self.state();
        let idle: Vec<_> = state.pending.iter().filter(|pin| !state.is_needed(pin)).cloned().collect();
        for pin in idle {
            self.unlink(&mut state, &pin)?;
            state.pending.remove(&pin);
        }
        // What a later record took over is owned by that record.
        let owned: Vec<_> = state.pending.iter().filter(|pin| state.is_recorded(pin)).cloned().collect();
        for pin in owned {
            state.pending.remove(&pin);
        }
        Ok(())
    }

    /// Removes code that no present engine can load. Blocking.
    pub(crate) fn remove_code_unless(&self, keep: impl Fn(&str) -> bool) -> Result<Removed, DiskError> {
        let mut state = self.state();
        let stale: Vec<_> = state
            .code
            .keys()
            .filter(|key| !keep(&key.engine_id) && !state.is_pinned(&Pin::Code((*key).clone())))
            .cloned()
            .collect();
        let before = state.bytes();
        for key in stale {
            self.remove_code(&mut state, &key)?;
        }
        Ok(Removed { images: 0, bytes: before - state.bytes() })
    }

    /// Removes the least recently used image that nobody holds; none where all are held. Blocking.
    pub(crate) fn remove_oldest(&self) -> Result<Option<Removed>, DiskError> {
        let mut state = self.state();
        let Some(digest) = state.oldest() else { return Ok(None) };
        self.remove_image(&mut state, digest)
    }

    /// Removes an image that nobody holds, with everything that no other one needs.
    pub(super) fn remove_image(&self, state: &mut State, digest: Digest) -> Result<Option<Removed>, DiskError> {
        let before = state.bytes();
        let Some(image) = state.images.remove(&digest) else { return Ok(None) };
        let idle: Vec<_> = image.pins().filter(|pin| !state.is_needed(pin)).collect();
        for pin in idle {
            self.unlink(state, &pin)?;
        }
        for wasm in image.wasms() {
            if state.images.values().any(|other| other.wasms().any(|used| used == wasm)) {
                continue;
            }
            for key in state.idle_code_of(wasm) {
                self.remove_code(state, &key)?;
            }
        }
        tracing::info!(%digest, names = ?image.names, "Removed an image");
        Ok(Some(Removed { images: 1, bytes: before - state.bytes() }))
    }

    fn remove_code(&self, state: &mut State, key: &CodeKey) -> Result<(), DiskError> {
        self.unlink(state, &Pin::Code(key.clone()))?;
        state.code.remove(key);
        state.checked.remove(key);
        Ok(())
    }

    fn unlink(&self, state: &mut State, pin: &Pin) -> Result<(), DiskError> {
        match pin {
            Pin::Blob(digest) => files::remove(&self.paths.blob(*digest)),
            Pin::Code(key) => files::remove(&self.paths.code_file(key)),
            Pin::Root(manifest) => self.lay_aside(state, *manifest),
        }
    }
}

// === impl State ===

impl State {
    pub(super) fn is_pinned(&self, pin: &Pin) -> bool {
        self.pins.contains_key(pin)
    }

    fn is_recorded(&self, pin: &Pin) -> bool {
        match pin {
            Pin::Blob(digest) => self.images.values().flat_map(|i| &i.blobs).any(|blob| blob.digest == *digest),
            Pin::Code(key) => self.code.contains_key(key),
            Pin::Root(manifest) => {
                self.images.values().any(|i| i.root.as_ref().is_some_and(|root| root.manifest == *manifest))
            }
        }
    }

    fn is_needed(&self, pin: &Pin) -> bool {
        self.is_pinned(pin) || self.is_recorded(pin)
    }

    fn oldest(&self) -> Option<Digest> {
        self.images
            .values()
            .filter(|image| !self.is_pinned(&Pin::Blob(image.digest)))
            .min_by_key(|image| image.last_used)
            .map(|image| image.digest)
    }

    fn idle_code_of(&self, wasm: Digest) -> BTreeSet<CodeKey> {
        self.code
            .keys()
            .filter(|key| key.wasm == wasm && !self.is_pinned(&Pin::Code((*key).clone())))
            .cloned()
            .collect()
    }
}
