//! What clients say of their deliveries, and what the broker's answers promise.

use message::{Ack, AckKind, ConnectionKey, Receipt, Sequence, SubscriptionKey, TransactionKey};

use super::{Copy, Done, Ending, Fate, LineKey, Oracle, Out, Place, Question, Shadow, TransactionNumber};
use crate::options::is_dead_letter_queue;
use crate::words::Uid;

impl Oracle {
    pub(super) fn acknowledged(&mut self, from: ConnectionKey, ack: &Ack, refused: bool) {
        let transaction = ack
            .transaction
            .filter(|_| matches!(ack.kind, AckKind::Standard | AckKind::Individual))
            .map(|key| self.connections.get(&from).and_then(|c| c.transactions.get(&key).copied()));
        if let Some(transaction) = transaction {
            let Some(number) = transaction else { return };
            let registered = !self.transactions[number].failed;
            self.transactions[number].failed |= refused;
            if registered {
                self.acknowledged_in(from, ack, number);
            }
            if !refused {
                self.asked(from, ack.receipt, Question::Other);
            }
            return;
        }
        match ack.kind {
            AckKind::Delivered => {
                if let Some(subscription) = self.subscription(from, ack.subscription) {
                    let mut moved = 0;
                    for out in subscription.held.range_mut(..=ack.last).map(|(_, out)| out).filter(|out| !out.seen) {
                        out.seen = true;
                        moved += 1;
                    }
                    subscription.unseen -= moved;
                }
            }
            AckKind::Redelivered => {}
            kind => self.ended(from, ack, kind),
        }
        if !refused {
            self.asked(from, ack.receipt, Question::Other);
        }
    }

    fn acknowledged_in(&mut self, from: ConnectionKey, ack: &Ack, number: TransactionNumber) {
        let Some(subscription) = self.subscription(from, ack.subscription) else { return };
        let mut moved = 0;
        for out in subscription.held.range_mut(ack.first..=ack.last).map(|(_, out)| out) {
            if out.transaction.is_none() {
                moved += u32::from(!out.seen);
                out.seen = true;
                out.transaction = Some(number);
            }
        }
        subscription.unseen -= moved;
    }

    fn ended(&mut self, from: ConnectionKey, ack: &Ack, kind: AckKind) {
        let Some(subscription) = self.subscription(from, ack.subscription) else { return };
        let tags: Vec<u64> = subscription
            .held
            .range(ack.first..=ack.last)
            .filter(|(_, out)| out.transaction.is_none())
            .map(|(tag, _)| *tag)
            .collect();
        for tag in tags {
            let Some(out) = self.subscription(from, ack.subscription).and_then(|s| {
                let out = s.held.remove(&tag)?;
                s.unseen -= u32::from(!out.seen);
                Some(out)
            }) else {
                continue;
            };
            if out.copy {
                continue;
            }
            match kind {
                AckKind::Released => self.came_back(out.line, out.sequence, out.received),
                _ => {
                    self.done(from, out.line, out.sequence, None, kind == AckKind::Poison);
                }
            }
        }
    }

    /// A persistent message that its consumer gave up becomes a dead letter, unless it is one already.
    fn given_up(&mut self, line: LineKey, sequence: Sequence) {
        let Some(copy) = self.copies.get(&(line, sequence)) else { return };
        let dead = matches!(&self.lines[line].place, Place::Queue(name) if is_dead_letter_queue(name));
        let persistent = self.sends.get(&copy.uid).is_some_and(|sent| sent.letter.persistent);
        if persistent && copy.stored && !dead {
            *self.dead_due.entry(copy.uid).or_insert(0) += 1;
        }
    }

