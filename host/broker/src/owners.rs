//! Owners of message groups: how a group gets one, keeps it and loses it, and what the journal hears of it (rows C13 to
//! C15).
//!
//! All messages of a group that are in flight are at one consumer. Ownership passes on only when nothing is in flight,
//! or to the one who has it: by a rebalance, by a message with group sequence 1, after a close or after the owner went.
//! ActiveMQ does not wait there, and two consumers may then work on one group.

use std::cmp::Reverse;

use message::Record;
use plugin::{ConsumerRow, Decided, GroupAssignment, GroupBatch, LEAVE, Point};

use crate::broker::{Broker, Timer};
use crate::entry::Entry;
use crate::explain::{OwnerDecision, digest};
use crate::groups::{Groups, NO_GROUP, Ownership};
use crate::line::{Line, LineKind};
use crate::pending::Place;
use crate::policy::{joined, wanted};
use crate::slots::Key;

impl Broker {
    /// The policy of the line's groups; it hears of all members.
    pub(crate) fn group_policy(&mut self, groups: &mut Groups, line: &Line) -> Box<dyn GroupAssignment> {
        let queue = line.kind.queue().map(|queue| queue.name.clone()).unwrap_or_default();
        let name = wanted(&*self.policies, Point::GroupAssignment, &line.settings.message_group_policy, &queue);
        let made = self.policies.group_assignment(&name, &queue);
        groups.policy_name = Some(name);
        let mut policy = made.unwrap_or_else(|_| {
            self.stats.policies_refused += 1;
            Box::new(plugin::native::Sticky::new())
        });
        policy.members_changed(&joined(&self.consumers, line));
        policy
    }

    /// Groups that are to have another policy get it when they next need one. Each stays with its owner meanwhile.
    pub(crate) fn rebind_groups(&mut self) {
        let with_groups: Vec<Key> =
            self.lines.iter().filter(|(_, line)| line.groups.is_some()).map(|(key, _)| key).collect();
        for key in with_groups {
            let Some(Line { kind: LineKind::Queue { destination, .. }, settings, groups: Some(groups), .. }) =
                self.lines.get_mut(key)
            else {
                continue;
            };
            let wish = &settings.message_group_policy;
            if groups.policy_name != Some(wanted(&*self.policies, Point::GroupAssignment, wish, &destination.name)) {
                self.retired.group_policy(groups);
            }
        }
    }

    /// Gives a group to a consumer: at once if nothing of it is in flight elsewhere. True if so.
    pub(crate) fn give_group(&mut self, groups: &mut Groups, line: &Line, group: u32, to: Key) -> bool {
        let Some(known) = groups.get_mut(group) else { return false };
        let before = match known.ownership {
            Ownership::Owned(key) | Ownership::Moving(key) => Some(key),
            _ => None,
        };
        known.first = 0;
        let at_once = known.in_flight == 0 || known.holder == Some(to);
        groups.set(group, if at_once { Ownership::Owned(to) } else { Ownership::Moving(to) });
        match before {
            Some(before) if before != to => groups.stats.moved += 1,
            _ => groups.stats.assigned += 1,
        }
        if at_once {
            self.note_owner(groups, line, group, to);
        }
        at_once
    }

    /// Tells the journal of an owner; nobody waits for it.
    fn note_owner(&mut self, groups: &mut Groups, line: &Line, group: u32, owner: Key) {
        let (Some(log), Some(known)) = (line.log, groups.get_mut(group)) else { return };
        let id = known.id.clone();
        let owner = self.consumers.get(owner).and_then(|consumer| consumer.identity.clone());
        let journalled = std::mem::replace(&mut known.journalled, owner.is_some());
        match owner {
            Some(owner) => self.records.push(Record::GroupOwner { log, group: id, owner }),
            None if journalled => self.records.push(Record::GroupGone { log, group: id }),
            None => {}
        }
    }

    /// Takes a group from its owner; the next message looks for another.
    fn free_group(&mut self, groups: &mut Groups, line: &Line, group: u32) {
        if let (Some(log), Some(known)) = (line.log, groups.get_mut(group))
            && std::mem::replace(&mut known.journalled, false)
        {
            self.records.push(Record::GroupGone { log, group: known.id.clone() });
        }
        groups.set(group, Ownership::Free);
        groups.tidy(group);
    }

