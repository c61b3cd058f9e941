//! The machine itself: its state, its doors, and what waits for the journal.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use message::{
    Command, ConnectionKey, Event, LogId, Position, ProducerId, Receipt, Record, Refusal, RefusalKind, Sequence, Text,
};
use plugin::auth::Guard;
use plugin::{GroupCheck, PlanCheck, PolicyHost};
use rustc_hash::FxHashMap;

use crate::connection::Connection;
use crate::consumer::Consumer;
use crate::dispatch::Scratch;
use crate::entry::Entry;
use crate::fan_out::TopicPolicies;
use crate::groups::NO_GROUP;
use crate::keep::KeepId;
use crate::line::Line;
use crate::retired::Retired;
use crate::routing::Routes;
use crate::slots::{Key, Slots};
use crate::{Config, JournalRoom, Stats};

/// Names one request for bodies, see [`Broker::poll_load`].
pub type LoadId = u64;

/// The broker machine. One thread owns it.
///
/// Invariants: a receipt leaves only when the journal reached the position of its records; a message is in exactly one
/// of pending, held and awaiting per line; records of one step form one atomic group.
pub struct Broker {
    pub(crate) config: Config,
    pub(crate) policies: Box<dyn PolicyHost>,
    /// Says who may make, remove and reach what; `None` where everybody may.
    pub(crate) guard: Option<Arc<dyn Guard>>,
    pub(crate) routes: Routes,
    pub(crate) topic_policies: TopicPolicies,
    pub(crate) connections: FxHashMap<ConnectionKey, Connection>,
    /// Client's own connection id -> connection (row L03).
    pub(crate) connection_ids: FxHashMap<Text, ConnectionKey>,
    pub(crate) client_ids: FxHashMap<Text, ConnectionKey>,
    pub(crate) consumers: Slots<Consumer>,
    pub(crate) lines: Slots<Line>,
    pub(crate) queues: FxHashMap<Text, Key>,
    pub(crate) temporary_queues: FxHashMap<Text, Key>,
    /// Topics seen so far; temporary ones with their owner.
    pub(crate) topics: FxHashMap<Text, ()>,
    pub(crate) temporary_topics: FxHashMap<Text, ConnectionKey>,
    /// Topic subscriptions by full name; those with wildcards apart.
    pub(crate) topic_lines: FxHashMap<Text, Vec<Key>>,
    pub(crate) topic_patterns: Vec<Key>,
    /// Queue consumers with wildcards: matched against new queues.
    pub(crate) queue_patterns: Vec<Key>,
    /// Durable subscriptions by client id and name.
    pub(crate) durables: FxHashMap<(Text, Text), Key>,
    /// Last persistent sequence of each producer (rows L04, L05).
    pub(crate) audit: FxHashMap<ProducerId, Audited>,
    pub(crate) audit_dirty: Vec<ProducerId>,
    /// Stored messages that more than one log holds, with how many do.
    pub(crate) body_references: FxHashMap<Sequence, u32>,
    pub(crate) next_sequence: Sequence,
    pub(crate) next_log: LogId,
    pub(crate) next_order: u64,
    /// Bytes of messages that are nowhere but in memory.
    pub(crate) memory: u64,
    /// Bytes of stored bodies that are in memory all the same.
    pub(crate) resident: u64,
    pub(crate) room: JournalRoom,
    /// Connections with parked sends, in order of their first.
    pub(crate) parked: VecDeque<ConnectionKey>,
    pub(crate) dirty: Vec<Key>,
    pub(crate) browsing: Vec<Key>,
    pub(crate) timers: BinaryHeap<Reverse<(i64, Timer)>>,
    /// Records of the step under way.
    pub(crate) records: Vec<Record>,
    /// Position of the last finished group.
    pub(crate) appended: Position,
    /// Position that the journal reached.
    pub(crate) durable: Position,
    pub(crate) awaiting: VecDeque<(Position, Then)>,
    /// Receipts that came to wait for the journal since the caller last asked.
    pub(crate) receipts_awaited: u64,
    pub(crate) appends: VecDeque<(Position, Vec<Record>)>,
    pub(crate) loads: VecDeque<(LoadId, Vec<Sequence>)>,
    /// Facts that are durable, not yet told.
    pub(crate) kept: VecDeque<KeepId>,
    pub(crate) loading: FxHashMap<LoadId, LoadFor>,
    pub(crate) next_load: LoadId,
    /// Connections with events to fetch.
    pub(crate) talking: Vec<ConnectionKey>,
    /// While a commit is carried out: messages of it that the journal does not keep.
    pub(crate) deferred: Option<Vec<(Key, Entry)>>,
    pub(crate) scratch: Scratch,
    pub(crate) check: PlanCheck,
    pub(crate) group_check: GroupCheck,
    pub(crate) now: i64,
    pub(crate) stats: Stats,
    /// What is there no more.
    pub(crate) retired: Retired,
    /// Ids of messages that the broker itself sends.
    pub(crate) own_producer: ProducerId,
    pub(crate) own_sequence: i64,
    pub(crate) stopping: bool,
    /// Deliveries before the last crash are counted in memory alone, so an orderly stop must not deny them.
    pub(crate) in_doubt: bool,
}

