//! What happened, in numbers.

use message::{ConnectionKey, Event, Sequence};
use plugin::PolicyStats;

use crate::broker::Broker;
use crate::groups::GroupStats;
use crate::line::LineStats;

/// Counters of the whole machine, rising since its start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages taken in.
    pub published: u64,
    /// Sends recognised as repeated and dropped (row L04).
    pub duplicates: u64,
    /// Sends that had to wait for room.
    pub sends_parked: u64,
    /// Sends refused for want of room.
    pub sends_refused: u64,
    /// Messages for destinations that went away meanwhile.
    pub dropped: u64,
    /// Acknowledgements of consumers that are gone (row L08).
    pub stale_acks: u64,
    /// Dispatch policies that could not be had; the native one serves in their place.
    pub policies_refused: u64,
    /// Stored messages that the journal could not give back, by line and number; taken by [`Broker::take_damaged`].
    pub(crate) damaged: Vec<(String, Sequence)>,
    /// Last words to connections that the machine no longer knows.
    pub(crate) farewells: Vec<(ConnectionKey, Vec<Event>)>,
}

/// One queue or durable subscription as it stands.
#[derive(Debug)]
pub struct LineReport {
    /// Qualified name.
    pub name: String,
    /// Messages waiting, those in flight aside.
    pub pending: usize,
    /// Consumers.
    pub consumers: usize,
    /// Bytes in memory.
    pub memory: u64,
    /// Counters.
    pub stats: LineStats,
    /// Message groups; `None` for a queue that never saw one and for subscriptions.
    pub groups: Option<GroupStats>,
    /// The dispatch policy's own counters; `None` without consumers or for subscriptions.
    pub policy: Option<PolicyStats>,
}

impl Broker {
    /// Counters of the whole machine.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Stored messages lost to damage since the last call.
    pub fn take_damaged(&mut self) -> Vec<(String, Sequence)> {
        std::mem::take(&mut self.stats.damaged)
    }

    /// Every queue and durable subscription.
    pub fn report(&self) -> Vec<LineReport> {
        let lasting = self.lines.iter().filter(|(_, line)| line.lasts());
        lasting
            .map(|(_, line)| LineReport {
                name: line.name(),
                pending: line.pending.len(),
                consumers: line.members.len(),
                memory: line.memory + line.resident,
                stats: line.stats,
                groups: line.groups.as_ref().map(|groups| groups.stats()),
                policy: line.policy.as_ref().map(|policy| policy.stats()),
            })
            .collect()
    }

    /// Bytes of messages in memory: those that are nowhere else, and bodies that the journal has too.
    pub fn memory(&self) -> (u64, u64) {
        (self.memory, self.resident)
    }

    /// The counters that policies keep of their own.
    pub fn policy_metrics(&self) -> Vec<plugin::PolicyMetrics> {
        self.policies.metrics()
    }

    /// Connections logged in.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }
}
