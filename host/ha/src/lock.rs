//! What a lock is to the keeper, and how it is lost.

use std::fmt;

use crate::Holder;

/// A lock that brokers with the same journal share. At most one of them holds it, as far as its medium can tell; the
/// [`crate::Keeper`] makes up for the rest.
///
/// Calls may block for as long as the medium likes, so they belong on a thread of their own; only one of them is under way
/// at a time.
pub trait Lock: Send + Sync {
    /// Takes the lock if it is free and leaves it alone otherwise.
    fn take(&self) -> Result<Attempt, LockError>;

    /// Writes into the lock who holds it, durably: who asks from now on sees it, and whoever held it before finds out.
    /// Where a holder can lose the lock without knowing, the call with an epoch does nothing: a holder that was stopped in
    /// the middle of it would take the lock back.
    fn claim(&self, epoch: Option<u64>) -> Result<(), LockError>;

    /// Whether the lock is held and is what was last claimed. True for some moment between call and return.
    fn check(&self) -> Checked;

    /// Gives the lock up. `done` says that whatever it guarded is closed and will not be written again.
    fn release(&self, done: bool);
}

/// What came of taking the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is ours.
    Taken(Former),
    /// Somebody else has it.
    Held(HeldBy),
}

/// What is known of who held the lock before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Former {
    /// Nobody did, or whoever did writes nothing any more, for certain.
    Gone,
    /// It may be alive and not know yet that it lost the lock.
    Unknown {
        /// Why nothing is certain.
        why: &'static str,
        /// How long it may go on confirming after its last proof, ms, if it said so.
        window_ms: Option<i64>,
    },
}

/// Who has a lock that could not be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldBy {
    /// What the lock says about its holder; nothing if the holder has not claimed it, or is another program.
    pub holder: Option<Holder>,
    /// Process id of a holder on this machine that is another program.
    pub foreign: Option<i32>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is ours.
    Ours,
    /// It is not, for certain.
    Lost(Loss),
    /// The medium did not say.
    Unknown(LockError),
}

/// How the lock was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The lock's file is gone.
    #[error("its file was deleted")]
    Deleted,
    /// Another file has its name.
    #[error("its file was replaced by another one")]
    Replaced,
    /// Somebody wrote to the file, moved it or changed its times, and it still says that we hold it.
    #[error("its file was touched")]
    Touched,
    /// The medium forgot that we hold it.
    #[error("the file system has dropped it")]
    Dropped,
    /// Its row in the database names no holder, or is not there.
    #[error("its row in the database was freed or removed")]
    Freed,
    /// Somebody else claims it.
    #[error("it was taken over by {0}")]
    TakenOver(String),
    /// It could not be proven for too long.
    #[error("it could not be proven for {ms} ms")]
    Late {
        /// How long.
        ms: i64,
    },
    /// It was given up on purpose.
    #[error("it was given up")]
    GivenUp,
}

/// Why a lock cannot be had, or not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The name is taken by something that is no file.
    #[error("{place} is no file, so it cannot be locked; remove it or name another data directory")]
    NotAFile {
        /// The path.
        place: String,
    },
    /// The file holds something of another program.
    #[error("{place} is no lock of this broker: {cause}; name another data directory")]
    Foreign {
        /// The path.
        place: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The file cannot be written there.
    #[error("cannot write {place}: {cause}; the broker must be allowed to write in its data directory")]
    Denied {
        /// The path.
        place: String,
        /// The answer of the system.
        cause: String,
    },
    /// The file system has no record locks.
    #[error(
        "the file system of {place} has no record locks: {cause}; use another one, or lock.enabled = false for a \
             broker that shares its data directory with nobody"
    )]
    Unsupported {
        /// The path.
        place: String,
        /// The answer of the system.
        cause: String,
    },
    /// Asked of a lock that is not held.
    #[error("{place} is not held")]
    NotHeld {
        /// The path.
        place: String,
    },
    /// The operating system said no.
    #[error("cannot {attempt} {place}: {cause}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// The path.
        place: String,
        /// The answer of the system.
        cause: String,
    },
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.holder, self.foreign) {
            (_, Some(pid)) => write!(f, "process {pid}, which is no broker of this kind"),
            (Some(holder), None) => write!(f, "{holder}"),
            (None, None) => f.write_str("a process that has not said its name"),
        }
    }
}
