//! The journal in a database, and the lease in one: the only room that says sqlx.
//!
//! PostgreSQL, MySQL and MariaDB, SQLite, and whatever server speaks as one of them does. It knows how records lie in
//! tables, how they are made durable with one transaction, and how a database that goes away and comes back is survived.
//! It must never know what a record means to the broker, nor who asks.
//!
//! Two things make sure that one broker alone writes. Whoever opens the journal raises its epoch and takes the number of
//! the next append, which is there once: who was displaced changes nothing. Where the lease is in the same database
//! ([`SqlLease`]) each transaction proves it too.
//!
//! Start reading at [`SqlJournal`], then `append.rs` for how an append is kept and settled, and `keys.rs` for where things
//! lie.

mod address;
mod append;
mod common;
mod dialect;
mod epoch;
mod fault;
mod front;
mod kept;
mod keys;
mod lease;
mod outage;
mod plan;
mod recovery;
mod schema;
mod script;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use journal::{Journal, JournalError, Recovered, Room, Stats, format};
use message::{Loaded, Message, Record, Sequence};

use crate::append::Work;
use crate::common::{Common, panicked};
use crate::dialect::Dialect;
use crate::fault::Broken;
use crate::kept::{Append, bodies_bytes};
use crate::outage::Outage;
use crate::recovery::Known;
use crate::script::ROWS_MAX;
use crate::session::{Desk, Line, OnTheSpot, Patience, Taken};

pub use address::{Address, AddressError, Kind};
pub use lease::{Lease, SqlLease};
pub use schema::check_prefix;

/// An append that takes more than that in a row is settled at once: its rows cost more than its way to the server.
const ROW_BYTES_MAX: usize = 64 << 10;
/// Appends that are kept are settled when they take that in memory, or after a second or so …
const SETTLED_BYTES: usize = 8 << 20;
/// … and when they take that, the next append waits for it.
const KEPT_BYTES_MAX: usize = 32 << 20;

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
    /// Holder of the lease in the same database and with the same prefix that each transaction has to prove: what
    /// [`SqlLease::holder_id`] says.
    pub lease: Option<String>,
}

/// A journal in a database.
pub struct SqlJournal {
    /// For everything but what is kept.
    desk: Desk,
    spot: OnTheSpot,
    /// For what is kept.
    line: Line,
    turn: Mutex<Turn>,
    common: Arc<Common>,
}

/// Who has it appends.
struct Turn {
    /// Appends that are stored, as rows or settled.
    appends: u64,
    closed: bool,
}

impl SqlJournal {
    /// Opens the journal, or makes its tables. Its epoch rises, so that whoever had it open before changes nothing more.
    pub fn open(config: &Config) -> Result<SqlJournal, JournalError> {
        let no_thread = |error: std::io::Error| JournalError::Io {
            attempt: "start a thread for",
            place: format!("database {}", config.address),
            cause: error.to_string(),
        };
        let desk = Desk::new("journal-sql").map_err(no_thread)?;
        let spot = OnTheSpot::new().map_err(no_thread)?;
        let dialect = Dialect { kind: config.address.kind(), prefix: config.table_prefix.clone() };
        let new_line = || Line::new(config.address.clone(), dialect.clone());
        let (line, reads) = (new_line(), new_line());
        // Where one connection alone may write they take turns.
        let settles = if config.address.kind() == Kind::Sqlite { line.clone() } else { new_line() };
        let (opened_line, opened) = (settles.clone(), config.clone());
        let opened = desk.run(async move {
            let patience = Patience::new();
            loop {
                match epoch::begin(&opened_line, &opened).await {
                    Err(broken) => patience.wait(broken, &opened_line).await?,
                    begun => break begun,
                }
            }
        });
        let begun = match opened {
            Some(Ok(begun)) => begun,
            Some(Err(Broken::Error(error))) => return Err(error),
            Some(Err(Broken::Fault(fault))) => return Err(fault.to_error("open the journal in", &config.address)),
            None => return Err(panicked()),
        };
        // The first append need not wait for a connection. If there is none it tells why.
        let connected = spot.run(line.take());
        connected.into_iter().flatten().for_each(Taken::keep);
        let turn = Mutex::new(Turn { appends: begun.appends, closed: false });
        Ok(SqlJournal {
            desk,
            spot,
            line,
            turn,
            common: Arc::new(Common::new(begun.writer, settles, reads, begun.state)),
        })
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        // A panic between a transaction and the note of it would leave the count behind what is stored.
        self.turn.lock().unwrap_or_else(|poisoned| {
            self.common.poison(panicked());
            poisoned.into_inner()
        })
    }

    /// Keeps an append, or settles it where it is large or too much is kept already. The bytes that it took.
    fn store(&self, number: u64, groups: &[Vec<Record>]) -> Result<u64, JournalError> {
        let records: Arc<Vec<Record>> = Arc::new(groups.iter().flatten().cloned().collect());
        let value = match bodies_bytes(&records) {
            0..=ROW_BYTES_MAX => format::encode_append(&keys::append(number), groups),
            _ => Vec::new(),
        };
        let bytes = value.len();
        let (common, append) = (self.common.clone(), Append { number, records });
        let is_too_much = self.common.kept().bytes() > KEPT_BYTES_MAX;
        if is_too_much || !(1..=ROW_BYTES_MAX).contains(&bytes) {
            self.common.counters.settle_waits.fetch_add(is_too_much.into(), Ordering::Relaxed);
            let settled = self.desk.run(async move { common.settle(Some(append)).await });
            return settled.unwrap_or_else(|| Err(self.common.poison(panicked())));
        }
        let work = Work::Keep { number, value: &value };
        match self.spot.run(common.writer.write(&self.line, work)) {
            Some(kept) => self.common.judge(kept)?,
            None => return Err(self.common.poison(panicked())),
        }
        let bytes_kept = {
            let mut kept = self.common.kept();
            kept.push(append);
            kept.bytes()
        };
        if bytes_kept > SETTLED_BYTES {
            self.settle_soon();
        }
        Ok(bytes as u64)
    }

