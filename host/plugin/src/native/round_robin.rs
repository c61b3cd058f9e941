//! Round robin: who was served goes to the end of the line.

use super::NATIVE_ROWS_MAX;
use crate::check::SlotIndex;
use crate::{Columns, Decided, DispatchBatch, LEAVE, MemberChange, PolicyStats, QueueDispatch};

/// ActiveMQ's default: each row goes to the first consumer in line that has credit and may take it, and that consumer
/// goes to the end of its priority. Higher consumer priorities come first as long as they have credit.
#[derive(Debug, Default)]
pub struct RoundRobin {
    index: SlotIndex,
    /// The line: indices of the consumers table, highest priority first.
    line: Vec<u32>,
    /// Priority of each consumer of the table, as the line was sorted.
    priority: Vec<i16>,
    credit: Vec<u32>,
    /// The line as slots while the table changes.
    slots: Vec<u32>,
    /// True for consumers that are in the line while the table changes.
    lined: Vec<bool>,
    stats: PolicyStats,
}

impl RoundRobin {
    /// The name in a configuration.
    pub const NAME: &'static str = "round-robin";
    /// One line for people.
    pub const DESCRIPTION: &'static str =
        "who was served goes to the end of the line; higher consumer priorities first";

    /// A line with nobody in it.
    pub fn new() -> RoundRobin {
        RoundRobin::default()
    }

    /// Brings the line in step with the table: who stayed keeps the place, who is new stands at the end.
    fn line_up(&mut self, batch: &DispatchBatch<'_>) {
        self.slots.clear();
        self.slots.extend(self.line.iter().map(|at| self.index.slots()[*at as usize]));
        let table_changed = self.index.refresh(batch.consumers);
        let order_changed = !self.priority.iter().copied().eq(batch.consumers.iter().map(|row| row.priority));
        if !table_changed && !order_changed {
            return;
        }
        self.priority.clear();
        self.priority.extend(batch.consumers.iter().map(|row| row.priority));
        self.lined.clear();
        self.lined.resize(batch.consumers.len(), false);
        self.line.clear();
        for slot in &self.slots {
            if let Some(at) = self.index.get(*slot) {
                self.lined[at] = true;
                self.line.push(at as u32);
            }
        }
        self.line.extend(self.lined.iter().zip(0..).filter(|(lined, _)| !**lined).map(|(_, at)| at));
        let priority = &self.priority;
        self.line.sort_by_key(|at| -i32::from(priority[*at as usize]));
    }

    /// Serves the first in line that can take `row`.
    fn serve(&mut self, batch: &DispatchBatch<'_>, row: usize) -> u32 {
        let found = self.line.iter().position(|at| {
            let at = *at as usize;
            self.credit[at] > 0 && batch.is_candidate(row, at)
        });
        let Some(place) = found else { return LEAVE };
        let at = self.line[place] as usize;
        self.credit[at] -= 1;
        let class = self.priority[at];
        let behind = self.line[place..].iter().take_while(|at| self.priority[**at as usize] == class).count();
        self.line[place..place + behind].rotate_left(1);
        batch.consumers[at].slot
    }
}

impl QueueDispatch for RoundRobin {
    fn wants(&self) -> Columns {
        Columns::NONE
    }

    fn rows_max(&self) -> usize {
        NATIVE_ROWS_MAX
    }

    fn members_changed(&mut self, _changes: &[MemberChange]) {}

    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided {
        self.line_up(batch);
        self.credit.clear();
        self.credit.extend(batch.consumers.iter().map(|row| row.credit));
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

    fn table(rows: &[(u32, u32, i16)]) -> Vec<ConsumerRow> {
        rows.iter().map(|&(slot, credit, priority)| ConsumerRow { slot, credit, in_flight: 0, priority }).collect()
    }

    fn plan(policy: &mut RoundRobin, consumers: &[ConsumerRow], rows: usize, candidates: &[u64]) -> Vec<u32> {
        let mut out = vec![];
        let batch = DispatchBatch { candidates, ..DispatchBatch::new(0, rows, consumers) };
        assert_eq!(policy.plan(&batch, &mut out), Decided::Policy);
        out
    }

    #[test]
    fn the_served_goes_to_the_end_over_batches() {
        let mut policy = RoundRobin::new();
        let consumers = table(&[(10, 9, 0), (11, 9, 0), (12, 9, 0)]);
        assert_eq!(plan(&mut policy, &consumers, 2, &[]), [10, 11]);
        assert_eq!(plan(&mut policy, &consumers, 3, &[]), [12, 10, 11]);
    }

    #[test]
    fn credit_is_a_budget_and_the_rest_stays() {
        let mut policy = RoundRobin::new();
        assert_eq!(plan(&mut policy, &table(&[(1, 1, 0), (2, 2, 0)]), 5, &[]), [1, 2, 2, LEAVE, LEAVE]);
    }

    #[test]
    fn high_priority_comes_first_while_it_has_credit() {
        let mut policy = RoundRobin::new();
        let consumers = table(&[(1, 9, -5), (2, 1, 3), (3, 2, 3)]);
        assert_eq!(plan(&mut policy, &consumers, 5, &[]), [2, 3, 3, 1, 1]);
    }

    #[test]
    fn who_may_not_take_a_row_keeps_the_place() {
        let mut policy = RoundRobin::new();
        let consumers = table(&[(1, 9, 0), (2, 9, 0)]);
        assert_eq!(plan(&mut policy, &consumers, 3, &[0b10, 0b11, 0b00]), [2, 1, LEAVE]);
    }

    #[test]
    fn a_change_of_members_keeps_the_line() {
        let mut policy = RoundRobin::new();
        assert_eq!(plan(&mut policy, &table(&[(1, 9, 0), (2, 9, 0), (3, 9, 0)]), 1, &[]), [1]);
        assert_eq!(plan(&mut policy, &table(&[(1, 9, 0), (4, 9, 0), (3, 9, 0)]), 3, &[]), [3, 1, 4]);
        assert_eq!(plan(&mut policy, &[], 2, &[]), [LEAVE, LEAVE]);
    }

    #[test]
    fn candidates_reach_over_one_word() {
        let consumers: Vec<_> =
            (0..70).map(|slot| ConsumerRow { slot, credit: 1, in_flight: 0, priority: 0 }).collect();
        assert_eq!(plan(&mut RoundRobin::new(), &consumers, 2, &[0, 1 << 5, 1, 0]), [69, 0]);
    }
}
