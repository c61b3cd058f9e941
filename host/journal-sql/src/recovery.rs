//! Reading back: what must be known when the journal is opened, all records when the broker asks for them.

use bytes::Bytes;
use journal::{JournalError, Recovered, format};
use message::{Fact, LogId, Record, Sequence, Text};

use crate::append::TRANSACTION_MAX;
use crate::fault::{Broken, Fault};
use crate::front::Front;
use crate::kept::Append;
use crate::keys;
use crate::plan::State;
use crate::session::{Line, Session, Value, bytes, number, unsigned, within};

/// Entries that are read at once.
const ENTRIES_PER_READ: usize = 10_000;

/// The state of the journal of this epoch, from its row and its facts.
pub(crate) async fn state(line: &Line, session: &mut Session) -> Result<State, Broken> {
    let rows = session.query(&line.dialect.journal_row(), Vec::new()).await?;
    let Some(row) = rows.first() else { return Err(unreadable("row", b"journal").into()) };
    let mut state = State {
        epoch: unsigned(row, 1)?,
        appends: unsigned(row, 2)?,
        next_sequence: unsigned(row, 3)?,
        next_log: LogId::try_from(number(row, 4)?).map_err(|_| unreadable("number", b"next_log"))?,
        clean_stop: number(row, 5)? != 0,
        ..State::default()
    };
    for (key, _) in facts(line, session, keys::REDELIVERIES).await? {
        let place = keys::read_redeliveries(&key).ok_or_else(|| unreadable("redeliveries", &key))?;
        state.redelivered.insert(place);
    }
    for (key, _) in facts(line, session, keys::GROUP).await? {
        let (log, _) = keys::read_group(&key).ok_or_else(|| unreadable("group owner", &key))?;
        state.grouped.insert(log);
    }
    for (key, value) in facts(line, session, keys::HEAD).await? {
        let log = keys::read_of_log(&key).ok_or_else(|| unreadable("head", &key))?;
        let at = format::decode_number(&key, &value).map_err(|e| damaged("head", &key, e))?;
        state.fronts.insert(log, Front::new(at));
    }
    let long = format!("SELECT DISTINCT id FROM {} WHERE part > 0", line.dialect.table(&crate::dialect::FACTS));
    for row in session.query(&long, Vec::new()).await? {
        state.long_facts.insert(bytes(&row, 0)?);
    }
    Ok(state)
}

/// The appends that are kept behind those that are settled and before the one with which this epoch began.
pub(crate) async fn appends(
    line: &Line,
    session: &mut Session,
    settled: u64,
    first: u64,
) -> Result<Vec<Append>, Broken> {
    let statement = line.dialect.appends_between();
    let rows = within(TRANSACTION_MAX, session.query(&statement, vec![settled.into(), first.into()])).await?;
    let mut found = Vec::with_capacity(rows.len());
    for (expected, row) in (settled + 1..first).zip(rows.iter().map(Some).chain(std::iter::repeat(None))) {
        let key = keys::append(expected);
        let row = match row {
            Some(row) if unsigned(row, 0)? == expected => row,
            _ => {
                let (what, key, cause) = ("append", expected.to_string(), "it is missing".into());
                return Err(JournalError::Damaged { what, key, cause }.into());
            }
        };
        let value = Bytes::from(bytes(row, 1)?);
        // One with which an epoch began says nothing else.
        if !value.is_empty() {
            let records = format::decode_append(&key, &value).map_err(|e| damaged("append", &key, e))?;
            found.push(Append { number: expected, records: records.into() });
        }
    }
    Ok(found)
}

/// Everything but the entries, in the promised order.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) records: Vec<Record>,
    /// Deliveries of entries that failed.
    pub(crate) redeliveries: std::collections::HashMap<(LogId, Sequence), u32>,
    /// Facts whose values do not read.
    pub(crate) damaged: u64,
}

