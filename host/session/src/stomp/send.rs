//! SEND: a frame becomes a message.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use message::properties::{Builder, to_modified};
use message::{BodyKind, Command, Message, MessageId, Publish, Text, Value};
use rustc_hash::FxHashSet;
use wire::stomp::Frame;

use super::{Failure, StompSession, push, refused};
use crate::Output;

/// Bodies below this are copied out of the read buffer, which they would otherwise hold on to.
const COPY_BYTES_MAX: usize = 64 * 1024;
/// Headers up to this many are compared with one another; more are looked up.
const COMPARED_MAX: usize = 24;

/// The headers that have a meaning of their own; of repeated ones the first counts.
#[derive(Default)]
struct Standard<'f> {
    destination: Option<&'f str>,
    transaction: Option<&'f str>,
    message_type: Option<&'f str>,
    content_length: Option<&'f str>,
    correlation_id: Option<&'f str>,
    expires: Option<&'f str>,
    timestamp: Option<&'f str>,
    priority: Option<&'f str>,
    kind: Option<&'f str>,
    reply_to: Option<&'f str>,
    persistent: Option<&'f str>,
    delivery_mode: Option<&'f str>,
    group_id: Option<&'f str>,
    group_sequence: Option<&'f str>,
    /// Said by the broker alone, or about the frame and not the message.
    dropped: Option<&'f str>,
}

impl<'f> Standard<'f> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'f str>> {
        Some(match name {
            "destination" => &mut self.destination,
            "transaction" => &mut self.transaction,
            "content-length" => &mut self.content_length,
            "correlation-id" | "JMSCorrelationID" => &mut self.correlation_id,
            "expires" | "JMSExpiration" => &mut self.expires,
            "timestamp" | "JMSTimestamp" => &mut self.timestamp,
            "priority" | "JMSPriority" => &mut self.priority,
            "type" | "JMSType" => &mut self.kind,
            "reply-to" | "JMSReplyTo" => &mut self.reply_to,
            "persistent" => &mut self.persistent,
            "JMSDeliveryMode" => &mut self.delivery_mode,
            "JMSXGroupID" => &mut self.group_id,
            "JMSXGroupSeq" => &mut self.group_sequence,
            "receipt"
            | "message-id"
            | "redelivered"
            | "subscription"
            | "JMSXUserID"
            | "JMSRedelivered"
            | "JMSXDeliveryCount"
            | "JMSXGroupFirstForConsumer" => &mut self.dropped,
            _ => return None,
        })
    }
}

impl StompSession {
    pub(super) fn send(&mut self, frame: &Frame, now_ms: i64, out: &mut Output) -> Result<(), Failure> {
        let mut standard = Standard::default();
        let mut properties = Properties::new(frame);
        for (name, value) in &frame.headers {
            if &**name == "amq-msg-type" {
                standard.message_type.get_or_insert(value);
            }
            match standard.slot(name) {
                Some(slot) => {
                    slot.get_or_insert(value);
                }
                None => properties.push(name, value)?,
            }
        }
        let Some(header) = standard.destination else {
            return refused("SEND received without a Destination specified!");
        };
        let transaction = self.transaction_of(standard.transaction)?;
        let body_kind = match standard.message_type {
            Some(kind) if kind.eq_ignore_ascii_case("text") => BodyKind::Text,
            Some(kind) if kind.eq_ignore_ascii_case("bytes") => BodyKind::Bytes,
            Some(kind) => return refused(format!("Unsupported message type '{kind}'")),
            None if standard.content_length.is_some() => BodyKind::Bytes,
            None => BodyKind::Text,
        };
        if let (BodyKind::Text, Some(length)) = (body_kind, standard.content_length) {
            // As in ActiveMQ, a text that came with its length leaves with it.
            properties.push("content-length", length)?;
        }
        let expiration = number("expires", standard.expires, 0)?;
        let timestamp = number("timestamp", standard.timestamp, now_ms)?;
        let priority: i32 = number("priority", standard.priority, 4)?;
        let group_sequence = number("JMSXGroupSeq", standard.group_sequence, 0)?;
        let destination = self.destinations.resolve_sent(header, out).map_err(Failure::Refused)?;
        if let Err(refusal) = self.rights.check_write(&destination, now_ms, &mut self.stats) {
            self.spoil(frame, standard.transaction, &refusal);
            return refused(&*refusal.message);
        }
        let reply_to = match standard.reply_to {
            None => None,
            Some(header) => match self.destinations.resolve(header, false, out) {
                Ok(reply_to) => Some(reply_to),
                // As in ActiveMQ, what names no destination is still passed on.
                Err(_) => {
                    properties.push("reply-to", header)?;
                    None
                }
            },
        };
        let properties = properties.builder.finish();
        let limits = &self.config.properties;
        if frame.headers.len() > limits.count_max || properties.len_bytes() > limits.bytes_max {
            self.stats.limit_hit = Some("properties");
            let (count, bytes) = (limits.count_max, limits.bytes_max);
            return refused(format!("message has more than {count} properties or {bytes} bytes of them"));
        }

        self.sequence += 1;
        let id = MessageId { producer: self.producer.clone(), sequence: self.sequence, text_view: None };
        let packed = Packed::new(body_kind, &frame.body, [standard.correlation_id, standard.kind, standard.group_id]);
        let [correlation_id, kind, group_id] = packed.texts;
        let mut message = Message {
            reply_to,
            correlation_id,
            kind,
            persistent: match standard.persistent {
                Some(value) => value == "true",
                None => {
                    standard.delivery_mode.is_some_and(|mode| mode == "2" || mode.eq_ignore_ascii_case("PERSISTENT"))
                }
            },
            priority: priority.clamp(0, 9) as u8,
            expiration,
            timestamp,
            group_id,
            group_sequence,
            body_kind,
            content: packed.content,
            properties,
            ..Message::new(id, destination)
        };
        self.rights.stamp(&mut message.user_id);
        self.stats.messages_in += 1;
        let receipt = self.receipt(frame);
        push(out, Command::Publish(Publish { message: Arc::new(message), transaction, receipt, window_bytes: None }));
        Ok(())
    }
}

