//! Strict order: one consumer is filled before the next one gets anything.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::give::{Give, Plan};
use super::settings::Settings;
use crate::{DispatchBatch, MemberChange};

/// Each row goes to the first consumer that has credit and may take it, in an order that does not move: the highest
/// consumer priority, then who came first, or whose client id comes first (ActiveMQ's `strictOrderDispatch`).
#[derive(Debug, Default)]
pub(super) struct StrictOrder {
    by_client_id: bool,
    clients: BTreeMap<u32, Arc<str>>,
    /// Slots and priorities of the table that `order` was made for; cleared when members change.
    seen: Vec<(u32, i16)>,
    /// Indices of the table, the first to be served first.
    order: Vec<usize>,
}

impl StrictOrder {
    fn line_up(&mut self, batch: &DispatchBatch<'_>) {
        let table = batch.consumers;
        if self.seen.iter().copied().eq(table.iter().map(|row| (row.slot, row.priority))) {
            return;
        }
        self.seen.clear();
        self.seen.extend(table.iter().map(|row| (row.slot, row.priority)));
        self.order.clear();
        self.order.extend(0..table.len());
        let client = |at: usize| self.clients.get(&table[at].slot).filter(|_| self.by_client_id);
        self.order
            .sort_by(|a, b| (Reverse(table[*a].priority), client(*a)).cmp(&(Reverse(table[*b].priority), client(*b))));
    }
}

impl Plan for StrictOrder {
    fn configure(&mut self, settings: &mut Settings<'_>) {
        self.by_client_id = settings.choice("order", &["arrival", "client-id"]) == 1;
    }

    fn members_changed(&mut self, changes: &[MemberChange]) {
        self.seen.clear();
        for change in changes {
            match change {
                MemberChange::Joined(member) => self.clients.insert(member.slot, member.client_id.clone()),
                MemberChange::Left(slot) => self.clients.remove(slot),
            };
        }
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, give: &mut Give) {
        self.line_up(batch);
        for row in 0..batch.rows {
            if !give.any_credit() {
                break;
            }
            if let Some(at) = self.order.iter().copied().find(|at| give.may_take(batch, row, *at)) {
                give.give(batch, row, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{consumer, joined, make, plan};
    use crate::LEAVE;

    #[test]
    fn one_is_filled_before_the_next() {
        let mut policy = make("strict-order", &[]);
        let table = [consumer(1, 2, 0), consumer(2, 1, 5), consumer(3, 9, 0)];
        assert_eq!(plan(&mut *policy, &table, 5), [2, 1, 1, 3, 3]);
        assert_eq!(plan(&mut *policy, &[consumer(1, 1, 0)], 2), [1, LEAVE]);
    }

    /// A client that comes back stands where it stood.
    #[test]
    fn client_ids_make_the_order() {
        let mut policy = make("strict-order", &[("order", "client-id")]);
        policy.members_changed(&[joined(1, "standby"), joined(2, "main")]);
        assert_eq!(plan(&mut *policy, &[consumer(1, 9, 0), consumer(2, 1, 0)], 2), [2, 1]);
        policy.members_changed(&[joined(7, "a")]);
        assert_eq!(plan(&mut *policy, &[consumer(1, 9, 0), consumer(7, 1, 0)], 2), [7, 1]);
    }
}
