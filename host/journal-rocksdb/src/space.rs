//! How much space there is, and how much may be used.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use journal::Room;

use crate::Config;

const MIB: u64 = 1024 * 1024;
/// How long an answer of the file system counts.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Answers whether there is space, by limits that are settled when the journal is opened.
#[derive(Debug)]
pub(crate) struct Space {
    place: PathBuf,
    reserve_producers_bytes: u64,
    pub(crate) reserve_hard_bytes: u64,
    store_limit_bytes: u64,
    last: Mutex<Option<Seen>>,
}

/// What was seen last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    at: Instant,
    pub(crate) free_bytes: u64,
    pub(crate) store_bytes: u64,
}

impl Space {
    /// `store_bytes` is what the journal takes already.
    pub(crate) fn new(config: &Config, store_bytes: u64) -> Space {
        let (total, free) = file_system(&config.place).unwrap_or((u64::MAX, u64::MAX));
        let reserve_producers_bytes = config.reserve_producers_bytes.unwrap_or((256 * MIB).min(total / 10));
        let reserve_hard_bytes = config.reserve_hard_bytes.unwrap_or((64 * MIB).min(total / 25));
        // The limit itself stays: where the disk is smaller, its reserves speak first, and they see when it grows.
        let has = free.saturating_add(store_bytes).saturating_sub(reserve_producers_bytes);
        if has < config.store_limit_bytes {
            tracing::warn!(
                wanted_bytes = config.store_limit_bytes,
                limit_bytes = has,
                place = %config.place.display(),
                "store limit is lowered to what the disk has"
            );
        }
        let store_limit_bytes = config.store_limit_bytes;
        let place = config.place.clone();
        Space { place, reserve_producers_bytes, reserve_hard_bytes, store_limit_bytes, last: Mutex::new(None) }
    }

    /// What is free and what is used, at most [`ASK_AGAIN`] old. `store_bytes` is asked only when needed.
    pub(crate) fn seen(&self, store_bytes: impl FnOnce() -> u64) -> Seen {
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match *last {
            Some(seen) if seen.at.elapsed() < ASK_AGAIN => seen,
            _ => {
                let now = Seen { at: Instant::now(), free_bytes: free_bytes(&self.place), store_bytes: store_bytes() };
                *last = Some(now);
                now
            }
        }
    }

    /// Bytes the journal may take: the limit, or what the disk has now.
    pub(crate) fn limit_bytes(&self, seen: Seen) -> u64 {
        let has = seen.free_bytes.saturating_add(seen.store_bytes).saturating_sub(self.reserve_producers_bytes);
        self.store_limit_bytes.min(has)
    }

    pub(crate) fn room(&self, seen: Seen) -> Room {
        if seen.free_bytes < self.reserve_hard_bytes {
            Room::Full
        } else if seen.free_bytes < self.reserve_producers_bytes || seen.store_bytes >= self.store_limit_bytes {
            Room::ProducersWait
        } else {
            Room::Plenty
        }
    }
}

/// Bytes free for us; all there could be when the file system gives no answer, since then the write will tell.
pub(crate) fn free_bytes(place: &Path) -> u64 {
    file_system(place).map_or(u64::MAX, |(_, free)| free)
}

/// Bytes in total and free.
fn file_system(place: &Path) -> Option<(u64, u64)> {
    let found = nix::sys::statvfs::statvfs(place).ok()?;
    let unit = found.fragment_size();
    Some((found.blocks().saturating_mul(unit), found.blocks_available().saturating_mul(unit)))
}
