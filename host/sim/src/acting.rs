//! What clients do: anything that a client may do, at random; and how a client behaves once it is told to.

use std::sync::Arc;

use message::{Ack, AckKind, Command, Destination, MessageId, Publish, Subscribe, SubscriptionKey, Text};

use crate::client::{Ask, Consumer, Mode, Reaction, Transaction};
use crate::words::{COLORS, Letter, SELECTORS, parsed};
use crate::world::World;

/// Consumers that a client has at a time.
const CONSUMERS_MAX: usize = 4;
/// A client that is not read from gives up after this time, ms.
const PATIENCE_MS: i64 = 5_000;

impl World {
    /// One client does something, or only listens.
    pub(crate) fn client_step(&mut self, client: usize) {
        let Some(link) = &self.clients[client].link else {
            if self.clients[client].connect_at <= self.now {
                let key = self.key();
                let stealing = self.rng.per_mille(300);
                let command = self.clients[client].connect(key, stealing);
                self.carry_out(key, command);
            }
            return;
        };
        if link.paused_since.is_some_and(|since| self.now - since > PATIENCE_MS) {
            return self.break_off(client);
        }
        if self.rng.per_mille(700) {
            for _ in 0..=self.rng.below(6) {
                if !self.take(client) {
                    break;
                }
            }
            self.tell_written(client, 800);
        }
        let Some(link) = &self.clients[client].link else { return };
        if !link.ready || link.paused_since.is_some() {
            return;
        }
        match self.rng.below(1000) {
            0..350 => self.send(client, None),
            350..650 => self.settle_some(client),
            650..730 => self.subscribe(client),
            730..760 => self.unsubscribe(client),
            760..870 => self.transact(client),
            870..920 => self.pull(client),
            920..930 => self.change_prefetch(client),
            930..950 => self.make_temporary(client),
            950..965 => {
                let receipt = self.ask(client, Ask::Other);
                self.tell(client, Command::Fence { receipt });
            }
            965..972 => self.remove(client),
            972..980 => self.break_off(client),
            980..986 => {
                let failover = self.rng.per_mille(300);
                self.tell(client, Command::Disconnect);
                let at = self.now + self.rng.between(0, 2_000);
                self.clients[client].lose(failover, at);
            }
            _ => {}
        }
    }

    /// The client listens and acknowledges all it has. True if it had something to do.
    pub(crate) fn behave(&mut self, client: usize) -> bool {
        let mut busy = false;
        while self.take(client) {
            busy = true;
        }
        self.tell_written(client, 1000);
        let Some(link) = &self.clients[client].link else { return busy };
        if !link.ready {
            return busy;
        }
        if let Transaction::Open(transaction) = link.transaction {
            let receipt = Some(self.ask(client, Ask::Commit(transaction)));
            self.tell(client, Command::Commit { transaction, receipt });
            if let Some(link) = &mut self.clients[client].link {
                link.transaction = Transaction::Committing(transaction);
            }
        }
        for subscription in self.subscriptions(client) {
            let Some(consumer) = self.consumer(client, subscription) else { continue };
            let tags: Vec<_> = consumer.got.iter().filter(|got| got.transaction.is_none()).map(|got| got.tag).collect();
            let pulls = consumer.prefetch == 0 && !consumer.pulling;
            for tag in tags {
                busy = true;
                self.acknowledge(client, subscription, AckKind::Individual, tag, tag, None);
            }
            if pulls {
                self.pull_from(client, subscription, 1_000);
            }
        }
        busy
    }

    /// Commands over the client's connection.
    pub(crate) fn tell(&mut self, client: usize, command: Command) {
        let key = self.clients[client].link.as_ref().map(|link| link.key);
        if let Some(key) = key {
            self.carry_out(key, command);
        }
    }

    pub(crate) fn ask(&mut self, client: usize, ask: Ask) -> u32 {
        self.clients[client].link.as_mut().map_or(0, |link| link.ask(ask))
    }

