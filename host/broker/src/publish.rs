//! A message's way in: admission, duplicates, routing, storing, joining a line.

use std::cmp::Reverse;
use std::sync::Arc;

use message::{
    ConnectionKey, Destination, DestinationKind, EntryMeta, Event, Message, Publish, Record, Refusal, RefusalKind,
};

use crate::JournalRoom;
use crate::broker::{Audited, Broker, Then, Timer};
use crate::entry::Entry;
use crate::line::LineKind;
use crate::routing::Stop;
use crate::slots::Key;

/// Whether there is room for a message.
enum Room {
    Yes,
    /// The named limit is reached.
    No(&'static str),
}

impl Broker {
    pub(crate) fn publish(&mut self, from: ConnectionKey, publish: Publish) {
        let waiting = self.connections.get(&from).is_some_and(|c| !c.parked.is_empty());
        if waiting {
            return self.park(from, publish);
        }
        match self.room_for(&publish.message) {
            Room::Yes => self.admit(from, publish),
            Room::No(limit) if self.config.send_fail_if_no_space => self.refuse_for(from, publish, limit),
            Room::No(_) => self.park(from, publish),
        }
    }

    /// Persistent messages need room in the journal, all others room in memory (row Q01).
    fn room_for(&self, message: &Message) -> Room {
        if message.persistent && !message.destination.kind.is_temporary() {
            return match self.room {
                JournalRoom::Plenty => Room::Yes,
                JournalRoom::ProducersWait => Room::No("store_limit"),
            };
        }
        let size = message.size_bytes() as u64;
        if self.memory > 0 && self.memory + size > self.config.memory_bytes_limit {
            return Room::No("memory_limit");
        }
        let queue = match message.destination.kind {
            DestinationKind::Queue => self.queues.get(&message.destination.name),
            DestinationKind::TempQueue => self.temporary_queues.get(&message.destination.name),
            _ => None,
        };
        match queue.and_then(|key| self.lines.get(*key)) {
            Some(line)
                if line.settings.memory_bytes_limit > 0
                    && line.memory > 0
                    && line.memory + size > line.settings.memory_bytes_limit =>
            {
                Room::No("destination memory_limit")
            }
            _ => Room::Yes,
        }
    }

    fn refuse_for(&mut self, from: ConnectionKey, publish: Publish, limit: &'static str) {
        self.stats.sends_refused += 1;
        let text = format!(
            "{limit} is reached, the message to {} was not taken; consume messages or raise the limit",
            publish.message.destination
        );
        let refusal = Refusal::new(RefusalKind::ResourceAllocation, text);
        self.fail_transaction(from, &publish, &refusal);
        self.answer(from, publish.receipt, Err(refusal));
    }

    /// A send that was not allowed. Its producer's window opens again, or the producer would wait for ever.
    pub(crate) fn forbid(&mut self, from: ConnectionKey, publish: Publish, why: Refusal) {
        self.stats.sends_forbidden += 1;
        self.fail_transaction(from, &publish, &why);
        self.answer(from, publish.receipt, Err(why));
        if let Some(bytes) = publish.window_bytes {
            self.later(Then::ProducerAck(from, publish.message.id.producer.clone(), bytes));
        }
    }

    /// Lets a send wait for room. Its answer is withheld; a send that nobody waits for stalls its whole connection, so
    /// that no more than one read buffer of them piles up (row Q04).
    fn park(&mut self, from: ConnectionKey, publish: Publish) {
        let now = self.now;
        let timeout = self.config.send_fail_if_no_space_after_timeout_ms;
        let Some(connection) = self.connections.get_mut(&from) else { return };
        let stalls = publish.receipt.is_none() && publish.window_bytes.is_none();
        if connection.parked.is_empty() {
            self.parked.push_back(from);
            self.stats.sends_parked += 1;
        }
        connection.parked.push_back((now, publish));
        if timeout > 0 {
            self.timers.push(Reverse((now + timeout, Timer::Parked(from))));
        }
        if stalls && !connection.paused {
            connection.paused = true;
            self.say(from, Event::Pause);
        }
    }

    /// Takes parked sends in while there is room, connection by connection.
    pub(crate) fn unpark(&mut self) {
        for _ in 0..self.parked.len() {
            let Some(from) = self.parked.pop_front() else { return };
            while let Some((_, publish)) = self.connections.get(&from).and_then(|c| c.parked.front()) {
                if let Room::No(_) = self.room_for(&publish.message) {
                    break;
                }
                let next = self.connections.get_mut(&from).and_then(|c| c.parked.pop_front());
                if let Some((_, publish)) = next {
                    self.admit(from, publish);
                }
            }
            self.unpaused(from);
        }
    }

