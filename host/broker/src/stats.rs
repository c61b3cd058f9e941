//! What happened, in numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use message::{ConnectionKey, Event, Sequence};
use plugin::{Point, PolicyStats};

use crate::Config;
use crate::broker::Broker;
use crate::groups::GroupStats;
use crate::line::LineStats;
use crate::retired::Retired;

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
    /// Sends that an auth policy did not allow.
    pub sends_forbidden: u64,
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
    /// Name of the group policy that it has; empty without.
    pub group_policy_name: String,
    /// Name of the dispatch policy that it has; empty without consumers and for subscriptions.
    pub policy_name: String,
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
        self.report_page(0, usize::MAX).0
    }

    /// The queues and durable subscriptions among the next `count` lines, and where to go on; `None` at the end. Begins with
    /// 0. For reports that must not hold up the machine, however many lines there are.
    pub fn report_page(&self, from: usize, count: usize) -> (Vec<LineReport>, Option<usize>) {
        let (lines, next) = self.lines.page(from, count);
        let reports = lines.filter(|line| line.lasts()).map(|line| LineReport {
            name: line.name(),
            pending: line.pending.len(),
            consumers: line.members.len(),
            memory: line.memory + line.resident,
            stats: line.stats,
            groups: line.groups.as_ref().map(|groups| groups.stats()),
            group_policy_name: line
                .groups
                .as_ref()
                .and_then(|groups| groups.policy_name.as_deref())
                .unwrap_or_default()
                .to_owned(),
            policy_name: line.policy_name.as_deref().unwrap_or_default().to_owned(),
            policy: line.policy.as_ref().map(|policy| policy.stats()),
        });
        (reports.collect(), next)
    }

    /// What the policies of topics and of publish routing counted, by name: those that no line has.
    pub fn policies_without_lines(&self) -> BTreeMap<(Point, Arc<str>), PolicyStats> {
        let mut sums = BTreeMap::new();
        self.topic_policies.add_to(&mut sums);
        for binding in self.routing() {
            add(&mut sums, (Point::PublishRouting, binding.policy.into()), &binding.stats);
        }
        sums
    }

    /// What lines and policies counted that are there no more.
    pub fn retired(&self) -> &Retired {
        &self.retired
    }

    /// How much of what has an upper bound is there: by the configuration's key, with the bound.
    pub fn used(&self) -> [(&'static str, u64, u64); 6] {
        let Config { destinations_max, consumers_max, durable_subscriptions_max, producers_audited_max, .. } =
            self.config;
        let destinations =
            self.queues.len() + self.temporary_queues.len() + self.topics.len() + self.temporary_topics.len();
        let count = |name, used: usize, max: usize| (name, used as u64, max as u64);
        [
            count("limits.destinations", destinations, destinations_max),
            count("limits.consumers", self.consumers.len(), consumers_max),
            count("limits.durable_subscriptions", self.durables.len(), durable_subscriptions_max),
            count("limits.producers_audited", self.audit.len(), producers_audited_max),
            ("memory.limit", self.memory, self.config.memory_bytes_limit),
            ("memory.body_window", self.resident, self.config.body_window_bytes),
        ]
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

/// Adds a policy that is in use.
pub(crate) fn add(sums: &mut BTreeMap<(Point, Arc<str>), PolicyStats>, key: (Point, Arc<str>), stats: &PolicyStats) {
    let sum = sums.entry(key).or_default();
    sum.add(stats);
    sum.memory_bytes += stats.memory_bytes;
}
