//! What was decided before: so that the same login costs a comparison, and so that a policy that is down may be done
//! without for a while where the configuration says so.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// Decisions with the time up to which they hold, and the term in which they were made: in another one they are unknown.
/// Bounded: when full, what has run out goes, and if nothing has, all.
#[derive(Debug)]
pub(crate) struct Known<K, V> {
    entries: Mutex<FxHashMap<K, Entry<V>>>,
    entries_max: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until_ms: i64,
    term: u64,
}

impl<K: Eq + Hash, V: Clone> Known<K, V> {
    pub(crate) fn new(entries_max: usize) -> Known<K, V> {
        Known { entries: Mutex::default(), entries_max }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was decided in this term, if that ran out no longer than `grace_ms` ago.
    pub(crate) fn get(&self, key: &K, term: u64, now_ms: i64, grace_ms: i64) -> Option<V> {
        let entries = self.lock();
        let entry = entries.get(key).filter(|entry| entry.term == term)?;
        (now_ms < entry.until_ms.saturating_add(grace_ms)).then(|| entry.value.clone())
    }

    /// What was decided in this term and still holds, and until when.
    pub(crate) fn get_until(&self, key: &K, term: u64, now_ms: i64) -> Option<(V, i64)> {
        let entries = self.lock();
        let entry = entries.get(key).filter(|entry| entry.term == term && now_ms < entry.until_ms)?;
        Some((entry.value.clone(), entry.until_ms))
    }

    /// It holds no longer.
    pub(crate) fn forget(&self, key: &K) {
        self.lock().remove(key);
    }

    pub(crate) fn put(&self, key: K, value: V, until_ms: i64, term: u64, now_ms: i64, grace_ms: i64) {
        let mut entries = self.lock();
        if entries.len() >= self.entries_max && !entries.contains_key(&key) {
            entries.retain(|_, entry| entry.term == term && now_ms < entry.until_ms.saturating_add(grace_ms));
            if entries.len() >= self.entries_max {
                tracing::debug!(limit = self.entries_max, "remembered decisions are forgotten: there are too many");
                entries.clear();
            }
        }
        entries.insert(key, Entry { value, until_ms, term });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_run_out_and_are_bounded() {
        let known = Known::new(2);
        known.put("a", 1, 100, 0, 0, 0);
        assert_eq!(
            (known.get(&"a", 0, 99, 0), known.get(&"a", 0, 100, 0), known.get(&"a", 0, 100, 1)),
            (Some(1), None, Some(1))
        );
        known.put("b", 2, 1000, 0, 0, 0);
        known.put("c", 3, 1000, 0, 200, 0);
        assert_eq!(
            (known.get(&"a", 0, 50, 0), known.get(&"b", 0, 200, 0), known.get(&"c", 0, 200, 0)),
            (None, Some(2), Some(3))
        );
        known.put("d", 4, 1000, 0, 200, 0);
        assert_eq!((known.get(&"b", 0, 200, 0), known.get(&"d", 0, 200, 0)), (None, Some(4)));
    }

    #[test]
    fn what_was_decided_in_another_term_is_unknown_and_goes_first() {
        let known = Known::new(2);
        known.put("a", 1, 1000, 7, 0, 0);
        known.put("b", 2, 1000, 8, 0, 0);
        assert_eq!((known.get(&"a", 7, 0, 0), known.get(&"a", 8, 0, 5000)), (Some(1), None));
        assert_eq!((known.get_until(&"b", 8, 0), known.get_until(&"b", 7, 0)), (Some((2, 1000)), None));
        known.put("c", 3, 1000, 8, 0, 0);
        assert_eq!(
            (known.get(&"a", 7, 0, 0), known.get(&"b", 8, 0, 0), known.get(&"c", 8, 0, 0)),
            (None, Some(2), Some(3))
        );
    }
}
