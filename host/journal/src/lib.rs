//! The journal: what the broker must find again after a stop, a crash or a power cut.
//!
//! This room holds the promise ([`Journal`]), the encoding of what is kept ([`mod@format`]), a twin in memory for tests and
//! the simulator ([`MemJournal`]) and the tests that every journal has to pass ([`conformance`]). It does no I/O and
//! knows no storage engine; neither does it know what a record means to the broker.
//!
//! Start reading at [`Journal`].

pub mod conformance;
pub mod format;
mod memory;

use message::{Loaded, LogId, Record, Sequence};

pub use memory::{Fault, MemJournal};

/// Keeps records. One thread appends; any thread may load, ask for room or read figures meanwhile.
///
/// What the caller promises: a body is appended once for each sequence; an entry is appended once for each pair of log
/// and sequence, until an `EntryGone` names it; a `LogId` is never used again after its `LogGone`; facts are within their
/// limits. An engine may rely on
/// that: a key is put once and deleted once.
pub trait Journal: Send + Sync {
    /// Gives everything back, in this order: the facts by key; all logs by number, each `Log` followed by its `Dispatched`
    /// if there is one; the producers, oldest `at` first; the owners of message groups by log and group; then per log its
    /// entries by sequence, each followed by its `Redeliveries` if there are any. Bodies are not read. To be called before
    /// the first [`Journal::append`].
    ///
    /// A damaged record is an error that names it: nothing is left out in silence. A fact alone is given back without its
    /// value when that is damaged, counted in [`Stats::damaged`] and logged: the core can work without it.
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError>;

    /// Makes all groups durable with one atomic write and one sync; a group is never torn.
    ///
    /// Durable when it returns `Ok`. After [`JournalError::Full`] nothing was written: the same groups may be tried
    /// again. After any other error it is unknown what will be found after a restart, and the journal is poisoned: every
    /// later call of `append` and `load` answers [`JournalError::Poisoned`].
    fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError>;

    /// Reads bodies, one answer for each sequence asked for, in the same order. `None` stands for a body that is not
    /// there, or that is damaged: the latter is counted in [`Stats::damaged`] and logged with its sequence. Never a wrong
    /// body.
    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError>;

    /// Whether there is space for more. Cheap: asks the file system at most every 100 ms.
    fn room(&self) -> Room;

    /// To be called about once a second: starts giving disk space back and the like, on another thread where it takes
    /// long. Cheap when nothing is to be done.
    fn maintain(&self);

    /// Figures for people and metrics.
    fn stats(&self) -> Stats;

    /// Brings the journal into the state that starts fastest. Later appends answer [`JournalError::Closed`]. Says
    /// nothing of how the broker stopped: that is [`Record::CleanStop`], which must be appended before. A journal that
    /// is dropped without a `close` loses nothing.
    fn close(&self) -> Result<(), JournalError>;
}

/// A journal of a kind that is chosen at run time.
impl Journal for Box<dyn Journal> {
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError> {
        (**self).recover(each)
    }

    fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
        (**self).append(groups)
    }

    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
        (**self).load(sequences)
    }

    fn room(&self) -> Room {
        (**self).room()
    }

    fn maintain(&self) {
        (**self).maintain();
    }

    fn stats(&self) -> Stats {
        (**self).stats()
    }

    fn close(&self) -> Result<(), JournalError> {
        (**self).close()
    }
}

/// What [`Journal::recover`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Higher than every sequence that was ever durable, be it gone meanwhile; at least 1.
    pub next_sequence: Sequence,
    /// Higher than every log number that was ever durable; at least 1.
    pub next_log: LogId,
    /// The last thing that was appended is [`Record::CleanStop`]. True for a new journal too.
    pub clean_stop: bool,
    /// Rises each time the journal is opened; 1 for a new one.
    pub epoch: u64,
    /// Entries given back.
    pub entries: u64,
    /// Sum of [`message::EntryMeta::size`] over them.
    pub bytes: u64,
}

/// Whether there is space for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Go on.
    Plenty,
    /// Producers of persistent messages should wait; acknowledgements still go through and make room.
    ProducersWait,
    /// Nothing goes through: [`Journal::append`] answers [`JournalError::Full`] until space is back.
    Full,
}

/// Figures since the journal was opened, but for those that say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Successful appends, each with one sync.
    pub appends: u64,
    /// Groups in them.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes handed to the log for them.
    pub bytes_appended: u64,
    /// Bodies read.
    pub bodies_loaded: u64,
    /// Records found damaged by [`Journal::load`], and facts by [`Journal::recover`].
    pub damaged: u64,
    /// Appends refused for want of space.
    pub refused_full: u64,
    /// Times that space was given back.
    pub trims: u64,
    /// Times that what appends left in one place was brought to its own, where an engine does so.
    pub settles: u64,
    /// Appends that waited for that, because too much was left.
    pub settle_waits: u64,
    /// Bytes the store takes on disk now.
    pub store_bytes: u64,
    /// Bytes it may take, now.
    pub store_bytes_limit: u64,
    /// Bytes free on the file system, now.
    pub disk_free_bytes: u64,
    /// Memory the engine holds for buffers and caches, now.
    pub memory_bytes: u64,
    /// The journal failed and answers nothing any more.
    pub poisoned: bool,
}

/// Why the journal did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Too little space; nothing was written and the journal goes on once there is more.
    #[error("journal is full: {free_bytes} bytes free, {reserve_bytes} are kept in reserve; make room on its disk")]
    Full {
        /// Bytes free on the file system.
        free_bytes: u64,
        /// Bytes that must stay free.
        reserve_bytes: u64,
    },
    /// An earlier write or sync failed; what is on disk is known only after a restart.
    #[error("journal stopped after its first failure: {first_error}")]
    Poisoned {
        /// That failure.
        first_error: String,
    },
    /// A record does not read back.
    #[error("{what} {key} in the journal is damaged: {cause}")]
    Damaged {
        /// What kind of record.
        what: &'static str,
        /// Its key, or the file and offset.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Written by a later version.
    #[error("journal has format {found}, this program reads up to {known}; start the version that wrote it")]
    Newer {
        /// Format found.
        found: u32,
        /// Latest format known here.
        known: u32,
    },
    /// A place that holds something else.
    #[error("{place} is no journal of this broker: {cause}")]
    Foreign {
        /// The directory, or the database.
        place: String,
        /// What was found there, and what to name in its stead.
        cause: String,
    },
    /// Another process has the journal.
    #[error("journal in {place} is in use by another process")]
    Locked {
        /// The directory.
        place: String,
    },
    /// The lock that makes its user the only one is lost.
    #[error("journal takes nothing more, because the lock on it is lost: {why}")]
    Fenced {
        /// How it was lost.
        why: String,
    },
    /// After [`Journal::close`].
    #[error("journal is closed")]
    Closed,
    /// The operating system said no.
    #[error("cannot {attempt} {place}: {cause}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// With which file or directory.
        place: String,
        /// The answer.
        cause: String,
    },
    /// The storage engine said no.
    #[error("journal engine cannot {attempt}: {cause}")]
    Engine {
        /// What was attempted.
        attempt: &'static str,
        /// The answer.
        cause: String,
    },
}
