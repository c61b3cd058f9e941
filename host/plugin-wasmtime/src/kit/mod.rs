//! What authors judge a policy with: random questions by seed, the contract that every policy of a world keeps, recordings
//! played again, and what one costs.
//!
//! It runs a component as a broker does, through [`WasmHost`](crate::WasmHost), with more time than a broker gives: what is
//! judged is the answer; how long it took is told beside it.

mod auth;
mod contract;
mod cost;
mod costs;
mod golden;
mod group;
mod network;
mod questions;
mod queue;
mod replay;
mod routing;
mod rows;
mod topic;
mod traffic;

pub use contract::{Finding, Outcome, contract};
pub use cost::{COST_ROWS, Cost, cost};
pub use costs::{AuthCost, CostMessages, cost_auth, cost_groups, cost_network, cost_routing, cost_topic};
pub use golden::golden;
pub use replay::{Candidate, Difference, Replay, replay};
pub use traffic::{Random, Traffic, absent};
