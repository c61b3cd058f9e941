//! Giving space back, on a thread of its own: finds how far logs and bodies are used up, drops the files that hold
//! nothing else, and has the engine merge away the rest.
//!
//! Dropping whole files of bodies can bring an older copy of a removed body back to light. That does no harm: entries
//! say what exists, and nothing below the low-water mark, which is made durable before, is looked at again. Files of
//! entries are never dropped, only merged.

use std::time::{Duration, Instant};

use journal::JournalError;
use message::{LogId, Sequence};
use rocksdb::{Range, WriteBatch};

use crate::engine::families;
use crate::state::put_number;
use crate::{Shared, engine, keys, recovery};

/// Deletions in a log, or of bodies, that make it worth while to look for a new front.
const GONE_MIN: u64 = 1024;
/// Bytes below the fronts that are merged away once nothing was removed for a while …
const DEAD_BYTES_QUIET: u64 = 4 * 1024 * 1024;
/// … and those that are not left until then.
const DEAD_BYTES_BUSY: u64 = 256 * 1024 * 1024;
/// The while.
const QUIET: Duration = Duration::from_millis(1500);

/// What the thread remembers from one round to the next.
#[derive(Debug)]
pub(crate) struct Trimmer {
    gone_seen: u64,
    quiet_since: Instant,
    settled: bool,
}

impl Trimmer {
    pub(crate) fn new() -> Trimmer {
        Trimmer { gone_seen: 0, quiet_since: Instant::now(), settled: true }
    }

    /// One round. Cheap when nothing was removed since the last one.
    pub(crate) fn round(&mut self, shared: &Shared) -> Result<(), JournalError> {
        let gone = shared.gone();
        if gone != self.gone_seen {
            self.gone_seen = gone;
            self.quiet_since = Instant::now();
            self.settled = false;
        }
        if self.settled {
            return Ok(());
        }
        let quiet = self.quiet_since.elapsed() >= QUIET;
        let Some(fronts) = search(shared, if quiet { 1 } else { GONE_MIN })? else { return Ok(()) };
        drop_files(shared, fronts.low_water)?;
        let dead = dead_ranges(shared, &fronts);
        if dead.bytes >= if quiet { DEAD_BYTES_QUIET } else { DEAD_BYTES_BUSY } {
            merge(shared, &dead);
        }
        self.settled = quiet;
        Ok(())
    }
}

/// Where the living begins.
struct Fronts {
    low_water: Sequence,
    heads: Vec<(LogId, Sequence)>,
    logs_gone: Vec<LogId>,
}

/// Looks for new fronts and makes them durable. `None` when the journal is closed.
fn search(shared: &Shared, gone_min: u64) -> Result<Option<Fronts>, JournalError> {
    let f = families(&shared.db);
    let mut state = shared.lock();
    let end = state.sequence_last + 1;
    let searched: Vec<(LogId, Sequence)> = state
        .heads
        .iter_mut()
        .filter(|(_, front)| front.gone_since >= gone_min)
        .map(|(log, front)| (*log, front.search()))
        .collect();
    let bodies_from = (state.low_water.gone_since >= gone_min).then(|| state.low_water.search());
    drop(state);

    let mut found = Vec::with_capacity(searched.len());
    for (log, from) in searched {
        let to = keys::entries_end(log);
        let to = to.as_ref().map(|key| key.as_slice());
        let key = recovery::first(&shared.db, f.entries, &keys::entry(log, from), to)?;
        found.push((log, key.and_then(|key| keys::read_entry(&key)).map_or(end, |(_, sequence)| sequence)));
    }
    let bodies_found = match bodies_from {
        Some(from) => {
            let key = recovery::first(&shared.db, f.bodies, &keys::body(from), None)?;
            Some(key.and_then(|key| keys::read_body(&key)).unwrap_or(end))
        }
        None => None,
    };

    let mut state = shared.lock();
    if state.closed {
        return Ok(None);
    }
    let mut batch = WriteBatch::default();
    for (log, candidate) in found {
        if let Some(front) = state.heads.get_mut(&log)
            && front.found(candidate)
        {
            put_number(&mut batch, &f, &keys::of_log(keys::HEAD, log), front.at);
        }
    }
    if bodies_found.is_some_and(|candidate| state.low_water.found(candidate)) {
        put_number(&mut batch, &f, &keys::LOW_WATER, state.low_water.at);
    }
    let fronts = Fronts {
        low_water: state.low_water.at,
        heads: state.heads.iter().map(|(log, front)| (*log, front.at)).collect(),
        logs_gone: state.logs_gone.clone(),
    };
    if !batch.is_empty() {
        shared.write(&mut state, &batch, "store fronts")?;
    }
    Ok(Some(fronts))
}

