//! One at a time, by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Waiting = Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>;

/// Locks that exist while somebody has or wants them.
#[derive(Debug, Default)]
pub(crate) struct Turns(Arc<Waiting>);

/// Given back when dropped.
pub(crate) struct Turn {
    name: String,
    waiting: Arc<Waiting>,
    guard: Option<OwnedMutexGuard<()>>,
}

// === impl Turns ===

impl Turns {
    pub(crate) async fn take(&self, name: &str) -> Turn {
        let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone();
        // Made before the wait, so that a wait that is given up cleans up, too.
        let mut turn = Turn { name: name.to_owned(), waiting: self.0.clone(), guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            waiting.remove(&self.name);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        assert!(turns.take("a").now_or_never().is_none());
        drop(turns.take("b").await);
        drop(first);
        drop(turns.take("a").await);
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
