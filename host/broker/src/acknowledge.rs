//! A message's way out: acknowledged, given back, expired or dead.

use std::cmp::Reverse;
use std::sync::Arc;

use message::{
    Ack, AckKind, Advisory, ConnectionKey, Destination, Message, MessageId, Record, Refusal, RefusalKind, Sequence,
    Text, Value,
};

use crate::broker::{Broker, LoadFor, Then, Timer};
use crate::entry::Entry;
use crate::groups::NO_GROUP;
use crate::line::{Line, LineKind};
use crate::slots::Key;

/// Expired messages taken out in one sweep of a line.
const SWEEP_ENTRIES_MAX: usize = 10_000;

impl Broker {
    pub(crate) fn acknowledge(&mut self, from: ConnectionKey, ack: Ack) {
        let receipt = ack.receipt;
        let outcome = self.try_acknowledge(from, ack);
        self.answer(from, receipt, outcome);
    }

    fn try_acknowledge(&mut self, from: ConnectionKey, ack: Ack) -> Result<(), Refusal> {
        let Some(key) = self.consumer_of(from, ack.subscription) else {
            self.stats.stale_acks += 1; // Sent before the client knew that the consumer is gone (row L08).
            return Ok(());
        };
        match (ack.kind, ack.transaction) {
            (AckKind::Delivered, _) => self.seen(key, ack.last),
            // The client delivers them again by itself and counts for itself; the broker counts when they come back.
            (AckKind::Redelivered, _) => {}
            (AckKind::Standard | AckKind::Individual, Some(transaction)) => {
                return self.acknowledge_in(from, transaction, key, ack.first, ack.last);
            }
            (kind, _) => self.settle_range(from, key, &ack, kind),
        }
        self.mark_consumer(key);
        Ok(())
    }

    /// The application has everything up to this tag: the prefetch window moves on (row W28).
    fn seen(&mut self, key: Key, last: u64) {
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        let from = consumer.held_from(consumer.seen_up_to + 1);
        let mut moved = 0;
        for held in consumer.held.range_mut(from..).take_while(|held| held.tag <= last) {
            if !held.seen && !held.gone {
                moved += 1;
            }
            held.seen = true;
        }
        consumer.unseen -= moved;
        consumer.seen_up_to = consumer.seen_up_to.max(last.min(consumer.next_tag - 1));
    }

    /// Ends the deliveries of a range, each in the way that `kind` says.
    fn settle_range(&mut self, by: ConnectionKey, key: Key, ack: &Ack, kind: AckKind) {
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        let mut ended = std::mem::take(&mut self.scratch.ended);
        let at = consumer.held_from(ack.first);
        let (mut moved, mut counted) = (0, 0);
        for held in consumer.held.range_mut(at..).take_while(|held| held.tag <= ack.last) {
            if held.gone || held.transaction.is_some() {
                continue;
            }
            if !held.seen {
                moved += 1;
            }
            held.gone = true;
            if !held.copy {
                counted += 1;
                ended.push((held.line, held.group, held.entry.take()));
            }
        }
        consumer.unseen -= moved;
        // What a consumer gives back or gives up is no work done: it must not look fast for it.
        if matches!(kind, AckKind::Standard | AckKind::Individual) {
            consumer.pace.acknowledged(counted, self.now);
        }
        consumer.tidy();
        for (line, group, entry) in ended.drain(..) {
            match kind {
                AckKind::Poison => {
                    let cause = ack.cause.clone().unwrap_or_else(|| Text::from_static("the consumer gave it up"));
                    self.dead_letter(line, entry, cause, Some(by));
                }
                AckKind::Expired => self.expire(line, entry, Some(by)),
                AckKind::Released => self.give_back(line, entry, group, true),
                _ => self.done(line, entry),
            }
            self.group_released(line, group);
        }
        self.scratch.ended = ended;
    }

    /// The message leaves its line for good.
    pub(crate) fn done(&mut self, key: Key, entry: Entry) {
        let Some(mut line) = self.lines.take(key) else { return self.settle_lineless(&entry) };
        line.stats.dequeued += 1;
        self.settle(&mut line, &entry);
        self.lines.put_back(key, line);
    }

    /// The line went away while a consumer that was closed within a transaction still held the message. What the
    /// journal had of it went with the line.
    fn settle_lineless(&mut self, entry: &Entry) {
        if !entry.is_stored() {
            self.memory = self.memory.saturating_sub(u64::from(entry.size));
        }
    }

    /// Takes a message off the books of its line: memory, and the journal if it is stored.
    pub(crate) fn settle(&mut self, line: &mut Line, entry: &Entry) {
        let size = u64::from(entry.size);
        if !entry.is_stored() {
            line.memory = line.memory.saturating_sub(size);
            self.memory = self.memory.saturating_sub(size);
            return;
        }
        if entry.message.is_some() {
            line.resident = line.resident.saturating_sub(size);
            self.resident = self.resident.saturating_sub(size);
        }
        if let Some(log) = line.log {
            self.records.push(Record::EntryGone { log, sequence: entry.sequence });
            self.release_body(entry.sequence);
        }
    }

