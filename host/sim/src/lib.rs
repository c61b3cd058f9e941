//! The house in a bottle: the broker machine, a journal in memory and a handful of clients, driven through random
//! interleavings, faults and restarts in virtual time, all from one seed; and a checker beside it that knows only what
//! was promised.
//!
//! It knows the broker machine's doors and the journal's, no socket, no clock, no thread. The same seed and number of
//! steps give the same run, always.
//!
//! ```text
//!   clients ── Command ──> [here sessions over bytes can stand] ──> Broker <── persisted, loaded, tick ── Disk
//!      ^                                                              │                                    ^
//!      └───────────── Event ─── Oracle listens ───────────────────────┴── groups of records, loads ────────┘
//! ```
//!
//! Sessions over bytes belong into [`World`]'s `carry_out` and `pass_on`: all commands and all events go through these
//! two, and the checker listens on the broker's side of them.
//!
//! Beside it stands a second, smaller simulation: the lock keepers of brokers that share a directory ([`Keepers`]).
//!
//! Start reading at [`World`], then `oracle`.

mod acting;
mod campaign;
mod client;
mod disk;
mod drain;
mod keepers;
mod ledger;
mod lock_model;
mod options;
mod oracle;
mod policy;
mod rng;
mod tamper;
mod words;
mod world;

pub use campaign::{Summary, demand, run, run_tampered};
pub use keepers::{Keepers, LockTally, LockTamper};
pub use oracle::Counted;
pub use tamper::Tamper;
pub use world::{Tally, Violation, World};