    /// Tells the session to read on when nothing of it waits, else keeps the connection in the list.
    fn unpaused(&mut self, from: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(&from) else { return };
        if !connection.parked.is_empty() {
            return self.parked.push_back(from);
        }
        let fences = std::mem::take(&mut connection.fences);
        if std::mem::take(&mut connection.paused) {
            self.say(from, Event::Resume);
        }
        for receipt in fences {
            self.answer(from, Some(receipt), Ok(()));
        }
    }

    /// A send waited as long as the configuration allows (row Q05).
    pub(crate) fn parked_too_long(&mut self, from: ConnectionKey) {
        let timeout = self.config.send_fail_if_no_space_after_timeout_ms;
        loop {
            let Some(connection) = self.connections.get_mut(&from) else { return };
            match connection.parked.front() {
                Some((since, _)) if since + timeout <= self.now => {
                    if let Some((_, publish)) = connection.parked.pop_front() {
                        self.refuse_for(from, publish, "memory_limit or store_limit");
                    }
                }
                _ => break,
            }
        }
        if self.connections.get(&from).is_some_and(|c| c.parked.is_empty()) {
            self.parked.retain(|key| *key != from);
            self.unpaused(from);
        }
    }

    /// The message is accepted: into its transaction, or on its way.
    fn admit(&mut self, from: ConnectionKey, publish: Publish) {
        if let Err(refusal) = self.check_destination(from, &publish.message.destination) {
            self.fail_transaction(from, &publish, &refusal);
            return self.answer(from, publish.receipt, Err(refusal));
        }
        let Publish { message, transaction, receipt, window_bytes } = publish;
        let producer = window_bytes.map(|bytes| (message.id.producer.clone(), bytes));
        match transaction {
            Some(key) => {
                let publish = Publish { message, transaction, receipt: None, window_bytes: None };
                let outcome = self.publish_in(from, key, publish);
                self.answer(from, receipt, outcome);
            }
            None => {
                let outcome = self.take_in(from, message);
                self.answer(from, receipt, outcome);
            }
        }
        if let Some((producer, bytes)) = producer {
            self.later(Then::ProducerAck(from, producer, bytes));
        }
    }

    /// Takes a message that was checked, unless the policy that its destination is bound to rejects it.
    fn take_in(&mut self, from: ConnectionKey, message: Arc<Message>) -> Result<(), Refusal> {
        if self.routes.is_empty() || self.is_repeated(from, &message) {
            self.accept(from, message, None);
            return Ok(());
        }
        let messages = [message];
        let itinerary = self.itineraries(&messages)?.pop().flatten();
        let [message] = messages;
        self.accept(from, message, itinerary);
        Ok(())
    }

    /// Whether this is what a client that came back sends a second time.
    pub(crate) fn is_repeated(&self, from: ConnectionKey, message: &Message) -> bool {
        message.persistent
            && message.id.producer.session >= 0
            && self.audit.get(&message.id.producer).is_some_and(|known| message.id.sequence <= known.last)
            && self.connections.get(&from).is_some_and(|c| c.failover)
    }

    /// Takes a message that was checked and asked about: drops it as a duplicate, or sends it to all its destinations,
    /// which are those of `itinerary` if a routing policy was asked.
    pub(crate) fn accept(&mut self, from: ConnectionKey, message: Arc<Message>, itinerary: Option<Vec<Stop>>) {
        if message.persistent && message.id.producer.session >= 0 && !self.is_news(from, &message) {
            self.stats.duplicates += 1;
            return;
        }
        self.stats.published += 1;
        if let Some(stops) = itinerary {
            return self.deliver_to(&message, stops);
        }
        if !message.destination.is_composite() {
            return self.route(message);
        }
        for destination in message.destination.components() {
            let mut copy = Message::clone(&message);
            copy.original_destination = Some(message.destination.clone());
            copy.destination = destination;
            self.route(Arc::new(copy));
        }
    }

