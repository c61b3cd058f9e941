//! A look at a line with message groups: which of its messages may go to whom now (rows C13 to C15).
//!
//! It walks over the line and over what is parked for the owners of its groups, in one order, makes rows of what may go,
//! and puts groups without an owner to the policy. Who owns what is written down in `owners.rs`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use message::{Message, Record, Sequence};
use plugin::{Columns, ConsumerRow, GROUP_ROWS_MAX, GroupBatch, LEAVE, Property};

use crate::broker::Broker;
use crate::dispatch::{LOAD_ENTRIES_MAX, SCAN_ENTRIES_MAX, Scratch, take};
use crate::entry::Entry;
use crate::explain::digest;
use crate::groups::{Groups, NO_GROUP, Ownership};
use crate::line::Line;
use crate::pending::Place;
use crate::slots::Key;

/// Entries looked at beyond the first when owners are asked for, so that one question serves many groups.
const ASK_ENTRIES_MAX: usize = 512;
/// Messages of one line that may wait for the owners of their groups and be passed over by others.
const PARKED_ENTRIES_MAX: usize = 1_000_000;

/// One look at a line for what may go out.
struct Look<'a> {
    groups: &'a mut Groups,
    line: &'a mut Line,
    scratch: &'a mut Scratch,
    expired: &'a mut Vec<Entry>,
    wanted: (Columns, &'a [Property]),
    /// The exclusive consumer that alone is served.
    only: Option<Key>,
    /// Parked messages that are next in their groups.
    ready: BinaryHeap<Reverse<(Place, u32)>>,
    /// An owner changed: what matched nobody may match now.
    changed: bool,
}

/// What became of an entry that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nobody will want to see it again before something changes.
    Passed,
    /// It is picked, or stays to be looked at again.
    Stays,
    /// Nothing behind it may be looked at.
    Blocks,
}

/// Who gets a message of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    /// The consumer at this place of the table.
    Owner(usize),
    /// Nobody before the group changes.
    Later,
    /// The policy wants it to wait.
    Left,
    /// The owner's selector does not take it.
    Nobody,
}

impl Broker {
    /// Picks the next rows to ask about in a line with groups: as for any line, and of each group in order and for its
    /// owner alone. Every row gets its candidates.
    pub(crate) fn gather_groups(
        &mut self,
        line: &mut Line,
        limit: usize,
        wanted: (Columns, &[Property]),
        scratch: &mut Scratch,
        expired: &mut Vec<Entry>,
    ) {
        let Some(mut groups) = line.groups.take() else { return };
        scratch.clear();
        scratch.properties.begin(wanted.1);
        scratch.room.clear();
        scratch.room.extend(scratch.consumers.iter().map(|row| row.credit));
        groups.begin_round(&line.members);
        let only = line.exclusive.then(|| self.exclusive_of(line)).flatten();
        let ready = groups.ready(&scratch.room, limit);
        let mut look = Look { groups: &mut groups, line, scratch, expired, wanted, only, ready, changed: false };
        self.look(&mut look, limit);
        if look.changed && look.line.selective {
            look.line.unmatched = Place::FIRST;
        }
        line.groups = Some(groups);
    }

    /// Walks over the line and over what is parked, whichever stands first.
    fn look(&mut self, look: &mut Look<'_>, limit: usize) {
        let mut at = look.line.pending.index_from(look.line.unmatched);
        let (mut seen, mut contiguous) = (0, true);
        // Behind this place nothing goes out: what stands there unseen may be of the same group as what is parked.
        let mut end: Option<Place> = None;
        while look.scratch.rows.len() < limit {
            let here = if end.is_none() { look.line.pending.place_at(at) } else { None };
            match (look.ready.peek().copied(), here) {
                (Some(Reverse((place, _))), _) if end.is_some_and(|end| place > end) => break,
                (Some(Reverse((place, group))), here) if here.is_none_or(|here| place <= here) => {
                    look.ready.pop();
                    self.look_at_parked(look, place, group);
                }
                (_, None) => break,
                (_, Some(place)) => {
                    let idle = look.line.pending.at(at).is_none_or(|entry| entry.is_taken() || entry.is_parked());
                    let outcome = if idle { Seen::Passed } else { self.look_at(look, at, place) };
                    seen += usize::from(!idle);
                    contiguous &= outcome == Seen::Passed;
                    if contiguous {
                        look.line.unmatched = place.after();
                    }
                    look.groups.blocked |= outcome == Seen::Blocks;
                    if outcome == Seen::Blocks || seen == SCAN_ENTRIES_MAX {
                        end = Some(place);
                        look.scratch.again |= contiguous;
                    }
                    at += 1;
                }
            }
        }
    }

