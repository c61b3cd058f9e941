//! Strict order (ActiveMQ's `strictOrderDispatch`): each row goes to the first consumer that has credit and may take it,
//! in an order that does not move: the highest consumer priority first, then by `order`.
//!
//! Settings:
//! - `order` = `arrival` (default): who came first is filled first.
//!   `client-id`: the lowest client id is filled first, so that a main consumer that comes back is the main one again.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jackfield_policy::{Batch, Change, Give, QueuePolicy, Settings, export_queue_policy};

#[derive(Default)]
struct StrictOrder {
    by_client_id: bool,
    clients: BTreeMap<u32, String>,
    /// The table that `order` was made for; empty when members changed.
    seen: (Vec<u32>, Vec<i16>),
    /// Indices of the table, the first to be served first.
    order: Vec<usize>,
}

impl StrictOrder {
    fn line_up(&mut self, batch: &Batch) {
        let (slots, priority) = (&batch.consumers.slots, &batch.consumers.priority);
        if (&self.seen.0, &self.seen.1) != (slots, priority) {
            self.seen = (slots.clone(), priority.clone());
            let client = |at: usize| self.clients.get(&slots[at]).filter(|_| self.by_client_id);
            self.order = (0..slots.len()).collect();
            self.order.sort_by(|a, b| (Reverse(priority[*a]), client(*a)).cmp(&(Reverse(priority[*b]), client(*b))));
        }
    }
}

impl QueuePolicy for StrictOrder {
    const ROWS_MAX: u32 = 256;

    fn configure(&mut self, settings: &mut Settings) {
        self.by_client_id = settings.choice("order", &["arrival", "client-id"]) == 1;
    }

    fn members_changed(&mut self, changes: Vec<Change>) {
        self.seen = Default::default();
        for change in changes {
            match change {
                Change::Joined(member) => self.clients.insert(member.slot, member.client_id),
                Change::Left(slot) => self.clients.remove(&slot),
            };
        }
    }

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        self.line_up(batch);
        for row in 0..batch.rows() {
            if !give.any_credit() {
                break;
            }
            if let Some(at) = self.order.iter().copied().find(|at| give.may_take(batch, row, *at)) {
                give.give(batch, row, at);
            }
        }
    }
}

export_queue_policy!(StrictOrder);
