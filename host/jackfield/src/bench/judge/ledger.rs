//! What the broker promised and what came: the judge's book.
//!
//! A stream is one producer's messages to one queue, numbered from 0 without gaps. What was not confirmed before its
//! connection was lost is open: it may arrive or not. What was rolled back, or never committed, must not arrive.
//! A generation is the life of a broker between two losses; what a client reads from the socket of a broker that has
//! died since counts for nothing, because nobody can acknowledge it any more.

use std::collections::HashMap;

/// One message: its stream and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageKey {
    pub(crate) stream: u32,
    pub(crate) sequence: u64,
}

const CONFIRMED: u8 = 1;
const FORBIDDEN: u8 = 2;
const OPEN: u8 = 4;
const DELIVERED: u8 = 8;
const ACK_CONFIRMED: u8 = 16;

/// What is known of one message: three bytes, so that a long campaign stays in memory.
#[derive(Clone, Copy, Default)]
struct Fate {
    flags: u8,
    /// Generation of the last delivery.
    delivered_in: u16,
}

/// Most messages of one stream; the judge stops sending there.
pub(crate) const STREAM_MESSAGES_MAX: usize = 16 << 20;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The send was confirmed and the message never came.
    Lost,
    /// Came again without the redelivered mark.
    UnmarkedDuplicate,
    /// Came again after its acknowledgement had been confirmed.
    AcknowledgedCameBack,
    /// Came after a later message of its producer, to the same consumer, both for the first time.
    OutOfOrder,
    /// Came after a later message of its producer and its group, to whichever consumer, both for the first time.
    GroupOutOfOrder,
    /// Not what was sent: the checksum does not fit.
    Damaged,
    /// Came although its transaction was rolled back or never committed.
    RolledBackArrived,
    /// Came to a queue that it was not sent to, or was never sent at all.
    Misrouted,
}

impl Violation {
    pub(crate) const ALL: [Self; 8] = [
        Self::Lost,
        Self::UnmarkedDuplicate,
        Self::AcknowledgedCameBack,
        Self::OutOfOrder,
        Self::GroupOutOfOrder,
        Self::Damaged,
        Self::RolledBackArrived,
        Self::Misrouted,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::UnmarkedDuplicate => "duplicates without redelivered mark",
            Self::AcknowledgedCameBack => "came back after a confirmed ack",
            Self::OutOfOrder => "order violations",
            Self::GroupOutOfOrder => "order violations within a group",
            Self::Damaged => "damaged bodies",
            Self::RolledBackArrived => "arrived without a commit",
            Self::Misrouted => "in the wrong queue or never sent",
        }
    }
}

/// A consumer on a queue, as long as one subscription lasts.
struct Subscriber {
    queue: u32,
    generation: u16,
    /// Highest number of each stream among its first deliveries.
    last: HashMap<u32, u64>,
}

/// The book. Its owner locks it: each entry is a few nanoseconds.
pub(crate) struct Ledger {
    queues: u32,
    /// Message groups of each queue; 0 for none.
    groups: u64,
    /// Highest number of each stream and group among first deliveries.
    last_of_group: HashMap<(u32, u64), u64>,
    streams: Vec<Vec<Fate>>,
    subscribers: HashMap<u64, Subscriber>,
    subscriber_last: u64,
    generation: u16,
    /// The generation began with a new process of the broker, not only with a lost connection: whatever comes for the
    /// first time, marked or not, comes from its store and in order.
    restarted: bool,
    /// Generation in which a consumer of the queue gave messages back while others went on: until the next
    /// generation the queue's order says nothing.
    disturbed: Vec<Option<u16>>,
    /// Duplicates without a mark are counted, not judged, when a restart lies between.
    lenient_marks: bool,
    counts: [u64; Violation::ALL.len()],
    pub(crate) tally: Tally,
    findings: Vec<String>,
}

/// What happened, good or bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) confirmed: u64,
    pub(crate) rolled_back: u64,
    pub(crate) open: u64,
    pub(crate) open_arrived: u64,
    pub(crate) deliveries: u64,
    pub(crate) redelivered: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unmarked_after_restart: u64,
    pub(crate) order_checked: u64,
}

/// Most findings kept as text.
const FINDINGS_MAX: usize = 1000;

