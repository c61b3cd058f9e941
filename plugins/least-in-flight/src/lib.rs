//! Least in flight: each row goes to the consumer with the highest priority, then the fewest messages in flight; what
//! the batch itself gives away counts. Equals are served in turn.

use jackfield_policy::{Batch, Give, QueuePolicy, export_queue_policy};

/// Where the search goes on.
#[derive(Default)]
pub struct LeastInFlight {
    /// Index of the table behind the consumer that was served last.
    next: usize,
}

impl LeastInFlight {
    fn choose(&self, batch: &Batch, give: &Give, row: usize, in_flight: &[u32]) -> Option<usize> {
        let priority = &batch.consumers.priority;
        let mut best: Option<usize> = None;
        for at in (self.next..priority.len()).chain(0..self.next) {
            if !give.may_take(batch, row, at) {
                continue;
            }
            let better = best.is_none_or(|best| {
                priority[at] > priority[best] || priority[at] == priority[best] && in_flight[at] < in_flight[best]
            });
            if better {
                best = Some(at);
            }
        }
        best
    }
}

impl QueuePolicy for LeastInFlight {
    const ROWS_MAX: u32 = 256;
    const STATE_VERSION: u32 = 1;

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        let mut in_flight = batch.consumers.in_flight.clone();
        for row in 0..batch.rows() {
            if self.next >= in_flight.len() {
                self.next = 0;
            }
            if let Some(at) = self.choose(batch, give, row, &in_flight) {
                give.give(batch, row, at);
                in_flight[at] = in_flight[at].saturating_add(1);
                self.next = at + 1;
            }
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        (self.next as u32).to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let Ok(next) = state.try_into() else { return false };
        self.next = u32::from_le_bytes(next) as usize;
        true
    }
}

export_queue_policy!(LeastInFlight);
