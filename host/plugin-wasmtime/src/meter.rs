//! Bounds what an instance may take, and knows how much memory it has.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::{ResourceLimiter, Result, StoreLimits, StoreLimitsBuilder};

use crate::Limits;
use crate::cell::Counters;

/// The limits of a store. What its linear memory takes is counted at its seat until the store is dropped.
pub(crate) struct Meter {
    limits: StoreLimits,
    counters: Arc<Counters>,
    /// Bytes counted for this store.
    bytes: u64,
    /// What the memory grew by last: taken back if the system does not give it.
    last: u64,
    /// What was asked for last and not given: the limit, what it is and what was wanted.
    pub(crate) denied: Option<(&'static str, usize, usize)>,
    memory_bytes_max: usize,
    table_elements_max: usize,
}

impl Meter {
    pub(crate) fn new(bounds: &Limits, counters: Arc<Counters>) -> Meter {
        let limits = StoreLimitsBuilder::new()
            .memory_size(bounds.memory_bytes_max)
            .memories(1)
            .table_elements(bounds.table_elements_max)
            .tables(bounds.tables_max)
            .instances(bounds.core_instances_max)
            .build();
        let (memory_bytes_max, table_elements_max) = (bounds.memory_bytes_max, bounds.table_elements_max);
        Meter { limits, counters, bytes: 0, last: 0, denied: None, memory_bytes_max, table_elements_max }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let allowed = self.limits.memory_growing(current, desired, maximum)?;
        if !allowed {
            self.denied = Some(("memory_bytes_max", self.memory_bytes_max, desired));
        }
        self.last = if allowed { desired.saturating_sub(current) as u64 } else { 0 };
        self.bytes += self.last;
        let before = self.counters.memory_bytes.fetch_add(self.last, Ordering::Relaxed);
        self.counters.memory_bytes_most.fetch_max(before + self.last, Ordering::Relaxed);
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        let last = std::mem::take(&mut self.last);
        self.bytes -= last;
        self.counters.memory_bytes.fetch_sub(last, Ordering::Relaxed);
        self.limits.memory_grow_failed(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let allowed = self.limits.table_growing(current, desired, maximum)?;
        if !allowed {
            self.denied = Some(("table_elements_max", self.table_elements_max, desired));
        }
        Ok(allowed)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        self.limits.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.counters.memory_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
