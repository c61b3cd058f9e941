//! Least in flight: who has the fewest unacknowledged messages is served.

use super::NATIVE_ROWS_MAX;
use crate::{Columns, Decided, DispatchBatch, LEAVE, MemberChange, PolicyStats, QueueDispatch};

/// Each row goes to the consumer with the highest priority, then the fewest messages in flight; what the batch itself
/// gives away counts. Equals are served in turn.
#[derive(Debug, Default)]
pub struct LeastInFlight {
    credit: Vec<u32>,
    in_flight: Vec<u32>,
    /// Index of the table where the search begins: behind the consumer that was served last.
    next: usize,
    stats: PolicyStats,
}

impl LeastInFlight {
    /// The name in a configuration.
    pub const NAME: &'static str = "least-in-flight";
    /// One line for people.
    pub const DESCRIPTION: &'static str =
        "the consumer with the fewest unacknowledged messages; higher priorities first";

    /// A policy that served nobody yet.
    pub fn new() -> LeastInFlight {
        LeastInFlight::default()
    }

    fn serve(&mut self, batch: &DispatchBatch<'_>, row: usize) -> u32 {
        let count = batch.consumers.len();
        if self.next >= count {
            self.next = 0;
        }
        let mut best: Option<usize> = None;
        for at in (self.next..count).chain(0..self.next) {
            if self.credit[at] == 0 || !batch.is_candidate(row, at) {
                continue;
            }
            let better = best.is_none_or(|best| {
                let (mine, other) = (batch.consumers[at].priority, batch.consumers[best].priority);
                mine > other || mine == other && self.in_flight[at] < self.in_flight[best]
            });
            if better {
                best = Some(at);
            }
        }
        let Some(at) = best else { return LEAVE };
        self.credit[at] -= 1;
        self.in_flight[at] = self.in_flight[at].saturating_add(1);
        self.next = at + 1;
        batch.consumers[at].slot
    }
}

impl QueueDispatch for LeastInFlight {
    fn wants(&self) -> Columns {
        Columns::NONE
    }

    fn rows_max(&self) -> usize {
        NATIVE_ROWS_MAX
    }

    fn members_changed(&mut self, _changes: &[MemberChange]) {}

    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided {
        self.credit.clear();
        self.credit.extend(batch.consumers.iter().map(|row| row.credit));
        self.in_flight.clear();
        self.in_flight.extend(batch.consumers.iter().map(|row| row.in_flight));
        out.clear();
        for row in 0..batch.rows {
            let slot = self.serve(batch, row);
            out.push(slot);
        }
        self.stats.count(batch.rows, Decided::Policy);
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

    fn check(rows: &[(u32, u32, u32, i16)], candidates: &[u64], expected: &[u32]) {
        let consumers: Vec<_> = rows
            .iter()
            .map(|&(slot, credit, in_flight, priority)| ConsumerRow { slot, credit, in_flight, priority })
            .collect();
        let batch = DispatchBatch { candidates, ..DispatchBatch::new(0, expected.len(), &consumers) };
        let mut out = vec![];
        LeastInFlight::new().plan(&batch, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn the_least_loaded_is_served_and_equals_take_turns() {
        check(&[(1, 9, 3, 0), (2, 9, 0, 0)], &[], &[2, 2, 2, 1, 2]);
        check(&[(1, 9, 0, 0), (2, 9, 0, 0), (3, 9, 0, 0)], &[], &[1, 2, 3, 1]);
    }

    #[test]
    fn priority_credit_and_candidates_come_first() {
        check(&[(1, 9, 0, 0), (2, 1, 50, 4)], &[], &[2, 1, 1]);
        check(&[(1, 1, 0, 0)], &[], &[1, LEAVE]);
        check(&[(1, 9, 0, 0), (2, 9, 7, 0)], &[0b10, 0b00, 0b11], &[2, LEAVE, 1]);
        check(&[], &[], &[LEAVE]);
    }
}
