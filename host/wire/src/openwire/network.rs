//! What brokers say about themselves and to each other, and the parts of commands that are too large for a datagram.

use bytes::Bytes;
use bytestring::ByteString;

use super::Error;
use super::consumer::ConsumerInfo;
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::fields::{Header, Nested, fields};
use super::ids::BrokerId;

/// A broker introduces itself (2, W15).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The broker.
    pub broker_id: Option<BrokerId>,
    /// Where clients reach it.
    pub broker_url: Option<ByteString>,
    /// The brokers that it is connected to.
    pub peer_broker_infos: Option<Vec<BrokerInfo>>,
    /// Its name.
    pub broker_name: Option<ByteString>,
    /// It is a slave; unused today.
    pub slave_broker: bool,
    /// It is a master; unused today.
    pub master_broker: bool,
    /// It has a slave; unused today.
    pub fault_tolerant_configuration: bool,
    /// The bridge wants to work both ways; since version 2.
    pub duplex_connection: bool,
    /// The connection is a bridge's; since version 2.
    pub network_connection: bool,
    /// Number of the connection; since version 2.
    pub connection_id: i64,
    /// Where files of blob messages go; since version 3.
    pub broker_upload_url: Option<ByteString>,
    /// Properties of the network connector, for the other side of a duplex bridge; since version 3.
    pub network_properties: Option<ByteString>,
}

/// Keeps messages from going in circles over a bridge (91).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkBridgeFilter {
    /// The broker at the far end.
    pub network_broker_id: Option<BrokerId>,
    /// Bridges that a message may cross; before version 10 this one number stands for both, ahead of the broker.
    pub message_ttl: i32,
    /// Bridges that a subscription may cross; not written before version 10.
    pub consumer_ttl: i32,
}

/// The durable subscriptions that a bridge brings back after a restart (92); since version 12.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerSubscriptionInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The broker.
    pub broker_id: Option<BrokerId>,
    /// Its name.
    pub broker_name: Option<ByteString>,
    /// The subscriptions.
    pub subscription_infos: Option<Vec<ConsumerInfo>>,
}

/// A service appears or goes (40).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscoveryEvent {
    /// URI of the service.
    pub service_name: Option<ByteString>,
    /// Name of the broker.
    pub broker_name: Option<ByteString>,
}

/// A piece of a command (60), or its last piece (61).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartialCommand {
    /// Command id of the whole.
    pub command_id: i32,
    /// The piece.
    pub data: Option<Bytes>,
    /// It is the last.
    pub last: bool,
}

/// Lost datagrams are to be sent again (65).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayCommand {
    /// Command id and wish for an answer.
    pub header: Header,
    /// First lost.
    pub first_nak_number: i32,
    /// Last lost.
    pub last_nak_number: i32,
}

fields!(BrokerInfo = 2 {
    header: header,
    broker_id: cached,
    broker_url: string,
    peer_broker_infos: array,
    broker_name: string,
    slave_broker: boolean,
    master_broker: boolean,
    fault_tolerant_configuration: boolean,
    duplex_connection: boolean since 2,
    network_connection: boolean since 2,
    connection_id: long since 2,
    broker_upload_url: string since 3,
    network_properties: string since 3,
});
fields!(NetworkBridgeFilter { network_broker_id: cached, message_ttl: int, consumer_ttl: int });
fields!(BrokerSubscriptionInfo = 92 {
    header: header,
    broker_id: nested,
    broker_name: string,
    subscription_infos: array,
});
fields!(DiscoveryEvent = 40 { service_name: string, broker_name: string });
fields!(PartialCommand { command_id: int, data: bytes, ; last });
fields!(ReplayCommand = 65 { header: header, first_nak_number: int, last_nak_number: int });

impl Nested for NetworkBridgeFilter {
    fn data_type(&self) -> u8 {
        91
    }

    fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error> {
        if data_type != 91 {
            return decoder.unexpected(data_type);
        }
        if decoder.version >= 10 {
            return Self::read_fields(decoder);
        }
        decoder.what = "NetworkBridgeFilter.network_ttl";
        let ttl = decoder.int()?;
        decoder.what = "NetworkBridgeFilter.network_broker_id";
        Ok(Self { network_broker_id: decoder.cached()?, message_ttl: ttl, consumer_ttl: ttl })
    }

    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        if encoder.version >= 10 {
            return self.write_fields(encoder);
        }
        encoder.int(&self.message_ttl)?;
        encoder.cached(&self.network_broker_id)
    }
}

impl Nested for PartialCommand {
    fn data_type(&self) -> u8 {
        if self.last { 61 } else { 60 }
    }

    fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error> {
        if !matches!(data_type, 60 | 61) {
            return decoder.unexpected(data_type);
        }
        let mut part = Self::read_fields(decoder)?;
        part.last = data_type == 61;
        Ok(part)
    }

    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        self.write_fields(encoder)
    }
}
