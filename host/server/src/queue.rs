//! Groups on their way to the journal, and who appends them.
//!
//! One append at a time. As a rule the writer's own thread makes it, for all that waits. What a single producer waits for
//! is appended by the thread that brought it: to wake another thread and to be woken by it takes longer than the sync.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use journal::{Journal, JournalError};
use message::{Position, Record};

use crate::gather::Gather;

/// How long groups that nobody waits for may wait for company. An acknowledgement without a receipt promises nothing, and a
/// sync of its own would make the sends behind it wait for two.
const IDLE_GROUPS: Duration = Duration::from_millis(5);
/// So many bytes of them do not wait.
const IDLE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// So many bytes, at most, are appended by the thread that brought them …
const HERE_BYTES_MAX: u64 = 64 * 1024;
/// … if the last append took no longer than this: a slow disk is waited for by the writer alone.
const HERE_PATIENCE: Duration = Duration::from_millis(1);

/// Groups that go into one append.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) groups: Vec<Vec<Record>>,
    bytes: u64,
    /// Positions of the first and the last group.
    first: Position,
    pub(crate) last: Position,
    /// Receipts that wait for these groups.
    waiters: u64,
    /// When the first group came.
    since: Option<Instant>,
}

/// The way to the journal.
pub(crate) struct Queue {
    /// Whoever keeps a hand to the core after the end keeps no journal open by it.
    journal: Weak<dyn Journal>,
    /// Threads that bring groups may append them.
    appends_here: bool,
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Bytes given to the writer and not yet durable.
    pub(crate) backlog_bytes: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    load: Load,
    /// Somebody waits for all up to here.
    wanted: Position,
    /// The writer waits until there are so many receipts.
    hoped_for: u64,
    /// Somebody appends, or is about to.
    busy: bool,
    /// What an append that the writer did not make failed of.
    failed: Option<JournalError>,
    closed: bool,
    /// When the writer wakes by itself, if it sleeps.
    sleeps_until: Option<Instant>,
    gather: Gather,
}

impl Waiting {
    /// How long the groups may still wait; `None` when there are none.
    fn patience(&self) -> Option<Duration> {
        let since = self.load.since.filter(|_| !self.load.groups.is_empty())?;
        let urgent = self.closed || self.load.first <= self.wanted || self.load.bytes > IDLE_BYTES_MAX;
        Some(if urgent { Duration::ZERO } else { IDLE_GROUPS.saturating_sub(since.elapsed()) })
    }

    /// One producer alone waits, not for much, and the disk is quick.
    fn is_for_one(&self) -> bool {
        let is_quick = self.gather.is_alone() && self.gather.took() <= HERE_PATIENCE;
        let is_small = self.load.waiters == 1 && self.load.bytes <= HERE_BYTES_MAX && !self.load.groups.is_empty();
        is_quick && is_small && self.load.first <= self.wanted && !self.closed
    }
}

