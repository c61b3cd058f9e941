//! What was decided before: so that the same login costs a comparison, and so that a policy that is down may be done
//! without for a while where the configuration says so.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// Decisions with the time up to which they hold. Bounded: when full, what has run out goes, and if nothing has, all.
#[derive(Debug)]
pub(crate) struct Known<K, V> {
    entries: Mutex<FxHashMap<K, (V, i64)>>,
    entries_max: usize,
}

impl<K: Eq + Hash, V: Clone> Known<K, V> {
    pub(crate) fn new(entries_max: usize) -> Known<K, V> {
        Known { entries: Mutex::default(), entries_max }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<K, (V, i64)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was decided, if that ran out no longer than `grace_ms` ago.
    pub(crate) fn get(&self, key: &K, now_ms: i64, grace_ms: i64) -> Option<V> {
        let entries = self.lock();
        let (value, until_ms) = entries.get(key)?;
        (now_ms < until_ms.saturating_add(grace_ms)).then(|| value.clone())
    }

    /// What was decided and still holds, and until when.
    pub(crate) fn get_until(&self, key: &K, now_ms: i64) -> Option<(V, i64)> {
        self.lock().get(key).filter(|(_, until_ms)| now_ms < *until_ms).cloned()
    }

    /// It holds no longer.
    pub(crate) fn forget(&self, key: &K) {
        self.lock().remove(key);
    }

    pub(crate) fn put(&self, key: K, value: V, until_ms: i64, now_ms: i64, grace_ms: i64) {
        let mut entries = self.lock();
        if entries.len() >= self.entries_max && !entries.contains_key(&key) {
            entries.retain(|_, (_, until_ms)| now_ms < until_ms.saturating_add(grace_ms));
            if entries.len() >= self.entries_max {
                tracing::debug!(limit = self.entries_max, "remembered decisions are forgotten: there are too many");
                entries.clear();
            }
        }
        entries.insert(key, (value, until_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_run_out_and_are_bounded() {
        let known = Known::new(2);
        known.put("a", 1, 100, 0, 0);
        assert_eq!(
            (known.get(&"a", 99, 0), known.get(&"a", 100, 0), known.get(&"a", 100, 1)),
            (Some(1), None, Some(1))
        );
        known.put("b", 2, 1000, 0, 0);
        known.put("c", 3, 1000, 200, 0);
        assert_eq!(
            (known.get(&"a", 50, 0), known.get(&"b", 200, 0), known.get(&"c", 200, 0)),
            (None, Some(2), Some(3))
        );
        known.put("d", 4, 1000, 200, 0);
        assert_eq!((known.get(&"b", 200, 0), known.get(&"d", 200, 0)), (None, Some(4)));
    }
}