    /// Acknowledged: from now on it must not come back in this run, and never once that is confirmed.
    pub(super) fn done(
        &mut self,
        from: ConnectionKey,
        line: LineKey,
        sequence: Sequence,
        transaction: Option<TransactionNumber>,
        given_up: bool,
    ) {
        let life = self.life;
        let Some(copy) = self.copies.get_mut(&(line, sequence)) else { return };
        copy.must_mark |= copy.holder.take().is_some();
        copy.done = Done::Asked(life, transaction);
        copy.given_up = given_up;
        self.traces.entry((line, copy.uid)).or_default().done = true;
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.acks.push_back((line, sequence, given_up));
        }
    }

    /// The broker has it again.
    fn came_back(&mut self, line: LineKey, sequence: Sequence, seen: bool) {
        let Some(copy) = self.copies.get_mut(&(line, sequence)) else { return };
        copy.holder = None;
        copy.must_mark |= seen;
        self.lines[line].returned.insert(sequence);
    }

    pub(super) fn unsubscribed(&mut self, from: ConnectionKey, key: SubscriptionKey, last: Option<u64>) {
        let Some(connection) = self.connections.get_mut(&from) else { return };
        let Some(subscription) = connection.subscriptions.remove(&key) else { return };
        for (tag, out) in subscription.held {
            let Out { line, sequence, received, transaction, copy, .. } = out;
            match transaction {
                _ if copy => {}
                Some(transaction) if last.is_some() => {
                    if let Some(connection) = self.connections.get_mut(&from) {
                        connection.shadows.push(Shadow { line, sequence, received, transaction });
                    }
                }
                _ => self.came_back(line, sequence, received && last.is_none_or(|last| tag <= last)),
            }
        }
        self.void_place_of(from, key);
    }

    /// A topic subscription ends with its consumer.
    fn void_place_of(&mut self, from: ConnectionKey, key: SubscriptionKey) {
        let place = Place::Topic(from, key);
        if self.places.contains_key(&place) {
            self.void_place(&place);
            self.places.remove(&place);
        }
    }

    pub(super) fn disconnected(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let transactions: Vec<_> = std::mem::take(&mut connection.transactions).into_values().collect();
        let subscriptions: Vec<_> = connection.subscriptions.keys().copied().collect();
        for number in transactions {
            self.rolled_back(key, number);
        }
        for subscription in subscriptions {
            self.unsubscribed(key, subscription, None);
        }
        let Some(connection) = self.connections.remove(&key) else { return };
        for line in connection.temporary {
            let place = self.lines[line].place.clone();
            self.void_place(&place);
        }
    }

    pub(super) fn committed(
        &mut self,
        from: ConnectionKey,
        transaction: TransactionKey,
        receipt: Option<Receipt>,
        refused: bool,
    ) {
        let number = self.connections.get_mut(&from).and_then(|c| c.transactions.remove(&transaction));
        let Some(number) = number else { return };
        if refused {
            return self.rolled_back(from, number);
        }
        self.transactions[number].ending = Ending::Committing;
        let mut acks = Vec::new();
        if let Some(connection) = self.connections.get_mut(&from) {
            for subscription in connection.subscriptions.values_mut() {
                subscription.held.retain(|_, out| {
                    let ours = out.transaction == Some(number);
                    if ours && !out.copy {
                        acks.push((out.line, out.sequence));
                    }
                    !ours
                });
            }
            connection.shadows.retain(|shadow| {
                let ours = shadow.transaction == number;
                if ours {
                    acks.push((shadow.line, shadow.sequence));
                }
                !ours
            });
        }
        for (line, sequence) in acks {
            self.done(from, line, sequence, Some(number), false);
        }
        self.asked(from, receipt, Question::Commit(number));
    }

    /// Acknowledgements of the transaction are as if never said.
    pub(super) fn rolled_back(&mut self, from: ConnectionKey, number: TransactionNumber) {
        self.transactions[number].ending = Ending::RolledBack;
        let Some(connection) = self.connections.get_mut(&from) else { return };
        for out in connection.subscriptions.values_mut().flat_map(|s| s.held.values_mut()) {
            if out.transaction == Some(number) {
                out.transaction = None;
            }
        }
        let (ours, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut connection.shadows).into_iter().partition(|shadow| shadow.transaction == number);
        connection.shadows = others;
        for shadow in ours {
            self.came_back(shadow.line, shadow.sequence, shadow.received);
        }
    }

    pub(super) fn replied(&mut self, to: ConnectionKey, receipt: Receipt, ok: bool) {
        let Some(connection) = self.connections.get_mut(&to) else { return };
        let Some((question, mark)) = connection.questions.remove(&receipt) else {
            if ok {
                self.broken(format!("connection {to} got an answer to {receipt}, which it did not ask"));
            }
            return;
        };
        if !ok {
            // A send that waited for room was refused in the end.
            match question {
                Question::Send(uid) => {
                    if let Some(sent) = self.sends.get_mut(&uid) {
                        sent.fate = Fate::Refused;
                    }
                }
                Question::Within(number) => self.transactions[number].failed = true,
                _ => {}
            }
            return;
        }
        let due = usize::try_from(mark.saturating_sub(connection.acks_confirmed)).unwrap_or(0);
        let acks: Vec<_> = connection.acks.drain(..due).collect();
        connection.acks_confirmed += due as u64;
        for (line, sequence, given_up) in acks {
            if given_up {
                self.given_up(line, sequence);
            }
            self.ack_confirmed(line, sequence);
        }
        match question {
            Question::Send(uid) => self.confirmed(uid),
            Question::Commit(number) => {
                self.counted.commits += 1;
                self.transactions[number].ending = Ending::Committed;
                for uid in std::mem::take(&mut self.transactions[number].sends) {
                    self.confirmed(uid);
                    self.transactions[number].sends.push(uid);
                }
            }
            Question::Durable(line, defined_at) => {
                let since = self.clock;
                let line = &mut self.lines[line];
                if line.voided_at == defined_at && line.wants.is_some() && line.since.is_none() {
                    line.since = Some(since);
                }
            }
            Question::Within(_) | Question::Other => {}
        }
    }

    fn ack_confirmed(&mut self, line: LineKey, sequence: Sequence) {
        self.counted.acks += 1;
        let Some(copy) = self.copies.get_mut(&(line, sequence)) else { return };
        copy.done = Done::Confirmed;
        if !copy.stored {
            return;
        }
        let uid = copy.uid;
        let holds = match &self.lines[line].place {
            Place::Queue(name) => self.ledger.queue_holds(name, sequence),
            Place::Durable(client_id, name) => self.ledger.durable_holds(client_id, name, sequence),
            _ => false,
        };
        if holds {
            let place = &self.lines[line].place;
            self.broken(format!("the acknowledgement of {uid} in {place:?} was confirmed before it was durable"));
        }
    }

    /// The broker promised to deliver it.
    pub(super) fn confirmed(&mut self, uid: Uid) {
        self.counted.confirmed += 1;
        let Some(sent) = self.sends.get_mut(&uid) else { return };
        if sent.fate == Fate::Refused {
            return; // Its refusal was lost and its repetition taken for a duplicate: told as a known hole.
        }
        sent.fate = Fate::Confirmed;
        let (letter, issued) = (sent.letter.clone(), sent.issued);
        if letter.expiration > 0 {
            return;
        }
        let mut stored = false;
        for target in letter.destination.components() {
            if target.kind.is_queue() {
                let line = self.line(super::place_of_queue(&target));
                if self.lines[line].voided_at < issued {
                    self.promise(line, uid);
                    stored |= self.lines[line].place.lasts();
                }
                continue;
            }
            let subscribed: Vec<_> = (0..self.lines.len())
                .filter(|line| {
                    let line = &self.lines[*line];
                    line.since.is_some_and(|since| since < issued)
                        && line.wants.as_ref().is_some_and(|wants| {
                            !wants.no_local
                                && super::covers(&wants.topics, &target)
                                && Oracle::is_wanted(wants, &letter)
                        })
                })
                .collect();
            for line in subscribed {
                self.promise(line, uid);
                stored |= self.lines[line].place.lasts();
            }
        }
        if stored && letter.persistent && !self.ledger.has_stored(uid) {
            self.broken(format!("send {uid} was confirmed before it was durable"));
        }
    }

    fn promise(&mut self, line: LineKey, uid: Uid) {
        self.traces.entry((line, uid)).or_default().promised = true;
    }

    /// An acknowledged message came again: right only if the acknowledgement was lost in a crash.
    pub(super) fn undone(&mut self, line: LineKey, sequence: Sequence) {
        let life = self.life;
        let Some(copy) = self.copies.get_mut(&(line, sequence)) else { return };
        let uid = copy.uid;
        match copy.done {
            Done::No => {}
            Done::Confirmed => {
                self.broken(format!("message {uid} came again after its acknowledgement was confirmed"));
            }
            Done::Asked(when, _) if when == life => {
                self.broken(format!("message {uid} came again in the run in which it was acknowledged"));
            }
            Done::Asked(_, transaction) => {
                copy.done = Done::No;
                if let Some(trace) = self.traces.get_mut(&(line, uid)) {
                    trace.done = false;
                }
                if let Some(number) = transaction {
                    self.learned(number, false);
                }
            }
        }
    }

    /// What an observer can tell of a transaction must always be the same.
    pub(super) fn learned(&mut self, number: TransactionNumber, happened: bool) {
        let transaction = &mut self.transactions[number];
        let known = *transaction.learned.get_or_insert(happened);
        if known != happened {
            self.broken(format!("transaction {number} happened in part: a message of it arrived, an ack was undone"));
        }
    }

    pub(super) fn copy(&mut self, line: LineKey, sequence: Sequence) -> Option<&mut Copy> {
        self.copies.get_mut(&(line, sequence))
    }
}
