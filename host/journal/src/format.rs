//! How the values of records are written, whatever engine keeps them.
//!
//! ```text
//! +---------+------+----------------+--------+
//! | version | kind | crc32c, 4 b LE | fields |
//! +---------+------+----------------+--------+
//! ```
//!
//! The checksum covers version, kind, the key that the record is kept under, and the fields: a value that an engine
//! gives back for another key is as damaged as one with a flipped bit. Numbers are LEB128, signed ones zigzag; texts and
//! bytes have their length in front. Decoding never panics, takes nothing on trust, and refuses what is left over.
//!
//! A new version adds a branch to [`open`]; the old branch and its fixture stay for good.

mod append;
mod body;
mod fields;

use bytes::Bytes;
use message::{EntryMeta, FACT_VALUE_BYTES_MAX, LogDefinition, ProducerId, Sequence, Text};

pub use append::{decode_append, encode_append};
pub use body::{decode_body, encode_body};
use fields::{Reader, put_signed, put_slice, put_text, put_unsigned};

/// The version that is written.
pub const VERSION: u8 = 1;
/// Bytes in front of the fields.
pub const HEADER_BYTES: usize = 6;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Body = 1,
    /// [`EntryMeta`].
    Entry = 2,
    /// [`LogDefinition`].
    Log = 3,
    /// The last message of a producer.
    Producer = 4,
    /// A single number: dispatch marks, redeliveries, counters.
    Number = 5,
    /// The owner of a message group.
    GroupOwner = 6,
    /// What is kept for others than the core.
    Fact = 7,
    /// All records of an append.
    Append = 8,
}

impl Kind {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Body => "body",
            Kind::Entry => "entry",
            Kind::Log => "log definition",
            Kind::Producer => "producer",
            Kind::Number => "number",
            Kind::GroupOwner => "group owner",
            Kind::Fact => "fact",
            Kind::Append => "append",
        }
    }
}

/// Why a value does not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Too short for version, kind and checksum.
    #[error("{have} bytes are too few for a record")]
    Short {
        /// Bytes there.
        have: usize,
    },
    /// Written by a later version.
    #[error("record version {found} is newer than {VERSION}")]
    Newer {
        /// Version found.
        found: u8,
    },
    /// Another kind of value.
    #[error("record kind is {found}, expected {expected}")]
    Kind {
        /// Kind found.
        found: u8,
        /// Kind expected.
        expected: u8,
    },
    /// The checksum says so.
    #[error("checksum is {found:08x}, computed {computed:08x}")]
    Checksum {
        /// In the record.
        found: u32,
        /// Over the record.
        computed: u32,
    },
    /// The fields end inside a value.
    #[error("field at byte {offset} needs {need} bytes, {have} are there")]
    Truncated {
        /// Where.
        offset: usize,
        /// Bytes announced.
        need: u64,
        /// Bytes left.
        have: usize,
    },
    /// A value that cannot be.
    #[error("field {field} at byte {offset} has an impossible value")]
    Value {
        /// Which.
        field: &'static str,
        /// Where.
        offset: usize,
    },
    /// Bytes after the last field.
    #[error("{left} bytes are left over")]
    LeftOver {
        /// How many.
        left: usize,
    },
}

/// Writes an entry's value, which lives under `key`.
pub fn encode_entry(key: &[u8], meta: &EntryMeta) -> Vec<u8> {
    seal(Kind::Entry, key, 16, |out| put_entry(out, meta))
}

/// Reads what [`encode_entry`] wrote.
pub fn decode_entry(key: &[u8], value: &[u8]) -> Result<EntryMeta, FormatError> {
    let mut r = open(Kind::Entry, key, value)?;
    let meta = read_entry(&mut r)?;
    r.end()?;
    Ok(meta)
}

/// Writes a log's definition, which lives under `key`.
pub fn encode_log(key: &[u8], definition: &LogDefinition) -> Vec<u8> {
    seal(Kind::Log, key, 64, |out| put_log(out, definition))
}

/// Reads what [`encode_log`] wrote.
pub fn decode_log(key: &[u8], value: &[u8]) -> Result<LogDefinition, FormatError> {
    let shared = Bytes::copy_from_slice(value);
    let mut r = open(Kind::Log, key, &shared)?;
    let definition = read_log(&mut r)?;
    r.end()?;
    Ok(definition)
}

/// The bytes that a producer is known by in keys; read back by [`decode_producer_id`].
pub fn encode_producer_id(producer: &ProducerId) -> Vec<u8> {
    let mut out = Vec::with_capacity(producer.connection.len() + 8);
    put_producer_id(&mut out, producer);
    out
}

/// Reads what [`encode_producer_id`] wrote.
pub fn decode_producer_id(bytes: &[u8]) -> Result<ProducerId, FormatError> {
    let mut r = Reader::new(bytes);
    let producer = r.producer_id()?;
    r.end()?;
    Ok(producer)
}

/// Writes a producer's last message, which lives under `key`.
pub fn encode_producer(key: &[u8], sequence: i64, at: Sequence) -> Vec<u8> {
    seal(Kind::Producer, key, 16, |out| {
        put_signed(out, sequence);
        put_unsigned(out, at);
    })
}

/// Reads what [`encode_producer`] wrote.
pub fn decode_producer(key: &[u8], value: &[u8]) -> Result<(i64, Sequence), FormatError> {
    let mut r = open(Kind::Producer, key, value)?;
    let found = (r.signed("sequence")?, r.unsigned("at")?);
    r.end()?;
    Ok(found)
}

