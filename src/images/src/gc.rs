//! Keeping images and code within the size limit.
//!
//! Order: leftovers of failed pulls (all that is done at open); code of engines that are gone and of images that are gone; beyond the limit idle
//! code of older engines, then whole images by last use. An image that a pod holds stays, even above the limit: a
//! running pod must be able to restart. Pods of runners that outlive this process hold theirs by hard links to the code.

use std::sync::Arc;

use crate::config::Config;
use crate::error::DiskError;
use crate::store::Store;
use crate::target::OlderEngines;

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

/// Removes what failed pulls and compilations left behind. Blocking.
pub(crate) fn remove_leftovers(store: &Store) -> Result<(), DiskError> {
    store.remove_pending()?;
    store.bury()
}

/// One pass. Blocking; the caller saves the records afterwards.
pub(crate) fn collect(store: &Arc<Store>, config: &Config, older: &OlderEngines) -> Result<Collected, DiskError> {
    store.remove_pending()?;
    let known = |id: &str| config.engines.has(id) || older.has(id);
    let stale = store.remove_code_unless(known)?;
    let mut collected = Collected { bytes: stale.bytes, ..Collected::default() };
    if store.usage().1 > config.size_limit {
        collected.bytes += store.remove_code_unless(|id| config.engines.has(id))?.bytes;
    }
    while store.usage().1 > config.size_limit {
        let Some(removed) = store.remove_oldest()? else { break };
        collected.images += removed.images;
        collected.bytes += removed.bytes;
    }
    store.remove_empty_engines(known)?;
    store.bury()?;
    collected.over_limit = store.usage().1.saturating_sub(config.size_limit);
    Ok(collected)
}
