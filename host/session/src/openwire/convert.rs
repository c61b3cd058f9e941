//! Messages, ids and destinations between the wire's words and the house's.

use message::properties::{Builder, Limits};
use message::{BodyKind, Destination, DestinationKind, Message, MessageId, ProducerId, Properties, Text, Value};
use message::{Refusal, RefusalKind};
use wire::openwire::{self, Blob, ConnectionId, LocalTransactionId, MessageKind, TransactionId};

use super::replies::Failure;
use super::send::Memory;

pub(super) fn kind(kind: openwire::DestinationKind) -> DestinationKind {
    match kind {
        openwire::DestinationKind::Queue => DestinationKind::Queue,
        openwire::DestinationKind::Topic => DestinationKind::Topic,
        openwire::DestinationKind::TempQueue => DestinationKind::TempQueue,
        openwire::DestinationKind::TempTopic => DestinationKind::TempTopic,
    }
}

pub(super) fn destination(given: openwire::Destination) -> Destination {
    Destination { kind: kind(given.kind), name: given.name }
}

pub(super) fn destination_out(destination: &Destination) -> openwire::Destination {
    let kind = match destination.kind {
        DestinationKind::Queue => openwire::DestinationKind::Queue,
        DestinationKind::Topic => openwire::DestinationKind::Topic,
        DestinationKind::TempQueue => openwire::DestinationKind::TempQueue,
        DestinationKind::TempTopic => openwire::DestinationKind::TempTopic,
    };
    openwire::Destination { kind, name: destination.name.clone() }
}

pub(super) fn producer_out(producer: &ProducerId) -> openwire::ProducerId {
    openwire::ProducerId { connection: producer.connection.clone(), session: producer.session, value: producer.value }
}

/// A message as the broker keeps it. Nothing but properties is looked into.
pub(super) fn message(sent: openwire::Message, limits: &Limits, memory: &mut Memory) -> Result<Message, Failure> {
    let Some(id) = sent.message_id else { return Err(Failure::illegal("the message carries no id")) };
    let Some(destination_in) = sent.destination else {
        let text = "the message names no destination";
        return Err(Refusal::new(RefusalKind::InvalidDestination, text).into());
    };
    let properties = match sent.properties {
        None => Properties::default(),
        Some(bytes) => Properties::from_encoded(bytes, limits)
            .map_err(|error| Failure::message_format(format!("message properties are refused: {error}")))?,
    };
    let producer = memory.producer(id.producer);
    let id = MessageId { producer, sequence: id.sequence, text_view: id.text_view };
    let mut message = Message::new(id, memory.destination(destination_in));
    message.original_destination = sent.original_destination.map(destination);
    message.original_transaction = sent.original_transaction_id.as_ref().map(transaction_text);
    message.reply_to = sent.reply_to.map(destination);
    message.correlation_id = sent.correlation_id;
    message.kind = sent.message_type;
    message.persistent = sent.persistent;
    message.priority = if sent.priority > 0x7f { 0 } else { sent.priority.min(9) };
    message.expiration = sent.expiration_ms.max(0);
    message.timestamp = sent.timestamp_ms;
    message.group_id = sent.group_id;
    message.group_sequence = sent.group_sequence;
    message.user_id = sent.user_id;
    message.compressed = sent.compressed;
    message.content = sent.content;
    message.properties = properties;
    message.droppable = sent.droppable;
    message.redelivery_count = sent.redelivery_counter.max(0) as u32;
    message.body_kind = match sent.kind {
        MessageKind::Plain => BodyKind::Empty,
        MessageKind::Bytes => BodyKind::Bytes,
        MessageKind::Map => BodyKind::Map,
        MessageKind::Object => BodyKind::Object,
        MessageKind::Stream => BodyKind::Stream,
        MessageKind::Text => BodyKind::Text,
        MessageKind::Blob(blob) => {
            message.content = blob_content(&blob);
            BodyKind::Blob
        }
    };
    Ok(message)
}

