//! The journal in a database, and the lease in one: the only room that says sqlx.
//!
//! PostgreSQL, MySQL and MariaDB, SQLite, and whatever server speaks as one of them does. It knows how records lie in
//! tables, how they are made durable with one transaction, and how a database that goes away and comes back is survived.
//! It must never know what a record means to the broker, nor who asks.
//!
//! Two things make sure that one broker alone writes. Whoever opens the journal raises its epoch, and each append names the
//! epoch and the count of the append before it: who was displaced changes nothing. Where the lease is in the same
//! database ([`SqlLease`]) each append proves it too.
//!
//! Start reading at [`SqlJournal`], then `append.rs` for what a transaction is and `keys.rs` for where things lie.

mod address;
mod append;
mod dialect;
mod fault;
mod front;
mod keys;
mod lease;
mod plan;
mod recovery;
mod schema;
mod script;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{Journal, JournalError, Recovered, Room, Stats, format};
use message::{Loaded, LogId, Record, Sequence};

use crate::append::{Failed, Outage, TRANSACTION_MAX, Writer, padded};
use crate::dialect::{Dialect, JOURNAL};
use crate::fault::{Broken, Fault, Verdict};
use crate::front::Front;
use crate::plan::{Plan, State};
use crate::recovery::{Known, Stretch};
use crate::script::ROWS_MAX;
use crate::session::{Desk, Line, Patience, Session, Value, bytes, number, unsigned, within};

pub use address::{Address, AddressError, Kind};
pub use lease::{Lease, SqlLease};
pub use schema::check_prefix;

/// How often the database is asked how much our tables take.
const SIZE_ASKED: Duration = Duration::from_secs(10);
/// Between two looks whether an append is over.
const SEARCH_PAUSE: Duration = Duration::from_millis(1);

/// Where the journal is and how it is used.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database.
    pub address: Address,
    /// What the names of our tables begin with; see [`check_prefix`].
    pub table_prefix: String,
    /// Missing tables are made (`createTablesOnStartup`).
    pub create_tables: bool,
    /// How long an append is tried while the database is away; then the journal fails.
    pub outage_max: Duration,
    /// Holder of the lease in the same database and with the same prefix that each append has to prove: what
    /// [`SqlLease::holder_id`] says.
    pub lease: Option<String>,
}

/// A journal in a database.
pub struct SqlJournal {
    desk: Desk,
    /// For appends …
    line: Line,
    /// … and for everything else.
    reads: Line,
    epoch: u64,
    lease: Option<String>,
    outage_max: Duration,
    state: Arc<Mutex<State>>,
    first_error: OnceLock<JournalError>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    appends: AtomicU64,
    groups: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    loaded: AtomicU64,
    damaged: AtomicU64,
    refused: AtomicU64,
    /// The database had no space for the last append.
    full: AtomicBool,
    store_bytes: AtomicU64,
    /// When it was asked for that; `None` before.
    asked: Mutex<Option<Instant>>,
}

impl SqlJournal {
    /// Opens the journal, or makes its tables. Its epoch rises, so that whoever had it open before changes nothing more.
    pub fn open(config: &Config) -> Result<SqlJournal, JournalError> {
        let desk = Desk::new("journal-sql").map_err(|error| JournalError::Io {
            attempt: "start a thread for",
            place: format!("database {}", config.address),
            cause: error.to_string(),
        })?;
        let dialect = Dialect { kind: config.address.kind(), prefix: config.table_prefix.clone() };
        let line = Line::new(config.address.clone(), dialect.clone());
        let (opened_line, create, lease) = (line.clone(), config.create_tables, config.lease.clone());
        let opened = desk.run(async move {
            let patience = Patience::new();
            loop {
                match open(&opened_line, create, lease.as_deref()).await {
                    Err(broken) => patience.wait(broken, &opened_line).await?,
                    opened => break opened,
                }
            }
        });
        let state = match opened {
            Some(Ok(state)) => state,
            Some(Err(Broken::Error(error))) => return Err(error),
            Some(Err(Broken::Fault(fault))) => return Err(fault.to_error("open the journal in", &config.address)),
            None => return Err(panicked()),
        };
        let reads = Line::new(config.address.clone(), dialect);
        let (epoch, lease, outage_max) = (state.epoch, config.lease.clone(), config.outage_max);
        let (state, first_error, counters) = (Arc::new(Mutex::new(state)), OnceLock::new(), Arc::default());
        Ok(SqlJournal { desk, line, reads, epoch, lease, outage_max, state, first_error, counters })
    }

