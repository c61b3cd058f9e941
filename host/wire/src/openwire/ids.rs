//! Identifiers and destinations: small values that other commands carry, most of them through the cache.
//!
//! Strings that ActiveMQ never leaves null are plain; a null from a peer reads as empty.

use bytes::Bytes;
use bytestring::ByteString;

use super::Error;
use super::cache::{Cacheable, Cached, Hash, detach};
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::fields::{Nested, fields};

/// A client connection (120).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ConnectionId {
    /// The id; the connection part of session, consumer and producer ids.
    pub value: ByteString,
}

/// A session of a connection (121).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SessionId {
    /// The connection.
    pub connection: ByteString,
    /// Number within the connection; -1 is the connection's own session.
    pub value: i64,
}

/// A consumer of a session (122).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ConsumerId {
    /// The connection.
    pub connection: ByteString,
    /// The session.
    pub session: i64,
    /// Number within the session.
    pub value: i64,
}

/// A producer of a session (123).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ProducerId {
    /// The connection.
    pub connection: ByteString,
    /// The session.
    pub session: i64,
    /// Number within the session.
    pub value: i64,
}

/// A broker (124).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct BrokerId {
    /// The id.
    pub value: ByteString,
}

/// A message (110): producer and number, or a text given by a foreign provider (since version 10, W08).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct MessageId {
    /// The id as a foreign provider wrote it.
    pub text_view: Option<ByteString>,
    /// Who sent it; the default stands for null.
    pub producer: ProducerId,
    /// Number within the producer.
    pub sequence: i64,
    /// Number given by the broker's store.
    pub broker_sequence: i64,
}

/// What a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DestinationKind {
    /// A queue (100).
    #[default]
    Queue,
    /// A topic (101).
    Topic,
    /// A temporary queue (102).
    TempQueue,
    /// A temporary topic (103).
    TempTopic,
}

/// Where messages go (100 to 103).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Destination {
    /// Queue or topic, lasting or temporary.
    pub kind: DestinationKind,
    /// Physical name, without the `queue://` prefix of the URI form; may be composite.
    pub name: ByteString,
}

/// A transaction of one connection (111).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LocalTransactionId {
    /// Number within the connection.
    pub value: i64,
    /// The connection; the default stands for null.
    pub connection: ConnectionId,
}

/// A branch of a distributed transaction (112, W25).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct XaTransactionId {
    /// Format of the two parts.
    pub format_id: i32,
    /// Global part, at most 64 bytes by the XA rules; not checked here.
    pub global_transaction_id: Bytes,
    /// Branch part, at most 64 bytes by the XA rules; not checked here.
    pub branch_qualifier: Bytes,
}

/// Either kind of transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransactionId {
    /// Within one connection.
    Local(LocalTransactionId),
    /// A branch of a distributed one.
    Xa(XaTransactionId),
}

/// What a `RemoveInfo` ends (W33).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectId {
    /// A connection with everything in it.
    Connection(ConnectionId),
    /// A session with everything in it.
    Session(SessionId),
    /// A consumer.
    Consumer(ConsumerId),
    /// A producer.
    Producer(ProducerId),
}

fields!(ConnectionId = 120 { value: name });
fields!(SessionId = 121 { connection: name, value: long });
fields!(ConsumerId = 122 { connection: name, session: long, value: long });
fields!(ProducerId = 123 { connection: name, value: long, session: long });
fields!(BrokerId = 124 { value: name });
fields!(MessageId = 110 {
    text_view: string since 10,
    producer: cached_default,
    sequence: long,
    broker_sequence: long,
});
fields!(LocalTransactionId = 111 { value: long, connection: cached_default });
fields!(XaTransactionId = 112 { format_id: int, global_transaction_id: blob, branch_qualifier: blob });

impl Nested for Destination {
    fn data_type(&self) -> u8 {
        match self.kind {
            DestinationKind::Queue => 100,
            DestinationKind::Topic => 101,
            DestinationKind::TempQueue => 102,
            DestinationKind::TempTopic => 103,
        }
    }

    fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error> {
        let kind = match data_type {
            100 => DestinationKind::Queue,
            101 => DestinationKind::Topic,
            102 => DestinationKind::TempQueue,
            103 => DestinationKind::TempTopic,
            _ => return decoder.unexpected(data_type),
        };
        decoder.what = "Destination.name";
        Ok(Self { kind, name: decoder.name()? })
    }

    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        encoder.what = "Destination.name";
        encoder.name(&self.name)
    }
}

impl Nested for TransactionId {
    fn data_type(&self) -> u8 {
        match self {
            Self::Local(id) => id.data_type(),
            Self::Xa(id) => id.data_type(),
        }
    }

    fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error> {
        match data_type {
            111 => LocalTransactionId::read_fields(decoder).map(Self::Local),
            _ => XaTransactionId::read(decoder, data_type).map(Self::Xa),
        }
    }

    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        match self {
            Self::Local(id) => id.write_fields(encoder),
            Self::Xa(id) => id.write_fields(encoder),
        }
    }
}

