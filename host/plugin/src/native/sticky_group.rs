//! Sticky: a group stays with whoever it was given to.

use crate::groups::fewest_owned;
use crate::{Decided, GroupAssignment, GroupBatch, LEAVE, MemberChange, PolicyStats};

/// ActiveMQ's habit: a group without an owner goes to the consumer with the fewest groups among those of the highest
/// priority that have credit, and moves only when its owner goes. Equals are served in turn; a group for which nobody
/// has credit waits.
#[derive(Debug, Default)]
pub struct Sticky {
    owned: Vec<u32>,
    credit: Vec<u32>,
    /// Index of the table where the search begins: behind the consumer that got a group last.
    next: usize,
    stats: PolicyStats,
}

impl Sticky {
    /// The name in a configuration.
    pub const NAME: &'static str = "sticky";
    /// One line for people.
    pub const DESCRIPTION: &'static str = "a new group goes to the consumer with the fewest groups and stays there";

    /// A policy that assigned nothing yet.
    pub fn new() -> Sticky {
        Sticky::default()
    }
}

impl GroupAssignment for Sticky {
    fn members_changed(&mut self, _changes: &[MemberChange]) {}

    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided {
        self.owned.clear();
        self.owned.extend_from_slice(batch.owned);
        self.credit.clear();
        self.credit.extend(batch.consumers.iter().map(|row| row.credit));
        out.clear();
        for row in 0..batch.rows() {
            let found = fewest_owned(batch, row, &self.owned, |at| self.credit[at] > 0, self.next);
            let slot = found.map_or(LEAVE, |at| {
                self.owned[at] = self.owned[at].saturating_add(1);
                self.credit[at] -= 1;
                self.next = at + 1;
                batch.consumers[at].slot
            });
            out.push(slot);
        }
        self.stats.count(batch.rows(), Decided::Policy);
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConsumerRow;

    /// Consumers as (slot, credit, priority, groups owned).
    fn check(consumers: &[(u32, u32, i16, u32)], candidates: &[u64], expected: &[u32]) {
        let rows: Vec<_> = consumers
            .iter()
            .map(|&(slot, credit, priority, _)| ConsumerRow { slot, credit, in_flight: 0, priority })
            .collect();
        let owned: Vec<_> = consumers.iter().map(|consumer| consumer.3).collect();
        let hash = vec![1; expected.len()];
        let batch = GroupBatch { hash: &hash, candidates, consumers: &rows, owned: &owned, ..GroupBatch::default() };
        let mut out = vec![];
        Sticky::new().assign(&batch, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn who_owns_the_fewest_gets_the_next() {
        check(&[(1, 9, 0, 3), (2, 9, 0, 1)], &[], &[2, 2, 1, 2]);
        check(&[(1, 9, 0, 0), (2, 9, 0, 0), (3, 9, 0, 0)], &[], &[1, 2, 3, 1]);
    }

    #[test]
    fn priority_credit_and_candidates_come_first() {
        check(&[(1, 9, 0, 0), (2, 2, 5, 7)], &[], &[2, 2, 1]);
        check(&[(1, 1, 0, 0), (2, 0, 0, 0)], &[], &[1, LEAVE]);
        check(&[(1, 9, 0, 0), (2, 9, 0, 9)], &[0b10, 0b00, 0b11], &[2, LEAVE, 1]);
        check(&[], &[], &[LEAVE]);
    }
}
