//! How long clients stand still when a broker dies: from the kill to the first confirmation that a producer gets from the
//! next broker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::bench::body::now_ns;

/// Gaps, one for each producer and kill. Cheap while nothing was killed.
pub(super) struct Gaps {
    /// Generation that began with the last kill, and when the kill was.
    killed: AtomicU64,
    killed_ns: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// Generation in which each producer had its first confirmation counted.
    counted: Vec<u16>,
    all: Vec<Duration>,
}

impl Gaps {
    pub(super) fn new(producers: u32) -> Gaps {
        let state = State { counted: vec![0; producers as usize], all: Vec::new() };
        Gaps { killed: AtomicU64::new(0), killed_ns: AtomicU64::new(0), state: Mutex::new(state) }
    }

    /// A broker was killed at this time, which began a generation.
    pub(super) fn killed(&self, at_ns: u64, generation: u16) {
        self.killed_ns.store(at_ns, Ordering::SeqCst);
        self.killed.store(generation.into(), Ordering::SeqCst);
    }

    /// A producer was confirmed something on a connection of this generation.
    pub(super) fn confirmed(&self, producer: u32, generation: u16) {
        self.confirmed_at(now_ns(), producer, generation);
    }

    fn confirmed_at(&self, now_ns: u64, producer: u32, generation: u16) {
        let killed = self.killed.load(Ordering::Relaxed);
        if killed == 0 || u64::from(generation) < killed {
            return;
        }
        let mut state = self.state();
        let counted = &mut state.counted[producer as usize];
        if u64::from(*counted) < killed {
            *counted = generation;
            let gap = now_ns.saturating_sub(self.killed_ns.load(Ordering::SeqCst));
            state.all.push(Duration::from_nanos(gap));
        }
    }

    /// How many there are, the median and the worst.
    pub(super) fn summary(&self) -> (usize, Duration, Duration) {
        let mut all = self.state().all.clone();
        all.sort_unstable();
        let at = |index: usize| all.get(index).copied().unwrap_or_default();
        (all.len(), at(all.len() / 2), at(all.len().saturating_sub(1)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while it holds two lists")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One gap for each producer and kill, and none from connections to the dead broker.
    #[test]
    fn the_first_confirmation_after_a_kill_counts() {
        let gaps = Gaps::new(2);
        gaps.confirmed_at(5, 0, 0);
        assert_eq!(gaps.summary().0, 0);
        gaps.killed(1_000, 3);
        gaps.confirmed_at(1_010, 0, 2);
        gaps.confirmed_at(1_020, 0, 3);
        gaps.confirmed_at(1_030, 0, 3);
        gaps.confirmed_at(1_040, 1, 4);
        assert_eq!(gaps.summary(), (2, Duration::from_nanos(40), Duration::from_nanos(40)));
        gaps.killed(2_000, 5);
        gaps.confirmed_at(2_010, 1, 4);
        gaps.confirmed_at(2_500, 1, 6);
        assert_eq!(gaps.summary(), (3, Duration::from_nanos(40), Duration::from_nanos(500)));
    }
}