    /// One entry in the order of the line.
    fn look_at(&mut self, look: &mut Look<'_>, at: usize, place: Place) -> Seen {
        let Some(entry) = look.line.pending.at(at) else { return Seen::Blocks };
        if entry.is_expired(self.now) {
            look.expired.push(take(look.line, at));
            return Seen::Passed;
        }
        let Some(message) = &entry.message else { return Seen::Blocks };
        if !entry.is_grouped() {
            return self.look_at_single(look, at);
        }
        let (message, sequence) = (message.clone(), entry.sequence);
        let id = message.group_id.as_deref().unwrap_or_default();
        let Some(group) = self.open_group(look, id) else { return Seen::Stays };
        let round = look.groups.round;
        let Some(known) = look.groups.get(group) else { return Seen::Stays };
        let behind = !known.parked().is_empty() || known.barrier == round;
        let taker = match behind {
            true if self.is_refused(look, group, at, &message) => Taker::Nobody,
            true => Taker::Later,
            false => self.taker_of(look, group, at, &message, sequence),
        };
        match taker {
            Taker::Owner(index) if look.scratch.room[index] > 0 => {
                self.pick(look, at, group, index, &message);
                Seen::Stays
            }
            Taker::Left => Seen::Stays,
            Taker::Nobody => {
                self.put_aside(look.line, at);
                Seen::Passed
            }
            Taker::Owner(_) | Taker::Later => {
                if look.groups.parked() >= PARKED_ENTRIES_MAX {
                    look.groups.stats.waited += 1;
                    return Seen::Blocks;
                }
                look.groups.park(group, place);
                if let Some(entry) = look.line.pending.at_mut(at) {
                    entry.park();
                }
                // Behind others of its group that may go now, it may go next.
                look.scratch.again |= behind && self.has_room(look, group);
                self.put_aside(look.line, at);
                Seen::Passed
            }
        }
    }

    /// A message without a group, among others with one.
    fn look_at_single(&mut self, look: &mut Look<'_>, at: usize) -> Seen {
        let Some(entry) = look.line.pending.at(at) else { return Seen::Blocks };
        let Some(message) = &entry.message else { return Seen::Blocks };
        let count = look.scratch.consumers.len();
        let mut mask: Vec<u64> = (0..count.div_ceil(64)).map(|word| ones(count - word * 64)).collect();
        if look.line.selective {
            let (anybody, with_credit) = self.candidates(look.line, &look.scratch.consumers, message, entry, &mut mask);
            if !anybody {
                self.put_aside(look.line, at);
                return Seen::Passed;
            }
            if !with_credit {
                return Seen::Stays;
            }
        }
        look.scratch.candidates.extend(&mask);
        look.scratch.add(at, entry, message, look.wanted, self.policies.symbols());
        look.scratch.groups.push(NO_GROUP);
        Seen::Stays
    }

    /// The first of the parked messages of a group that may go.
    fn look_at_parked(&mut self, look: &mut Look<'_>, place: Place, group: u32) {
        // Others of the group that stand before it may have been parked since this look began.
        let next = look.groups.get(group).and_then(|known| known.next_parked(look.groups.round));
        if let Some(next) = next.filter(|next| *next < place) {
            return look.ready.push(Reverse((next, group)));
        }
        let at = look.line.pending.index_from(place);
        let found = look.line.pending.at(at).filter(|entry| !entry.is_taken() && entry.is_parked());
        let found = found.filter(|_| look.line.pending.place_at(at) == Some(place));
        let Some(entry) = found else {
            look.groups.unpark(group, place); // It went another way: expired, or lost to damage.
            return self.look_behind(look, group);
        };
        if entry.is_expired(self.now) {
            look.expired.push(take(look.line, at));
            look.groups.unpark(group, place);
            return self.look_behind(look, group);
        }
        let Some(message) = entry.message.clone() else { return };
        let sequence = entry.sequence;
        match self.taker_of(look, group, at, &message, sequence) {
            Taker::Owner(index) if look.scratch.room[index] > 0 => {
                self.pick(look, at, group, index, &message);
                self.look_behind(look, group);
            }
            // It must not keep those behind it; it is looked at again in its place in the line.
            Taker::Nobody => {
                look.groups.unpark(group, place);
                if let Some(entry) = look.line.pending.at_mut(at) {
                    entry.unpark();
                }
                look.line.unmatched = look.line.unmatched.min(place);
                look.line.load_from = look.line.load_from.min(place);
                self.look_behind(look, group);
            }
            Taker::Owner(_) | Taker::Later | Taker::Left => {}
        }
    }

