//! Messages, written and read. A header that has its usual value takes no byte: a bit says whether it is there.

use bytes::Bytes;
use message::properties::Limits;
use message::{BodyKind, Destination, DestinationKind, Message, MessageId, Properties};

use super::fields::{Reader, put_signed, put_slice, put_text, put_unsigned};
use super::{FormatError, Kind, open, put_producer_id, seal};

const TEXT_VIEW: u64 = 1;
const ORIGINAL_DESTINATION: u64 = 1 << 1;
const ORIGINAL_TRANSACTION: u64 = 1 << 2;
const REPLY_TO: u64 = 1 << 3;
const CORRELATION_ID: u64 = 1 << 4;
const KIND: u64 = 1 << 5;
const PERSISTENT: u64 = 1 << 6;
const PRIORITY: u64 = 1 << 7;
const EXPIRATION: u64 = 1 << 8;
const TIMESTAMP: u64 = 1 << 9;
const GROUP_ID: u64 = 1 << 10;
const GROUP_SEQUENCE: u64 = 1 << 11;
const USER_ID: u64 = 1 << 12;
const COMPRESSED: u64 = 1 << 13;
const CONTENT: u64 = 1 << 14;
const PROPERTIES: u64 = 1 << 15;
const DROPPABLE: u64 = 1 << 16;
const BROKER_IN_TIME: u64 = 1 << 17;
const REDELIVERY_COUNT: u64 = 1 << 18;
const SEQUENCE: u64 = 1 << 19;
const ALL: u64 = (1 << 20) - 1;

/// The priority that takes no byte.
const PRIORITY_USUAL: u8 = 4;
/// Maps within maps that are read back; deeper than any front door lets in.
const DEPTH_MAX: usize = 64;

/// Writes a message, which lives under `key`. All of it but [`Message::advisory`].
pub fn encode_body(key: &[u8], message: &Message) -> Vec<u8> {
    seal(Kind::Body, key, room(message), |out| put_message(out, message))
}

/// About the bytes that it takes.
pub(super) fn room(message: &Message) -> usize {
    160 + message.content.as_ref().map_or(0, Bytes::len) + message.properties.len_bytes()
}

/// Reads what [`encode_body`] wrote. The message's texts and content are slices of `value`: nothing is copied, and
/// `value` lives as long as any of them.
pub fn decode_body(key: &[u8], value: &Bytes) -> Result<Message, FormatError> {
    let mut r = open(Kind::Body, key, value)?.sharing(value);
    let message = read_message(&mut r)?;
    r.end()?;
    Ok(message)
}

pub(super) fn put_message(out: &mut Vec<u8>, m: &Message) {
    put_unsigned(out, presence(m));
    put_producer_id(out, &m.id.producer);
    put_signed(out, m.id.sequence);
    put_destination(out, &m.destination);
    out.push(m.body_kind as u8);
    let texts = [&m.id.text_view, &m.original_transaction, &m.correlation_id, &m.kind, &m.group_id, &m.user_id];
    for text in texts.into_iter().flatten() {
        put_text(out, text);
    }
    for destination in [&m.original_destination, &m.reply_to].into_iter().flatten() {
        put_destination(out, destination);
    }
    if m.priority != PRIORITY_USUAL {
        out.push(m.priority);
    }
    for time in [m.expiration, m.timestamp, m.broker_in_time].into_iter().filter(|t| *t != 0) {
        put_signed(out, time);
    }
    if m.group_sequence != 0 {
        put_signed(out, m.group_sequence.into());
    }
    if m.redelivery_count != 0 {
        put_unsigned(out, m.redelivery_count.into());
    }
    if m.sequence != 0 {
        put_unsigned(out, m.sequence);
    }
    for bytes in [m.properties.encoded(), m.content.as_ref()].into_iter().flatten() {
        put_slice(out, bytes);
    }
}

