//! Hash buckets: groups of one bucket have one owner.

use crate::groups::fewest_owned;
use crate::{Decided, GroupAssignment, GroupBatch, LEAVE, MemberChange, PolicyStats};

/// ActiveMQ's bucket map: a group's hash names one of [`HashBucket::BUCKETS`] buckets. A bucket without an owner goes to
/// the consumer with the fewest buckets among those of the highest priority that have credit, and all its groups with
/// it, until that consumer goes.
#[derive(Debug)]
pub struct HashBucket {
    /// Slot of each bucket's owner, [`LEAVE`] for none.
    buckets: Vec<u32>,
    /// Buckets of each consumer of the table, while a question is answered.
    owned: Vec<u32>,
    next: usize,
    stats: PolicyStats,
}

impl HashBucket {
    /// The name in a configuration.
    pub const NAME: &'static str = "hash-bucket";
    /// One line for people.
    pub const DESCRIPTION: &'static str = "groups of one of 1024 hash buckets have one owner";
    /// How many buckets there are (`bucketCount`).
    pub const BUCKETS: usize = 1024;

    /// A policy whose buckets have no owner yet.
    pub fn new() -> HashBucket {
        HashBucket { buckets: vec![LEAVE; HashBucket::BUCKETS], owned: vec![], next: 0, stats: PolicyStats::default() }
    }

    fn owner(&mut self, batch: &GroupBatch<'_>, row: usize) -> u32 {
        let bucket = (batch.hash[row] % HashBucket::BUCKETS as u64) as usize;
        let holder = batch.consumers.iter().position(|consumer| consumer.slot == self.buckets[bucket]);
        if let Some(at) = holder {
            if batch.is_candidate(row, at) {
                return self.buckets[bucket];
            }
            // A group that its bucket's owner may not have: it alone goes elsewhere.
            let other = fewest_owned(batch, row, &self.owned, |at| batch.consumers[at].credit > 0, self.next);
            return other.map_or(LEAVE, |at| batch.consumers[at].slot);
        }
        let found = fewest_owned(batch, row, &self.owned, |at| batch.consumers[at].credit > 0, self.next);
        let Some(at) = found else { return LEAVE };
        self.owned[at] += 1;
        self.next = at + 1;
        self.buckets[bucket] = batch.consumers[at].slot;
        self.buckets[bucket]
    }
}

impl Default for HashBucket {
    fn default() -> HashBucket {
        HashBucket::new()
    }
}

impl GroupAssignment for HashBucket {
    fn members_changed(&mut self, changes: &[MemberChange]) {
        for change in changes {
            if let MemberChange::Left(slot) = change {
                for owner in self.buckets.iter_mut().filter(|owner| *owner == slot) {
                    *owner = LEAVE;
                }
            }
        }
    }

    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided {
        let buckets_of = |slot: u32| self.buckets.iter().filter(|owner| **owner == slot).count() as u32;
        self.owned = batch.consumers.iter().map(|consumer| buckets_of(consumer.slot)).collect();
        out.clear();
        for row in 0..batch.rows() {
            let slot = self.owner(batch, row);
            out.push(slot);
        }
        self.stats.count(batch.rows(), Decided::Policy);
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

    fn assign(policy: &mut HashBucket, slots: &[u32], hash: &[u64]) -> Vec<u32> {
        let consumers: Vec<_> =
            slots.iter().map(|&slot| ConsumerRow { slot, credit: 9, in_flight: 0, priority: 0 }).collect();
        let owned = vec![0; slots.len()];
        let batch = GroupBatch { hash, consumers: &consumers, owned: &owned, ..GroupBatch::default() };
        let mut out = vec![];
        policy.assign(&batch, &mut out);
        out
    }

    #[test]
    fn a_bucket_has_one_owner_and_buckets_are_shared_out() {
        let mut policy = HashBucket::new();
        assert_eq!(assign(&mut policy, &[1, 2], &[5, 5 + 1024, 6, 7, 8]), [1, 1, 2, 1, 2]);
        assert_eq!(assign(&mut policy, &[1, 2], &[5 + 2048, 6]), [1, 2]);
    }

    #[test]
    fn a_bucket_is_free_when_its_owner_goes() {
        let mut policy = HashBucket::new();
        assert_eq!(assign(&mut policy, &[1, 2], &[5, 6]), [1, 2]);
        policy.members_changed(&[MemberChange::Left(1)]);
        assert_eq!(assign(&mut policy, &[2, 3], &[6, 5]), [2, 3]);
    }
}