pub(crate) async fn known(line: &Line) -> Result<Known, Broken> {
    let mut taken = line.take().await?;
    let session = &mut taken.session;
    let mut known = Known::default();
    for key in fact_keys(line, session).await? {
        // One by one: they may be large.
        let value = values(line, session, key.clone()).await?;
        known.fact(&key, value)?;
    }
    let marks: std::collections::HashMap<_, _> = facts(line, session, keys::DISPATCHED).await?.into_iter().collect();
    for (key, value) in facts(line, session, keys::LOG).await? {
        let log = keys::read_of_log(&key).ok_or_else(|| unreadable("log", &key))?;
        let definition = format::decode_log(&key, &value).map_err(|e| damaged("log definition", &key, e))?;
        known.records.push(Record::Log { log, definition });
        let mark = keys::of_log(keys::DISPATCHED, log);
        if let Some(value) = marks.get(&mark) {
            let up_to = format::decode_number(&mark, value).map_err(|e| damaged("number", &mark, e))?;
            known.records.push(Record::Dispatched { log, up_to });
        }
    }
    let mut producers = Vec::new();
    for (key, value) in facts(line, session, keys::PRODUCER).await? {
        let producer = format::decode_producer_id(&key[1..]).map_err(|e| damaged("producer", &key, e))?;
        let (sequence, at) = format::decode_producer(&key, &value).map_err(|e| damaged("producer", &key, e))?;
        producers.push((at, Record::Producer { producer, sequence, at }));
    }
    // Stable: producers of the same time stay in the order of their keys.
    producers.sort_by_key(|(at, _)| *at);
    known.records.extend(producers.into_iter().map(|(_, record)| record));
    for (key, value) in facts(line, session, keys::GROUP).await? {
        let (log, group) = keys::read_group(&key).ok_or_else(|| unreadable("group owner", &key))?;
        let owner = format::decode_group_owner(&key, &value).map_err(|e| damaged("group owner", &key, e))?;
        known.records.push(Record::GroupOwner { log, group: Text::from(group), owner });
    }
    for (key, value) in facts(line, session, keys::REDELIVERIES).await? {
        let place = keys::read_redeliveries(&key).ok_or_else(|| unreadable("redeliveries", &key))?;
        let count = format::decode_number(&key, &value).map_err(|e| damaged("redeliveries", &key, e))?;
        let count = u32::try_from(count).map_err(|_| unreadable("redeliveries", &key))?;
        known.redeliveries.insert(place, count);
    }
    taken.keep();
    Ok(known)
}

impl Known {
    fn fact(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), JournalError> {
        let name = keys::read_fact(key).ok_or_else(|| unreadable("fact", key))?;
        let value = match format::decode_fact(key, &Bytes::from(value)) {
            Ok(value) => Some(value),
            Err(cause @ format::FormatError::Newer { .. }) => return Err(damaged("fact", key, cause)),
            Err(cause) => {
                self.damaged += 1;
                tracing::error!(key = &*name, %cause, "a fact is damaged and given back without its value");
                None
            }
        };
        self.records.push(Record::Fact(Fact { key: name, value }));
        Ok(())
    }

    /// The next entries of a stretch; none at its end.
    pub(crate) async fn entries(line: &Line, stretch: Stretch) -> Result<Vec<(LogId, Sequence, Vec<u8>)>, Fault> {
        let [log, sequence, before] = [stretch.behind.0, stretch.behind.1, stretch.before].map(Value::Number);
        let values = match line.dialect.kind {
            crate::Kind::MySql => vec![log.clone(), log, sequence, before],
            crate::Kind::Postgres | crate::Kind::Sqlite => vec![log, sequence, before],
        };
        let mut taken = line.take().await?;
        let statement = line.dialect.entries(ENTRIES_PER_READ);
        let rows = within(TRANSACTION_MAX, taken.session.query(&statement, values)).await?;
        taken.keep();
        let one = |row| Ok((u32::try_from(number(row, 0)?).unwrap_or(u32::MAX), unsigned(row, 1)?, bytes(row, 2)?));
        rows.iter().map(one).collect()
    }

    /// An entry as a record, counted.
    pub(crate) fn entry(
        found: &mut Recovered,
        (log, sequence, value): &(LogId, Sequence, Vec<u8>),
    ) -> Result<Record, JournalError> {
        let key = keys::entry(*log, *sequence);
        let meta = format::decode_entry(&key, value).map_err(|e| damaged("entry", &key, e))?;
        found.entries += 1;
        found.bytes += u64::from(meta.size);
        Ok(Record::Entry { log: *log, sequence: *sequence, meta })
    }
}

/// Entries that are read in one go: behind this log and sequence, before that log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) behind: (i64, i64),
    before: i64,
}

impl Stretch {
    /// All entries, each log that has a head from there on.
    pub(crate) fn all(fronts: &std::collections::HashMap<LogId, Front>) -> Vec<Stretch> {
        let mut heads: Vec<_> = fronts.iter().filter(|(_, front)| front.at > 0).collect();
        heads.sort_by_key(|(log, _)| **log);
        let mut stretches = Vec::with_capacity(heads.len() + 1);
        let mut behind = (-1, 0);
        for (log, front) in heads {
            stretches.push(Stretch { behind, before: i64::from(*log) });
            behind = (i64::from(*log), i64::try_from(front.at).unwrap_or(i64::MAX) - 1);
        }
        stretches.push(Stretch { behind, before: i64::MAX });
        stretches
    }

    /// What is left of it after an entry.
    pub(crate) fn after(self, log: LogId, sequence: Sequence) -> Stretch {
        Stretch { behind: (i64::from(log), i64::try_from(sequence).unwrap_or(i64::MAX)), ..self }
    }
}

