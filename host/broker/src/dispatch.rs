//! Who gets what: a line's eligible messages are put to its policy in batches, the answer is checked, then applied.

use std::sync::Arc;

use message::{Delivery, Event, Sequence};
use plugin::{Columns, ConsumerRow, DispatchBatch, Property};

use crate::broker::{Broker, LoadFor};
use crate::entry::{Entry, Held};
use crate::explain::Asked;
use crate::groups::NO_GROUP;
use crate::line::{Line, LineKind};
use crate::pending::Place;
use crate::properties::PropertyColumns;
use crate::slots::Key;

/// Entries looked at in one dispatch of one line, so that a line of unwanted messages cannot hold up the others.
pub(crate) const SCAN_ENTRIES_MAX: usize = 20_000;
/// Bodies asked for at once, in messages.
pub(crate) const LOAD_ENTRIES_MAX: usize = 2_048;
/// A delivered body larger than this is left to the journal while its consumer works on it, in bytes.
const HELD_BODY_BYTES_MAX: u32 = 64 * 1024;

/// Buffers that keep their memory from step to step.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) consumers: Vec<ConsumerRow>,
    pub(crate) rows: Vec<usize>,
    plan: Vec<u32>,
    pub(crate) candidates: Vec<u64>,
    /// Group of each row; empty while the line has no groups.
    pub(crate) groups: Vec<u32>,
    /// Credit of each consumer that rows of groups have not claimed.
    pub(crate) room: Vec<u32>,
    /// Another look will find more.
    pub(crate) again: bool,
    priority: Vec<u8>,
    size: Vec<u32>,
    redelivered: Vec<u32>,
    timestamp: Vec<i64>,
    expiration: Vec<i64>,
    sequence: Vec<i64>,
    group: Vec<u32>,
    message_type: Vec<u32>,
    pub(crate) properties: PropertyColumns,
    ack_interval: Vec<u32>,
    pub(crate) lines: Vec<Key>,
    pub(crate) ended: Vec<(Key, u32, Entry)>,
}

impl Broker {
    /// Hands out what a line has to those who have room for it.
    pub(crate) fn dispatch(&mut self, key: Key) {
        let Some(mut line) = self.lines.take(key) else { return };
        line.dirty = false;
        let mut expired = Vec::new();
        if line.gate <= self.durable && line.starts_at.is_none() && !line.pending.is_empty() && !line.members.is_empty()
        {
            match line.kind {
                LineKind::Queue { .. } => self.dispatch_queue(key, &mut line, &mut expired),
                LineKind::Subscription(_) => self.dispatch_subscription(key, &mut line, &mut expired),
            }
            line.pending.tidy();
            self.prefetch_bodies(key, &mut line);
        }
        self.lines.put_back(key, line);
        for entry in expired {
            self.expire(key, entry, None);
        }
    }

    /// One subscriber: what is first goes first.
    fn dispatch_subscription(&mut self, key: Key, line: &mut Line, expired: &mut Vec<Entry>) {
        let Some(&member) = line.members.first() else { return };
        let mut credit = self.credit(member);
        let mut at = 0;
        while credit > 0 {
            let Some(entry) = line.pending.at(at) else { break };
            if entry.is_taken() {
                at += 1;
                continue;
            }
            if entry.is_expired(self.now) {
                expired.push(take(line, at));
                at += 1;
                continue;
            }
            let Some(message) = &entry.message else { break };
            // Stored while nobody knew whose the subscription is, or what this one may read.
            let readable = match &mut line.kind {
                LineKind::Subscription(subscription) => {
                    subscription.may_read(self.guard.as_deref(), &message.destination, self.now)
                }
                LineKind::Queue { .. } => true,
            };
            let entry = take(line, at);
            at += 1;
            if !readable {
                line.stats.dequeued += 1;
                self.settle(line, &entry);
                continue;
            }
            credit = if self.deliver(key, line, member, entry, NO_GROUP) { credit - 1 } else { 0 };
        }
    }

