//! A broker machine with a journal that is a list, driven in virtual time.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Broker, Config, Recovery};
use message::{
    Ack, AckKind, Command, Connect, Delivery, Destination, Event, Message, MessageId, Position, ProducerId, Publish,
    Record, Sequence, Subscribe, Text,
};
use plugin::PolicyHost;
use plugin::native::NativeHost;

pub struct House {
    pub broker: Broker,
    pub now: i64,
    /// Groups that the machine handed out and the journal did not confirm.
    pub waiting: Vec<(Position, Vec<Record>)>,
    /// Groups that are durable.
    pub durable: Vec<Record>,
    pub bodies: BTreeMap<Sequence, Arc<Message>>,
    /// Confirms groups as they come.
    pub prompt: bool,
    pub events: BTreeMap<u64, Vec<Event>>,
    pub sent: i64,
}

impl House {
    pub fn new() -> House {
        House::with(Config::default())
    }

    pub fn with(config: Config) -> House {
        House::with_policies(config, Box::new(NativeHost::new()))
    }

    pub fn with_policies(config: Config, policies: Box<dyn PolicyHost>) -> House {
        House {
            broker: Broker::new(config, policies, Text::from_static("ID:house")),
            now: 1_000_000,
            waiting: Vec::new(),
            durable: Vec::new(),
            bodies: BTreeMap::new(),
            prompt: true,
            events: BTreeMap::new(),
            sent: 0,
        }
    }

    /// The broker dies; another one starts on what is durable.
    pub fn restart(self, config: Config, clean: bool) -> House {
        let mut next = House::with(config);
        let mut recovery = Recovery::default();
        let live = Live::of(&self.durable);
        for record in live.records() {
            next.broker.recover(&mut recovery, record);
        }
        next.broker.recovered(recovery, live.next_sequence, live.next_log, clean);
        next.durable = self.durable;
        next.bodies = self.bodies;
        next.now = self.now;
        next.sent = self.sent;
        next.settle();
        next
    }

    pub fn act(&mut self, connection: u64, command: Command) {
        self.broker.handle(connection, command, self.now);
        self.settle();
    }

    pub fn settle(&mut self) {
        loop {
            self.broker.flush(self.now);
            let mut busy = false;
            while let Some((position, group)) = self.broker.poll_append() {
                self.waiting.push((position, group));
            }
            if self.prompt && !self.waiting.is_empty() {
                self.confirm();
                busy = true;
            }
            while let Some((id, sequences)) = self.broker.poll_load() {
                let bodies = sequences.iter().map(|s| (*s, self.bodies.get(s).cloned())).collect();
                self.broker.loaded(id, bodies);
                busy = true;
            }
            while let Some((key, events)) = self.broker.poll_events() {
                self.events.entry(key).or_default().extend(events);
                busy = true;
            }
            while let Some((key, events)) = self.broker.poll_farewell() {
                self.events.entry(key).or_default().extend(events);
            }
            if !busy {
                return;
            }
        }
    }

    /// The journal made all that waits durable.
    pub fn confirm(&mut self) {
        let Some(last) = self.waiting.last().map(|(position, _)| *position) else { return };
        for (_, group) in self.waiting.drain(..) {
            for record in group {
                match &record {
                    Record::Body { sequence, message } => drop(self.bodies.insert(*sequence, message.clone())),
                    Record::BodyGone { sequence } => drop(self.bodies.remove(sequence)),
                    _ => {}
                }
                self.durable.push(record);
            }
        }
        self.broker.persisted(last);
    }

    pub fn later(&mut self, ms: i64) {
        self.now += ms;
        self.broker.tick(self.now);
        self.settle();
    }

    pub fn connect(&mut self, connection: u64) {
        self.connect_as(connection, None, false);
    }

    pub fn connect_as(&mut self, connection: u64, client_id: Option<&'static str>, failover: bool) {
        self.log_in(connection, None, client_id, failover);
    }

