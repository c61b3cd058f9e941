//! How the engine is set up, and how its errors read.

use std::path::Path;

use journal::JournalError;
use rocksdb::properties::MIN_LOG_NUMBER_TO_KEEP;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    DBCompressionType, DBRecoveryMode, ErrorKind, LogLevel, Options, WriteOptions,
};

use crate::{Config, keys};

const MIB: usize = 1024 * 1024;
/// Files of sorted records grow to this size; it is also the step in which a queue gives its space back.
const FILE_BYTES: u64 = 16 * MIB as u64;
/// Of this many neighbouring records in a file …
const TOMBSTONE_WINDOW: usize = 4096;
/// … so many deletions make the engine merge the file with what they delete.
const TOMBSTONES_MAX: usize = 2048;
/// Files the engine keeps open.
const OPEN_FILES_MAX: i32 = 256;

pub(crate) fn open(config: &Config) -> Result<DB, JournalError> {
    let families = family_descriptors(config);
    DB::open_cf_descriptors(&database_options(config), &config.place, families).map_err(|e| open_error(config, &e))
}

/// Number of the oldest log with something that is nowhere else, as the engine noted it; 0 if it does not say. Changes
/// nothing in the journal.
pub(crate) fn oldest_log_needed(config: &Config) -> u64 {
    let (options, families) = (database_options(config), family_descriptors(config));
    let opened = DB::open_cf_descriptors_read_only(&options, &config.place, families, false);
    let number = opened.and_then(|db| db.property_int_value(MIN_LOG_NUMBER_TO_KEEP));
    number.ok().flatten().unwrap_or(0)
}

fn family_descriptors(config: &Config) -> [ColumnFamilyDescriptor; 3] {
    let cache = Cache::new_lru_cache(config.block_cache_bytes);
    [keys::BODIES, keys::ENTRIES, keys::FACTS]
        .map(|name| ColumnFamilyDescriptor::new(name, family_options(config, name, &cache)))
}

fn database_options(config: &Config) -> Options {
    let mut o = Options::default();
    o.create_if_missing(true);
    o.create_missing_column_families(true);
    // The log. A write into a file whose blocks exist needs no change of the file's metadata, so its sync is about half
    // as dear: logs are used again. That works with this mode of recovery only. Each append is synced before the next
    // one begins, so nothing that was confirmed can lie behind the point where recovery stops.
    o.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    o.set_recycle_log_file_num(config.log_files_recycled);
    o.set_max_total_wal_size(4 * config.write_buffer_bytes as u64);
    o.set_wal_compression_type(DBCompressionType::None);
    o.set_track_and_verify_wals_in_manifest(true);
    // Groups span families, so families are flushed together, or not at all.
    o.set_atomic_flush(true);
    // One thread writes.
    o.set_allow_concurrent_memtable_write(false);
    o.set_enable_write_thread_adaptive_yield(false);
    o.set_db_write_buffer_size(config.write_buffer_bytes);
    o.set_max_background_jobs(2);
    o.set_max_open_files(OPEN_FILES_MAX);
    o.set_max_file_opening_threads(1);
    o.set_skip_stats_update_on_db_open(true);
    o.set_allow_mmap_reads(false);
    o.set_allow_mmap_writes(false);
    o.set_max_manifest_file_size(4 * MIB);
    o.set_bytes_per_sync(MIB as u64);
    o.set_stats_dump_period_sec(0);
    o.set_stats_persist_period_sec(0);
    o.set_log_level(LogLevel::Warn);
    o.set_max_log_file_size(MIB);
    o.set_keep_log_file_num(2);
    o
}

