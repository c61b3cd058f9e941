//! What deliveries of message groups have to be: one owner at a time, in order, and the first one says so.

use std::collections::BTreeSet;

use message::{ConnectionKey, Delivery, Sequence, SubscriptionKey};

use super::{Done, LineKey, Oracle, Source};
use crate::words::Letter;

type Owner = (ConnectionKey, SubscriptionKey);

/// What is known of a group in a line, in this run of the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// Who got its last message, and which.
    last: (Owner, Sequence),
    /// Or this one: they got theirs in the same step.
    or_last: Option<(Owner, Sequence)>,
    /// Highest sequence handed out for the first time.
    last_fresh: Sequence,
}

impl Oracle {
    pub(super) fn check_group(
        &mut self,
        line: LineKey,
        to: Owner,
        delivery: &Delivery,
        letter: &Letter,
        together: &BTreeSet<Sequence>,
    ) -> Result<(), String> {
        let Some((group, _)) = &letter.group else {
            return if delivery.group_first { Err("it is the first of no group".into()) } else { Ok(()) };
        };
        let subscription = self.subscription(to.0, to.1).filter(|found| matches!(found.source, Source::Queues));
        let Some(auto_ack) = subscription.map(|subscription| subscription.auto_ack) else { return Ok(()) };
        self.counted.grouped += 1;
        let selective = self.members(line).any(|(_, subscription)| subscription.selector.is_some());
        self.lines[line].selective |= selective;
        let sequence = delivery.message.sequence;
        // What leaves for several connections in one step comes in no order. Who acknowledges by itself was done at once, so
        // that the group could pass on to another within the step.
        let prioritized = self.is_prioritized(line);
        let may_follow = |other: Sequence| auto_ack && (prioritized || other > sequence) && together.contains(&other);
        if let Some(other) = self.holder_of_group(line, group, to, may_follow) {
            return Err(format!("group {group} is in flight at {other:?}"));
        }
        let known = self.lines[line].groups.get(group).copied();
        let elsewhere = known.and_then(|known| if known.last.0 == to { known.or_last } else { Some(known.last) });
        let elsewhere = elsewhere.filter(|(_, last)| may_follow(*last));
        let followed = elsewhere.is_some();
        let is_new = |known: Group| known.last.0 != to && known.or_last.is_none_or(|(owner, _)| owner != to);
        if !followed && known.is_none_or(is_new) {
            self.counted.group_moves += u64::from(known.is_some());
            if !delivery.group_first {
                return Err(format!("its consumer is new to group {group} and is not told"));
            }
        }
        let fresh = !self.copies.contains_key(&(line, sequence));
        let last_fresh = known.map_or(0, |known| known.last_fresh);
        let in_order = !self.lines[line].selective && !prioritized;
        if in_order {
            if fresh && sequence < last_fresh && !followed {
                return Err(format!("it comes after number {last_fresh} of its group {group}"));
            }
            self.check_returned(line, group, sequence, together)?;
        }
        let last_fresh = if fresh { last_fresh.max(sequence) } else { last_fresh };
        self.lines[line].groups.insert(group.clone(), Group { last: (to, sequence), or_last: elsewhere, last_fresh });
        Ok(())
    }

    /// Another consumer, or what is left of a closed one, that has a message of the group.
    fn holder_of_group(
        &self,
        line: LineKey,
        group: &str,
        to: Owner,
        may_follow: impl Fn(Sequence) -> bool,
    ) -> Option<(ConnectionKey, Option<SubscriptionKey>)> {
        let is = |sequence: Sequence| {
            let letter = self.copies.get(&(line, sequence)).and_then(|copy| self.sends.get(&copy.uid));
            letter.and_then(|sent| sent.letter.group.as_ref()).is_some_and(|(other, _)| other == group)
        };
        for (connection, found) in &self.connections {
            for (key, subscription) in &found.subscriptions {
                let holds =
                    |out: &super::Out| !out.copy && out.line == line && is(out.sequence) && !may_follow(out.sequence);
                if (*connection, *key) != to && subscription.held.values().any(holds) {
                    return Some((*connection, Some(*key)));
                }
            }
            if found.shadows.iter().any(|shadow| shadow.line == line && is(shadow.sequence)) {
                return Some((*connection, None));
            }
        }
        None
    }

    /// Nothing of the group that came back and waits is overtaken.
    fn check_returned(
        &self,
        line: LineKey,
        group: &str,
        sequence: Sequence,
        together: &BTreeSet<Sequence>,
    ) -> Result<(), String> {
        for earlier in self.lines[line].returned.range(..sequence) {
            let Some(copy) = self.copies.get(&(line, *earlier)) else { continue };
            let same = self.sends.get(&copy.uid).and_then(|sent| sent.letter.group.as_ref());
            let waits = copy.holder.is_none() && copy.done == Done::No && !together.contains(earlier);
            let dead = copy.expiration > 0 && self.now > copy.expiration;
            if waits && !dead && same.is_some_and(|(other, _)| other == group) {
                return Err(format!(
                    "it overtakes {} (number {earlier}) of its group {group}, which was given back",
                    copy.uid
                ));
            }
        }
        Ok(())
    }
}