/// What is known of a producer's persistent sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audited {
    pub(crate) last: i64,
    pub(crate) at: Sequence,
    pub(crate) dirty: bool,
}

/// What happens once the journal reached a position.
#[derive(Debug)]
pub(crate) enum Then {
    /// The message joins its line.
    Join(Key, Entry),
    Reply(ConnectionKey, Receipt),
    ProducerAck(ConnectionKey, ProducerId, u32),
    /// The line may dispatch.
    Open(Key),
    /// Facts are kept.
    Kept(KeepId),
}

/// What a body is wanted for.
#[derive(Debug)]
pub(crate) enum LoadFor {
    /// To be dispatched: entries of this line by number and priority.
    Line(Key, Vec<(Sequence, u8)>),
    /// To become a dead letter; the connection that gave it up hears nothing more before that is done.
    DeadLetter(Key, Entry, Text, Option<ConnectionKey>),
    /// To be shown to a browser.
    Browser(Key),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A pull of this consumer gives up.
    Pull(Key),
    /// Expired messages of this line are looked for.
    Sweep(Key),
    /// A parked send of this connection gives up.
    Parked(ConnectionKey),
    /// Message groups of this line waited long enough for owners of an earlier run.
    Groups(Key),
    /// This line waited long enough for more consumers.
    Start(Key),
}

impl Broker {
    /// A machine with nothing in it. `id` names this run, for ids of messages that the broker itself sends. If a
    /// journal exists, [`Broker::recover`] and [`Broker::recovered`] come before the first command.
    pub fn new(config: Config, policies: Box<dyn PolicyHost>, id: Text) -> Broker {
        let (routes, policies_refused) = Routes::new(&config, &*policies);
        Broker {
            topic_policies: TopicPolicies::new(&config),
            config,
            policies,
            guard: None,
            routes,
            connections: FxHashMap::default(),
            connection_ids: FxHashMap::default(),
            client_ids: FxHashMap::default(),
            consumers: Slots::new(),
            lines: Slots::new(),
            queues: FxHashMap::default(),
            temporary_queues: FxHashMap::default(),
            topics: FxHashMap::default(),
            temporary_topics: FxHashMap::default(),
            topic_lines: FxHashMap::default(),
            topic_patterns: Vec::new(),
            queue_patterns: Vec::new(),
            durables: FxHashMap::default(),
            audit: FxHashMap::default(),
            audit_dirty: Vec::new(),
            body_references: FxHashMap::default(),
            next_sequence: 1,
            next_log: 1,
            next_order: 0,
            memory: 0,
            resident: 0,
            room: JournalRoom::Plenty,
            parked: VecDeque::new(),
            dirty: Vec::new(),
            browsing: Vec::new(),
            timers: BinaryHeap::new(),
            records: Vec::new(),
            appended: 0,
            durable: 0,
            awaiting: VecDeque::new(),
            receipts_awaited: 0,
            appends: VecDeque::new(),
            loads: VecDeque::new(),
            kept: VecDeque::new(),
            loading: FxHashMap::default(),
            next_load: 1,
            talking: Vec::new(),
            deferred: None,
            scratch: Scratch::default(),
            check: PlanCheck::new(),
            group_check: GroupCheck::new(),
            now: 0,
            stats: Stats { policies_refused, ..Stats::default() },
            retired: Retired::default(),
            own_producer: ProducerId { connection: id, session: -1, value: 1 },
            own_sequence: 0,
            stopping: false,
            in_doubt: false,
        }
    }

