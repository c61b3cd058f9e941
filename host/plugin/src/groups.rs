//! Who owns a message group: the question put to a group policy, its answer, and the check of the answer.

use crate::check::SlotIndex;
use crate::{ConsumerRow, Corrections, Decided, LEAVE, MemberChange, PolicyStats, text_hash};

/// Groups asked about at once when they need an owner; a bound on the time that one queue keeps the core.
pub const GROUP_ROWS_MAX: usize = 256;

/// Groups that may move because of one change of members, by whatever policy. What is beyond it stays where it is.
pub const GROUP_MOVES_MAX: usize = 1024;

/// The group policy of one queue. The core owns it, asks it synchronously and keeps the table of owners itself.
///
/// An answer always comes, as from a [`QueueDispatch`](crate::QueueDispatch): if the policy fails, its native twin
/// decides. The answer is advice; the core passes it through [`GroupCheck`] before it acts.
pub trait GroupAssignment: Send {
    /// Consumers came or went since the last call, in this order. A new policy hears of all members as joined.
    fn members_changed(&mut self, changes: &[MemberChange]);

    /// Clears `out`, then puts a slot there for each group of the batch, or [`LEAVE`] for one that shall wait.
    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided;

    /// Whether [`rebalance`](Self::rebalance) is worth a call; the core then shows it all owned groups after each
    /// change of members.
    fn rebalances(&self) -> bool {
        false
    }

    /// Clears `out`, then puts the groups there that shall have another owner. A move takes effect once nothing of the
    /// group is in flight at its present owner.
    fn rebalance(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<GroupMove>) -> Decided {
        let _ = batch;
        out.clear();
        Decided::Policy
    }

    /// So many of the answers of the last question were wrong and were corrected; not called where all were right.
    fn corrected(&mut self, answers: u64) {
        let _ = answers;
    }

    /// The generation that was asked last, which another one may have taken the place of since then; 0 where there are none.
    fn generation(&self) -> u64 {
        0
    }

    /// What happened so far and how it stands.
    fn stats(&self) -> PolicyStats;
}

/// One question: groups as columns, and the consumers that there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupBatch<'a> {
    /// The broker's time in ms since 1970.
    pub now_ms: u64,
    /// [`group_hash`] of each group's id: the same on every broker and in every run.
    pub hash: &'a [u64],
    /// Messages of each group that are known to wait; at least one for a group without an owner.
    pub queued: &'a [u32],
    /// Slot of each group's owner; empty when they have none.
    pub owners: &'a [u32],
    /// Who may own what, as in [`DispatchBatch::candidates`](crate::DispatchBatch::candidates). Empty when every
    /// consumer may own every group.
    pub candidates: &'a [u64],
    /// Every consumer of the destination.
    pub consumers: &'a [ConsumerRow],
    /// Groups that each consumer of the table owns now.
    pub owned: &'a [u32],
}

impl GroupBatch<'_> {
    /// Groups asked about.
    pub fn rows(&self) -> usize {
        self.hash.len()
    }

    /// True if the consumer at `index` of the table may own the group of `row`.
    pub fn is_candidate(&self, row: usize, index: usize) -> bool {
        if self.candidates.is_empty() {
            return true;
        }
        let word = row * self.consumers.len().div_ceil(64) + index / 64;
        self.candidates.get(word).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }
}

/// A group that shall have another owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupMove {
    /// Which row of the batch.
    pub row: u32,
    /// Slot of the new owner.
    pub to: u32,
}

/// The hash of a group's id that policies see: [`text_hash`] with its bits mixed once more. Never changes.
pub fn group_hash(id: &str) -> u64 {
    mix(text_hash(id).cast_unsigned())
}

/// Spreads what differs in few bits over all of them (the end of splitmix64).
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Checks answers about groups and corrects them.
#[derive(Debug, Default)]
pub struct GroupCheck {
    index: SlotIndex,
    /// Groups of each consumer while an answer is checked.
    owned: Vec<u32>,
    wrong: Vec<usize>,
    seen: Vec<bool>,
}

impl GroupCheck {
    /// A check with no history.
    pub fn new() -> GroupCheck {
        GroupCheck::default()
    }

    /// Makes owners right in place and counts what was wrong: afterwards there is one entry per group, and each is
    /// [`LEAVE`] or the slot of a consumer that may own the group. A wrong one becomes the consumer with the fewest
    /// groups of the highest priority that has credit, or [`LEAVE`].
    pub fn owners(&mut self, batch: &GroupBatch<'_>, owners: &mut Vec<u32>) -> Corrections {
        let rows = batch.rows();
        let mut found = Corrections {
            surplus: owners.len().saturating_sub(rows) as u64,
            missing: rows.saturating_sub(owners.len()) as u64,
            ..Corrections::default()
        };
        let answered = owners.len().min(rows);
        owners.resize(rows, LEAVE);
        self.index.refresh(batch.consumers);
        self.owned.clear();
        self.owned.extend_from_slice(batch.owned);
        self.owned.resize(batch.consumers.len(), 0);
        self.wrong.clear();
        self.wrong.extend(answered..rows);
        for (row, &slot) in owners.iter().enumerate().take(answered) {
            match self.index.get(slot) {
                _ if slot == LEAVE => {}
                Some(at) if batch.is_candidate(row, at) => self.owned[at] = self.owned[at].saturating_add(1),
                found_at => {
                    *(if found_at.is_none() { &mut found.unknown_slot } else { &mut found.not_candidate }) += 1;
                    self.wrong.push(row);
                }
            }
        }
        for at in 0..self.wrong.len() {
            let row = self.wrong[at];
            owners[row] =
                fewest_owned(batch, row, &self.owned, |at| batch.consumers[at].credit > 0, 0).map_or(LEAVE, |at| {
                    self.owned[at] = self.owned[at].saturating_add(1);
                    batch.consumers[at].slot
                });
        }
        found
    }

