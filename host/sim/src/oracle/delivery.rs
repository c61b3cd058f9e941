//! What every delivery has to be.

use std::collections::BTreeSet;

use message::{ConnectionKey, Delivery, DestinationKind, Sequence};

use super::{
    Copy, Done, Ending, Fate, LineKey, Oracle, Out, Place, Source, Subscription, covers, place_of_queue, producer_text,
};
use crate::options::is_dead_letter_queue;
use crate::policy::keeps_order;
use crate::words::{Letter, takes, uid_of};

impl Oracle {
    pub(super) fn delivered(&mut self, to: ConnectionKey, delivery: &Delivery, together: &BTreeSet<Sequence>) {
        self.counted.deliveries += 1;
        self.counted.redeliveries += u64::from(delivery.redeliveries > 0);
        if let Err(why) = self.check_delivery(to, delivery, together) {
            let message = &delivery.message;
            self.broken(format!(
                "{why}: {:?} number {} from {} to consumer {} of connection {to}, tag {}, {} redeliveries",
                uid_of(message),
                message.sequence,
                message.destination,
                delivery.subscription,
                delivery.tag,
                delivery.redeliveries
            ));
        }
    }

    fn check_delivery(
        &mut self,
        to: ConnectionKey,
        delivery: &Delivery,
        together: &BTreeSet<Sequence>,
    ) -> Result<(), String> {
        let message = &delivery.message;
        let now = self.now;
        let uid = uid_of(message).ok_or("a message that nobody sent")?;
        let sent = self.sends.get(&uid).ok_or("a message that nobody sent")?;
        let letter = sent.letter.clone();
        let (fate, repeated, transaction) = (sent.fate, sent.repeated, sent.transaction);
        if message.id != letter.id || message.content.as_ref() != Some(&letter.body) {
            return Err("the message is not what was sent".into());
        }
        if fate == Fate::Refused && !repeated {
            return Err("its send was refused".into());
        }
        if let Some(number) = transaction {
            match self.transactions[number].ending {
                Ending::Open | Ending::RolledBack => return Err(format!("its transaction {number} never committed")),
                _ => self.learned(number, true),
            }
        }
        let id = self.connections.get(&to).ok_or("its connection is gone")?.id.clone();
        let subscription = self.subscription(to, delivery.subscription).ok_or("its consumer is gone")?;
        check_window(subscription, delivery.tag)?;
        if !takes(subscription.selector, &letter) {
            return Err("its selector does not take it".into());
        }
        if !covers(&subscription.parts, &message.destination) {
            return Err("its consumer asked for something else".into());
        }
        let key = delivery.subscription;
        if let Source::Browser = subscription.source {
            let out = Out { line: 0, sequence: 0, copy: true, seen: false, received: false, transaction: None };
            subscription.held.insert(delivery.tag, out);
            subscription.unseen += 1;
            return Ok(());
        }
        if message.is_expired(now) {
            return Err(format!("it expired at {}, now is {now}", message.expiration));
        }
        let (auto_ack, no_local) = (subscription.auto_ack, subscription.no_local);
        let line = match subscription.source {
            Source::Line(line) => line,
            _ => {
                let place = place_of_queue(&message.destination);
                self.line(place)
            }
        };
        // A durable subscription keeps what came before its consumer did, be it from the same connection.
        if no_local && matches!(self.lines[line].place, Place::Topic(..)) && letter.id.producer.connection == id {
            return Err("its consumer wants nothing of its own connection".into());
        }
        self.check_copy(line, delivery, &letter, repeated)?;
        self.check_exclusive(line, (to, key))?;
        self.check_group(line, (to, key), delivery, &letter, together)?;
        self.check_order(line, (to, key), delivery, &letter, repeated, together)?;
        self.hand_over(line, (to, key), delivery, auto_ack);
        Ok(())
    }

    /// One holder at a time, nothing acknowledged again, nothing seen before without a mark, nothing twice.
    fn check_copy(
        &mut self,
        line: LineKey,
        delivery: &Delivery,
        letter: &Letter,
        repeated: bool,
    ) -> Result<(), String> {
        let sequence = delivery.message.sequence;
        let dead = self.is_dead_letters(line);
        if dead {
            self.counted.dead += 1;
            self.dead_seen.entry(letter.uid).or_default().insert((line, sequence));
        } else {
            let first = *self.lines[line].sequences.entry(letter.uid).or_insert(sequence);
            if first != sequence && (letter.persistent || !repeated) && self.lines[line].place.lasts() {
                return Err(format!("its second copy, the first one had number {first}"));
            }
        }
        self.undone(line, sequence);
        let Some(copy) = self.copy(line, sequence) else { return Ok(()) };
        if copy.uid != letter.uid {
            return Err(format!("its number was that of {}", copy.uid));
        }
        if let Some(holder) = copy.holder {
            return Err(format!("it is held by {holder:?}"));
        }
        if copy.must_mark && delivery.redeliveries == 0 {
            return Err("it was seen before and is not marked".into());
        }
        Ok(())
    }

    fn is_dead_letters(&self, line: LineKey) -> bool {
        matches!(&self.lines[line].place, Place::Queue(name) if is_dead_letter_queue(name))
    }

