//! One piece of work per key at a time, shared by all who want its result.
//!
//! No task is spawned: whoever waits drives the work, and it is dropped with its last waiter, so a
//! pull that nobody wants any more ends. Results are not kept; the stores do that.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{Shared, WeakShared};

type Work<V> = Pin<Box<dyn Future<Output = V> + Send>>;

/// Work under way, by key.
pub(crate) struct Flights<K, V: Clone> {
    flying: Mutex<HashMap<K, WeakShared<Work<V>>>>,
}

// === impl Flights ===

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// Joins the work of `key`, or starts it with `work`.
    pub(crate) async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let shared = self.find_or_start(&key, work);
        let result = shared.clone().await;
        self.land(&key, &shared);
        result
    }

    fn find_or_start<F>(&self, key: &K, work: impl FnOnce() -> F) -> Shared<Work<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        // Abandoned work leaves a dead entry behind; only as many as were abandoned at once.
        flying.retain(|_, weak| weak.upgrade().is_some());
        if let Some(shared) = flying.get(key).and_then(WeakShared::upgrade) {
            return shared;
        }
        let boxed: Work<V> = Box::pin(work());
        let shared = boxed.shared();
        if let Some(weak) = shared.downgrade() {
            flying.insert(key.clone(), weak);
        }
        shared
    }

    /// Finished work must not answer those who come later.
    fn land(&self, key: &K, done: &Shared<Work<V>>) {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        let current = flying.get(key).and_then(WeakShared::upgrade);
        if current.is_some_and(|shared| shared.ptr_eq(done)) {
            flying.remove(key);
        }
    }
}

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self { flying: Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn mk_work(starts: &Arc<AtomicUsize>, gate: &Arc<Notify>) -> impl FnOnce() -> Work<usize> + use<> {
        let (starts, gate) = (Arc::clone(starts), Arc::clone(gate));
        move || {
            Box::pin(async move {
                let nth = starts.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                nth
            })
        }
    }

    #[tokio::test]
    async fn work_is_shared_and_then_forgotten() {
        let (starts, gate) = (Arc::default(), Arc::default());
        let flights = Flights::default();
        let mut both = Box::pin(futures::future::join(
            flights.join("a", mk_work(&starts, &gate)),
            flights.join("a", mk_work(&starts, &gate)),
        ));
        assert!(futures::poll!(&mut both).is_pending());
        gate.notify_one();
        assert_eq!(both.await, (0, 0));
        gate.notify_one();
        assert_eq!(flights.join("a", mk_work(&starts, &gate)).await, 1);
    }

    #[tokio::test]
    async fn the_first_waiter_may_leave() {
        let (starts, gate) = (Arc::default(), Arc::default());
        let flights = Flights::default();
        let mut first = Box::pin(flights.join("a", mk_work(&starts, &gate)));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(flights.join("a", mk_work(&starts, &gate)));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        gate.notify_one();
        assert_eq!(second.await, 0);
    }

    #[tokio::test]
    async fn abandoned_work_starts_anew() {
        let (starts, gate) = (Arc::default(), Arc::default());
        let flights = Flights::default();
        let mut first = Box::pin(flights.join("a", mk_work(&starts, &gate)));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        gate.notify_one();
        assert_eq!(flights.join("a", mk_work(&starts, &gate)).await, 1);
    }
}
