//! Remembers contents that can never become code, so that a pod which waits for another image
//! costs the registry one manifest per try and the compiler nothing.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Entries kept: more distinct broken images than a node's pods can name at once (5,000 pods would
/// need as many). What is forgotten is looked at again, nothing else.
const CAPACITY: usize = 4096;

/// A bounded map that forgets the oldest entry first.
pub(crate) struct Refusals<K, V> {
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    known: HashMap<K, V>,
    order: VecDeque<K>,
}

// === impl Refusals ===

impl<K: Hash + Eq + Clone, V: Clone> Refusals<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).known.get(key).cloned()
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.known.insert(key.clone(), value).is_some() {
            return;
        }
        inner.order.push_back(key);
        if inner.order.len() > CAPACITY
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.known.remove(&oldest);
        }
    }
}

impl<K, V> Default for Refusals<K, V> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { known: HashMap::new(), order: VecDeque::new() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let refusals = Refusals::default();
        for n in 0..=CAPACITY {
            refusals.insert(n, n);
        }
        assert_eq!(refusals.get(&0), None);
        assert_eq!(refusals.get(&1), Some(1));
        assert_eq!(refusals.get(&CAPACITY), Some(CAPACITY));
    }
}
