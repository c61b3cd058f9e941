//! Records of ActiveMQ's old journal (50 to 54): never sent by clients, known so that old stores can be read.

use bytestring::ByteString;

use super::fields::fields;
use super::ids::{Destination, MessageId, TransactionId};
use super::message::MessageAck;

/// A durable subscriber acknowledged a topic message (50).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalTopicAck {
    /// The topic.
    pub destination: Option<Destination>,
    /// The message.
    pub message_id: Option<MessageId>,
    /// Its number in the store.
    pub message_sequence_id: i64,
    /// Name of the subscription.
    pub subscription_name: Option<ByteString>,
    /// JMS client id.
    pub client_id: Option<ByteString>,
    /// The transaction.
    pub transaction_id: Option<TransactionId>,
}

/// A queue message was acknowledged (52).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalQueueAck {
    /// The queue.
    pub destination: Option<Destination>,
    /// The acknowledgement.
    pub message_ack: Option<MessageAck>,
}

/// A remark (53).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalTrace {
    /// The remark.
    pub message: Option<ByteString>,
}

/// A step of a transaction (54).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalTransaction {
    /// The transaction.
    pub transaction_id: Option<TransactionId>,
    /// XA prepare 1, XA commit 2, XA rollback 3, local commit 4, local rollback 5.
    pub kind: u8,
    /// It was prepared before.
    pub was_prepared: bool,
}

fields!(JournalTopicAck = 50 {
    destination: nested,
    message_id: nested,
    message_sequence_id: long,
    subscription_name: string,
    client_id: string,
    transaction_id: nested,
});
fields!(JournalQueueAck = 52 { destination: nested, message_ack: nested });
fields!(JournalTrace = 53 { message: string });
fields!(JournalTransaction = 54 { transaction_id: nested, kind: byte, was_prepared: boolean });
