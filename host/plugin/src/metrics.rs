//! Counters that policies keep of their own.

use std::sync::Arc;

/// A counter that a policy keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What was added to it.
    pub total: u64,
    /// Values that were noted under it.
    pub noted: u64,
    /// Their sum.
    pub sum: f64,
    /// The least of them; 0 if there are none.
    pub least: f64,
    /// The greatest of them; 0 if there are none.
    pub greatest: f64,
}

/// The counters of a policy on one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyMetrics {
    /// Name of the policy.
    pub policy: Arc<str>,
    /// The destination or binding that it serves.
    pub destination: Arc<str>,
    /// They, in the order in which the policy made them.
    pub metrics: Vec<Metric>,
}
