//! What a policy may decide: the traits that the core asks, the columns it shows, the check of the answer, and the
//! native twins of the stock policies.
//!
//! This room must never know how a policy is run: no WebAssembly, no threads, no clocks. It holds values, traits and
//! pure arithmetic, so that the core builds and is tested without an engine.
//!
//! Start reading at [`QueueDispatch`], then [`PlanCheck`]: a plan is advice, the host owns the truth. The other extension
//! points are alike, a trait that the core asks, a check of the answers, native policies: [`GroupAssignment`],
//! [`TopicDispatch`], [`PublishRouting`],
//! [`NetworkFilter`]. [`auth`] is who comes in and what they may do.
//!
//! ```text
//!  core ── DispatchBatch (columns, consumers, candidates) ──> dyn QueueDispatch ── Vec<slot> ──> PlanCheck ──> core
//!                                                                  │ fault, warming
//!                                                                  └──> native twin decides this very batch
//! ```

pub mod auth;
mod batch;
mod check;
mod dispatch;
mod error;
mod groups;
mod messages;
mod metrics;
pub mod native;
mod network;
mod point;
mod property;
mod routing;
mod symbols;
mod times;
mod topic;

pub use crate::batch::{Columns, ConsumerRow, DispatchBatch, LEAVE, Member, MemberChange};
pub use crate::check::{Corrections, PlanCheck};
pub use crate::dispatch::{
    Decided, Fallback, PolicyHost, PolicyInfo, PolicyOrigin, PolicyState, PolicyStats, QueueDispatch,
};
pub use crate::error::PolicyError;
pub use crate::groups::{
    GROUP_MOVES_MAX, GROUP_ROWS_MAX, GroupAssignment, GroupBatch, GroupCheck, GroupMove, group_hash,
};
pub use crate::messages::{Messages, Scalar};
pub use crate::metrics::{Metric, PolicyMetrics};
pub use crate::network::{
    Crossing, CrossingCheck, CrossingCorrections, CrossingLogic, Demand, Edit, Interest, NetworkFilter, Peer,
};
pub use crate::point::Point;
pub use crate::property::{Property, PropertyColumn, PropertyForm, state_format, text_hash};
pub use crate::routing::{PublishRouting, RouteCheck, RouteCorrections, RouteLogic, Verdict};
pub use crate::symbols::{SYMBOL_ABSENT, SymbolLimits, SymbolStats, SymbolTable};
pub use crate::times::CallTimes;
pub use crate::topic::{FanOut, FanOutCheck, FanOutCorrections, FanOutLogic, SubscriptionRow, TopicDispatch};
