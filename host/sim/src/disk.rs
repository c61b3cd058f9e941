//! The journal's threads in virtual time: one append under way at a time that gathers all groups that wait, reads of
//! bodies one after the other, both as late as the options allow.

use std::collections::VecDeque;

use broker::LoadId;
use journal::{Fault, Journal, JournalError, MemJournal, Room};
use message::{Loaded, Position, Record, Sequence};

/// Between two tries of an append that found the disk full, ms.
const FULL_RETRY_MS: i64 = 50;

/// The writer, the reader and what they work on.
#[derive(Debug)]
pub(crate) struct Disk {
    /// What is kept.
    pub(crate) journal: MemJournal,
    waiting: Vec<(Position, Vec<Record>)>,
    flight: Option<Flight>,
    retry_at: i64,
    loads: VecDeque<(i64, LoadId, Vec<Sequence>)>,
    /// Groups that the next append makes durable although it fails.
    fault: Option<usize>,
}

#[derive(Debug)]
struct Flight {
    groups: Vec<Vec<Record>>,
    last: Position,
    due: i64,
}

/// What became of the writer's work.
#[derive(Debug)]
pub(crate) enum Written {
    /// Nothing new.
    Nothing,
    /// These groups, up to this position, are durable.
    Durable(Vec<Vec<Record>>, Position),
    /// There is no space; it will be tried again.
    Full,
    /// The append failed for good; these groups are durable all the same.
    Failed(Vec<Vec<Record>>),
}

impl Disk {
    /// Threads for an opened journal.
    pub(crate) fn new(journal: MemJournal) -> Disk {
        Disk { journal, waiting: Vec::new(), flight: None, retry_at: i64::MIN, loads: VecDeque::new(), fault: None }
    }

    /// A group for the writer.
    pub(crate) fn push(&mut self, position: Position, group: Vec<Record>) {
        self.waiting.push((position, group));
    }

    /// A request for the reader, which answers at `due` at the earliest.
    pub(crate) fn ask(&mut self, due: i64, id: LoadId, sequences: Vec<Sequence>) {
        self.loads.push_back((due, id, sequences));
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flight.is_none() && self.loads.is_empty()
    }

    /// Whether an append will fail.
    pub(crate) fn is_failing(&self) -> bool {
        self.fault.is_some()
    }

    /// The next append fails and keeps this many of its groups.
    pub(crate) fn fail(&mut self, keep: usize) {
        self.journal.fail(0, if keep == 0 { Fault::Clean } else { Fault::Torn { groups: keep } });
        self.fault = Some(keep);
    }

    /// Says whether there is space.
    pub(crate) fn set_full(&mut self, full: bool) {
        self.journal.set_room(if full { Room::Full } else { Room::Plenty });
    }

    /// The writer goes on: ends the append whose time has come, or begins the next, which will take `delay` ms.
    pub(crate) fn write(&mut self, now: i64, delay: i64) -> Written {
        if self.flight.as_ref().is_some_and(|flight| flight.due <= now)
            && let Some(flight) = self.flight.take()
        {
            return match self.journal.sync() {
                Ok(()) => Written::Durable(flight.groups, flight.last),
                Err(_) => Written::Failed(Vec::new()),
            };
        }
        if self.flight.is_some() || self.waiting.is_empty() || now < self.retry_at {
            return Written::Nothing;
        }
        let groups: Vec<_> = self.waiting.iter().map(|(_, group)| group.clone()).collect();
        match self.journal.write(&groups) {
            Ok(()) => {
                let last = self.waiting.last().map_or(0, |(position, _)| *position);
                self.waiting.clear();
                self.flight = Some(Flight { groups, last, due: now + delay });
                Written::Nothing
            }
            Err(JournalError::Full { .. }) => {
                self.retry_at = now + FULL_RETRY_MS;
                Written::Full
            }
            Err(_) => {
                let keep = self.fault.unwrap_or(0);
                Written::Failed(groups.into_iter().take(keep).collect())
            }
        }
    }

    /// The reader's next answer, if its time has come.
    pub(crate) fn read(&mut self, now: i64) -> Option<(LoadId, Loaded)> {
        if self.loads.front().is_none_or(|(due, _, _)| *due > now) {
            return None;
        }
        let (_, id, sequences) = self.loads.pop_front()?;
        let bodies = self.journal.load(&sequences).ok()?;
        Some((id, bodies))
    }

    /// Everything dies; of an append under way the first `keep` groups are found again, which are given back.
    pub(crate) fn crash(&mut self, keep: usize) -> (Disk, Vec<Vec<Record>>) {
        let mut kept = self.flight.take().map(|flight| flight.groups).unwrap_or_default();
        let keep = keep.min(kept.len());
        kept.truncate(keep);
        (Disk::new(self.journal.crash(keep)), kept)
    }

    /// Groups of the append under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.flight.as_ref().map_or(0, |flight| flight.groups.len())
    }
}
