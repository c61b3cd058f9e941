//! What appends, reads and the work beside them share: what is kept, what is settled, and why the journal stopped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use journal::{JournalError, Recovered};

use crate::append::{Failed, TRANSACTION_MAX, Work, Writer};
use crate::fault::{Fault, Verdict};
use crate::kept::{Append, Kept};
use crate::plan::{Plan, State};
use crate::recovery::{self, Stretch};
use crate::session::{Line, unsigned, within};

/// How often the database is asked how much our tables take.
const SIZE_ASKED: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) appends: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) loaded: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) settles: AtomicU64,
    pub(crate) settle_waits: AtomicU64,
    /// The database had no space the last time.
    pub(crate) full: AtomicBool,
    pub(crate) store_bytes: AtomicU64,
    /// When it was asked for that; `None` before.
    asked: Mutex<Option<Instant>>,
}

pub(crate) struct Common {
    pub(crate) writer: Writer,
    /// For what settles …
    line: Line,
    /// … and for everything that is read.
    pub(crate) reads: Line,
    kept: Mutex<Kept>,
    /// Who has it settles.
    state: tokio::sync::Mutex<State>,
    /// Somebody is about to, or does.
    pub(crate) is_settling: AtomicBool,
    first_error: OnceLock<JournalError>,
    pub(crate) counters: Counters,
}

impl Common {
    pub(crate) fn new(writer: Writer, line: Line, reads: Line, state: State) -> Common {
        let (kept, is_settling, first_error, counters) = Default::default();
        Common { writer, line, reads, kept, state: state.into(), is_settling, first_error, counters }
    }

    /// The journal answers nothing any more.
    pub(crate) fn poison(&self, error: JournalError) -> JournalError {
        if self.first_error.set(error.clone()).is_ok() {
            tracing::error!(%error, "journal failed and stops");
        }
        error
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.first_error.get().is_some()
    }

    pub(crate) fn check(&self) -> Result<(), JournalError> {
        match self.first_error.get() {
            // Who was displaced has to be told so, whoever asks.
            Some(error @ JournalError::Fenced { .. }) => Err(error.clone()),
            Some(error) => Err(JournalError::Poisoned { first_error: error.to_string() }),
            None => Ok(()),
        }
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| {
            self.poison(panicked());
            poisoned.into_inner()
        })
    }

    /// What it means that something was not stored.
    pub(crate) fn judge(&self, stored: Result<(), Failed>) -> Result<(), JournalError> {
        let was_full = self.counters.full.swap(false, Ordering::Relaxed);
        let (fault, address) = match stored {
            Ok(()) => return Ok(()),
            Err(Failed::Displaced(why)) => return Err(self.poison(JournalError::Fenced { why })),
            Err(Failed::Fault(fault)) => (fault, &self.line.address),
        };
        let error = fault.to_error("append to", address);
        if fault.verdict() != Verdict::Full {
            return Err(self.poison(error));
        }
        self.counters.full.store(true, Ordering::Relaxed);
        if !was_full {
            tracing::warn!("database {address} has no space: {fault}; {}", fault.remedy(address.kind()));
        }
        Err(error)
    }

    /// Settles everything that is kept, and one more append, the next one after that. The bytes of the values that came.
    pub(crate) async fn settle(&self, more: Option<Append>) -> Result<u64, JournalError> {
        let mut state = self.state.lock().await;
        let mut appends = self.kept().all();
        let kept: Vec<u64> = appends.iter().map(|append| append.number).collect();
        appends.extend(more);
        let Some(to) = appends.last().map(|append| append.number) else { return Ok(0) };
        let plan = Plan::of(appends.iter().flat_map(|append| append.records.iter()), &state);
        let bytes = plan.bytes;
        let work = Work::Settle { from: state.appends, to, kept: &kept, plan: &plan };
        self.judge(self.writer.write(&self.line, work).await)?;
        plan.note(&mut state, to);
        self.kept().settled(to);
        self.counters.settles.fetch_add(1, Ordering::Relaxed);
        Ok(bytes)
    }

    /// What is settled, as recovery begins with it, and where its entries are.
    pub(crate) async fn found(&self) -> (Recovered, Vec<Stretch>) {
        let state = self.state.lock().await;
        let found = Recovered {
            next_sequence: state.next_sequence,
            next_log: state.next_log,
            clean_stop: state.clean_stop,
            epoch: state.epoch,
            ..Recovered::default()
        };
        (found, Stretch::all(&state.fronts))
    }

    /// Finds the first entries of logs from which much was removed; what is found is stored when the next appends are
    /// settled.
    pub(crate) async fn search_heads(&self) {
        let (searches, end) = {
            let mut state = self.state.lock().await;
            let searches = state.fronts.iter_mut().filter_map(|(log, front)| Some((*log, front.search()?)));
            (searches.collect::<Vec<_>>(), state.next_sequence)
        };
        for (log, from) in searches {
            let found = match recovery::first_entry(&self.reads, log, from).await {
                // What is empty begins where the next entry will be.
                Ok(first) => Some(first.unwrap_or(end)),
                Err(fault) => {
                    tracing::debug!("database {} does not say where a log begins: {fault}", self.line.address);
                    None
                }
            };
            let mut state = self.state.lock().await;
            if let Some(at) = state.fronts.get_mut(&log).and_then(|front| front.found(found)) {
                state.heads_found.push((log, at));
            }
        }
    }

    /// Whether it is time to.
    pub(crate) fn is_to_ask_for_size(&self) -> bool {
        let mut asked = self.counters.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_time = asked.is_none_or(|asked| asked.elapsed() >= SIZE_ASKED);
        if is_time {
            *asked = Some(Instant::now());
        }
        is_time
    }

    /// How much our tables take.
    pub(crate) async fn ask_for_size(&self) {
        match self.size().await {
            Ok(size) => self.counters.store_bytes.store(size, Ordering::Relaxed),
            Err(fault) => tracing::debug!("database {} does not say how large it is: {fault}", self.line.address),
        }
    }

    async fn size(&self) -> Result<u64, Fault> {
        let line = &self.reads;
        let mut taken = line.take().await?;
        let rows = within(TRANSACTION_MAX, taken.session.query(&line.dialect.size(), Vec::new())).await?;
        let size = rows.first().map_or(Ok(0), |row| unsigned(row, 0))?;
        taken.keep();
        Ok(size)
    }

    /// Says goodbye to the server.
    pub(crate) async fn hang_up(&self) {
        self.line.hang_up().await;
        self.reads.hang_up().await;
    }
}

pub(crate) fn panicked() -> JournalError {
    JournalError::Engine { attempt: "work", cause: "a thread of it panicked".into() }
}
