//! Runs policies that are WebAssembly components: the only room that says `wasmtime`.
//!
//! It must never know what a message is, or decide what the core may do with a plan; it asks a component under limits
//! and says who answered. Whatever a component does, [`plugin::QueueDispatch::plan`] answers: if the component cannot,
//! its native twin decides that batch. Auth alone has nobody to decide in its place: there it says so, and who asked refuses.
//!
//! Start reading at [`WasmHost`], then `dispatch.rs`, which is the hot path, and `keeper.rs`, which does all that is slow.
//! What all extension points share is in `cell.rs` and `instance.rs`; `world.rs` says what each adds to it.
//!
//! ```text
//!  core thread                                   keeper thread
//!  call ─ Live ────────────────> guest           compile, describe, configure (once per policy)
//!       ─ Empty/Asleep: make here (10-20 us)     make an instance anew after a fault, after a pause
//!       ─ fault: drop the store ──── job ──────> put the idlest to sleep when too many are alive
//!       ─ everything else: native twin           drop stores
//! ```
//!
//! Invariants:
//! - A store that trapped or overran is never entered again; it is dropped whole.
//! - A component gets only what its world grants: no WASI, no clock, no random numbers.
//! - No host memory is allocated on a guest's word beyond the limits in [`Limits`].
//!
//! `unsafe` is in one place, `cache.rs`: code that was compiled in a former run is taken back, after a check that nobody but
//! this user can have written it.

mod auth;
mod bindings;
mod cache;
mod cell;
mod check;
mod dispatch;
mod engine;
mod grants;
mod groups;
mod host;
mod incumbent;
mod instance;
mod keeper;
pub mod kit;
mod limits;
mod log_book;
mod members;
mod messages;
mod meter;
mod network;
mod probation;
mod program;
mod recorder;
mod recording;
mod routing;
mod runtime;
mod shadow;
mod state;
mod stock;
mod stores;
mod swap;
mod topic;
mod world;

pub use crate::cache::{CachePlace, CacheStats};
pub use crate::check::{Inspection, inspect};
pub use crate::host::{HostStats, Prepared, STATES_COLLECTED_MAX, WasmHost};
pub use crate::limits::Limits;
pub use crate::log_book::{LogLine, Said};
pub use crate::recorder::{RecordingProgress, RecordingWish};
pub use crate::recording::{
    Answered, Change, Data, Head, RecordedColumn, RecordedConsumers, RecordedMember, Recording, RecordingError, Start,
    Step,
};
pub use crate::shadow::{ShadowReport, Sides};
pub use crate::state::KeptState;
pub use crate::stock::{Stock, stock, stock_of};
pub use crate::stores::KeptStore;
pub use crate::swap::{Remark, SwapEvent, Takeover, Turnout};