    /// After a break everything is said again: first the sends without an answer, then the consumers.
    pub(crate) fn welcome(&mut self, client: usize) {
        if !self.clients[client].failover {
            return;
        }
        for mut publish in std::mem::take(&mut self.clients[client].unanswered) {
            let Some(uid) = crate::words::uid_of(&publish.message) else { continue };
            publish.receipt = Some(self.ask(client, Ask::Send(uid)));
            self.clients[client].unanswered.push(publish.clone());
            self.tell(client, Command::Publish(publish));
        }
        for wish in std::mem::take(&mut self.clients[client].wishes) {
            self.subscribe_as(client, wish);
        }
    }

    /// The connection breaks; the broker hears of it later, or when the client is back.
    fn break_off(&mut self, client: usize) {
        let Some(link) = &self.clients[client].link else { return };
        let key = link.key;
        for _ in 0..self.rng.index(link.inbox.len() + 1) {
            if let Some(Reaction::Received(subscription, tag)) = self.clients[client].take(self.now) {
                self.oracle.received(key, subscription, tag);
            }
        }
        let failover = self.rng.per_mille(700);
        self.note(format!("connection {key} breaks"));
        self.broken.push((self.now + self.rng.between(0, 400), key));
        let at = self.now + self.rng.between(0, 400);
        self.clients[client].lose(failover, at);
    }

    fn tell_written(&mut self, client: usize, per_mille: u64) {
        if !self.rng.per_mille(per_mille) {
            return;
        }
        let owed = self.clients[client].link.as_mut().map_or(0, |link| std::mem::take(&mut link.owed));
        if owed > 0 {
            self.tell(client, Command::Written { bytes: owed });
        }
    }

    fn queue(&mut self) -> Destination {
        Destination::queue(format!("Q.{}", self.rng.below(self.queues)))
    }

    fn target(&mut self) -> Destination {
        match self.rng.below(20) {
            0..12 => self.queue(),
            12..17 => Destination::topic(format!("T.{}", self.rng.below(2))),
            17 if self.queues > 1 => Destination::queue("Q.0,Q.1"),
            18 => Destination::queue("Q.0,topic://T.0"),
            _ => {
                let temporary: Vec<_> =
                    self.clients.iter().filter_map(|c| c.link.as_ref()?.temporary.clone()).collect();
                if temporary.is_empty() { self.queue() } else { temporary[self.rng.index(temporary.len())].clone() }
            }
        }
    }

    fn letter(&mut self, client: usize, producer: usize) -> Letter {
        self.tally.sent += 1;
        let uid = self.tally.sent;
        self.clients[client].producers[producer].last += 1;
        let sequence = self.clients[client].producers[producer].last;
        let id = MessageId { producer: self.clients[client].producer_id(producer), sequence, text_view: None };
        let bytes = match self.rng.below(100) {
            0..80 => self.rng.index(100),
            80..98 => self.rng.index(2_000),
            _ => 66_000,
        };
        let expires = self.rng.per_mille(120);
        let letter = Letter {
            uid,
            id,
            destination: self.target(),
            persistent: self.rng.per_mille(700),
            priority: if self.rng.per_mille(300) { self.rng.below(10) as u8 } else { 4 },
            expiration: if expires { self.now + self.rng.pick(&[1, 20, 2_000, 60_000]) } else { 0 },
            color: self.rng.index(COLORS.len()),
            group: self.group(),
            weight: self.rng.between(0, 10) as i32,
            body: Letter::body(uid, bytes),
        };
        self.oracle.writes(letter.clone());
        letter
    }

    /// Most messages of a simulation with groups have one, a few open or close it.
    fn group(&mut self) -> Option<(Text, i32)> {
        if self.groups == 0 || self.rng.per_mille(250) {
            return None;
        }
        let sequence = match self.rng.below(40) {
            0 => 1,
            1 => -1,
            _ => self.rng.pick(&[0, 0, 2]),
        };
        Some((Text::from(format!("g{}", self.rng.below(self.groups))), sequence))
    }