    pub fn log_in(
        &mut self,
        connection: u64,
        user: Option<&'static str>,
        client_id: Option<&'static str>,
        failover: bool,
    ) {
        self.act(
            connection,
            Command::Connect(Box::new(Connect {
                client_id: client_id.map(Text::from_static),
                connection: Text::from(format!("ID:c{connection}")),
                user: user.map(Text::from_static),
                groups: Vec::new(),
                remote: Text::from_static("tcp://test"),
                failover_reconnect: failover,
                link_stealing: false,
                receipt: Some(0),
            })),
        );
    }

    pub fn subscribe(&mut self, connection: u64, subscription: u32, destination: &str) {
        self.act(connection, Command::Subscribe(Box::new(wish(connection, subscription, destination))));
    }

    pub fn publish(&mut self, connection: u64, message: Message, receipt: Option<u32>) {
        self.publish_in(connection, message, receipt, None);
    }

    pub fn publish_in(&mut self, connection: u64, message: Message, receipt: Option<u32>, transaction: Option<u64>) {
        let publish = Publish { message: Arc::new(message), transaction, receipt, window_bytes: None };
        self.act(connection, Command::Publish(publish));
    }

    /// A persistent message with this text.
    pub fn message(&mut self, connection: u64, destination: &str, text: &str) -> Message {
        self.sent += 1;
        let producer = ProducerId { connection: Text::from(format!("ID:c{connection}")), session: 1, value: 1 };
        let id = MessageId { producer, sequence: self.sent, text_view: None };
        let target = Destination::parse(destination, message::DestinationKind::Queue);
        let mut message = Message::new(id, target);
        message.persistent = true;
        message.body_kind = message::BodyKind::Text;
        message.content = Some(message::properties::text_content(text));
        message
    }

    /// Sends persistent messages with these texts.
    pub fn send(&mut self, connection: u64, destination: &str, texts: &[&str]) {
        for text in texts {
            let message = self.message(connection, destination, text);
            self.publish(connection, message, None);
        }
    }

    pub fn ack(&mut self, connection: u64, subscription: u32, kind: AckKind, first: u64, last: u64) {
        self.ack_in(connection, subscription, kind, first, last, None);
    }

    pub fn ack_in(
        &mut self,
        connection: u64,
        subscription: u32,
        kind: AckKind,
        first: u64,
        last: u64,
        transaction: Option<u64>,
    ) {
        let ack = Ack { subscription, kind, first, last, transaction, cause: None, receipt: None };
        self.act(connection, Command::Ack(ack));
    }

    pub fn take(&mut self, connection: u64) -> Vec<Event> {
        self.events.remove(&connection).unwrap_or_default()
    }

    /// Texts of what was delivered since the last look, with `!` behind those marked as redelivered.
    pub fn texts(&mut self, connection: u64) -> Vec<String> {
        self.take(connection).iter().filter_map(delivered).map(text_of).collect()
    }

    /// Numbers of the receipts answered well since the last look, refusals as text.
    pub fn replies(&mut self, connection: u64) -> Vec<Result<u32, String>> {
        let events = self.take(connection);
        let replies = events.iter().filter_map(|event| match event {
            Event::Reply { receipt, outcome: Ok(()) } => Some(Ok(*receipt)),
            Event::Reply { outcome: Err(refusal), .. } => Some(Err(refusal.message.to_string())),
            _ => None,
        });
        replies.collect()
    }

    /// Messages waiting in a queue.
    pub fn pending(&self, name: &str) -> usize {
        self.broker.report().into_iter().find(|line| line.name == name).map_or(0, |line| line.pending)
    }

    /// What the journal still holds: entries and bodies.
    pub fn stored(&self) -> (usize, usize) {
        (Live::of(&self.durable).entries.len(), self.bodies.len())
    }
}

