//! OpenWire, ActiveMQ's own protocol, versions 1 to 12: bytes to [`Command`]s and back.
//!
//! Sans-IO: a [`Format`] holds what two sides agreed on and is fed with bytes; it never looks into message bodies or
//! properties and knows nothing of brokers. Start reading at `format.rs` for frames, at `fields.rs` for how a command
//! lists its fields, at `decoder.rs` and `encoder.rs` for how a field looks.
//!
//! ```text
//!  loose   | size 4 | type 1 | fields, booleans as bytes                          |
//!  tight   | size 4 | type 1 | bits: size 1..3, packed booleans | fields, the rest |
//! ```
//!
//! Invariants: nothing is allocated for a length that the frame does not hold; no input panics or recurses beyond
//! [`Limits::nesting_depth_max`]; strings and byte sequences of a decoded command are slices of its frame.

mod cache;
mod command;
mod connection;
mod consumer;
mod decoder;
mod encoder;
mod error;
mod fields;
mod format;
mod ids;
mod journal;
mod limits;
mod message;
mod network;
mod response;
mod text;
mod wire_format_info;

pub use command::Command;
pub use connection::{
    ConnectionControl, ConnectionError, ConnectionInfo, ControlCommand, DestinationInfo, FlushCommand, KeepAliveInfo,
    RemoveInfo, SessionInfo, ShutdownInfo, TransactionInfo,
};
pub use consumer::{
    ConsumerControl, ConsumerInfo, MessagePull, ProducerAck, ProducerInfo, RemoveSubscriptionInfo, SubscriptionInfo,
};
pub use error::Error;
pub use fields::{Header, Throwable};
pub use format::{Agreement, Format, VERSION};
pub use ids::{
    BrokerId, ConnectionId, ConsumerId, Destination, DestinationKind, LocalTransactionId, MessageId, ObjectId,
    ProducerId, SessionId, TransactionId, XaTransactionId,
};
pub use journal::{JournalQueueAck, JournalTopicAck, JournalTrace, JournalTransaction};
pub use limits::Limits;
pub use message::{Blob, Dispatch, Message, MessageAck, MessageDispatch, MessageDispatchNotification, MessageKind};
pub use network::{
    BrokerInfo, BrokerSubscriptionInfo, DiscoveryEvent, NetworkBridgeFilter, PartialCommand, ReplayCommand,
};
pub use response::{DataArrayResponse, DataResponse, ExceptionResponse, IntegerResponse, Response};
pub use wire_format_info::{MAGIC, Property, WireFormatInfo};

/// Reads anything and writes it again, without a panic; for a fuzzing driver.
///
/// The first byte chooses version and encoding, the rest is a stream of frames.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let agreement = Agreement {
        version: first % 12 + 1,
        tight: first & 0x10 != 0,
        cache_size: (first & 0x20 != 0).then_some(150),
        stack_trace: first & 0x40 != 0,
        size_prefix_disabled: first & 0x80 != 0,
        ..Agreement::default()
    };
    let mut format = Format::new(Limits::default());
    format.agree(agreement);
    let mut writer = format.clone();
    let mut reader = format.clone();
    let mut buffer = bytes::BytesMut::from(rest);
    while let Ok(Some(command)) = format.decode(&mut buffer) {
        let mut out = bytes::BytesMut::new();
        if writer.encode(&command, &mut out).is_ok() {
            let read = reader.decode(&mut out);
            assert!(matches!(read, Ok(Some(_))), "{read:?} from {command:?}");
        }
    }
}
