//! What policies remember on destinations, collected for the next run and given back to cells that are made anew.
//!
//! A busy cell gives its state at a batch boundary, on the core's thread; an idle one is looked at by whoever collects.
//! Policies without generations are not collected: nobody keeps them from run to run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin::Point;

/// What a policy remembered on a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptState {
    /// The extension point.
    pub point: Point,
    /// The destination.
    pub destination: String,
    /// The policy that wrote it.
    pub policy: String,
    /// Its generation.
    pub generation: u64,
    /// The format; 0 for a policy that keeps no state: what was kept before means nothing any more.
    pub format: u32,
    /// The state.
    pub bytes: Arc<[u8]>,
}

/// Where a cell's state waits to be collected.
#[derive(Default)]
pub(crate) struct StateDesk {
    /// The core's thread is to put a state here.
    wanted: AtomicBool,
    /// With the time of the call it stands for.
    found: Mutex<Option<(u64, KeptState)>>,
    /// The time of the call that the state collected last stands for.
    collected_ms: AtomicU64,
}

impl StateDesk {
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// For the core's thread: puts a state here if there is one, unless somebody is at the desk.
    pub(crate) fn put(&self, used_ms: u64, state: Option<KeptState>) {
        if let Ok(mut found) = self.found.try_lock() {
            *found = state.map(|state| (used_ms, state));
            self.wanted.store(false, Ordering::Relaxed);
        }
    }

    /// The state that stands for the calls up to `used_ms`, if there were any since the last one. A cell that gave none
    /// since it was last asked is idle, and is looked at with `look`.
    pub(crate) fn collect(&self, used_ms: u64, look: impl FnOnce() -> Option<KeptState>) -> Option<KeptState> {
        if let Some((used_ms, state)) = self.found.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.collected_ms.store(used_ms, Ordering::Relaxed);
            return Some(state);
        }
        if used_ms == self.collected_ms.load(Ordering::Relaxed) || !self.wanted.swap(true, Ordering::Relaxed) {
            return None;
        }
        let state = look()?;
        self.wanted.store(false, Ordering::Relaxed);
        self.collected_ms.store(used_ms, Ordering::Relaxed);
        Some(state)
    }
}

/// States of cells that are not there.
#[derive(Default)]
pub(crate) struct Attic(Mutex<HashMap<(Point, String), Stored>>);

struct Stored {
    state: KeptState,
    /// Not collected yet.
    fresh: bool,
}

impl Attic {
    /// Keeps a state; beyond `limit` it is let go, as a policy must be ready for. A `fresh` one is to be collected.
    pub(crate) fn put(&self, state: KeptState, fresh: bool, limit: usize) {
        let mut states = self.lock();
        let key = (state.point, state.destination.clone());
        if states.len() < limit || states.contains_key(&key) {
            states.insert(key, Stored { state, fresh });
        }
    }

    /// Takes the state of a destination, if that policy wrote it.
    pub(crate) fn take(&self, point: Point, destination: &str, policy: &str) -> Option<KeptState> {
        let stored = self.lock().remove(&(point, destination.to_owned()))?;
        Some(stored.state).filter(|state| state.policy == policy)
    }

    /// Fresh states, each once, at most `limit`.
    pub(crate) fn collect(&self, limit: usize) -> Vec<KeptState> {
        let mut states = self.lock();
        let fresh = states.values_mut().filter(|stored| stored.fresh).take(limit);
        fresh
            .map(|stored| {
                stored.fresh = false;
                stored.state.clone()
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Point, String), Stored>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
