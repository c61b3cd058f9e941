//! Round robin, ActiveMQ's default: each row goes to the first consumer in line that has credit and may take it, and
//! that consumer goes to the end of its priority. Higher consumer priorities come first as long as they have credit.
//! Takes no settings.
//!
//! The state is the line as slots, so that a policy that slept goes on where it was.

use jackfield_policy::{Batch, Give, QueuePolicy, export_queue_policy};

/// The line.
#[derive(Default)]
pub struct RoundRobin {
    /// The table that `line` points into.
    slots: Vec<u32>,
    priority: Vec<i16>,
    /// Indices of the table, highest priority first.
    line: Vec<u32>,
    /// The line of a state that was restored, until the first table is seen.
    restored: Vec<u32>,
}

impl RoundRobin {
    fn line_as_slots(&self) -> Vec<u32> {
        if self.slots.is_empty() {
            return self.restored.clone();
        }
        self.line.iter().map(|at| self.slots[*at as usize]).collect()
    }

    /// Who stayed keeps the place, who is new stands at the end.
    fn line_up(&mut self, batch: &Batch) {
        let table = &batch.consumers;
        if self.slots == table.slots && self.priority == table.priority {
            return;
        }
        let old = self.line_as_slots();
        let mut sorted: Vec<(u32, u32)> = table.slots.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let mut lined = vec![false; table.slots.len()];
        self.line.clear();
        for slot in old {
            if let Ok(place) = sorted.binary_search_by_key(&slot, |(slot, _)| *slot) {
                let at = sorted[place].1;
                lined[at as usize] = true;
                self.line.push(at);
            }
        }
        self.line.extend(lined.iter().zip(0..).filter(|(lined, _)| !**lined).map(|(_, at)| at));
        self.line.sort_by_key(|at| -i32::from(table.priority[*at as usize]));
        self.slots.clone_from(&table.slots);
        self.priority.clone_from(&table.priority);
    }
}

impl QueuePolicy for RoundRobin {
    const ROWS_MAX: u32 = 256;
    const STATE_VERSION: u8 = 1;

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        self.line_up(batch);
        for row in 0..batch.rows() {
            let found = self.line.iter().position(|at| give.may_take(batch, row, *at as usize));
            let Some(place) = found else { continue };
            let at = self.line[place] as usize;
            give.give(batch, row, at);
            let class = self.priority[at];
            let behind = self.line[place..].iter().take_while(|at| self.priority[**at as usize] == class).count();
            self.line[place..place + behind].rotate_left(1);
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        self.line_as_slots().into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let (slots, rest) = state.as_chunks::<4>();
        self.restored = slots.iter().map(|slot| u32::from_le_bytes(*slot)).collect();
        rest.is_empty()
    }
}

export_queue_policy!(RoundRobin);