    /// One log less holds the body; the last one takes it along.
    pub(crate) fn release_body(&mut self, sequence: Sequence) {
        match self.body_references.get_mut(&sequence) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                self.body_references.remove(&sequence);
                self.records.push(Record::BodyGone { sequence });
            }
        }
    }

    /// A delivered message goes back to where it stood. `failed` counts the delivery (row L13).
    pub(crate) fn give_back(&mut self, key: Key, mut entry: Entry, group: u32, failed: bool) {
        let Some(line) = self.lines.get_mut(key) else { return self.settle_lineless(&entry) };
        if failed {
            entry.redeliveries = entry.redeliveries.saturating_add(1);
            if let (Some(log), true) = (line.log, entry.is_stored()) {
                let count = entry.redeliveries.into();
                self.records.push(Record::Redeliveries { log, sequence: entry.sequence, count });
            }
        }
        let place = line.pending.place(entry.sequence, entry.priority);
        line.unmatched = line.unmatched.min(place);
        if entry.message.is_none() {
            line.away += 1;
            line.load_from = line.load_from.min(place);
        }
        if group != NO_GROUP {
            Broker::came_back_parked(line, group, &mut entry);
        }
        line.pending.insert(entry);
        self.mark(key);
    }

    /// The message's time is up (row R08); `by` is the connection that found out, if one did.
    pub(crate) fn expire(&mut self, key: Key, entry: Entry, by: Option<ConnectionKey>) {
        let Some(line) = self.lines.get_mut(key) else { return self.settle_lineless(&entry) };
        line.stats.expired += 1;
        let name = line.kind.queue().map(|queue| queue.name.clone());
        let dead = line.settings.dead_letter_expired;
        if let (Some(message), Some(name)) = (&entry.message, name) {
            let subject = Advisory::Message(Box::new(Message::clone(message)));
            self.advise(&format!("ActiveMQ.Advisory.Expired.Queue.{name}"), subject, None);
        }
        if dead {
            let cause = Text::from(format!("Message Expired. Expiration:{}", entry.expiration));
            self.dead_letter(key, entry, cause, by);
        } else {
            self.done(key, entry);
        }
    }

    /// Moves a message to its dead-letter queue, in one group with its end here (rows R02, R03, R05).
    pub(crate) fn dead_letter(&mut self, key: Key, entry: Entry, cause: Text, from: Option<ConnectionKey>) {
        let Some(line) = self.lines.get_mut(key) else { return self.settle_lineless(&entry) };
        let Some(message) = entry.message.clone() else {
            if entry.is_stored() {
                if let Some(connection) = from.and_then(|from| self.connections.get_mut(&from)) {
                    connection.burying += 1;
                }
                let sequence = entry.sequence;
                return self.load(vec![sequence], LoadFor::DeadLetter(key, entry, cause, from));
            }
            return self.done(key, entry);
        };
        let settings = line.settings.clone();
        let target = match (&settings.individual_dead_letter_prefix, line.kind.queue()) {
            (Some(prefix), Some(queue)) => Text::from(format!("{prefix}{}", queue.name)),
            (Some(prefix), None) => Text::from(format!("{prefix}{}", message.destination.name)),
            (None, _) => settings.dead_letter_queue.clone(),
        };
        let target = Destination::queue(target);
        let itself = line.kind.queue() == Some(&target);
        // A plain topic subscriber never had a right to the message that others did not have too.
        if itself
            || !line.lasts()
            || message.advisory.is_some()
            || !(message.persistent || settings.dead_letter_non_persistent)
        {
            return self.done(key, entry);
        }
        line.stats.dead_lettered += 1;
        let dead = dead_letter_of(&message, target, cause, entry.redeliveries);
        self.route(Arc::new(dead));
        self.done(key, entry);
    }

    /// Looks for expired messages in a line.
    pub(crate) fn sweep(&mut self, key: Key) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(key) else { return };
        let mut found = Vec::new();
        let mut more = false;
        for at in 0..line.pending.span() {
            let Some(entry) = line.pending.at(at).filter(|entry| !entry.is_taken()) else { continue };
            if entry.is_expired(now) && found.len() < SWEEP_ENTRIES_MAX {
                found.push(at);
            } else {
                more |= entry.expiration > 0;
            }
        }
        let mut taken = Vec::with_capacity(found.len());
        for at in found {
            let entry = line.pending.take(at);
            line.away -= usize::from(entry.message.is_none());
            taken.push(entry);
        }
        line.pending.tidy();
        line.sweep = more;
        if more {
            let due = now + line.settings.expire_messages_period_ms.max(1);
            self.timers.push(Reverse((due, Timer::Sweep(key))));
        }
        for entry in taken {
            self.expire(key, entry, None);
        }
    }

    /// Asks for bodies.
    pub(crate) fn load(&mut self, sequences: Vec<Sequence>, purpose: LoadFor) {
        let id = self.next_load;
        self.next_load += 1;
        self.loading.insert(id, purpose);
        self.loads.push_back((id, sequences));
    }

    /// Bodies came back from the journal, in the order they were asked for; `None` for one that is damaged or gone.
    pub fn loaded(&mut self, id: crate::LoadId, bodies: message::Loaded) {
        match self.loading.remove(&id) {
            Some(LoadFor::Line(key, wanted)) => self.loaded_for_line(key, &wanted, bodies),
            Some(LoadFor::Browser(consumer)) => self.loaded_for_browser(consumer, bodies),
            Some(LoadFor::DeadLetter(key, mut entry, cause, from)) => {
                match bodies.into_iter().next() {
                    Some((_, Some(message))) => {
                        entry.message = Some(message);
                        self.enter_memory(key, &entry);
                        self.dead_letter(key, entry, cause, None);
                    }
                    _ => self.damaged(key, entry),
                }
                self.buried(from);
            }
            None => {}
        }
    }

    /// A message that the connection gave up is a dead letter now; after the last one its answers go out.
    pub(crate) fn buried(&mut self, from: Option<ConnectionKey>) {
        let Some(connection) = from.and_then(|from| self.connections.get_mut(&from)) else { return };
        connection.burying -= 1;
        if let (0, Some(from)) = (connection.burying, from) {
            for receipt in std::mem::take(&mut connection.withheld) {
                self.later(Then::Reply(from, receipt));
            }
        }
    }

    fn loaded_for_line(&mut self, key: Key, wanted: &[(Sequence, u8)], bodies: message::Loaded) {
        let mut lost = Vec::new();
        let Some(line) = self.lines.get_mut(key) else { return };
        line.loading = false;
        for ((sequence, priority), (_, body)) in wanted.iter().zip(bodies) {
            let Some(entry) = line.pending.find_mut(*sequence, *priority) else { continue };
            if entry.message.is_some() {
                continue;
            }
            let size = u64::from(entry.size);
            match body {
                Some(body) => {
                    entry.fill(body);
                    line.resident += size;
                    self.resident += size;
                    line.away -= 1;
                }
                None => lost.push((*sequence, *priority)),
            }
        }
        for (sequence, priority) in lost {
            let Some(line) = self.lines.get_mut(key) else { return };
            let at = line.pending.index_from(line.pending.place(sequence, priority));
            let entry = line.pending.take(at);
            line.away -= 1;
            line.pending.tidy();
            self.damaged(key, entry);
        }
        self.mark(key);
    }

    /// The journal cannot give the message back: it is counted and named, never passed over in silence.
    fn damaged(&mut self, key: Key, entry: Entry) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.stats.damaged += 1;
        let name = line.name();
        self.stats.damaged.push((name, entry.sequence));
        self.done(key, entry);
    }

    /// Sends bodies away that nobody will ask for soon: the journal has them.
    pub(crate) fn unload(&mut self, key: Key) {
        let limit = self.config.body_window_bytes_per_destination / 4;
        let Some(line) = self.lines.get_mut(key) else { return };
        if line.resident <= limit || line.log.is_none() {
            return;
        }
        let mut kept = 0;
        for at in 0..line.pending.span() {
            let Some(entry) = line.pending.at_mut(at) else { break };
            if entry.is_taken() || !entry.is_stored() || entry.message.is_none() {
                continue;
            }
            let size = u64::from(entry.size);
            kept += size;
            if kept > limit {
                entry.message = None;
                line.resident -= size;
                self.resident -= size;
                line.away += 1;
                let place = line.pending.place_at(at).expect("looked at just now");
                line.load_from = line.load_from.min(place);
            }
        }
    }
}

