//! What the judge's clients do: all that a client may do, varied by the seed.

use std::{
    collections::HashMap,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{Court, DRAIN, LOAD, STOP, ledger::MessageKey};
use crate::bench::{
    body::{self, Head, Random, now_ns},
    client::{CONFIRM_TIMEOUT, Client, Failure, Outgoing, Received, Subscription},
};

/// How long a consumer waits before it acknowledges less than it meant to.
const PAUSE: Duration = Duration::from_millis(30);
/// How long a consumer that is to stop waits for answers.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Sends until the load is over, through any number of losses.
pub(super) fn produce(court: &Court, index: u32) -> anyhow::Result<()> {
    let mut producer = Producer {
        court,
        index,
        generation: 0,
        random: Random::new(court.work.seed.wrapping_mul(1009) ^ u64::from(index)),
        body: Vec::new(),
    };
    while court.phase() == LOAD {
        let Some((mut client, generation)) = court.connect(index as usize, LOAD)? else { break };
        producer.generation = generation;
        match producer.run(&mut client) {
            Ok(()) => client.close(),
            Err(failure) => lost(court, generation, &failure),
        }
    }
    Ok(())
}

/// A refusal closes the connection of the client that met it; only a loss says something of the broker.
fn lost(court: &Court, generation: u16, failure: &Failure) {
    match failure {
        Failure::Refused(_) | Failure::Protocol(_) => {
            court.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(super::BACK_OFF_MIN);
        }
        Failure::Lost(_) => {}
    }
    court.lost(generation);
}

struct Producer<'a> {
    court: &'a Court,
    index: u32,
    /// Of its connection.
    generation: u16,
    random: Random,
    body: Vec<u8>,
}

impl Producer<'_> {
    fn run(&mut self, client: &mut Client) -> Result<(), Failure> {
        client.open_producer(None, 0)?;
        while self.court.phase() == LOAD {
            match self.random.below(8) {
                0..=3 => self.send_each(client, 1)?,
                4 | 5 => {
                    let count = 2 + self.random.below(30) as usize;
                    self.send_each(client, count)?;
                }
                6 => self.send_transaction(client, true)?,
                _ => {
                    let commit = !self.random.once_in(3);
                    self.send_transaction(client, commit)?;
                }
            }
            thread::sleep(self.court.work.pause.into());
        }
        Ok(())
    }

    /// Sends some messages, each with a wish for confirmation, and waits for all of them.
    fn send_each(&mut self, client: &mut Client, count: usize) -> Result<(), Failure> {
        let mut awaited = HashMap::with_capacity(count);
        for _ in 0..count {
            let Some((key, id)) = self.send(client, false) else { break };
            awaited.insert(id, key);
        }
        let result = self.wait(client, &mut awaited);
        let open: Vec<MessageKey> = awaited.into_values().collect();
        self.court.ledger().leave_open(&open);
        result
    }

    fn wait(&self, client: &mut Client, awaited: &mut HashMap<u32, MessageKey>) -> Result<(), Failure> {
        client.flush()?;
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        while !awaited.is_empty() {
            match client.receive(deadline)? {
                Received::Confirm(confirm) => {
                    if let Some(text) = confirm.refused {
                        return Err(Failure::Refused(text));
                    }
                    if let Some(key) = awaited.remove(&confirm.id) {
                        self.court.ledger().confirm_send(&[key]);
                        self.court.gaps.confirmed(self.index, self.generation);
                    }
                }
                Received::Refused(text) => return Err(Failure::Refused(text)),
                Received::Idle => return Err(Failure::Lost(std::io::ErrorKind::TimedOut.into())),
                Received::Credit(_) | Received::Delivery(_) | Received::Nothing => {}
            }
        }
        Ok(())
    }

    /// A transaction over one or more queues. Nothing of it may arrive before its commit is on its way.
    fn send_transaction(&mut self, client: &mut Client, commit: bool) -> Result<(), Failure> {
        client.begin();
        let mut keys = Vec::new();
        for _ in 0..=self.random.below(20) {
            let Some((key, _)) = self.send(client, true) else { break };
            keys.push(key);
            if self.random.once_in(4) {
                client.flush()?;
            }
        }
        if commit {
            self.court.ledger().may_arrive(&keys);
        }
        let id = client.end(commit);
        let result = client.confirm(id);
        let mut ledger = self.court.ledger();
        match (&result, commit) {
            (Ok(()), true) => {
                ledger.confirm_send(&keys);
                self.court.gaps.confirmed(self.index, self.generation);
            }
            (Err(_), true) => ledger.leave_open(&keys),
            (_, false) => {}
        }
        result
    }

    fn send(&mut self, client: &mut Client, transacted: bool) -> Option<(MessageKey, u32)> {
        let queue = self.random.below(self.court.queues.len() as u64) as u32;
        let mut ledger = self.court.ledger();
        let key = ledger.send(self.index, queue, transacted)?;
        let group = ledger.group(key).map(|group| format!("g{group}"));
        drop(ledger);
        let len = match self.random.below(200) {
            0 => 100_000 + self.random.below(200_000),
            1..=4 => 8_000 + self.random.below(60_000),
            _ => self.random.below(2_000),
        };
        body::fill(&mut self.body, len as usize, key.sequence);
        body::write(&mut self.body, Head { producer: key.stream, sequence: key.sequence, sent_ns: now_ns() }, true);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let message = Outgoing {
            destination: &self.court.queues[queue as usize],
            body: &self.body,
            persistent: true,
            transacted,
            property: None,
            group: group.as_deref(),
            timestamp_ms: now.as_millis() as i64,
        };
        Some((key, client.send(&message, !transacted)))
    }
}

