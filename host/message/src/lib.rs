//! The words of the house: messages, destinations, ids, the commands that reach the broker machine, the events that
//! leave it, and the records that the journal keeps.
//!
//! Values only: this room knows no bytes of any client protocol, no sockets, no clock, no storage. The single encoding
//! it holds is the property map, because selectors read properties wherever a message is.
//!
//! Start reading at [`Message`], then [`Command`] and [`Event`].

mod command;
mod destination;
mod event;
mod id;
mod message;
pub mod properties;
mod record;

pub use command::{
    Ack, AckKind, Command, Connect, ConnectionKey, Loaded, Publish, Receipt, Subscribe, SubscriptionKey, TransactionKey,
};
pub use destination::{Destination, DestinationError, DestinationKind, Pattern};
pub use event::{Delivery, Event, Refusal, RefusalKind};
pub use id::{MessageId, ProducerId};
pub use message::{Advisory, BodyKind, Message};
pub use properties::{Properties, Value};
pub use record::{
    EntryMeta, FACT_KEY_BYTES_MAX, FACT_VALUE_BYTES_MAX, Fact, LogDefinition, LogId, Position, Record, Sequence,
};

/// Text that shares the buffer it was read from; cloning counts a reference.
pub use bytestring::ByteString as Text;
