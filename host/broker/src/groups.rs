//! The message groups of one queue: who owns which, what of them is in flight, what of them waits for its owner.
//!
//! ```text
//!   Free ── policy's answer ──> Owned ── rebalance, or another answer ──> Moving ── nothing in flight ──> Owned
//!    ^                            │                                         │
//!    └── owner gone, group closed ┴── next owner gone ──────────────────────┘
//!   Reserved (known from the journal) ── its owner is back ──> Owned, or time is up ──> Free
//! ```
//!
//! A message of a group that cannot go out now is *parked*: it stays where it is in the line, is skipped by further
//! looks at the line, and stands in its group's own list, so that a group whose owner has no room holds up no other.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use message::{Sequence, Text};
use plugin::{GroupAssignment, PolicyStats, group_hash};
use rustc_hash::FxHashMap;

use crate::pending::Place;
use crate::slots::Key;

/// The group of a message that has none.
pub(crate) const NO_GROUP: u32 = u32::MAX;
/// Longer ids are known by their beginning and a hash of the whole, in bytes.
const ID_BYTES_MAX: usize = 1024;
/// When there are too many groups this share of them is forgotten at once.
const FORGOTTEN_SHARE: usize = 16;

/// Who gets a group's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// Nobody yet: the policy is asked with the next message.
    Free,
    /// The consumer that will come back under this name.
    Reserved(Text),
    /// This consumer.
    Owned(Key),
    /// This consumer, once nothing of the group is in flight elsewhere.
    Moving(Key),
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Text,
    pub(crate) hash: u64,
    pub(crate) ownership: Ownership,
    /// Messages handed out and not settled; all at `holder`, or at the shadow that a closed one left.
    pub(crate) in_flight: u32,
    pub(crate) holder: Option<Key>,
    /// Places in the line of what waits for the owner; some may be empty meanwhile.
    parked: BTreeSet<Place>,
    /// Message that told the owner that it is its first of the group; 0 when the next one will.
    pub(crate) first: Sequence,
    /// Message with group sequence 1 that was the last reason to look for an owner.
    pub(crate) opened: Sequence,
    /// Last round in which the policy was asked for an owner …
    pub(crate) asked: u64,
    /// … in which a message was picked …
    pub(crate) picked: u64,
    /// … up to this place, in order …
    pub(crate) picked_to: Place,
    /// … in which no more may be picked, since the group closes or opens there …
    pub(crate) barrier: u64,
    /// … and in which one was picked and not given, so that none behind it may go.
    pub(crate) held_back: u64,
    /// The journal knows an owner.
    pub(crate) journalled: bool,
    used: u64,
}

impl Group {
    pub(crate) fn parked(&self) -> &BTreeSet<Place> {
        &self.parked
    }

    /// The first parked message that was not picked in this round.
    pub(crate) fn next_parked(&self, round: u64) -> Option<Place> {
        let from = if self.picked == round { self.picked_to.after() } else { Place::FIRST };
        self.parked.range(from..).next().copied()
    }

    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.parked.is_empty()
    }
}

/// Counters of the message groups of one queue, rising since the start of the broker but for those that say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupStats {
    /// Groups with an owner, now.
    pub owned: u64,
    /// Messages that wait for the owner of their group, now.
    pub parked: u64,
    /// Times that a group got an owner.
    pub assigned: u64,
    /// Times that a group was taken from its owner to be given to another.
    pub moved: u64,
    /// Groups closed by a negative JMSXGroupSeq.
    pub closed: u64,
    /// Idle groups forgotten because there were too many.
    pub forgotten: u64,
    /// Times that messages had to wait because there were too many groups, none of them idle, or too many messages
    /// waiting for owners.
    pub waited: u64,
    /// Answers of the group policy that had to be corrected.
    pub corrected: u64,
    /// The group policy's own counters; all zero before its first question.
    pub policy: PolicyStats,
}

/// The groups of one queue.
#[derive(Default)]
pub(crate) struct Groups {
    by_id: FxHashMap<Text, u32>,
    slots: Vec<Option<Group>>,
    free: Vec<u32>,
    /// For each owner the first parked message of each of its groups that have any.
    heads: FxHashMap<Key, BTreeSet<(Place, u32)>>,
    /// The same for groups that are free.
    unassigned: BTreeSet<(Place, u32)>,
    /// Groups by the name of the owner that they wait for.
    reserved: FxHashMap<Text, Vec<u32>>,
    /// Reservations end then, ms since 1970; set when the first consumer comes.
    pub(crate) reserved_until: Option<i64>,
    /// Groups that each consumer owns or will own.
    owned: FxHashMap<Key, u32>,
    /// Members as they were at the last round, and where each stands in the table of consumers.
    members: Vec<Key>,
    positions: FxHashMap<Key, u32>,
    parked: usize,
    clock: u64,
    pub(crate) round: u64,
    /// The last look ended at an entry whose body is away: it is wanted, whatever stands before it.
    pub(crate) blocked: bool,
    /// Last round in which a new group found no room.
    pub(crate) full_round: u64,
    pub(crate) policy: Option<Box<dyn GroupAssignment>>,
    /// Its name.
    pub(crate) policy_name: Option<Arc<str>>,
    pub(crate) stats: GroupStats,
}