    /// Takes one request of a connection. Its effects are complete after [`Broker::flush`].
    pub fn handle(&mut self, connection: ConnectionKey, command: Command, now_ms: i64) {
        self.now = now_ms;
        if let Command::Connect(connect) = command {
            return self.connect(connection, *connect);
        }
        if !self.connections.contains_key(&connection) {
            return; // Replaced by a newer connection of the same id, or never logged in.
        }
        match command {
            Command::Connect(_) => {}
            Command::Disconnect => self.disconnect(connection),
            Command::Subscribe(subscribe) => self.subscribe(connection, *subscribe),
            Command::Unsubscribe { subscription, last_delivered, receipt } => {
                let outcome = self.unsubscribe(connection, subscription, last_delivered);
                self.answer(connection, receipt, outcome);
            }
            Command::Prefetch { subscription, prefetch } => self.set_prefetch(connection, subscription, prefetch),
            Command::Pull { subscription, timeout_ms } => self.pull(connection, subscription, timeout_ms),
            Command::RemoveDurable { client_id, name, receipt } => {
                let outcome = self.remove_durable(client_id, name);
                self.answer(connection, receipt, outcome);
            }
            Command::AddProducer { producer, destination, receipt } => {
                let outcome = self.add_producer(connection, producer, destination);
                self.answer(connection, receipt, outcome);
            }
            Command::RemoveProducer { producer, receipt } => {
                self.remove_producer(connection, &producer);
                self.answer(connection, receipt, Ok(()));
            }
            Command::AddDestination { destination, receipt } => {
                let outcome = self.add_destination(connection, destination);
                self.answer(connection, receipt, outcome);
            }
            Command::RemoveDestination { destination, receipt } => {
                let outcome = self.remove_destination(connection, &destination);
                self.answer(connection, receipt, outcome);
            }
            Command::Publish(publish) => self.publish(connection, publish),
            Command::Forbidden { publish, why } => self.forbid(connection, publish, why),
            Command::Ack(ack) => self.acknowledge(connection, ack),
            Command::Begin { transaction, receipt } => {
                let outcome = self.begin(connection, transaction);
                self.answer(connection, receipt, outcome);
            }
            Command::Commit { transaction, receipt } => {
                let outcome = self.commit(connection, transaction);
                self.answer(connection, receipt, outcome);
            }
            Command::Rollback { transaction, receipt } => {
                let outcome = self.rollback(connection, transaction);
                self.answer(connection, receipt, outcome);
            }
            Command::Written { bytes } => self.written(connection, bytes),
            Command::Fence { receipt } => match self.connections.get_mut(&connection) {
                Some(found) if !found.parked.is_empty() => found.fences.push(receipt),
                _ => self.answer(connection, Some(receipt), Ok(())),
            },
        }
    }

    /// The journal made all groups up to `position` durable.
    ///
    /// # Panics
    /// If that was said of a later position already, or no such group was given out: receipts would be wrong or not come.
    pub fn persisted(&mut self, position: Position) {
        assert!(position >= self.durable && position <= self.appended, "positions rise and were given out");
        self.durable = position;
        while self.awaiting.front().is_some_and(|(at, _)| *at <= position) {
            let (_, then) = self.awaiting.pop_front().expect("looked at just now");
            match then {
                Then::Join(line, entry) => self.join(line, entry),
                Then::Reply(connection, receipt) => self.say(connection, Event::Reply { receipt, outcome: Ok(()) }),
                Then::ProducerAck(connection, producer, bytes) => {
                    self.say(connection, Event::ProducerAck { producer, bytes });
                }
                Then::Open(line) => self.mark(line),
                Then::Kept(id) => self.kept.push_back(id),
            }
        }
    }

    /// The room in the journal changed.
    pub fn journal_room(&mut self, room: JournalRoom) {
        self.room = room;
    }

