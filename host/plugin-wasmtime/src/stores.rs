//! What outlives an instance: small values under keys, and the counters that a policy keeps of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plugin::{Metric, Point, PolicyMetrics};

use crate::Limits;
use crate::bindings::Denial;

/// What a policy has in its store on one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStore {
    /// The extension point.
    pub point: Point,
    /// The policy.
    pub policy: String,
    /// The destination.
    pub destination: String,
    /// The values by their keys.
    pub values: BTreeMap<String, Vec<u8>>,
}

/// Small values under keys.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    limits: Limits,
    values: Mutex<BTreeMap<String, Vec<u8>>>,
    /// It is not collected yet as it is now.
    changed: AtomicBool,
}

impl MemoryStore {
    pub(crate) fn new(limits: &Limits) -> MemoryStore {
        MemoryStore { limits: *limits, values: Mutex::default(), changed: AtomicBool::new(false) }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(crate) fn put(&self, key: &str, value: Vec<u8>) -> Result<(), Denial> {
        let limits = &self.limits;
        if key.is_empty() || key.len() > limits.store_key_bytes_max as usize {
            return Err(Denial::BadKey(limits.store_key_bytes_max));
        }
        if value.len() > limits.store_value_bytes_max as usize {
            return Err(Denial::ValueTooLarge(limits.store_value_bytes_max));
        }
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if !values.contains_key(key) && values.len() >= limits.store_keys_max as usize {
            return Err(Denial::TooManyKeys(limits.store_keys_max));
        }
        let others = values.iter().filter(|(other, _)| *other != key);
        let bytes: usize = others.map(|(key, value)| key.len() + value.len()).sum();
        if bytes + key.len() + value.len() > limits.store_bytes_max as usize {
            return Err(Denial::Full(limits.store_bytes_max));
        }
        let before = values.insert(key.to_owned(), value);
        if before.as_ref() != values.get(key) {
            self.changed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// All that it holds.
    pub(crate) fn all(&self) -> BTreeMap<String, Vec<u8>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn delete(&self, key: &str) {
        if self.values.lock().unwrap_or_else(PoisonError::into_inner).remove(key).is_some() {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// What a former run left; what no longer fits the limits is left out.
    fn begin(&self, values: BTreeMap<String, Vec<u8>>) -> usize {
        let left_out = values.into_iter().filter(|(key, value)| self.put(key, value.clone()).is_err()).count();
        self.changed.store(left_out > 0, Ordering::Relaxed);
        left_out
    }
}

/// What one policy keeps on one destination, whatever becomes of its instances.
pub(crate) struct Memory {
    pub(crate) store: MemoryStore,
    pub(crate) metrics: Metrics,
}

impl Memory {
    pub(crate) fn new(limits: &Limits) -> Memory {
        Memory { store: MemoryStore::new(limits), metrics: Metrics::default() }
    }

    /// The same values for one that looks on: what it writes, and what it counts, nobody else sees.
    pub(crate) fn copy(&self, limits: &Limits) -> Memory {
        let copy = Memory::new(limits);
        copy.store.begin(self.store.all());
        copy
    }

    fn is_empty(&self) -> bool {
        let values = self.store.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.is_empty() && self.metrics.all().is_empty()
    }
}

/// Which policy on which destination.
type Place = (Point, Arc<str>, Arc<str>);

/// What all the policies keep. Beyond `memories_max` what nobody uses is forgotten.
#[derive(Default)]
pub(crate) struct Memories(Mutex<HashMap<Place, Arc<Memory>>>);

impl Memories {
    pub(crate) fn of(&self, point: Point, policy: &Arc<str>, destination: &Arc<str>, limits: &Limits) -> Arc<Memory> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= limits.memories_max {
            let used = |memory: &Arc<Memory>| Arc::strong_count(memory) > 1;
            all.retain(|_, memory| used(memory) || !memory.is_empty());
            if all.len() >= limits.memories_max {
                all.retain(|_, memory| used(memory));
            }
        }
        let place = (point, policy.clone(), destination.clone());
        all.entry(place).or_insert_with(|| Arc::new(Memory::new(limits))).clone()
    }

    /// Fills stores with what a former run left.
    pub(crate) fn begin(&self, stores: Vec<KeptStore>, limits: &Limits) {
        for KeptStore { point, policy, destination, values } in stores {
            let memory = self.of(point, &policy.as_str().into(), &destination.as_str().into(), limits);
            let left_out = memory.store.begin(values);
            if left_out > 0 {
                tracing::warn!(policy, destination, left_out, "a policy's store has more than its limits allow");
            }
        }
    }

    /// Gives the stores that changed since they were last kept, if there are any, to whom keeps them; what that one says it did
    /// not keep comes again.
    pub(crate) fn keep(&self, keep: impl FnOnce(Vec<KeptStore>) -> bool) {
        let is_changed = |(_, memory): &(&Place, &Arc<Memory>)| memory.store.changed.swap(false, Ordering::Relaxed);
        let changed: Vec<(Place, Arc<Memory>)> = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter(is_changed).map(|(place, memory)| (place.clone(), memory.clone())).collect()
        };
        if changed.is_empty() {
            return;
        }
        let kept = changed.iter().map(|((point, policy, destination), memory)| KeptStore {
            point: *point,
            policy: policy.to_string(),
            destination: destination.to_string(),
            values: memory.store.all(),
        });
        if !keep(kept.collect()) {
            changed.iter().for_each(|(_, memory)| memory.store.changed.store(true, Ordering::Relaxed));
        }
    }

    /// Forgets what a policy kept, for the next one of that name; who uses it now goes on with it.
    pub(crate) fn forget(&self, policy: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, other, _), _| **other != *policy);
    }

    /// The keys and values that a policy keeps, wherever it decides.
    pub(crate) fn stored(&self, policy: &str) -> Vec<(String, Vec<u8>)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = all.iter().filter(|((_, name, _), _)| &**name == policy);
        theirs.flat_map(|(_, memory)| memory.store.all()).collect()
    }

