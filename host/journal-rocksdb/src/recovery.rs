//! Reading back: the facts when the journal is opened, all records when the broker asks for them.

use bytes::Bytes;
use journal::{JournalError, Recovered, format};
use message::{Fact, LogId, ProducerId, Record, Sequence, Text};
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, ReadOptions};

use crate::engine::{self, families};
use crate::state::{Front, State};
use crate::{damaged, keys};

/// Reads the facts.
pub(crate) fn state(db: &DB) -> Result<State, JournalError> {
    let mut state = State {
        clean_stop: number(db, &keys::CLEAN_STOP)?.is_some(),
        sequence_next: number(db, &keys::SEQUENCE_NEXT)?.unwrap_or(1),
        log_next: number(db, &keys::LOG_NEXT)?.map_or(Ok(1), |n| narrow(&keys::LOG_NEXT, n))?,
        epoch: number(db, &keys::EPOCH)?.unwrap_or(0),
        low_water: Front::new(number(db, &keys::LOW_WATER)?.unwrap_or(0)),
        ..State::default()
    };
    state.sequence_last = state.sequence_next.saturating_sub(1);
    facts(db, keys::LOG, |key, _| {
        state.heads.insert(log_of(key)?, Front::default());
        Ok(())
    })?;
    facts(db, keys::HEAD, |key, value| {
        let at = read_number(key, value)?;
        state.heads.insert(log_of(key)?, Front::new(at));
        Ok(())
    })?;
    facts(db, keys::REDELIVERIES, |key, value| {
        let place = keys::read_entry(&key[1..]).ok_or_else(|| unreadable("redeliveries", key))?;
        state.redeliveries.insert(place, narrow(key, read_number(key, value)?)?);
        Ok(())
    })?;
    facts(db, keys::GROUP, |key, _| {
        let (log, _) = keys::read_group(key).ok_or_else(|| unreadable("group owner", key))?;
        state.grouped.insert(log);
        Ok(())
    })?;
    // A journal is new, and stopped in order, until something is appended.
    state.clean_stop |= state.epoch == 0;
    Ok(state)
}

/// Gives everything back in the promised order.
pub(crate) fn all(
    db: &DB,
    state: &State,
    damaged_facts: &mut u64,
    each: &mut dyn FnMut(Record),
) -> Result<Recovered, JournalError> {
    let mut found = Recovered {
        next_sequence: state.sequence_next,
        next_log: state.log_next,
        clean_stop: state.clean_stop,
        epoch: state.epoch,
        ..Recovered::default()
    };
    facts(db, keys::FACT, |key, value| {
        let name = keys::read_fact(key).ok_or_else(|| unreadable("fact", key))?;
        let value = match format::decode_fact(key, &Bytes::copy_from_slice(value)) {
            Ok(value) => Some(value),
            Err(cause @ format::FormatError::Newer { .. }) => return Err(damaged("fact", key, cause)),
            Err(cause) => {
                *damaged_facts += 1;
                tracing::error!(key = &*name, %cause, "a fact is damaged and given back without its value");
                None
            }
        };
        each(Record::Fact(Fact { key: name, value }));
        Ok(())
    })?;
    let mut logs: Vec<LogId> = Vec::new();
    facts(db, keys::LOG, |key, value| {
        let log = log_of(key)?;
        let definition = format::decode_log(key, value).map_err(|e| damaged("log definition", key, e))?;
        each(Record::Log { log, definition });
        if let Some(up_to) = number(db, &keys::of_log(keys::DISPATCHED, log))? {
            each(Record::Dispatched { log, up_to });
        }
        logs.push(log);
        Ok(())
    })?;
    for (at, producer, sequence) in producers(db)? {
        each(Record::Producer { producer, sequence, at });
    }
    groups(db, each)?;
    for log in logs {
        entries(db, state, log, &mut found, each)?;
    }
    Ok(found)
}

