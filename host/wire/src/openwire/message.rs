//! Messages, their dispatch and their acknowledgement: the commands that must be cheap.

use bytes::Bytes;
use bytestring::ByteString;

use super::Error;
use super::command::Command;
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::fields::{Header, Nested, Throwable, fields};
use super::ids::{BrokerId, ConsumerId, Destination, MessageId, ProducerId, TransactionId};

/// What the body of a message is; the body itself is never looked at here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MessageKind {
    /// No body (23).
    #[default]
    Plain,
    /// Bytes (24).
    Bytes,
    /// A map of primitives (25).
    Map,
    /// A serialized Java object (26).
    Object,
    /// A row of primitives (27).
    Stream,
    /// A text (28).
    Text,
    /// A reference to a file elsewhere (29); since version 3.
    Blob(Box<Blob>),
}

/// The file that a blob message stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob {
    /// URL of the file.
    pub remote_url: Option<ByteString>,
    /// Its MIME type.
    pub mime_type: Option<ByteString>,
    /// The broker deletes the file with the message.
    pub deleted_by_broker: bool,
}

/// A message of any kind (23 to 29). Cloning copies no text and no body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// Command id and wish for an answer.
    pub header: Header,
    /// Who sends it.
    pub producer_id: Option<ProducerId>,
    /// Where it goes.
    pub destination: Option<Destination>,
    /// The transaction that it belongs to.
    pub transaction_id: Option<TransactionId>,
    /// Where it went at first, when it was moved or forwarded.
    pub original_destination: Option<Destination>,
    /// Its id.
    pub message_id: Option<MessageId>,
    /// The transaction of the first broker, when it was forwarded.
    pub original_transaction_id: Option<TransactionId>,
    /// Message group.
    pub group_id: Option<ByteString>,
    /// Place in the group; -1 closes it.
    pub group_sequence: i32,
    /// JMS correlation id.
    pub correlation_id: Option<ByteString>,
    /// Survives a restart of the broker.
    pub persistent: bool,
    /// Milliseconds since 1970 after which it is void; 0 is never.
    pub expiration_ms: i64,
    /// 0 to 9 by the JMS rules; not checked here.
    pub priority: u8,
    /// Where answers go.
    pub reply_to: Option<Destination>,
    /// Milliseconds since 1970 when it was sent.
    pub timestamp_ms: i64,
    /// JMS type.
    pub message_type: Option<ByteString>,
    /// The body, deflated if `compressed` (W38).
    pub content: Option<Bytes>,
    /// The properties as a marshalled map, untouched.
    pub properties: Option<Bytes>,
    /// The command that an advisory message tells about.
    pub data_structure: Option<Box<Command>>,
    /// The one consumer that an advisory is for.
    pub target_consumer_id: Option<ConsumerId>,
    /// The body is deflated.
    pub compressed: bool,
    /// Deliveries that failed.
    pub redelivery_counter: i32,
    /// Brokers passed so far.
    pub broker_path: Option<Vec<BrokerId>>,
    /// Milliseconds since 1970 when the broker got it.
    pub arrival_ms: i64,
    /// User that sent it, set by the broker if so configured.
    pub user_id: Option<ByteString>,
    /// Came over a bridge that delivers it only once.
    pub received_by_df_bridge: bool,
    /// May be dropped for a slow consumer; since version 2.
    pub droppable: bool,
    /// Brokers of the cluster that have it; since version 3.
    pub cluster: Option<Vec<BrokerId>>,
    /// Milliseconds since 1970 when it came to the broker; since version 3.
    pub broker_in_time_ms: i64,
    /// Milliseconds since 1970 when it left the broker; since version 3.
    pub broker_out_time_ms: i64,
    /// First of its group for this consumer; since version 10.
    pub group_first_for_consumer: bool,
    /// What the body is; chooses the data type.
    pub kind: MessageKind,
}

/// A message for a consumer (21); without a message it ends a pull or a browse (W31, W37).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessageDispatch {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The consumer.
    pub consumer_id: Option<ConsumerId>,
    /// The destination that the consumer listens to.
    pub destination: Option<Destination>,
    /// The message.
    pub message: Option<Box<Message>>,
    /// Deliveries that failed.
    pub redelivery_counter: i32,
}

/// A `MessageDispatch` (21) to be written, with everything borrowed: one message goes to many consumers uncopied.
#[derive(Debug, Clone, Copy)]
pub struct Dispatch<'a> {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The consumer.
    pub consumer_id: &'a ConsumerId,
    /// The destination that the consumer listens to.
    pub destination: &'a Destination,
    /// The message; none ends a pull or a browse.
    pub message: Option<&'a Message>,
    /// Deliveries that failed.
    pub redelivery_counter: i32,
}