    /// Strikes out moves that cannot be and counts them: afterwards each names another row, a consumer that is there
    /// and is not the owner already, and there are at most [`GROUP_MOVES_MAX`].
    pub fn moves(&mut self, batch: &GroupBatch<'_>, moves: &mut Vec<GroupMove>) -> Corrections {
        let mut found =
            Corrections { surplus: moves.len().saturating_sub(GROUP_MOVES_MAX) as u64, ..Corrections::default() };
        moves.truncate(GROUP_MOVES_MAX);
        self.index.refresh(batch.consumers);
        self.seen.clear();
        self.seen.resize(batch.rows(), false);
        moves.retain(|GroupMove { row, to }| {
            let Some(seen) = self.seen.get_mut(*row as usize).filter(|seen| !**seen) else {
                found.surplus += 1;
                return false;
            };
            *seen = true;
            if self.index.get(*to).is_none() {
                found.unknown_slot += 1;
                return false;
            }
            batch.owners.get(*row as usize) != Some(to)
        });
        found
    }
}

/// The index of the consumer with the fewest groups among those of the highest priority that may own the group of `row`
/// and that `serves` takes; of equals the first from `next` on.
pub(crate) fn fewest_owned(
    batch: &GroupBatch<'_>,
    row: usize,
    owned: &[u32],
    serves: impl Fn(usize) -> bool,
    next: usize,
) -> Option<usize> {
    let count = batch.consumers.len();
    let next = if next < count { next } else { 0 };
    let mut best: Option<usize> = None;
    for at in (next..count).chain(0..next) {
        if !serves(at) || !batch.is_candidate(row, at) {
            continue;
        }
        let better = best.is_none_or(|best| {
            let (mine, other) = (batch.consumers[at].priority, batch.consumers[best].priority);
            mine > other || mine == other && owned[at] < owned[best]
        });
        if better {
            best = Some(at);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(slots: &[u32]) -> Vec<ConsumerRow> {
        slots.iter().map(|&slot| ConsumerRow { slot, credit: 9, in_flight: 0, priority: 0 }).collect()
    }

    #[test]
    fn wrong_owners_become_the_one_with_the_fewest_groups() {
        let consumers = table(&[7, 3]);
        let batch = GroupBatch { hash: &[1, 2, 3, 4], consumers: &consumers, owned: &[5, 4], ..GroupBatch::default() };
        let mut owners = vec![7, 99, LEAVE];
        let found = GroupCheck::new().owners(&batch, &mut owners);
        assert_eq!(owners, [7, 3, LEAVE, 3]);
        assert_eq!((found.unknown_slot, found.missing, found.total()), (1, 1, 2));
    }

    #[test]
    fn an_owner_is_a_candidate_with_credit_or_nobody() {
        let mut consumers = table(&[7, 3]);
        let candidates = [0b10, 0b01, 0b00];
        let hash = [1, 2, 3];
        let check = |consumers: &[ConsumerRow]| {
            let batch =
                GroupBatch { hash: &hash, candidates: &candidates, consumers, owned: &[0, 0], ..GroupBatch::default() };
            let mut owners = vec![7, 7, 7, 7];
            let found = GroupCheck::new().owners(&batch, &mut owners);
            (owners, found.not_candidate, found.surplus)
        };
        assert_eq!(check(&consumers), (vec![3, 7, LEAVE], 2, 1));
        consumers[1].credit = 0;
        assert_eq!(check(&consumers), (vec![LEAVE, 7, LEAVE], 2, 1));
    }

    #[test]
    fn moves_that_cannot_be_are_struck_out() {
        let consumers = table(&[7, 3]);
        let owners = [7, 7, 3];
        let batch = GroupBatch { hash: &[1, 2, 3], owners: &owners, consumers: &consumers, ..GroupBatch::default() };
        let mut moves: Vec<_> =
            [(0, 3), (0, 7), (1, 99), (2, 3), (9, 3)].map(|(row, to)| GroupMove { row, to }).to_vec();
        let found = GroupCheck::new().moves(&batch, &mut moves);
        assert_eq!(moves, [GroupMove { row: 0, to: 3 }]);
        assert_eq!((found.surplus, found.unknown_slot), (2, 1));
    }

    #[test]
    fn moves_have_a_bound() {
        let consumers = table(&[7, 3]);
        let hash: Vec<u64> = (0..2000).collect();
        let owners = vec![7; 2000];
        let batch = GroupBatch { hash: &hash, owners: &owners, consumers: &consumers, ..GroupBatch::default() };
        let mut moves: Vec<_> = (0..2000).map(|row| GroupMove { row, to: 3 }).collect();
        let found = GroupCheck::new().moves(&batch, &mut moves);
        assert_eq!((moves.len(), found.surplus), (GROUP_MOVES_MAX, 976));
    }

    /// The numbers are for ever.
    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(group_hash("a"), mix(0xaf63_dc4c_8601_ec8c));
        assert_ne!(group_hash("a"), group_hash("b"));
    }
}
