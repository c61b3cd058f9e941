//! What rows are known by.
//!
//! ```text
//! PREFIXjournal   one row: format, epoch, appends that are settled, next sequence, next log, clean stop
//! PREFIXappends   number                          all records of an append that is not settled; none in the row with
//!                                                 which an epoch begins
//! PREFIXbodies    sequence, part                  a message, in parts
//! PREFIXentries   log, sequence                   entry's meta
//! PREFIXfacts     id, part, name                  one of these, in parts:
//!                 'l', log u32                    log's definition
//!                 'd', log u32                    dispatch mark
//!                 'h', log u32                    head: no entry of the log is below
//!                 'r', log u32, sequence u64      failed deliveries of an entry
//!                 'g', log u32, group text        who owns a message group
//!                 'p', producer                   its last message
//!                 'f', key                        what is kept for others than the core
//! ```
//!
//! Values are those of [`journal::format`], sealed with these keys, all numbers big-endian. No database takes keys as long
//! as ours may be, so the row of a long one is known by its beginning and a digest, and `name` holds the key.

use message::{LogId, Sequence, Text};
use sha2::{Digest as _, Sha256};

/// Bytes of the longest row id; keys shorter than that are ids themselves.
pub(crate) const ID_BYTES: usize = 200;
const DIGEST_BYTES: usize = 32;

pub(crate) const LOG: u8 = b'l';
pub(crate) const DISPATCHED: u8 = b'd';
pub(crate) const HEAD: u8 = b'h';
pub(crate) const REDELIVERIES: u8 = b'r';
pub(crate) const PRODUCER: u8 = b'p';
pub(crate) const GROUP: u8 = b'g';
pub(crate) const FACT: u8 = b'f';

pub(crate) fn append(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn body(sequence: Sequence) -> [u8; 8] {
    sequence.to_be_bytes()
}

pub(crate) fn entry(log: LogId, sequence: Sequence) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&log.to_be_bytes());
    key[4..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// One of the facts of a log.
pub(crate) fn of_log(fact: u8, log: LogId) -> Vec<u8> {
    [&[fact], &log.to_be_bytes()[..]].concat()
}

/// The first key behind all facts of this kind of the log.
pub(crate) fn of_log_end(fact: u8, log: LogId) -> Vec<u8> {
    log.checked_add(1).map_or(vec![fact + 1], |next| of_log(fact, next))
}

pub(crate) fn redeliveries(log: LogId, sequence: Sequence) -> Vec<u8> {
    [&[REDELIVERIES], &entry(log, sequence)[..]].concat()
}

pub(crate) fn group(log: LogId, group: &str) -> Vec<u8> {
    [&of_log(GROUP, log)[..], group.as_bytes()].concat()
}

pub(crate) fn producer(encoded_id: &[u8]) -> Vec<u8> {
    [&[PRODUCER], encoded_id].concat()
}

pub(crate) fn fact(key: &str) -> Vec<u8> {
    [&[FACT], key.as_bytes()].concat()
}

/// Id and name of the row that holds this key. The name is empty where the id says it all.
pub(crate) fn row(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if key.len() < ID_BYTES {
        return (key.to_vec(), Vec::new());
    }
    let mut id = key[..ID_BYTES - DIGEST_BYTES].to_vec();
    id.extend_from_slice(&Sha256::digest(key));
    (id, key.to_vec())
}

/// The key of a row with this id and name.
pub(crate) fn of_row(id: Vec<u8>, name: Vec<u8>) -> Vec<u8> {
    if name.is_empty() { id } else { name }
}

/// The log of a key made by [`of_log`].
pub(crate) fn read_of_log(key: &[u8]) -> Option<LogId> {
    Some(LogId::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

/// Log and sequence of a key made by [`redeliveries`].
pub(crate) fn read_redeliveries(key: &[u8]) -> Option<(LogId, Sequence)> {
    let (log, sequence) = key.get(1..)?.split_at_checked(4)?;
    Some((LogId::from_be_bytes(log.try_into().ok()?), Sequence::from_be_bytes(sequence.try_into().ok()?)))
}

/// Log and group of a key made by [`group`].
pub(crate) fn read_group(key: &[u8]) -> Option<(LogId, &str)> {
    let (log, group) = key.get(1..)?.split_at_checked(4)?;
    Some((LogId::from_be_bytes(log.try_into().ok()?), std::str::from_utf8(group).ok()?))
}

/// The key of a fact whose own key was made by [`fact`].
pub(crate) fn read_fact(key: &[u8]) -> Option<Text> {
    Text::try_from(key.get(1..)?).ok().filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_have_short_ids_of_their_own() {
        for length in [1, ID_BYTES - 1, ID_BYTES, ID_BYTES + 1, 8192] {
            let key: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let (id, name) = row(&key);
            assert!(id.len() <= ID_BYTES && id.starts_with(&key[..length.min(100)]), "{length}");
            assert_eq!(of_row(id.clone(), name), key);
            let mut other = key.clone();
            other[length - 1] ^= 1;
            assert_ne!(row(&other).0, id);
        }
    }

    #[test]
    fn keys_read_back() {
        assert_eq!(read_of_log(&of_log(LOG, 7)), Some(7));
        assert_eq!(read_redeliveries(&redeliveries(7, 1 << 40)), Some((7, 1 << 40)));
        assert_eq!(read_group(&group(300, "a")), Some((300, "a")));
        assert_eq!(read_fact(&fact("policy/x")), Some("policy/x".into()));
        assert!(group(6, "z") < of_log_end(GROUP, 6) && of_log_end(GROUP, 6) <= of_log(GROUP, 7));
        assert_eq!(of_log_end(GROUP, LogId::MAX), [GROUP + 1]);
    }
}