/// A consumer acknowledges messages (22, W27).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageAck {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The destination.
    pub destination: Option<Destination>,
    /// The transaction that the acknowledgement belongs to.
    pub transaction_id: Option<TransactionId>,
    /// The consumer.
    pub consumer_id: Option<ConsumerId>,
    /// DELIVERED 0, POISON 1, STANDARD 2, REDELIVERED 3, INDIVIDUAL 4, UNMATCHED 5, EXPIRED 6.
    pub ack_type: u8,
    /// First message of the range.
    pub first_message_id: Option<MessageId>,
    /// Last message of the range.
    pub last_message_id: Option<MessageId>,
    /// Messages in the range.
    pub message_count: i32,
    /// Why messages are poison; since version 7.
    pub poison_cause: Option<Throwable>,
}

/// A message was dispatched elsewhere (90): from a master to its slave, unused today.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageDispatchNotification {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The consumer.
    pub consumer_id: Option<ConsumerId>,
    /// The destination.
    pub destination: Option<Destination>,
    /// Number of the delivery.
    pub delivery_sequence_id: i64,
    /// The message.
    pub message_id: Option<MessageId>,
}

fields!(Message {
    header: header,
    producer_id: cached,
    destination: cached,
    transaction_id: cached,
    original_destination: cached,
    message_id: nested,
    original_transaction_id: cached,
    group_id: string,
    group_sequence: int,
    correlation_id: string,
    persistent: boolean,
    expiration_ms: long,
    priority: byte,
    reply_to: nested,
    timestamp_ms: long,
    message_type: string,
    content: bytes,
    properties: bytes,
    data_structure: boxed,
    target_consumer_id: cached,
    compressed: boolean,
    redelivery_counter: int,
    broker_path: array,
    arrival_ms: long,
    user_id: string,
    received_by_df_bridge: boolean,
    droppable: boolean since 2,
    cluster: array since 3,
    broker_in_time_ms: long since 3,
    broker_out_time_ms: long since 3,
    group_first_for_consumer: boolean since 10,
    ; kind
});
fields!(Blob { remote_url: string, mime_type: string, deleted_by_broker: boolean });
fields!(MessageDispatch = 21 {
    header: header,
    consumer_id: cached,
    destination: cached,
    message: boxed,
    redelivery_counter: int,
});
fields!(MessageAck = 22 {
    header: header,
    destination: cached,
    transaction_id: cached,
    consumer_id: cached,
    ack_type: byte,
    first_message_id: nested,
    last_message_id: nested,
    message_count: int,
    poison_cause: throwable since 7,
});
fields!(MessageDispatchNotification = 90 {
    header: header,
    consumer_id: cached,
    destination: cached,
    delivery_sequence_id: long,
    message_id: nested,
});

impl Nested for Message {
    fn data_type(&self) -> u8 {
        match self.kind {
            MessageKind::Plain => 23,
            MessageKind::Bytes => 24,
            MessageKind::Map => 25,
            MessageKind::Object => 26,
            MessageKind::Stream => 27,
            MessageKind::Text => 28,
            MessageKind::Blob(_) => 29,
        }
    }

    fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error> {
        let kind = match data_type {
            23 => MessageKind::Plain,
            24 => MessageKind::Bytes,
            25 => MessageKind::Map,
            26 => MessageKind::Object,
            27 => MessageKind::Stream,
            28 => MessageKind::Text,
            29 => MessageKind::Blob(Box::default()),
            _ => return decoder.unexpected(data_type),
        };
        let mut message = Self::read_fields(decoder)?;
        message.kind = kind;
        if let MessageKind::Blob(blob) = &mut message.kind {
            **blob = Blob::read_fields(decoder)?;
        }
        Ok(message)
    }

    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        self.write_fields(encoder)?;
        match &self.kind {
            MessageKind::Blob(blob) => blob.write_fields(encoder),
            _ => Ok(()),
        }
    }
}

impl Dispatch<'_> {
    /// The fields of [`MessageDispatch`], in its order.
    pub(super) fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        encoder.header(&self.header)?;
        encoder.cached_ref(Some(self.consumer_id))?;
        encoder.cached_ref(Some(self.destination))?;
        encoder.nested_ref(self.message)?;
        encoder.int(&self.redelivery_counter)
    }
}
