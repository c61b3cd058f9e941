//! Queues and topics come and go.

use std::sync::Arc;

use message::{
    Advisory, ConnectionKey, Destination, DestinationKind, LogDefinition, LogId, Message, Record, Refusal, RefusalKind,
};

use crate::broker::{Broker, LoadFor};
use crate::consumer::Consumer;
use crate::line::{Line, LineKind};
use crate::slots::Key;

impl Broker {
    /// Destinations that there are, of all kinds.
    pub(crate) fn destinations(&self) -> usize {
        self.queues.len() + self.temporary_queues.len() + self.topics.len() + self.temporary_topics.len()
    }

    pub(crate) fn new_log(&mut self) -> LogId {
        let log = self.next_log;
        self.next_log += 1;
        log
    }

    /// Makes a queue that does not exist; consumers with wildcards that cover it are served from it at once.
    pub(crate) fn make_queue(&mut self, destination: &Destination) -> Key {
        let log = self.new_log();
        let definition = LogDefinition::Queue { name: destination.name.clone() };
        self.records.push(Record::Log { log, definition });
        let key = self.insert_queue(destination.clone(), Some(log), None);
        self.advise_destination(destination, None, false);
        key
    }

    pub(crate) fn insert_queue(
        &mut self,
        destination: Destination,
        log: Option<LogId>,
        owner: Option<ConnectionKey>,
    ) -> Key {
        let settings = Arc::new(self.config.settings(true, &destination.name).clone());
        let name = destination.name.clone();
        let kind = destination.kind;
        let key = self.lines.insert(Line::new(LineKind::Queue { destination, owner }, log, settings));
        match kind {
            DestinationKind::TempQueue => self.temporary_queues.insert(name.clone(), key),
            _ => self.queues.insert(name.clone(), key),
        };
        if kind == DestinationKind::Queue {
            for at in 0..self.queue_patterns.len() {
                let consumer = self.queue_patterns[at];
                let wants = self
                    .consumers
                    .get(consumer)
                    .is_some_and(|c| c.patterns.iter().any(|p| p.kind == kind && p.covers_name(&name)));
                if wants && self.may_read(consumer, &Destination { kind, name: name.clone() }) {
                    self.enlist(key, consumer);
                }
            }
        }
        key
    }

    /// Notes a topic that a client named.
    pub(crate) fn note_topic(&mut self, destination: &Destination) {
        if destination.kind == DestinationKind::Topic
            && !destination.is_wildcard()
            && !self.topics.contains_key(&destination.name)
        {
            self.topics.insert(destination.name.clone(), ());
            if !destination.is_advisory() {
                self.advise_destination(destination, None, false);
            }
        }
    }

    /// The subscriptions that want a topic message, in order of arrival.
    pub(crate) fn subscriptions_for(&mut self, message: &Message, out: &mut Vec<Key>) {
        let destination = &message.destination;
        if !self.topics.contains_key(&destination.name) {
            self.note_topic(destination);
        }
        if let Some(named) = self.topic_lines.get(&destination.name) {
            out.extend(named);
        }
        for key in &self.topic_patterns {
            let Some(Line { kind: LineKind::Subscription(subscription), .. }) = self.lines.get(*key) else { continue };
            let covers = subscription.topics.iter().any(|topic| topic.covers(destination));
            if covers {
                out.push(*key);
            }
        }
        let (guard, now) = (self.guard.clone(), self.now);
        out.retain(|key| match self.lines.get_mut(*key) {
            Some(Line { kind: LineKind::Subscription(s), .. }) => {
                s.topics.iter().any(|topic| topic.kind == destination.kind)
                    && s.no_local.as_ref().is_none_or(|id| *id != message.id.producer.connection)
                    && s.selector.as_ref().is_none_or(|selector| message.matches(selector, message.redelivery_count))
                    && s.may_read(guard.as_deref(), destination, now)
            }
            _ => false,
        });
    }

