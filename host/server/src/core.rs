//! The broker machine and who works it: letters in, effects out, in steps, by one thread at a time.
//!
//! Whoever brings a letter while nobody works the machine works one step of it on the spot: a thread that has to be
//! woken costs more than the step. Under load somebody always works it, letters gather, and the thread of its own
//! ([`Core::run`]) goes on with whatever is left.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker::{Broker, KeepId, LoadId};
use message::{Command, ConnectionKey, Event, Position, Sequence};
use rustc_hash::FxHashMap;

use crate::inbox::{Batch, Content, Inbox, Input, Takes};
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::{observer, report};

/// Longest sleep without news, ms.
const SLEEP_MAX_MS: i64 = 1_000;

/// The door to the broker machine.
pub(crate) struct Core {
    inbox: Inbox,
    /// One thread at a time; nobody waits for it but the thread of [`Core::run`].
    machine: Mutex<Machine>,
    writer: Arc<Queue>,
    journal_backlog_bytes_max: u64,
    /// Told to stop: no more commands are taken.
    stopping: AtomicBool,
    /// When the machine's own thread wakes by itself, ms since 1970.
    sleeps_until_ms: AtomicI64,
    /// The last step was made: letters are not read any more.
    ended: AtomicBool,
}

/// What is worked on.
struct Machine {
    broker: Broker,
    writer: Arc<Queue>,
    loader: Option<Sender<(LoadId, Vec<Sequence>)>>,
    outboxes: FxHashMap<ConnectionKey, Arc<Outbox>>,
    inputs: Vec<Input>,
    batches: Vec<Batch>,
    /// Who waits for facts to be durable.
    keeping: FxHashMap<KeepId, SyncSender<()>>,
    keep_next: KeepId,
    /// What the writer was last told that somebody waits for.
    wanted: Position,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

impl Core {
    pub(crate) fn new(
        broker: Broker,
        writer: Arc<Queue>,
        loader: Sender<(LoadId, Vec<Sequence>)>,
        journal_backlog_bytes_max: u64,
    ) -> Core {
        let machine = Machine {
            broker,
            writer: writer.clone(),
            loader: Some(loader),
            outboxes: FxHashMap::default(),
            inputs: Vec::new(),
            batches: Vec::new(),
            keeping: FxHashMap::default(),
            keep_next: 0,
            wanted: 0,
        };
        Core {
            inbox: Inbox::default(),
            machine: Mutex::new(machine),
            writer,
            journal_backlog_bytes_max,
            stopping: AtomicBool::new(false),
            sleeps_until_ms: AtomicI64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Brings news and sees that they are read.
    pub(crate) fn push(&self, input: Input) {
        self.put(input);
        self.work();
    }

    /// Brings news, which are read in some next step.
    pub(crate) fn put(&self, input: Input) {
        self.inbox.push(input);
    }

    /// Has the machine's own thread read what was brought: for a caller that has other things to do.
    pub(crate) fn wake(&self) {
        self.inbox.wake();
    }

    /// Brings commands and sees that they are read, and if need be that what follows is durable.
    pub(crate) fn push_batch(&self, batch: Batch) {
        self.inbox.push_batch(batch);
        if self.work_once(true) && self.writer.append_here(|position| self.put(Input::Persisted(position))) {
            self.work();
        }
    }

    /// Works one step unless somebody works already, who will look into the inbox once more afterwards. What comes in
    /// during this step is left to the machine's own thread, so that nobody is kept from work of its own for long.
    pub(crate) fn work(&self) {
        self.work_once(false);
    }

    /// As [`Core::work`]. True when the caller, who `may_append`, has to append what the step led to.
    fn work_once(&self, may_append: bool) -> bool {
        let Ok(machine) = self.machine.try_lock() else { return false };
        let Step { due, append } = self.step(machine, may_append);
        let early = due.is_some_and(|due| due < self.sleeps_until_ms.load(Ordering::Relaxed));
        if early || !self.inbox.is_empty(self.takes()) {
            self.inbox.wake();
        }
        append
    }

    /// Works until the last step is made. Returns whether the machine panicked, whoever worked it then.
    pub(crate) fn run(&self) -> bool {
        while let Ok(machine) = self.machine.lock() {
            if self.ended.load(Ordering::Acquire) {
                return false;
            }
            let now = now_ms();
            let due = machine.broker.poll_timeout().unwrap_or(i64::MAX).min(now + SLEEP_MAX_MS);
            if due <= now || !self.inbox.is_empty(self.takes()) {
                self.step(machine, false);
                continue;
            }
            // Before the lock is released: who makes the next step sees it.
            self.sleeps_until_ms.store(due, Ordering::Relaxed);
            drop(machine);
            self.inbox.wait(|| self.takes(), Duration::from_millis((due - now).unsigned_abs()));
        }
        true
    }

    /// Bytes that wait for the writer, and how many may.
    pub(crate) fn journal_backlog(&self) -> (u64, u64) {
        (self.writer.backlog_bytes.load(Ordering::Relaxed), self.journal_backlog_bytes_max)
    }

    /// While the writer has too much before it nothing is taken that brings it more bodies, so that a disk that stalls
    /// holds up those who send, and neither logins nor consumers; what those write is small, and has a bound too. No
    /// commands are taken once the machine is to stop.
    fn takes(&self) -> Takes {
        if self.stopping.load(Ordering::Relaxed) {
            return Takes::None;
        }
        match self.writer.backlog_bytes.load(Ordering::Relaxed) / self.journal_backlog_bytes_max {
            0 => Takes::All,
            1 => Takes::Light,
            _ => Takes::None,
        }
    }

    fn step(&self, mut machine: MutexGuard<'_, Machine>, may_append: bool) -> Step {
        // Who is woken waits for the guard and finds the machine poisoned.
        let _alarm = Alarm(&self.inbox);
        if self.ended.load(Ordering::Acquire) {
            return Step::default();
        }
        let machine = &mut *machine;
        self.inbox.take(&mut machine.inputs, &mut machine.batches, self.takes());
        let (last, append) = machine.step(&self.stopping, may_append);
        if last {
            self.ended.store(true, Ordering::Release);
            self.inbox.close();
            self.inbox.wake();
        }
        Step { due: machine.broker.poll_timeout(), append }
    }
}

/// What follows from a step.
#[derive(Default)]
struct Step {
    /// When the next one is due if nothing comes before, ms since 1970.
    due: Option<i64>,
    /// Who made it has to append what it led to.
    append: bool,
}

/// Wakes the machine's own thread when a step panics, whoever made it.
struct Alarm<'a>(&'a Inbox);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.wake();
        }
    }
}

