//! Who may be master: brokers that share a data directory, a lock that one of them holds, and the fence that stops the
//! holder of a lost lock from confirming anything.
//!
//! ```text
//!            lock free                proven once more             journal read
//!  Standby ────────────> Acquired ────────────────────> Recovering ────────────> Active
//!     ^                     │ lost before                    └───── lock lost ──────┤
//!     └─────────────────────┘                                                       v
//!                                                                                Fenced
//! ```
//!
//! The [`Keeper`] is a machine: it is told what happened and what time it is, and says what to do next. It must never know
//! a clock, a thread, a socket or what the journal holds. The lock itself is behind [`Lock`]; [`FileLock`] is the one on a
//! shared directory, made of record locks. The [`Fence`] stands between the broker and its journal ([`Fenced`]): it is
//! open only for a while after each proof that the lock is still held.
//!
//! Start reading at [`Keeper`], then [`FileLock`] for what a proof is.

mod fence;
mod fenced;
mod file;
mod file_system;
mod holder;
mod keeper;
mod lock;

pub use fence::{Fence, Standing};
pub use fenced::Fenced;
pub use file::{FileLock, Waited};
pub use file_system::{FileSystem, Trust};
pub use holder::{HOLDER_BYTES, Holder, HolderError};
pub use keeper::{Action, Answer, Config, Keeper, State};
pub use lock::{Attempt, Checked, Former, HeldBy, Lock, LockError, Loss};