impl Nested for ObjectId {
    fn data_type(&self) -> u8 {
        match self {
            Self::Connection(id) => id.data_type(),
            Self::Session(id) => id.data_type(),
            Self::Consumer(id) => id.data_type(),
            Self::Producer(id) => id.data_type(),
        }
    }

    fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error> {
        match data_type {
            120 => ConnectionId::read_fields(decoder).map(Self::Connection),
            121 => SessionId::read_fields(decoder).map(Self::Session),
            122 => ConsumerId::read_fields(decoder).map(Self::Consumer),
            _ => ProducerId::read(decoder, data_type).map(Self::Producer),
        }
    }

    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        match self {
            Self::Connection(id) => id.write_fields(encoder),
            Self::Session(id) => id.write_fields(encoder),
            Self::Consumer(id) => id.write_fields(encoder),
            Self::Producer(id) => id.write_fields(encoder),
        }
    }
}

/// Caching of an id that is one string and some numbers.
macro_rules! cacheable {
    ($name:ident, $variant:ident, $text:ident $(, $number:ident)*) => {
        impl Cacheable for $name {
            fn hash(&self, hash: &mut Hash) {
                hash.bytes(self.$text.as_bytes());
                $(hash.word(self.$number as u64);)*
            }

            fn matches(&self, cached: &Cached) -> bool {
                matches!(cached, Cached::$variant(other) if other == self)
            }

            fn store(&self) -> Cached {
                Cached::$variant(Self { $text: detach(&self.$text) $(, $number: self.$number)* })
            }

            fn load(cached: &Cached) -> Option<Self> {
                match cached {
                    Cached::$variant(value) => Some(value.clone()),
                    _ => None,
                }
            }

            fn weight(&self) -> usize {
                self.$text.len()
            }
        }
    };
}

cacheable!(ConnectionId, Connection, value);
cacheable!(SessionId, Session, connection, value);
cacheable!(ConsumerId, Consumer, connection, session, value);
cacheable!(ProducerId, Producer, connection, session, value);
cacheable!(BrokerId, Broker, value);
cacheable!(Destination, Destination, name, kind);

impl Cacheable for TransactionId {
    fn hash(&self, hash: &mut Hash) {
        match self {
            Self::Local(id) => {
                hash.word(id.value as u64);
                Cacheable::hash(&id.connection, hash);
            }
            Self::Xa(id) => {
                hash.word(id.format_id as u64);
                hash.bytes(&id.global_transaction_id);
                hash.bytes(&id.branch_qualifier);
            }
        }
    }

    fn matches(&self, cached: &Cached) -> bool {
        matches!(cached, Cached::Transaction(other) if other == self)
    }

    fn store(&self) -> Cached {
        Cached::Transaction(match self {
            Self::Local(id) => Self::Local(LocalTransactionId {
                value: id.value,
                connection: ConnectionId { value: detach(&id.connection.value) },
            }),
            Self::Xa(id) => Self::Xa(XaTransactionId {
                format_id: id.format_id,
                global_transaction_id: Bytes::copy_from_slice(&id.global_transaction_id),
                branch_qualifier: Bytes::copy_from_slice(&id.branch_qualifier),
            }),
        })
    }

    fn load(cached: &Cached) -> Option<Self> {
        match cached {
            Cached::Transaction(id) => Some(id.clone()),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Local(id) => id.connection.value.len(),
            Self::Xa(id) => id.global_transaction_id.len() + id.branch_qualifier.len(),
        }
    }
}

impl Cacheable for ObjectId {
    fn hash(&self, hash: &mut Hash) {
        match self {
            Self::Connection(id) => Cacheable::hash(id, hash),
            Self::Session(id) => Cacheable::hash(id, hash),
            Self::Consumer(id) => Cacheable::hash(id, hash),
            Self::Producer(id) => Cacheable::hash(id, hash),
        }
    }

    fn matches(&self, cached: &Cached) -> bool {
        match self {
            Self::Connection(id) => id.matches(cached),
            Self::Session(id) => id.matches(cached),
            Self::Consumer(id) => id.matches(cached),
            Self::Producer(id) => id.matches(cached),
        }
    }

    fn store(&self) -> Cached {
        match self {
            Self::Connection(id) => id.store(),
            Self::Session(id) => id.store(),
            Self::Consumer(id) => id.store(),
            Self::Producer(id) => id.store(),
        }
    }

    fn load(cached: &Cached) -> Option<Self> {
        match cached {
            Cached::Connection(id) => Some(Self::Connection(id.clone())),
            Cached::Session(id) => Some(Self::Session(id.clone())),
            Cached::Consumer(id) => Some(Self::Consumer(id.clone())),
            Cached::Producer(id) => Some(Self::Producer(id.clone())),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Connection(id) => id.weight(),
            Self::Session(id) => id.weight(),
            Self::Consumer(id) => id.weight(),
            Self::Producer(id) => id.weight(),
        }
    }
}