impl Ledger {
    pub(crate) fn new(producers: u32, queues: u32, groups: u32, lenient_marks: bool) -> Self {
        Self {
            queues,
            groups: groups.into(),
            last_of_group: HashMap::new(),
            streams: (0..producers * queues).map(|_| Vec::new()).collect(),
            subscribers: HashMap::new(),
            subscriber_last: 0,
            generation: 0,
            restarted: true,
            disturbed: vec![None; queues as usize],
            lenient_marks,
            counts: [0; Violation::ALL.len()],
            tally: Tally::default(),
            findings: Vec::new(),
        }
    }

    pub(crate) fn generation(&self) -> u16 {
        self.generation
    }

    /// The broker died for certain (`restarted`), or a connection to it was lost: what older connections still say
    /// counts no more.
    pub(crate) fn next_generation(&mut self, restarted: bool) {
        self.generation += 1;
        self.restarted = restarted;
        self.subscribers.clear();
        self.last_of_group.clear();
    }

    /// Takes a number for a message that is about to be sent; it must not arrive before [`Ledger::may_arrive`]
    /// when it is part of a transaction. None when the stream is full.
    pub(crate) fn send(&mut self, producer: u32, queue: u32, transacted: bool) -> Option<MessageKey> {
        let stream = producer * self.queues + queue;
        let fates = &mut self.streams[stream as usize];
        if fates.len() >= STREAM_MESSAGES_MAX {
            return None;
        }
        let sequence = fates.len() as u64;
        fates.push(Fate { flags: if transacted { FORBIDDEN } else { 0 }, delivered_in: 0 });
        self.tally.sent += 1;
        Some(MessageKey { stream, sequence })
    }

    /// The group of a message; each fourth has none, so that the dispatch policy is asked too.
    pub(crate) fn group(&self, key: MessageKey) -> Option<u64> {
        if key.sequence % 4 == 3 { None } else { key.sequence.checked_rem(self.groups) }
    }

    fn fate(&mut self, key: MessageKey) -> &mut Fate {
        &mut self.streams[key.stream as usize][key.sequence as usize]
    }

    /// The commit of these messages is on its way.
    pub(crate) fn may_arrive(&mut self, keys: &[MessageKey]) {
        keys.iter().for_each(|key| self.fate(*key).flags &= !FORBIDDEN);
    }

    /// The broker promised to keep these.
    pub(crate) fn confirm_send(&mut self, keys: &[MessageKey]) {
        for key in keys {
            self.fate(*key).flags |= CONFIRMED;
            self.tally.confirmed += 1;
        }
    }

    /// The connection was lost before an answer came.
    pub(crate) fn leave_open(&mut self, keys: &[MessageKey]) {
        keys.iter().for_each(|key| self.fate(*key).flags |= OPEN);
    }

    /// A subscription begins; none when its connection is older than the last loss.
    pub(crate) fn subscribe(&mut self, queue: u32, generation: u16) -> Option<u64> {
        if generation != self.generation {
            return None;
        }
        self.subscriber_last += 1;
        let subscriber = Subscriber { queue, generation, last: HashMap::new() };
        self.subscribers.insert(self.subscriber_last, subscriber);
        Some(self.subscriber_last)
    }

    /// A subscription is about to end in the midst of its messages, or to give some back.
    pub(crate) fn disturb(&mut self, subscriber: u64) {
        if let Some(subscriber) = self.subscribers.get(&subscriber) {
            self.disturbed[subscriber.queue as usize] = Some(subscriber.generation);
        }
    }