    fn send(&mut self, client: usize, transaction: Option<u64>) {
        let producers = self.clients[client].producers.len();
        let producer = if transaction.is_some() { producers - 1 } else { self.rng.index(producers - 1) };
        let mode = self.clients[client].producers[producer].mode;
        if transaction.is_none() && self.clients[client].producers[producer].waits.is_some() {
            return;
        }
        let letter = self.letter(client, producer);
        let uid = letter.uid;
        let mut publish =
            Publish { message: Arc::new(letter.message(self.now)), transaction, receipt: None, window_bytes: None };
        match mode {
            _ if transaction.is_some() => publish.receipt = Some(self.ask(client, Ask::Other)),
            Mode::Silent => {}
            Mode::Window => publish.window_bytes = Some(uid as u32),
            Mode::Sync | Mode::Async => {
                publish.receipt = Some(self.ask(client, Ask::Send(uid)));
                self.clients[client].unanswered.push(publish.clone());
                if mode == Mode::Sync {
                    self.clients[client].producers[producer].waits = Some(uid);
                }
            }
        }
        self.tell(client, Command::Publish(publish));
    }

    fn subscriptions(&self, client: usize) -> Vec<SubscriptionKey> {
        self.clients[client].link.as_ref().map(|link| link.consumers.keys().copied().collect()).unwrap_or_default()
    }

    fn consumer(&mut self, client: usize, subscription: SubscriptionKey) -> Option<&mut Consumer> {
        self.clients[client].link.as_mut()?.consumers.get_mut(&subscription)
    }

    fn any_subscription(&mut self, client: usize) -> Option<SubscriptionKey> {
        let all = self.subscriptions(client);
        if all.is_empty() { None } else { Some(self.rng.pick(&all)) }
    }

    fn settle_some(&mut self, client: usize) {
        let Some(subscription) = self.any_subscription(client) else { return };
        let now = self.now;
        let Some(consumer) = self.consumer(client, subscription) else { return };
        let free: Vec<_> = consumer.got.iter().filter(|got| got.transaction.is_none()).copied().collect();
        if free.is_empty() {
            return;
        }
        let at = self.rng.index(free.len());
        let (first, got) = (free[0].tag, free[at]);
        let (kind, first) = match self.rng.below(100) {
            0..45 => (AckKind::Standard, first),
            45..70 => (AckKind::Individual, got.tag),
            70..82 => (AckKind::Delivered, first),
            82..86 => (AckKind::Redelivered, got.tag),
            86..91 => (AckKind::Poison, got.tag),
            91..96 => (AckKind::Released, if self.rng.per_mille(500) { first } else { got.tag }),
            _ if got.expiration > 0 && now > got.expiration => (AckKind::Expired, got.tag),
            _ => return,
        };
        self.acknowledge(client, subscription, kind, first, got.tag, None);
    }

    fn acknowledge(
        &mut self,
        client: usize,
        subscription: SubscriptionKey,
        kind: AckKind,
        first: u64,
        last: u64,
        transaction: Option<u64>,
    ) {
        let wants = transaction.is_some() || self.rng.per_mille(400);
        let receipt = wants.then(|| self.ask(client, Ask::Other));
        if let Some(consumer) = self.consumer(client, subscription) {
            let ours = |tag: u64| tag >= first && tag <= last;
            match (kind, transaction) {
                (AckKind::Delivered | AckKind::Redelivered, _) => {}
                (_, None) => consumer.got.retain(|got| !ours(got.tag) || got.transaction.is_some()),
                (_, Some(_)) => {
                    for got in consumer.got.iter_mut().filter(|got| ours(got.tag) && got.transaction.is_none()) {
                        got.transaction = transaction;
                    }
                }
            }
        }
        self.tell(client, Command::Ack(Ack { subscription, kind, first, last, transaction, cause: None, receipt }));
    }

