//! Weighted: each consumer gets messages in proportion to its weight.

use std::collections::BTreeMap;

use super::give::{Give, Plan};
use super::settings::Settings;
use crate::{DispatchBatch, MemberChange};

/// Smooth weighted round robin among the consumers of the highest priority that may take a row: each gains its weight,
/// the richest is served and pays what all gained together. So 5 and 1 give A A A B A A and not A A A A A B.
#[derive(Debug, Default)]
pub(super) struct Weighted {
    /// Client ids, `*` at the end for any that begin so, and their weights; the first that matches holds.
    weights: Vec<(String, u32)>,
    /// Weight of each member that is not 1.
    members: BTreeMap<u32, u32>,
    table: Vec<Account>,
    /// Indices of those that may take the row at hand.
    eligible: Vec<usize>,
}

/// A consumer of the table.
#[derive(Debug, Clone, Copy)]
struct Account {
    slot: u32,
    weight: i64,
    gained: i64,
}

impl Weighted {
    fn weight_of(&self, client_id: &str) -> u32 {
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => client_id.starts_with(beginning),
            None => client_id == pattern,
        };
        self.weights.iter().find(|(pattern, _)| matches(pattern)).map_or(1, |(_, weight)| *weight)
    }

    /// Who stayed keeps what it gained.
    fn follow(&mut self, batch: &DispatchBatch<'_>) {
        if self.table.iter().map(|account| account.slot).eq(batch.consumers.iter().map(|row| row.slot)) {
            return;
        }
        let gained: BTreeMap<u32, i64> = self.table.iter().map(|account| (account.slot, account.gained)).collect();
        self.table.clear();
        self.table.extend(batch.consumers.iter().map(|row| Account {
            slot: row.slot,
            weight: self.members.get(&row.slot).copied().unwrap_or(1).into(),
            gained: gained.get(&row.slot).copied().unwrap_or(0),
        }));
    }
}

impl Plan for Weighted {
    fn configure(&mut self, settings: &mut Settings<'_>) {
        self.weights = settings.weights("weights");
    }

    fn members_changed(&mut self, changes: &[MemberChange]) {
        for change in changes {
            match change {
                MemberChange::Joined(member) => {
                    let weight = self.weight_of(&member.client_id);
                    if weight != 1 {
                        self.members.insert(member.slot, weight);
                    }
                }
                MemberChange::Left(slot) => drop(self.members.remove(slot)),
            }
        }
        for account in &mut self.table {
            account.weight = self.members.get(&account.slot).copied().unwrap_or(1).into();
        }
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, give: &mut Give) {
        self.follow(batch);
        for row in 0..batch.rows {
            if !give.any_credit() {
                break;
            }
            self.eligible.clear();
            let mut highest = i16::MIN;
            for (at, consumer) in batch.consumers.iter().enumerate() {
                if consumer.priority < highest || !give.may_take(batch, row, at) {
                    continue;
                }
                if consumer.priority > highest {
                    self.eligible.clear();
                    highest = consumer.priority;
                }
                self.eligible.push(at);
            }
            let mut total = 0;
            let mut best: Option<usize> = None;
            for &at in &self.eligible {
                let account = &mut self.table[at];
                account.gained = account.gained.saturating_add(account.weight);
                total += account.weight;
                if best.is_none_or(|best| self.table[at].gained > self.table[best].gained) {
                    best = Some(at);
                }
            }
            let Some(at) = best else { continue };
            self.table[at].gained = self.table[at].gained.saturating_sub(total);
            give.give(batch, row, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{consumer, joined, make, plan};
    use crate::{LEAVE, MemberChange};

    #[test]
    fn shares_follow_the_weights_and_are_mixed() {
        let mut policy = make("weighted", &[("weights", "big=5, ID:small-*=1")]);
        policy.members_changed(&[joined(1, "big"), joined(2, "ID:small-7")]);
        let table = [consumer(1, 99, 0), consumer(2, 99, 0)];
        assert_eq!(plan(&mut *policy, &table, 6), [1, 1, 1, 2, 1, 1]);
        policy.members_changed(&[MemberChange::Left(2), joined(2, "big")]);
        assert_eq!(plan(&mut *policy, &table, 4), [1, 2, 1, 2]);
    }

    #[test]
    fn credit_and_priority_come_first() {
        let mut policy = make("weighted", &[("weights", "a=9")]);
        policy.members_changed(&[joined(1, "a"), joined(2, "b"), joined(3, "c")]);
        let table = [consumer(1, 1, 0), consumer(2, 1, 0), consumer(3, 1, 4)];
        assert_eq!(plan(&mut *policy, &table, 4), [3, 1, 2, LEAVE]);
    }
}