/// Receives until the end, through any number of losses.
pub(super) fn consume(court: &Court, index: u32) -> anyhow::Result<()> {
    let mut random = Random::new(court.work.seed.wrapping_mul(2003) ^ u64::from(index) << 32);
    while court.phase() < STOP {
        // Even and odd clients take another login than the producers of the same number.
        let Some((mut client, generation)) = court.connect(index as usize + 1, DRAIN)? else { break };
        let mut result = Ok(());
        while result.is_ok() && court.phase() < STOP {
            result = subscribe(court, index, generation, &mut random, &mut client);
        }
        match result {
            Ok(()) => client.close(),
            Err(failure) => lost(court, generation, &failure),
        }
    }
    Ok(())
}

/// In a third of the generations nobody takes from a queue, so that a kill finds a backlog in it and not only what
/// is on its way. False when a new generation has come over it.
fn sleep_through(court: &Court, queue: u32, generation: u16) -> bool {
    let draw = Random::new(court.work.seed ^ u64::from(generation) << 32 ^ u64::from(queue) << 16).next();
    let asleep = generation > 0 && draw.is_multiple_of(3);
    while asleep && court.phase() == LOAD {
        if court.ledger().generation() != generation {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// How a subscription acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Each message alone.
    Each,
    /// So many at once.
    Range(usize),
    /// So many at once in a transaction.
    Transacted(usize),
}

/// One subscription of a consumer.
struct Consumer<'a> {
    court: &'a Court,
    client: &'a mut Client,
    generation: u16,
    subscriber: u64,
    consumer: i64,
    mode: Mode,
    /// Delivered and not yet named in an acknowledgement.
    held: Vec<MessageKey>,
    /// Named in acknowledgements that have no answer yet.
    awaited: HashMap<u32, Vec<MessageKey>>,
    /// The rollback that has no answer yet.
    rolling_back: Option<(u32, Vec<MessageKey>)>,
    /// The subscription ends: what still comes goes back unseen.
    leaving: Option<u32>,
}

fn subscribe(
    court: &Court,
    index: u32,
    generation: u16,
    random: &mut Random,
    client: &mut Client,
) -> Result<(), Failure> {
    let queue = index % court.queues.len() as u32;
    if !sleep_through(court, queue, generation) {
        return Err(Failure::Lost(std::io::ErrorKind::ConnectionReset.into()));
    }
    // Consumers of even queues stay and give nothing back, so that their order can be judged to the end.
    let steady = queue.is_multiple_of(2);
    let prefetch = [1, 10, 100, 1000][random.below(4) as usize];
    let some = 1 + random.below(prefetch.min(30)) as usize;
    let mode = match random.below(3) {
        0 => Mode::Each,
        1 => Mode::Range(some),
        _ => Mode::Transacted(some),
    };
    let stale = || Failure::Lost(std::io::ErrorKind::ConnectionReset.into());
    let subscriber = court.ledger().subscribe(queue, generation).ok_or_else(stale)?;
    let (_, consumer) = client.subscribe(&Subscription {
        destination: &court.queues[queue as usize],
        prefetch: prefetch as u32,
        selector: None,
        individual: mode == Mode::Each,
    })?;
    let mut consumer = Consumer {
        court,
        client,
        generation,
        subscriber,
        consumer,
        mode,
        held: Vec::new(),
        awaited: HashMap::new(),
        rolling_back: None,
        leaving: None,
    };
    let most = if steady { u64::MAX } else { 20 + random.below(500) };
    let result = consumer.run(random, steady, most);
    let unanswered = consumer.unanswered();
    court.awaited.fetch_sub(unanswered, Ordering::Relaxed);
    result
}

impl Consumer<'_> {
    fn unanswered(&self) -> i64 {
        self.awaited.len() as i64 + i64::from(self.rolling_back.is_some())
    }

    fn run(&mut self, random: &mut Random, steady: bool, most: u64) -> Result<(), Failure> {
        let mut seen = 0;
        let mut stopping = None;
        loop {
            let phase = self.court.phase();
            if phase == STOP && stopping.get_or_insert_with(Instant::now).elapsed() > STOP_MAX {
                return Ok(());
            }
            let idle = match self.client.receive(Instant::now() + PAUSE)? {
                Received::Delivery(delivery) => {
                    if self.leaving.is_some() || delivery.consumer != self.consumer {
                        continue;
                    }
                    seen += 1;
                    let head = body::read(self.client.body(&delivery), true);
                    let key = head.map(|head| MessageKey { stream: head.producer, sequence: head.sequence });
                    self.court.active();
                    if !self.court.ledger().deliver(self.subscriber, key, delivery.redelivered) {
                        return Err(Failure::Lost(std::io::ErrorKind::ConnectionReset.into()));
                    }
                    // A damaged one is acknowledged too; nobody knows which it was.
                    self.held.extend(key);
                    false
                }
                Received::Confirm(confirm) => {
                    if let Some(text) = confirm.refused {
                        return Err(Failure::Refused(text));
                    }
                    self.confirmed(confirm.id);
                    if self.leaving == Some(confirm.id) {
                        return Ok(());
                    }
                    false
                }
                Received::Refused(text) => return Err(Failure::Refused(text)),
                Received::Idle => true,
                Received::Credit(_) | Received::Nothing => false,
            };
            if self.court.ledger().generation() != self.generation {
                return Err(Failure::Lost(std::io::ErrorKind::ConnectionReset.into()));
            }
            if self.leaving.is_some() || self.rolling_back.is_some() {
                continue;
            }
            let settled = self.unanswered() == 0 && self.held.is_empty();
            if phase == STOP && settled {
                return Ok(());
            }
            if phase == LOAD && seen >= most {
                // Some of what is held goes back with what was sent ahead.
                self.court.ledger().disturb(self.subscriber);
                self.leaving = Some(self.client.unsubscribe(self.consumer)?);
                continue;
            }
            let roll_back = phase == LOAD && !steady && random.once_in(4);
            self.acknowledge(idle, roll_back);
        }
    }

    /// Sends the acknowledgement that is due by the mode.
    fn acknowledge(&mut self, idle: bool, roll_back: bool) {
        let due = match self.mode {
            Mode::Each => 1,
            Mode::Range(some) | Mode::Transacted(some) => some,
        };
        if self.held.is_empty() || (self.held.len() < due && !idle) {
            return;
        }
        let transacted = matches!(self.mode, Mode::Transacted(_));
        if transacted {
            self.client.begin();
        }
        let each = self.mode == Mode::Each;
        let Some(mut id) = self.client.ack(self.consumer, each, transacted, !transacted) else { return };
        let keys = std::mem::take(&mut self.held);
        self.court.awaited.fetch_add(1, Ordering::Relaxed);
        if transacted {
            id = self.client.end(!roll_back);
            if roll_back {
                self.court.ledger().disturb(self.subscriber);
                self.rolling_back = Some((id, keys));
                return;
            }
        }
        self.awaited.insert(id, keys);
    }

    fn confirmed(&mut self, id: u32) {
        if let Some(keys) = self.awaited.remove(&id) {
            self.court.awaited.fetch_sub(1, Ordering::Relaxed);
            self.court.active();
            self.court.ledger().confirm_ack(&keys, self.generation);
        } else if let Some((_, mut keys)) = self.rolling_back.take_if(|(rollback, _)| *rollback == id) {
            // Redelivered from the client's own memory, as the JMS client does: to be acknowledged once more.
            self.court.awaited.fetch_sub(1, Ordering::Relaxed);
            self.client.reopen();
            keys.append(&mut self.held);
            self.held = keys;
        }
    }
}