    fn subscribe(&mut self, client: usize) {
        if self.subscriptions(client).len() >= CONSUMERS_MAX {
            return;
        }
        let temporary = self.clients[client].link.as_ref().and_then(|link| link.temporary.clone());
        let named = self.clients[client].client_id.is_some();
        let selector = self.rng.per_mille(250).then(|| self.rng.index(SELECTORS.len()));
        let mut wish = self.wish(Destination::queue("Q.0"), selector);
        match self.rng.below(20) {
            0..8 => wish.destination = self.queue(),
            8 => wish.destination = Destination::queue("Q.*"),
            9 => wish.destination = Destination::queue("ActiveMQ.DLQ"),
            10 if self.queues > 1 => wish.destination = Destination::queue("Q.0,Q.1"),
            11..14 => wish.destination = Destination::topic(self.rng.pick(&["T.0", "T.1", "T.*", "T.0,T.1"])),
            14..17 if named => {
                wish.destination = Destination::topic(self.rng.pick(&["T.0", "T.0", "T.0", "T.1", "T.*"]));
                wish.durable_name = Some(Text::from_static(self.rng.pick(&["d0", "d1"])));
                wish.selector = if self.rng.per_mille(800) { None } else { wish.selector };
                wish.no_local = self.rng.per_mille(100);
            }
            17 => {
                wish.destination = self.queue();
                wish.browser = true;
                wish.auto_ack = false;
            }
            18 if temporary.is_some() => wish.destination = temporary.unwrap_or(wish.destination),
            _ => wish.destination = self.queue(),
        }
        let queues = wish.destination.kind.is_queue();
        if queues {
            wish.exclusive = !wish.browser && self.rng.per_mille(120);
        } else if wish.durable_name.is_none() {
            wish.no_local = self.rng.per_mille(200);
        }
        self.subscribe_as(client, wish);
    }

    pub(crate) fn wish(&mut self, destination: Destination, selector: Option<usize>) -> Subscribe {
        Subscribe {
            subscription: 0,
            consumer: Default::default(),
            identity: None,
            destination,
            selector: parsed(selector),
            prefetch: self.rng.pick(&[0, 1, 2, 5, 100]),
            browser: false,
            durable_name: None,
            no_local: false,
            exclusive: false,
            priority: if self.rng.per_mille(200) { self.rng.between(-1, 5) as i8 } else { 0 },
            network: false,
            auto_ack: self.rng.per_mille(80),
            receipt: None,
        }
    }

    /// Subscribes with a key and a receipt of its own.
    pub(crate) fn subscribe_as(&mut self, client: usize, mut wish: Subscribe) {
        let connection = self.clients[client].connection_id();
        let Some(link) = &mut self.clients[client].link else { return };
        link.subscription += 1;
        let key = link.subscription;
        wish.subscription = key;
        wish.consumer = message::ProducerId { connection, session: 1, value: key.into() };
        wish.identity = wish.destination.kind.is_queue().then(|| Text::from(wish.consumer.to_string()));
        wish.receipt = Some(link.ask(Ask::Subscribe(key)));
        let prefetch = wish.prefetch.min(self.options.config.prefetch_max);
        let consumer = Consumer { wish: wish.clone(), prefetch, got: Vec::new(), pulling: false, last: 0 };
        link.consumers.insert(key, consumer);
        self.tell(client, Command::Subscribe(Box::new(wish)));
    }

    fn unsubscribe(&mut self, client: usize) {
        let Some(subscription) = self.any_subscription(client) else { return };
        let Some(link) = &mut self.clients[client].link else { return };
        let Some(consumer) = link.consumers.remove(&subscription) else { return };
        let last = self.rng.below(consumer.last + 1);
        // What a transaction acknowledged was seen.
        let seen = consumer.got.iter().filter(|got| got.transaction.is_some()).map(|got| got.tag).max().unwrap_or(0);
        let last_delivered = self.rng.per_mille(700).then_some(last.max(seen));
        let receipt = self.rng.per_mille(500).then(|| self.ask(client, Ask::Other));
        self.tell(client, Command::Unsubscribe { subscription, last_delivered, receipt });
    }

