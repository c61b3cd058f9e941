//! The journal on RocksDB: the only room that says rocksdb.
//!
//! It knows how records lie in the engine, how they are made durable with one write and one sync, and how space is given
//! back. It must never know what a record means to the broker, nor who asks.
//!
//! Start reading at [`RocksJournal`], then `keys.rs` for where things live and `state.rs` for how they are written.

mod engine;
mod keys;
mod log_check;
mod place;
mod recovery;
mod space;
mod state;
mod trim;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{Journal, JournalError, Recovered, Room, Stats, format};
use message::{Loaded, Record, Sequence};
use rocksdb::{DB, ErrorKind, FlushOptions, WriteBatch};

use crate::engine::families;
use crate::space::{Seen, Space};
use crate::state::State;

/// How often a write is tried again that the engine turned away …
const STALL_POLL: Duration = Duration::from_millis(1);
/// … and for how long.
const STALL_MAX: Duration = Duration::from_secs(30);

/// How long the engine may take to get over a want of space of its own threads. It leaves half-written files behind
/// with each attempt, and may eat up all space that comes back; a restart clears them away.
const ENGINE_FAILED_MAX: Duration = Duration::from_secs(20);

/// Where the journal is and what it may use.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the journal; made if it is missing, and nothing else may be in it.
    pub place: PathBuf,
    /// Bytes the store may take; above it producers of persistent messages wait. 100 GiB.
    pub store_limit_bytes: u64,
    /// Below so many free bytes producers wait. By default 256 MiB, or a tenth of the file system if that is less.
    pub reserve_producers_bytes: Option<u64>,
    /// Below so many free bytes nothing goes through. By default 64 MiB, or 4 % of the file system if that is less.
    pub reserve_hard_bytes: Option<u64>,
    /// Memory for what is not yet in sorted files, and about the size of one log file. 16 MiB.
    pub write_buffer_bytes: usize,
    /// Memory for blocks that were read. 8 MiB.
    pub block_cache_bytes: usize,
    /// Bodies of this size and more go to files of their own kind, which merges do not copy. 16 KiB.
    pub blob_bytes_min: u64,
    /// Used-up log files that are kept and written over. 1; 0 gives less space and about half the appends a second.
    pub log_files_recycled: usize,
}

impl Config {
    /// The usual settings for a journal in this directory.
    pub fn new(place: impl Into<PathBuf>) -> Config {
        Config {
            place: place.into(),
            store_limit_bytes: 100 * 1024 * 1024 * 1024,
            reserve_producers_bytes: None,
            reserve_hard_bytes: None,
            write_buffer_bytes: 16 * 1024 * 1024,
            block_cache_bytes: 8 * 1024 * 1024,
            blob_bytes_min: 16 * 1024,
            log_files_recycled: 1,
        }
    }
}

/// A journal in a directory. The directory is free for the next one when this is dropped.
pub struct RocksJournal {
    shared: Arc<Shared>,
    /// `None` only while dropping: the trimmer ends when this end of its channel is gone.
    wake: Option<SyncSender<()>>,
    trimmer: Option<JoinHandle<()>>,
}

/// What the trimmer shares with the journal.
struct Shared {
    db: DB,
    state: Mutex<State>,
    first_error: OnceLock<String>,
    space: Space,
    counters: Counters,
    /// When an append was first refused because the engine's own threads had failed; cleared when one goes through.
    failed_since: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Counters {
    appends: AtomicU64,
    groups: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    gone: AtomicU64,
    loaded: AtomicU64,
    damaged: AtomicU64,
    refused: AtomicU64,
    trims: AtomicU64,
    /// Failures of the engine's own threads that it has got over.
    engine_errors: AtomicU64,
}

impl RocksJournal {
    /// The process that has the journal in this directory open, other than our own; 0 if its id is not known. Changes
    /// nothing there.
    ///
    /// Must not be asked while our own process has it open: asking would give the engine's lock away.
    pub fn user(place: &Path) -> Option<i32> {
        place::user(place)
    }