    /// Time went by: pulls, waits and messages whose time is up end.
    pub fn tick(&mut self, now_ms: i64) {
        self.now = now_ms;
        while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now_ms) {
            let Reverse((at, timer)) = self.timers.pop().expect("looked at just now");
            match timer {
                Timer::Pull(consumer) => self.pull_ended(consumer, at),
                Timer::Sweep(line) => self.sweep(line),
                Timer::Parked(connection) => self.parked_too_long(connection),
                Timer::Groups(line) => self.end_reservations(line),
                Timer::Start(line) => self.start_dispatch(line, at),
            }
        }
    }

    /// When [`Broker::tick`] is due, ms since 1970.
    pub fn poll_timeout(&self) -> Option<i64> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Ends a step: what waited for room goes on, messages are dispatched, the step's records become a group.
    pub fn flush(&mut self, now_ms: i64) {
        self.now = now_ms;
        self.unpark();
        // First come, first served: the order in which a topic's subscriptions got a message is the order here. Dispatch
        // may mark further lines.
        let mut at = 0;
        while let Some(line) = self.dirty.get(at).copied() {
            at += 1;
            self.dispatch(line);
        }
        self.dirty.clear();
        self.browse();
        self.finish_group();
    }

    pub(crate) fn finish_group(&mut self) {
        self.audit_records();
        if !self.records.is_empty() {
            self.appended += 1;
            let capacity = self.records.len();
            let group = std::mem::replace(&mut self.records, Vec::with_capacity(capacity.min(4096)));
            self.appends.push_back((self.appended, group));
        }
    }

    /// The next group for the journal; groups come in order, each once.
    pub fn poll_append(&mut self) -> Option<(Position, Vec<Record>)> {
        self.appends.pop_front()
    }

    /// The highest position that somebody waits for; groups above it may be written with the next that are.
    pub fn awaited(&self) -> Position {
        self.awaiting.back().map_or(self.durable, |(position, _)| *position)
    }

    /// Receipts that came to wait for the journal since this was last asked: who writes it may see how many clients one
    /// sync would serve.
    pub fn take_receipts_awaited(&mut self) -> u64 {
        std::mem::take(&mut self.receipts_awaited)
    }

    /// The next request for bodies; [`Broker::loaded`] answers it.
    pub fn poll_load(&mut self) -> Option<(LoadId, Vec<Sequence>)> {
        self.loads.pop_front()
    }

    /// The next connection with events, and they.
    pub fn poll_events(&mut self) -> Option<(ConnectionKey, Vec<Event>)> {
        while let Some(connection) = self.talking.pop() {
            if let Some(found) = self.connections.get_mut(&connection) {
                let capacity = found.events.len().min(64);
                let events = std::mem::replace(&mut found.events, Vec::with_capacity(capacity));
                return Some((connection, events));
            }
        }
        None
    }

    /// Refuses new work from now on, gives back what consumers hold and says so to the journal. One more
    /// [`Broker::flush`] and the group it makes end the life of the machine.
    pub fn stop(&mut self, now_ms: i64) {
        self.now = now_ms;
        self.stopping = true;
        let all: Vec<ConnectionKey> = self.connections.keys().copied().collect();
        for connection in all {
            self.say(connection, Event::Close(Refusal::new(RefusalKind::Closing, "the broker is stopping")));
            let last = self.connections.get_mut(&connection).map(|c| std::mem::take(&mut c.events));
            self.disconnect(connection);
            if let Some(events) = last {
                self.stats.farewells.push((connection, events));
            }
        }
        // Their bodies will not come any more: they are not dead letters yet.
        for (_, purpose) in std::mem::take(&mut self.loading) {
            if let LoadFor::DeadLetter(line, entry, ..) = purpose {
                self.give_back(line, entry, NO_GROUP, true);
            }
        }
        if !self.in_doubt {
            self.records.push(Record::CleanStop);
        }
    }

    /// Last events of connections that [`Broker::stop`] ended or a newer connection replaced.
    pub fn poll_farewell(&mut self) -> Option<(ConnectionKey, Vec<Event>)> {
        self.stats.farewells.pop()
    }

    /// Whether all that was promised is durable and nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.durable == self.appended && self.awaiting.is_empty() && self.records.is_empty()
    }

    pub(crate) fn say(&mut self, connection: ConnectionKey, event: Event) {
        if let Some(found) = self.connections.get_mut(&connection) {
            if found.events.is_empty() {
                self.talking.push(connection);
            }
            found.events.push(event);
        }
    }

    /// Answers a command: a refusal at once, a success when the journal has all that came before.
    pub(crate) fn answer(&mut self, connection: ConnectionKey, receipt: Option<Receipt>, outcome: Result<(), Refusal>) {
        match (receipt, outcome) {
            (Some(receipt), Ok(())) => match self.connections.get_mut(&connection) {
                Some(found) if found.burying > 0 => found.withheld.push(receipt),
                _ => self.later(Then::Reply(connection, receipt)),
            },
            (Some(receipt), outcome) => self.say(connection, Event::Reply { receipt, outcome }),
            (None, Err(refusal)) => self.say(connection, Event::Failed(refusal)),
            (None, Ok(())) => {}
        }
    }

    /// Does it when the journal has all that came before; at once when it has.
    pub(crate) fn later(&mut self, then: Then) {
        let position = if self.records.is_empty() { self.appended } else { self.appended + 1 };
        if let Then::Join(line, _) = &then
            && let Some(line) = self.lines.get_mut(*line)
        {
            line.awaiting += 1;
        }
        if let Then::Reply(..) | Then::ProducerAck(..) = then {
            self.receipts_awaited += u64::from(position > self.durable);
        }
        self.awaiting.push_back((position, then));
        if position <= self.durable {
            self.persisted(self.durable);
        }
    }

    /// Marks a line for dispatch.
    pub(crate) fn mark(&mut self, key: Key) {
        if let Some(line) = self.lines.get_mut(key)
            && !line.dirty
        {
            line.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Marks all lines that a consumer is served from.
    pub(crate) fn mark_consumer(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get(key) else { return };
        if consumer.browse.is_some() {
            self.browsing.push(key);
            return;
        }
        for at in 0..consumer.lines.len() {
            let Some(consumer) = self.consumers.get(key) else { return };
            let line = consumer.lines[at];
            self.mark(line);
        }
    }

    pub(crate) fn sequence(&mut self) -> Sequence {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }
}