    /// Of a queue with exclusive consumers only the first one of the highest priority is served.
    fn check_exclusive(&self, line: LineKey, to: (ConnectionKey, u32)) -> Result<(), String> {
        let chosen = self
            .members(line)
            .filter(|(_, s)| s.exclusive)
            .max_by_key(|(_, s)| (s.priority, std::cmp::Reverse(s.order)))
            .map(|(key, _)| key);
        match chosen {
            Some(chosen) if chosen != to => Err(format!("exclusive is {chosen:?}")),
            _ => Ok(()),
        }
    }

    pub(super) fn members(&self, line: LineKey) -> impl Iterator<Item = ((ConnectionKey, u32), &Subscription)> {
        let queue = match &self.lines[line].place {
            Place::Queue(name) => Some(message::Destination::queue(name.clone())),
            Place::Temporary(name) => {
                Some(message::Destination { kind: DestinationKind::TempQueue, name: name.clone() })
            }
            _ => None,
        };
        let all =
            self.connections.iter().flat_map(|(key, c)| c.subscriptions.iter().map(move |(s, v)| ((*key, *s), v)));
        all.filter(move |(_, s)| {
            matches!(s.source, Source::Queues) && queue.as_ref().is_some_and(|queue| covers(&s.parts, queue))
        })
    }

    fn check_order(
        &mut self,
        line: LineKey,
        to: (ConnectionKey, u32),
        delivery: &Delivery,
        letter: &Letter,
        repeated: bool,
        together: &BTreeSet<Sequence>,
    ) -> Result<(), String> {
        let message = &delivery.message;
        let place = self.lines[line].place.clone();
        if let Place::Queue(name) | Place::Temporary(name) = &place
            && !keeps_order(&self.config.settings(true, name).dispatch_policy)
        {
            return Ok(());
        }
        let prioritized = self.is_prioritized(line);
        let rank = |priority: u8, sequence: Sequence| (if prioritized { 9 - priority.min(9) } else { 0 }, sequence);
        if !self.members(line).any(|(_, s)| s.selector.is_some()) {
            let mine = rank(message.priority, message.sequence);
            for earlier in &self.lines[line].returned {
                let Some(copy) = self.copies.get(&(line, *earlier)) else { continue };
                let waits = copy.holder.is_none() && copy.done == Done::No && !together.contains(earlier);
                let dead = copy.expiration > 0 && self.now > copy.expiration;
                // Each group goes its own way: what came back may wait for its owner.
                let group = self.sends.get(&copy.uid).and_then(|sent| sent.letter.group.as_ref());
                let apart = group.map(|(group, _)| group) != letter.group.as_ref().map(|(group, _)| group);
                if waits && !dead && !apart && rank(copy.priority, *earlier) < mine {
                    return Err(format!("it overtakes {} (number {earlier}), which was given back", copy.uid));
                }
            }
        }
        let fresh = !self.copies.contains_key(&(line, message.sequence));
        if !fresh || self.is_dead_letters(line) || (repeated && !letter.persistent) {
            return Ok(());
        }
        let priority = if prioritized { message.priority } else { 0 };
        let Some(subscription) = self.subscription(to.0, to.1) else { return Ok(()) };
        let group = letter.group.as_ref().map_or("", |(group, _)| group);
        let slot = (line, format!("{} {group}", producer_text(&message.id)), priority);
        let last = subscription.last.entry(slot).or_insert(i64::MIN);
        if *last > message.id.sequence {
            return Err(format!("it comes after number {last} of its producer"));
        }
        *last = message.id.sequence;
        Ok(())
    }

    fn hand_over(&mut self, line: LineKey, to: (ConnectionKey, u32), delivery: &Delivery, auto_ack: bool) {
        let message = &delivery.message;
        let sequence = message.sequence;
        let uid = uid_of(message).unwrap_or(0);
        self.lines[line].returned.remove(&sequence);
        self.traces.entry((line, uid)).or_default().arrived = true;
        let stored = message.persistent && self.lines[line].place.lasts();
        let copy = self.copies.entry((line, sequence)).or_insert(Copy {
            uid,
            stored,
            priority: message.priority,
            expiration: message.expiration,
            holder: None,
            done: Done::No,
            given_up: false,
            must_mark: false,
        });
        if auto_ack {
            return self.done(to.0, line, sequence, None, false);
        }
        copy.holder = Some(to);
        let out = Out { line, sequence, copy: false, seen: false, received: false, transaction: None };
        if let Some(subscription) = self.subscription(to.0, to.1) {
            subscription.held.insert(delivery.tag, out);
            subscription.unseen += 1;
        }
    }
}

/// Tags rise by one; a consumer gets no more than its prefetch, or its pulls, allow.
fn check_window(subscription: &mut Subscription, tag: u64) -> Result<(), String> {
    if tag != subscription.next_tag {
        return Err(format!("tag {} was due", subscription.next_tag));
    }
    subscription.next_tag += 1;
    let browser = matches!(subscription.source, Source::Browser);
    if subscription.prefetch > 0 {
        if subscription.unseen >= subscription.prefetch {
            return Err(format!("its consumer has {} already, its prefetch", subscription.unseen));
        }
    } else if subscription.pulls > 0 {
        subscription.pulls -= 1;
    } else if !browser {
        return Err("its consumer did not pull".into());
    }
    Ok(())
}
