//! The core machine: destinations, subscriptions, routing, dispatch, prefetch, acknowledgements, redelivery, dead
//! letters, transactions, advisories, memory limits.
//!
//! It knows the words of `message` and asks a policy of `plugin` who gets what; it knows no protocol, no socket, no
//! clock, no thread and no storage. Commands go in, effects come out:
//!
//! ```text
//!   handle(command) ──┐                      ┌── poll_append: records for the journal, in atomic groups
//!   persisted(position)┼──> Broker ── flush ─┼── poll_load: bodies wanted back
//!   loaded(bodies) ────┤                     └── poll_events: words to sessions
//!   tick(now) ─────────┘
//! ```
//!
//! "No receipt before durable" is a state in here: what must wait for the journal stands in [`Broker`]'s list of
//! awaited things with the position it waits for.
//!
//! Start reading at [`Broker`]; `publish`, `dispatch` and `acknowledge` are a message's way through it.

mod acknowledge;
mod advisory;
mod broker;
mod browse;
mod config;
mod connection;
mod consumer;
mod destinations;
mod dispatch;
mod entry;
mod explain;
mod fan_out;
mod group_look;
mod groups;
mod keep;
mod line;
mod owners;
mod pace;
mod pending;
mod plugin_log;
mod policy;
mod properties;
mod publish;
mod recover;
mod retired;
mod rights;
mod routing;
mod slots;
mod stats;
mod subscribe;
mod transaction;

pub use broker::{Broker, LoadId};
pub use config::{Config, DestinationPolicy, DestinationSettings, Routing};
pub use explain::{
    COPIES_TOLD_MAX, Decision, EXPLAIN_DECISIONS_MAX, EXPLAIN_DESTINATIONS_MAX, ExplainError, Explained, Given,
    OwnerDecision,
};
pub use fan_out::{TopicReport, TopicStats};
pub use groups::GroupStats;
pub use keep::KeepId;
pub use line::LineStats;
pub use plugin_log::{PLUGIN_LOG_TOPIC, PluginLine};
pub use recover::Recovery;
pub use retired::Retired;
pub use routing::{RoutingReport, RoutingStats, number_of, property_of};
pub use stats::{LineReport, Stats};

/// Room in the journal, as the journal's keeper sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalRoom {
    /// All is well.
    #[default]
    Plenty,
    /// Producers of persistent messages wait or are refused; consumers go on.
    ProducersWait,
}