    /// A message came (none: its body is damaged). False when the subscription counts no more.
    pub(crate) fn deliver(&mut self, subscriber: u64, key: Option<MessageKey>, redelivered: bool) -> bool {
        let generation = self.generation;
        let Some(queue) = self.subscribers.get(&subscriber).map(|subscriber| subscriber.queue) else { return false };
        self.tally.deliveries += 1;
        self.tally.redelivered += u64::from(redelivered);
        let Some(key) = key else {
            self.find(Violation::Damaged, None);
            return true;
        };
        let known = self.streams.get(key.stream as usize).is_some_and(|fates| key.sequence < fates.len() as u64);
        if !known || key.stream % self.queues != queue {
            self.find(Violation::Misrouted, Some(key));
            return true;
        }
        let fate = *self.fate(key);
        if fate.flags & FORBIDDEN != 0 {
            self.find(Violation::RolledBackArrived, Some(key));
        }
        if fate.flags & ACK_CONFIRMED != 0 {
            self.find(Violation::AcknowledgedCameBack, Some(key));
        } else if fate.flags & DELIVERED != 0 && !redelivered {
            if fate.delivered_in != generation {
                self.tally.unmarked_after_restart += 1;
            }
            if fate.delivered_in == generation || !self.lenient_marks {
                self.find(Violation::UnmarkedDuplicate, Some(key));
            }
        }
        if fate.flags & DELIVERED == 0 && (!redelivered || self.restarted) {
            self.check_order(subscriber, key, fate);
        }
        let fate = self.fate(key);
        fate.flags |= DELIVERED;
        fate.delivered_in = generation;
        true
    }

    fn check_order(&mut self, subscriber: u64, key: MessageKey, fate: Fate) {
        let subscriber = self.subscribers.get_mut(&subscriber).expect("looked up by the caller");
        let calm = self.disturbed[subscriber.queue as usize] != Some(self.generation);
        let last = subscriber.last.entry(key.stream).or_insert(key.sequence);
        let late = key.sequence < *last;
        *last = (*last).max(key.sequence);
        let late_in_group = self.group(key).is_some_and(|group| {
            let last = self.last_of_group.entry((key.stream, group)).or_insert(key.sequence);
            let late = key.sequence < *last;
            *last = (*last).max(key.sequence);
            late
        });
        if calm && fate.flags & OPEN == 0 {
            self.tally.order_checked += 1;
            if late {
                self.find(Violation::OutOfOrder, Some(key));
            }
            if late_in_group {
                self.find(Violation::GroupOutOfOrder, Some(key));
            }
        }
    }

    /// The broker promised that these never come again; `generation` is that of the promise.
    pub(crate) fn confirm_ack(&mut self, keys: &[MessageKey], generation: u16) {
        for key in keys {
            let fate = self.fate(*key);
            let came_back = fate.delivered_in > generation;
            fate.flags |= ACK_CONFIRMED;
            self.tally.acknowledged += 1;
            if came_back {
                self.find(Violation::AcknowledgedCameBack, Some(*key));
            }
        }
    }

    /// After the last drain: what was promised and never came is lost.
    pub(crate) fn close(&mut self) {
        for stream in 0..self.streams.len() {
            for sequence in 0..self.streams[stream].len() {
                let key = MessageKey { stream: stream as u32, sequence: sequence as u64 };
                let flags = self.fate(key).flags;
                let delivered = flags & DELIVERED != 0;
                if flags & FORBIDDEN != 0 {
                    self.tally.rolled_back += 1;
                } else if flags & CONFIRMED == 0 {
                    self.tally.open += 1;
                    self.tally.open_arrived += u64::from(delivered);
                } else if !delivered {
                    self.find(Violation::Lost, Some(key));
                }
            }
        }
    }

    fn find(&mut self, violation: Violation, key: Option<MessageKey>) {
        self.counts[violation as usize] += 1;
        if self.findings.len() < FINDINGS_MAX {
            let generation = self.generation;
            self.findings.push(match key {
                None => format!("{} (generation {generation})", violation.name()),
                Some(key) => {
                    let (producer, queue) = (key.stream / self.queues, key.stream % self.queues);
                    let name = violation.name();
                    format!(
                        "{name}: producer {producer} queue {queue} number {} (generation {generation})",
                        key.sequence
                    )
                }
            });
        }
    }

    /// How often each promise was broken.
    pub(crate) fn count(&self, violation: Violation) -> u64 {
        self.counts[violation as usize]
    }

