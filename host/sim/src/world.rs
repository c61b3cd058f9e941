//! The house in a bottle: one broker machine, its journal, its clients, one clock, one seed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::{Broker, JournalRoom, Recovery};
use journal::{Journal, MemJournal};
use message::{Command, ConnectionKey, Event, Receipt, Text};

use crate::client::{Client, Mode, Reaction};
use crate::disk::{Disk, Written};
use crate::options::Options;
use crate::oracle::{Counted, Oracle};
use crate::policy::Host;
use crate::rng::Rng;
use crate::tamper::Tamper;

/// Events kept to be shown with a broken promise.
const TRACE_LENGTH: usize = 120;

/// What a simulation came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Steps of the scheduler.
    pub steps: u64,
    /// Starts of the broker after the first.
    pub restarts: u64,
    /// Of those, the ones after a crash.
    pub crashes: u64,
    /// Messages sent.
    pub sent: u64,
    /// Virtual time, ms.
    pub virtual_ms: u64,
    /// What the checker counted.
    pub counted: Counted,
}

/// A promise that was broken.
#[derive(Debug)]
pub struct Violation {
    /// The seed that breaks it again.
    pub seed: u64,
    /// At which step.
    pub step: u64,
    /// Which promise, and by what.
    pub what: String,
    /// What happened last.
    pub trace: Vec<String>,
}

/// The simulation.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) now: i64,
    pub(crate) tally: Tally,
    pub(crate) broker: Broker,
    pub(crate) disk: Disk,
    pub(crate) options: Options,
    pub(crate) clients: Vec<Client>,
    /// Connections that broke and of which the broker hears at that time.
    pub(crate) broken: Vec<(i64, ConnectionKey)>,
    pub(crate) oracle: Oracle,
    pub(crate) tamper: Tamper,
    pub(crate) queues: u64,
    /// Message groups that are in use; 0 for a simulation without.
    pub(crate) groups: u64,
    pub(crate) calm: bool,
    last_key: ConnectionKey,
    /// Requests for bodies since a client said something.
    loads_in_row: usize,
    full: bool,
    tame: Arc<AtomicBool>,
    trace_length: usize,
    trace: VecDeque<(u64, i64, ConnectionKey, Said)>,
}

#[derive(Debug)]
enum Said {
    Command(Command),
    Event(Event),
    Note(String),
}

impl World {
    /// Everything follows from the seed; `tamper` breaks a promise on the broker's behalf.
    pub fn new(seed: u64, tamper: Tamper) -> World {
        let mut rng = Rng::new(seed);
        // A fifth of all seeds; the others draw what they drew before there were groups.
        let groups = if seed % 5 == 4 { rng.pick(&[1, 3, 8]) } else { 0 };
        let options = Options::draw(&mut rng, false, groups > 0);
        let tame = Arc::new(AtomicBool::new(false));
        let host = Host::new(rng.draw(), tame.clone());
        let broker = Broker::new(options.config.clone(), Box::new(host), Text::from_static("ID:broker-1"));
        let modes = [Mode::Sync, Mode::Async, Mode::Silent, Mode::Window];
        let clients = (0..rng.index(5) + 2)
            .map(|number| {
                let client_id = rng.per_mille(500).then(|| Text::from(format!("client-{number}")));
                let own: Vec<_> = (0..3).map(|_| rng.pick(&modes)).chain([Mode::Sync]).collect();
                Client::new(number, client_id, &own)
            })
            .collect();
        World {
            seed,
            queues: rng.below(4) + 1,
            groups,
            now: 1_700_000_000_000,
            tally: Tally::default(),
            broker,
            disk: Disk::new(MemJournal::new()),
            oracle: Oracle::new(options.config.clone()),
            options,
            clients,
            broken: Vec::new(),
            tamper,
            calm: false,
            last_key: 0,
            loads_in_row: 0,
            full: false,
            tame,
            trace_length: TRACE_LENGTH,
            trace: VecDeque::new(),
            rng,
        }
    }

    /// Shows this many events with a broken promise.
    pub fn with_trace(mut self, length: usize) -> World {
        self.trace_length = length.max(1);
        self
    }

    /// Anything goes for so many steps, then all must drain.
    pub fn run(mut self, steps: u64) -> Result<Tally, Violation> {
        while self.tally.steps < steps && self.oracle.violation().is_none() {
            self.step();
        }
        if self.oracle.violation().is_none() {
            self.drain();
        }
        self.tally.counted = self.oracle.counted;
        match self.oracle.violation() {
            None => Ok(self.tally),
            Some(what) => {
                Err(Violation { seed: self.seed, step: self.tally.steps, what: what.to_owned(), trace: self.told() })
            }
        }
    }

