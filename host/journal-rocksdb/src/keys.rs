//! Where things live.
//!
//! ```text
//! bodies    sequence u64                       message           put once, deleted once
//! entries   log u32, sequence u64              entry's meta      put once, deleted once
//! facts     'l', log u32                       log's definition
//!           'd', log u32                       dispatch mark
//!           'h', log u32                       head: no entry of the log is below
//!           'r', log u32, sequence u64         failed deliveries of an entry
//!           'g', log u32, group text            who owns a message group
//!           'p', producer                      its last message
//!           'f', key                           what is kept for others than the core
//!           'c' 'e' 'n' 's' 'w'                clean stop, epoch, next log, next sequence, low water of bodies
//! ```
//!
//! All numbers are big-endian, so that keys sort as numbers do.

use message::{LogId, Sequence, Text};

pub(crate) const BODIES: &str = "bodies";
pub(crate) const ENTRIES: &str = "entries";
/// The engine insists on a family of this name.
pub(crate) const FACTS: &str = "default";

pub(crate) const CLEAN_STOP: [u8; 1] = [b'c'];
pub(crate) const EPOCH: [u8; 1] = [b'e'];
pub(crate) const LOG_NEXT: [u8; 1] = [b'n'];
pub(crate) const SEQUENCE_NEXT: [u8; 1] = [b's'];
pub(crate) const LOW_WATER: [u8; 1] = [b'w'];
/// Written to find out whether the engine takes anything; means nothing.
pub(crate) const PROBE: [u8; 1] = [b'?'];

pub(crate) const LOG: u8 = b'l';
pub(crate) const DISPATCHED: u8 = b'd';
pub(crate) const HEAD: u8 = b'h';
pub(crate) const REDELIVERIES: u8 = b'r';
pub(crate) const PRODUCER: u8 = b'p';
pub(crate) const GROUP: u8 = b'g';
pub(crate) const FACT: u8 = b'f';

pub(crate) fn body(sequence: Sequence) -> [u8; 8] {
    sequence.to_be_bytes()
}

pub(crate) fn entry(log: LogId, sequence: Sequence) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&log.to_be_bytes());
    key[4..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// The first key behind all entries of the log; `None` behind the last log there can be.
pub(crate) fn entries_end(log: LogId) -> Option<[u8; 12]> {
    log.checked_add(1).map(|next| entry(next, 0))
}

/// One of the facts of a log.
pub(crate) fn of_log(fact: u8, log: LogId) -> [u8; 5] {
    let [a, b, c, d] = log.to_be_bytes();
    [fact, a, b, c, d]
}

pub(crate) fn redeliveries(log: LogId, sequence: Sequence) -> [u8; 13] {
    let mut key = [REDELIVERIES; 13];
    key[1..].copy_from_slice(&entry(log, sequence));
    key
}

pub(crate) fn group(log: LogId, group: &str) -> Vec<u8> {
    [&of_log(GROUP, log)[..], group.as_bytes()].concat()
}

/// The first key behind all groups of the log.
pub(crate) fn groups_end(log: LogId) -> Vec<u8> {
    log.checked_add(1).map_or(vec![GROUP + 1], |next| of_log(GROUP, next).to_vec())
}

pub(crate) fn producer(encoded_id: &[u8]) -> Vec<u8> {
    [&[PRODUCER], encoded_id].concat()
}

pub(crate) fn fact(key: &str) -> Vec<u8> {
    [&[FACT], key.as_bytes()].concat()
}

/// The key of a fact whose own key was made by [`fact`].
pub(crate) fn read_fact(key: &[u8]) -> Option<Text> {
    Text::try_from(key.get(1..)?).ok().filter(|key| !key.is_empty())
}

pub(crate) fn read_body(key: &[u8]) -> Option<Sequence> {
    Some(Sequence::from_be_bytes(key.try_into().ok()?))
}

pub(crate) fn read_entry(key: &[u8]) -> Option<(LogId, Sequence)> {
    let (log, sequence) = key.split_at_checked(4)?;
    Some((LogId::from_be_bytes(log.try_into().ok()?), read_body(sequence)?))
}

/// Log and group of a key made by [`group`].
pub(crate) fn read_group(key: &[u8]) -> Option<(LogId, &str)> {
    let (log, group) = key.get(1..)?.split_at_checked(4)?;
    Some((LogId::from_be_bytes(log.try_into().ok()?), std::str::from_utf8(group).ok()?))
}

/// The log of a key made by [`of_log`].
pub(crate) fn read_of_log(key: &[u8]) -> Option<LogId> {
    Some(LogId::from_be_bytes(key.get(1..)?.try_into().ok()?))
}