    /// Whether all promises were kept.
    pub(crate) fn is_clean(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The first findings as text.
    pub(crate) fn findings(&self) -> &[String] {
        &self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a test does to the book; messages are numbers of producer 0 to queue 0.
    #[derive(Clone, Copy)]
    enum Step {
        Send,
        SendTransacted,
        Commit(u64),
        Confirm(u64),
        LeaveOpen(u64),
        /// To the first or second consumer of queue 0.
        Deliver(usize, u64),
        Redeliver(usize, u64),
        DeliverToOtherQueue(u64),
        DeliverDamaged,
        Ack(u64),
        AckOfGeneration(u64, u16),
        Disturb,
        Restart,
        /// A connection was lost; the broker may live.
        Loss,
        /// A delivery that was still in the socket of a dead broker.
        DeliverLate(u64),
    }
    use Step::*;

    fn judge(steps: &[Step], lenient: bool) -> Ledger {
        judge_in(Ledger::new(1, 2, 0, lenient), steps)
    }

    fn judge_in(mut ledger: Ledger, steps: &[Step]) -> Ledger {
        let key = |sequence| MessageKey { stream: 0, sequence };
        let subscribe =
            |ledger: &mut Ledger| [0, 0, 1].map(|queue| ledger.subscribe(queue, ledger.generation).unwrap());
        let mut consumers = subscribe(&mut ledger);
        let mut dead = consumers;
        for step in steps {
            match *step {
                Send => assert!(ledger.send(0, 0, false).is_some()),
                SendTransacted => assert!(ledger.send(0, 0, true).is_some()),
                Commit(n) => ledger.may_arrive(&[key(n)]),
                Confirm(n) => ledger.confirm_send(&[key(n)]),
                LeaveOpen(n) => ledger.leave_open(&[key(n)]),
                Deliver(consumer, n) => assert!(ledger.deliver(consumers[consumer], Some(key(n)), false)),
                Redeliver(consumer, n) => assert!(ledger.deliver(consumers[consumer], Some(key(n)), true)),
                DeliverToOtherQueue(n) => assert!(ledger.deliver(consumers[2], Some(key(n)), false)),
                DeliverDamaged => assert!(ledger.deliver(consumers[0], None, false)),
                Ack(n) => ledger.confirm_ack(&[key(n)], ledger.generation),
                AckOfGeneration(n, generation) => ledger.confirm_ack(&[key(n)], generation),
                Disturb => ledger.disturb(consumers[1]),
                Restart | Loss => {
                    ledger.next_generation(matches!(step, Restart));
                    dead = consumers;
                    consumers = subscribe(&mut ledger);
                }
                DeliverLate(n) => assert!(!ledger.deliver(dead[0], Some(key(n)), false)),
            }
        }
        ledger.close();
        ledger
    }

    #[track_caller]
    fn check(steps: &[Step], want: &[(Violation, u64)]) {
        let ledger = judge(steps, false);
        for violation in Violation::ALL {
            let wanted = want.iter().find(|(other, _)| *other == violation).map_or(0, |(_, count)| *count);
            assert_eq!(ledger.count(violation), wanted, "{}: {:?}", violation.name(), ledger.findings());
        }
        assert_eq!(ledger.is_clean(), want.is_empty());
    }

    /// A judge that finds nothing in a clean run.
    #[test]
    fn clean_runs_pass() {
        check(&[], &[]);
        check(&[Send, Confirm(0), Deliver(0, 0), Ack(0)], &[]);
        check(&[Send, Deliver(0, 0), Confirm(0), Ack(0)], &[]);
        check(&[Send, Send, Confirm(0), Confirm(1), Deliver(0, 1), Deliver(1, 0), Ack(0), Ack(1)], &[]);
        check(&[Send, Confirm(0), Deliver(0, 0), Restart, Redeliver(1, 0), Ack(0)], &[]);
        check(&[SendTransacted, Commit(0), Confirm(0), Deliver(0, 0), Ack(0)], &[]);
        check(&[SendTransacted], &[]);
        check(&[Send, LeaveOpen(0), Restart], &[]);
        check(&[Send, LeaveOpen(0), Restart, Deliver(0, 0), Ack(0)], &[]);
    }

    /// And that finds each kind of broken promise: a judge that cannot fail proves nothing.
    #[test]
    fn each_violation_is_found() {
        use Violation::*;
        check(&[Send, Confirm(0)], &[(Lost, 1)]);
        check(&[SendTransacted, Commit(0), Confirm(0), Restart], &[(Lost, 1)]);
        check(&[Send, Send, Confirm(0), Confirm(1), Deliver(0, 1)], &[(Lost, 1)]);
        check(&[Send, Deliver(0, 0), Deliver(0, 0)], &[(UnmarkedDuplicate, 1)]);
        check(&[Send, Deliver(0, 0), Restart, Deliver(0, 0)], &[(UnmarkedDuplicate, 1)]);
        check(&[Send, Deliver(0, 0), Ack(0), Deliver(0, 0)], &[(AcknowledgedCameBack, 1)]);
        check(&[Send, Deliver(0, 0), Ack(0), Restart, Redeliver(0, 0)], &[(AcknowledgedCameBack, 1)]);
        check(&[Send, Deliver(0, 0), Restart, Redeliver(0, 0), AckOfGeneration(0, 0)], &[(AcknowledgedCameBack, 1)]);
        check(&[Send, Send, Deliver(0, 1), Deliver(0, 0)], &[(OutOfOrder, 1)]);
        check(&[Send, Send, Restart, Deliver(0, 1), Deliver(0, 0)], &[(OutOfOrder, 1)]);
        check(&[Send, DeliverDamaged], &[(Damaged, 1)]);
        check(&[SendTransacted, Deliver(0, 0)], &[(RolledBackArrived, 1)]);
        check(&[Send, DeliverToOtherQueue(0)], &[(Misrouted, 1)]);
        check(&[Deliver(0, 0)], &[(Misrouted, 1)]);
    }

    /// Order is not judged where messages were given back or left open, nor for marked ones after a mere loss; a mark
    /// does not excuse a restarted broker, and each restart starts anew.
    #[test]
    fn order_has_its_limits() {
        use Violation::*;
        check(&[Send, Send, Disturb, Deliver(0, 1), Deliver(0, 0)], &[]);
        check(&[Send, Send, Disturb, Restart, Deliver(0, 1), Deliver(0, 0)], &[(OutOfOrder, 1)]);
        check(&[Send, Send, Loss, Deliver(0, 1), Redeliver(0, 0)], &[]);
        check(&[Send, Send, Loss, Deliver(0, 1), Deliver(0, 0)], &[(OutOfOrder, 1)]);
        check(&[Send, Send, Restart, Redeliver(0, 1), Redeliver(0, 0)], &[(OutOfOrder, 1)]);
        check(&[Send, Send, Restart, Redeliver(0, 1), Redeliver(1, 0)], &[]);
        check(&[Send, LeaveOpen(0), Send, Deliver(0, 1), Deliver(0, 0)], &[]);
        check(&[Send, Send, Deliver(0, 1), Restart, Deliver(0, 0)], &[]);
    }

    /// Messages 0 and 2 are one group, 1 and 3 another: consumers share the groups out, and each keeps its order.
    #[test]
    fn groups_keep_their_order_over_all_consumers() {
        let check = |steps: &[Step], violations| {
            let ledger = judge_in(Ledger::new(1, 2, 2, false), steps);
            assert_eq!(ledger.count(Violation::GroupOutOfOrder), violations, "{:?}", ledger.findings());
        };
        check(&[Send, Send, Send, Deliver(0, 1), Deliver(1, 0), Deliver(1, 2)], 0);
        check(&[Send, Send, Send, Deliver(0, 2), Deliver(1, 1), Deliver(1, 0)], 1);
        check(&[Send, Send, Send, Disturb, Deliver(0, 2), Deliver(1, 0)], 0);
        check(&[Send, Send, Send, Deliver(0, 2), Restart, Deliver(1, 0)], 0);
    }

    /// What a dead broker's socket still held is no delivery: it neither saves a message nor doubles it.
    #[test]
    fn late_reads_do_not_count() {
        check(&[Send, Confirm(0), Restart, DeliverLate(0)], &[(Violation::Lost, 1)]);
        check(&[Send, Confirm(0), Restart, DeliverLate(0), Deliver(0, 0), Ack(0), DeliverLate(0)], &[]);
    }

    /// A broker that keeps no marks through a restart can be judged on everything else.
    #[test]
    fn lenient_marks() {
        let steps = [Send, Deliver(0, 0), Restart, Deliver(0, 0)];
        let ledger = judge(&steps, true);
        assert!(ledger.is_clean());
        assert_eq!(ledger.tally.unmarked_after_restart, 1);
        assert!(!judge(&[Send, Deliver(0, 0), Deliver(0, 0)], true).is_clean());
    }
}