    fn poison(&self, error: JournalError) -> JournalError {
        if self.first_error.set(error.clone()).is_ok() {
            tracing::error!(%error, "journal failed and stops");
        }
        error
    }

    fn check(&self) -> Result<(), JournalError> {
        match self.first_error.get() {
            // Who was displaced has to be told so, whoever asks.
            Some(error @ JournalError::Fenced { .. }) => Err(error.clone()),
            Some(error) => Err(JournalError::Poisoned { first_error: error.to_string() }),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between a transaction and the note of it would leave the count behind what is stored.
        self.state.lock().unwrap_or_else(|poisoned| {
            let _ = self.first_error.set(panicked());
            poisoned.into_inner()
        })
    }

    fn store(&self, state: &mut State, plan: Plan) -> Result<(), JournalError> {
        let writer = Writer {
            epoch: self.epoch,
            appends: state.appends,
            lease: self.lease.clone(),
            outage_max: self.outage_max,
        };
        let (line, plan) = (self.line.clone(), Arc::new(plan));
        let rows = plan.clone();
        let stored = self.desk.run(async move { writer.append(&line, &rows).await });
        let was_full = self.counters.full.swap(false, Ordering::Relaxed);
        match stored {
            Some(Ok(())) => {
                Arc::unwrap_or_clone(plan).note(state);
                Ok(())
            }
            Some(Err(Failed::Displaced(why))) => Err(self.poison(JournalError::Fenced { why })),
            Some(Err(Failed::Fault(fault))) if fault.verdict() == Verdict::Full => {
                self.counters.full.store(true, Ordering::Relaxed);
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                if !was_full {
                    tracing::warn!(
                        "database {} has no space: {fault}; {}",
                        self.line.address,
                        fault.remedy(self.line.dialect.kind)
                    );
                }
                Err(fault.to_error("append to", &self.line.address))
            }
            Some(Err(Failed::Fault(fault))) => Err(self.poison(fault.to_error("append to", &self.line.address))),
            None => Err(self.poison(panicked())),
        }
    }

    /// Reads, for as long as an append would be tried.
    fn read<T, F>(&self, what: impl Fn(Line) -> F + Send + 'static) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Broken>> + Send,
    {
        let (line, patience) = (self.reads.clone(), self.outage_max);
        let done = self.desk.run(async move {
            let mut outage = Outage::new(patience, "cannot be read");
            loop {
                match what(line.clone()).await {
                    Err(Broken::Fault(fault)) => outage.wait(fault, &line).await?,
                    other => {
                        outage.end(&line);
                        break other;
                    }
                }
            }
        });
        match done {
            Some(Ok(done)) => Ok(done),
            Some(Err(Broken::Error(error))) => Err(error),
            Some(Err(Broken::Fault(fault))) => Err(fault.to_error("read", &self.reads.address)),
            None => Err(panicked()),
        }
    }
}

impl Journal for SqlJournal {
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError> {
        self.check()?;
        let known = self.read(|line| async move { recovery::known(&line).await })?;
        self.counters.damaged.fetch_add(known.damaged, Ordering::Relaxed);
        let state = self.lock();
        let mut found = Recovered {
            next_sequence: state.next_sequence,
            next_log: state.next_log,
            clean_stop: state.clean_stop,
            epoch: state.epoch,
            ..Recovered::default()
        };
        let stretches = Stretch::all(&state.fronts);
        drop(state);
        known.records.into_iter().for_each(&mut *each);
        for mut stretch in stretches {
            loop {
                let read = self.read(move |line| async move { Ok(Known::entries(&line, stretch).await?) })?;
                let Some((log, sequence, _)) = read.last() else { break };
                stretch = stretch.after(*log, *sequence);
                for entry in &read {
                    each(Known::entry(&mut found, entry)?);
                    let (log, sequence, _) = *entry;
                    if let Some(&count) = known.redeliveries.get(&(log, sequence)) {
                        each(Record::Redeliveries { log, sequence, count });
                    }
                }
            }
        }
        Ok(found)
    }

    fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
        let mut state = self.lock();
        self.check()?;
        if state.closed {
            return Err(JournalError::Closed);
        }
        let plan = Plan::of(groups, &state);
        let bytes = plan.bytes;
        self.store(&mut state, plan)?;
        let c = &self.counters;
        let records = groups.iter().map(|group| group.len() as u64).sum();
        for (counter, more) in
            [(&c.appends, 1), (&c.groups, groups.len() as u64), (&c.records, records), (&c.bytes, bytes)]
        {
            counter.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }

    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
        self.check()?;
        let mut sorted = sequences.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut found = HashMap::with_capacity(sorted.len());
        for some in sorted.chunks(ROWS_MAX) {
            let some = some.to_vec();
            for (sequence, value) in self.read(move |line| bodies(line, some.clone()))? {
                match format::decode_body(&keys::body(sequence), &Bytes::from(value)) {
                    Ok(message) => {
                        found.insert(sequence, Arc::new(message));
                    }
                    Err(cause) => {
                        self.counters.damaged.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(sequence, %cause, "body is damaged and cannot be delivered");
                    }
                }
            }
        }
        self.counters.loaded.fetch_add(found.len() as u64, Ordering::Relaxed);
        Ok(sequences.iter().map(|s| (*s, found.get(s).cloned())).collect())
    }

    fn room(&self) -> Room {
        if self.counters.full.load(Ordering::Relaxed) { Room::Full } else { Room::Plenty }
    }

    /// Looks for new heads of logs from which much was removed. Space is the database's own business; it is asked from time
    /// to time how much there is of ours.
    fn maintain(&self) {
        let searches: Vec<_> = {
            let mut state = self.lock();
            let end = state.next_sequence;
            let worth_while = |(log, front): (&LogId, &mut Front)| Some((*log, front.search()?, end));
            state.fronts.iter_mut().filter_map(worth_while).collect()
        };
        if !searches.is_empty() {
            let (line, state) = (self.reads.clone(), self.state.clone());
            self.desk.start(async move { search(&line, &state, searches).await });
        }
        let mut asked = self.counters.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if asked.is_some_and(|asked| asked.elapsed() < SIZE_ASKED) {
            return;
        }
        *asked = Some(Instant::now());
        let (line, counters) = (self.reads.clone(), self.counters.clone());
        self.desk.start(async move {
            match size(&line).await {
                Ok(size) => counters.store_bytes.store(size, Ordering::Relaxed),
                Err(fault) => tracing::debug!("database {} does not say how large it is: {fault}", line.address),
            }
        });
    }

    fn stats(&self) -> Stats {
        let c = &self.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            appends: read(&c.appends),
            groups: read(&c.groups),
            records: read(&c.records),
            bytes_appended: read(&c.bytes),
            bodies_loaded: read(&c.loaded),
            damaged: read(&c.damaged),
            refused_full: read(&c.refused),
            store_bytes: read(&c.store_bytes),
            store_bytes_limit: u64::MAX,
            disk_free_bytes: u64::MAX,
            poisoned: self.first_error.get().is_some(),
            ..Stats::default()
        }
    }

