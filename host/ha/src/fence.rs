//! The fence: open for a while after each proof of the lock, shut for good once it is lost.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::Loss;

/// Shared by the keeper, which opens and shuts it, and by whoever must not go on without the lock. Times are milliseconds
/// of a clock that never goes back and counts the machine's sleep.
///
/// Once shut it stays shut.
#[derive(Debug)]
pub struct Fence {
    state: Mutex<Inner>,
    changed: Condvar,
    /// What `state` says, for those who only look: open before this time.
    open_until: AtomicI64,
}

#[derive(Debug, Default)]
struct Inner {
    /// The lock is proven up to here; nothing is before the first proof.
    proven_until: Option<i64>,
    shut: Option<Loss>,
}

/// How the fence stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Go on.
    Open,
    /// The last proof is too old: wait for the next.
    Doubt,
    /// Never again.
    Shut(Loss),
}

impl Fence {
    /// One that waits for its first proof.
    pub fn new() -> Fence {
        Fence { state: Mutex::default(), changed: Condvar::new(), open_until: AtomicI64::new(i64::MIN) }
    }

    /// One without a lock behind it: it is always open.
    pub fn always_open() -> Fence {
        let fence = Fence::new();
        fence.prove(i64::MAX);
        fence
    }

    /// The lock is proven up to this time.
    pub fn prove(&self, until: i64) {
        let mut state = self.lock();
        state.proven_until = state.proven_until.max(Some(until));
        if state.shut.is_none() {
            self.open_until.fetch_max(until, Ordering::SeqCst);
        }
        self.changed.notify_all();
    }

    /// The lock is lost. The first loss counts.
    pub fn shut(&self, loss: Loss) {
        let mut state = self.lock();
        state.shut.get_or_insert(loss);
        self.open_until.store(i64::MIN, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Whether it is open at this time: a look without a lock, for each time that something is said.
    pub fn is_open(&self, now: i64) -> bool {
        now < self.open_until.load(Ordering::SeqCst)
    }

    /// How it stands at this time.
    pub fn standing(&self, now: i64) -> Standing {
        self.lock().standing(now)
    }

    /// Up to when the lock is proven.
    pub fn proven_until(&self) -> Option<i64> {
        self.lock().proven_until
    }

    /// Why it is shut, if it is.
    pub fn loss(&self) -> Option<Loss> {
        self.lock().shut.clone()
    }

    /// Waits while there is doubt; `now` tells the time.
    pub fn pass(&self, now: impl Fn() -> i64) -> Result<(), Loss> {
        let mut state = self.lock();
        loop {
            match state.standing(now()) {
                Standing::Open => return Ok(()),
                Standing::Shut(loss) => return Err(loss),
                // The keeper proves the lock anew or shuts the fence; both wake this.
                Standing::Doubt => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Two plain values: no panic leaves them half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Fence {
    fn default() -> Fence {
        Fence::new()
    }
}

impl Inner {
    fn standing(&self, now: i64) -> Standing {
        match (&self.shut, self.proven_until) {
            (Some(loss), _) => Standing::Shut(loss.clone()),
            (None, Some(until)) if now < until => Standing::Open,
            _ => Standing::Doubt,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn it_is_open_from_proof_to_proof_and_shut_for_good() {
        let fence = Fence::new();
        let look = |now| {
            let standing = fence.standing(now);
            assert_eq!(fence.is_open(now), standing == Standing::Open);
            standing
        };
        assert_eq!(look(0), Standing::Doubt);
        fence.prove(10);
        fence.prove(5);
        assert_eq!((look(9), look(10)), (Standing::Open, Standing::Doubt));
        fence.prove(20);
        assert_eq!(look(19), Standing::Open);
        fence.shut(Loss::Deleted);
        fence.shut(Loss::Touched);
        fence.prove(99);
        assert_eq!(look(19), Standing::Shut(Loss::Deleted));
        assert_eq!(Fence::always_open().standing(i64::MAX - 1), Standing::Open);
        assert!(Fence::always_open().is_open(i64::MAX - 1));
    }

    /// Who waits in doubt goes on with the next proof, and hears of a loss.
    #[test]
    fn doubt_ends_with_a_proof_or_a_loss() {
        for lost in [false, true] {
            let fence = Arc::new(Fence::new());
            let (clock, seen) = (Arc::new(AtomicI64::new(100)), Arc::new(AtomicI64::new(0)));
            let waiter = std::thread::spawn({
                let (fence, clock, seen) = (fence.clone(), clock.clone(), seen.clone());
                move || {
                    fence.pass(|| {
                        seen.fetch_add(1, Ordering::SeqCst);
                        clock.load(Ordering::SeqCst)
                    })
                }
            });
            while seen.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            if lost {
                fence.shut(Loss::Replaced)
            } else {
                fence.prove(200)
            }
            let passed = waiter.join().expect("no panic");
            assert_eq!(passed, if lost { Err(Loss::Replaced) } else { Ok(()) });
        }
    }
}