    /// Who is to get the row of a plan; nobody if one before it of the same group was left behind.
    pub(crate) fn receiver(&self, line: &mut Line, group: u32, slot: u32) -> Option<Key> {
        let member = if slot == LEAVE { None } else { self.consumers.at(slot) };
        if group == NO_GROUP {
            return member;
        }
        let groups = line.groups.as_mut()?;
        let round = groups.round;
        let known = groups.get_mut(group)?;
        if member.is_none() {
            known.held_back = round;
        }
        member.filter(|_| known.held_back != round)
    }

    /// A message of a group goes to its owner. True if it is the first one since the owner is the owner.
    pub(crate) fn handed_out(&mut self, line: &mut Line, group: u32, to: Key, entry: &Entry) -> bool {
        let Some(mut groups) = line.groups.take() else { return false };
        let held = self.consumers.get(to).is_some_and(|consumer| !consumer.auto_ack);
        groups.unpark(group, line.pending.place(entry.sequence, entry.priority));
        groups.used(group);
        let mut first = false;
        if let Some(known) = groups.get_mut(group) {
            if known.first == 0 {
                known.first = entry.sequence;
            }
            first = known.first == entry.sequence;
            if held {
                debug_assert!(known.in_flight == 0 || known.holder == Some(to), "a group is in flight at one consumer");
                known.in_flight += 1;
                known.holder = Some(to);
            }
            if entry.message.as_ref().is_some_and(|message| message.group_sequence < 0) {
                groups.stats.closed += 1;
                self.free_group(&mut groups, line, group);
                line.unmatched = if line.selective { Place::FIRST } else { line.unmatched };
            }
        }
        line.groups = Some(groups);
        first
    }

    /// A message of a group is no longer at its consumer.
    pub(crate) fn group_released(&mut self, key: Key, group: u32) {
        if group == NO_GROUP {
            return;
        }
        let Some(mut line) = self.lines.take(key) else { return };
        if let Some(mut groups) = line.groups.take() {
            if let Some(known) = groups.get_mut(group) {
                debug_assert!(known.in_flight > 0, "what is released was handed out");
                known.in_flight = known.in_flight.saturating_sub(1);
                if known.in_flight == 0 {
                    known.holder = None;
                    if let Ownership::Moving(to) = known.ownership {
                        groups.set(group, Ownership::Owned(to));
                        self.note_owner(&mut groups, &line, group, to);
                        line.unmatched = if line.selective { Place::FIRST } else { line.unmatched };
                    }
                    groups.tidy(group);
                }
            }
            line.groups = Some(groups);
        }
        self.lines.put_back(key, line);
        self.mark(key);
    }

    /// The consumer's groups are free at once. An orderly stop leaves them to it in the journal.
    pub(crate) fn free_groups_of(&mut self, key: Key, consumer: Key) {
        let Some(mut line) = self.lines.take(key) else { return };
        if let Some(mut groups) = line.groups.take() {
            if !self.stopping {
                for group in groups.of(consumer) {
                    self.free_group(&mut groups, &line, group);
                }
                groups.forget_member(consumer);
            }
            if line.members.is_empty() {
                self.retired.group_policy(&mut groups);
            }
            line.groups = Some(groups);
        }
        self.lines.put_back(key, line);
    }

    /// A consumer came: groups that waited for it are its own again, and the time of those that wait for others begins.
    pub(crate) fn claim_groups(&mut self, key: Key, consumer: Key) {
        let Some(mut line) = self.lines.take(key) else { return };
        if let Some(mut groups) = line.groups.take() {
            if let Some(identity) = self.consumers.get(consumer).and_then(|consumer| consumer.identity.clone()) {
                for group in groups.claim(&identity) {
                    groups.set(group, Ownership::Owned(consumer));
                    groups.stats.assigned += 1;
                }
            }
            if groups.is_reserved() && groups.reserved_until.is_none() {
                let until = self.now.saturating_add(line.settings.group_owner_grace_ms);
                groups.reserved_until = Some(until);
                self.timers.push(Reverse((until, Timer::Groups(key))));
            }
            line.groups = Some(groups);
        }
        self.lines.put_back(key, line);
    }

