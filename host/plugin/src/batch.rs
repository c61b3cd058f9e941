//! The question put to a queue dispatch policy: columns of rows, a table of consumers, who may take what.

use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use crate::PropertyColumn;

/// The answer "leave this row where it is". Not a slot: the core never gives this number to a consumer.
pub const LEAVE: u32 = u32::MAX;

/// A set of columns and wishes. A policy names the columns it reads; the core fills those and leaves the others empty.
///
/// Ids below 500 are columns of rows, those from 500 on columns of consumers, those from 900 on wishes without a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Columns(u32);

impl Columns {
    /// No column at all: a policy that looks at consumers only.
    pub const NONE: Columns = Columns(0);
    /// JMS priority, 0 to 9.
    pub const PRIORITY: Columns = Columns::of(1);
    /// Size of the message in bytes, body and headers.
    pub const SIZE: Columns = Columns::of(2);
    /// How often the message was delivered before.
    pub const REDELIVERED: Columns = Columns::of(3);
    /// Producer's time stamp in ms since 1970.
    pub const TIMESTAMP: Columns = Columns::of(4);
    /// Time of expiry in ms since 1970, 0 = never.
    pub const EXPIRATION: Columns = Columns::of(5);
    /// The broker's sequence of the message in its destination.
    pub const SEQUENCE: Columns = Columns::of(6);
    /// Message group as a symbol.
    pub const GROUP: Columns = Columns::of(7);
    /// `JMSType` as a symbol.
    pub const MESSAGE_TYPE: Columns = Columns::of(8);
    /// Microseconds of busy time that a consumer needs for an acknowledgement.
    pub const ACK_INTERVAL: Columns = Columns(1 << 16);
    /// The wish to see rows beyond what the consumers have credit for, up to
    /// [`rows_max`](crate::QueueDispatch::rows_max).
    pub const LOOK_AHEAD: Columns = Columns(1 << 17);
    /// The wish of an auth policy to be asked who logs in.
    pub const LOGINS: Columns = Columns(1 << 18);
    /// Its wish to see passwords.
    pub const PASSWORDS: Columns = Columns(1 << 19);
    /// Its wish to be asked what may be done.
    pub const RIGHTS: Columns = Columns(1 << 20);
    /// Its wish to be asked about messages.
    pub const MESSAGES: Columns = Columns(1 << 21);

    /// Every column of rows and of consumers that there is, and no wish.
    pub const SHOWN: Columns = Columns(((1 << (Columns::ROW_ID_MAX + 1)) - 2) | Columns::ACK_INTERVAL.0);

    /// Id of [`ACK_INTERVAL`](Self::ACK_INTERVAL), the first and only column of consumers.
    pub const ACK_INTERVAL_ID: u32 = 500;
    /// Id of [`LOOK_AHEAD`](Self::LOOK_AHEAD).
    pub const LOOK_AHEAD_ID: u32 = 900;

    const ROW_ID_MAX: u32 = 8;

    const fn of(id: u32) -> Columns {
        Columns(1 << id)
    }

    /// The column or wish with this id of the WIT package, if this host knows it.
    pub fn from_id(id: u32) -> Option<Columns> {
        match id {
            1..=Columns::ROW_ID_MAX => Some(Columns::of(id)),
            Columns::ACK_INTERVAL_ID => Some(Columns::ACK_INTERVAL),
            Columns::LOOK_AHEAD_ID => Some(Columns::LOOK_AHEAD),
            910 => Some(Columns::LOGINS),
            911 => Some(Columns::PASSWORDS),
            912 => Some(Columns::RIGHTS),
            913 => Some(Columns::MESSAGES),
            _ => None,
        }
    }

    /// True if every column of `other` is in this set.
    pub fn contains(self, other: Columns) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in this set and not in `other`.
    pub fn without(self, other: Columns) -> Columns {
        Columns(self.0 & !other.0)
    }

