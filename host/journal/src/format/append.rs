//! All records of an append in one value: for an engine that keeps them so before it puts each in its place.

use bytes::Bytes;
use message::{FACT_VALUE_BYTES_MAX, Fact, Record};

use super::body::{put_message, read_message, room};
use super::fields::{Reader, put_signed, put_slice, put_text, put_unsigned};
use super::{FormatError, Kind, open, put_entry, put_log, put_producer_id, read_entry, read_log, seal};

const BODY: u8 = 1;
const BODY_GONE: u8 = 2;
const ENTRY: u8 = 3;
const ENTRY_GONE: u8 = 4;
const REDELIVERIES: u8 = 5;
const DISPATCHED: u8 = 6;
const LOG: u8 = 7;
const LOG_GONE: u8 = 8;
const GROUP_OWNER: u8 = 9;
const GROUP_GONE: u8 = 10;
const PRODUCER: u8 = 11;
const PRODUCER_GONE: u8 = 12;
const FACT: u8 = 13;
const FACT_GONE: u8 = 14;
const CLEAN_STOP: u8 = 15;

/// About the bytes of a record without a body.
const RECORD_ROOM: usize = 48;

/// Writes the records of all groups, one after the other, to live under `key`.
pub fn encode_append(key: &[u8], groups: &[Vec<Record>]) -> Vec<u8> {
    let records = || groups.iter().flatten();
    let bytes = records().map(|record| match record {
        Record::Body { message, .. } => RECORD_ROOM + room(message),
        _ => RECORD_ROOM,
    });
    seal(Kind::Append, key, bytes.sum(), |out| records().for_each(|record| put_record(out, record)))
}

/// Reads what [`encode_append`] wrote. Texts and contents of messages are slices of `value`, as in
/// [`super::decode_body`].
pub fn decode_append(key: &[u8], value: &Bytes) -> Result<Vec<Record>, FormatError> {
    let mut r = open(Kind::Append, key, value)?.sharing(value);
    let mut records = Vec::new();
    while !r.is_over() {
        records.push(read_record(&mut r)?);
    }
    Ok(records)
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Body { sequence, message } => {
            tag(out, BODY, &[*sequence]);
            put_message(out, message);
        }
        Record::BodyGone { sequence } => tag(out, BODY_GONE, &[*sequence]),
        Record::Entry { log, sequence, meta } => {
            tag(out, ENTRY, &[u64::from(*log), *sequence]);
            put_entry(out, meta);
        }
        Record::EntryGone { log, sequence } => tag(out, ENTRY_GONE, &[u64::from(*log), *sequence]),
        Record::Redeliveries { log, sequence, count } => {
            tag(out, REDELIVERIES, &[u64::from(*log), *sequence, u64::from(*count)]);
        }
        Record::Dispatched { log, up_to } => tag(out, DISPATCHED, &[u64::from(*log), *up_to]),
        Record::Log { log, definition } => {
            tag(out, LOG, &[u64::from(*log)]);
            put_log(out, definition);
        }
        Record::LogGone { log } => tag(out, LOG_GONE, &[u64::from(*log)]),
        Record::GroupOwner { log, group, owner } => {
            tag(out, GROUP_OWNER, &[u64::from(*log)]);
            put_text(out, group);
            put_text(out, owner);
        }
        Record::GroupGone { log, group } => {
            tag(out, GROUP_GONE, &[u64::from(*log)]);
            put_text(out, group);
        }
        Record::Producer { producer, sequence, at } => {
            tag(out, PRODUCER, &[*at]);
            put_producer_id(out, producer);
            put_signed(out, *sequence);
        }
        Record::ProducerGone { producer } => {
            out.push(PRODUCER_GONE);
            put_producer_id(out, producer);
        }
        Record::Fact(Fact { key, value: Some(value) }) => {
            out.push(FACT);
            put_text(out, key);
            put_slice(out, value);
        }
        Record::Fact(Fact { key, value: None }) => {
            out.push(FACT_GONE);
            put_text(out, key);
        }
        Record::CleanStop => out.push(CLEAN_STOP),
    }
}

fn tag(out: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    out.push(tag);
    numbers.iter().for_each(|number| put_unsigned(out, *number));
}

fn read_record(r: &mut Reader<'_>) -> Result<Record, FormatError> {
    Ok(match r.byte()? {
        BODY => Record::Body { sequence: r.unsigned("sequence")?, message: read_message(r)?.into() },
        BODY_GONE => Record::BodyGone { sequence: r.unsigned("sequence")? },
        ENTRY => Record::Entry { log: r.u32("log")?, sequence: r.unsigned("sequence")?, meta: read_entry(r)? },
        ENTRY_GONE => Record::EntryGone { log: r.u32("log")?, sequence: r.unsigned("sequence")? },
        REDELIVERIES => {
            Record::Redeliveries { log: r.u32("log")?, sequence: r.unsigned("sequence")?, count: r.u32("count")? }
        }
        DISPATCHED => Record::Dispatched { log: r.u32("log")?, up_to: r.unsigned("dispatched")? },
        LOG => Record::Log { log: r.u32("log")?, definition: read_log(r)? },
        LOG_GONE => Record::LogGone { log: r.u32("log")? },
        GROUP_OWNER => Record::GroupOwner { log: r.u32("log")?, group: r.text("group")?, owner: r.text("owner")? },
        GROUP_GONE => Record::GroupGone { log: r.u32("log")?, group: r.text("group")? },
        PRODUCER => {
            let at = r.unsigned("at")?;
            Record::Producer { producer: r.producer_id()?, sequence: r.signed("producer sequence")?, at }
        }
        PRODUCER_GONE => Record::ProducerGone { producer: r.producer_id()? },
        FACT => {
            let (key, value) = (r.text("fact key")?, r.bytes("fact")?);
            if value.len() > FACT_VALUE_BYTES_MAX {
                return Err(r.impossible("fact"));
            }
            Record::Fact(Fact { key, value: Some(value) })
        }
        FACT_GONE => Record::Fact(Fact { key: r.text("fact key")?, value: None }),
        CLEAN_STOP => Record::CleanStop,
        _ => return Err(r.impossible("record kind")),
    })
}