impl Groups {
    pub(crate) fn get(&self, at: u32) -> Option<&Group> {
        self.slots.get(at as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut Group> {
        self.slots.get_mut(at as usize)?.as_mut()
    }

    /// All groups with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Group)> {
        (0..).zip(&self.slots).filter_map(|(at, group)| Some((at, group.as_ref()?)))
    }

    /// Groups that there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The group of this id, made if it is new.
    pub(crate) fn open(&mut self, id: &str) -> u32 {
        let id = known_as(id);
        if let Some(at) = self.by_id.get(&*id) {
            return *at;
        }
        let group = Group {
            id: Text::from(&*id),
            hash: group_hash(&id),
            ownership: Ownership::Free,
            in_flight: 0,
            holder: None,
            parked: BTreeSet::new(),
            first: 0,
            opened: 0,
            asked: 0,
            picked: 0,
            picked_to: Place::FIRST,
            barrier: 0,
            held_back: 0,
            journalled: false,
            used: self.clock,
        };
        let id = group.id.clone();
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(group);
                at
            }
            None => {
                self.slots.push(Some(group));
                u32::try_from(self.slots.len() - 1).expect("limits keep groups below 2^32")
            }
        };
        self.by_id.insert(id, at);
        at
    }

    /// A group of an earlier run waits for its owner.
    pub(crate) fn reserve(&mut self, id: &str, owner: Text) {
        let at = self.open(id);
        self.set(at, Ownership::Reserved(owner));
        if let Some(group) = self.get_mut(at) {
            group.journalled = true;
        }
    }

    /// Whether a group of this id is there.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(&*known_as(id))
    }

    /// Gives a group to somebody else.
    pub(crate) fn set(&mut self, at: u32, to: Ownership) {
        let Some(group) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return };
        let head = group.parked.first().copied();
        let from = std::mem::replace(&mut group.ownership, to.clone());
        if let Ownership::Owned(key) | Ownership::Moving(key) = from
            && let Some(count) = self.owned.get_mut(&key)
        {
            *count -= 1;
        }
        if let Ownership::Owned(key) | Ownership::Moving(key) = to {
            *self.owned.entry(key).or_insert(0) += 1;
        }
        if let Ownership::Reserved(name) = &to {
            self.reserved.entry(name.clone()).or_default().push(at);
        }
        if let Some(head) = head {
            self.unlist(&from, (head, at));
            self.list(&to, (head, at));
        }
    }

    fn list(&mut self, ownership: &Ownership, head: (Place, u32)) {
        match ownership {
            Ownership::Free => drop(self.unassigned.insert(head)),
            Ownership::Owned(key) => drop(self.heads.entry(*key).or_default().insert(head)),
            Ownership::Reserved(_) | Ownership::Moving(_) => {}
        }
    }

    fn unlist(&mut self, ownership: &Ownership, head: (Place, u32)) {
        match ownership {
            Ownership::Free => drop(self.unassigned.remove(&head)),
            Ownership::Owned(key) => {
                if let Some(heads) = self.heads.get_mut(key) {
                    heads.remove(&head);
                    if heads.is_empty() {
                        self.heads.remove(key);
                    }
                }
            }
            Ownership::Reserved(_) | Ownership::Moving(_) => {}
        }
    }

    /// Notes that the message at this place waits for the owner.
    pub(crate) fn park(&mut self, at: u32, place: Place) {
        self.change_parked(at, |parked| parked.insert(place));
    }

    /// The message at this place does not wait any more.
    pub(crate) fn unpark(&mut self, at: u32, place: Place) {
        self.change_parked(at, |parked| parked.remove(&place));
    }

    fn change_parked(&mut self, at: u32, change: impl FnOnce(&mut BTreeSet<Place>) -> bool) {
        let Some(group) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return };
        let (first, count) = (group.parked.first().copied(), group.parked.len());
        if !change(&mut group.parked) {
            return;
        }
        self.parked = self.parked + group.parked.len() - count;
        let now = group.parked.first().copied();
        if now != first {
            let ownership = group.ownership.clone();
            if let Some(first) = first {
                self.unlist(&ownership, (first, at));
            }
            if let Some(now) = now {
                self.list(&ownership, (now, at));
            }
        }
    }

    /// Messages that wait for the owners of their groups.
    pub(crate) fn parked(&self) -> usize {
        self.parked
    }

    /// Begins another look at the line. `members` are its consumers in the order of their table.
    pub(crate) fn begin_round(&mut self, members: &[Key]) {
        self.round += 1;
        self.blocked = false;
        if self.members != members {
            self.members.clear();
            self.members.extend_from_slice(members);
            self.positions = members.iter().copied().zip(0..).collect();
        }
    }

    /// Where a consumer stands in the table.
    pub(crate) fn position(&self, key: Key) -> Option<usize> {
        self.positions.get(&key).map(|at| *at as usize)
    }

    /// Parked messages to begin with: the first of each group whose owner has room, and of each that is free.
    pub(crate) fn ready(&self, room: &[u32], limit: usize) -> BinaryHeap<Reverse<(Place, u32)>> {
        let mut ready = BinaryHeap::new();
        for (key, heads) in &self.heads {
            let room = self.position(*key).map_or(0, |at| room[at] as usize);
            ready.extend(heads.iter().take(room.min(limit)).map(|head| Reverse(*head)));
        }
        ready.extend(self.unassigned.iter().take(limit).map(|head| Reverse(*head)));
        ready
    }

    /// The owners that have parked messages, each with the groups to which they belong, oldest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Key, &BTreeSet<(Place, u32)>)> {
        self.heads.iter().map(|(key, heads)| (*key, heads))
    }

    /// Parked messages of groups that are free.
    pub(crate) fn unassigned(&self) -> &BTreeSet<(Place, u32)> {
        &self.unassigned
    }

    /// How many groups each of the members owns, in the order of their table.
    pub(crate) fn owned(&self) -> Vec<u32> {
        self.members.iter().map(|key| self.owned.get(key).copied().unwrap_or(0)).collect()
    }

    /// A message was handed out.
    pub(crate) fn used(&mut self, at: u32) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(group) = self.get_mut(at) {
            group.used = clock;
        }
    }

    /// Forgets the group if it is free and nothing of it is anywhere.
    pub(crate) fn tidy(&mut self, at: u32) {
        let void = self.get(at).is_some_and(|group| group.ownership == Ownership::Free && group.is_idle());
        if void {
            self.remove(at);
        }
    }

    /// Forgets the groups that were idle for longest, a share of `most` at once. Their next message finds them without an
    /// owner; order is kept, since nothing of them is in flight. Gives those of which the journal knows.
    pub(crate) fn forget(&mut self, most: usize) -> Vec<Text> {
        let mut idle: Vec<(u64, u32)> = self
            .iter()
            .filter(|(_, group)| group.is_idle() && group.picked < self.round && group.asked < self.round)
            .map(|(at, group)| (group.used, at))
            .collect();
        idle.sort_unstable();
        idle.truncate((most / FORGOTTEN_SHARE).max(1));
        self.stats.forgotten += idle.len() as u64;
        idle.into_iter().filter_map(|(_, at)| self.remove(at).filter(|group| group.journalled)).map(|g| g.id).collect()
    }

    fn remove(&mut self, at: u32) -> Option<Group> {
        self.set(at, Ownership::Free);
        let group = self.slots.get_mut(at as usize)?.take()?;
        self.by_id.remove(&group.id);
        self.free.push(at);
        Some(group)
    }

    /// The numbers of groups that wait for the owner of this name.
    pub(crate) fn claim(&mut self, name: &Text) -> Vec<u32> {
        let mut all = self.reserved.remove(name).unwrap_or_default();
        all.retain(|at| self.get(*at).is_some_and(|g| matches!(&g.ownership, Ownership::Reserved(by) if by == name)));
        all
    }

    /// The numbers of all groups that wait for an owner who is known by name.
    pub(crate) fn claim_all(&mut self) -> Vec<u32> {
        self.reserved.clear();
        self.iter().filter(|(_, g)| matches!(g.ownership, Ownership::Reserved(_))).map(|(at, _)| at).collect()
    }

    /// Whether some group waits for an owner who is known by name.
    pub(crate) fn is_reserved(&self) -> bool {
        !self.reserved.is_empty()
    }

    /// A consumer is gone: the numbers of its groups.
    pub(crate) fn of(&self, key: Key) -> Vec<u32> {
        if self.owned.get(&key).is_none_or(|count| *count == 0) {
            return Vec::new();
        }
        let is = |group: &Group| matches!(group.ownership, Ownership::Owned(by) | Ownership::Moving(by) if by == key);
        self.iter().filter(|(_, group)| is(group)).map(|(at, _)| at).collect()
    }

    /// Nothing is owned by this consumer any more.
    pub(crate) fn forget_member(&mut self, key: Key) {
        self.owned.remove(&key);
    }

    /// Counters as they stand.
    pub(crate) fn stats(&self) -> GroupStats {
        let mut stats = self.stats;
        stats.owned = self.owned.values().map(|count| u64::from(*count)).sum();
        stats.parked = self.parked as u64;
        if let Some(policy) = &self.policy {
            stats.policy = policy.stats();
        }
        stats
    }
}

