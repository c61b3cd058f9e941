//! Weighted: each consumer gets messages in proportion to its weight, smoothly: 5 and 1 give A A A B A A and not
//! A A A A A B. Of the consumers of the highest priority that may take a row, each gains its weight; the richest is served
//! and pays what all gained together. A consumer without credit is passed over, so what holds in the end is who
//! acknowledges fast enough to use its share.
//!
//! Settings:
//! - `weights` = none (default): `CLIENT-ID=WEIGHT` with commas between them, such as `big=5, ID:small-*=2`. A `*` at the
//!   end stands for anything; the first that matches holds. Weights are 1 to 1000; who is not named has 1.
//!
//! The state is what each consumer gained, by slot.

use std::collections::BTreeMap;

use jackfield_policy::{Batch, Change, Give, QueuePolicy, Settings, export_queue_policy};

#[derive(Default)]
struct Weighted {
    weights: Vec<(String, u32)>,
    /// Weight of each member that is not 1.
    members: BTreeMap<u32, u32>,
    /// The table that the next two go with.
    slots: Vec<u32>,
    weight: Vec<i64>,
    gained: Vec<i64>,
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
    fn follow(&mut self, slots: &[u32]) {
        if self.slots != slots {
            let gained: BTreeMap<u32, i64> = self.slots.drain(..).zip(self.gained.drain(..)).collect();
            self.gained = slots.iter().map(|slot| gained.get(slot).copied().unwrap_or(0)).collect();
            self.slots = slots.to_vec();
            self.weigh();
        }
    }

    fn weigh(&mut self) {
        self.weight = self.slots.iter().map(|slot| self.members.get(slot).copied().unwrap_or(1).into()).collect();
    }
}

impl QueuePolicy for Weighted {
    const ROWS_MAX: u32 = 256;
    const STATE_VERSION: u8 = 1;

    fn configure(&mut self, settings: &mut Settings) {
        self.weights = settings.weights("weights");
    }

    fn members_changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Joined(member) => match self.weight_of(&member.client_id) {
                    1 => None,
                    weight => self.members.insert(member.slot, weight),
                },
                Change::Left(slot) => self.members.remove(&slot),
            };
        }
        self.weigh();
    }

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        self.follow(&batch.consumers.slots);
        let priority = &batch.consumers.priority;
        let mut eligible = Vec::new();
        for row in 0..batch.rows() {
            if !give.any_credit() {
                break;
            }
            eligible.clear();
            eligible.extend((0..priority.len()).filter(|at| give.may_take(batch, row, *at)));
            let highest = eligible.iter().map(|at| priority[*at]).max().unwrap_or(0);
            eligible.retain(|at| priority[*at] == highest);
            let mut best: Option<usize> = None;
            for at in eligible.iter().copied() {
                self.gained[at] = self.gained[at].saturating_add(self.weight[at]);
                if best.is_none_or(|best| self.gained[at] > self.gained[best]) {
                    best = Some(at);
                }
            }
            if let Some(at) = best {
                let total: i64 = eligible.iter().map(|at| self.weight[*at]).sum();
                self.gained[at] = self.gained[at].saturating_sub(total);
                give.give(batch, row, at);
            }
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let account = |(slot, gained): (&u32, &i64)| [&slot.to_le_bytes()[..], &gained.to_le_bytes()].concat();
        self.slots.iter().zip(&self.gained).flat_map(account).collect()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let (accounts, rest) = state.as_chunks::<12>();
        for account in accounts {
            let (slot, gained) = account.split_at(4);
            self.slots.push(u32::from_le_bytes(slot.try_into().unwrap_or_default()));
            self.gained.push(i64::from_le_bytes(gained.try_into().unwrap_or_default()));
        }
        self.weigh();
        rest.is_empty()
    }
}

export_queue_policy!(Weighted);
