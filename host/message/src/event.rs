//! What the broker machine tells client sessions.

use std::sync::Arc;

use crate::{Message, Receipt, SubscriptionKey, Text};

/// One word to a session.
#[derive(Clone, Debug)]
pub enum Event {
    /// The answer to a command that carried a receipt.
    Reply {
        /// Which command.
        receipt: Receipt,
        /// Done, or why not.
        outcome: Result<(), Refusal>,
    },
    /// A message for a consumer.
    Deliver(Delivery),
    /// A pull found nothing in its time (row W31).
    PullEmpty {
        /// Whose pull.
        subscription: SubscriptionKey,
    },
    /// A browser has seen all (row W37).
    BrowseEnd {
        /// Whose.
        subscription: SubscriptionKey,
    },
    /// A message of a producer with a window was accepted (row W34).
    ProducerAck {
        /// Connection, session and value of the producer.
        producer: crate::ProducerId,
        /// Bytes that the window gets back.
        bytes: u32,
    },
    /// The broker ended a subscription.
    SubscriptionClosed {
        /// Which one.
        subscription: SubscriptionKey,
        /// Why.
        why: Refusal,
    },
    /// A command without a receipt failed (row W20).
    Failed(Refusal),
    /// Read no more from this client until [`Event::Resume`] (row Q04: the whole connection stalls).
    Pause,
    /// Read on.
    Resume,
    /// The connection must end.
    Close(Refusal),
}

/// A message handed to a consumer.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Whose.
    pub subscription: SubscriptionKey,
    /// Rises by one with each delivery of the subscription, from 1; acknowledgements name it.
    pub tag: u64,
    /// The message.
    pub message: Arc<Message>,
    /// Deliveries before this one; above 0 the message is marked as redelivered.
    pub redeliveries: u32,
    /// First message of its group since the consumer became the group's owner (JMSXGroupFirstForConsumer).
    pub group_first: bool,
}

/// Why something was refused. The session turns it into its protocol's own error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Class of the reason; OpenWire sessions pick the Java class by it (row W12).
    pub kind: RefusalKind,
    /// For people: what was asked, with what value, and what to do.
    pub message: Text,
}

/// Classes of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Client id in use or missing.
    InvalidClientId,
    /// No such destination, or its name cannot be used.
    InvalidDestination,
    /// A selector that does not parse.
    InvalidSelector,
    /// A limit was reached.
    ResourceAllocation,
    /// Not allowed.
    Security,
    /// A routing policy of the operator rejected the message.
    Rejected,
    /// The command makes no sense in the present state.
    IllegalState,
    /// No such transaction, or it can only roll back.
    Transaction,
    /// The broker is stopping, or another connection took this one's place.
    Closing,
}

impl Refusal {
    /// A refusal of this kind with this text.
    pub fn new(kind: RefusalKind, message: impl Into<Text>) -> Refusal {
        Refusal { kind, message: message.into() }
    }
}