fn number<N: std::str::FromStr>(name: &str, value: Option<&str>, default: N) -> Result<N, Failure> {
    match value {
        None => Ok(default),
        Some(value) => match value.trim().parse() {
            Ok(number) => Ok(number),
            Err(_) => refused(format!("{name} is [{value}], which is no number of the right size")),
        },
    }
}

/// Collects application properties; of repeated ones the first counts.
struct Properties<'f> {
    builder: Builder,
    few: Vec<&'f str>,
    /// Used in place of `few` when there are many.
    many: Option<FxHashSet<&'f str>>,
}

impl<'f> Properties<'f> {
    fn new(frame: &Frame) -> Properties<'f> {
        let many = (frame.headers.len() > COMPARED_MAX).then(FxHashSet::default);
        Properties { builder: Builder::new(), few: Vec::new(), many }
    }

    fn push(&mut self, name: &'f str, value: &'f str) -> Result<(), Failure> {
        let new = match &mut self.many {
            Some(names) => names.insert(name),
            None if self.few.contains(&name) => false,
            None => {
                self.few.push(name);
                true
            }
        };
        if new {
            let value = typed(name, value)?;
            self.builder.push(name, &value);
        }
        Ok(())
    }
}

/// A header as a property: text, but for the scheduler's numbers.
fn typed<'v>(name: &str, value: &'v str) -> Result<Value<'v>, Failure> {
    let value = match name {
        "AMQ_SCHEDULED_DELAY" | "AMQ_SCHEDULED_PERIOD" => Value::Long(number(name, Some(value), 0)?),
        "AMQ_SCHEDULED_REPEAT" => Value::Int(number(name, Some(value), 0)?),
        _ => return Ok(Value::Text(value.into())),
    };
    match value {
        Value::Long(..0) | Value::Int(..0) => refused(format!("{name} must not be a negative value")),
        value => Ok(value),
    }
}

/// The body and the short texts of a message in one piece of memory.
struct Packed {
    content: Option<Bytes>,
    texts: [Option<Text>; 3],
}

impl Packed {
    fn new(kind: BodyKind, body: &Bytes, texts: [Option<&str>; 3]) -> Packed {
        let texts_bytes: usize = texts.iter().flatten().map(|text| text.len()).sum();
        let mut out = BytesMut::new();
        let mut whole = None;
        match kind {
            BodyKind::Text => {
                // What is no UTF-8 reads as U+FFFD, as Java does it.
                let text = String::from_utf8_lossy(body);
                let text = to_modified(&text);
                out.reserve(4 + text.len() + texts_bytes);
                out.put_i32(text.len() as i32);
                out.put_slice(&text);
            }
            _ if body.len() < COPY_BYTES_MAX => {
                out.reserve(body.len() + texts_bytes);
                out.put_slice(body);
            }
            _ => whole = Some(body.clone()),
        }
        let content_end = out.len();
        let ranges: [Option<Range<usize>>; 3] = texts.map(|text| {
            let start = out.len();
            out.put_slice(text?.as_bytes());
            Some(start..out.len())
        });
        let all = out.freeze();
        let content = whole.or_else(|| (content_end > 0).then(|| all.slice(..content_end)));
        let texts = ranges.map(|range| {
            let range = range?;
            if range.is_empty() {
                return Some(Text::new());
            }
            Some(Text::try_from(all.slice(range)).expect("these bytes were text a moment ago"))
        });
        Packed { content, texts }
    }
}
