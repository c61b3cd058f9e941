//! One enum over all that can stand in a frame (W01).

use super::Error;
use super::connection::*;
use super::consumer::*;
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::fields::{Header, Nested};
use super::ids::*;
use super::journal::*;
use super::message::*;
use super::network::*;
use super::response::*;
use super::wire_format_info::WireFormatInfo;

/// `$name($content) = $data_type`; those of the first list have a header.
macro_rules! commands {
    (
        headed { $($headed:ident = $headed_type:pat,)* }
        bare { $($bare:ident = $bare_type:pat,)* }
    ) => {
        /// A frame's content: a command, or an identifier or record that travels within one.
        ///
        /// Messages are not boxed, so that the commonest command costs no allocation of its own.
        #[allow(clippy::large_enum_variant)]
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command {
            /// Nothing (0); a peer that sends it wants nothing.
            Null,
            $(#[doc = concat!("See [`", stringify!($headed), "`].")]
            $headed($headed),)*
            $(#[doc = concat!("See [`", stringify!($bare), "`].")]
            $bare($bare),)*
        }

        impl Command {
            /// Command id and wish for an answer; none for what is not a command of a connection.
            pub fn header(&self) -> Option<&Header> {
                match self {
                    $(Self::$headed(command) => Some(&command.header),)*
                    _ => None,
                }
            }

            /// The header, to number a command before it is sent.
            pub fn header_mut(&mut self) -> Option<&mut Header> {
                match self {
                    $(Self::$headed(command) => Some(&mut command.header),)*
                    _ => None,
                }
            }

            /// The byte that stands before the fields.
            pub fn data_type(&self) -> u8 {
                Nested::data_type(self)
            }
        }

        impl Nested for Command {
            fn data_type(&self) -> u8 {
                match self {
                    Self::Null => 0,
                    $(Self::$headed(command) => command.data_type(),)*
                    $(Self::$bare(value) => value.data_type(),)*
                }
            }

            fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error> {
                match data_type {
                    $($headed_type => $headed::read(decoder, data_type).map(Self::$headed),)*
                    $($bare_type => $bare::read(decoder, data_type).map(Self::$bare),)*
                    _ => decoder.unexpected(data_type),
                }
            }

            fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
                match self {
                    Self::Null => Ok(()),
                    $(Self::$headed(command) => command.write(encoder),)*
                    $(Self::$bare(value) => value.write(encoder),)*
                }
            }
        }

        $(impl From<$headed> for Command {
            fn from(command: $headed) -> Self {
                Self::$headed(command)
            }
        })*
        $(impl From<$bare> for Command {
            fn from(value: $bare) -> Self {
                Self::$bare(value)
            }
        })*
    };
}

commands! {
    headed {
        Message = 23..=29,
        MessageAck = 22,
        MessageDispatch = 21,
        Response = 30,
        ProducerAck = 19,
        BrokerInfo = 2,
        ConnectionInfo = 3,
        SessionInfo = 4,
        ConsumerInfo = 5,
        ProducerInfo = 6,
        TransactionInfo = 7,
        DestinationInfo = 8,
        RemoveSubscriptionInfo = 9,
        KeepAliveInfo = 10,
        ShutdownInfo = 11,
        RemoveInfo = 12,
        ControlCommand = 14,
        FlushCommand = 15,
        ConnectionError = 16,
        ConsumerControl = 17,
        ConnectionControl = 18,
        MessagePull = 20,
        ExceptionResponse = 31,
        DataResponse = 32,
        DataArrayResponse = 33,
        IntegerResponse = 34,
        ReplayCommand = 65,
        MessageDispatchNotification = 90,
        BrokerSubscriptionInfo = 92,
    }
    bare {
        WireFormatInfo = 1,
        DiscoveryEvent = 40,
        JournalTopicAck = 50,
        JournalQueueAck = 52,
        JournalTrace = 53,
        JournalTransaction = 54,
        SubscriptionInfo = 55,
        PartialCommand = 60 | 61,
        NetworkBridgeFilter = 91,
        Destination = 100..=103,
        MessageId = 110,
        TransactionId = 111 | 112,
        ConnectionId = 120,
        SessionId = 121,
        ConsumerId = 122,
        ProducerId = 123,
        BrokerId = 124,
    }
}