    fn step(&mut self) {
        self.tally.steps += 1;
        let ms = match self.rng.below(100) {
            0 => self.rng.between(1_000, 60_000),
            1..6 => self.rng.between(10, 1_000),
            6..50 => self.rng.between(1, 3),
            _ => 0,
        };
        self.pass(ms);
        let client = self.rng.index(self.clients.len());
        self.client_step(client);
        if self.rng.per_mille(self.options.flush_per_mille) {
            self.flush();
        }
        self.write();
        self.misfortune();
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.tally.virtual_ms += u64::try_from(ms).unwrap_or(0);
        if self.broker.poll_timeout().is_some_and(|due| due <= self.now) {
            self.broker.tick(self.now);
            self.hear();
        }
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = self.broken.drain(..).partition(|(at, _)| *at <= now);
        self.broken = later;
        for (_, key) in due {
            self.carry_out(key, Command::Disconnect);
        }
    }

    fn misfortune(&mut self) {
        if self.rng.per_mille(self.options.full_per_mille) {
            self.full = !self.full;
            self.note(format!("the disk is full: {}", self.full));
            self.disk.set_full(self.full);
            if !self.full {
                self.broker.journal_room(JournalRoom::Plenty);
            }
        }
        if self.options.fault_per_mille > 0 && self.rng.below(10_000) < self.options.fault_per_mille {
            let keep = self.rng.index(4);
            self.disk.fail(keep);
        }
        if self.rng.per_mille(self.options.crash_per_mille) {
            if self.rng.per_mille(300) { self.stop() } else { self.crash() }
        }
    }

    /// A request reaches the broker; what it answers at once is heard at once.
    pub(crate) fn carry_out(&mut self, from: ConnectionKey, command: Command) {
        self.say(from, Said::Command(command.clone()));
        self.loads_in_row = 0;
        self.broker.handle(from, command.clone(), self.now);
        let events = self.poll();
        let receipt = receipt_of(&command);
        let refused =
            events.iter().filter(|(to, _)| *to == from).flat_map(|(_, events)| events).any(|event| match event {
                Event::Reply { receipt: answered, outcome: Err(_) } => Some(*answered) == receipt,
                Event::Failed(_) => receipt.is_none(),
                _ => false,
            });
        self.oracle.command(from, &command, refused, self.now);
        self.pass_on(events);
    }

    /// The broker ends its step; its effects come out.
    pub(crate) fn flush(&mut self) {
        self.broker.flush(self.now);
        while let Some((position, mut group)) = self.broker.poll_append() {
            self.tamper.group(&mut self.rng, &mut group);
            self.disk.push(position, group);
            if self.tamper.confirms_early() {
                self.broker.persisted(position);
            }
        }
        while let Some((id, sequences)) = self.broker.poll_load() {
            let due = self.now + self.rng.between(0, self.options.load_ms_max);
            self.disk.ask(due, id, sequences);
            self.loads_in_row += 1;
        }
        if self.loads_in_row > 100 {
            let pending: usize = self.broker.report().iter().map(|line| line.pending).sum();
            if self.loads_in_row > 100 + 2 * pending {
                self.oracle.broken(format!("{} reads in a row with {pending} messages waiting", self.loads_in_row));
            }
        }
        self.hear();
    }

    /// The journal's threads go on. False if the broker died of it.
    pub(crate) fn write(&mut self) {
        let delay = self.rng.between(0, self.options.append_ms_max);
        match self.disk.write(self.now, delay) {
            Written::Nothing => {}
            Written::Durable(groups, last) => {
                self.note(format!("durable up to {last}"));
                self.oracle.ledger.apply(&groups);
                if !self.tamper.confirms_early() {
                    self.broker.persisted(last);
                }
                self.hear();
            }
            Written::Full => self.broker.journal_room(JournalRoom::ProducersWait),
            Written::Failed(kept) => {
                self.note(format!("the append failed, {} groups are durable", kept.len()));
                self.oracle.ledger.apply(&kept);
                self.tally.crashes += 1;
                let (disk, _) = self.disk.crash(0);
                return self.restart(disk, false);
            }
        }
        while let Some((id, bodies)) = self.disk.read(self.now) {
            self.broker.loaded(id, bodies);
            self.hear();
        }
    }