/// Writes a number, which lives under `key`.
pub fn encode_number(key: &[u8], number: u64) -> Vec<u8> {
    seal(Kind::Number, key, 10, |out| put_unsigned(out, number))
}

/// Reads what [`encode_number`] wrote.
pub fn decode_number(key: &[u8], value: &[u8]) -> Result<u64, FormatError> {
    let mut r = open(Kind::Number, key, value)?;
    let number = r.unsigned("number")?;
    r.end()?;
    Ok(number)
}

/// Writes a message group's owner, which lives under `key`.
pub fn encode_group_owner(key: &[u8], owner: &str) -> Vec<u8> {
    seal(Kind::GroupOwner, key, owner.len() + 2, |out| put_text(out, owner))
}

/// Reads what [`encode_group_owner`] wrote.
pub fn decode_group_owner(key: &[u8], value: &[u8]) -> Result<Text, FormatError> {
    let mut r = open(Kind::GroupOwner, key, value)?;
    let owner = r.text("owner")?;
    r.end()?;
    Ok(owner)
}

/// Writes the value of a fact, which lives under `key`.
pub fn encode_fact(key: &[u8], value: &[u8]) -> Vec<u8> {
    seal(Kind::Fact, key, value.len() + 10, |out| put_slice(out, value))
}

/// Reads what [`encode_fact`] wrote, at most [`FACT_VALUE_BYTES_MAX`] bytes. The value is a slice of `value`: nothing is
/// copied.
pub fn decode_fact(key: &[u8], value: &Bytes) -> Result<Bytes, FormatError> {
    let mut r = open(Kind::Fact, key, value)?.sharing(value);
    let fact = r.bytes("fact")?;
    if fact.len() > FACT_VALUE_BYTES_MAX {
        return Err(r.impossible("fact"));
    }
    r.end()?;
    Ok(fact)
}

fn put_entry(out: &mut Vec<u8>, meta: &EntryMeta) {
    put_unsigned(out, meta.size.into());
    out.push(meta.priority << 1 | u8::from(meta.maybe_delivered));
    put_signed(out, meta.expiration);
}

fn read_entry(r: &mut Reader<'_>) -> Result<EntryMeta, FormatError> {
    let size = r.u32("size")?;
    let flags = r.byte()?;
    let expiration = r.signed("expiration")?;
    Ok(EntryMeta { size, priority: flags >> 1, maybe_delivered: flags & 1 == 1, expiration })
}

fn put_log(out: &mut Vec<u8>, definition: &LogDefinition) {
    match definition {
        LogDefinition::Queue { name } => {
            out.push(1);
            put_text(out, name);
        }
        LogDefinition::Durable { client_id, name, topic, selector, no_local } => {
            out.push(2);
            out.push(u8::from(*no_local) | u8::from(selector.is_some()) << 1);
            put_text(out, client_id);
            put_text(out, name);
            put_text(out, topic);
            if let Some(selector) = selector {
                put_text(out, selector);
            }
        }
    }
}

fn read_log(r: &mut Reader<'_>) -> Result<LogDefinition, FormatError> {
    match r.byte()? {
        1 => Ok(LogDefinition::Queue { name: r.text("name")? }),
        2 => {
            let flags = r.byte()?;
            if flags > 3 {
                return Err(r.impossible("log flags"));
            }
            Ok(LogDefinition::Durable {
                client_id: r.text("client id")?,
                name: r.text("name")?,
                topic: r.text("topic")?,
                selector: if flags & 2 == 0 { None } else { Some(r.text("selector")?) },
                no_local: flags & 1 == 1,
            })
        }
        _ => Err(r.impossible("log kind")),
    }
}

fn put_producer_id(out: &mut Vec<u8>, producer: &ProducerId) {
    put_text(out, &producer.connection);
    put_signed(out, producer.session);
    put_signed(out, producer.value);
}

fn seal(kind: Kind, key: &[u8], room: usize, fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + room);
    out.extend([VERSION, kind as u8, 0, 0, 0, 0]);
    fields(&mut out);
    let sum = checksum(VERSION, kind as u8, key, &out[HEADER_BYTES..]);
    out[2..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    out
}

fn open<'a>(kind: Kind, key: &[u8], value: &'a [u8]) -> Result<Reader<'a>, FormatError> {
    let [version, found_kind, a, b, c, d, fields @ ..] = value else {
        return Err(FormatError::Short { have: value.len() });
    };
    if *version > VERSION {
        return Err(FormatError::Newer { found: *version });
    }
    let found = u32::from_le_bytes([*a, *b, *c, *d]);
    let computed = checksum(*version, *found_kind, key, fields);
    if found != computed {
        return Err(FormatError::Checksum { found, computed });
    }
    if *found_kind != kind as u8 {
        return Err(FormatError::Kind { found: *found_kind, expected: kind as u8 });
    }
    if *version == 0 {
        return Err(FormatError::Value { field: "version", offset: 0 });
    }
    Ok(Reader::new(fields))
}

fn checksum(version: u8, kind: u8, key: &[u8], fields: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&[version, kind]);
    crc32c::crc32c_append(crc32c::crc32c_append(sum, key), fields)
}

#[cfg(test)]
mod tests;