/// The dead letter that a message becomes (row R05): persistent, never expiring, with what tools look for.
pub(crate) fn dead_letter_of(message: &Message, target: Destination, cause: Text, redeliveries: u16) -> Message {
    let mut dead = message.clone();
    dead.properties = dead.properties.with("dlqDeliveryFailureCause", &Value::Text(std::borrow::Cow::Borrowed(&cause)));
    if !dead.persistent {
        dead.properties = dead.properties.with("originalDeliveryMode", &Value::Text("NON_PERSISTENT".into()));
        dead.persistent = true;
    }
    dead.properties = dead.properties.with("originalExpiration", &Value::Long(dead.expiration));
    dead.expiration = 0;
    dead.original_destination = Some(std::mem::replace(&mut dead.destination, target));
    dead.redelivery_count = redeliveries.into();
    dead
}

impl Broker {
    /// A message of the broker's own.
    pub(crate) fn own_message(&mut self, destination: Destination) -> Message {
        self.own_sequence += 1;
        let id = MessageId { producer: self.own_producer.clone(), sequence: self.own_sequence, text_view: None };
        let mut message = Message::new(id, destination);
        message.timestamp = self.now;
        message
    }
}

/// A refusal for a transaction that is not there.
pub(crate) fn unknown_transaction(transaction: u64) -> Refusal {
    Refusal::new(RefusalKind::Transaction, format!("transaction {transaction} has not been started"))
}

impl Line {
    /// Whether this is a durable subscription or a queue: whether it outlives its consumers.
    pub(crate) fn lasts(&self) -> bool {
        match &self.kind {
            LineKind::Queue { .. } => true,
            LineKind::Subscription(subscription) => subscription.durable.is_some(),
        }
    }
}
