//! The check of a plan: the host owns the truth, an answer that breaks it is counted and corrected.

use crate::{ConsumerRow, DispatchBatch, LEAVE};

/// What was wrong in a plan. All zero for a plan that was kept as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Corrections {
    /// Rows given to a slot that no consumer has.
    pub unknown_slot: u64,
    /// Rows given to a consumer that has no credit left in this batch.
    pub no_credit: u64,
    /// Rows given to a consumer that may not take them.
    pub not_candidate: u64,
    /// Rows without an answer.
    pub missing: u64,
    /// Answers without a row.
    pub surplus: u64,
}

impl Corrections {
    /// All the wrong answers together.
    pub fn total(&self) -> u64 {
        self.unknown_slot + self.no_credit + self.not_candidate + self.missing + self.surplus
    }

    /// Adds the counts of another plan.
    pub fn add(&mut self, other: &Corrections) {
        self.unknown_slot += other.unknown_slot;
        self.no_credit += other.no_credit;
        self.not_candidate += other.not_candidate;
        self.missing += other.missing;
        self.surplus += other.surplus;
    }
}

/// Checks plans and corrects them. Keeps its scratch between plans: in the steady state it allocates nothing.
#[derive(Debug, Default)]
pub struct PlanCheck {
    index: SlotIndex,
    /// Credit left of each consumer of the table while a plan is checked.
    credit: Vec<u32>,
    /// Rows whose answer was wrong.
    wrong: Vec<usize>,
    /// Index of the consumer after the one that a correction chose last, so that corrections go round as well.
    next: usize,
}

impl PlanCheck {
    /// A check with no history.
    pub fn new() -> PlanCheck {
        PlanCheck::default()
    }

    /// Makes `plan` right in place and counts what was wrong.
    ///
    /// Afterwards it has one entry per row of the batch, and each is [`LEAVE`] or the slot of a consumer that may take
    /// the row and had credit for it. Right answers are never touched: a wrong row gets credit that no right answer
    /// claims, in round robin, highest consumer priority first, or stays where it is.
    pub fn correct(&mut self, batch: &DispatchBatch<'_>, plan: &mut Vec<u32>) -> Corrections {
        let mut found = Corrections {
            surplus: plan.len().saturating_sub(batch.rows) as u64,
            missing: batch.rows.saturating_sub(plan.len()) as u64,
            ..Corrections::default()
        };
        let answered = plan.len().min(batch.rows);
        plan.resize(batch.rows, LEAVE);

        self.index.refresh(batch.consumers);
        self.credit.clear();
        self.credit.extend(batch.consumers.iter().map(|consumer| consumer.credit));
        self.wrong.clear();
        self.wrong.extend(answered..batch.rows);
        for (row, &slot) in plan.iter().enumerate().take(answered) {
            if slot == LEAVE {
                continue;
            }
            let counter = match self.index.get(slot) {
                None => &mut found.unknown_slot,
                Some(at) if !batch.is_candidate(row, at) => &mut found.not_candidate,
                Some(at) if self.credit[at] == 0 => &mut found.no_credit,
                Some(at) => {
                    self.credit[at] -= 1;
                    continue;
                }
            };
            *counter += 1;
            self.wrong.push(row);
        }
        for at in 0..self.wrong.len() {
            let row = self.wrong[at];
            plan[row] = self.choose(batch, row);
        }
        found
    }

    /// Takes credit for `row` from the next consumer that may have it.
    fn choose(&mut self, batch: &DispatchBatch<'_>, row: usize) -> u32 {
        let consumers = batch.consumers;
        let mut best: Option<usize> = None;
        for step in 0..consumers.len() {
            let at = (self.next + step) % consumers.len();
            let better = best.is_none_or(|best| consumers[at].priority > consumers[best].priority);
            if better && self.credit[at] > 0 && batch.is_candidate(row, at) {
                best = Some(at);
            }
        }
        let Some(at) = best else { return LEAVE };
        self.credit[at] -= 1;
        self.next = at + 1;
        consumers[at].slot
    }
}

/// Slot to index of the consumers table, made anew only when the slots of the table change.
#[derive(Debug, Default)]
pub(crate) struct SlotIndex {
    /// Slots of the table, in its order.
    slots: Vec<u32>,
    /// (slot, index), ascending.
    sorted: Vec<(u32, u32)>,
}

