//! The checker: it stands outside the broker, hears every command and every event, and knows only what was promised.
//!
//! [`Oracle::command`] is told each command once the broker carried it out, [`Oracle::round`] every event that left,
//! [`Oracle::received`] what a client really took in. The first promise found broken stays in
//! [`Oracle::violation`].

mod arrival;
mod delivery;
mod ending;
mod group;
mod settlement;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker::Config;
use message::{
    Command, ConnectionKey, Destination, DestinationKind, Event, MessageId, Pattern, ProducerId, Receipt, Sequence,
    SubscriptionKey, Text, TransactionKey,
};

use crate::ledger::Ledger;
use crate::words::{Letter, Uid, takes};

type LineKey = usize;
type TransactionNumber = usize;

/// A place where messages wait, as clients know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A queue.
    Queue(Text),
    /// A temporary queue.
    Temporary(Text),
    /// A durable subscription: client id and name.
    Durable(Text, Text),
    /// A topic subscription of a connection.
    Topic(ConnectionKey, SubscriptionKey),
}

impl Place {
    fn lasts(&self) -> bool {
        matches!(self, Place::Queue(_) | Place::Durable(..))
    }
}

#[derive(Debug)]
struct Line {
    place: Place,
    /// Promises made before this moment are void: its messages were thrown away by wish.
    voided_at: u64,
    /// Messages that were handed out, came back and wait again.
    returned: BTreeSet<Sequence>,
    /// What a subscription takes; `None` while not known.
    wants: Option<Wants>,
    /// Since when the subscription is known to be there.
    since: Option<u64>,
    /// Message groups seen here in this run.
    groups: BTreeMap<Text, group::Group>,
    /// Some consumer had a selector in this run.
    selective: bool,
    /// The sequence that a send has here, where it can have only one.
    sequences: BTreeMap<Uid, Sequence>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wants {
    /// Its topics; one alone if it is durable.
    pub(crate) topics: Vec<Destination>,
    /// Its selector.
    pub(crate) selector: Option<usize>,
    /// Nothing of its own connection.
    pub(crate) no_local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Confirmed,
    Refused,
}

#[derive(Debug)]
struct Sent {
    letter: Letter,
    fate: Fate,
    issued: u64,
    /// Sent again after a break.
    repeated: bool,
    transaction: Option<TransactionNumber>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    /// Carried out, not confirmed.
    Committing,
    Committed,
    RolledBack,
    /// The broker died before it confirmed.
    InDoubt,
}

#[derive(Debug)]
struct Transaction {
    ending: Ending,
    failed: bool,
    sends: Vec<Uid>,
    /// What became known of it: true once a message of it arrived, false once an acknowledgement of it was undone.
    learned: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    No,
    /// Acknowledged in this run, perhaps by a transaction; not confirmed.
    Asked(u64, Option<TransactionNumber>),
    Confirmed,
}

/// A message in a line, known since it was first handed out.
#[derive(Debug)]
struct Copy {
    uid: Uid,
    stored: bool,
    priority: u8,
    expiration: i64,
    holder: Option<(ConnectionKey, SubscriptionKey)>,
    done: Done,
    /// It was acknowledged as given up: done only once it is a dead letter.
    given_up: bool,
    /// An application may have seen it: the next delivery has to say so.
    must_mark: bool,
}

/// What is known of a send in a line.
#[derive(Debug, Default)]
struct Trace {
    promised: bool,
    voided: bool,
    arrived: bool,
    done: bool,
}

#[derive(Debug)]
struct Out {
    line: LineKey,
    sequence: Sequence,
    copy: bool,
    seen: bool,
    received: bool,
    transaction: Option<TransactionNumber>,
}

#[derive(Debug)]
enum Source {
    Browser,
    Queues,
    Line(LineKey),
}

#[derive(Debug)]
struct Subscription {
    source: Source,
    parts: Vec<Destination>,
    selector: Option<usize>,
    no_local: bool,
    exclusive: bool,
    priority: i8,
    order: u64,
    prefetch: u32,
    pulls: u32,
    auto_ack: bool,
    unseen: u32,
    next_tag: u64,
    held: BTreeMap<u64, Out>,
    /// Last first delivery by line, producer with message group and, where it counts, priority.
    last: BTreeMap<(LineKey, String, u8), i64>,
}

#[derive(Debug)]
enum Question {
    Send(Uid),
    Within(TransactionNumber),
    Commit(TransactionNumber),
    /// The line, and the moment since which it is what it is.
    Durable(LineKey, u64),
    Other,
}

#[derive(Debug)]
struct Shadow {
    line: LineKey,
    sequence: Sequence,
    received: bool,
    transaction: TransactionNumber,
}

#[derive(Debug, Default)]
struct Connection {
    id: Text,
    client_id: Option<Text>,
    subscriptions: BTreeMap<SubscriptionKey, Subscription>,
    shadows: Vec<Shadow>,
    transactions: BTreeMap<TransactionKey, TransactionNumber>,
    questions: BTreeMap<Receipt, (Question, u64)>,
    windows: BTreeMap<u32, Uid>,
    /// Acknowledgements not confirmed yet, and whether they gave the message up; the first is number `acks_confirmed`.
    acks: VecDeque<(LineKey, Sequence, bool)>,
    acks_confirmed: u64,
    temporary: Vec<LineKey>,
}

/// What was checked, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Sends confirmed.
    pub confirmed: u64,
    /// Messages handed out.
    pub deliveries: u64,
    /// Of those, the ones marked.
    pub redeliveries: u64,
    /// Acknowledgements confirmed.
    pub acks: u64,
    /// Transactions confirmed.
    pub commits: u64,
    /// Dead letters seen.
    pub dead: u64,
    /// Deliveries of message groups.
    pub grouped: u64,
    /// Of those, the ones to another consumer than the one before.
    pub group_moves: u64,
}