    fn hear(&mut self) {
        self.oracle.at(self.now);
        let events = self.poll();
        self.pass_on(events);
    }

    fn poll(&mut self) -> Vec<(ConnectionKey, Vec<Event>)> {
        let mut all = Vec::new();
        while let Some((key, events)) = self.broker.poll_events() {
            all.push((key, events));
        }
        while let Some((key, events)) = self.broker.poll_farewell() {
            all.push((key, events));
        }
        self.tamper.events(&mut self.rng, &mut all);
        all
    }

    fn pass_on(&mut self, all: Vec<(ConnectionKey, Vec<Event>)>) {
        for (key, events) in &all {
            for event in events {
                self.say(*key, Said::Event(event.clone()));
            }
        }
        self.oracle.round(&all);
        for (key, events) in all {
            let link = self.clients.iter_mut().filter_map(|client| client.link.as_mut()).find(|link| link.key == key);
            if let Some(link) = link {
                link.inbox.extend(events);
            }
        }
    }

    /// The client takes in the next event that reached it. False if there is none.
    pub(crate) fn take(&mut self, client: usize) -> bool {
        let key = self.clients[client].link.as_ref().map_or(0, |link| link.key);
        match self.clients[client].take(self.now) {
            None => return false,
            Some(Reaction::None) => {}
            Some(Reaction::Received(subscription, tag)) => self.oracle.received(key, subscription, tag),
            Some(Reaction::Welcome) => self.welcome(client),
            Some(Reaction::Over) => {
                let at = self.now + self.rng.between(0, 500);
                let failover = self.rng.per_mille(500);
                self.clients[client].lose(failover, at);
            }
        }
        true
    }

    /// A connection key that was never given.
    pub(crate) fn key(&mut self) -> ConnectionKey {
        self.last_key += 1;
        self.last_key
    }

    /// The broker dies at once.
    fn crash(&mut self) {
        self.tally.crashes += 1;
        let keep = self.rng.index(self.disk.in_flight() + 1);
        let (disk, kept) = self.disk.crash(keep);
        self.note(format!("crash, {keep} groups of the append under way are durable"));
        self.oracle.ledger.apply(&kept);
        self.restart(disk, false);
    }

    /// The broker stops in order, if its journal lets it.
    fn stop(&mut self) {
        if self.disk.is_failing() || self.full {
            return self.crash();
        }
        self.note("stop".into());
        self.broker.stop(self.now);
        self.flush();
        while !self.disk.is_idle() && !self.disk.is_failing() {
            self.now += 1;
            match self.disk.write(self.now, 0) {
                Written::Durable(groups, last) => {
                    self.oracle.ledger.apply(&groups);
                    if !self.tamper.confirms_early() {
                        self.broker.persisted(last);
                    }
                    self.hear();
                }
                Written::Nothing | Written::Full | Written::Failed(_) => {}
            }
            let _ = self.disk.read(i64::MAX);
        }
        if !self.broker.is_settled() && !self.tamper.confirms_early() {
            self.oracle.broken("the broker stopped and something was still awaited");
        }
        let (disk, _) = self.disk.crash(0);
        self.restart(disk, true);
    }

    /// Another broker starts on what is durable, with other options.
    pub(crate) fn restart(&mut self, disk: Disk, clean: bool) {
        self.tally.restarts += 1;
        for client in 0..self.clients.len() {
            let Some(link) = &self.clients[client].link else { continue };
            // What was on its way may still have been read.
            let key = link.key;
            for _ in 0..self.rng.index(link.inbox.len() + 1) {
                if let Some(Reaction::Received(subscription, tag)) = self.clients[client].take(self.now) {
                    self.oracle.received(key, subscription, tag);
                }
            }
            let at = self.now + self.rng.between(0, 300);
            let failover = self.rng.per_mille(700);
            self.clients[client].lose(failover, at);
        }
        self.broken.clear();
        self.disk = disk;
        self.full = false;
        self.options = Options::draw(&mut self.rng, self.calm, self.groups > 0);
        self.note(format!("start {}, clean: {clean}", self.tally.restarts + 1));
        if self.tamper.is_honest_on_disk()
            && let Err(why) = self.oracle.ledger.compare(&self.disk.journal)
        {
            self.oracle.broken(why);
        }
        let host = Host::new(self.rng.draw(), self.tame.clone());
        let id = Text::from(format!("ID:broker-{}", self.tally.restarts + 1));
        let mut broker = Broker::new(self.options.config.clone(), Box::new(host), id);
        let mut recovery = Recovery::default();
        match self.disk.journal.recover(&mut |record| broker.recover(&mut recovery, record)) {
            Ok(found) => {
                let recovery = broker.recovered(recovery, found.next_sequence, found.next_log, found.clean_stop);
                if let Some(refused) = recovery.refused.first() {
                    self.oracle.broken(format!("part of the journal is refused: {refused}"));
                }
            }
            Err(error) => self.oracle.broken(format!("the journal does not open: {error}")),
        }
        self.broker = broker;
        self.oracle.restarted(self.options.config.clone(), clean);
    }

