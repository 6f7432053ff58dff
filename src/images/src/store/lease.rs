//! Pins on files, held as a value.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CodeKey, State, Store};
use crate::digest::Digest;

/// One file of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pin {
    Blob(Digest),
    Code(CodeKey),
    /// An unpacked root, by its manifest.
    Root(Digest),
}

/// Keeps an image's files on disk for as long as a clone of it lives.
#[derive(Clone)]
pub struct Lease(Arc<Held>);

struct Held {
    store: Arc<Store>,
    pins: Vec<Pin>,
}

// === impl Lease ===

impl Lease {
    /// `state` is the locked state of `store`.
    pub(super) fn take(store: &Arc<Store>, state: &mut State, pins: impl IntoIterator<Item = Pin>) -> Self {
        let pins: Vec<_> = pins.into_iter().collect();
        for pin in &pins {
            *state.pins.entry(pin.clone()).or_default() += 1;
        }
        Self(Arc::new(Held { store: Arc::clone(store), pins }))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.0.pins).finish()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.store.state();
        for pin in &self.pins {
            if let Some(count) = state.pins.get_mut(pin) {
                *count -= 1;
                if *count == 0 {
                    state.pins.remove(pin);
                }
            }
        }
    }
}
