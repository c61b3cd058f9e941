//! Commands about consumers, producers and durable subscriptions.

use bytestring::ByteString;

use super::fields::{Header, fields};
use super::ids::{BrokerId, ConnectionId, ConsumerId, Destination, MessageId, ProducerId};
use super::network::NetworkBridgeFilter;

/// A new consumer (5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The consumer.
    pub consumer_id: Option<ConsumerId>,
    /// A queue browser (W37).
    pub browser: bool,
    /// What it listens to; may be composite or hold wildcards.
    pub destination: Option<Destination>,
    /// Messages that may be under way to it (W28); 0 means it pulls (W31).
    pub prefetch_size: i32,
    /// Messages that a slow topic consumer may have waiting.
    pub maximum_pending_message_limit: i32,
    /// Dispatch from another thread than the producer's.
    pub dispatch_async: bool,
    /// JMS selector.
    pub selector: Option<ByteString>,
    /// JMS client id; since version 10.
    pub client_id: Option<ByteString>,
    /// Name of the durable subscription, if it is one.
    pub subscription_name: Option<ByteString>,
    /// No messages from its own connection.
    pub no_local: bool,
    /// Only one consumer of the queue gets messages.
    pub exclusive: bool,
    /// Old messages of the topic first, by policy.
    pub retroactive: bool,
    /// Higher goes first.
    pub priority: u8,
    /// Brokers passed so far.
    pub broker_path: Option<Vec<BrokerId>>,
    /// A filter besides the selector: a network bridge's.
    pub additional_predicate: Option<NetworkBridgeFilter>,
    /// Made by a network bridge.
    pub network_subscription: bool,
    /// Acknowledges in batches.
    pub optimized_acknowledge: bool,
    /// Acknowledges one by one; ranges are not understood.
    pub no_range_acks: bool,
    /// Consumers that a bridge stands for; since version 4.
    pub network_consumer_path: Option<Vec<ConsumerId>>,
}

/// A new producer (6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The producer.
    pub producer_id: Option<ProducerId>,
    /// Where it sends; none when each message says.
    pub destination: Option<Destination>,
    /// Brokers passed so far.
    pub broker_path: Option<Vec<BrokerId>>,
    /// Dispatch from another thread than the producer's; since version 2.
    pub dispatch_async: bool,
    /// Bytes that may be under way without a `ProducerAck` (W34); since version 3.
    pub window_size: i32,
}

/// A durable subscription ends (9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoveSubscriptionInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The connection that asks.
    pub connection_id: Option<ConnectionId>,
    /// Name of the subscription.
    pub subscription_name: Option<ByteString>,
    /// JMS client id that owns it.
    pub client_id: Option<ByteString>,
}

/// Prefetch and state of a consumer change at run time (17, W32).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerControl {
    /// Command id and wish for an answer.
    pub header: Header,
    /// What it listens to; since version 6.
    pub destination: Option<Destination>,
    /// Close it.
    pub close: bool,
    /// The consumer.
    pub consumer_id: Option<ConsumerId>,
    /// New prefetch size.
    pub prefetch: i32,
    /// Drop what is prefetched; since version 2.
    pub flush: bool,
    /// Start dispatch; since version 2.
    pub start: bool,
    /// Stop dispatch; since version 2.
    pub stop: bool,
}

/// Bytes of a producer's window are free again (19, W34); since version 3.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerAck {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The producer.
    pub producer_id: Option<ProducerId>,
    /// Bytes accepted.
    pub size: i32,
}

/// A consumer with prefetch 0 asks for a message (20, W31); since version 2.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessagePull {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The consumer.
    pub consumer_id: Option<ConsumerId>,
    /// Where.
    pub destination: Option<Destination>,
    /// Milliseconds to wait: -1 not at all, 0 without end.
    pub timeout_ms: i64,
    /// Only a message with this correlation id; since version 3.
    pub correlation_id: Option<ByteString>,
    /// Only this message; since version 3.
    pub message_id: Option<MessageId>,
}

/// A durable subscription as stored and listed (55).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionInfo {
    /// JMS client id.
    pub client_id: Option<ByteString>,
    /// The destination of the consumer.
    pub destination: Option<Destination>,
    /// JMS selector.
    pub selector: Option<ByteString>,
    /// Name of the subscription.
    pub subscription_name: Option<ByteString>,
    /// What was subscribed to, wildcards included; since version 3.
    pub subscribed_destination: Option<Destination>,
    /// No messages from its own connection; since version 11.
    pub no_local: bool,
}

fields!(ConsumerInfo = 5 {
    header: header,
    consumer_id: cached,
    browser: boolean,
    destination: cached,
    prefetch_size: int,
    maximum_pending_message_limit: int,
    dispatch_async: boolean,
    selector: string,
    client_id: string since 10,
    subscription_name: string,
    no_local: boolean,
    exclusive: boolean,
    retroactive: boolean,
    priority: byte,
    broker_path: array,
    additional_predicate: nested,
    network_subscription: boolean,
    optimized_acknowledge: boolean,
    no_range_acks: boolean,
    network_consumer_path: array since 4,
});
fields!(ProducerInfo = 6 {
    header: header,
    producer_id: cached,
    destination: cached,
    broker_path: array,
    dispatch_async: boolean since 2,
    window_size: int since 3,
});
fields!(RemoveSubscriptionInfo = 9 {
    header: header,
    connection_id: cached,
    subscription_name: string,
    client_id: string,
});
fields!(ConsumerControl = 17 {
    header: header,
    destination: nested since 6,
    close: boolean,
    consumer_id: nested,
    prefetch: int,
    flush: boolean since 2,
    start: boolean since 2,
    stop: boolean since 2,
});
fields!(ProducerAck = 19 { header: header, producer_id: nested, size: int });
fields!(MessagePull = 20 {
    header: header,
    consumer_id: cached,
    destination: cached,
    timeout_ms: long,
    correlation_id: string since 3,
    message_id: nested since 3,
});
fields!(SubscriptionInfo = 55 {
    client_id: string,
    destination: cached,
    selector: string,
    subscription_name: string,
    subscribed_destination: nested since 3,
    no_local: boolean since 11,
});