    /// Faults stop and policies give what they have.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.tame.store(true, Ordering::Relaxed);
        if self.disk.is_failing() {
            self.crash();
        }
        self.full = false;
        self.disk.set_full(false);
        self.broker.journal_room(JournalRoom::Plenty);
        self.options.append_ms_max = 5;
        self.options.load_ms_max = 5;
        self.note("faults stop".into());
    }

    pub(crate) fn note(&mut self, text: String) {
        self.say(0, Said::Note(text));
    }

    fn say(&mut self, key: ConnectionKey, said: Said) {
        if self.trace.len() >= self.trace_length {
            self.trace.pop_front();
        }
        self.trace.push_back((self.tally.steps, self.now, key, said));
    }

    fn told(&self) -> Vec<String> {
        self.trace.iter().map(|(step, now, key, said)| line_of(*step, *now, *key, said)).collect()
    }
}

impl Drop for World {
    /// A panic inside the broker is a finding too.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.told().join("\n"));
            eprintln!("seed {}, step {}: the panic above", self.seed, self.tally.steps);
        }
    }
}

fn line_of(step: u64, now: i64, key: ConnectionKey, said: &Said) -> String {
    let text = match said {
        Said::Command(Command::Publish(publish)) => format!(
            "<- Publish {:?} id {} to {}, group {:?} {}, persistent {}, priority {}, expires {}, transaction {:?}, \
             receipt {:?}",
            crate::words::uid_of(&publish.message),
            publish.message.id,
            publish.message.destination,
            publish.message.group_id,
            publish.message.group_sequence,
            publish.message.persistent,
            publish.message.priority,
            publish.message.expiration,
            publish.transaction,
            publish.receipt
        ),
        Said::Command(Command::Subscribe(wish)) => format!(
            "<- Subscribe {} to {}, prefetch {}, selector {:?}, browser {}, durable {:?}, exclusive {}, auto {}",
            wish.subscription,
            wish.destination,
            wish.prefetch,
            wish.selector.as_ref().map(|selector| selector.text()),
            wish.browser,
            wish.durable_name,
            wish.exclusive,
            wish.auto_ack
        ),
        Said::Command(command) => format!("<- {command:?}"),
        Said::Event(Event::Deliver(delivery)) => format!(
            "-> Deliver {:?} number {} from {} to {}, group {:?}, first {}, tag {}, {} redeliveries",
            crate::words::uid_of(&delivery.message),
            delivery.message.sequence,
            delivery.message.destination,
            delivery.subscription,
            delivery.message.group_id,
            delivery.group_first,
            delivery.tag,
            delivery.redeliveries
        ),
        Said::Event(event) => format!("-> {event:?}"),
        Said::Note(note) => format!("-- {note}"),
    };
    format!("{step:>6} {now} [{key}] {text}")
}

/// The receipt that a command carries.
fn receipt_of(command: &Command) -> Option<Receipt> {
    match command {
        Command::Connect(connect) => connect.receipt,
        Command::Subscribe(wish) => wish.receipt,
        Command::Publish(publish) | Command::Forbidden { publish, .. } => publish.receipt,
        Command::Ack(ack) => ack.receipt,
        Command::Fence { receipt } => Some(*receipt),
        Command::Unsubscribe { receipt, .. }
        | Command::RemoveDurable { receipt, .. }
        | Command::AddProducer { receipt, .. }
        | Command::RemoveProducer { receipt, .. }
        | Command::AddDestination { receipt, .. }
        | Command::RemoveDestination { receipt, .. }
        | Command::Begin { receipt, .. }
        | Command::Commit { receipt, .. }
        | Command::Rollback { receipt, .. } => *receipt,
        Command::Disconnect | Command::Prefetch { .. } | Command::Pull { .. } | Command::Written { .. } => None,
    }
}