    /// The next parked message of the group may go too.
    fn look_behind(&self, look: &mut Look<'_>, group: u32) {
        let Some(known) = look.groups.get(group) else { return };
        match known.next_parked(look.groups.round) {
            Some(_) if known.barrier == look.groups.round => look.scratch.again = true,
            Some(next) => look.ready.push(Reverse((next, group))),
            None => {}
        }
    }

    /// Whether the selector of the group's owner does not take the message.
    fn is_refused(&self, look: &Look<'_>, group: u32, at: usize, message: &Message) -> bool {
        if !look.line.selective {
            return false;
        }
        let Some(Ownership::Owned(key)) = look.groups.get(group).map(|group| &group.ownership) else { return false };
        let redeliveries = look.line.pending.at(at).map_or(0, |entry| entry.redeliveries.into());
        let selector = self.consumers.get(*key).and_then(|consumer| consumer.selector.as_ref());
        selector.is_some_and(|selector| !message.matches(selector, redeliveries))
    }

    fn has_room(&self, look: &Look<'_>, group: u32) -> bool {
        match look.groups.get(group).map(|group| &group.ownership) {
            Some(Ownership::Owned(key)) => look.groups.position(*key).is_some_and(|at| look.scratch.room[at] > 0),
            _ => false,
        }
    }

    /// Makes a row of a message for the owner of its group.
    fn pick(&mut self, look: &mut Look<'_>, at: usize, group: u32, index: usize, message: &Arc<Message>) {
        let (Some(entry), Some(place)) = (look.line.pending.at(at), look.line.pending.place_at(at)) else { return };
        let round = look.groups.round;
        if let Some(known) = look.groups.get_mut(group) {
            known.picked = round;
            known.picked_to = place;
            if message.group_sequence < 0 {
                known.barrier = round;
            }
        }
        look.scratch.room[index] -= 1;
        let start = look.scratch.candidates.len();
        look.scratch.candidates.resize(start + look.scratch.consumers.len().div_ceil(64), 0);
        look.scratch.candidates[start + index / 64] |= 1 << (index % 64);
        look.scratch.add(at, entry, message, look.wanted, self.policies.symbols());
        look.scratch.groups.push(group);
    }

    /// The group of this id; `None` when there are too many and none is idle.
    fn open_group(&mut self, look: &mut Look<'_>, id: &str) -> Option<u32> {
        let most = look.line.settings.message_groups_max;
        // A group that had to wait must not be overtaken by itself: nothing new is let in before the next look.
        if look.groups.full_round == look.groups.round && !look.groups.has(id) {
            return None;
        }
        if look.groups.len() >= most && !look.groups.has(id) {
            let forgotten = look.groups.forget(most);
            if let Some(log) = look.line.log {
                self.records.extend(forgotten.into_iter().map(|group| Record::GroupGone { log, group }));
            }
            if look.groups.len() >= most {
                look.groups.stats.waited += 1;
                look.groups.full_round = look.groups.round;
                return None;
            }
        }
        Some(look.groups.open(id))
    }

