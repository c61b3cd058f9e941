//! What the gate was asked and what became of it.

use std::sync::atomic::{AtomicU64, Ordering};

use plugin::PolicyStats;

/// Counters of a gate since it was made, and how the policies behind it do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GateStats {
    /// Logins that were decided, those that were remembered included.
    pub logins: u64,
    /// Logins that were refused, those that nobody could decide included.
    pub logins_refused: u64,
    /// Questions about rights.
    pub rights: u64,
    /// Questions about rights that were answered with a refusal.
    pub rights_refused: u64,
    /// Messages that a policy was asked about.
    pub messages: u64,
    /// Messages that were refused.
    pub messages_refused: u64,
    /// Logins, rights and messages refused because a policy did not answer.
    pub failed_closed: u64,
    /// Logins and rights decided by what was known last, because a policy did not answer.
    pub honoured: u64,
    /// Per instance of a component: the policy, what it is asked about, how it does.
    pub policies: Vec<(String, &'static str, PolicyStats)>,
}

/// The counters while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) logins: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
    pub(crate) rights: AtomicU64,
    pub(crate) rights_refused: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) messages_refused: AtomicU64,
    pub(crate) failed_closed: AtomicU64,
    pub(crate) honoured: AtomicU64,
}

/// Counts, and gives the count.
pub(crate) fn count(counter: &AtomicU64, by: usize) -> u64 {
    counter.fetch_add(by as u64, Ordering::Relaxed) + by as u64
}

impl Counters {
    pub(crate) fn get(&self, policies: Vec<(String, &'static str, PolicyStats)>) -> GateStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GateStats {
            logins: of(&self.logins),
            logins_refused: of(&self.logins_refused),
            rights: of(&self.rights),
            rights_refused: of(&self.rights_refused),
            messages: of(&self.messages),
            messages_refused: of(&self.messages_refused),
            failed_closed: of(&self.failed_closed),
            honoured: of(&self.honoured),
            policies,
        }
    }
}
