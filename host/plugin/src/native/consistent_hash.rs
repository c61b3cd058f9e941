//! Consistent hashing: who owns a group follows from its hash, and a change of members moves few groups.

use std::collections::BTreeMap;

use crate::groups::{group_hash, mix};
use crate::{Decided, GROUP_MOVES_MAX, GroupAssignment, GroupBatch, GroupMove, LEAVE, MemberChange, PolicyStats};

/// Each consumer of the highest priority has a score for each group; the highest score owns it, unless that consumer
/// owns a quarter more than its share already: then the next one does. Who joins gets the groups it has the highest
/// score for, at most its share and at most [`GROUP_MOVES_MAX`]; who leaves is missed by its own groups alone.
#[derive(Debug, Default)]
pub struct ConsistentHash {
    /// What a consumer's scores begin with: its client id, if no other member has it, and its slot otherwise.
    seeds: BTreeMap<u32, u64>,
    owned: Vec<u32>,
    stats: PolicyStats,
}

impl ConsistentHash {
    /// The name in a configuration.
    pub const NAME: &'static str = "consistent-hash";
    /// One line for people.
    pub const DESCRIPTION: &'static str =
        "owners follow from hashes; who joins gets a share, with a bounded number of moves";

    /// A policy without members.
    pub fn new() -> ConsistentHash {
        ConsistentHash::default()
    }

    fn score(&self, slot: u32, hash: u64) -> u64 {
        let seed = self.seeds.get(&slot).copied().unwrap_or_else(|| mix(u64::from(slot)));
        mix(hash ^ seed)
    }

    /// The index of the consumer that should own the group, of those below `limit` groups if there are any.
    fn choose(&self, batch: &GroupBatch<'_>, row: usize, limit: u32) -> Option<usize> {
        let may = |at: &usize| batch.is_candidate(row, *at);
        let priority = (0..batch.consumers.len()).filter(may).map(|at| batch.consumers[at].priority).max()?;
        (0..batch.consumers.len()).filter(|at| may(at) && batch.consumers[*at].priority == priority).max_by_key(|at| {
            (self.owned[*at] < limit, self.score(batch.consumers[*at].slot, batch.hash[row]), usize::MAX - at)
        })
    }

    /// A quarter above the share of each of the consumers of the highest priority.
    fn limit(batch: &GroupBatch<'_>, groups: u64) -> u32 {
        let highest = batch.consumers.iter().map(|consumer| consumer.priority).max();
        let serving = batch.consumers.iter().filter(|consumer| Some(consumer.priority) == highest).count().max(1);
        u32::try_from((groups * 5).div_ceil(serving as u64 * 4)).unwrap_or(u32::MAX)
    }
}

impl GroupAssignment for ConsistentHash {
    fn members_changed(&mut self, changes: &[MemberChange]) {
        for change in changes {
            match change {
                MemberChange::Left(slot) => drop(self.seeds.remove(slot)),
                MemberChange::Joined(member) => {
                    let named = group_hash(&member.client_id);
                    let free = !member.client_id.is_empty() && !self.seeds.values().any(|seed| *seed == named);
                    self.seeds.insert(member.slot, if free { named } else { mix(u64::from(member.slot)) });
                }
            }
        }
    }

    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided {
        self.owned.clear();
        self.owned.extend_from_slice(batch.owned);
        let mut total: u64 = batch.owned.iter().map(|owned| u64::from(*owned)).sum();
        out.clear();
        for row in 0..batch.rows() {
            total += 1;
            let slot = self.choose(batch, row, ConsistentHash::limit(batch, total)).map_or(LEAVE, |at| {
                self.owned[at] = self.owned[at].saturating_add(1);
                batch.consumers[at].slot
            });
            out.push(slot);
        }
        self.stats.count(batch.rows(), Decided::Policy);
        Decided::Policy
    }

    fn rebalances(&self) -> bool {
        true
    }