/// Files below the low-water mark go at once and unread. Not those of the newest level: the engine never drops them.
fn drop_files(shared: &Shared, low_water: Sequence) -> Result<(), JournalError> {
    let Some(last) = low_water.checked_sub(1) else { return Ok(()) };
    // An old sequence that came in since then is in the log and in memory, not yet in a file that could be dropped: it
    // would have to be flushed and merged down a level meanwhile. The lock makes sure of it.
    let state = shared.lock();
    if state.closed || state.low_water.at < low_water {
        return Ok(());
    }
    let bodies = families(&shared.db).bodies;
    shared
        .db
        .delete_file_in_range_cf(bodies, keys::body(0), keys::body(last))
        .map_err(|e| engine::error("drop files", &e))
}

/// What is below the fronts and still on disk.
struct Dead {
    bodies_end: Sequence,
    logs: Vec<(LogId, Sequence)>,
    bytes: u64,
}

fn dead_ranges(shared: &Shared, fronts: &Fronts) -> Dead {
    let f = families(&shared.db);
    let size = |family, from: &[u8], to: &[u8]| -> u64 {
        shared.db.get_approximate_sizes_cf(family, &[Range::new(from, to)]).into_iter().sum()
    };
    let dead = size(f.bodies, &keys::body(0), &keys::body(fronts.low_water));
    let alive = size(f.bodies, &keys::body(fronts.low_water), &keys::body(Sequence::MAX));
    // Large bodies lie in files of their own, of which sizes by range say nothing: take the share that their keys have.
    let large = shared.db.property_int_value_cf(f.bodies, "rocksdb.total-blob-file-size").ok().flatten().unwrap_or(0);
    let large_dead = u128::from(large) * u128::from(dead) / u128::from(dead + alive).max(1);
    let mut bytes = dead + large_dead as u64;
    let mut logs = Vec::new();
    let gone = fronts.logs_gone.iter().map(|log| (*log, Sequence::MAX));
    for (log, head) in fronts.heads.iter().copied().chain(gone) {
        let dead = size(f.entries, &keys::entry(log, 0), &keys::entry(log, head));
        if dead > 0 {
            bytes += dead;
            logs.push((log, head));
        }
    }
    Dead { bodies_end: fronts.low_water, logs, bytes }
}

/// Has the engine merge the dead ranges, which leaves nothing of them. Reads and appends go on meanwhile.
fn merge(shared: &Shared, dead: &Dead) {
    let f = families(&shared.db);
    let options = engine::compact_options();
    shared.db.compact_range_cf_opt(f.bodies, Some(keys::body(0)), Some(keys::body(dead.bodies_end)), &options);
    for (log, head) in &dead.logs {
        shared.db.compact_range_cf_opt(f.entries, Some(keys::entry(*log, 0)), Some(keys::entry(*log, *head)), &options);
    }
    let mut state = shared.lock();
    state.logs_gone.retain(|log| !dead.logs.iter().any(|(merged, _)| merged == log));
    drop(state);
    shared.count_trim();
}
