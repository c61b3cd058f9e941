//! The journal's threads: one gathers all groups that wait into one append, one reads bodies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use broker::{JournalRoom, LoadId};
use journal::{Journal, JournalError, Room};
use message::{Position, Record, Sequence};

use crate::core::Core;
use crate::gather::Gather;
use crate::inbox::Input;

/// Between two tries of an append that found the disk full.
const FULL_RETRY: Duration = Duration::from_millis(50);
/// How long groups that nobody waits for may wait for company. An acknowledgement without a receipt promises nothing, and a
/// sync of its own would make the sends behind it wait for two.
const IDLE_GROUPS: Duration = Duration::from_millis(5);
/// So many bytes of them do not wait.
const IDLE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Between two rounds of the journal's upkeep.
const UPKEEP: Duration = Duration::from_millis(250);

/// Groups on their way to the journal.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Bytes given to the writer and not yet durable.
    pub(crate) backlog_bytes: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    groups: Vec<Vec<Record>>,
    bytes: u64,
    /// Positions of the first and the last group.
    first: Position,
    last: Position,
    /// Somebody waits for all up to here.
    wanted: Position,
    /// Receipts that wait for these groups.
    waiters: u64,
    /// The writer waits until there are so many.
    hoped_for: u64,
    /// When the first group came.
    since: Option<Instant>,
    closed: bool,
}

impl Waiting {
    /// How long the groups may still wait; `None` when there are none.
    fn patience(&self) -> Option<Duration> {
        let since = self.since.filter(|_| !self.groups.is_empty())?;
        let urgent = self.closed || self.first <= self.wanted || self.bytes > IDLE_BYTES_MAX;
        Some(if urgent { Duration::ZERO } else { IDLE_GROUPS.saturating_sub(since.elapsed()) })
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, position: Position, group: Vec<Record>) {
        let bytes = group.iter().map(weight).sum();
        self.backlog_bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut waiting = self.lock();
        if waiting.groups.is_empty() {
            waiting.first = position;
            waiting.since = Some(Instant::now());
        }
        waiting.groups.push(group);
        waiting.bytes += bytes;
        waiting.last = position;
    }

    /// So many more receipts wait for all up to `position`. To be called after the pushes of a step: it is what wakes the
    /// writer.
    pub(crate) fn want(&self, position: Position, waiters: u64) {
        let mut waiting = self.lock();
        waiting.wanted = waiting.wanted.max(position);
        waiting.waiters += waiters;
        if !waiting.groups.is_empty() && waiting.waiters >= waiting.hoped_for {
            self.wake.notify_one();
        }
    }

    /// Receipts that wait for what the writer has before it.
    fn waiters(&self) -> u64 {
        self.lock().waiters
    }

    /// No more groups will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// All that waits; `None` once closed and empty, or an empty list after `timeout`.
    fn take(&self, timeout: Duration, gather: &mut Gather) -> Option<Waiting> {
        let mut waiting = self.lock();
        let end = Instant::now() + timeout;
        loop {
            let patience = match waiting.patience() {
                Some(Duration::ZERO) => break,
                None if waiting.closed => return None,
                None => end.saturating_duration_since(Instant::now()),
                Some(patience) => patience,
            };
            if patience.is_zero() {
                break;
            }
            waiting = self.wake.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some((hoped_for, patience)) = gather.patience(waiting.waiters) {
            waiting.hoped_for = hoped_for;
            let short = |waiting: &mut Waiting| waiting.waiters < hoped_for && !waiting.closed;
            waiting = self.wake.wait_timeout_while(waiting, patience, short).unwrap_or_else(PoisonError::into_inner).0;
            gather.waited(waiting.waiters >= hoped_for);
        }
        let (closed, wanted) = (waiting.closed, waiting.wanted);
        Some(std::mem::replace(&mut *waiting, Waiting { closed, wanted, ..Waiting::default() }))
    }
}

fn weight(record: &Record) -> u64 {
    match record {
        Record::Body { message, .. } => message.size_bytes() as u64,
        Record::Fact(fact) => 64 + fact.value.as_ref().map_or(0, |value| value.len() as u64),
        _ => 64,
    }
}

/// Writes until the queue is closed, or until the journal fails: then nothing more may be claimed durable.
pub(crate) fn write(journal: &dyn Journal, queue: &Queue, core: &Core) -> Result<(), JournalError> {
    let mut keeper = Keeper { room: Room::Plenty, next: Instant::now() };
    let mut gather = Gather::default();
    while let Some(taken) = queue.take(UPKEEP, &mut gather) {
        keeper.look(journal, core);
        if taken.groups.is_empty() {
            continue;
        }
        let begun = Instant::now();
        while let Err(error) = journal.append(&taken.groups) {
            let JournalError::Full { .. } = error else { return Err(error) };
            keeper.note(Room::Full, core);
            std::thread::sleep(FULL_RETRY);
            keeper.look(journal, core);
        }
        queue.backlog_bytes.fetch_sub(taken.bytes, Ordering::Relaxed);
        let came = queue.waiters();
        gather.ended(taken.waiters, came, begun.elapsed());
        match came {
            0 => core.push(Input::Persisted(taken.last)),
            _ => core.leave(Input::Persisted(taken.last)),
        }
    }
    Ok(())
}

/// Watches the room in the journal and gives it time for its upkeep.
struct Keeper {
    room: Room,
    next: Instant,
}

impl Keeper {
    fn look(&mut self, journal: &dyn Journal, core: &Core) {
        if Instant::now() >= self.next {
            self.next = Instant::now() + UPKEEP;
            journal.maintain();
            self.note(journal.room(), core);
        }
    }

    fn note(&mut self, room: Room, core: &Core) {
        if room == self.room {
            return;
        }
        match room {
            Room::Plenty => tracing::info!("the journal has room again; producers of persistent messages go on"),
            Room::ProducersWait => {
                tracing::warn!("the journal runs out of room; producers of persistent messages wait, consumers go on");
            }
            Room::Full => tracing::warn!("the journal takes nothing until there is space; all that needs it waits"),
        }
        self.room = room;
        core.push(Input::Room(match room {
            Room::Plenty => JournalRoom::Plenty,
            Room::ProducersWait | Room::Full => JournalRoom::ProducersWait,
        }));
    }
}

/// Answers requests for bodies until no more can come.
pub(crate) fn read(
    journal: &Arc<dyn Journal>,
    requests: &Receiver<(LoadId, Vec<Sequence>)>,
    core: &Core,
) -> Result<(), JournalError> {
    while let Ok((id, sequences)) = requests.recv() {
        let bodies = journal.load(&sequences)?;
        core.push(Input::Loaded(id, bodies));
    }
    Ok(())
}
