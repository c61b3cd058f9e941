//! A line: messages waiting in order for the consumers of one queue, one durable subscription or one topic subscriber.

use std::sync::Arc;

use message::{ConnectionKey, Destination, LogId, Position, ProducerId, Sequence, Text};
use plugin::{MemberChange, QueueDispatch};
use selector::Selector;

use crate::DestinationSettings;
use crate::explain::Watch;
use crate::groups::Groups;
use crate::pending::{Pending, Place};
use crate::rights::Reader;
use crate::slots::Key;

/// A queue, a durable subscription and a plain topic subscription are the same thing to dispatch and acknowledgement;
/// they differ in how messages get in and in what the journal keeps.
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    /// The journal's number for it; `None` when nothing of it is kept.
    pub(crate) log: Option<LogId>,
    pub(crate) settings: Arc<DestinationSettings>,
    pub(crate) pending: Pending,
    /// Consumers that take messages from here, in order of arrival.
    pub(crate) members: Vec<Key>,
    /// Asked which member gets a message; queues only, made with the first member.
    pub(crate) policy: Option<Box<dyn QueueDispatch>>,
    /// What the policy is called; set and cleared with it.
    pub(crate) policy_name: Option<Arc<str>>,
    /// Its decisions are noted; somebody asked for them lately.
    pub(crate) watch: Option<Box<Watch>>,
    /// Members that came and went since the policy was told.
    pub(crate) changes: Vec<MemberChange>,
    /// Message groups; `None` until the first message of one is seen.
    pub(crate) groups: Option<Box<Groups>>,
    /// Nothing is dispatched before this time, ms since 1970; set when a first consumer comes and the settings want more
    /// of them.
    pub(crate) starts_at: Option<i64>,
    /// Some member has a selector.
    pub(crate) selective: bool,
    /// Some member is exclusive.
    pub(crate) exclusive: bool,
    /// Entries before this place match no member.
    pub(crate) unmatched: Place,
    /// Entries that wait for the journal before they may join.
    pub(crate) awaiting: u32,
    /// Nothing is dispatched until the journal reached this position.
    pub(crate) gate: Position,
    /// The journal knows that entries up to here may have been delivered.
    pub(crate) dispatched: Sequence,
    /// Bytes of stored messages whose bodies are in memory.
    pub(crate) resident: u64,
    /// Bytes of messages that are nowhere but in memory.
    pub(crate) memory: u64,
    /// Pending entries whose body is away.
    pub(crate) away: usize,
    /// No body is away before this place.
    pub(crate) load_from: Place,
    pub(crate) loading: bool,
    /// In the list of lines to dispatch.
    pub(crate) dirty: bool,
    /// A sweep for expired entries is due some time.
    pub(crate) sweep: bool,
    pub(crate) stats: LineStats,
}

pub(crate) enum LineKind {
    /// A queue; a temporary one has an owner.
    Queue { destination: Destination, owner: Option<ConnectionKey> },
    /// A topic subscription, durable or not.
    Subscription(Box<Subscription>),
}

pub(crate) struct Subscription {
    /// Topics it takes from; wildcards allowed.
    pub(crate) topics: Vec<Destination>,
    pub(crate) selector: Option<Arc<Selector>>,
    /// Connection id whose messages it refuses.
    pub(crate) no_local: Option<Text>,
    /// Consumer id for advisories aimed at it alone.
    pub(crate) consumer: Option<ProducerId>,
    /// Client id and name of a durable one.
    pub(crate) durable: Option<(Text, Text)>,
    /// With wildcards and a guard: which of the topics it may read. Set by each consumer that comes.
    pub(crate) reader: Option<Box<Reader>>,
}

/// Counters of one line, rising since the start of the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineStats {
    /// Messages that came in.
    pub enqueued: u64,
    /// Messages that were acknowledged or otherwise left.
    pub dequeued: u64,
    /// Deliveries.
    pub dispatched: u64,
    /// Messages found expired.
    pub expired: u64,
    /// Messages that became dead letters.
    pub dead_lettered: u64,
    /// Answers of the dispatch policy that had to be corrected.
    pub corrected: u64,
    /// Stored messages that the journal could not give back.
    pub damaged: u64,
}

impl LineStats {
    /// Adds the counters of another one.
    pub fn add(&mut self, other: &LineStats) {
        self.enqueued += other.enqueued;
        self.dequeued += other.dequeued;
        self.dispatched += other.dispatched;
        self.expired += other.expired;
        self.dead_lettered += other.dead_lettered;
        self.corrected += other.corrected;
        self.damaged += other.damaged;
    }
}

impl Line {
    pub(crate) fn new(kind: LineKind, log: Option<LogId>, settings: Arc<DestinationSettings>) -> Line {
        Line {
            kind,
            log,
            pending: Pending::new(settings.prioritized_messages),
            settings,
            members: Vec::new(),
            policy: None,
            policy_name: None,
            watch: None,
            changes: Vec::new(),
            groups: None,
            starts_at: None,
            selective: false,
            exclusive: false,
            unmatched: Place::FIRST,
            awaiting: 0,
            gate: 0,
            dispatched: 0,
            resident: 0,
            memory: 0,
            away: 0,
            load_from: Place::FIRST,
            loading: false,
            dirty: false,
            sweep: false,
            stats: LineStats::default(),
        }
    }

    pub(crate) fn is_queue(&self) -> bool {
        matches!(self.kind, LineKind::Queue { .. })
    }

    /// For people: the queue's name, or the durable subscription's.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            LineKind::Queue { destination, .. } => destination.to_string(),
            LineKind::Subscription(subscription) => match &subscription.durable {
                Some((client_id, name)) => format!("durable://{client_id}/{name}"),
                None => subscription.topics.iter().map(Destination::to_string).collect::<Vec<_>>().join(","),
            },
        }
    }
}
