//! What the journal knows in memory while it appends, and how records become one batch for the engine.
//!
//! An engine that merges sorted files reads a queue from its front over all that was deleted there. So for each log a
//! head is kept, below which it has no entries, and for the bodies a low-water mark: readers begin there. Both may lag
//! behind the truth, but never run ahead of it: an entry that comes in below its head takes the head down in the same
//! batch.

use std::collections::{BTreeMap, HashMap, HashSet};

use journal::format;
use message::{LogId, Record, Sequence};
use rocksdb::WriteBatch;

use crate::engine::Families;
use crate::keys;

/// Sequences that are set aside at once: the mark of the next one is written once for so many, and at most so many are
/// left out after a crash.
const SEQUENCES_AHEAD: Sequence = 1 << 16;

/// Guarded by the journal's only lock; changed only while a batch is built. When the batch then fails, the journal is
/// poisoned and this is not asked again.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The stored mark of a clean stop is there.
    pub(crate) clean_stop: bool,
    /// Stored; higher than every sequence seen.
    pub(crate) sequence_next: Sequence,
    /// Highest seen; below `sequence_next`.
    pub(crate) sequence_last: Sequence,
    pub(crate) log_next: LogId,
    pub(crate) epoch: u64,
    pub(crate) heads: HashMap<LogId, Front>,
    pub(crate) low_water: Front,
    /// Failed deliveries of entries; without this each removal of an entry would have to delete a fact on suspicion.
    pub(crate) redeliveries: BTreeMap<(LogId, Sequence), u32>,
    /// Ranges whose entries are gone with their log, not yet merged away.
    pub(crate) logs_gone: Vec<LogId>,
    /// Logs that have, or had in this run, owners of message groups: only there a log's end has to look for them.
    pub(crate) grouped: HashSet<LogId>,
    pub(crate) closed: bool,
}

/// The front of a sorted range that is filled at its end and emptied, more or less, from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Front {
    /// Nothing that lives is below.
    pub(crate) at: Sequence,
    /// Lowest that came in since a search for a new front began.
    pub(crate) lowest_since: Sequence,
    /// Deletions since then.
    pub(crate) gone_since: u64,
}

impl Front {
    pub(crate) fn new(at: Sequence) -> Front {
        Front { at, ..Front::default() }
    }

    /// Begins a search: whatever comes in from now on is noted.
    pub(crate) fn search(&mut self) -> Sequence {
        self.lowest_since = Sequence::MAX;
        self.gone_since = 0;
        self.at
    }

    /// Ends a search that found `candidate`. Whether the front moved.
    pub(crate) fn found(&mut self, candidate: Sequence) -> bool {
        let to = candidate.min(self.lowest_since);
        let moved = to > self.at;
        self.at = self.at.max(to);
        moved
    }

    /// Something came in. Whether the stored front has to go down.
    fn came(&mut self, sequence: Sequence) -> bool {
        self.lowest_since = self.lowest_since.min(sequence);
        let lower = sequence < self.at;
        self.at = self.at.min(sequence);
        lower
    }
}

impl State {
    /// Adds all records to the batch.
    pub(crate) fn put_all(&mut self, groups: &[Vec<Record>], f: &Families<'_>, batch: &mut WriteBatch) {
        let mut clean = self.clean_stop;
        for record in groups.iter().flatten() {
            clean = matches!(record, Record::CleanStop);
            self.put(record, f, batch);
        }
        if clean != self.clean_stop {
            self.clean_stop = clean;
            if clean {
                put_number(batch, f, &keys::CLEAN_STOP, 1);
            } else {
                batch.delete_cf(f.facts, keys::CLEAN_STOP);
            }
        }
    }