fn family_options(config: &Config, name: &str, cache: &Cache) -> Options {
    let mut o = Options::default();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(if name == keys::BODIES { 16 * 1024 } else { 4 * 1024 });
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    o.set_block_based_table_factory(&table);
    o.set_write_buffer_size(config.write_buffer_bytes);
    o.set_max_write_buffer_number(3);
    o.set_arena_block_size(256 * 1024);
    o.set_compression_type(DBCompressionType::Lz4);
    o.set_target_file_size_base(FILE_BYTES);
    o.set_max_bytes_for_level_base(8 * FILE_BYTES);
    // A merge needs this much space until it is done; the reserve for producers has to hold it.
    o.set_max_compaction_bytes(8 * FILE_BYTES);
    o.add_compact_on_deletion_collector_factory(TOMBSTONE_WINDOW, TOMBSTONES_MAX, 0.5);
    if name == keys::BODIES {
        o.set_enable_blob_files(true);
        o.set_min_blob_size(config.blob_bytes_min);
        o.set_blob_file_size(4 * FILE_BYTES);
        o.set_blob_compression_type(DBCompressionType::Lz4);
        o.set_enable_blob_gc(true);
        o.set_blob_gc_age_cutoff(0.5);
        o.set_blob_gc_force_threshold(0.5);
    }
    o
}

/// For merges that only have to get rid of what is deleted.
pub(crate) fn compact_options() -> CompactOptions {
    let mut o = CompactOptions::default();
    o.set_exclusive_manual_compaction(false);
    o.set_bottommost_level_compaction(BottommostLevelCompaction::IfHaveCompactionFilter);
    o
}

pub(crate) fn synced() -> WriteOptions {
    let mut o = WriteOptions::default();
    o.set_sync(true);
    // Better turned away than asleep: a flush that has no space is waited for without end.
    o.set_no_slowdown(true);
    o
}

/// The three families.
pub(crate) struct Families<'a> {
    pub(crate) bodies: &'a ColumnFamily,
    pub(crate) entries: &'a ColumnFamily,
    pub(crate) facts: &'a ColumnFamily,
}

pub(crate) fn families(db: &DB) -> Families<'_> {
    let family = |name| db.cf_handle(name).expect("open names all families");
    Families { bodies: family(keys::BODIES), entries: family(keys::ENTRIES), facts: family(keys::FACTS) }
}

/// Sum of a figure over the families.
pub(crate) fn sum(db: &DB, property: &str) -> u64 {
    let f = families(db);
    let one = |family| db.property_int_value_cf(family, property).ok().flatten().unwrap_or(0);
    [f.bodies, f.entries, f.facts].into_iter().map(one).sum()
}

pub(crate) fn error(attempt: &'static str, e: &rocksdb::Error) -> JournalError {
    match e.kind() {
        ErrorKind::Corruption => JournalError::Damaged { what: "file", key: file_in(e.as_ref()), cause: e.to_string() },
        _ => JournalError::Engine { attempt, cause: e.to_string() },
    }
}

/// The engine has no code of its own for this; its text is the operating system's.
pub(crate) fn is_no_space(e: &rocksdb::Error) -> bool {
    let text = e.as_ref();
    text.contains("No space left on device") || text.contains("Space limit reached")
}

/// Whether one of the engine's own threads found no space, in a sorted file or the list of files. A write is turned away
/// with that error before it reaches the log. The log's own errors name the log.
pub(crate) fn is_no_space_elsewhere(e: &rocksdb::Error) -> bool {
    is_no_space(e) && !e.as_ref().contains(".log")
}

fn open_error(config: &Config, e: &rocksdb::Error) -> JournalError {
    let place = config.place.display().to_string();
    let text = e.as_ref();
    if text.contains("/LOCK: ") || text.contains("lock hold by current process") {
        JournalError::Locked { place }
    } else if text.contains("Column families not opened") || text.contains("does not match existing comparator") {
        JournalError::Foreign { place, cause: format!("{text}; name an empty directory") }
    } else if is_no_space(e) {
        JournalError::Full { free_bytes: crate::space::free_bytes(Path::new(&place)), reserve_bytes: 0 }
    } else {
        error("open", e)
    }
}

/// The file that a complaint names, or all of the complaint.
fn file_in(text: &str) -> String {
    let clean = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/').to_string();
    text.split_whitespace().map(clean).find(|word| word.contains('/')).unwrap_or_else(|| text.into())
}