    fn dispatch_queue(&mut self, key: Key, line: &mut Line, expired: &mut Vec<Entry>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(mut policy) = line.policy.take() else { return };
        if !line.changes.is_empty() {
            policy.members_changed(&line.changes);
            if line.groups.is_some() {
                self.table(line, &mut scratch.consumers);
                self.group_members_changed(line, &scratch.consumers);
            }
            line.changes.clear();
        }
        loop {
            let total = self.table(line, &mut scratch.consumers);
            if total == 0 {
                break;
            }
            policy.boundary(u64::try_from(self.now).unwrap_or(0));
            let most = policy.rows_max().min(self.config.dispatch_rows_max).max(1);
            let wants = policy.wants();
            let limit = match wants.contains(Columns::LOOK_AHEAD) {
                true => most,
                false => usize::try_from(total).unwrap_or(usize::MAX).min(most),
            };
            self.paces(line, wants, &mut scratch.ack_interval);
            self.gather(line, limit, (wants, policy.properties()), &mut scratch, expired);
            if scratch.rows.is_empty() {
                if scratch.again {
                    continue;
                }
                break;
            }
            let mut plan = std::mem::take(&mut scratch.plan);
            let batch = scratch.batch(self.now);
            // Asked before the plan: a generation that fails in it may be gone afterwards.
            let generation = line.watch.as_ref().map(|_| policy.stats().generation);
            let decided = policy.plan(&batch, &mut plan);
            let asked = generation.map(|generation| Asked::new(generation, decided, &plan, batch.consumers));
            let corrections = self.check.correct(&batch, &mut plan);
            if corrections.total() > 0 {
                line.stats.corrected += corrections.total();
                policy.corrected(batch.rows, &corrections);
            }
            let mut given = 0;
            for (at, (row, slot)) in scratch.rows.iter().zip(&plan).enumerate() {
                let group = scratch.groups.get(at).copied().unwrap_or(NO_GROUP);
                let receiver = self.receiver(line, group, *slot);
                if let Some(asked) = &asked {
                    self.note_decision(line, asked, at, *row, group, receiver);
                }
                let Some(member) = receiver else { continue };
                let entry = take(line, *row);
                given += 1;
                self.deliver(key, line, member, entry, group);
            }
            let full = scratch.rows.len() == limit || scratch.again;
            scratch.plan = plan;
            line.pending.tidy();
            if given == 0 || !full {
                break;
            }
        }
        line.policy = Some(policy);
        scratch.lines = std::mem::take(&mut self.scratch.lines);
        scratch.ended = std::mem::take(&mut self.scratch.ended);
        self.scratch = scratch;
    }

    /// The table of members with their credit; an exclusive consumer leaves none to the others (row C04).
    fn table(&self, line: &Line, table: &mut Vec<ConsumerRow>) -> u64 {
        table.clear();
        let only = line.exclusive.then(|| self.exclusive_of(line)).flatten();
        let mut total = 0;
        for member in &line.members {
            let Some(consumer) = self.consumers.get(*member) else { continue };
            let credit = if only.is_some_and(|only| only != *member) { 0 } else { self.credit(*member) };
            total += u64::from(credit);
            table.push(ConsumerRow {
                slot: member.index,
                credit,
                in_flight: consumer.held.len() as u32,
                priority: if line.settings.use_consumer_priority { consumer.priority.into() } else { 0 },
            });
        }
        total
    }

    /// How fast the members of the table acknowledge, if the policy wants to know.
    fn paces(&self, line: &Line, wants: Columns, intervals: &mut Vec<u32>) {
        intervals.clear();
        if wants.contains(Columns::ACK_INTERVAL) {
            let members = line.members.iter().filter_map(|member| self.consumers.get(*member));
            intervals.extend(members.map(|consumer| consumer.pace.interval_us(consumer.held.len(), self.now)));
        }
    }

    /// The exclusive consumer that is served: highest priority, then the one that came first.
    pub(crate) fn exclusive_of(&self, line: &Line) -> Option<Key> {
        line.members
            .iter()
            .filter_map(|key| self.consumers.get(*key).map(|consumer| (*key, consumer)))
            .filter(|(_, consumer)| consumer.exclusive || line.settings.all_consumers_exclusive_by_default)
            .max_by_key(|(_, consumer)| (consumer.priority, std::cmp::Reverse(consumer.order)))
            .map(|(key, _)| key)
    }

    /// How many more messages a consumer may be given, its connection's window included.
    pub(crate) fn credit(&self, key: Key) -> u32 {
        let Some(consumer) = self.consumers.get(key) else { return 0 };
        match self.connections.get(&consumer.connection) {
            Some(connection) if connection.unsent < self.config.connection_window_bytes => consumer.credit(),
            _ => 0,
        }
    }