    /// Settles, and looks for new heads of logs from which much was removed; does not wait for it. One at a time, however
    /// long a database is away.
    fn settle_soon(&self) {
        let common = self.common.clone();
        if !common.is_settling.swap(true, Ordering::Relaxed) {
            self.desk.start(async move {
                // What went wrong is told, and known to the next append.
                let _ = common.settle(None).await;
                common.search_heads().await;
                common.is_settling.store(false, Ordering::Relaxed);
            });
        }
    }

    /// Reads, for as long as an append would be tried.
    fn read<T, F>(&self, what: impl Fn(Line) -> F + Send + 'static) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Broken>> + Send,
    {
        let (line, patience) = (self.common.reads.clone(), self.common.writer.outage_max);
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
            Some(Err(Broken::Fault(fault))) => Err(fault.to_error("read", &self.line.address)),
            None => Err(panicked()),
        }
    }
}

impl Journal for SqlJournal {
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError> {
        self.common.check()?;
        let common = self.common.clone();
        let settled = self.desk.run(async move {
            common.settle(None).await?;
            Ok(common.found().await)
        });
        let (mut found, stretches) = settled.unwrap_or_else(|| Err(panicked()))?;
        let known = self.read(|line| async move { recovery::known(&line).await })?;
        self.common.counters.damaged.fetch_add(known.damaged, Ordering::Relaxed);
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
        let mut turn = self.turn();
        self.common.check()?;
        if turn.closed {
            return Err(JournalError::Closed);
        }
        let bytes = self.store(turn.appends + 1, groups).inspect_err(|error| {
            let is_full = matches!(error, JournalError::Full { .. });
            self.common.counters.refused.fetch_add(is_full.into(), Ordering::Relaxed);
        })?;
        turn.appends += 1;
        let c = &self.common.counters;
        let records = groups.iter().map(|group| group.len() as u64).sum();
        for (counter, more) in
            [(&c.appends, 1), (&c.groups, groups.len() as u64), (&c.records, records), (&c.bytes, bytes)]
        {
            counter.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }

    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
        self.common.check()?;
        let mut found: HashMap<_, Option<Arc<Message>>> = HashMap::with_capacity(sequences.len());
        {
            // What is settled meanwhile is in its place before it is forgotten here.
            let kept = self.common.kept();
            found.extend(sequences.iter().filter_map(|sequence| Some((*sequence, kept.body(*sequence)?.clone()))));
        }
        let mut sorted: Vec<_> = sequences.iter().copied().filter(|sequence| !found.contains_key(sequence)).collect();
        sorted.sort_unstable();
        sorted.dedup();
        for some in sorted.chunks(ROWS_MAX) {
            let some = some.to_vec();
            for (sequence, value) in self.read(move |line| recovery::bodies(line, some.clone()))? {
                match format::decode_body(&keys::body(sequence), &Bytes::from(value)) {
                    Ok(message) => {
                        found.insert(sequence, Some(Arc::new(message)));
                    }
                    Err(cause) => {
                        self.common.counters.damaged.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(sequence, %cause, "body is damaged and cannot be delivered");
                    }
                }
            }
        }
        self.common.counters.loaded.fetch_add(found.values().flatten().count() as u64, Ordering::Relaxed);
        Ok(sequences.iter().map(|s| (*s, found.get(s).cloned().flatten())).collect())
    }

    fn room(&self) -> Room {
        if self.common.counters.full.load(Ordering::Relaxed) { Room::Full } else { Room::Plenty }
    }

    /// Settles what is kept, and looks for new heads of logs from which much was removed. Space is the database's own
    /// business; it is asked from time to time how much there is of ours.
    fn maintain(&self) {
        self.settle_soon();
        if self.common.is_to_ask_for_size() {
            let common = self.common.clone();
            self.desk.start(async move { common.ask_for_size().await });
        }
    }

    fn stats(&self) -> Stats {
        let c = &self.common.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            appends: read(&c.appends),
            groups: read(&c.groups),
            records: read(&c.records),
            bytes_appended: read(&c.bytes),
            bodies_loaded: read(&c.loaded),
            damaged: read(&c.damaged),
            refused_full: read(&c.refused),
            settles: read(&c.settles),
            settle_waits: read(&c.settle_waits),
            store_bytes: read(&c.store_bytes),
            store_bytes_limit: u64::MAX,
            disk_free_bytes: u64::MAX,
            memory_bytes: self.common.kept().bytes() as u64,
            poisoned: self.common.is_poisoned(),
            ..Stats::default()
        }
    }

    /// Settles what is kept. Where that cannot be, the next one who opens the journal does it.
    fn close(&self) -> Result<(), JournalError> {
        let mut turn = self.turn();
        self.common.check()?;
        if !std::mem::replace(&mut turn.closed, true) {
            let common = self.common.clone();
            let _ = self.desk.run(async move {
                let _ = common.settle(None).await;
                common.hang_up().await;
            });
            let _ = self.spot.run(self.line.hang_up());
        }
        Ok(())
    }
}

impl fmt::Debug for SqlJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlJournal")
            .field("place", &self.line.address)
            .field("epoch", &self.common.writer.epoch)
            .finish_non_exhaustive()
    }
}
