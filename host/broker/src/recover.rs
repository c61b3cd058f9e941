//! What the journal kept comes back.

use std::sync::Arc;

use message::{Destination, DestinationKind, LogDefinition, LogId, Record, Sequence};
use rustc_hash::FxHashMap;
use selector::Selector;

use crate::broker::{Audited, Broker};
use crate::entry::Entry;
use crate::slots::Key;

/// Takes records of the journal in, in the order the journal gives them: logs, producers, then entries log by log.
#[derive(Debug, Default)]
pub struct Recovery {
    lines: FxHashMap<LogId, Key>,
    dispatched: FxHashMap<LogId, Sequence>,
    /// Entry read last: its redelivery count may follow.
    last: Option<(Key, Entry)>,
    /// Entries taken in.
    pub entries: u64,
    /// Definitions that could not be used, with the reason.
    pub refused: Vec<String>,
}

impl Broker {
    /// Takes one record in.
    pub fn recover(&mut self, recovery: &mut Recovery, record: Record) {
        match record {
            Record::Log { log, definition } => self.recover_log(recovery, log, definition),
            Record::Dispatched { log, up_to } => {
                recovery.dispatched.insert(log, up_to);
            }
            Record::Producer { producer, sequence, at } => {
                self.audit.insert(producer, Audited { last: sequence, at, dirty: false });
            }
            Record::Entry { log, sequence, meta } => {
                self.recover_last(recovery);
                let Some(line) = recovery.lines.get(&log).copied() else { return };
                let maybe = meta.maybe_delivered || recovery.dispatched.get(&log).is_some_and(|last| sequence <= *last);
                recovery.last = Some((line, Entry::recovered(sequence, &meta, maybe)));
                recovery.entries += 1;
            }
            Record::Redeliveries { sequence, count, .. } => {
                if let Some((_, entry)) = recovery.last.as_mut().filter(|(_, entry)| entry.sequence == sequence) {
                    entry.redeliveries = entry.redeliveries.saturating_add(u16::try_from(count).unwrap_or(u16::MAX));
                }
            }
            Record::GroupOwner { log, group, owner } => {
                if let Some(line) = recovery.lines.get(&log).and_then(|key| self.lines.get_mut(*key)) {
                    line.groups.get_or_insert_default().reserve(&group, owner);
                }
            }
            Record::GroupGone { .. }
            | Record::Body { .. }
            | Record::BodyGone { .. }
            | Record::EntryGone { .. }
            | Record::LogGone { .. }
            | Record::ProducerGone { .. }
            | Record::Fact(_)
            | Record::CleanStop => {}
        }
    }

    /// All records are in. `next_sequence` and `next_log` are above every number ever given out. `clean` says that the
    /// broker before stopped in order: nothing but counted deliveries happened. Otherwise all that may have been
    /// delivered counts as delivered once.
    pub fn recovered(
        &mut self,
        mut recovery: Recovery,
        next_sequence: Sequence,
        next_log: LogId,
        clean: bool,
    ) -> Recovery {
        self.recover_last(&mut recovery);
        self.next_sequence = self.next_sequence.max(next_sequence);
        self.next_log = self.next_log.max(next_log);
        self.body_references.retain(|_, count| *count > 1);
        if !clean {
            for key in recovery.lines.values() {
                let Some(line) = self.lines.get_mut(*key) else { continue };
                let maybe = line.pending.iter_mut().map(Entry::count_maybe).filter(|maybe| *maybe).count();
                self.in_doubt |= maybe > 0;
            }
        }
        recovery
    }

    fn recover_last(&mut self, recovery: &mut Recovery) {
        let Some((key, entry)) = recovery.last.take() else { return };
        self.next_sequence = self.next_sequence.max(entry.sequence + 1);
        let Some(line) = self.lines.get_mut(key) else { return };
        if !line.is_queue() {
            *self.body_references.entry(entry.sequence).or_insert(0) += 1;
        }
        if entry.expiration > 0 && !line.sweep && line.settings.expire_messages_period_ms > 0 {
            line.sweep = true;
            self.timers.push(std::cmp::Reverse((0, crate::broker::Timer::Sweep(key))));
        }
        line.away += 1;
        line.pending.insert(entry);
    }

    fn recover_log(&mut self, recovery: &mut Recovery, log: LogId, definition: LogDefinition) {
        self.next_log = self.next_log.max(log + 1);
        let key = match definition {
            LogDefinition::Queue { name } => {
                let destination = Destination { kind: DestinationKind::Queue, name };
                self.insert_queue(destination, Some(log), None)
            }
            LogDefinition::Durable { client_id, name, topic, selector, no_local } => {
                let parsed = selector.map(|text| Selector::parse(&text, &selector::Limits::default())).transpose();
                let selector = match parsed {
                    Ok(selector) => selector.map(Arc::new),
                    Err(error) => {
                        recovery.refused.push(format!("durable subscription {client_id}/{name}: selector: {error}"));
                        None
                    }
                };
                let topics = Destination { kind: DestinationKind::Topic, name: topic }.components();
                for topic in &topics {
                    self.note_topic(topic);
                }
                let no_local = no_local.then(message::Text::new);
                self.insert_durable(log, (client_id, name), topics, selector, no_local, None)
            }
        };
        recovery.lines.insert(log, key);
    }
}
