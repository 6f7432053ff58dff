//! Keeping images and code within the size limit.
//!
//! Order: leftovers of failed pulls, code of engines that are gone, then whole images by last use.
//! An image that a pod holds stays, even above the limit: a running pod must be able to restart.

use std::sync::Arc;

use crate::config::Config;
use crate::error::DiskError;
use crate::store::Store;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Images removed.
    pub images: usize,
    /// Bytes of images and code removed.
    pub bytes: u64,
    /// Bytes by which what is in use still exceeds the limit.
    pub over_limit: u64,
}

/// One pass. Blocking; the caller saves the records afterwards.
pub(crate) fn collect(store: &Arc<Store>, config: &Config) -> Result<Collected, DiskError> {
    store.remove_pending()?;
    let stale = store.remove_code_unless(|id| config.engines.has(id))?;
    let mut collected = Collected { bytes: stale.bytes, ..Collected::default() };
    while store.usage().1 > config.size_limit {
        let Some(removed) = store.remove_oldest()? else { break };
        collected.images += removed.images;
        collected.bytes += removed.bytes;
    }
    store.bury()?;
    collected.over_limit = store.usage().1.saturating_sub(config.size_limit);
    Ok(collected)
}
