//! A map that forgets what was not used for longest. Its keys are hashes: the texts that they stand for would take
//! megabytes, and two that collide are two events counted as one.

use std::collections::{BTreeMap, HashMap};

/// Least-recently-used cache of a fixed size.
#[derive(Debug)]
pub(super) struct Lru<V> {
    capacity: usize,
    clock: u64,
    entries: HashMap<u64, (u64, V)>,
    ages: BTreeMap<u64, u64>,
}

impl<V> Lru<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, entries: HashMap::new(), ages: BTreeMap::new() }
    }

    /// The value of `key`, made anew where it is not known.
    pub(super) fn get_or_insert_with(&mut self, key: u64, make: impl FnOnce() -> V) -> &mut V {
        self.clock += 1;
        if let Some((age, _)) = self.entries.get(&key) {
            self.ages.remove(age);
        } else if self.entries.len() >= self.capacity
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.ages.insert(self.clock, key);
        let entry = self.entries.entry(key).or_insert_with(|| (0, make()));
        entry.0 = self.clock;
        &mut entry.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let mut lru = Lru::new(2);
        for (key, expected) in [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 1), (3, 1)] {
            let count = lru.get_or_insert_with(key, || 0);
            *count += 1;
            assert_eq!(*count, expected, "{key}");
        }
        assert_eq!((lru.entries.len(), lru.ages.len()), (2, 2));
    }
}
