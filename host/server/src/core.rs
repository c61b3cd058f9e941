//! The thread that owns the broker machine: letters in, effects out, in steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker::{Broker, LoadId};
use message::{Command, ConnectionKey, Event, Position, Sequence};
use rustc_hash::FxHashMap;

use crate::inbox::{Batch, Content, Inbox, Input};
use crate::outbox::Outbox;
use crate::report;
use crate::writer::Queue;

/// Longest sleep without news.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What the core thread works with.
pub(crate) struct Core {
    pub(crate) broker: Broker,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) writer: Arc<Queue>,
    pub(crate) loader: Sender<(LoadId, Vec<Sequence>)>,
    pub(crate) journal_backlog_bytes_max: u64,
    /// What the writer was last told that somebody waits for.
    pub(crate) wanted: Position,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

impl Core {
    /// Works until told to stop, and then until all that was promised is durable.
    pub(crate) fn run(mut self) -> Broker {
        let mut outboxes: FxHashMap<ConnectionKey, Arc<Outbox>> = FxHashMap::default();
        let (mut inputs, mut batches): (Vec<Input>, Vec<Batch>) = (Vec::new(), Vec::new());
        let mut stopping = false;
        loop {
            let with_batches =
                !stopping && self.writer.backlog_bytes.load(Ordering::Relaxed) < self.journal_backlog_bytes_max;
            self.inbox.take(&mut inputs, &mut batches, with_batches, self.sleep());
            let now = now_ms();
            for input in inputs.drain(..) {
                match input {
                    Input::Opened(key, outbox) => drop(outboxes.insert(key, outbox)),
                    Input::Persisted(position) => self.broker.persisted(position),
                    Input::Loaded(id, bodies) => self.broker.loaded(id, bodies),
                    Input::Room(room) => self.broker.journal_room(room),
                    Input::Report => report::to_log(&self.broker),
                    Input::Stop => stopping = true,
                }
            }
            for batch in batches.drain(..) {
                match batch.content {
                    Content::Commands(commands, _permit) => {
                        for command in commands {
                            self.broker.handle(batch.connection, command, now);
                        }
                    }
                    Content::Closed => {
                        outboxes.remove(&batch.connection);
                        self.broker.handle(batch.connection, Command::Disconnect, now);
                    }
                }
            }
            if self.broker.poll_timeout().is_some_and(|due| due <= now) {
                self.broker.tick(now);
            }
            self.broker.flush(now);
            self.hand_out(&outboxes);
            if stopping && self.broker.is_settled() {
                report::to_log(&self.broker);
                self.broker.stop(now);
                self.broker.flush(now);
                self.hand_out(&outboxes);
                for outbox in outboxes.values() {
                    outbox.end();
                }
                self.writer.close();
                return self.broker;
            }
        }
    }

    fn sleep(&self) -> Duration {
        match self.broker.poll_timeout() {
            Some(due) => Duration::from_millis((due - now_ms()).max(0) as u64).min(SLEEP_MAX),
            None => SLEEP_MAX,
        }
    }

    fn hand_out(&mut self, outboxes: &FxHashMap<ConnectionKey, Arc<Outbox>>) {
        let mut pushed = false;
        while let Some((position, group)) = self.broker.poll_append() {
            self.writer.push(position, group);
            pushed = true;
        }
        let awaited = self.broker.awaited();
        if pushed || awaited > self.wanted {
            self.wanted = awaited;
            self.writer.want(awaited);
        }
        while let Some(request) = self.broker.poll_load() {
            // The loader ends only after this thread did.
            let _ = self.loader.send(request);
        }
        while let Some((key, events)) = self.broker.poll_events() {
            give(outboxes, key, events);
        }
        while let Some((key, events)) = self.broker.poll_farewell() {
            give(outboxes, key, events);
        }
        for (line, sequence) in self.broker.take_damaged() {
            tracing::error!(line, sequence, "a stored message could not be read back and is lost");
        }
    }
}

fn give(outboxes: &FxHashMap<ConnectionKey, Arc<Outbox>>, key: ConnectionKey, events: Vec<Event>) {
    if let Some(outbox) = outboxes.get(&key) {
        outbox.push(events);
    }
}
