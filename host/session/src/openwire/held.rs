//! What a consumer holds: which delivery an acknowledgement means. Clients name messages, the broker machine counts
//! deliveries.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use message::TransactionKey;
use rustc_hash::FxBuildHasher;
use wire::openwire::MessageId;

/// Acknowledged alone, in the middle of others.
const GONE: TransactionKey = TransactionKey::MAX;

/// One delivery. A message id takes too much room to be kept a thousand times per consumer, so its producer is a hash;
/// a client that makes two producers collide misleads nobody but itself.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u64,
    /// Hash of the producer's id.
    producer: u64,
    /// The producer's count.
    sequence: i64,
    /// The broker's count, which clients send back with the id.
    broker_sequence: i64,
    /// The open transaction that acknowledges it; 0 for none.
    transaction: TransactionKey,
}

/// Deliveries of one consumer, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    entries: VecDeque<Entry>,
    /// Entries that are gone but not yet taken out.
    gone: usize,
    /// Something was delivered, be it gone by now.
    begun: bool,
}

/// Deliveries that an acknowledgement means, by place; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: usize,
    last: usize,
}

/// A message that is not among the deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    First,
    Last,
}

fn hash(id: &MessageId) -> u64 {
    FxBuildHasher.hash_one((&id.producer.connection[..], id.producer.session, id.producer.value))
}

impl Held {
    pub(super) fn push(&mut self, tag: u64, id: &MessageId) {
        let (producer, sequence, broker_sequence) = (hash(id), id.sequence, id.broker_sequence);
        self.entries.push_back(Entry { tag, producer, sequence, broker_sequence, transaction: 0 });
        self.begun = true;
    }