/// The checker.
#[derive(Debug)]
pub(crate) struct Oracle {
    /// What is durable.
    pub(crate) ledger: Ledger,
    /// What was checked so far.
    pub(crate) counted: Counted,
    config: Config,
    life: u64,
    clock: u64,
    now: i64,
    sends: BTreeMap<Uid, Sent>,
    transactions: Vec<Transaction>,
    lines: Vec<Line>,
    places: BTreeMap<Place, LineKey>,
    copies: BTreeMap<(LineKey, Sequence), Copy>,
    traces: BTreeMap<(LineKey, Uid), Trace>,
    connections: BTreeMap<ConnectionKey, Connection>,
    dead_due: BTreeMap<Uid, usize>,
    dead_seen: BTreeMap<Uid, BTreeSet<(LineKey, Sequence)>>,
    violation: Option<String>,
}

impl Oracle {
    /// Nothing was promised yet.
    pub(crate) fn new(config: Config) -> Oracle {
        Oracle {
            ledger: Ledger::default(),
            counted: Counted::default(),
            config,
            life: 1,
            clock: 0,
            now: 0,
            sends: BTreeMap::new(),
            transactions: Vec::new(),
            lines: Vec::new(),
            places: BTreeMap::new(),
            copies: BTreeMap::new(),
            traces: BTreeMap::new(),
            connections: BTreeMap::new(),
            dead_due: BTreeMap::new(),
            dead_seen: BTreeMap::new(),
            violation: None,
        }
    }

    /// The first promise found broken.
    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Notes a broken promise; the first one stays.
    pub(crate) fn broken(&mut self, what: impl Into<String>) {
        if self.violation.is_none() {
            self.violation = Some(what.into());
        }
    }

    /// The time at which the next events leave.
    pub(crate) fn at(&mut self, now: i64) {
        self.now = now;
    }

    /// A client is about to send this.
    pub(crate) fn writes(&mut self, letter: Letter) {
        let sent = Sent { fate: Fate::Open, issued: 0, repeated: false, transaction: None, letter };
        self.sends.insert(sent.letter.uid, sent);
    }

