//! A map whose entries expire and whose size is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: HashMap<K, (V, Instant)>,
    capacity: usize,
}

// === impl Cache ===

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        self.entries.get(key).filter(|(_, expires)| *expires > now).map(|(value, _)| value.clone())
    }

    /// Keeps `value` for `ttl`. When there is no room, what has expired goes, then what expires first.
    pub(super) fn insert(&mut self, key: K, value: V, ttl: Duration, now: Instant) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.entries.retain(|_, (_, expires)| *expires > now);
            if self.entries.len() >= self.capacity {
                self.remove_first();
            }
        }
        self.entries.insert(key, (value, now + ttl));
    }

    fn remove_first(&mut self) {
        let first = self.entries.iter().min_by_key(|(_, (_, expires))| *expires).map(|(key, _)| key.clone());
        if let Some(key) = first {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn entries_expire() {
        let now = Instant::now();
        let mut cache = Cache::new(2);
        cache.insert("a", 1, SECOND, now);
        assert_eq!(cache.get(&"a", now), Some(1));
        assert_eq!(cache.get(&"a", now + SECOND), None);
        assert_eq!(cache.get(&"b", now), None);
    }

    #[test]
    fn the_size_is_bounded() {
        let now = Instant::now();
        let mut cache = Cache::new(2);
        cache.insert("a", 1, SECOND * 3, now);
        cache.insert("b", 2, SECOND, now);
        cache.insert("c", 3, SECOND * 2, now);
        assert_eq!([cache.get(&"a", now), cache.get(&"b", now), cache.get(&"c", now)], [Some(1), None, Some(3)]);
        cache.insert("a", 4, SECOND, now);
        assert_eq!((cache.entries.len(), cache.get(&"c", now)), (2, Some(3)));
        cache.insert("d", 5, SECOND, now + SECOND * 9);
        assert_eq!(cache.entries.len(), 1);
    }
}