    /// Whether anything was ever delivered. What a consumer acknowledges before that, it had from another broker.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.gone
    }

    /// From `first`, or from the oldest when the client names none, up to `last`.
    pub(super) fn range(&self, first: Option<&MessageId>, last: &MessageId) -> Result<Range, Miss> {
        let first = match first {
            None => 0,
            Some(id) => self.find(id, 0).ok_or(Miss::First)?,
        };
        let last = self.find(last, first).ok_or(Miss::Last)?;
        Ok(Range { first, last })
    }

    /// The broker's count tells copies of one message apart; after a failover the client still has the old broker's,
    /// so the id alone must do then.
    fn find(&self, id: &MessageId, from: usize) -> Option<usize> {
        let producer = hash(id);
        let mut by_id = None;
        for (at, entry) in self.entries.range(from..).enumerate() {
            if entry.sequence == id.sequence && entry.producer == producer && entry.transaction != GONE {
                if id.broker_sequence == 0 || entry.broker_sequence == id.broker_sequence {
                    return Some(from + at);
                }
                by_id.get_or_insert(from + at);
            }
        }
        by_id
    }

    /// First and last delivery tag of the range.
    pub(super) fn tags(&self, range: Range) -> (u64, u64) {
        (self.entries[range.first].tag, self.entries[range.last].tag)
    }

    /// Deliveries in the range.
    pub(super) fn count(&self, range: Range) -> usize {
        if self.gone == 0 {
            return range.last - range.first + 1;
        }
        self.entries.range(range.first..=range.last).filter(|entry| entry.transaction != GONE).count()
    }

    /// The deliveries are done with.
    pub(super) fn release(&mut self, range: Range) {
        if range.first == 0 {
            let gone = self.entries.drain(..=range.last).filter(|entry| entry.transaction == GONE).count();
            self.gone -= gone;
        } else {
            for entry in self.entries.range_mut(range.first..=range.last) {
                self.gone += usize::from(entry.transaction != GONE);
                entry.transaction = GONE;
            }
        }
        self.tidy();
    }

    /// The deliveries are done with once the transaction commits.
    pub(super) fn mark(&mut self, range: Range, transaction: TransactionKey) {
        for entry in self.entries.range_mut(range.first..=range.last).filter(|entry| entry.transaction == 0) {
            entry.transaction = transaction;
        }
    }

    /// The transaction has ended: what it acknowledged is done with, or held as before.
    pub(super) fn settle(&mut self, transaction: TransactionKey, committed: bool) {
        for entry in self.entries.iter_mut().filter(|entry| entry.transaction == transaction) {
            entry.transaction = if committed { GONE } else { 0 };
            self.gone += usize::from(committed);
        }
        self.tidy();
    }

    /// Takes out what is gone: at the front at once, elsewhere when it is the greater part.
    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.transaction == GONE) {
            self.entries.pop_front();
            self.gone -= 1;
        }
        if self.gone > 32 && self.gone * 2 > self.entries.len() {
            self.entries.retain(|entry| entry.transaction != GONE);
            self.gone = 0;
        }
    }

    /// The delivery tag that `RemoveInfo.lastDeliveredSequenceId` means (row L13): `None` for unknown, 0 for none.
    pub(super) fn last_delivered(&self, broker_sequence: i64) -> Option<u64> {
        match broker_sequence {
            ..-1 => None,
            -1 => Some(0),
            _ => {
                let held = || self.entries.iter().rev().filter(|entry| entry.transaction != GONE);
                let exact = held().find(|entry| entry.broker_sequence == broker_sequence);
                let found = exact.or_else(|| held().find(|entry| entry.broker_sequence <= broker_sequence));
                Some(found.map_or(0, |entry| entry.tag))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::openwire::ProducerId;

    use super::*;

    fn id(sequence: i64) -> MessageId {
        let producer = ProducerId { connection: "ID:p".into(), session: 1, value: 1 };
        MessageId { producer, sequence, broker_sequence: 100 + sequence, text_view: None }
    }

    fn held(count: i64) -> Held {
        let mut held = Held::default();
        (1..=count).for_each(|n| held.push(n as u64, &id(n)));
        held
    }

    #[test]
    fn ranges_find_their_deliveries() {
        let held = held(9);
        let tags = |first: Option<i64>, last| held.range(first.map(id).as_ref(), &id(last)).map(|r| held.tags(r));
        assert_eq!(tags(None, 4), Ok((1, 4)));
        assert_eq!(tags(Some(3), 4), Ok((3, 4)));
        assert_eq!(tags(Some(9), 9), Ok((9, 9)));
        assert_eq!(tags(Some(10), 9), Err(Miss::First));
        assert_eq!(tags(Some(4), 3), Err(Miss::Last));
        assert_eq!(tags(None, 10), Err(Miss::Last));
    }

    /// Two copies of one message, as a composite destination makes them, are told apart by the broker's count.
    #[test]
    fn copies_are_told_apart_and_strangers_counts_do_not_matter() {
        let mut held = Held::default();
        let copy = |broker_sequence| MessageId { broker_sequence, ..id(1) };
        held.push(1, &copy(7));
        held.push(2, &copy(8));
        let find = |id| held.range(None, &id).map(|range| held.tags(range).1);
        assert_eq!((find(copy(7)), find(copy(8)), find(copy(0)), find(copy(99))), (Ok(1), Ok(2), Ok(1), Ok(1)));
    }

    /// Whatever the order of acknowledgements, no entry stays behind and memory follows what is held.
    #[test]
    fn acknowledging_one_by_one_leaves_nothing_behind() {
        let mut held = held(5000);
        for n in (1..=5000).rev() {
            let range = held.range(Some(&id(n)), &id(n)).expect("not acknowledged yet");
            assert_eq!(held.count(range), 1);
            held.release(range);
            assert_eq!(held.len(), (n - 1) as usize);
            assert!(held.entries.len() <= 2 * held.len() + 33);
            assert_eq!(held.range(None, &id(n)), Err(Miss::Last));
        }
        assert!(held.entries.is_empty());
    }

    #[test]
    fn transactions_keep_their_deliveries_until_they_commit() {
        let mut held = held(6);
        let range = held.range(None, &id(3)).expect("held");
        held.mark(range, 5);
        held.settle(5, false);
        assert_eq!(held.len(), 6);
        let range = held.range(None, &id(3)).expect("held again");
        held.mark(range, 6);
        held.settle(6, true);
        assert_eq!(held.len(), 3);
        assert_eq!(held.range(None, &id(4)).map(|range| held.tags(range)), Ok((4, 4)));
    }

    #[test]
    fn the_last_delivery_is_found_by_the_brokers_count() {
        let held = held(5);
        for (given, expected) in
            [(-2, None), (i64::MIN, None), (-1, Some(0)), (0, Some(0)), (103, Some(3)), (999, Some(5)), (100, Some(0))]
        {
            assert_eq!(held.last_delivered(given), expected, "{given}");
        }
    }
}