    /// Opens the journal, or begins one in an empty directory.
    pub fn open(config: &Config) -> Result<RocksJournal, JournalError> {
        place::prepare(&config.place)?;
        log_check::check(&config.place, || engine::oldest_log_needed(config))?;
        let db = engine::open(config)?;
        let mut state = recovery::state(&db)?;
        let space = Space::new(config, store_bytes(&db));
        let mut batch = WriteBatch::default();
        if state.epoch == 0 {
            state::put_number(&mut batch, &families(&db), &keys::CLEAN_STOP, 1);
        }
        let epoch = state.epoch + 1;
        state::put_number(&mut batch, &families(&db), &keys::EPOCH, epoch);
        let (first_error, counters) = (OnceLock::new(), Counters::default());
        let failed_since = Mutex::default();
        let shared = Shared { db, state: Mutex::default(), first_error, space, counters, failed_since };
        shared.write(&mut state, &batch, "store the epoch")?;
        state.epoch = epoch;
        *shared.lock() = state;
        let shared = Arc::new(shared);
        let (wake, woken) = sync_channel(1);
        let for_trimmer = shared.clone();
        let trimmer = std::thread::Builder::new()
            .name("journal-trim".into())
            .spawn(move || trim_when_woken(&for_trimmer, &woken))
            .map_err(|e| JournalError::Io {
                attempt: "start a thread for",
                place: config.place.display().to_string(),
                cause: e.to_string(),
            })?;
        Ok(RocksJournal { shared, wake: Some(wake), trimmer: Some(trimmer) })
    }
}

impl Journal for RocksJournal {
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError> {
        self.shared.check()?;
        let mut damaged_facts = 0;
        let found = recovery::all(&self.shared.db, &self.shared.lock(), &mut damaged_facts, each);
        self.shared.counters.damaged.fetch_add(damaged_facts, Ordering::Relaxed);
        found
    }

    fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
        self.shared.append(groups)
    }

    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
        self.shared.load(sequences)
    }

    fn room(&self) -> Room {
        self.shared.space.room(self.shared.seen())
    }

    fn maintain(&self) {
        if let Some(wake) = &self.wake {
            // Full means that a round is due already.
            let _ = wake.try_send(());
        }
    }

    fn stats(&self) -> Stats {
        let (shared, c) = (&self.shared, &self.shared.counters);
        let seen = shared.seen();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let memory = |name| shared.db.property_int_value(name).ok().flatten().unwrap_or(0);
        Stats {
            appends: read(&c.appends),
            groups: read(&c.groups),
            records: read(&c.records),
            bytes_appended: read(&c.bytes),
            bodies_loaded: read(&c.loaded),
            damaged: read(&c.damaged),
            refused_full: read(&c.refused),
            trims: read(&c.trims),
            settles: 0,
            settle_waits: 0,
            store_bytes: seen.store_bytes,
            store_bytes_limit: shared.space.limit_bytes(seen),
            disk_free_bytes: seen.free_bytes,
            memory_bytes: engine::sum(&shared.db, "rocksdb.cur-size-all-mem-tables")
                + engine::sum(&shared.db, "rocksdb.estimate-table-readers-mem")
                + memory("rocksdb.block-cache-usage"),
            poisoned: shared.first_error.get().is_some(),
        }
    }

    fn close(&self) -> Result<(), JournalError> {
        self.shared.close()
    }
}

impl Drop for RocksJournal {
    fn drop(&mut self) {
        self.wake = None;
        self.shared.lock().closed = true;
        // Ends a merge that is under way; it is done again another time.
        self.shared.db.cancel_all_background_work(false);
        if let Some(trimmer) = self.trimmer.take() {
            // A panic there was reported by the thread itself.
            let _ = trimmer.join();
        }
    }
}

impl fmt::Debug for RocksJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksJournal").field("place", &self.shared.db.path()).finish_non_exhaustive()
    }
}

