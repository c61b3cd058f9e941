//! The question as a policy reads it, and the answer as it is built.

use crate::Column;
use crate::bindings::jackfield::policy::types::{ColumnData, Consumers};

/// In an answer: leave the row where it is.
pub const LEAVE: u32 = u32::MAX;

/// Id of the column of a policy's first property.
const PROPERTY_ID_FIRST: u32 = 1000;

/// Messages that wait, oldest first, and the consumers as they stand.
pub struct Batch {
    pub(crate) messages: crate::bindings::jackfield::policy::types::Batch,
    /// All the consumers; index `i` of each list is the same consumer.
    pub consumers: Consumers,
    /// Words per row of the candidates matrix, 0 if any consumer may take any row.
    words: usize,
}

impl Batch {
    pub(crate) fn new(messages: crate::bindings::jackfield::policy::types::Batch, consumers: Consumers) -> Batch {
        let words = if messages.candidates.is_empty() { 0 } else { consumers.slots.len().div_ceil(64) };
        Batch { messages, consumers, words }
    }

    /// How many messages there are.
    pub fn rows(&self) -> usize {
        self.messages.rows as usize
    }

    /// The broker's time in ms since 1970.
    pub fn now_ms(&self) -> u64 {
        self.messages.now_ms
    }

    /// Name of the destination, a symbol.
    pub fn destination(&self) -> u32 {
        self.messages.destination
    }

    /// True if the consumer at index `at` may take `row`, credit aside.
    pub fn is_candidate(&self, row: usize, at: usize) -> bool {
        self.words == 0 || self.messages.candidates[row * self.words + at / 64] >> (at % 64) & 1 == 1
    }

    /// A column of bytes: the priority. Empty if it was not asked for.
    pub fn u8s(&self, column: Column) -> &[u8] {
        match self.data(column) {
            Some(ColumnData::U8s(values)) => values,
            _ => &[],
        }
    }

    /// A column of numbers or symbols: size, redelivery count, group, type. Empty if it was not asked for.
    pub fn u32s(&self, column: Column) -> &[u32] {
        match self.data(column) {
            Some(ColumnData::U32s(values) | ColumnData::Symbols(values)) => values,
            _ => &[],
        }
    }

    /// A column of times or the sequence. Empty if it was not asked for.
    pub fn s64s(&self, column: Column) -> &[i64] {
        match self.data(column) {
            Some(ColumnData::S64s(values)) => values,
            _ => &[],
        }
    }

    /// The values of the policy's property at index `property` of [`QueuePolicy::properties`], one per row, if it asked
    /// for it by [`Property::symbol`].
    ///
    /// [`QueuePolicy::properties`]: crate::QueuePolicy::properties
    /// [`Property::symbol`]: crate::Property::symbol
    pub fn symbols(&self, property: usize) -> &[u32] {
        match self.property(property) {
            Some(ColumnData::Symbols(values)) => values,
            _ => &[],
        }
    }

    /// The same for [`Property::number`](crate::Property::number).
    pub fn numbers(&self, property: usize) -> &[f64] {
        match self.property(property) {
            Some(ColumnData::F64s(values)) => values,
            _ => &[],
        }
    }

    /// The same for [`Property::hash`](crate::Property::hash).
    pub fn hashes(&self, property: usize) -> &[i64] {
        match self.property(property) {
            Some(ColumnData::S64s(values)) => values,
            _ => &[],
        }
    }

    /// What each consumer needs for an acknowledgement, in microseconds; 0 for one that acknowledged nothing yet. Empty
    /// if [`Column::AckInterval`] was not asked for.
    pub fn ack_intervals(&self) -> &[u32] {
        match self.consumers.columns.iter().find(|column| column.id == Column::AckInterval as u32) {
            Some(crate::bindings::jackfield::policy::types::Column { data: ColumnData::U32s(values), .. }) => values,
            _ => &[],
        }
    }

    fn property(&self, property: usize) -> Option<&ColumnData> {
        let id = PROPERTY_ID_FIRST + property as u32;
        self.messages.columns.iter().find(|other| other.id == id).map(|other| &other.data)
    }

    fn data(&self, column: Column) -> Option<&ColumnData> {
        self.messages.columns.iter().find(|other| other.id == column as u32).map(|other| &other.data)
    }
}

/// The answer while it is built: what is left of each credit, and a slot per row.
pub struct Give {
    /// Credit left of each consumer of the table.
    credit: Vec<u32>,
    /// Credit of all consumers together.
    left: u64,
    pub(crate) slots: Vec<u32>,
}

impl Give {
    pub(crate) fn new(batch: &Batch) -> Give {
        let credit = batch.consumers.credit.clone();
        let left = credit.iter().copied().map(u64::from).sum();
        Give { credit, left, slots: vec![LEAVE; batch.rows()] }
    }

    /// True if any consumer has credit left.
    pub fn any_credit(&self) -> bool {
        self.left > 0
    }

    /// Unacknowledged messages of the consumer at index `at`, those of this answer included.
    pub fn in_flight(&self, batch: &Batch, at: usize) -> u64 {
        let given = batch.consumers.credit[at] - self.credit[at];
        u64::from(batch.consumers.in_flight[at]) + u64::from(given)
    }

    /// True if the consumer at index `at` has credit left and may take `row`.
    pub fn may_take(&self, batch: &Batch, row: usize, at: usize) -> bool {
        self.credit[at] > 0 && batch.is_candidate(row, at)
    }

    /// Gives `row` to the consumer at index `at`, which [`may_take`](Self::may_take) it.
    pub fn give(&mut self, batch: &Batch, row: usize, at: usize) {
        self.credit[at] -= 1;
        self.left -= 1;
        self.slots[row] = batch.consumers.slots[at];
    }
}