/// What a group is known as: its id, unless that is long.
fn known_as(id: &str) -> Cow<'_, str> {
    if id.len() <= ID_BYTES_MAX {
        return Cow::Borrowed(id);
    }
    let end = (0..=ID_BYTES_MAX).rev().find(|at| id.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}#{:016x}", &id[..end], group_hash(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pending::Pending;
    use crate::slots::Slots;

    fn keys(count: usize) -> Vec<Key> {
        let mut slots = Slots::new();
        (0..count).map(|_| slots.insert(())).collect()
    }

    fn place(sequence: Sequence) -> Place {
        Pending::new(false).place(sequence, 4)
    }

    fn heads(groups: &Groups, room: &[u32]) -> Vec<u32> {
        let mut ready = groups.ready(room, 10);
        std::iter::from_fn(|| ready.pop()).map(|Reverse((_, at))| at).collect()
    }

    /// What is parked follows its group from owner to owner and is ready only where there is room.
    #[test]
    fn parked_messages_follow_their_group() {
        let members = keys(2);
        let mut groups = Groups::default();
        groups.begin_round(&members);
        let (a, b) = (groups.open("a"), groups.open("b"));
        groups.set(a, Ownership::Owned(members[0]));
        groups.set(b, Ownership::Owned(members[1]));
        for (at, sequence) in [(a, 5), (b, 4), (a, 6), (a, 3)] {
            groups.park(at, place(sequence));
        }
        assert_eq!((heads(&groups, &[1, 1]), groups.parked()), (vec![a, b], 4));
        assert_eq!(heads(&groups, &[0, 1]), [b]);
        groups.set(a, Ownership::Moving(members[1]));
        assert_eq!((heads(&groups, &[1, 1]), groups.owned()), (vec![b], vec![0, 2]));
        groups.set(a, Ownership::Owned(members[1]));
        assert_eq!((heads(&groups, &[1, 1]), heads(&groups, &[1, 2])), (vec![a], vec![a, b]));
        groups.set(a, Ownership::Free);
        assert_eq!((heads(&groups, &[0, 0]), groups.unassigned().len()), (vec![a], 1));
        [3, 5, 6].into_iter().for_each(|sequence| groups.unpark(a, place(sequence)));
        groups.tidy(a);
        assert_eq!((groups.len(), groups.parked(), heads(&groups, &[1, 1])), (1, 1, vec![b]));
    }

    /// Forgotten are the ones idle for longest; what is in flight or parked never is.
    #[test]
    fn the_longest_idle_are_forgotten() {
        let members = keys(1);
        let mut groups = Groups::default();
        for n in 0..32 {
            let at = groups.open(&format!("g{n}"));
            groups.set(at, Ownership::Owned(members[0]));
            groups.used(at);
            groups.get_mut(at).expect("opened just now").journalled = n % 2 == 0;
        }
        groups.get_mut(0).expect("open").in_flight = 1;
        groups.park(1, place(9));
        groups.begin_round(&members);
        assert_eq!(groups.forget(32), ["g2"]);
        assert_eq!((groups.len(), groups.has("g0"), groups.has("g1"), groups.has("g3")), (30, true, true, false));
        assert_eq!((groups.owned(), groups.stats().forgotten), (vec![30], 2));
    }

    #[test]
    fn long_ids_are_cut_and_stay_apart() {
        let mut groups = Groups::default();
        let long = "ü".repeat(2000);
        let one = groups.open(&format!("{long}1"));
        let two = groups.open(&format!("{long}2"));
        assert_ne!(one, two);
        assert_eq!(groups.open(&format!("{long}1")), one);
        assert!(groups.get(one).is_some_and(|group| group.id.len() < ID_BYTES_MAX + 32));
    }

    #[test]
    fn reservations_are_claimed_by_name() {
        let members = keys(1);
        let mut groups = Groups::default();
        for (id, name) in [("a", "one"), ("b", "two"), ("c", "one")] {
            let at = groups.open(id);
            groups.set(at, Ownership::Reserved(Text::from_static(name)));
        }
        groups.set(2, Ownership::Owned(members[0]));
        assert_eq!(groups.claim(&Text::from_static("one")), [0]);
        groups.set(0, Ownership::Owned(members[0]));
        assert_eq!((groups.claim_all(), groups.is_reserved(), groups.of(members[0])), (vec![1], false, vec![0, 2]));
    }
}