    fn put(&mut self, record: &Record, f: &Families<'_>, batch: &mut WriteBatch) {
        match record {
            Record::Body { sequence, message } => {
                self.seen(*sequence, f, batch);
                if self.low_water.came(*sequence) {
                    put_number(batch, f, &keys::LOW_WATER, *sequence);
                }
                let key = keys::body(*sequence);
                batch.put_cf(f.bodies, key, format::encode_body(&key, message));
            }
            Record::BodyGone { sequence } => {
                self.low_water.gone_since += 1;
                batch.single_delete_cf(f.bodies, keys::body(*sequence));
            }
            Record::Entry { log, sequence, meta } => {
                self.seen(*sequence, f, batch);
                if self.heads.entry(*log).or_default().came(*sequence) {
                    put_number(batch, f, &keys::of_log(keys::HEAD, *log), *sequence);
                }
                let key = keys::entry(*log, *sequence);
                batch.put_cf(f.entries, key, format::encode_entry(&key, meta));
            }
            Record::EntryGone { log, sequence } => {
                self.heads.entry(*log).or_default().gone_since += 1;
                batch.single_delete_cf(f.entries, keys::entry(*log, *sequence));
                if self.redeliveries.remove(&(*log, *sequence)).is_some() {
                    batch.delete_cf(f.facts, keys::redeliveries(*log, *sequence));
                }
            }
            Record::Redeliveries { log, sequence, count } => {
                self.redeliveries.insert((*log, *sequence), *count);
                put_number(batch, f, &keys::redeliveries(*log, *sequence), (*count).into());
            }
            Record::Dispatched { log, up_to } => {
                put_number(batch, f, &keys::of_log(keys::DISPATCHED, *log), *up_to);
            }
            Record::Log { log, definition } => {
                if *log >= self.log_next {
                    self.log_next = log.saturating_add(1);
                    put_number(batch, f, &keys::LOG_NEXT, self.log_next.into());
                }
                self.heads.entry(*log).or_default();
                let key = keys::of_log(keys::LOG, *log);
                batch.put_cf(f.facts, key, format::encode_log(&key, definition));
            }
            Record::LogGone { log } => self.put_log_gone(*log, f, batch),
            Record::Producer { producer, sequence, at } => {
                self.seen(*at, f, batch);
                let key = keys::producer(&format::encode_producer_id(producer));
                batch.put_cf(f.facts, &key, format::encode_producer(&key, *sequence, *at));
            }
            Record::ProducerGone { producer } => {
                batch.delete_cf(f.facts, keys::producer(&format::encode_producer_id(producer)));
            }
            Record::GroupOwner { log, group, owner } => {
                self.grouped.insert(*log);
                let key = keys::group(*log, group);
                batch.put_cf(f.facts, &key, format::encode_group_owner(&key, owner));
            }
            Record::GroupGone { log, group } => batch.delete_cf(f.facts, keys::group(*log, group)),
            Record::Fact(fact) => {
                let key = keys::fact(&fact.key);
                match &fact.value {
                    Some(value) => batch.put_cf(f.facts, &key, format::encode_fact(&key, value)),
                    None => batch.delete_cf(f.facts, &key),
                }
            }
            Record::CleanStop => {}
        }
    }

    /// The definition is what makes entries count, and a number is never used again: even an entry that came back from
    /// an old file would be seen by nobody.
    fn put_log_gone(&mut self, log: LogId, f: &Families<'_>, batch: &mut WriteBatch) {
        self.heads.remove(&log);
        self.logs_gone.push(log);
        for fact in [keys::LOG, keys::DISPATCHED, keys::HEAD] {
            batch.delete_cf(f.facts, keys::of_log(fact, log));
        }
        let range = (log, 0)..=(log, Sequence::MAX);
        let redelivered: Vec<_> = self.redeliveries.range(range).map(|(key, _)| *key).collect();
        for (log, sequence) in redelivered {
            self.redeliveries.remove(&(log, sequence));
            batch.delete_cf(f.facts, keys::redeliveries(log, sequence));
        }
        if self.grouped.remove(&log) {
            batch.delete_range_cf(f.facts, keys::group(log, ""), keys::groups_end(log));
        }
        let end = keys::entries_end(log).map_or(vec![0xff; 13], |end| end.to_vec());
        batch.delete_range_cf(f.entries, keys::entry(log, 0).to_vec(), end);
    }

    fn seen(&mut self, sequence: Sequence, f: &Families<'_>, batch: &mut WriteBatch) {
        self.sequence_last = self.sequence_last.max(sequence);
        if sequence >= self.sequence_next {
            self.sequence_next = sequence.saturating_add(SEQUENCES_AHEAD);
            put_number(batch, f, &keys::SEQUENCE_NEXT, self.sequence_next);
        }
    }
}

pub(crate) fn put_number(batch: &mut WriteBatch, f: &Families<'_>, key: &[u8], number: u64) {
    batch.put_cf(f.facts, key, format::encode_number(key, number));
}