impl Shared {
    fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
        let mut state = self.lock();
        self.check()?;
        if state.closed {
            return Err(JournalError::Closed);
        }
        self.check_room()?;
        let mut batch = WriteBatch::default();
        state.put_all(groups, &families(&self.db), &mut batch);
        let bytes = batch.size_in_bytes() as u64;
        self.write(&mut state, &batch, "append")?;
        let c = &self.counters;
        let records = groups.iter().map(|group| group.len() as u64).sum();
        let is_gone =
            |r: &&Record| matches!(r, Record::EntryGone { .. } | Record::BodyGone { .. } | Record::LogGone { .. });
        let gone = groups.iter().flatten().filter(is_gone).count() as u64;
        for (counter, more) in [
            (&c.appends, 1),
            (&c.groups, groups.len() as u64),
            (&c.records, records),
            (&c.bytes, bytes),
            (&c.gone, gone),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }

    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
        self.check()?;
        let mut sorted = sequences.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let keys: Vec<[u8; 8]> = sorted.iter().map(|s| keys::body(*s)).collect();
        let values = self.db.batched_multi_get_cf(families(&self.db).bodies, &keys, true);
        let mut found = HashMap::with_capacity(sorted.len());
        for ((sequence, key), value) in sorted.iter().zip(&keys).zip(values) {
            let decoded = match value {
                Ok(None) => continue,
                Ok(Some(value)) => format::decode_body(key, &Bytes::copy_from_slice(&value)).map_err(|e| e.to_string()),
                Err(e) => match engine::error("read a body", &e) {
                    JournalError::Damaged { cause, .. } => Err(cause),
                    other => return Err(other),
                },
            };
            match decoded {
                Ok(message) => {
                    found.insert(*sequence, Arc::new(message));
                }
                Err(cause) => {
                    self.counters.damaged.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(sequence, cause, "body is damaged and cannot be delivered");
                }
            }
        }
        self.counters.loaded.fetch_add(found.len() as u64, Ordering::Relaxed);
        Ok(sequences.iter().map(|s| (*s, found.get(s).cloned())).collect())
    }

    fn close(&self) -> Result<(), JournalError> {
        let mut state = self.lock();
        self.check()?;
        if state.closed {
            return Ok(());
        }
        state.closed = true;
        let f = families(&self.db);
        let mut batch = WriteBatch::default();
        state.sequence_next = state.sequence_last + 1;
        state::put_number(&mut batch, &f, &keys::SEQUENCE_NEXT, state.sequence_next);
        self.write(&mut state, &batch, "close")?;
        // What is in sorted files need not be read from the log.
        let flushed = self.db.flush_cfs_opt(&[f.bodies, f.entries, f.facts], &FlushOptions::default());
        flushed.map_err(|e| engine::error("flush", &e))
    }

    /// The only way into the engine: with the state locked, one batch, one sync. A write or sync that fails is the end.
    ///
    /// While the engine has to catch up with its own work it turns a write away untouched; then this waits. When that
    /// work fails for want of space it turns all writes away: the answer is `Full`, and the state is what is stored.
    fn write(&self, state: &mut State, batch: &WriteBatch, attempt: &'static str) -> Result<(), JournalError> {
        let start = Instant::now();
        loop {
            let copy = WriteBatch::from_data(batch.data());
            let Err(e) = self.db.write_opt(copy, &engine::synced()) else { return Ok(()) };
            let stalled = e.kind() == ErrorKind::Incomplete;
            if stalled && !self.engine_failed() && start.elapsed() < STALL_MAX {
                std::thread::sleep(STALL_POLL);
            } else if stalled || self.engine_failed() && engine::is_no_space_elsewhere(&e) {
                let fresh = recovery::state(&self.db).map_err(|e| self.poison(e))?;
                let logs_gone = std::mem::take(&mut state.logs_gone);
                *state = State { logs_gone, closed: state.closed, ..fresh };
                return Err(self.refuse());
            } else {
                return Err(self.poison(engine::error(attempt, &e)));
            }
        }
    }

    fn poison(&self, error: JournalError) -> JournalError {
        if self.first_error.set(error.to_string()).is_ok() {
            tracing::error!(%error, "journal failed and stops");
        }
        error
    }

    fn check(&self) -> Result<(), JournalError> {
        match self.first_error.get() {
            Some(first_error) => Err(JournalError::Poisoned { first_error: first_error.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses before anything is touched. That is what keeps a full disk from being a failed write.
    ///
    /// The engine's own threads may still have run out of space. The engine then refuses writes until it has flushed
    /// what it could not, which it tries by itself; a probe tells whether it has, and can fail without harm.
    fn check_room(&self) -> Result<(), JournalError> {
        let full = self.space.room(self.seen()) == Room::Full;
        if !self.engine_failed() {
            return if full { Err(self.refuse()) } else { Ok(()) };
        }
        if full {
            return Err(self.refuse_or_give_up());
        }
        let errors = self.engine_errors();
        let mut probe = WriteBatch::default();
        state::put_number(&mut probe, &families(&self.db), &keys::PROBE, errors);
        match self.db.write_opt(probe, &engine::synced()) {
            Ok(()) => {
                self.counters.engine_errors.store(errors, Ordering::Relaxed);
                *self.failed_since.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
                Ok(())
            }
            Err(e) if engine::is_no_space_elsewhere(&e) || e.kind() == ErrorKind::Incomplete => {
                Err(self.refuse_or_give_up())
            }
            Err(e) => Err(self.poison(engine::error("append", &e))),
        }
    }

    /// Refuses while the engine may still get over its want of space.
    fn refuse_or_give_up(&self) -> JournalError {
        let mut since = self.failed_since.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if since.get_or_insert_with(Instant::now).elapsed() < ENGINE_FAILED_MAX {
            return self.refuse();
        }
        let cause = "it ran out of space and did not recover; make room and start again".into();
        self.poison(JournalError::Engine { attempt: "append", cause })
    }

    fn refuse(&self) -> JournalError {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        JournalError::Full { free_bytes: self.seen().free_bytes, reserve_bytes: self.space.reserve_hard_bytes }
    }

    /// The engine's own threads have failed since the last write that went through after such a failure.
    fn engine_failed(&self) -> bool {
        self.engine_errors() != self.counters.engine_errors.load(Ordering::Relaxed)
    }

    fn engine_errors(&self) -> u64 {
        self.db.property_int_value("rocksdb.background-errors").ok().flatten().unwrap_or(0)
    }

    fn seen(&self) -> Seen {
        self.space.seen(|| store_bytes(&self.db))
    }

    fn gone(&self) -> u64 {
        self.counters.gone.load(Ordering::Relaxed)
    }

    fn count_trim(&self) {
        self.counters.trims.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while a batch was built would leave half of it in the state: no further use.
        self.state.lock().unwrap_or_else(|poisoned| {
            let _ = self.first_error.set("a thread panicked while it appended".into());
            poisoned.into_inner()
        })
    }
}

fn trim_when_woken(shared: &Shared, woken: &Receiver<()>) {
    let mut trimmer = trim::Trimmer::new();
    while woken.recv().is_ok() {
        if let Err(error) = trimmer.round(shared) {
            tracing::warn!(%error, "space was not given back");
        }
    }
}

/// Bytes in sorted files and files of large bodies. The logs come on top and are bounded.
fn store_bytes(db: &DB) -> u64 {
    engine::sum(db, "rocksdb.total-sst-files-size") + engine::sum(db, "rocksdb.total-blob-file-size")
}

fn damaged(what: &'static str, key: &[u8], cause: format::FormatError) -> JournalError {
    match cause {
        format::FormatError::Newer { found } => {
            JournalError::Newer { found: found.into(), known: format::VERSION.into() }
        }
        other => JournalError::Damaged { what, key: format!("{key:02x?}"), cause: other.to_string() },
    }
}
