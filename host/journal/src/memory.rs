//! A journal in memory, with switches for all that can go wrong: for tests and the simulator.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use message::{EntryMeta, Fact, Loaded, LogDefinition, LogId, Message, ProducerId, Record, Sequence, Text};

use crate::{Journal, JournalError, Recovered, Room, Stats};

/// How an append fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it becomes durable.
    Clean,
    /// The first groups become durable, as if the power had gone in the middle of a write that reports an error.
    Torn {
        /// How many.
        groups: usize,
    },
}

/// The twin of a real journal: the same order, the same errors, no disk. It panics where a caller breaks what
/// [`Journal`] makes it promise, so that the simulator finds such callers.
///
/// [`Journal::append`] is [`MemJournal::write`] and [`MemJournal::sync`] in one; a simulator with a clock of its own
/// calls them apart, so that a crash can fall between them.
#[derive(Debug, Default)]
pub struct MemJournal {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    durable: Store,
    unsynced: Vec<Vec<Record>>,
    fault: Option<(u64, Fault)>,
    room: Option<Room>,
    delay: Duration,
    first_error: Option<String>,
    closed: bool,
    stats: Stats,
}

#[derive(Clone, Debug, Default)]
struct Store {
    logs: BTreeMap<LogId, (LogDefinition, Option<Sequence>)>,
    entries: BTreeMap<(LogId, Sequence), (EntryMeta, Option<u32>)>,
    bodies: BTreeMap<Sequence, Arc<Message>>,
    producers: HashMap<ProducerId, (i64, Sequence)>,
    groups: BTreeMap<(LogId, Text), Text>,
    facts: BTreeMap<Text, Bytes>,
    sequence_last: Sequence,
    log_last: LogId,
    unclean: bool,
    epoch: u64,
}

impl MemJournal {
    /// A new one, opened for the first time.
    pub fn new() -> MemJournal {
        MemJournal::opened(Store::default())
    }

    fn opened(mut durable: Store) -> MemJournal {
        durable.epoch += 1;
        MemJournal { inner: Mutex::new(Inner { durable, ..Inner::default() }) }
    }

    /// The append after `after` more successful ones fails.
    pub fn fail(&self, after: u64, fault: Fault) {
        self.lock().fault = Some((after, fault));
    }

    /// What [`Journal::room`] says from now on; with [`Room::Full`] appends are refused.
    pub fn set_room(&self, room: Room) {
        self.lock().room = Some(room);
    }

    /// Each [`Journal::append`] takes this long between its write and its sync.
    pub fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Ends this run as `kill -9` or a power cut would, and opens the journal for the next one. Of the groups that are
    /// written but not synced the first `keep_unsynced` are found again; a disk may keep any number of them.
    pub fn crash(&self, keep_unsynced: usize) -> MemJournal {
        let mut inner = self.lock();
        inner.first_error.get_or_insert_with(|| "crashed".into());
        let mut durable = inner.durable.clone();
        for group in inner.unsynced.iter().take(keep_unsynced) {
            durable.apply(group);
        }
        inner.unsynced.clear();
        MemJournal::opened(durable)
    }

    /// First half of an append: the groups are on their way, not yet durable.
    pub fn write(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
        let mut inner = self.lock();
        inner.check()?;
        if inner.room == Some(Room::Full) {
            inner.stats.refused_full += 1;
            return Err(JournalError::Full { free_bytes: 0, reserve_bytes: 1 });
        }
        match inner.fault {
            Some((0, fault)) => {
                if let Fault::Torn { groups: keep } = fault {
                    for group in groups.iter().take(keep) {
                        inner.durable.apply(group);
                    }
                }
                let error = JournalError::Engine { attempt: "append", cause: format!("injected {fault:?}") };
                inner.first_error = Some(error.to_string());
                return Err(error);
            }
            Some((after, fault)) => inner.fault = Some((after - 1, fault)),
            None => {}
        }
        inner.unsynced.extend(groups.iter().cloned());
        Ok(())
    }