    /// Groups whose owners did not come back are free.
    pub(crate) fn end_reservations(&mut self, key: Key) {
        let Some(mut line) = self.lines.take(key) else { return };
        if let Some(mut groups) = line.groups.take() {
            for group in groups.claim_all() {
                self.free_group(&mut groups, &line, group);
            }
            line.unmatched = if line.selective { Place::FIRST } else { line.unmatched };
            line.groups = Some(groups);
        }
        self.lines.put_back(key, line);
        self.mark(key);
    }

    /// Tells the group policy who came and went, and lets it share groups out anew. A line with selectors or an
    /// exclusive consumer is left alone: there the messages say who may own what.
    pub(crate) fn group_members_changed(&mut self, line: &mut Line, table: &[ConsumerRow]) {
        let Some(mut groups) = line.groups.take() else { return };
        let mut policy = match groups.policy.take() {
            Some(mut policy) => {
                policy.members_changed(&line.changes);
                policy
            }
            None => self.group_policy(&mut groups, line),
        };
        if policy.rebalances() && !line.selective && !line.exclusive && line.members.len() > 1 && groups.len() > 0 {
            groups.begin_round(&line.members);
            self.rebalance(&mut groups, line, policy.as_mut(), table);
        }
        groups.policy = Some(policy);
        line.groups = Some(groups);
    }

    /// The policy gave groups to consumers; told to whoever asks why messages go there.
    pub(crate) fn note_owners(
        &self,
        groups: &Groups,
        line: &mut Line,
        given: impl Iterator<Item = (u32, u32)>,
        (generation, decided, table): (u64, Decided, u64),
    ) {
        let Some(watch) = &mut line.watch else { return };
        let policy = groups.policy_name.clone().unwrap_or_default();
        watch.note_owners(given.filter_map(|(number, slot)| {
            let (at_ms, group, policy) = (self.now, groups.get(number)?.id.clone(), policy.clone());
            Some((number, OwnerDecision { at_ms, group, slot, policy, generation, decided, table }))
        }));
    }

    fn rebalance(
        &mut self,
        groups: &mut Groups,
        line: &mut Line,
        policy: &mut dyn GroupAssignment,
        table: &[ConsumerRow],
    ) {
        let (mut numbers, mut hash, mut queued, mut owners) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, group) in groups.iter() {
            if let Ownership::Owned(key) = group.ownership {
                numbers.push(at);
                hash.push(group.hash);
                queued.push(u32::try_from(group.parked().len()).unwrap_or(u32::MAX));
                owners.push(key.index);
            }
        }
        let owned = groups.owned();
        let batch = GroupBatch {
            now_ms: u64::try_from(self.now).unwrap_or(0),
            hash: &hash,
            queued: &queued,
            owners: &owners,
            candidates: &[],
            consumers: table,
            owned: &owned,
        };
        let mut moves = Vec::new();
        let decided = policy.rebalance(&batch, &mut moves);
        let corrected = self.group_check.moves(&batch, &mut moves).total();
        if corrected > 0 {
            groups.stats.corrected += corrected;
            policy.corrected(corrected);
        }
        if line.watch.is_some() {
            let moved = moves.iter().map(|one| (numbers[one.row as usize], one.to));
            self.note_owners(groups, line, moved, (policy.generation(), decided, digest(table, &owned)));
        }
        for one in moves {
            if let Some(to) = self.consumers.at(one.to) {
                self.give_group(groups, line, numbers[one.row as usize], to);
            }
        }
    }

    /// A message that came back stands before those of its group that are parked, so it is parked like them.
    pub(crate) fn came_back_parked(line: &mut Line, group: u32, entry: &mut Entry) {
        let place = line.pending.place(entry.sequence, entry.priority);
        if let Some(groups) = &mut line.groups
            && groups.get(group).is_some_and(|known| !known.parked().is_empty())
        {
            groups.park(group, place);
            entry.park();
        }
    }
}