    /// Picks the next rows to ask about: live, loaded, unexpired, wanted by somebody with credit.
    fn gather(
        &mut self,
        line: &mut Line,
        limit: usize,
        wanted: (Columns, &[Property]),
        scratch: &mut Scratch,
        expired: &mut Vec<Entry>,
    ) {
        if line.groups.is_some() {
            return self.gather_groups(line, limit, wanted, scratch, expired);
        }
        scratch.clear();
        scratch.properties.begin(wanted.1);
        let words = scratch.consumers.len().div_ceil(64);
        let mut mask = vec![0u64; if line.selective { words } else { 0 }];
        let mut only_unmatched = true;
        let first = line.pending.index_from(line.unmatched);
        for at in first..line.pending.span().min(first + SCAN_ENTRIES_MAX) {
            let Some(entry) = line.pending.at(at) else { break };
            if entry.is_taken() {
                continue;
            }
            if entry.is_expired(self.now) {
                expired.push(take(line, at));
                continue;
            }
            let Some(message) = &entry.message else {
                break; // Order is kept: nothing overtakes a message whose body is on its way.
            };
            if entry.is_grouped() {
                line.groups = Some(Box::default());
                return self.gather_groups(line, limit, wanted, scratch, expired);
            }
            if line.selective {
                let (anybody, with_credit) = self.candidates(line, &scratch.consumers, message, entry, &mut mask);
                if !anybody {
                    if only_unmatched && let Some(place) = line.pending.place_at(at) {
                        line.unmatched = place.after();
                    }
                    self.put_aside(line, at);
                    continue;
                }
                only_unmatched = false;
                if !with_credit {
                    continue;
                }
                scratch.candidates.extend(&mask);
            }
            scratch.add(at, entry, message, wanted, self.policies.symbols());
            if scratch.rows.len() == limit {
                break;
            }
        }
    }

    /// Which members may take the message, as bits; whether any may at all, and any that has credit.
    pub(crate) fn candidates(
        &self,
        line: &Line,
        table: &[ConsumerRow],
        message: &Arc<message::Message>,
        entry: &Entry,
        mask: &mut [u64],
    ) -> (bool, bool) {
        mask.fill(0);
        let (mut anybody, mut with_credit) = (false, false);
        let redeliveries = entry.redeliveries.into();
        let members = line.members.iter().filter_map(|member| self.consumers.get(*member));
        for (index, (row, consumer)) in table.iter().zip(members).enumerate() {
            let takes = consumer.selector.as_ref().is_none_or(|selector| message.matches(selector, redeliveries));
            if takes {
                anybody = true;
                with_credit |= row.credit > 0;
                mask[index / 64] |= 1 << (index % 64);
            }
        }
        (anybody, with_credit)
    }

    /// A body that nobody here wants makes way for others when the window is full.
    pub(crate) fn put_aside(&mut self, line: &mut Line, at: usize) {
        if line.resident <= self.config.body_window_bytes_per_destination / 2 {
            return;
        }
        let Some(entry) = line.pending.at_mut(at).filter(|entry| entry.is_stored()) else { return };
        if entry.message.take().is_some() {
            let size = u64::from(entry.size);
            line.resident -= size;
            self.resident -= size;
            line.away += 1;
        }
    }

    /// Hands one message to one consumer. False when the consumer's connection can take no more.
    pub(crate) fn deliver(&mut self, key: Key, line: &mut Line, member: Key, mut entry: Entry, group: u32) -> bool {
        let group_first = group != NO_GROUP && self.handed_out(line, group, member, &entry);
        let (Some(consumer), Some(message)) = (self.consumers.get_mut(member), entry.message.clone()) else {
            line.pending.insert(entry);
            return false;
        };
        let Some(connection) = self.connections.get_mut(&consumer.connection) else {
            line.pending.insert(entry);
            return false;
        };
        let tag = consumer.next_tag;
        consumer.next_tag += 1;
        if consumer.prefetch == 0 {
            consumer.pulls = consumer.pulls.saturating_sub(1);
        }
        line.stats.dispatched += 1;
        let size = u64::from(entry.size);
        connection.unsent += size;
        let more = connection.unsent < self.config.connection_window_bytes;
        if connection.events.is_empty() {
            self.talking.push(consumer.connection);
        }
        connection.events.push(Event::Deliver(Delivery {
            subscription: consumer.subscription,
            tag,
            message,
            redeliveries: entry.redeliveries.into(),
            group_first,
        }));
        if consumer.auto_ack {
            line.stats.dequeued += 1;
            self.settle(line, &entry);
            return more;
        }
        consumer.unseen += 1;
        if consumer.held.is_empty() {
            consumer.pace.begin(self.now);
        }
        if entry.is_stored() && entry.size > HELD_BODY_BYTES_MAX {
            entry.message = None;
            line.resident -= size;
            self.resident -= size;
        }
        consumer.held.push_back(Held {
            tag,
            line: key,
            entry,
            group,
            seen: false,
            transaction: None,
            gone: false,
            copy: false,
        });
        more
    }