    /// Remembers the producer's count. False for what a client that came back sends a second time (row L04).
    fn is_news(&mut self, from: ConnectionKey, message: &Message) -> bool {
        let at = self.next_sequence;
        let sequence = message.id.sequence;
        if let Some(known) = self.audit.get_mut(&message.id.producer) {
            if sequence <= known.last {
                let repeats = self.connections.get(&from).is_some_and(|c| c.failover);
                return !repeats;
            }
            known.last = sequence;
            known.at = at;
            if !known.dirty {
                known.dirty = true;
                self.audit_dirty.push(message.id.producer.clone());
            }
            return true;
        }
        self.audit.insert(message.id.producer.clone(), Audited { last: sequence, at, dirty: true });
        self.audit_dirty.push(message.id.producer.clone());
        true
    }

    /// Writes down what changed in the audit, with the very messages that changed it.
    pub(crate) fn audit_records(&mut self) {
        while let Some(producer) = self.audit_dirty.pop() {
            if let Some(known) = self.audit.get_mut(&producer) {
                known.dirty = false;
                self.records.push(Record::Producer { producer, sequence: known.last, at: known.at });
            }
        }
        let limit = self.config.producers_audited_max;
        if self.audit.len() > limit + limit / 4 + 16 {
            let mut ages: Vec<_> = self.audit.values().map(|known| known.at).collect();
            ages.sort_unstable();
            let oldest = ages[ages.len() - limit];
            let forgotten: Vec<_> = self
                .audit
                .iter()
                .filter(|(_, known)| known.at < oldest)
                .map(|(producer, _)| producer.clone())
                .collect();
            for producer in forgotten {
                self.audit.remove(&producer);
                self.records.push(Record::ProducerGone { producer });
            }
        }
    }

    /// Sends a message to one destination; its name is known to be good.
    pub(crate) fn route(&mut self, mut message: Arc<Message>) {
        let sequence = self.sequence();
        let stamped = Arc::make_mut(&mut message);
        stamped.sequence = sequence;
        if stamped.broker_in_time == 0 {
            stamped.broker_in_time = self.now;
        }
        if message.destination.kind.is_queue() {
            match self.queue_for(&message.destination) {
                Some(line) => self.store(line, message),
                None => self.stats.dropped += 1, // A temporary queue that went away meanwhile.
            }
        } else {
            self.fan_out(message);
        }
    }

    fn store(&mut self, key: Key, message: Arc<Message>) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.stats.enqueued += 1;
        let stored = message.persistent && line.log.is_some();
        if message.is_expired(self.now) {
            let entry = Entry::new(message, false);
            self.enter_memory(key, &entry);
            return self.expire(key, entry, None);
        }
        let busy = !line.members.is_empty();
        let awaiting = line.awaiting > 0;
        let log = line.log;
        let entry = Entry::new(message, stored);
        match log {
            Some(log) if stored => {
                let sequence = entry.sequence;
                if busy {
                    line.dispatched = sequence;
                }
                let meta = meta_of(&entry, busy);
                if let Some(message) = &entry.message {
                    self.records.push(Record::Body { sequence, message: message.clone() });
                }
                self.records.push(Record::Entry { log, sequence, meta });
                self.later(Then::Join(key, entry));
            }
            _ => self.join_soon(key, entry, awaiting),
        }
    }

    /// A topic message goes to every subscription that wants it; it is stored once for all durable ones.
    fn fan_out(&mut self, message: Arc<Message>) {
        let mut wanted = std::mem::take(&mut self.scratch.lines);
        wanted.clear();
        self.subscriptions_for(&message, &mut wanted);
        self.rank(&message, &mut wanted);
        let sequence = message.sequence;
        let mut logs = 0;
        if message.persistent {
            for key in &wanted {
                let Some(line) = self.lines.get_mut(*key) else { continue };
                let Some(log) = line.log else { continue };
                if logs == 0 {
                    self.records.push(Record::Body { sequence, message: message.clone() });
                }
                logs += 1;
                let busy = !line.members.is_empty();
                if busy {
                    line.dispatched = sequence;
                }
                let meta = meta_of(&Entry::new(message.clone(), true), busy);
                self.records.push(Record::Entry { log, sequence, meta });
            }
        }
        if logs > 1 {
            self.body_references.insert(sequence, logs);
        }
        for key in wanted.drain(..) {
            let Some(line) = self.lines.get_mut(key) else { continue };
            line.stats.enqueued += 1;
            let entry = Entry::new(message.clone(), message.persistent && line.log.is_some());
            if logs > 0 {
                self.later(Then::Join(key, entry));
            } else {
                let awaiting = line.awaiting > 0;
                self.join_soon(key, entry, awaiting);
            }
        }
        self.scratch.lines = wanted;
    }