    /// The broker carried this out at `now`; `refused` if it said no to it at once. The events it caused follow.
    pub(crate) fn command(&mut self, from: ConnectionKey, command: &Command, refused: bool, now: i64) {
        self.now = now;
        self.clock += 1;
        if let Command::Connect(connect) = command {
            return self.connected(from, connect, refused);
        }
        if !self.connections.contains_key(&from) {
            return;
        }
        match command {
            Command::Disconnect => self.disconnected(from),
            Command::Subscribe(wish) if !refused => self.subscribed(from, wish),
            Command::Unsubscribe { subscription, last_delivered, receipt } => {
                self.unsubscribed(from, *subscription, *last_delivered);
                self.asked(from, *receipt, Question::Other);
            }
            Command::Prefetch { subscription, prefetch } => {
                let prefetch = (*prefetch).min(self.config.prefetch_max);
                if let Some(subscription) = self.subscription(from, *subscription) {
                    subscription.prefetch = prefetch;
                    if prefetch > 0 {
                        subscription.pulls = 0;
                    }
                }
            }
            Command::Pull { subscription, .. } => {
                if let Some(subscription) = self.subscription(from, *subscription)
                    && subscription.prefetch == 0
                {
                    subscription.pulls += 1;
                }
            }
            Command::RemoveDurable { client_id, name, receipt } if !refused => {
                self.void_place(&Place::Durable(client_id.clone(), name.clone()));
                self.asked(from, *receipt, Question::Other);
            }
            Command::AddDestination { destination, receipt } if !refused => {
                if destination.kind == DestinationKind::TempQueue {
                    let line = self.line(Place::Temporary(destination.name.clone()));
                    self.connections.entry(from).or_default().temporary.push(line);
                }
                self.asked(from, *receipt, Question::Other);
            }
            Command::RemoveDestination { destination, receipt } if !refused => {
                self.void_place(&place_of_queue(destination));
                self.asked(from, *receipt, Question::Other);
            }
            Command::Publish(publish) => self.published(from, publish, refused),
            Command::Ack(ack) => self.acknowledged(from, ack, refused),
            Command::Begin { transaction, receipt } => {
                let number = self.transactions.len();
                self.transactions.push(Transaction {
                    ending: Ending::Open,
                    failed: false,
                    sends: Vec::new(),
                    learned: None,
                });
                self.connections.entry(from).or_default().transactions.insert(*transaction, number);
                self.asked(from, *receipt, Question::Other);
            }
            Command::Commit { transaction, receipt } => self.committed(from, *transaction, *receipt, refused),
            Command::Rollback { transaction, receipt } => {
                let number = self.connections.get_mut(&from).and_then(|c| c.transactions.remove(transaction));
                if let Some(number) = number {
                    self.rolled_back(from, number);
                }
                if !refused {
                    self.asked(from, *receipt, Question::Other);
                }
            }
            Command::Fence { receipt } => self.asked(from, Some(*receipt), Question::Other),
            _ => {}
        }
    }

    /// Events that left the broker together.
    pub(crate) fn round(&mut self, events: &[(ConnectionKey, Vec<Event>)]) {
        self.clock += 1;
        let together: BTreeSet<Sequence> = events
            .iter()
            .flat_map(|(_, events)| events)
            .filter_map(|event| match event {
                Event::Deliver(delivery) => Some(delivery.message.sequence),
                _ => None,
            })
            .collect();
        for (to, events) in events {
            for event in events {
                self.event(*to, event, &together);
            }
        }
    }

    fn event(&mut self, to: ConnectionKey, event: &Event, together: &BTreeSet<Sequence>) {
        match event {
            Event::Reply { receipt, outcome } => self.replied(to, *receipt, outcome.is_ok()),
            Event::Deliver(delivery) => self.delivered(to, delivery, together),
            Event::PullEmpty { subscription } => {
                if let Some(subscription) = self.subscription(to, *subscription) {
                    subscription.pulls = 0;
                }
            }
            Event::ProducerAck { bytes, .. } => {
                let uid = self.connections.get_mut(&to).and_then(|c| c.windows.remove(bytes));
                match uid {
                    Some(uid) => self.confirmed(uid),
                    None => self.broken(format!("a producer of connection {to} got a window of {bytes} back unasked")),
                }
            }
            Event::BrowseEnd { .. }
            | Event::SubscriptionClosed { .. }
            | Event::Failed(_)
            | Event::Pause
            | Event::Resume
            | Event::Close(_) => {}
        }
    }