impl Machine {
    /// Reads the letters at hand and hands out what follows. Whether it was the last step, and whether the caller, who
    /// `may_append`, has to append what it led to.
    fn step(&mut self, stopping: &AtomicBool, may_append: bool) -> (bool, bool) {
        let now = now_ms();
        for input in self.inputs.drain(..) {
            match input {
                Input::Opened(key, outbox) => drop(self.outboxes.insert(key, outbox)),
                Input::Persisted(position) => self.broker.persisted(position),
                Input::Loaded(id, bodies) => self.broker.loaded(id, bodies),
                Input::Room(room) => self.broker.journal_room(room),
                Input::Keep(facts, done) => {
                    self.keep_next += 1;
                    self.keeping.insert(self.keep_next, done);
                    self.broker.keep(facts, self.keep_next);
                }
                Input::PoliciesChanged(done) => {
                    self.broker.policies_changed();
                    // Who asked may have given up.
                    let _ = done.try_send(());
                }
                Input::Explain(queue, answer) => {
                    let _ = answer.try_send(self.broker.explain(&queue, now));
                }
                Input::Say(line, done) => {
                    self.broker.tell_plugin_line(&line, now);
                    let _ = done.try_send(());
                }
                Input::Report => report::to_log(&self.broker),
                Input::Ask(question) => observer::answer(&self.broker, question),
                Input::Stop => stopping.store(true, Ordering::Relaxed),
            }
        }
        for batch in self.batches.drain(..) {
            match batch.content {
                Content::Commands(commands, _permit) => {
                    for command in commands {
                        self.broker.handle(batch.connection, command, now);
                    }
                }
                Content::Closed => {
                    self.outboxes.remove(&batch.connection);
                    self.broker.handle(batch.connection, Command::Disconnect, now);
                }
            }
        }
        if self.broker.poll_timeout().is_some_and(|due| due <= now) {
            self.broker.tick(now);
        }
        self.broker.flush(now);
        let append = self.hand_out(may_append);
        if !stopping.load(Ordering::Relaxed) || !self.broker.is_settled() {
            return (false, append);
        }
        report::to_log(&self.broker);
        self.broker.stop(now);
        self.broker.flush(now);
        let append = append | self.hand_out(may_append);
        for outbox in self.outboxes.values() {
            outbox.end();
        }
        self.loader = None;
        self.writer.close();
        (true, append)
    }

    /// True when the caller, who `may_append`, has to append what is handed out.
    fn hand_out(&mut self, may_append: bool) -> bool {
        let (mut pushed, mut append) = (false, false);
        while let Some((position, group)) = self.broker.poll_append() {
            self.writer.push(position, group);
            pushed = true;
        }
        let awaited = self.broker.awaited();
        if pushed || awaited > self.wanted {
            self.wanted = awaited;
            append = self.writer.want(awaited, self.broker.take_receipts_awaited(), may_append);
        }
        while let Some(id) = self.broker.poll_kept() {
            if let Some(done) = self.keeping.remove(&id) {
                let _ = done.try_send(());
            }
        }
        while let Some(request) = self.broker.poll_load() {
            if let Some(loader) = &self.loader {
                // The loader ends only after its sender is dropped.
                let _ = loader.send(request);
            }
        }
        while let Some((key, events)) = self.broker.poll_events() {
            give(&self.outboxes, key, events);
        }
        while let Some((key, events)) = self.broker.poll_farewell() {
            give(&self.outboxes, key, events);
        }
        for (line, sequence) in self.broker.take_damaged() {
            tracing::error!(line, sequence, "a stored message could not be read back and is lost");
        }
        append
    }
}

fn give(outboxes: &FxHashMap<ConnectionKey, Arc<Outbox>>, key: ConnectionKey, events: Vec<Event>) {
    if let Some(outbox) = outboxes.get(&key) {
        outbox.push(events);
    }
}