/// The first live key of the family that is not below `from` and is below `end`.
pub(crate) fn first(
    db: &DB,
    family: &ColumnFamily,
    from: &[u8],
    end: Option<&[u8]>,
) -> Result<Option<Box<[u8]>>, JournalError> {
    let mut options = scan_options();
    if let Some(end) = end {
        options.set_iterate_upper_bound(end);
    }
    match db.iterator_cf_opt(family, options, IteratorMode::From(from, Direction::Forward)).next() {
        Some(Ok((key, _))) => Ok(Some(key)),
        Some(Err(e)) => Err(engine::error("search", &e)),
        None => Ok(None),
    }
}

fn entries(
    db: &DB,
    state: &State,
    log: LogId,
    found: &mut Recovered,
    each: &mut dyn FnMut(Record),
) -> Result<(), JournalError> {
    let head = state.heads.get(&log).map_or(0, |front| front.at);
    let mut options = scan_options();
    if let Some(end) = keys::entries_end(log) {
        options.set_iterate_upper_bound(end);
    }
    let mut walk = db.raw_iterator_cf_opt(families(db).entries, options);
    walk.seek(keys::entry(log, head));
    while let Some((key, value)) = walk.item() {
        let (_, sequence) = keys::read_entry(key).ok_or_else(|| unreadable("entry", key))?;
        let meta = format::decode_entry(key, value).map_err(|e| damaged("entry", key, e))?;
        found.entries += 1;
        found.bytes += u64::from(meta.size);
        each(Record::Entry { log, sequence, meta });
        if let Some(&count) = state.redeliveries.get(&(log, sequence)) {
            each(Record::Redeliveries { log, sequence, count });
        }
        walk.next();
    }
    walk.status().map_err(|e| engine::error("read entries", &e))
}

/// All producers, the oldest first.
fn producers(db: &DB) -> Result<Vec<(Sequence, ProducerId, i64)>, JournalError> {
    let mut all = Vec::new();
    facts(db, keys::PRODUCER, |key, value| {
        let producer = format::decode_producer_id(&key[1..]).map_err(|e| damaged("producer", key, e))?;
        let (sequence, at) = format::decode_producer(key, value).map_err(|e| damaged("producer", key, e))?;
        all.push((at, producer, sequence));
        Ok(())
    })?;
    // Stable: producers of the same time stay in the order of their keys.
    all.sort_by_key(|(at, ..)| *at);
    Ok(all)
}

/// The owners of message groups, by log and group.
fn groups(db: &DB, each: &mut dyn FnMut(Record)) -> Result<(), JournalError> {
    facts(db, keys::GROUP, |key, value| {
        let (log, group) = keys::read_group(key).ok_or_else(|| unreadable("group owner", key))?;
        let owner = format::decode_group_owner(key, value).map_err(|e| damaged("group owner", key, e))?;
        each(Record::GroupOwner { log, group: Text::from(group), owner });
        Ok(())
    })
}

fn facts(
    db: &DB,
    prefix: u8,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    let mut options = scan_options();
    options.set_iterate_upper_bound([prefix + 1]);
    let mut walk = db.raw_iterator_cf_opt(families(db).facts, options);
    walk.seek([prefix]);
    while let Some((key, value)) = walk.item() {
        each(key, value)?;
        walk.next();
    }
    walk.status().map_err(|e| engine::error("read facts", &e))
}

fn number(db: &DB, key: &[u8]) -> Result<Option<u64>, JournalError> {
    let value = db.get_pinned_cf(families(db).facts, key).map_err(|e| engine::error("read facts", &e))?;
    value.map(|value| read_number(key, &value)).transpose()
}

fn read_number(key: &[u8], value: &[u8]) -> Result<u64, JournalError> {
    format::decode_number(key, value).map_err(|e| damaged("number", key, e))
}

fn narrow(key: &[u8], number: u64) -> Result<u32, JournalError> {
    u32::try_from(number).map_err(|_| unreadable("number", key))
}

fn log_of(key: &[u8]) -> Result<LogId, JournalError> {
    keys::read_of_log(key).ok_or_else(|| unreadable("log", key))
}

fn unreadable(what: &'static str, key: &[u8]) -> JournalError {
    JournalError::Damaged { what, key: format!("{key:02x?}"), cause: "its key is none of ours".into() }
}

/// Big reads that leave the cache alone.
fn scan_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_readahead_size(256 * 1024);
    options
}