    /// Who gets this message, which is the next one of its group; finds an owner where there is none.
    fn taker_of(
        &mut self,
        look: &mut Look<'_>,
        group: u32,
        at: usize,
        message: &Arc<Message>,
        sequence: Sequence,
    ) -> Taker {
        let round = look.groups.round;
        let Some(known) = look.groups.get(group) else { return Taker::Left };
        // Who has had nothing of the group yet may begin with this.
        let opens = message.group_sequence == 1 && known.opened != sequence && known.first != 0;
        let owner = match known.ownership {
            Ownership::Owned(key) | Ownership::Moving(key) => Some(key),
            _ => None,
        };
        if opens && known.picked == round {
            if let Some(known) = look.groups.get_mut(group) {
                known.barrier = round;
            }
            look.scratch.again = true;
            return Taker::Later;
        }
        match (look.only, &known.ownership) {
            // An exclusive consumer gets the groups too.
            (Some(only), _) if owner != Some(only) => self.give_group(look.groups, look.line, group, only),
            (None, Ownership::Free) if known.asked == round => return Taker::Left,
            (None, Ownership::Free) => self.ask_owners(look, group, at, message),
            (None, Ownership::Owned(_)) if opens => {
                if known.asked == round {
                    return Taker::Later;
                }
                if !self.ask_owners(look, group, at, message) {
                    return Taker::Later;
                }
                if look.line.selective && self.has_passed_on(look, group, owner, sequence) {
                    return Taker::Left;
                }
                true
            }
            _ => false,
        };
        let Some(known) = look.groups.get_mut(group) else { return Taker::Left };
        let was_asked = known.asked == round;
        if message.group_sequence == 1 && matches!(known.ownership, Ownership::Owned(_) | Ownership::Moving(_)) {
            known.opened = sequence;
        }
        match look.groups.get(group).map_or(&Ownership::Free, |known| &known.ownership) {
            Ownership::Owned(_) if self.is_refused(look, group, at, message) => Taker::Nobody,
            Ownership::Owned(key) => look.groups.position(*key).map_or(Taker::Later, Taker::Owner),
            Ownership::Moving(_) | Ownership::Reserved(_) => Taker::Later,
            Ownership::Free if was_asked => Taker::Left,
            Ownership::Free => Taker::Nobody,
        }
    }

    /// Whether an opening message gave the group to another owner, who may take what the former refused: that stands before
    /// it, so the group waits for the next look, which begins at the front.
    fn has_passed_on(&self, look: &mut Look<'_>, group: u32, former: Option<Key>, opening: Sequence) -> bool {
        let round = look.groups.round;
        let Some(known) = look.groups.get_mut(group) else { return false };
        let (Ownership::Owned(owner) | Ownership::Moving(owner)) = known.ownership else { return false };
        if former == Some(owner) {
            return false;
        }
        (known.opened, known.barrier) = (opening, round);
        look.scratch.again = true;
        true
    }

    /// Puts groups without an owner to the policy: this one, and others that will be met soon. True if it was given to
    /// somebody.
    fn ask_owners(&mut self, look: &mut Look<'_>, group: u32, at: usize, message: &Arc<Message>) -> bool {
        let mut asked = Asked::default();
        let words = look.scratch.consumers.len().div_ceil(64);
        self.ask_for(look, &mut asked, group, at, message, words);
        let free: Vec<_> = look.groups.unassigned().iter().take(GROUP_ROWS_MAX).copied().collect();
        for (place, other) in free {
            let place_at = look.line.pending.index_from(place);
            let entry = look.line.pending.at(place_at).filter(|entry| !entry.is_taken());
            if let Some(message) = entry.and_then(|entry| entry.message.clone()) {
                self.ask_for(look, &mut asked, other, place_at, &message, words);
            }
        }
        for next in at + 1..look.line.pending.span().min(at + 1 + ASK_ENTRIES_MAX) {
            let Some(entry) = look.line.pending.at(next) else { break };
            if entry.is_taken() || entry.is_parked() || !entry.is_grouped() {
                continue;
            }
            let Some(message) = entry.message.clone() else { break };
            let id = message.group_id.as_deref().unwrap_or_default();
            let room = look.groups.len() < look.line.settings.message_groups_max
                && look.groups.full_round != look.groups.round;
            if room || look.groups.has(id) {
                let other = look.groups.open(id);
                if look.groups.get(other).is_some_and(|known| known.ownership == Ownership::Free) {
                    self.ask_for(look, &mut asked, other, next, &message, words);
                }
            }
        }
        self.put_question(look, &asked) && asked.groups.first() == Some(&group)
    }

