//! Records by name, for people.

use super::{ImageRecord, Pin, Store};
use crate::error::DiskError;

/// What became of a name that is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgotten {
    /// There was none.
    Unknown,
    /// The image is in use.
    Held,
    /// It is gone, with its image if it was the last by tag.
    Removed,
}

impl Store {
    pub(crate) fn records(&self) -> Vec<ImageRecord> {
        self.state().images.values().cloned().collect()
    }

    /// Blocking; the caller saves the records.
    pub(crate) fn forget(&self, name: &str) -> Result<Forgotten, DiskError> {
        let mut state = self.state();
        let Some(record) = state.images.values_mut().find(|image| image.names.contains(name)) else {
            return Ok(Forgotten::Unknown);
        };
        let digest = record.digest;
        let others = record.names.iter().any(|other| other != name && !other.contains('@'));
        if others && !name.contains('@') {
            record.names.remove(name);
            return Ok(Forgotten::Removed);
        }
        let linked = state.images.get(&digest).is_some_and(|image| self.is_linked(&state, image));
        if linked || state.is_pinned(&Pin::Blob(digest)) {
            return Ok(Forgotten::Held);
        }
        self.remove_image(&mut state, digest)?;
        Ok(Forgotten::Removed)
    }
}