    /// Makes a topic subscription findable.
    pub(crate) fn index_topics(&mut self, key: Key, topics: &[Destination]) {
        if topics.iter().any(Destination::is_wildcard) {
            self.topic_patterns.push(key);
        } else {
            for topic in topics {
                self.topic_lines.entry(topic.name.clone()).or_default().push(key);
            }
        }
    }

    pub(crate) fn unindex_topics(&mut self, key: Key, topics: &[Destination]) {
        self.topic_patterns.retain(|other| *other != key);
        for topic in topics {
            if let Some(lines) = self.topic_lines.get_mut(&topic.name) {
                lines.retain(|other| *other != key);
                if lines.is_empty() {
                    self.topic_lines.remove(&topic.name);
                }
            }
        }
    }

    pub(crate) fn add_destination(&mut self, from: ConnectionKey, destination: Destination) -> Result<(), Refusal> {
        if let Err(error) = destination.check() {
            return Err(Refusal::new(RefusalKind::InvalidDestination, error.to_string()));
        }
        if destination.is_composite() || destination.is_wildcard() {
            let text = format!("cannot make {destination}: name one destination without wildcards");
            return Err(Refusal::new(RefusalKind::InvalidDestination, text));
        }
        if self.destinations() >= self.config.destinations_max {
            let limit = self.config.destinations_max;
            let text = format!("cannot make {destination}: destinations_max of {limit} is reached");
            return Err(Refusal::new(RefusalKind::ResourceAllocation, text));
        }
        self.check_creation(from, &destination)?;
        match destination.kind {
            DestinationKind::Queue => {
                self.queue_for(&destination);
            }
            DestinationKind::Topic => self.note_topic(&destination),
            DestinationKind::TempQueue | DestinationKind::TempTopic => {
                let is_queue = destination.kind.is_queue();
                let taken = match is_queue {
                    true => self.temporary_queues.contains_key(&destination.name),
                    false => self.temporary_topics.contains_key(&destination.name),
                };
                if taken {
                    return Ok(()); // A client that came back says it again (row W23).
                }
                let Some(connection) = self.connections.get_mut(&from) else { return Ok(()) };
                connection.temporary.push(destination.clone());
                if is_queue {
                    self.insert_queue(destination.clone(), None, Some(from));
                } else {
                    self.temporary_topics.insert(destination.name.clone(), from);
                }
                self.advise_destination(&destination, Some(from), false);
            }
        }
        Ok(())
    }