    /// A message that the journal does not keep: it joins at once, unless others of its line or of its transaction wait
    /// for the journal.
    fn join_soon(&mut self, key: Key, entry: Entry, awaiting: bool) {
        match &mut self.deferred {
            Some(deferred) => deferred.push((key, entry)),
            None if awaiting => self.later(Then::Join(key, entry)),
            None => self.join(key, entry),
        }
    }

    /// Adds a message to the end of its line, or drops it if the line has gone.
    pub(crate) fn join(&mut self, key: Key, entry: Entry) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.awaiting = line.awaiting.saturating_sub(1);
        self.enter_memory(key, &entry);
        let Some(line) = self.lines.get_mut(key) else { return };
        let mut entry = entry;
        if entry.expiration > 0 && !line.sweep && line.settings.expire_messages_period_ms > 0 {
            line.sweep = true;
            let due = self.now + line.settings.expire_messages_period_ms;
            self.timers.push(Reverse((due, Timer::Sweep(key))));
        }
        let crowded = line.away > 0
            || line.resident > self.config.body_window_bytes_per_destination
            || self.resident > self.config.body_window_bytes;
        if entry.is_stored() && crowded && !(line.pending.is_empty() && line.is_served()) {
            line.resident -= u64::from(entry.size);
            self.resident -= u64::from(entry.size);
            entry.message = None;
            line.away += 1;
        }
        // Where priority goes first it may stand before what was looked at already.
        let place = line.pending.place(entry.sequence, entry.priority);
        line.unmatched = line.unmatched.min(place);
        if entry.message.is_none() {
            line.load_from = line.load_from.min(place);
        }
        line.pending.insert(entry);
        self.mark(key);
    }

    /// Counts a body that is in memory from now on.
    pub(crate) fn enter_memory(&mut self, key: Key, entry: &Entry) {
        let size = u64::from(entry.size);
        let Some(line) = self.lines.get_mut(key) else { return };
        if !entry.is_stored() {
            line.memory += size;
            self.memory += size;
        } else if entry.message.is_some() {
            line.resident += size;
            self.resident += size;
        }
    }

    /// Whether a message may be sent there: a good name without wildcards, and alive if temporary.
    pub(crate) fn check_destination(&self, from: ConnectionKey, destination: &Destination) -> Result<(), Refusal> {
        if self.exists(destination) {
            return Ok(()); // Its name was looked at when it was made.
        }
        let refuse = |text: String| Err(Refusal::new(RefusalKind::InvalidDestination, text));
        if let Err(error) = destination.check() {
            return refuse(error.to_string());
        }
        if destination.is_wildcard() {
            return refuse(format!("cannot send to {destination}: it is a pattern; name one destination"));
        }
        if destination.kind.is_temporary() {
            let what = if destination.kind.is_queue() { "queue" } else { "topic" };
            return match destination.is_composite() {
                true => self.check_creation(from, destination),
                false => refuse(format!("cannot send to {destination}: the temporary {what} does not exist")),
            };
        }
        if self.destinations() < self.config.destinations_max {
            return self.check_creation(from, destination);
        }
        let limit = self.config.destinations_max;
        let text =
            format!("cannot make {destination}: destinations_max of {limit} is reached; raise it or remove some");
        Err(Refusal::new(RefusalKind::ResourceAllocation, text))
    }

    /// The line of a queue, made on first use; `None` for a temporary queue that does not exist.
    pub(crate) fn queue_for(&mut self, destination: &Destination) -> Option<Key> {
        match destination.kind {
            DestinationKind::Queue => match self.queues.get(&destination.name) {
                Some(key) => Some(*key),
                None => Some(self.make_queue(destination)),
            },
            DestinationKind::TempQueue => self.temporary_queues.get(&destination.name).copied(),
            _ => None,
        }
    }
}

impl crate::line::Line {
    /// Whether somebody takes messages from here.
    pub(crate) fn is_served(&self) -> bool {
        !self.members.is_empty()
    }
}

fn meta_of(entry: &Entry, maybe_delivered: bool) -> EntryMeta {
    EntryMeta { size: entry.size, priority: entry.priority, expiration: entry.expiration, maybe_delivered }
}

impl LineKind {
    /// The queue, if it is one.
    pub(crate) fn queue(&self) -> Option<&Destination> {
        match self {
            LineKind::Queue { destination, .. } => Some(destination),
            LineKind::Subscription(_) => None,
        }
    }
}