    /// Adds a group to a question, once.
    fn ask_for(
        &self,
        look: &mut Look<'_>,
        asked: &mut Asked,
        group: u32,
        at: usize,
        message: &Arc<Message>,
        words: usize,
    ) {
        let round = look.groups.round;
        let Some(known) = look.groups.get_mut(group) else { return };
        if known.asked == round {
            if let Some(row) = asked.groups.iter().position(|other| *other == group) {
                asked.queued[row] += 1;
            }
            return;
        }
        if asked.groups.len() >= GROUP_ROWS_MAX {
            return;
        }
        if look.line.selective {
            let mut mask = vec![0; words];
            let Some(entry) = look.line.pending.at(at) else { return };
            if !self.candidates(look.line, &look.scratch.consumers, message, entry, &mut mask).0 {
                return; // Nobody wants this message; the next one of its group may find somebody.
            }
            asked.candidates.extend(mask);
        }
        known.asked = round;
        asked.groups.push(group);
        asked.hash.push(known.hash);
        asked.queued.push(u32::try_from(known.parked().len()).unwrap_or(u32::MAX).max(1));
    }

    /// Asks, checks the answers and applies them. True if the first of the groups was given to somebody.
    fn put_question(&mut self, look: &mut Look<'_>, asked: &Asked) -> bool {
        if asked.groups.is_empty() {
            return false;
        }
        let mut policy = match look.groups.policy.take() {
            Some(policy) => policy,
            None => self.group_policy(look.groups, look.line),
        };
        let with_room = look.scratch.consumers.iter().zip(&look.scratch.room);
        let consumers: Vec<_> = with_room.map(|(row, room)| ConsumerRow { credit: *room, ..*row }).collect();
        let owned = look.groups.owned();
        let batch = GroupBatch {
            now_ms: u64::try_from(self.now).unwrap_or(0),
            hash: &asked.hash,
            queued: &asked.queued,
            owners: &[],
            candidates: &asked.candidates,
            consumers: &consumers,
            owned: &owned,
        };
        let mut answers = Vec::with_capacity(asked.groups.len());
        let decided = policy.assign(&batch, &mut answers);
        let corrected = self.group_check.owners(&batch, &mut answers).total();
        if corrected > 0 {
            look.groups.stats.corrected += corrected;
            policy.corrected(corrected);
        }
        let generation = policy.generation();
        look.groups.policy = Some(policy);
        look.changed = true;
        if look.line.watch.is_some() {
            let given = asked.groups.iter().copied().zip(answers.iter().copied()).filter(|(_, slot)| *slot != LEAVE);
            let table = digest(&consumers, &owned);
            self.note_owners(look.groups, look.line, given, (generation, decided, table));
        }
        let given = answers.first().is_some_and(|slot| *slot != LEAVE);
        for (group, slot) in asked.groups.iter().zip(answers) {
            if slot != LEAVE
                && let Some(key) = self.consumers.at(slot)
            {
                self.give_group(look.groups, look.line, *group, key);
            }
        }
        given
    }

    /// Parked messages that could go out if their bodies were here.
    pub(crate) fn parked_bodies(&self, line: &Line) -> Vec<(Sequence, u8)> {
        let mut wanted = Vec::new();
        let Some(groups) = &line.groups else { return wanted };
        let away = |place: &Place| {
            let at = line.pending.index_from(*place);
            let entry = line.pending.at(at).filter(|_| line.pending.place_at(at) == Some(*place))?;
            (!entry.is_taken() && entry.message.is_none()).then_some((entry.sequence, entry.priority))
        };
        for (key, heads) in groups.waiting() {
            let mut room = self.credit(key) as usize;
            for (_, group) in heads {
                let Some(group) = groups.get(*group) else { continue };
                wanted.extend(group.parked().iter().take(room).filter_map(away));
                room = room.saturating_sub(group.parked().len());
                if room == 0 || wanted.len() >= LOAD_ENTRIES_MAX {
                    break;
                }
            }
        }
        wanted.extend(groups.unassigned().iter().take(GROUP_ROWS_MAX).filter_map(|(place, _)| away(place)));
        wanted.truncate(LOAD_ENTRIES_MAX);
        wanted
    }
}

/// Groups put to the policy in one question, as columns.
#[derive(Debug, Default)]
struct Asked {
    groups: Vec<u32>,
    hash: Vec<u64>,
    queued: Vec<u32>,
    candidates: Vec<u64>,
}

/// The lowest `count` bits, or all of a word.
fn ones(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}
