//! Whose turn it is, for policies that serve equals one after the other.

use crate::{Batch, Give};

/// Goes round the consumers: a search begins behind the one that was served last.
#[derive(Debug, Default)]
pub struct Turn {
    next: u32,
}

impl Turn {
    /// Indices of the table in turn.
    pub fn order(&mut self, batch: &Batch) -> impl Iterator<Item = usize> + use<> {
        let count = batch.consumers.slots.len();
        if self.next as usize >= count {
            self.next = 0;
        }
        let next = self.next as usize;
        (next..count).chain(0..next)
    }

    /// The consumer at index `at` was served.
    pub fn served(&mut self, at: usize) {
        self.next = at as u32 + 1;
    }

    /// Gives `row` to the consumer of the highest priority, then with the fewest messages in flight, then next in turn.
    /// False if none may take it.
    pub fn give_least_loaded(&mut self, batch: &Batch, give: &mut Give, row: usize) -> bool {
        let mut best: Option<(usize, i16, u64)> = None;
        for at in self.order(batch) {
            if !give.may_take(batch, row, at) {
                continue;
            }
            let (priority, load) = (batch.consumers.priority[at], give.in_flight(batch, at));
            if best.is_none_or(|(_, p, l)| priority > p || priority == p && load < l) {
                best = Some((at, priority, load));
            }
        }
        let Some((at, ..)) = best else { return false };
        give.give(batch, row, at);
        self.served(at);
        true
    }

    /// For [`snapshot`](crate::QueuePolicy::snapshot).
    pub fn to_state(&self) -> Vec<u8> {
        self.next.to_le_bytes().to_vec()
    }

    /// Goes on where [`to_state`](Self::to_state) was; false if `state` is none of its.
    pub fn restore(&mut self, state: &[u8]) -> bool {
        let Ok(next) = state.try_into() else { return false };
        self.next = u32::from_le_bytes(next);
        true
    }
}
