//! A message as the broker holds it, whatever protocol brought it.

use bytes::Bytes;

use crate::{Destination, MessageId, ProducerId, Properties, Text};

/// What the body is. The broker never looks inside; protocols convert at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// No body: properties only.
    Empty,
    /// Raw bytes.
    Bytes,
    /// A name-value map in the property-map encoding.
    Map,
    /// A serialised object of the client's language; opaque.
    Object,
    /// A sequence of typed values in the property-map encoding.
    Stream,
    /// Text: 4-byte big-endian length, then UTF-8.
    Text,
    /// A reference to a body kept elsewhere (row X14).
    Blob,
}

/// One message. Immutable once the broker machine has stamped it; shared by reference from then on, so that no body is
/// ever copied but into a socket's buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its identity; stays the same on every broker it crosses.
    pub id: MessageId,
    /// Where it is: the queue or topic it was taken from. Never a composite once the broker has routed it.
    pub destination: Destination,
    /// Where the sender addressed it when that differs (dead letters, composites).
    pub original_destination: Option<Destination>,
    /// The transaction that sent it, as text (JMSXProducerTXID).
    pub original_transaction: Option<Text>,
    /// Where answers go.
    pub reply_to: Option<Destination>,
    /// JMSCorrelationID.
    pub correlation_id: Option<Text>,
    /// JMSType.
    pub kind: Option<Text>,
    /// Whether a confirmed send survives a crash.
    pub persistent: bool,
    /// 0 to 9; 4 is normal.
    pub priority: u8,
    /// Milliseconds since 1970 after which it is dead; 0 means never.
    pub expiration: i64,
    /// When the client sent it, milliseconds since 1970.
    pub timestamp: i64,
    /// JMSXGroupID.
    pub group_id: Option<Text>,
    /// JMSXGroupSeq; negative closes the group.
    pub group_sequence: i32,
    /// JMSXUserID, set by the broker where configured.
    pub user_id: Option<Text>,
    /// What the body is.
    pub body_kind: BodyKind,
    /// The body is deflated; it is passed on untouched (row W38).
    pub compressed: bool,
    /// The body; `None` for an empty one.
    pub content: Option<Bytes>,
    /// Application properties.
    pub properties: Properties,
    /// May be thrown away under pressure (row W08).
    pub droppable: bool,
    /// When the broker took it, milliseconds since 1970 (JMSActiveMQBrokerInTime); 0 until stamped.
    pub broker_in_time: i64,
    /// Deliveries that failed before this broker took the message.
    pub redelivery_count: u32,
    /// What an advisory says; `None` on all other messages. Never stored.
    pub advisory: Option<Box<Advisory>>,
    /// Broker sequence (see [`crate::Sequence`]); 0 until stamped.
    pub sequence: u64,
}

/// The subject of an advisory (rows E01, E02), as values that each protocol renders its own way.
#[derive(Clone, Debug, PartialEq)]
pub enum Advisory {
    /// A destination came or went.
    Destination {
        /// The destination.
        destination: Destination,
        /// Connection id of its owner.
        connection: Text,
        /// False when it came, true when it went.
        removed: bool,
    },
    /// A connection came.
    ConnectionAdded {
        /// Its id.
        connection: Text,
        /// Its client id.
        client_id: Option<Text>,
        /// Who logged in.
        user: Option<Text>,
        /// Address of the peer.
        remote: Text,
    },
    /// A connection went.
    ConnectionRemoved {
        /// Its id.
        connection: Text,
    },
    /// A consumer came.
    ConsumerAdded {
        /// Its id: connection, session, value.
        consumer: ProducerId,
        /// What it consumes.
        destination: Destination,
        /// Its selector.
        selector: Option<Text>,
        /// Its prefetch, in messages.
        prefetch: u32,
        /// Name of the durable subscription.
        durable_name: Option<Text>,
        /// Whether it is a queue browser.
        browser: bool,
        /// Its priority.
        priority: i8,
        /// Whether it is exclusive.
        exclusive: bool,
        /// Whether it refuses messages of its own connection.
        no_local: bool,
        /// Client id of its connection.
        client_id: Option<Text>,
    },
    /// A consumer went.
    ConsumerRemoved {
        /// Its id.
        consumer: ProducerId,
    },
    /// A producer came.
    ProducerAdded {
        /// Its id.
        producer: ProducerId,
        /// Where it sends; `None` for one that names the destination with each message.
        destination: Option<Destination>,
    },
    /// A producer went.
    ProducerRemoved {
        /// Its id.
        producer: ProducerId,
    },
    /// The broker is master: it serves (row M15).
    MasterBroker,
    /// A message expired, was dead-lettered or found no consumer: the message itself.
    Message(Box<Message>),
}

