//! What authors judge a policy with: random traffic by seed, the contract that every policy keeps, recordings played
//! again, and what one costs.
//!
//! It runs a component as a broker does, through [`WasmHost`](crate::WasmHost), with more time than a broker gives: what is
//! judged is the answer; how long it took is told beside it.

mod contract;
mod cost;
mod golden;
mod replay;
mod traffic;

pub use contract::{Finding, Outcome, contract};
pub use cost::{COST_ROWS, Cost, cost};
pub use golden::golden;
pub use replay::{Candidate, Difference, Replay, replay};
pub use traffic::{Random, Traffic, absent};
