//! MESSAGE: a message becomes a frame.

use std::fmt::Write;
use std::io::Read;

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use message::properties::content_text;
use message::{Ack, AckKind, BodyKind, Delivery, Message, SubscriptionKey, Value};
use wire::stomp::{Command, FrameWriter, Version};

use super::destination::Destinations;
use super::subscription::{AckMode, Held, Subscription, write_ack_id};
use super::{StompSession, push};
use crate::Output;

impl StompSession {
    pub(super) fn deliver(&mut self, delivery: Delivery, out: &mut Output) {
        match self.subscriptions.get_mut(&delivery.subscription) {
            // It crossed an UNSUBSCRIBE; its bytes must not stay in the window.
            None => out.delivered_bytes += delivery.message.size_bytes() as u64,
            Some(Subscription { parked: Some(parked), .. }) => parked.push(delivery),
            Some(_) => self.write_delivery(&delivery, out),
        }
    }

    /// SUBSCRIBE was answered: what came meanwhile goes out.
    pub(super) fn unpark(&mut self, key: SubscriptionKey, out: &mut Output) {
        let parked = self.subscriptions.get_mut(&key).and_then(|subscription| subscription.parked.take());
        for delivery in parked.into_iter().flatten() {
            self.write_delivery(&delivery, out);
        }
    }

    fn write_delivery(&mut self, delivery: &Delivery, out: &mut Output) {
        let Some(subscription) = self.subscriptions.get_mut(&delivery.subscription) else { return };
        if subscription.ack != AckMode::Auto {
            let message = (self.version != Version::V1_2).then(|| delivery.message.id.clone());
            subscription.held.push_back(Held { tag: delivery.tag, message });
        } else if subscription.browser {
            let (subscription, tag) = (subscription.key, delivery.tag);
            let kind = AckKind::Standard;
            let ack = Ack { subscription, kind, first: tag, last: tag, transaction: None, cause: None, receipt: None };
            push(out, message::Command::Ack(ack));
        }
        let mut writer = FrameWriter::new(&Command::Message, self.version, &mut out.bytes);
        let mut frame = MessageFrame {
            writer: &mut writer,
            scratch: &mut self.scratch,
            destinations: &self.destinations,
            subscription,
        };
        if self.version == Version::V1_2 {
            frame.ack(delivery.tag);
        }
        frame.headers(&delivery.message, delivery.redeliveries);
        if delivery.group_first {
            frame.writer.header("JMSXGroupFirstForConsumer", "true");
        }
        let body = frame.body(&delivery.message, self.config.frame_bytes_max);
        writer.finish(&body);
        self.stats.frames_out += 1;
        self.stats.messages_out += 1;
        out.delivered_bytes += delivery.message.size_bytes() as u64;
    }

    /// A browser has seen all there was.
    pub(super) fn browse_end(&mut self, key: SubscriptionKey, out: &mut Output) {
        self.unpark(key, out);
        let Some(subscription) = self.subscriptions.get(&key) else { return };
        let mut name = String::new();
        self.destinations.spell(&subscription.destination, &mut name);
        let id = subscription.id.clone();
        self.write(&Command::Message, out, |writer| {
            if let Some(id) = id {
                writer.header("subscription", &id);
            }
            writer.header("browser", "end");
            writer.header("destination", &name);
            writer.header("message-id", "0");
            ""
        });
    }
}

/// One MESSAGE while it is written.
struct MessageFrame<'f, 'o> {
    writer: &'f mut FrameWriter<'o>,
    scratch: &'f mut String,
    destinations: &'f Destinations,
    subscription: &'f mut Subscription,
}

impl MessageFrame<'_, '_> {
    fn ack(&mut self, tag: u64) {
        if self.subscription.ack != AckMode::Auto {
            self.scratch.clear();
            write_ack_id(self.subscription.key, tag, self.scratch);
            self.writer.header("ack", self.scratch);
        }
    }

    fn headers(&mut self, message: &Message, redeliveries: u32) {
        if let Some(id) = &self.subscription.id {
            self.writer.header("subscription", id);
        }
        self.destination(message);
        self.scratch.clear();
        // Writing to a string does not fail.
        let _ = write!(self.scratch, "{}", message.id);
        self.writer.header("message-id", self.scratch);
        if let Some(id) = &message.correlation_id {
            self.writer.header("correlation-id", id);
        }
        self.writer.header_number("expires", message.expiration);
        if redeliveries > 0 {
            self.writer.header("redelivered", "true");
        }
        self.writer.header_number("priority", message.priority.into());
        self.spelled("reply-to", message.reply_to.as_ref());
        self.writer.header_number("timestamp", message.timestamp);
        if let Some(kind) = &message.kind {
            self.writer.header("type", kind);
        }
        if let Some(user) = &message.user_id {
            self.writer.header("JMSXUserID", user);
        }
        self.spelled("original-destination", message.original_destination.as_ref());
        if message.persistent {
            self.writer.header("persistent", "true");
        }
        if let Some(group) = &message.group_id {
            self.writer.header("JMSXGroupID", group);
            self.writer.header_number("JMSXGroupSeq", message.group_sequence.into());
        }
        let wish = self.transformation(message);
        for (name, value) in message.properties.iter() {
            let replaced = (wish && name == "transformation") || (self.subscription.browser && name == "browser");
            if name == "content-length" {
                self.writer.content_length();
            } else if !replaced && !is_ours(&name) {
                property(self.writer, &name, &value);
            }
        }
    }

