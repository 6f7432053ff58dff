//! Removal. Each step decides and unlinks under the mutex, so that nothing gets pinned between;
//! unlinking a few files is short.

use std::collections::BTreeSet;

use super::files;
use super::{CodeKey, ImageRecord, Pin, State, Store};
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

    /// Removes idle code of engines that are not kept, and of wasm that is in no image. Blocking.
    pub(crate) fn remove_code_unless(&self, keep: impl Fn(&str) -> bool) -> Result<Removed, DiskError> {
        let mut state = self.state();
        let known: BTreeSet<_> = state.images.values().flat_map(ImageRecord::wasms).collect();
        let gone = |key: &CodeKey| !keep(&key.engine_id) || !known.contains(&key.wasm);
        let stale: Vec<_> = state.code.keys().filter(|key| gone(key) && self.is_idle(&state, key)).cloned().collect();
        let before = state.bytes();
        for key in stale {
            self.remove_code(&mut state, &key)?;
        }
        Ok(Removed { images: 0, bytes: before - state.bytes() })
    }

    /// Removes the directories of engines that are not kept once there is no code in them, nor about to be. Blocking.
    pub(crate) fn remove_empty_engines(&self, keep: impl Fn(&str) -> bool) -> Result<(), DiskError> {
        let state = self.state();
        let mut gone = self.paths.engines()?;
        gone.retain(|id| !keep(id) && !state.has_code_of(id));
        gone.iter().try_for_each(|id| files::remove_empty_dir(&self.paths.engine(id)))
    }

    /// Removes the least recently used image that nobody holds; none where all are held. Blocking.
    pub(crate) fn remove_oldest(&self) -> Result<Option<Removed>, DiskError> {
        let mut state = self.state();
        let Some(digest) = self.oldest(&state) else { return Ok(None) };
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
            let code: Vec<_> = state.code_of(wasm).filter(|key| self.is_idle(state, key)).cloned().collect();
            for key in code {
                self.remove_code(state, &key)?;
            }
        }
        tracing::info!(%digest, names = ?image.names, "Removed an image");
        Ok(Some(Removed { images: 1, bytes: before - state.bytes() }))
    }

    /// The least recently used image that nobody holds.
    fn oldest(&self, state: &State) -> Option<Digest> {
        let unpinned = state.images.values().filter(|image| !state.is_pinned(&Pin::Blob(image.digest)));
        let mut unpinned: Vec<_> = unpinned.collect();
        unpinned.sort_by_key(|image| image.last_used);
        unpinned.into_iter().find(|image| !self.is_linked(state, image)).map(|image| image.digest)
    }

    /// Whether a runner has some of an image's code.
    pub(super) fn is_linked(&self, state: &State, image: &ImageRecord) -> bool {
        image.wasms().flat_map(|wasm| state.code_of(wasm)).any(|key| self.paths.is_linked(key))
    }

    fn is_idle(&self, state: &State, key: &CodeKey) -> bool {
        !state.is_pinned(&Pin::Code(key.clone())) && !self.paths.is_linked(key)
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

    /// Whether there is code of an engine, or somebody is about to write some.
    fn has_code_of(&self, engine: &str) -> bool {
        let of_engine = |pin: &Pin| matches!(pin, Pin::Code(key) if key.engine_id == engine);
        self.code.keys().any(|key| key.engine_id == engine)
            || self.pending.iter().any(of_engine)
            || self.pins.keys().any(of_engine)
    }

    /// For every engine that it was compiled for.
    fn code_of(&self, wasm: Digest) -> impl Iterator<Item = &CodeKey> {
        self.code.keys().filter(move |key| key.wasm == wasm)
    }
}