impl Queue {
    /// Nothing waits. With `appends_here` the thread that brings a group may append it, which keeps it from other work.
    pub(crate) fn new(journal: &Arc<dyn Journal>, appends_here: bool) -> Queue {
        let (waiting, wake, backlog_bytes) = Default::default();
        Queue { journal: Arc::downgrade(journal), appends_here, waiting, wake, backlog_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, position: Position, group: Vec<Record>) {
        let bytes = group.iter().map(weight).sum();
        self.backlog_bytes.fetch_add(bytes, Ordering::Relaxed);
        let load = &mut self.lock().load;
        if load.groups.is_empty() {
            load.first = position;
            load.since = Some(Instant::now());
        }
        load.groups.push(group);
        load.bytes += bytes;
        load.last = position;
    }

    /// So many more receipts wait for all up to `position`. To be called after the pushes of a step: it is what wakes the
    /// writer. True when the caller, who `may_append`, has to call [`Queue::append_here`] instead, soon.
    pub(crate) fn want(&self, position: Position, waiters: u64, may_append: bool) -> bool {
        let mut waiting = self.lock();
        waiting.wanted = waiting.wanted.max(position);
        waiting.load.waiters += waiters;
        if waiting.busy {
            if waiting.hoped_for > 0 && waiting.load.waiters >= waiting.hoped_for {
                self.wake.notify_one();
            }
            return false;
        }
        waiting.busy = self.appends_here && may_append && waiting.is_for_one();
        if !waiting.busy {
            self.call(&waiting);
        }
        waiting.busy
    }

    /// Wakes the writer if it would wake too late by itself.
    fn call(&self, waiting: &Waiting) {
        let (patience, until) = (waiting.patience(), waiting.sleeps_until);
        if let (Some(patience), Some(until)) = (patience, until)
            && Instant::now() + patience < until
        {
            self.wake.notify_one();
        }
    }

    /// Appends what waits, after [`Queue::want`] said so; `durable` hears of it before anybody can append more. Returns
    /// whether it is durable. If not, the writer goes on with it or tells what the journal failed of.
    pub(crate) fn append_here(&self, durable: impl FnOnce(Position)) -> bool {
        let load = std::mem::take(&mut self.lock().load);
        let begun = Instant::now();
        let _unfinished = Unfinished(self);
        let journal = self.journal.upgrade().ok_or(JournalError::Closed);
        let error = match journal.and_then(|journal| journal.append(&load.groups)) {
            Ok(()) => {
                durable(load.last);
                self.ended(&load, begun.elapsed());
                return true;
            }
            Err(error) => error,
        };
        let mut waiting = self.lock();
        waiting.busy = false;
        match error {
            JournalError::Full { .. } => {
                let later = std::mem::replace(&mut waiting.load, load);
                waiting.load.groups.extend(later.groups);
                waiting.load.bytes += later.bytes;
                waiting.load.waiters += later.waiters;
                waiting.load.last = waiting.load.last.max(later.last);
            }
            error => waiting.failed = Some(error),
        }
        self.wake.notify_one();
        false
    }

    /// Somebody who took a load appended it, which took so long. Returns how many more receipts are waited for.
    pub(crate) fn ended(&self, load: &Load, took: Duration) -> u64 {
        self.backlog_bytes.fetch_sub(load.bytes, Ordering::Relaxed);
        let mut waiting = self.lock();
        waiting.busy = false;
        let came = waiting.load.waiters;
        waiting.gather.ended(load.waiters, came, took);
        if waiting.closed {
            self.wake.notify_one();
        }
        self.call(&waiting);
        came
    }

    /// No more groups will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// All that waits, for the writer, who appends it and calls [`Queue::ended`]; `None` once closed and empty, a load
    /// without groups after `timeout`.
    pub(crate) fn take(&self, timeout: Duration) -> Result<Option<Load>, JournalError> {
        let mut waiting = self.lock();
        let end = Instant::now() + timeout;
        loop {
            if let Some(error) = waiting.failed.take() {
                return Err(error);
            }
            let patience = match waiting.patience() {
                Some(Duration::ZERO) if !waiting.busy => break,
                Some(patience) if !waiting.busy => patience,
                None if waiting.closed && !waiting.busy => return Ok(None),
                _ => end.saturating_duration_since(Instant::now()),
            };
            if patience.is_zero() {
                return Ok(Some(Load::default()));
            }
            waiting.sleeps_until = Some(Instant::now() + patience);
            waiting = self.wake.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeps_until = None;
        }
        waiting.busy = true;
        let waiters = waiting.load.waiters;
        if let Some((hoped_for, patience)) = waiting.gather.patience(waiters) {
            waiting.hoped_for = hoped_for;
            let short = |waiting: &mut Waiting| waiting.load.waiters < hoped_for && !waiting.closed;
            waiting = self.wake.wait_timeout_while(waiting, patience, short).unwrap_or_else(PoisonError::into_inner).0;
            let met = waiting.load.waiters >= hoped_for;
            waiting.gather.waited(met);
            waiting.hoped_for = 0;
        }
        Ok(Some(std::mem::take(&mut waiting.load)))
    }
}

/// Tells the writer of an append that panicked.
struct Unfinished<'a>(&'a Queue);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let first_error = "an append panicked".to_owned();
            let mut waiting = self.0.lock();
            waiting.busy = false;
            waiting.failed = Some(JournalError::Poisoned { first_error });
            self.0.wake.notify_one();
        }
    }
}