/// The first entry of a log from a sequence on.
pub(crate) async fn first_entry(line: &Line, log: LogId, from: Sequence) -> Result<Option<Sequence>, Fault> {
    let mut taken = line.take().await?;
    let place = vec![Value::from(u64::from(log)), Value::from(from)];
    let rows = within(TRANSACTION_MAX, taken.session.query(&line.dialect.first_entry(), place)).await?;
    let first = rows.first().map_or(Ok(-1), |row| number(row, 0))?;
    taken.keep();
    Ok(u64::try_from(first).ok())
}

/// The bodies of these sequences, each whole, those that are there.
pub(crate) async fn bodies(line: Line, sequences: Vec<Sequence>) -> Result<Vec<(Sequence, Vec<u8>)>, Broken> {
    let mut taken = line.take().await?;
    let values: Vec<_> = padded(&sequences).map(|sequence| Value::from(*sequence)).collect();
    let statement = line.dialect.bodies(values.len());
    let rows = within(TRANSACTION_MAX, taken.session.query(&statement, values)).await?;
    taken.keep();
    let mut found: Vec<(Sequence, Vec<u8>)> = Vec::with_capacity(rows.len());
    for row in rows {
        let (sequence, part, value) = (unsigned(&row, 0)?, number(&row, 1)?, bytes(&row, 2)?);
        match found.last_mut() {
            Some((last, whole)) if *last == sequence && part > 0 => whole.extend(value),
            _ => found.push((sequence, value)),
        }
    }
    Ok(found)
}

/// The last value again and again up to the next power of two, since statements are prepared for few numbers of values: to
/// ask for one twice does no harm.
fn padded<T>(values: &[T]) -> impl Iterator<Item = &T> {
    values.iter().chain(values.last().into_iter().cycle()).take(values.len().next_power_of_two())
}

/// All facts of a kind, by key, each whole.
async fn facts(line: &Line, session: &mut Session, kind: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Broken> {
    let range = vec![Value::Bytes(vec![kind]), Value::Bytes(vec![kind + 1])];
    let statement = line.dialect.facts_between("id, part, name, value");
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for row in within(TRANSACTION_MAX, session.query(&statement, range)).await? {
        let value = bytes(&row, 3)?;
        match (number(&row, 1)?, found.last_mut()) {
            (0, _) | (_, None) => found.push((keys::of_row(bytes(&row, 0)?, bytes(&row, 2)?), value)),
            (_, Some((_, whole))) => whole.extend(value),
        }
    }
    // Ids of long keys end in a digest.
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// Keys of the facts that are kept for others, in order.
async fn fact_keys(line: &Line, session: &mut Session) -> Result<Vec<Vec<u8>>, Broken> {
    let range = vec![Value::Bytes(vec![keys::FACT]), Value::Bytes(vec![keys::FACT + 1])];
    let statement = line.dialect.facts_between("id, part, name");
    let mut found = Vec::new();
    for row in within(TRANSACTION_MAX, session.query(&statement, range)).await? {
        if number(&row, 1)? == 0 {
            found.push(keys::of_row(bytes(&row, 0)?, bytes(&row, 2)?));
        }
    }
    found.sort();
    Ok(found)
}

/// The value of one fact.
async fn values(line: &Line, session: &mut Session, key: Vec<u8>) -> Result<Vec<u8>, Broken> {
    let id = keys::row(&key).0;
    let end = [&id[..], &[0]].concat();
    let statement = line.dialect.facts_between("part, value");
    let range = vec![Value::Bytes(id), Value::Bytes(end)];
    let mut whole = Vec::new();
    for row in within(TRANSACTION_MAX, session.query(&statement, range)).await? {
        whole.extend(bytes(&row, 1)?);
    }
    Ok(whole)
}

pub(crate) fn damaged(what: &'static str, key: &[u8], cause: format::FormatError) -> JournalError {
    match cause {
        format::FormatError::Newer { found } => {
            JournalError::Newer { found: found.into(), known: format::VERSION.into() }
        }
        other => JournalError::Damaged { what, key: format!("{key:02x?}"), cause: other.to_string() },
    }
}

fn unreadable(what: &'static str, key: &[u8]) -> JournalError {
    JournalError::Damaged { what, key: format!("{key:02x?}"), cause: "it is none of ours".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_with_themselves() {
        for (rows, expected) in [(vec![1], vec![1]), (vec![1, 2, 3], vec![1, 2, 3, 3]), (vec![], vec![])] {
            assert_eq!(padded(&rows).copied().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn logs_with_a_head_are_read_from_there() {
        let fronts = [(7, Front::new(100)), (3, Front::new(0)), (5, Front::new(20))].into();
        let expected = [((-1, 0), 5), ((5, 19), 7), ((7, 99), i64::MAX)];
        assert_eq!(Stretch::all(&fronts), expected.map(|(behind, before)| Stretch { behind, before }));
        assert_eq!(Stretch::all(&fronts)[1].after(5, 30), Stretch { behind: (5, 30), before: 7 });
    }
}