    /// A client took a delivery in: its application may have seen it.
    pub(crate) fn received(&mut self, by: ConnectionKey, subscription: SubscriptionKey, tag: u64) {
        if let Some(out) = self.subscription(by, subscription).and_then(|s| s.held.get_mut(&tag)) {
            out.received = true;
        }
    }

    fn asked(&mut self, from: ConnectionKey, receipt: Option<Receipt>, question: Question) {
        if let (Some(receipt), Some(connection)) = (receipt, self.connections.get_mut(&from)) {
            let mark = connection.acks_confirmed + connection.acks.len() as u64;
            connection.questions.insert(receipt, (question, mark));
        }
    }

    fn subscription(&mut self, of: ConnectionKey, key: SubscriptionKey) -> Option<&mut Subscription> {
        self.connections.get_mut(&of)?.subscriptions.get_mut(&key)
    }

    /// The line of a place, noted on first sight.
    fn line(&mut self, place: Place) -> LineKey {
        if let Some(line) = self.places.get(&place) {
            return *line;
        }
        let line = self.lines.len();
        self.lines.push(Line {
            place: place.clone(),
            voided_at: 0,
            returned: BTreeSet::new(),
            wants: None,
            since: None,
            groups: BTreeMap::new(),
            selective: false,
            sequences: BTreeMap::new(),
        });
        self.places.insert(place, line);
        line
    }

    /// Somebody threw away what waits there.
    fn void_place(&mut self, place: &Place) {
        let line = self.line(place.clone());
        let clock = self.clock;
        let known = &mut self.lines[line];
        known.voided_at = clock;
        known.returned.clear();
        known.sequences.clear();
        known.wants = None;
        known.since = None;
        for (_, trace) in self.traces.range_mut((line, 0)..=(line, Uid::MAX)) {
            trace.voided = true;
        }
        self.copies.retain(|(at, _), copy| *at != line || copy.done == Done::Confirmed);
        for subscription in self.connections.values_mut().flat_map(|c| c.subscriptions.values_mut()) {
            subscription.held.retain(|_, out| out.copy || out.line != line);
            subscription.unseen = subscription.held.values().filter(|out| !out.seen).count() as u32;
        }
    }

    fn is_prioritized(&self, line: LineKey) -> bool {
        match &self.lines[line].place {
            Place::Queue(name) | Place::Temporary(name) => self.config.settings(true, name).prioritized_messages,
            _ => {
                let first = self.lines[line].wants.as_ref().and_then(|wants| wants.topics.first());
                first.is_none_or(|topic| self.config.settings(false, &topic.name).prioritized_messages)
            }
        }
    }

    /// Durable subscriptions ever seen: client id, name and, where it is known, what they take.
    pub(crate) fn durables(&self) -> Vec<(Text, Text, Option<Wants>)> {
        let known = self.places.iter().filter_map(|(place, line)| match place {
            Place::Durable(client_id, name) => Some((client_id.clone(), name.clone(), self.lines[*line].wants.clone())),
            _ => None,
        });
        known.collect()
    }

    /// Whether the letter is for a subscription that wants this.
    fn is_wanted(wants: &Wants, letter: &Letter) -> bool {
        let topics = letter.destination.components();
        topics.iter().any(|topic| covers(&wants.topics, topic)) && takes(wants.selector, letter)
    }
}

fn place_of_queue(destination: &Destination) -> Place {
    match destination.kind {
        DestinationKind::TempQueue => Place::Temporary(destination.name.clone()),
        _ => Place::Queue(destination.name.clone()),
    }
}

fn covers(parts: &[Destination], destination: &Destination) -> bool {
    parts.iter().any(|part| {
        part.kind == destination.kind
            && (part.name == destination.name || Pattern::new(part.name.clone()).matches(&destination.name))
    })
}

fn selector_index(text: &str) -> usize {
    crate::words::SELECTORS.iter().position(|(known, _)| *known == text).unwrap_or(0)
}

fn producer_text(id: &MessageId) -> String {
    let ProducerId { connection, session, value } = &id.producer;
    format!("{connection}:{session}:{value}")
}