    pub(crate) fn remove_destination(&mut self, from: ConnectionKey, destination: &Destination) -> Result<(), Refusal> {
        let refuse = |why: &str| {
            Err(Refusal::new(RefusalKind::InvalidDestination, format!("cannot remove {destination}: {why}")))
        };
        self.check_removal(from, destination)?;
        match destination.kind {
            DestinationKind::Queue | DestinationKind::TempQueue => {
                let table = match destination.kind {
                    DestinationKind::Queue => &self.queues,
                    _ => &self.temporary_queues,
                };
                let Some(key) = table.get(&destination.name).copied() else { return Ok(()) };
                let Some(line) = self.lines.get(key) else { return Ok(()) };
                if let LineKind::Queue { owner: Some(owner), .. } = line.kind
                    && owner != from
                {
                    return refuse("it is another connection's temporary queue");
                }
                if line.is_served() {
                    return refuse("it still has consumers; close them first");
                }
                self.drop_line(key);
            }
            DestinationKind::Topic => {
                if self.topic_lines.contains_key(&destination.name) {
                    return refuse("it still has subscriptions; close them first");
                }
                self.topics.remove(&destination.name);
                self.topic_policies.forget(&destination.name, &mut self.retired);
            }
            DestinationKind::TempTopic => match self.temporary_topics.get(&destination.name) {
                Some(owner) if *owner != from => return refuse("it is another connection's temporary topic"),
                Some(_) if self.topic_lines.contains_key(&destination.name) => {
                    return refuse("it still has subscriptions; close them first");
                }
                _ => {
                    self.temporary_topics.remove(&destination.name);
                }
            },
        }
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.temporary.retain(|other| other != destination);
        }
        let owner = destination.kind.is_temporary().then_some(from);
        self.advise_destination(destination, owner, true);
        Ok(())
    }

    /// Ends a line: its messages go, its number too, its members are served from it no more.
    pub(crate) fn drop_line(&mut self, key: Key) {
        let Some(mut line) = self.lines.remove(key) else { return };
        self.retired.line(&mut line);
        match &line.kind {
            LineKind::Queue { destination, .. } => {
                match destination.kind {
                    DestinationKind::TempQueue => self.temporary_queues.remove(&destination.name),
                    _ => self.queues.remove(&destination.name),
                };
            }
            LineKind::Subscription(subscription) => {
                let topics = subscription.topics.clone();
                if let Some(durable) = subscription.durable.clone() {
                    self.durables.remove(&durable);
                }
                self.unindex_topics(key, &topics);
            }
        }
        for entry in line.pending.drain() {
            self.settle(&mut line, &entry);
        }
        let mut holders = std::mem::take(&mut line.members);
        if line.log.is_some() {
            // Those too that were closed within a transaction, and what is on its way to becoming a dead letter.
            let holds = |consumer: &Consumer| consumer.held.iter().any(|held| held.line == key);
            let others = self.consumers.iter().filter(|(other, c)| !holders.contains(other) && holds(c));
            let others: Vec<_> = others.map(|(other, _)| other).collect();
            holders.extend(others);
            self.bury_with(key, &mut line);
        }
        for member in holders {
            if let Some(consumer) = self.consumers.get_mut(member) {
                consumer.lines.retain(|other| *other != key);
                let mut held = std::mem::take(&mut consumer.held);
                for held in held.iter_mut().filter(|held| held.line == key && !held.gone && !held.copy) {
                    held.gone = true;
                    self.settle(&mut line, &held.entry);
                }
                if let Some(consumer) = self.consumers.get_mut(member) {
                    consumer.held = held;
                    consumer.unseen = consumer.held.iter().filter(|h| !h.gone && !h.seen).count() as u32;
                    consumer.tidy();
                }
            }
        }
        if let Some(log) = line.log {
            // Entries that still wait for the journal are in it already and go with their log.
            let waiting: Vec<_> = self
                .awaiting
                .iter()
                .filter_map(|(_, then)| match then {
                    crate::broker::Then::Join(at, entry) if *at == key && entry.is_stored() => Some(entry.sequence),
                    _ => None,
                })
                .collect();
            for sequence in waiting {
                self.records.push(Record::EntryGone { log, sequence });
                self.release_body(sequence);
            }
            self.records.push(Record::LogGone { log });
        }
    }

    /// Messages of the line whose bodies are awaited to make dead letters of them go with it.
    fn bury_with(&mut self, key: Key, line: &mut Line) {
        let ours = |purpose: &LoadFor| matches!(purpose, LoadFor::DeadLetter(at, ..) if *at == key);
        let loads: Vec<_> = self.loading.iter().filter(|(_, p)| ours(p)).map(|(id, _)| *id).collect();
        for id in loads {
            if let Some(LoadFor::DeadLetter(_, entry, _, from)) = self.loading.remove(&id) {
                self.settle(line, &entry);
                self.buried(from);
            }
        }
    }

    pub(crate) fn advise_destination(
        &mut self,
        destination: &Destination,
        owner: Option<ConnectionKey>,
        removed: bool,
    ) {
        let topic = match destination.kind {
            DestinationKind::Queue => "ActiveMQ.Advisory.Queue",
            DestinationKind::Topic => "ActiveMQ.Advisory.Topic",
            DestinationKind::TempQueue => "ActiveMQ.Advisory.TempQueue",
            DestinationKind::TempTopic => "ActiveMQ.Advisory.TempTopic",
        };
        let connection = owner.and_then(|key| self.connections.get(&key)).map(|c| c.id.clone()).unwrap_or_default();
        self.advise(topic, Advisory::Destination { destination: destination.clone(), connection, removed }, None);
    }
}