pub fn wish(connection: u64, subscription: u32, destination: &str) -> Subscribe {
    Subscribe {
        subscription,
        consumer: ProducerId {
            connection: Text::from(format!("ID:c{connection}")),
            session: 1,
            value: i64::from(subscription),
        },
        identity: Some(Text::from(format!("ID:c{connection}:1:{subscription}"))),
        destination: Destination::parse(destination, message::DestinationKind::Queue),
        selector: None,
        prefetch: 100,
        browser: false,
        durable_name: None,
        no_local: false,
        exclusive: false,
        priority: 0,
        network: false,
        auto_ack: false,
        receipt: None,
    }
}

pub fn selector(text: &str) -> Option<Arc<selector::Selector>> {
    Some(Arc::new(selector::Selector::parse(text, &selector::Limits::default()).expect("good selector")))
}

pub fn delivered(event: &Event) -> Option<&Delivery> {
    match event {
        Event::Deliver(delivery) => Some(delivery),
        _ => None,
    }
}

pub fn text_of(delivery: &Delivery) -> String {
    let content = delivery.message.content.as_ref().expect("text messages only");
    let text = message::properties::content_text(content).expect("text messages only");
    if delivery.redeliveries > 0 { format!("{text}!") } else { text.to_string() }
}

/// What is left of a list of records once later ones took earlier ones back.
pub struct Live {
    logs: BTreeMap<u32, (Record, Option<Record>)>,
    producers: BTreeMap<String, Record>,
    pub groups: BTreeMap<(u32, Text), Text>,
    pub entries: BTreeMap<(u32, u64), (Record, Option<Record>)>,
    pub next_sequence: u64,
    pub next_log: u32,
}

impl Live {
    pub fn of(records: &[Record]) -> Live {
        let mut live = Live {
            logs: BTreeMap::new(),
            producers: BTreeMap::new(),
            groups: BTreeMap::new(),
            entries: BTreeMap::new(),
            next_sequence: 1,
            next_log: 1,
        };
        for record in records {
            live.add(record.clone());
        }
        live
    }

    fn add(&mut self, record: Record) {
        match &record {
            Record::Body { sequence, .. } => self.next_sequence = self.next_sequence.max(sequence + 1),
            Record::Entry { log, sequence, .. } => {
                self.next_sequence = self.next_sequence.max(sequence + 1);
                self.entries.insert((*log, *sequence), (record, None));
            }
            Record::EntryGone { log, sequence } => drop(self.entries.remove(&(*log, *sequence))),
            Record::Redeliveries { log, sequence, .. } => {
                if let Some(entry) = self.entries.get_mut(&(*log, *sequence)) {
                    entry.1 = Some(record);
                }
            }
            Record::Log { log, .. } => {
                self.next_log = self.next_log.max(log + 1);
                self.logs.insert(*log, (record, None));
            }
            Record::Dispatched { log, .. } => {
                if let Some(known) = self.logs.get_mut(log) {
                    known.1 = Some(record);
                }
            }
            Record::LogGone { log } => {
                self.entries.retain(|(other, _), _| other != log);
                self.logs.remove(log);
                self.groups.retain(|(other, _), _| other != log);
            }
            Record::GroupOwner { log, group, owner } => {
                self.groups.insert((*log, group.clone()), owner.clone());
            }
            Record::GroupGone { log, group } => drop(self.groups.remove(&(*log, group.clone()))),
            Record::Producer { producer, .. } => drop(self.producers.insert(producer.to_string(), record)),
            Record::ProducerGone { producer } => drop(self.producers.remove(&producer.to_string())),
            Record::BodyGone { .. } | Record::Fact(_) | Record::CleanStop => {}
        }
    }

    fn records(&self) -> Vec<Record> {
        let mut all = Vec::new();
        for (log, dispatched) in self.logs.values() {
            all.push(log.clone());
            all.extend(dispatched.clone());
        }
        all.extend(self.producers.values().cloned());
        all.extend(self.groups.iter().map(|((log, group), owner)| Record::GroupOwner {
            log: *log,
            group: group.clone(),
            owner: owner.clone(),
        }));
        for (entry, redeliveries) in self.entries.values() {
            all.push(entry.clone());
            all.extend(redeliveries.clone());
        }
        all
    }
}