impl Message {
    /// Weight of headers and bookkeeping that the memory limits add to body and properties (row P09).
    pub const OVERHEAD_BYTES: usize = 1024;

    /// A message without a body; the caller fills the rest.
    pub fn new(id: MessageId, destination: Destination) -> Message {
        Message {
            id,
            destination,
            original_destination: None,
            original_transaction: None,
            reply_to: None,
            correlation_id: None,
            kind: None,
            persistent: false,
            priority: 4,
            expiration: 0,
            timestamp: 0,
            group_id: None,
            group_sequence: 0,
            user_id: None,
            body_kind: BodyKind::Empty,
            compressed: false,
            content: None,
            properties: Properties::default(),
            droppable: false,
            broker_in_time: 0,
            redelivery_count: 0,
            advisory: None,
            sequence: 0,
        }
    }

    /// What the memory limits count for this message, in bytes.
    pub fn size_bytes(&self) -> usize {
        Self::OVERHEAD_BYTES + self.content.as_ref().map_or(0, Bytes::len) + self.properties.len_bytes()
    }

    /// Whether `now_ms` is past its expiration.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expiration > 0 && now_ms > self.expiration
    }
}

/// The view of a message that a selector has: JMS headers, JMSX properties (row C12), then application properties.
pub struct SelectorView<'a> {
    message: &'a Message,
    redeliveries: u32,
}

impl Message {
    /// What a selector sees. `redeliveries` counts failed deliveries so far.
    pub fn selector_view(&self, redeliveries: u32) -> SelectorView<'_> {
        SelectorView { message: self, redeliveries }
    }

    /// Whether `selector` takes this message.
    pub fn matches(&self, selector: &selector::Selector, redeliveries: u32) -> bool {
        selector.matches(&self.selector_view(redeliveries))
    }

    /// One header or property by the name a selector uses.
    pub fn selector_value(&self, name: &str) -> Option<selector::Value<'_>> {
        SelectorView { message: self, redeliveries: 0 }.lookup(name)
    }
}

impl<'a> SelectorView<'a> {
    fn lookup(&self, name: &str) -> Option<selector::Value<'a>> {
        use selector::Value;
        let m = self.message;
        if !name.starts_with("JMS") {
            return m.properties.get(name).and_then(crate::Value::into_selector);
        }
        fn text(t: &Option<Text>) -> Option<Value<'_>> {
            t.as_deref().map(Value::Str)
        }
        match name {
            "JMSType" => text(&m.kind),
            "JMSCorrelationID" => text(&m.correlation_id),
            "JMSMessageID" => Some(Value::Owned(m.id.to_string().into())),
            "JMSPriority" => Some(Value::Int(m.priority.into())),
            "JMSTimestamp" => Some(Value::Int(m.timestamp)),
            "JMSExpiration" => Some(Value::Int(m.expiration)),
            "JMSDeliveryMode" => Some(Value::Str(if m.persistent { "PERSISTENT" } else { "NON_PERSISTENT" })),
            "JMSRedelivered" => Some(Value::Bool(self.redeliveries > 0)),
            "JMSDestination" => Some(Value::Owned(m.destination.to_string().into())),
            "JMSReplyTo" => m.reply_to.as_ref().map(|d| Value::Owned(d.to_string().into())),
            "JMSXGroupID" => text(&m.group_id),
            "JMSXGroupSeq" => Some(Value::Int(m.group_sequence.into())),
            "JMSXUserID" => text(&m.user_id),
            "JMSXProducerTXID" => text(&m.original_transaction),
            "JMSXDeliveryCount" => Some(Value::Int(i64::from(self.redeliveries) + 1)),
            "JMSActiveMQBrokerInTime" => Some(Value::Int(m.broker_in_time)),
            other => m.properties.get(other).and_then(crate::Value::into_selector),
        }
    }
}

impl selector::Properties for SelectorView<'_> {
    fn get(&self, name: &str) -> Option<selector::Value<'_>> {
        self.lookup(name)
    }
}
