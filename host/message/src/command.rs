//! What client sessions ask of the broker machine.

use std::sync::Arc;

use selector::Selector;

use crate::{Destination, Message, ProducerId, Refusal, Sequence, Text};

/// A client connection; given by the server, never given twice in a run.
pub type ConnectionKey = u64;
/// A subscription of one connection; chosen by its session, unique there while the subscription lives.
pub type SubscriptionKey = u32;
/// A local transaction of one connection; chosen by its session, never reused in the connection.
pub type TransactionKey = u64;
/// A question that wants an answer; chosen by the session, comes back in [`crate::Event::Reply`].
pub type Receipt = u32;

/// One request of a session. Requests of one connection are carried out in order.
#[derive(Clone, Debug)]
pub enum Command {
    /// The client logged in. First command of each connection.
    Connect(Box<Connect>),
    /// The connection is gone, by wish or not: what it held goes back, its temporary destinations go.
    Disconnect,
    /// A consumer came.
    Subscribe(Box<Subscribe>),
    /// A consumer went. `last_delivered` is the highest delivery tag that its application saw; `None` when unknown,
    /// which marks all it held as redelivered (row L13).
    Unsubscribe {
        /// Which one.
        subscription: SubscriptionKey,
        /// Highest tag the application saw; 0 for none.
        last_delivered: Option<u64>,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// Changes the prefetch of a consumer (row W32).
    Prefetch {
        /// Which one.
        subscription: SubscriptionKey,
        /// New prefetch, in messages; 0 makes it a pulling consumer.
        prefetch: u32,
    },
    /// Asks for one message more than the prefetch allows (row W31).
    Pull {
        /// Which one.
        subscription: SubscriptionKey,
        /// `-1`: answer at once; `0`: wait without end; otherwise milliseconds to wait.
        timeout_ms: i64,
    },
    /// Removes a durable subscription; refused while it is active.
    RemoveDurable {
        /// Client id of its owner.
        client_id: Text,
        /// Its name.
        name: Text,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// A producer came. Needed only where the duplicate audit or an advisory wants it.
    AddProducer {
        /// Its id.
        producer: ProducerId,
        /// Fixed destination, if any.
        destination: Option<Destination>,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// A producer went.
    RemoveProducer {
        /// Its id.
        producer: ProducerId,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// Makes a destination; a temporary one belongs to this connection.
    AddDestination {
        /// Which one.
        destination: Destination,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// Removes a destination; refused while it has consumers.
    RemoveDestination {
        /// Which one.
        destination: Destination,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// A message comes in.
    Publish(Publish),
    /// A message must not come in: its sender hears why, and its transaction does not commit.
    Forbidden {
        /// What was sent.
        publish: Publish,
        /// Why.
        why: Refusal,
    },
    /// Messages are done with, or not.
    Ack(Ack),
    /// Opens a local transaction.
    Begin {
        /// Which one.
        transaction: TransactionKey,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// Makes all of the transaction happen, atomically in the journal.
    Commit {
        /// Which one.
        transaction: TransactionKey,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// Makes none of the transaction happen.
    Rollback {
        /// Which one.
        transaction: TransactionKey,
        /// Wants an answer.
        receipt: Option<Receipt>,
    },
    /// This many bytes of deliveries left for the socket since the last such word. Opens the connection's delivery
    /// window again.
    Written {
        /// Bytes, as [`Message::size_bytes`] counts them.
        bytes: u64,
    },
    /// Nothing but an answer, once all that this connection asked for before is done (a fence).
    Fence {
        /// Wants an answer.
        receipt: Receipt,
    },
}

/// A login that the session has accepted.
#[derive(Clone, Debug)]
pub struct Connect {
    /// JMS client id; must be free, unless `link_stealing`.
    pub client_id: Option<Text>,
    /// Id of the connection as the client chose it; the newest connection of an id wins (row L03).
    pub connection: Text,
    /// Who logged in.
    pub user: Option<Text>,
    /// The groups that the user's rights come from.
    pub groups: Vec<Text>,
    /// Address of the peer, for people.
    pub remote: Text,
    /// The client comes back after a break: sends may be repeated (row L04).
    pub failover_reconnect: bool,
    /// A client id in use is taken from its holder in place of being refused (row F24).
    pub link_stealing: bool,
    /// Wants an answer.
    pub receipt: Option<Receipt>,
}

/// A consumer's wishes.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// Its key in this connection.
    pub subscription: SubscriptionKey,
    /// Its id as the client knows it, for advisories.
    pub consumer: ProducerId,
    /// What it will be called again if the broker is restarted and its client comes back; `None` if nothing about it
    /// lasts so long. Message groups wait for their owner by this name.
    pub identity: Option<Text>,
    /// Queue or topic; wildcards and composites allowed.
    pub destination: Destination,
    /// Which messages it wants.
    pub selector: Option<Arc<Selector>>,
    /// How many messages it may hold unacknowledged; 0 makes it a pulling consumer.
    pub prefetch: u32,
    /// Gets copies of what is queued, then an end mark (row W37).
    pub browser: bool,
    /// Name of the durable subscription; topics only, needs a client id.
    pub durable_name: Option<Text>,
    /// Refuses messages of its own connection; topics only.
    pub no_local: bool,
    /// Wants to be the only one served (row C04).
    pub exclusive: bool,
    /// Served before consumers of lower priority (row C03).
    pub priority: i8,
    /// Stands for a peer broker's consumers.
    pub network: bool,
    /// Each delivery counts as acknowledged at once; nothing is kept for it (STOMP `ack:auto`).
    pub auto_ack: bool,
    /// Wants an answer.
    pub receipt: Option<Receipt>,
}

/// A message on its way in.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The message; the broker machine stamps it while it is the only holder.
    pub message: Arc<Message>,
    /// Takes effect when this commits.
    pub transaction: Option<TransactionKey>,
    /// Wants an answer once the message is safe.
    pub receipt: Option<Receipt>,
    /// Wants [`crate::Event::ProducerAck`] with this many bytes once the message is accepted (row W34).
    pub window_bytes: Option<u32>,
}

/// What a consumer says of its deliveries.
#[derive(Clone, Debug)]
pub struct Ack {
    /// Whose deliveries.
    pub subscription: SubscriptionKey,
    /// What is said.
    pub kind: AckKind,
    /// First delivery tag of the range.
    pub first: u64,
    /// Last delivery tag of the range.
    pub last: u64,
    /// Takes effect when this commits.
    pub transaction: Option<TransactionKey>,
    /// Why, for [`AckKind::Poison`].
    pub cause: Option<Text>,
    /// Wants an answer.
    pub receipt: Option<Receipt>,
}

/// The kinds of acknowledgement (row W27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// The application has them; the prefetch window moves, the messages stay.
    Delivered,
    /// Done with: the range is removed.
    Standard,
    /// Done with: each is removed alone.
    Individual,
    /// Given up: the range goes to the dead-letter queue.
    Poison,
    /// Noted: the client delivers them again by itself.
    Redelivered,
    /// The client found them expired.
    Expired,
    /// Give them back at once, counted as failed deliveries (STOMP sessions, brokers' own use).
    Released,
}

/// Bodies that came from the journal for an [`crate::Event`]-less request of the machine: pairs of sequence and message,
/// `None` where the journal has none.
pub type Loaded = Vec<(Sequence, Option<Arc<Message>>)>;
