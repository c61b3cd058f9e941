//! A message's place in one line.

use std::sync::Arc;

use message::{EntryMeta, Message, Sequence};

use crate::slots::Key;

/// One message waiting in one line, 32 bytes beside the message itself. The message may be away: then the journal has
/// it and the core asks for it before it is needed.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) sequence: Sequence,
    /// Milliseconds since 1970; 0 for never.
    pub(crate) expiration: i64,
    /// `None` only if `STORED`.
    pub(crate) message: Option<Arc<Message>>,
    /// [`Message::size_bytes`].
    pub(crate) size: u32,
    /// Deliveries that failed so far.
    pub(crate) redeliveries: u16,
    pub(crate) priority: u8,
    flags: u8,
}

const STORED: u8 = 1;
const TAKEN: u8 = 2;
const MAYBE_DELIVERED: u8 = 4;
const GROUPED: u8 = 8;
const PARKED: u8 = 16;

impl Entry {
    pub(crate) fn new(message: Arc<Message>, stored: bool) -> Entry {
        Entry {
            sequence: message.sequence,
            expiration: message.expiration,
            size: u32::try_from(message.size_bytes()).unwrap_or(u32::MAX),
            redeliveries: u16::try_from(message.redelivery_count).unwrap_or(u16::MAX),
            priority: message.priority,
            flags: if stored { STORED } else { 0 } | if message.group_id.is_some() { GROUPED } else { 0 },
            message: Some(message),
        }
    }

    pub(crate) fn recovered(sequence: Sequence, meta: &EntryMeta, maybe_delivered: bool) -> Entry {
        Entry {
            sequence,
            expiration: meta.expiration,
            message: None,
            size: meta.size,
            redeliveries: 0,
            priority: meta.priority,
            flags: if maybe_delivered { STORED | MAYBE_DELIVERED } else { STORED },
        }
    }

    /// Takes the body in.
    pub(crate) fn fill(&mut self, message: Arc<Message>) {
        if message.group_id.is_some() {
            self.flags |= GROUPED;
        }
        self.message = Some(message);
    }

    /// Whether it belongs to a message group; not known before its body was seen.
    pub(crate) fn is_grouped(&self) -> bool {
        self.flags & GROUPED != 0
    }

    /// Whether it waits for the owner of its group, which then knows its place.
    pub(crate) fn is_parked(&self) -> bool {
        self.flags & PARKED != 0
    }

    pub(crate) fn park(&mut self) {
        self.flags |= PARKED;
    }

    pub(crate) fn unpark(&mut self) {
        self.flags &= !PARKED;
    }

    /// Counts the delivery that may have happened before a crash. True if there was one to count.
    pub(crate) fn count_maybe(&mut self) -> bool {
        let maybe = self.flags & MAYBE_DELIVERED != 0;
        if maybe {
            self.flags &= !MAYBE_DELIVERED;
            self.redeliveries = self.redeliveries.saturating_add(1);
        }
        maybe
    }

    /// Whether the journal has it.
    pub(crate) fn is_stored(&self) -> bool {
        self.flags & STORED != 0
    }

    /// Whether it is only the gap that an entry left.
    pub(crate) fn is_taken(&self) -> bool {
        self.flags & TAKEN != 0
    }

    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expiration > 0 && now > self.expiration
    }

    /// Moves the entry out and leaves a gap.
    pub(crate) fn take(&mut self) -> Entry {
        let entry = Entry { message: self.message.take(), flags: self.flags & !PARKED, ..self.clone() };
        self.flags |= TAKEN;
        entry
    }
}

/// A message that a consumer has and has not settled.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) tag: u64,
    pub(crate) line: Key,
    pub(crate) entry: Entry,
    /// The application has it, or a transaction acknowledged it: it no longer counts against the prefetch (row W28).
    pub(crate) seen: bool,
    /// Its group in the line, [`crate::groups::NO_GROUP`] for none.
    pub(crate) group: u32,
    /// Acknowledged by this transaction, which has not ended.
    pub(crate) transaction: Option<message::TransactionKey>,
    /// Settled; only its place is left until it comes to the front.
    pub(crate) gone: bool,
    /// A browser's copy: nothing happens to the line.
    pub(crate) copy: bool,
}

impl Held {
    /// The message, unless it is settled or only a browser's copy.
    pub(crate) fn live(&self) -> Option<&Entry> {
        (!self.gone && !self.copy).then_some(&self.entry)
    }
}
