//! Facts that the core keeps in its journal for others and does not read.

use message::{Fact, Record};

use crate::broker::{Broker, Then};

/// Names one request to keep facts, see [`Broker::keep`].
pub type KeepId = u64;

impl Broker {
    /// Puts facts into the group of the step under way: after a crash all of them are found or none. They are within
    /// their limits. [`Broker::poll_kept`] gives `id` once they are durable.
    pub fn keep(&mut self, facts: Vec<Fact>, id: KeepId) {
        debug_assert!(facts.iter().all(Fact::is_within_limits), "who keeps facts keeps to their limits");
        self.records.extend(facts.into_iter().map(Record::Fact));
        self.later(Then::Kept(id));
    }

    /// The next request whose facts are durable.
    pub fn poll_kept(&mut self) -> Option<KeepId> {
        self.kept.pop_front()
    }
}
