//! When what was decided before holds no longer, because somebody else decides now.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the terms in which logins and rights are decided. Another one begins whenever others decide than before: another
/// generation of a policy, or another list of policies.
///
/// Invariant: who reads the term, then asks, and keeps the answer with that term, never goes by an answer of somebody who
/// decides no more. Who changes the deciders begins the term after that, before anybody is asked again.
#[derive(Debug, Default)]
pub struct Terms(AtomicU64);

impl Terms {
    /// The one that lasts.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Begins another one: all that was decided before is to be asked again.
    pub fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
