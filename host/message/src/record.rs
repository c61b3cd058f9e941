//! What the journal keeps, as values: the broker machine asks for records to be appended and is given them back when
//! it starts.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Message, ProducerId, Text};

/// Order of arrival in the broker: rises with each message, never used twice in the life of a data directory.
pub type Sequence = u64;
/// A line of entries in the journal: a queue, or a durable subscription. Never used twice.
pub type LogId = u32;
/// Number of an atomic group of records; rises by one with each group, from 1 in each run.
pub type Position = u64;

/// Longest key of a fact, in bytes.
pub const FACT_KEY_BYTES_MAX: usize = 8 * 1024;
/// Largest value of a fact, in bytes. Room for a large WebAssembly component.
pub const FACT_VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Something kept for others than the core, which neither reads it nor knows what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is known by; not empty, at most [`FACT_KEY_BYTES_MAX`] bytes. Whoever keeps facts begins their keys with a
    /// word of its own and a slash.
    pub key: Text,
    /// What is known, at most [`FACT_VALUE_BYTES_MAX`] bytes. `None` says that it is known no more; in what a journal gives
    /// back it says that the value is damaged.
    pub value: Option<Bytes>,
}

impl Fact {
    /// Whether key and value are within their limits.
    pub fn is_within_limits(&self) -> bool {
        (1..=FACT_KEY_BYTES_MAX).contains(&self.key.len())
            && self.value.as_ref().is_none_or(|value| value.len() <= FACT_VALUE_BYTES_MAX)
    }
}

/// One fact for the journal. All records of a group become durable together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A message, stored once however many logs hold it.
    Body {
        /// Its number.
        sequence: Sequence,
        /// The message.
        message: Arc<Message>,
    },
    /// No log holds the message any more.
    BodyGone {
        /// Its number.
        sequence: Sequence,
    },
    /// A log holds a message.
    Entry {
        /// Which log.
        log: LogId,
        /// Which message.
        sequence: Sequence,
        /// What must be known without reading the body.
        meta: EntryMeta,
    },
    /// A log no longer holds a message.
    EntryGone {
        /// Which log.
        log: LogId,
        /// Which message.
        sequence: Sequence,
    },
    /// Deliveries of an entry that failed so far; replaces what was said before and goes with its entry.
    Redeliveries {
        /// Which log.
        log: LogId,
        /// Which message.
        sequence: Sequence,
        /// How many; at least 1.
        count: u32,
    },
    /// All entries of the log up to this one may have been delivered before.
    Dispatched {
        /// Which log.
        log: LogId,
        /// The highest of them.
        up_to: Sequence,
    },
    /// A log exists.
    Log {
        /// Its number.
        log: LogId,
        /// What it is.
        definition: LogDefinition,
    },
    /// A log is gone with all its entries; their bodies are told of one by one.
    LogGone {
        /// Which log.
        log: LogId,
    },
    /// A message group of a queue has an owner; replaces what was said before and goes with its log (row C13).
    GroupOwner {
        /// The queue's log.
        log: LogId,
        /// The group.
        group: Text,
        /// Who: [`crate::Subscribe::identity`] of the consumer.
        owner: Text,
    },
    /// A message group has no owner any more.
    GroupGone {
        /// The queue's log.
        log: LogId,
        /// The group.
        group: Text,
    },
    /// The last persistent message of a producer (rows L04, L05).
    Producer {
        /// Who.
        producer: ProducerId,
        /// Its own count.
        sequence: i64,
        /// Broker sequence at that time; the oldest producers are forgotten first.
        at: Sequence,
    },
    /// A producer that is forgotten.
    ProducerGone {
        /// Who.
        producer: ProducerId,
    },
    /// A fact that the core keeps for others; replaces what was kept under its key before.
    Fact(Fact),
    /// The broker stopped in order: what `Dispatched` and `maybe_delivered` warn of did not happen; only
    /// `Redeliveries` count. True only while nothing was appended since.
    CleanStop,
}

/// What a log's entry tells without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryMeta {
    /// [`Message::size_bytes`].
    pub size: u32,
    /// 0 to 9.
    pub priority: u8,
    /// Milliseconds since 1970; 0 for never.
    pub expiration: i64,
    /// A consumer may have been given it right after it was stored, so after a crash it counts as redelivered.
    pub maybe_delivered: bool,
}

/// What a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDefinition {
    /// A queue.
    Queue {
        /// Its name.
        name: Text,
    },
    /// A durable subscription.
    Durable {
        /// Client id of its owner.
        client_id: Text,
        /// Its name.
        name: Text,
        /// Topic, wildcards and composites allowed.
        topic: Text,
        /// Its selector.
        selector: Option<Text>,
        /// Refuses messages of its own connection.
        no_local: bool,
    },
}