    /// The counters that policies made.
    pub(crate) fn metrics(&self) -> Vec<PolicyMetrics> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = all.iter().map(|((_, policy, destination), memory)| PolicyMetrics {
            policy: policy.clone(),
            destination: destination.clone(),
            metrics: memory.metrics.all(),
        });
        let mut metrics: Vec<_> = metrics.filter(|metrics| !metrics.metrics.is_empty()).collect();
        metrics.sort_by(|a, b| (&a.policy, &a.destination).cmp(&(&b.policy, &b.destination)));
        metrics
    }
}

/// The counters of a policy on one destination. Handles are places in the list, from 1.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Vec<Metric>>);

impl Metrics {
    /// The handle of a name, 0 if it is not kept.
    pub(crate) fn handle(&self, name: &str, limits: &Limits) -> u32 {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > limits.metric_name_bytes_max || !name.bytes().all(good) {
            return 0;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|metric| metric.name == name) {
            return at as u32 + 1;
        }
        if all.len() >= limits.metrics_max {
            return 0;
        }
        all.push(Metric { name: name.to_owned(), total: 0, noted: 0, sum: 0.0, least: 0.0, greatest: 0.0 });
        all.len() as u32
    }

    pub(crate) fn add(&self, handle: u32, by: u64) {
        self.with(handle, |metric| metric.total = metric.total.saturating_add(by));
    }

    pub(crate) fn observe(&self, handle: u32, value: f64) {
        if value.is_nan() {
            return;
        }
        self.with(handle, |metric| {
            let first = metric.noted == 0;
            metric.least = if first { value } else { metric.least.min(value) };
            metric.greatest = if first { value } else { metric.greatest.max(value) };
            metric.noted += 1;
            metric.sum += value;
        });
    }