    fn transact(&mut self, client: usize) {
        let Some(link) = &mut self.clients[client].link else { return };
        match link.transaction {
            Transaction::None => {
                link.transaction_key += 1;
                let transaction = link.transaction_key;
                link.transaction = Transaction::Open(transaction);
                let receipt = Some(link.ask(Ask::Other));
                self.tell(client, Command::Begin { transaction, receipt });
            }
            Transaction::Open(transaction) => match self.rng.below(10) {
                0..4 => self.send(client, Some(transaction)),
                4..7 => self.acknowledge_in(client, transaction),
                7..9 => {
                    let receipt = Some(self.ask(client, Ask::Commit(transaction)));
                    if let Some(link) = &mut self.clients[client].link {
                        link.transaction = Transaction::Committing(transaction);
                    }
                    self.tell(client, Command::Commit { transaction, receipt });
                }
                _ => {
                    let receipt = Some(self.ask(client, Ask::Other));
                    if let Some(link) = &mut self.clients[client].link {
                        link.transaction = Transaction::None;
                        link.consumers.values_mut().for_each(|consumer| consumer.free(transaction));
                    }
                    self.tell(client, Command::Rollback { transaction, receipt });
                }
            },
            Transaction::Committing(_) => {}
        }
    }

    fn acknowledge_in(&mut self, client: usize, transaction: u64) {
        let Some(subscription) = self.any_subscription(client) else { return };
        let Some(consumer) = self.consumer(client, subscription) else { return };
        if consumer.wish.browser {
            return;
        }
        let free: Vec<_> = consumer.got.iter().filter(|got| got.transaction.is_none()).map(|got| got.tag).collect();
        if free.is_empty() {
            return;
        }
        let last = self.rng.pick(&free);
        match self.rng.per_mille(500) {
            true => self.acknowledge(client, subscription, AckKind::Standard, free[0], last, Some(transaction)),
            false => self.acknowledge(client, subscription, AckKind::Individual, last, last, Some(transaction)),
        }
    }

    fn pull(&mut self, client: usize) {
        let Some(subscription) = self.any_subscription(client) else { return };
        let timeout_ms = self.rng.pick(&[-1, 0, 5, 1_000]);
        if self.consumer(client, subscription).is_some_and(|consumer| consumer.prefetch == 0) {
            self.pull_from(client, subscription, timeout_ms);
        }
    }

    fn pull_from(&mut self, client: usize, subscription: SubscriptionKey, timeout_ms: i64) {
        if let Some(consumer) = self.consumer(client, subscription) {
            consumer.pulling = true;
        }
        self.tell(client, Command::Pull { subscription, timeout_ms });
    }

    fn change_prefetch(&mut self, client: usize) {
        let Some(subscription) = self.any_subscription(client) else { return };
        let prefetch = self.rng.pick(&[0, 1, 3, 50]);
        let granted = prefetch.min(self.options.config.prefetch_max);
        if let Some(consumer) = self.consumer(client, subscription) {
            consumer.prefetch = granted;
            consumer.pulling = false;
        }
        self.tell(client, Command::Prefetch { subscription, prefetch });
    }

    fn make_temporary(&mut self, client: usize) {
        let receipt = Some(self.ask(client, Ask::Other));
        let name = self.clients[client].connection_id();
        let Some(link) = &mut self.clients[client].link else { return };
        let name = Text::from(format!("{name}:{}:1", link.key));
        let destination = Destination { kind: message::DestinationKind::TempQueue, name };
        match link.temporary {
            Some(_) => {}
            None => {
                link.temporary = Some(destination.clone());
                self.tell(client, Command::AddDestination { destination, receipt });
            }
        }
    }

    /// Throws something away that others may still use.
    fn remove(&mut self, client: usize) {
        let receipt = Some(self.ask(client, Ask::Other));
        let client_id = self.clients[client].client_id.clone();
        let command = match client_id {
            Some(client_id) if self.rng.per_mille(700) => {
                let name = Text::from_static(self.rng.pick(&["d0", "d1"]));
                Command::RemoveDurable { client_id, name, receipt }
            }
            _ => Command::RemoveDestination { destination: self.queue(), receipt },
        };
        self.tell(client, command);
    }
}