    /// True if the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Columns {
    type Output = Columns;

    fn bitor(self, other: Columns) -> Columns {
        Columns(self.0 | other.0)
    }
}

impl BitOrAssign for Columns {
    fn bitor_assign(&mut self, other: Columns) {
        self.0 |= other.0;
    }
}

/// A consumer as it stands when a plan is asked for.
///
/// The table of a plan holds every joined member of the destination, also those without credit, in an order that
/// changes only when members change: policies keep rotations over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerRow {
    /// Stable while the consumer lives; never [`LEAVE`].
    pub slot: u32,
    /// How many more messages it may be given now.
    pub credit: u32,
    /// Messages given and not yet acknowledged.
    pub in_flight: u32,
    /// Consumer priority; higher is served first.
    pub priority: i16,
}

/// A consumer as it joined: what does not change while it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Stable while the consumer lives; may be given again after it left.
    pub slot: u32,
    /// Client id of its connection.
    pub client_id: Arc<str>,
    /// Its JMS selector, as written by the client.
    pub selector: Option<Arc<str>>,
    /// True for the subscription of another broker.
    pub is_network: bool,
}

/// A change in the set of consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// A consumer came.
    Joined(Member),
    /// The consumer of this slot went.
    Left(u32),
}

/// One question: `rows` messages, oldest first, and the consumers that there are.
///
/// A column of rows has `rows` entries if the policy [wants](crate::QueueDispatch::wants) it and is empty otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct DispatchBatch<'a> {
    /// The broker's time in ms since 1970.
    pub now_ms: u64,
    /// How many messages are asked about; at most [`rows_max`](crate::QueueDispatch::rows_max).
    pub rows: usize,
    /// [`Columns::PRIORITY`].
    pub priority: &'a [u8],
    /// [`Columns::SIZE`].
    pub size: &'a [u32],
    /// [`Columns::REDELIVERED`].
    pub redelivered: &'a [u32],
    /// [`Columns::TIMESTAMP`].
    pub timestamp: &'a [i64],
    /// [`Columns::EXPIRATION`].
    pub expiration: &'a [i64],
    /// [`Columns::SEQUENCE`].
    pub sequence: &'a [i64],
    /// [`Columns::GROUP`], interned in the host's [`SymbolTable`](crate::SymbolTable).
    pub group: &'a [u32],
    /// [`Columns::MESSAGE_TYPE`], interned in the host's [`SymbolTable`](crate::SymbolTable).
    pub message_type: &'a [u32],
    /// The policy's [properties](crate::QueueDispatch::properties), in their order.
    pub properties: &'a [PropertyColumn],
    /// [`Columns::ACK_INTERVAL`], one value per consumer; 0 for one that acknowledged nothing yet.
    pub ack_interval: &'a [u32],
    /// Who may take what: row-major bits, [`candidate_words`](Self::candidate_words) words a row, bit `i` for the
    /// consumer at index `i` of `consumers`. Empty when every consumer may take every row.
    pub candidates: &'a [u64],
    /// Every consumer of the destination.
    pub consumers: &'a [ConsumerRow],
}

impl<'a> DispatchBatch<'a> {
    /// A batch without columns where any consumer may take any row; fill in what the policy wants.
    pub fn new(now_ms: u64, rows: usize, consumers: &'a [ConsumerRow]) -> DispatchBatch<'a> {
        DispatchBatch { now_ms, rows, consumers, ..DispatchBatch::default() }
    }

    /// Words per row of the candidates matrix.
    pub fn candidate_words(&self) -> usize {
        self.consumers.len().div_ceil(64)
    }

    /// True if the consumer at `index` of the table may take `row`.
    pub fn is_candidate(&self, row: usize, index: usize) -> bool {
        if self.candidates.is_empty() {
            return true;
        }
        let word = row * self.candidate_words() + index / 64;
        self.candidates.get(word).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }
}