    /// Asks for bodies before they are needed: when half the window is free, for the next half.
    fn prefetch_bodies(&mut self, key: Key, line: &mut Line) {
        let window = self.config.body_window_bytes_per_destination;
        if line.loading || line.away == 0 || line.members.is_empty() {
            return;
        }
        let parked = self.parked_bodies(line);
        if !parked.is_empty() {
            line.loading = true;
            let sequences = parked.iter().map(|(sequence, _)| *sequence).collect();
            return self.load(sequences, LoadFor::Line(key, parked));
        }
        let first = line.pending.index_from(line.unmatched);
        let live = |at| line.pending.at(at).filter(|entry| !entry.is_taken() && !entry.is_parked());
        let first = (first..line.pending.span()).find_map(live);
        let blocked = line.groups.as_ref().is_some_and(|groups| groups.blocked);
        let starved = blocked || first.is_none_or(|entry| entry.message.is_none());
        // What was put aside stands before what was fetched last; it is fetched again once nothing else stands first.
        let from = if starved { line.unmatched } else { line.load_from.max(line.unmatched) };
        if line.resident > window / 2 && !starved {
            return;
        }
        let mut wanted: Vec<(Sequence, u8)> = Vec::new();
        let mut bytes = 0;
        let mut next = Place::FIRST;
        for at in line.pending.index_from(from)..line.pending.span() {
            let Some(entry) = line.pending.at(at) else { break };
            if entry.is_taken() || entry.is_parked() || entry.message.is_some() {
                continue;
            }
            wanted.push((entry.sequence, entry.priority));
            bytes += u64::from(entry.size);
            next = line.pending.place_at(at).expect("looked at just now");
            if wanted.len() == LOAD_ENTRIES_MAX || bytes > window / 2 {
                break;
            }
        }
        if wanted.is_empty() {
            line.load_from = Place::FIRST;
            return;
        }
        line.load_from = next;
        line.loading = true;
        let sequences = wanted.iter().map(|(sequence, _)| *sequence).collect();
        self.load(sequences, LoadFor::Line(key, wanted));
    }
}

pub(crate) fn take(line: &mut Line, at: usize) -> Entry {
    let entry = line.pending.take(at);
    line.away -= usize::from(entry.message.is_none());
    entry
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.groups.clear();
        self.again = false;
        self.candidates.clear();
        self.priority.clear();
        self.size.clear();
        self.redelivered.clear();
        self.timestamp.clear();
        self.expiration.clear();
        self.sequence.clear();
        self.group.clear();
        self.message_type.clear();
    }

    /// Adds a row with the columns and properties that are wanted.
    pub(crate) fn add(
        &mut self,
        at: usize,
        entry: &Entry,
        message: &message::Message,
        (wants, properties): (Columns, &[Property]),
        symbols: &plugin::SymbolTable,
    ) {
        self.push(at, entry, message, wants, symbols);
        if !properties.is_empty() {
            self.properties.push(properties, message, entry.redeliveries.into(), symbols);
        }
    }

    fn push(
        &mut self,
        at: usize,
        entry: &Entry,
        message: &message::Message,
        wants: Columns,
        symbols: &plugin::SymbolTable,
    ) {
        self.rows.push(at);
        if wants.is_empty() {
            return;
        }
        if wants.contains(Columns::PRIORITY) {
            self.priority.push(entry.priority);
        }
        if wants.contains(Columns::SIZE) {
            self.size.push(entry.size);
        }
        if wants.contains(Columns::REDELIVERED) {
            self.redelivered.push(entry.redeliveries.into());
        }
        if wants.contains(Columns::TIMESTAMP) {
            self.timestamp.push(message.timestamp);
        }
        if wants.contains(Columns::EXPIRATION) {
            self.expiration.push(entry.expiration);
        }
        if wants.contains(Columns::SEQUENCE) {
            self.sequence.push(entry.sequence as i64);
        }
        let symbol = |text: &Option<message::Text>| match text {
            Some(text) => symbols.intern(text),
            None => plugin::SYMBOL_ABSENT,
        };
        if wants.contains(Columns::GROUP) {
            self.group.push(symbol(&message.group_id));
        }
        if wants.contains(Columns::MESSAGE_TYPE) {
            self.message_type.push(symbol(&message.kind));
        }
    }

    fn batch(&self, now: i64) -> DispatchBatch<'_> {
        DispatchBatch {
            now_ms: u64::try_from(now).unwrap_or(0),
            rows: self.rows.len(),
            priority: &self.priority,
            size: &self.size,
            redelivered: &self.redelivered,
            timestamp: &self.timestamp,
            expiration: &self.expiration,
            sequence: &self.sequence,
            group: &self.group,
            message_type: &self.message_type,
            properties: self.properties.columns(),
            ack_interval: &self.ack_interval,
            candidates: &self.candidates,
            consumers: &self.consumers,
        }
    }
}