    pub(crate) fn all(&self) -> Vec<Metric> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, handle: u32, work: impl FnOnce(&mut Metric)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metric) = (handle as usize).checked_sub(1).and_then(|at| all.get_mut(at)) {
            work(metric);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_within_its_limits() {
        let limits = Limits {
            store_keys_max: 2,
            store_key_bytes_max: 3,
            store_value_bytes_max: 5,
            store_bytes_max: 8,
            ..Limits::default()
        };
        let store = MemoryStore::new(&limits);
        assert_eq!(store.put("a", vec![1; 5]), Ok(()));
        assert_eq!(store.put("a", vec![2; 4]), Ok(()), "its old value does not count");
        for (key, value, denial) in [
            ("", 0, Denial::BadKey(3)),
            ("long", 0, Denial::BadKey(3)),
            ("b", 6, Denial::ValueTooLarge(5)),
            ("b", 3, Denial::Full(8)),
        ] {
            assert_eq!(store.put(key, vec![0; value]), Err(denial), "{key}");
        }
        assert_eq!(store.put("b", vec![3]), Ok(()));
        assert_eq!(store.put("c", vec![]), Err(Denial::TooManyKeys(2)));
        store.delete("b");
        assert_eq!((store.put("c", vec![]), store.get("a"), store.get("b")), (Ok(()), Some(vec![2; 4]), None));
    }

    #[test]
    fn a_store_is_kept_when_it_changed_and_again_if_that_failed() {
        let (limits, memories) = (Limits::default(), Memories::default());
        let place = (Point::QueueDispatch, "mine".into(), "orders".into());
        let kept = |values: &[(&str, u8)]| KeptStore {
            point: place.0,
            policy: "mine".into(),
            destination: "orders".into(),
            values: values.iter().map(|(key, value)| ((*key).to_owned(), vec![*value])).collect(),
        };
        let collect = |is_kept: bool| {
            let mut found = Vec::new();
            memories.keep(|stores| {
                found = stores;
                is_kept
            });
            found
        };
        memories.begin(vec![kept(&[("a", 1)])], &limits);
        let memory = memories.of(place.0, &place.1, &place.2, &limits);
        assert_eq!((memory.store.get("a"), collect(true)), (Some(vec![1]), vec![]));
        for (key, value, found) in [
            ("a", Some(1), vec![]),
            ("a", Some(2), vec![kept(&[("a", 2)])]),
            ("b", Some(3), vec![kept(&[("a", 2), ("b", 3)])]),
            ("a", None, vec![kept(&[("b", 3)])]),
            ("a", None, vec![]),
            ("b", None, vec![kept(&[])]),
        ] {
            match value {
                Some(value) => memory.store.put(key, vec![value]).expect("it fits"),
                None => memory.store.delete(key),
            }
            assert_eq!(collect(false), found, "{key} {value:?}");
            assert_eq!(collect(true), found, "{key} {value:?}, once more");
            assert_eq!(collect(true), [], "{key} {value:?}, after it was kept");
        }
        memories.forget("mine");
        assert!(!Arc::ptr_eq(&memory, &memories.of(place.0, &place.1, &place.2, &limits)));
    }

    #[test]
    fn metrics_keep_within_their_limits() {
        let limits = Limits { metrics_max: 2, ..Limits::default() };
        let metrics = Metrics::default();
        let handles = ["routed", "", "Bad", "seen", "third", "routed"].map(|name| metrics.handle(name, &limits));
        assert_eq!(handles, [1, 0, 0, 2, 0, 1]);
        for (handle, by) in [(1, 2), (1, u64::MAX), (0, 1), (9, 1)] {
            metrics.add(handle, by);
        }
        for value in [3.0, f64::NAN, -1.0] {
            metrics.observe(2, value);
        }
        let all = metrics.all();
        assert_eq!(all[0].total, u64::MAX);
        assert_eq!((all[1].noted, all[1].sum, all[1].least, all[1].greatest), (2, 2.0, -1.0, 3.0));
    }
}