impl SlotIndex {
    /// Follows the table. True if its slots changed.
    pub(crate) fn refresh(&mut self, consumers: &[ConsumerRow]) -> bool {
        self.refresh_slots(consumers.iter().map(|row| row.slot))
    }

    /// The same for a table of other rows.
    pub(crate) fn refresh_slots(&mut self, slots: impl ExactSizeIterator<Item = u32> + Clone) -> bool {
        if self.slots.len() == slots.len() && self.slots.iter().copied().eq(slots.clone()) {
            return false;
        }
        self.slots.clear();
        self.slots.extend(slots);
        self.sorted.clear();
        self.sorted.extend(self.slots.iter().zip(0..).map(|(slot, index)| (*slot, index)));
        self.sorted.sort_unstable();
        true
    }

    /// Index of the consumer with this slot.
    pub(crate) fn get(&self, slot: u32) -> Option<usize> {
        let at = self.sorted.partition_point(|(other, _)| *other < slot);
        self.sorted.get(at).filter(|(other, _)| *other == slot).map(|(_, index)| *index as usize)
    }

    /// Slots of the table as it was at the last refresh.
    pub(crate) fn slots(&self) -> &[u32] {
        &self.slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(slot: u32, credit: u32) -> ConsumerRow {
        ConsumerRow { slot, credit, in_flight: 0, priority: 0 }
    }

    fn check(consumers: &[ConsumerRow], rows: usize, candidates: &[u64], plan: &[u32]) -> (Vec<u32>, Corrections) {
        let mut plan = plan.to_vec();
        let batch = DispatchBatch { candidates, ..DispatchBatch::new(0, rows, consumers) };
        let found = PlanCheck::new().correct(&batch, &mut plan);
        (plan, found)
    }

    #[test]
    fn a_right_plan_is_kept() {
        let table = [consumer(7, 2), consumer(3, 1)];
        let (plan, found) = check(&table, 4, &[], &[3, 7, LEAVE, 7]);
        assert_eq!(plan, [3, 7, LEAVE, 7]);
        assert_eq!(found, Corrections::default());
    }

    /// The credit that a right answer claims later in the batch is not spent on an earlier wrong one.
    #[test]
    fn right_answers_come_before_corrections() {
        let table = [consumer(1, 1), consumer(2, 1)];
        let (plan, found) = check(&table, 3, &[], &[99, 1, 98]);
        assert_eq!(plan, [2, 1, LEAVE]);
        assert_eq!(found.unknown_slot, 2);
    }

    #[test]
    fn credit_is_a_budget_of_the_batch() {
        let (plan, found) = check(&[consumer(1, 2), consumer(2, 5)], 4, &[], &[1, 1, 1, 1]);
        assert_eq!(plan, [1, 1, 2, 2]);
        assert_eq!(found, Corrections { no_credit: 2, ..Corrections::default() });
    }

    #[test]
    fn a_row_goes_to_candidates_only() {
        let (plan, found) = check(&[consumer(1, 9), consumer(2, 9)], 3, &[0b10, 0b01, 0b00], &[1, 1, 2]);
        assert_eq!(plan, [2, 1, LEAVE]);
        assert_eq!(found, Corrections { not_candidate: 2, ..Corrections::default() });
    }

    #[test]
    fn the_length_is_made_right() {
        let (plan, found) = check(&[consumer(1, 9)], 3, &[], &[1]);
        assert_eq!((plan, found.missing), (vec![1, 1, 1], 2));
        let (plan, found) = check(&[consumer(1, 9)], 1, &[], &[1, 1, 1]);
        assert_eq!((plan, found.surplus), (vec![1], 2));
    }

    #[test]
    fn nothing_is_given_when_nobody_is_there() {
        let (plan, found) = check(&[], 2, &[], &[0, 5]);
        assert_eq!((plan, found.unknown_slot), (vec![LEAVE, LEAVE], 2));
    }

    #[test]
    fn the_index_follows_the_table() {
        let mut index = SlotIndex::default();
        assert!(index.refresh(&[consumer(5, 0), consumer(1, 0)]));
        assert!(!index.refresh(&[consumer(5, 9), consumer(1, 9)]));
        assert_eq!((index.get(5), index.get(1), index.get(2)), (Some(0), Some(1), None));
        assert!(index.refresh(&[consumer(1, 0)]));
        assert_eq!((index.get(5), index.get(1)), (None, Some(0)));
    }
}