    fn rebalance(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<GroupMove>) -> Decided {
        out.clear();
        let rows = batch.rows();
        let highest = batch.consumers.iter().map(|consumer| consumer.priority).max();
        let serving = batch.consumers.iter().filter(|consumer| Some(consumer.priority) == highest).count().max(1);
        let share = rows.div_ceil(serving);
        let most = share.min(GROUP_MOVES_MAX);
        self.owned.clear();
        self.owned.extend_from_slice(batch.owned);
        for row in 0..rows {
            if out.len() >= most {
                break;
            }
            let Some(from) = batch.consumers.iter().position(|consumer| consumer.slot == batch.owners[row]) else {
                continue;
            };
            // Towards the highest score, and only while that one has less than a share and less than the owner.
            let Some(to) = self.choose(batch, row, u32::MAX).filter(|to| *to != from) else { continue };
            if self.owned[to] < share as u32 && self.owned[to] < self.owned[from] {
                self.owned[to] += 1;
                self.owned[from] -= 1;
                out.push(GroupMove { row: row as u32, to: batch.consumers[to].slot });
            }
        }
        self.stats.count(rows, Decided::Policy);
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{ConsumerRow, Member};

    fn joined(slot: u32) -> MemberChange {
        let client_id = Arc::from(format!("client-{slot}"));
        MemberChange::Joined(Member { slot, client_id, selector: None, is_network: false })
    }

    fn table(slots: &[u32]) -> Vec<ConsumerRow> {
        slots.iter().map(|&slot| ConsumerRow { slot, credit: 1, in_flight: 0, priority: 0 }).collect()
    }

    fn counts(slots: &[u32], owners: &[u32]) -> Vec<u32> {
        slots.iter().map(|slot| owners.iter().filter(|owner| *owner == slot).count() as u32).collect()
    }

    /// Two consumers, then a third one: it gets its share in one change, and nothing moves between the first two.
    #[test]
    fn who_joins_gets_a_share_and_little_else_moves() {
        let mut policy = ConsistentHash::new();
        policy.members_changed(&[joined(1), joined(2)]);
        let hash: Vec<u64> = (0..900).map(|n| group_hash(&format!("group {n}"))).collect();
        let consumers = table(&[1, 2]);
        let mut owners = vec![];
        policy.assign(
            &GroupBatch { hash: &hash, consumers: &consumers, owned: &[0, 0], ..GroupBatch::default() },
            &mut owners,
        );
        let before = counts(&[1, 2], &owners);
        assert!(before.iter().all(|count| (340..=563).contains(count)), "{before:?}");
        policy.members_changed(&[joined(3)]);
        let consumers = table(&[1, 2, 3]);
        let owned = counts(&[1, 2, 3], &owners);
        let mut moves = vec![];
        let batch =
            GroupBatch { hash: &hash, owners: &owners, consumers: &consumers, owned: &owned, ..GroupBatch::default() };
        policy.rebalance(&batch, &mut moves);
        let to_new = moves.iter().filter(|one| one.to == 3).count();
        assert!((200..=300).contains(&to_new) && moves.len() <= 300, "{to_new} of {}", moves.len());
        for one in &moves {
            owners[one.row as usize] = one.to;
        }
        // What is even stays: the next change of nothing moves next to nothing.
        let owned = counts(&[1, 2, 3], &owners);
        let batch =
            GroupBatch { hash: &hash, owners: &owners, consumers: &consumers, owned: &owned, ..GroupBatch::default() };
        policy.rebalance(&batch, &mut moves);
        assert!(moves.len() < 60, "{}", moves.len());
    }

    /// A table far larger than the bound is shared out over several changes.
    #[test]
    fn one_change_moves_no_more_than_the_bound() {
        let mut policy = ConsistentHash::new();
        policy.members_changed(&[joined(1), joined(2)]);
        let hash: Vec<u64> = (0..20_000).map(|n| group_hash(&format!("group {n}"))).collect();
        let (consumers, owners) = (table(&[1, 2]), vec![1; 20_000]);
        let batch = GroupBatch {
            hash: &hash,
            owners: &owners,
            consumers: &consumers,
            owned: &[20_000, 0],
            ..GroupBatch::default()
        };
        let mut moves = vec![];
        policy.rebalance(&batch, &mut moves);
        assert_eq!(moves.len(), GROUP_MOVES_MAX);
    }

    /// The same clients in another order of arrival own the same groups.
    #[test]
    fn owners_follow_from_names() {
        let owner = |order: [u32; 3]| {
            let mut policy = ConsistentHash::new();
            policy.members_changed(&order.map(joined));
            let consumers = table(&order);
            let hash: Vec<u64> = (0..5).map(|n| group_hash(&format!("group {n}"))).collect();
            let mut out = vec![];
            let batch =
                GroupBatch { hash: &hash[..1], consumers: &consumers, owned: &[9, 9, 9], ..GroupBatch::default() };
            policy.assign(&batch, &mut out);
            out
        };
        assert_eq!(owner([1, 2, 3]), owner([3, 1, 2]));
    }
}