    /// Second half of an append: all that was written is durable when it returns.
    pub fn sync(&self) -> Result<(), JournalError> {
        let mut inner = self.lock();
        inner.check()?;
        let groups = std::mem::take(&mut inner.unsynced);
        inner.stats.appends += 1;
        inner.stats.groups += groups.len() as u64;
        for group in &groups {
            inner.stats.records += group.len() as u64;
            inner.durable.apply(group);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Journal for MemJournal {
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError> {
        let inner = self.lock();
        inner.check()?;
        Ok(inner.durable.recover(each))
    }

    fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
        self.write(groups)?;
        let delay = self.lock().delay;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        self.sync()
    }

    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
        let mut inner = self.lock();
        inner.check()?;
        let found: Vec<_> = sequences.iter().map(|s| (*s, inner.durable.bodies.get(s).cloned())).collect();
        inner.stats.bodies_loaded += found.iter().filter(|(_, body)| body.is_some()).count() as u64;
        Ok(found)
    }

    fn room(&self) -> Room {
        self.lock().room.unwrap_or(Room::Plenty)
    }

    fn maintain(&self) {}

    fn stats(&self) -> Stats {
        let inner = self.lock();
        Stats { poisoned: inner.first_error.is_some(), ..inner.stats }
    }

    fn close(&self) -> Result<(), JournalError> {
        self.lock().closed = true;
        Ok(())
    }
}

impl Inner {
    fn check(&self) -> Result<(), JournalError> {
        match &self.first_error {
            Some(first_error) => Err(JournalError::Poisoned { first_error: first_error.clone() }),
            None if self.closed => Err(JournalError::Closed),
            None => Ok(()),
        }
    }
}

impl Store {
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Recovered {
        for (key, value) in &self.facts {
            each(Record::Fact(Fact { key: key.clone(), value: Some(value.clone()) }));
        }
        for (&log, (definition, up_to)) in &self.logs {
            each(Record::Log { log, definition: definition.clone() });
            if let Some(up_to) = *up_to {
                each(Record::Dispatched { log, up_to });
            }
        }
        let mut producers: Vec<_> = self.producers.iter().collect();
        producers.sort_by_key(|(id, (_, at))| (*at, crate::format::encode_producer_id(id)));
        for (producer, &(sequence, at)) in producers {
            each(Record::Producer { producer: producer.clone(), sequence, at });
        }
        for ((log, group), owner) in &self.groups {
            each(Record::GroupOwner { log: *log, group: group.clone(), owner: owner.clone() });
        }
        let mut found = Recovered {
            next_sequence: self.sequence_last + 1,
            next_log: self.log_last + 1,
            clean_stop: !self.unclean,
            epoch: self.epoch,
            ..Recovered::default()
        };
        for (&(log, sequence), &(meta, redeliveries)) in &self.entries {
            found.entries += 1;
            found.bytes += u64::from(meta.size);
            each(Record::Entry { log, sequence, meta });
            if let Some(count) = redeliveries {
                each(Record::Redeliveries { log, sequence, count });
            }
        }
        found
    }

    fn apply(&mut self, group: &[Record]) {
        for record in group {
            self.unclean = !matches!(record, Record::CleanStop);
            self.apply_one(record);
        }
    }