pub(super) fn read_message(r: &mut Reader<'_>) -> Result<Message, FormatError> {
    let bits = r.unsigned("presence")?;
    if bits & !ALL != 0 {
        return Err(r.impossible("presence"));
    }
    let has = |bit: u64| bits & bit != 0;
    let producer = r.producer_id()?;
    let mut m = Message::new(MessageId { producer, sequence: r.signed("id")?, text_view: None }, read_destination(r)?);
    m.body_kind = read_body_kind(r)?;
    let texts = [
        (TEXT_VIEW, &mut m.id.text_view),
        (ORIGINAL_TRANSACTION, &mut m.original_transaction),
        (CORRELATION_ID, &mut m.correlation_id),
        (KIND, &mut m.kind),
        (GROUP_ID, &mut m.group_id),
        (USER_ID, &mut m.user_id),
    ];
    for (bit, text) in texts {
        if has(bit) {
            *text = Some(r.text("text")?);
        }
    }
    for (bit, place) in [(ORIGINAL_DESTINATION, &mut m.original_destination), (REPLY_TO, &mut m.reply_to)] {
        if has(bit) {
            *place = Some(read_destination(r)?);
        }
    }
    if has(PRIORITY) {
        m.priority = r.byte()?;
    }
    let times =
        [(EXPIRATION, &mut m.expiration), (TIMESTAMP, &mut m.timestamp), (BROKER_IN_TIME, &mut m.broker_in_time)];
    for (bit, time) in times {
        if has(bit) {
            *time = r.signed("time")?;
        }
    }
    if has(GROUP_SEQUENCE) {
        m.group_sequence = r.i32("group sequence")?;
    }
    if has(REDELIVERY_COUNT) {
        m.redelivery_count = r.u32("redelivery count")?;
    }
    if has(SEQUENCE) {
        m.sequence = r.unsigned("sequence")?;
    }
    if has(PROPERTIES) {
        m.properties = read_properties(r)?;
    }
    if has(CONTENT) {
        m.content = Some(r.bytes("content")?);
    }
    m.persistent = has(PERSISTENT);
    m.compressed = has(COMPRESSED);
    m.droppable = has(DROPPABLE);
    Ok(m)
}

fn presence(m: &Message) -> u64 {
    let table = [
        (TEXT_VIEW, m.id.text_view.is_some()),
        (ORIGINAL_DESTINATION, m.original_destination.is_some()),
        (ORIGINAL_TRANSACTION, m.original_transaction.is_some()),
        (REPLY_TO, m.reply_to.is_some()),
        (CORRELATION_ID, m.correlation_id.is_some()),
        (KIND, m.kind.is_some()),
        (PERSISTENT, m.persistent),
        (PRIORITY, m.priority != PRIORITY_USUAL),
        (EXPIRATION, m.expiration != 0),
        (TIMESTAMP, m.timestamp != 0),
        (GROUP_ID, m.group_id.is_some()),
        (GROUP_SEQUENCE, m.group_sequence != 0),
        (USER_ID, m.user_id.is_some()),
        (COMPRESSED, m.compressed),
        (CONTENT, m.content.is_some()),
        (PROPERTIES, !m.properties.is_empty()),
        (DROPPABLE, m.droppable),
        (BROKER_IN_TIME, m.broker_in_time != 0),
        (REDELIVERY_COUNT, m.redelivery_count != 0),
        (SEQUENCE, m.sequence != 0),
    ];
    table.into_iter().filter(|(_, there)| *there).fold(0, |bits, (bit, _)| bits | bit)
}

fn put_destination(out: &mut Vec<u8>, destination: &Destination) {
    out.push(destination.kind as u8);
    put_text(out, &destination.name);
}

fn read_destination(r: &mut Reader<'_>) -> Result<Destination, FormatError> {
    let kind = match r.byte()? {
        0 => DestinationKind::Queue,
        1 => DestinationKind::Topic,
        2 => DestinationKind::TempQueue,
        3 => DestinationKind::TempTopic,
        _ => return Err(r.impossible("destination kind")),
    };
    Ok(Destination { kind, name: r.text("destination")? })
}

fn read_body_kind(r: &mut Reader<'_>) -> Result<BodyKind, FormatError> {
    Ok(match r.byte()? {
        0 => BodyKind::Empty,
        1 => BodyKind::Bytes,
        2 => BodyKind::Map,
        3 => BodyKind::Object,
        4 => BodyKind::Stream,
        5 => BodyKind::Text,
        6 => BodyKind::Blob,
        _ => return Err(r.impossible("body kind")),
    })
}

/// The front door has checked them against its own limits; here only the bytes that are there bound them.
fn read_properties(r: &mut Reader<'_>) -> Result<Properties, FormatError> {
    let bytes = r.bytes("properties")?;
    let have = bytes.len();
    let limits = Limits { count_max: have, depth_max: DEPTH_MAX, bytes_max: have };
    let properties = Properties::from_encoded(bytes, &limits).map_err(|_| r.impossible("properties"))?;
    if properties.len_bytes() == have { Ok(properties) } else { Err(r.impossible("properties")) }
}