/// A message as clients get it. `broker_sequence` comes back in `RemoveInfo` (row L13).
pub(super) fn message_out(message: &Message, redeliveries: u32, now_ms: i64) -> openwire::Message {
    let producer = producer_out(&message.id.producer);
    let message_id = openwire::MessageId {
        text_view: message.id.text_view.clone(),
        producer: producer.clone(),
        sequence: message.id.sequence,
        broker_sequence: message.sequence as i64,
    };
    let (kind, content) = match message.body_kind {
        BodyKind::Empty => (MessageKind::Plain, message.content.clone()),
        BodyKind::Bytes => (MessageKind::Bytes, message.content.clone()),
        BodyKind::Map => (MessageKind::Map, message.content.clone()),
        BodyKind::Object => (MessageKind::Object, message.content.clone()),
        BodyKind::Stream => (MessageKind::Stream, message.content.clone()),
        BodyKind::Text => (MessageKind::Text, message.content.clone()),
        BodyKind::Blob => (MessageKind::Blob(Box::new(blob_of(message))), None),
    };
    openwire::Message {
        producer_id: Some(producer),
        destination: Some(destination_out(&message.destination)),
        original_destination: message.original_destination.as_ref().map(destination_out),
        message_id: Some(message_id),
        original_transaction_id: message.original_transaction.as_ref().and_then(transaction_of),
        group_id: message.group_id.clone(),
        group_sequence: message.group_sequence,
        correlation_id: message.correlation_id.clone(),
        persistent: message.persistent,
        expiration_ms: message.expiration,
        priority: message.priority,
        reply_to: message.reply_to.as_ref().map(destination_out),
        timestamp_ms: message.timestamp,
        message_type: message.kind.clone(),
        content,
        properties: message.properties.encoded().cloned(),
        compressed: message.compressed,
        redelivery_counter: i32::try_from(redeliveries).unwrap_or(i32::MAX),
        arrival_ms: message.broker_in_time,
        user_id: message.user_id.clone(),
        droppable: message.droppable,
        broker_in_time_ms: message.broker_in_time,
        broker_out_time_ms: now_ms,
        kind,
        ..openwire::Message::default()
    }
}

/// Where a blob is, in the encoding of properties.
fn blob_content(blob: &Blob) -> Option<bytes::Bytes> {
    let mut fields = Builder::new();
    if let Some(url) = &blob.remote_url {
        fields.push("url", &Value::Text((&**url).into()));
    }
    if let Some(mime_type) = &blob.mime_type {
        fields.push("type", &Value::Text((&**mime_type).into()));
    }
    fields.push("delete", &Value::Bool(blob.deleted_by_broker));
    fields.finish().encoded().cloned()
}

fn blob_of(message: &Message) -> Blob {
    let content = message.content.clone().unwrap_or_default();
    let fields = Properties::from_encoded(content, &Limits::default()).unwrap_or_default();
    let text = |name| match fields.get(name) {
        Some(Value::Text(text)) => Some(Text::from(text.into_owned())),
        _ => None,
    };
    Blob {
        remote_url: text("url"),
        mime_type: text("type"),
        deleted_by_broker: fields.get("delete") == Some(Value::Bool(true)),
    }
}

/// A transaction as `JMSXProducerTXID` shows it.
fn transaction_text(id: &TransactionId) -> Text {
    match id {
        TransactionId::Local(local) => format!("TX:{}:{}", local.connection.value, local.value).into(),
        TransactionId::Xa(xa) => {
            let (global, branch) = (hex(&xa.global_transaction_id), hex(&xa.branch_qualifier));
            format!("XID:[{},globalId={global},branchId={branch}]", xa.format_id).into()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text read back; none for what is no local transaction.
fn transaction_of(text: &Text) -> Option<TransactionId> {
    let (connection, value) = text.strip_prefix("TX:")?.rsplit_once(':')?;
    let value = value.parse().ok()?;
    let connection = ConnectionId { value: text.slice_ref(connection) };
    Some(TransactionId::Local(LocalTransactionId { value, connection }))
}