fn weight(record: &Record) -> u64 {
    match record {
        Record::Body { message, .. } => message.size_bytes() as u64,
        Record::Fact(fact) => 64 + fact.value.as_ref().map_or(0, |value| value.len() as u64),
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use journal::{Fault, MemJournal, Room};
    use message::Fact;

    use super::*;

    /// A group that says its position.
    fn group(position: Position) -> Vec<Record> {
        let value = Some(Bytes::from(position.to_string()));
        vec![Record::Fact(Fact { key: format!("fact-{position}").into(), value })]
    }

    fn queue() -> (Arc<MemJournal>, Queue) {
        let journal = Arc::new(MemJournal::new());
        let shared: Arc<dyn Journal> = journal.clone();
        (journal, Queue::new(&shared, true))
    }

    /// Brings the group of a step that so many receipts wait for.
    fn bring(queue: &Queue, position: Position, waiters: u64, may_append: bool) -> bool {
        queue.push(position, group(position));
        queue.want(position, waiters, may_append)
    }

    /// Positions of the groups that the writer finds.
    fn taken(queue: &Queue) -> Vec<String> {
        let load = queue.take(Duration::ZERO).expect("the journal is well").expect("the queue is open");
        let key = |record: &Record| match record {
            Record::Fact(fact) => fact.key.to_string(),
            _ => String::new(),
        };
        load.groups.iter().flatten().map(key).collect()
    }

    #[test]
    fn one_producer_appends_and_nobody_else_meanwhile() {
        let (journal, queue) = queue();
        assert!(bring(&queue, 1, 1, true));
        assert!(!bring(&queue, 2, 1, true), "an append is under way");
        assert!(taken(&queue).is_empty(), "for the writer too");
        let mut durable = 0;
        assert!(queue.append_here(|position| durable = position));
        assert_eq!((durable, journal.stats().groups, queue.backlog_bytes.load(Ordering::Relaxed)), (2, 2, 0));
    }

    /// Who appends, by what the step and those before it were like.
    #[test]
    fn the_writer_appends_what_is_not_for_one() {
        let cases: [(&str, u64, bool, Duration, u64); 5] = [
            ("nobody waits", 0, true, Duration::ZERO, 1),
            ("two wait", 2, true, Duration::ZERO, 1),
            ("the thread has other work", 1, false, Duration::ZERO, 1),
            ("the disk is slow", 1, true, HERE_PATIENCE * 2, 1),
            ("others were about", 1, true, Duration::ZERO, 2),
        ];
        for (case, waiters, may_append, took, peers) in cases {
            let (_journal, queue) = queue();
            queue.ended(&Load { waiters: peers, ..Load::default() }, took);
            assert!(!bring(&queue, 1, waiters, may_append), "{case}");
        }
        let journal: Arc<dyn Journal> = Arc::new(MemJournal::new());
        let plain = Queue::new(&journal, false);
        assert!(!bring(&plain, 1, 1, true), "nobody but the writer may");
    }

    /// The machine has not heard yet that the writer appended the group that somebody now waits for.
    #[test]
    fn who_waits_for_what_was_appended_has_nothing_to_append() {
        let (_journal, queue) = queue();
        queue.push(1, group(1));
        assert!(!queue.want(0, 0, true), "nobody waits");
        assert_eq!(taken(&queue), ["fact-1"]);
        queue.ended(&Load::default(), Duration::ZERO);
        assert!(!queue.want(1, 1, true));
        assert!(bring(&queue, 2, 0, true), "the same receipt waits for the next group, too");
    }

    #[test]
    fn what_finds_the_disk_full_goes_to_the_writer_in_order() {
        let (journal, queue) = queue();
        journal.set_room(Room::Full);
        assert!(bring(&queue, 1, 1, true));
        assert!(!queue.append_here(|_| panic!("nothing is durable")));
        queue.push(2, group(2));
        assert_eq!(taken(&queue), ["fact-1", "fact-2"]);
    }

    #[test]
    fn the_writer_hears_of_a_failure() {
        let (journal, queue) = queue();
        journal.fail(0, Fault::Clean);
        assert!(bring(&queue, 1, 1, true));
        assert!(!queue.append_here(|_| panic!("nothing is durable")));
        assert!(matches!(queue.take(Duration::ZERO), Err(JournalError::Engine { .. })));
    }

    #[test]
    fn a_closed_queue_ends_once_it_is_empty_and_nobody_appends() {
        let (_journal, queue) = queue();
        assert!(bring(&queue, 1, 1, true));
        queue.close();
        assert!(taken(&queue).is_empty(), "not before the append under way has ended");
        assert!(queue.append_here(|_| {}));
        assert!(queue.take(Duration::ZERO).expect("the journal is well").is_none());
    }
}