    /// Most subscriptions see one destination, so its spelling is kept.
    fn destination(&mut self, message: &Message) {
        if let Some((last, spelled)) = &self.subscription.spelled
            && *last == message.destination
        {
            self.writer.header("destination", spelled);
            return;
        }
        let mut spelled = String::new();
        self.destinations.spell(&message.destination, &mut spelled);
        self.writer.header("destination", &spelled);
        self.subscription.spelled = Some((message.destination.clone(), spelled));
    }

    fn spelled(&mut self, name: &str, destination: Option<&message::Destination>) {
        if let Some(destination) = destination {
            self.scratch.clear();
            self.destinations.spell(destination, self.scratch);
            self.writer.header(name, self.scratch);
        }
    }

    /// Says what became of the subscription's wish to have bodies as text; true when the header was written.
    fn transformation(&mut self, message: &Message) -> bool {
        if message.advisory.is_some() {
            self.writer.header("transformation", "jms-advisory-json");
            return true;
        }
        match &self.subscription.transformation {
            Some(wish) if message.body_kind != BodyKind::Bytes => {
                self.writer.header("transformation", wish);
                if matches!(message.body_kind, BodyKind::Map | BodyKind::Object | BodyKind::Stream) {
                    self.writer.header("transformation-error", "bodies of this kind are not turned into text");
                }
                true
            }
            _ => false,
        }
    }

    /// The body as bytes. Maps, streams and objects have none for STOMP clients, as in ActiveMQ.
    fn body(&mut self, message: &Message, limit: usize) -> Bytes {
        if let Some(advisory) = &message.advisory {
            let mut text = String::new();
            super::advisory::write(advisory, &mut text);
            return text.into();
        }
        let body = match message.body_kind {
            BodyKind::Bytes => {
                self.writer.content_length();
                plain(message, limit)
            }
            BodyKind::Text => plain(message, limit).and_then(|content| match content.is_empty() {
                true => Ok(content),
                false => content_text(&content).map(|text| text.into_bytes()).ok_or("body is not valid text"),
            }),
            _ => Ok(Bytes::new()),
        };
        body.unwrap_or_else(|error| {
            self.writer.header("transformation-error", error);
            Bytes::new()
        })
    }
}

/// Headers that this broker says itself; a property of such a name would contradict them.
fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "ack"
            | "correlation-id"
            | "destination"
            | "expires"
            | "message-id"
            | "persistent"
            | "priority"
            | "receipt"
            | "redelivered"
            | "subscription"
            | "timestamp"
            | "transaction"
            | "type"
            | "original-destination"
            | "JMSXUserID"
            | "JMSXGroupID"
            | "JMSXGroupSeq"
            | "JMSXGroupFirstForConsumer"
    )
}

fn property(writer: &mut FrameWriter<'_>, name: &str, value: &Value<'_>) {
    match value {
        Value::Byte(v) => writer.header_number(name, (*v).into()),
        Value::Short(v) => writer.header_number(name, (*v).into()),
        Value::Int(v) => writer.header_number(name, (*v).into()),
        Value::Long(v) => writer.header_number(name, *v),
        // With a fraction, as Java writes it.
        Value::Double(v) => writer.header(name, &format!("{v:?}")),
        Value::Float(v) => writer.header(name, &format!("{v:?}")),
        other => {
            if let Some(text) = other.to_text() {
                writer.header(name, &text);
            }
        }
    }
}

/// The body as it was before a client deflated it; refused when longer than `limit`.
fn plain(message: &Message, limit: usize) -> Result<Bytes, &'static str> {
    let Some(content) = &message.content else { return Ok(Bytes::new()) };
    if !message.compressed || content.is_empty() {
        return Ok(content.clone());
    }
    let deflated = match message.body_kind {
        // The length of what follows, for Java's reader.
        BodyKind::Bytes => content.get(4..).ok_or("compressed body is too short")?,
        _ => content,
    };
    let mut plain = Vec::new();
    let most = (limit as u64).saturating_add(1);
    ZlibDecoder::new(deflated).take(most).read_to_end(&mut plain).map_err(|_| "compressed body is broken")?;
    if plain.len() > limit {
        return Err("compressed body is longer than a frame may be");
    }
    Ok(plain.into())
}