    fn apply_one(&mut self, record: &Record) {
        match record {
            Record::Body { sequence, message } => {
                self.seen(*sequence);
                let message = match &message.advisory {
                    None => message.clone(),
                    Some(_) => Arc::new(Message { advisory: None, ..Message::clone(message) }),
                };
                assert!(self.bodies.insert(*sequence, message).is_none(), "body {sequence} is appended twice");
            }
            Record::BodyGone { sequence } => {
                self.bodies.remove(sequence);
            }
            Record::Entry { log, sequence, meta } => {
                self.seen(*sequence);
                assert!(self.logs.contains_key(log), "entry {sequence} for log {log}, which is not there");
                let old = self.entries.insert((*log, *sequence), (*meta, None));
                assert!(old.is_none(), "entry {sequence} of log {log} is appended twice");
            }
            Record::EntryGone { log, sequence } => {
                self.entries.remove(&(*log, *sequence));
            }
            Record::Redeliveries { log, sequence, count } => {
                if let Some((_, redeliveries)) = self.entries.get_mut(&(*log, *sequence)) {
                    *redeliveries = Some(*count);
                }
            }
            Record::Dispatched { log, up_to } => {
                if let Some((_, mark)) = self.logs.get_mut(log) {
                    *mark = Some(*up_to);
                }
            }
            Record::Log { log, definition } => {
                self.log_last = self.log_last.max(*log);
                let mark = self.logs.get(log).and_then(|(_, mark)| *mark);
                self.logs.insert(*log, (definition.clone(), mark));
            }
            Record::LogGone { log } => {
                self.logs.remove(log);
                let range = (*log, 0)..=(*log, Sequence::MAX);
                let gone: Vec<_> = self.entries.range(range).map(|(key, _)| *key).collect();
                for key in gone {
                    self.entries.remove(&key);
                }
                self.groups.retain(|(other, _), _| other != log);
            }
            Record::GroupOwner { log, group, owner } => {
                assert!(self.logs.contains_key(log), "owner of group {group} for log {log}, which is not there");
                self.groups.insert((*log, group.clone()), owner.clone());
            }
            Record::GroupGone { log, group } => {
                self.groups.remove(&(*log, group.clone()));
            }
            Record::Producer { producer, sequence, at } => {
                self.seen(*at);
                self.producers.insert(producer.clone(), (*sequence, *at));
            }
            Record::ProducerGone { producer } => {
                self.producers.remove(producer);
            }
            Record::Fact(fact) => {
                assert!(fact.is_within_limits(), "fact {} is larger than a fact may be", fact.key);
                match &fact.value {
                    Some(value) => self.facts.insert(fact.key.clone(), value.clone()),
                    None => self.facts.remove(&fact.key),
                };
            }
            Record::CleanStop => {}
        }
    }

    fn seen(&mut self, sequence: Sequence) {
        self.sequence_last = self.sequence_last.max(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, Bed, Samples};

    #[derive(Default)]
    struct Memory(Option<Arc<MemJournal>>);

    impl Bed for Memory {
        fn open(&mut self) -> Arc<dyn Journal> {
            let next = Arc::new(self.0.take().map_or_else(MemJournal::new, |last| last.crash(0)));
            self.0 = Some(next.clone());
            next
        }
    }

    #[test]
    fn it_keeps_what_a_journal_promises() {
        conformance::all(&mut Memory::default);
    }

    fn sequences(journal: &MemJournal) -> Vec<Sequence> {
        let mut found = Vec::new();
        let each = &mut |record| {
            if let Record::Entry { sequence, .. } = record {
                found.push(sequence);
            }
        };
        journal.recover(each).expect("open journal");
        found
    }

    /// Three groups in one append: none, some or all are there afterwards, as the switch says; and never a later success.
    #[test]
    fn a_failed_append_poisons_and_keeps_whole_groups() {
        for (fault, expected) in [(Fault::Clean, vec![1]), (Fault::Torn { groups: 2 }, vec![1, 2, 3])] {
            let journal = MemJournal::new();
            journal.fail(1, fault);
            journal.append(&[vec![Samples::queue(1), Samples::entry(1, 1)]]).expect("first append");
            let groups: Vec<_> = (2..5).map(|s| vec![Samples::body(s), Samples::entry(1, s)]).collect();
            assert!(matches!(journal.append(&groups), Err(JournalError::Engine { .. })));
            assert!(matches!(journal.append(&[]), Err(JournalError::Poisoned { .. })));
            assert!(matches!(journal.load(&[1]), Err(JournalError::Poisoned { .. })));
            assert_eq!(sequences(&journal.crash(0)), expected);
        }
    }

    #[test]
    fn a_crash_forgets_what_was_not_synced() {
        for keep in 0..=2 {
            let journal = MemJournal::new();
            journal.append(&[vec![Samples::queue(1), Samples::entry(1, 1)]]).expect("append");
            journal.write(&[vec![Samples::entry(1, 2)], vec![Samples::entry(1, 3)]]).expect("write");
            let next = journal.crash(keep);
            assert_eq!(sequences(&next), (1..=1 + keep as u64).collect::<Vec<_>>());
            assert!(matches!(journal.sync(), Err(JournalError::Poisoned { .. })));
        }
    }

    #[test]
    fn full_is_no_failure() {
        let journal = MemJournal::new();
        journal.set_room(Room::Full);
        assert!(matches!(journal.append(&[vec![Samples::queue(1)]]), Err(JournalError::Full { .. })));
        journal.set_room(Room::Plenty);
        journal.append(&[vec![Samples::queue(1)]]).expect("space is back");
        assert_eq!(journal.stats().refused_full, 1);
    }
}