    fn close(&self) -> Result<(), JournalError> {
        let mut state = self.lock();
        self.check()?;
        if !std::mem::replace(&mut state.closed, true) {
            let (line, reads) = (self.line.clone(), self.reads.clone());
            let _ = self.desk.run(async move {
                line.hang_up().await;
                reads.hang_up().await;
            });
        }
        Ok(())
    }
}

impl fmt::Debug for SqlJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlJournal")
            .field("place", &self.line.address)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

async fn open(line: &Line, may_create: bool, lease: Option<&str>) -> Result<State, Broken> {
    let mut taken = line.take().await?;
    schema::journal(line, &mut taken.session, may_create).await?;
    if !within(TRANSACTION_MAX, begin_epoch(line, &mut taken.session, lease)).await? {
        let why = "the lease on it was taken over before the journal was opened".into();
        return Err(Broken::Error(JournalError::Fenced { why }));
    }
    // After that nobody else changes it.
    let state = recovery::state(line, &mut taken.session).await?;
    taken.keep();
    Ok(state)
}

/// False if the lease is not ours.
async fn begin_epoch(line: &Line, session: &mut Session, lease: Option<&str>) -> Result<bool, Fault> {
    session.raw(line.dialect.begin()).await?;
    let raise = format!("UPDATE {} SET epoch = epoch + 1 WHERE id = 1", line.dialect.table(&JOURNAL));
    let mut ours = session.execute(&raise, Vec::new()).await? == 1;
    if let (true, Some(holder)) = (ours, lease) {
        ours = session.execute(&line.dialect.prove_lease(holder), Vec::new()).await? == 1;
    }
    session.raw(if ours { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(ours)
}

async fn bodies(line: Line, sequences: Vec<Sequence>) -> Result<Vec<(Sequence, Vec<u8>)>, Broken> {
    let mut taken = line.take().await?;
    let values: Vec<_> = padded(&sequences).map(|sequence| Value::from(*sequence)).collect();
    let statement = line.dialect.bodies(values.len());
    let rows = within(TRANSACTION_MAX, taken.session.query(&statement, values)).await?;
    taken.keep();
    let mut found: Vec<(Sequence, Vec<u8>)> = Vec::with_capacity(rows.len());
    for row in rows {
        let (sequence, part, value) = (unsigned(&row, 0)?, number(&row, 1)?, bytes(&row, 2)?);
        match found.last_mut() {
            Some((last, whole)) if *last == sequence && part > 0 => whole.extend(value),
            _ => found.push((sequence, value)),
        }
    }
    Ok(found)
}

/// Finds the first entries of logs; what is found is stored with the next append.
async fn search(line: &Line, state: &Mutex<State>, searches: Vec<(LogId, Sequence, Sequence)>) {
    for (log, from, end) in searches {
        let found = match recovery::first_entry(line, log, from).await {
            // What is empty begins where the next entry will be.
            Ok(first) => Some(first.unwrap_or(end)),
            Err(fault) => {
                tracing::debug!("database {} does not say where a log begins: {fault}", line.address);
                None
            }
        };
        // An append holds the state until this very thread has done it, so that it must not be waited for asleep.
        while !note_head(state, log, found) {
            tokio::time::sleep(SEARCH_PAUSE).await;
        }
    }
}

/// False while an append is under way.
fn note_head(state: &Mutex<State>, log: LogId, found: Option<Sequence>) -> bool {
    match state.try_lock() {
        Ok(mut state) => {
            if let Some(at) = state.fronts.get_mut(&log).and_then(|front| front.found(found)) {
                state.heads_found.push((log, at));
            }
            true
        }
        Err(TryLockError::WouldBlock) => false,
        // Nobody appends any more.
        Err(TryLockError::Poisoned(_)) => true,
    }
}

async fn size(line: &Line) -> Result<u64, Fault> {
    let mut taken = line.take().await?;
    let rows = within(TRANSACTION_MAX, taken.session.query(&line.dialect.size(), Vec::new())).await?;
    let size = rows.first().map_or(Ok(0), |row| unsigned(row, 0))?;
    taken.keep();
    Ok(size)
}

fn panicked() -> JournalError {
    JournalError::Engine { attempt: "work", cause: "a thread of it panicked".into() }
}
