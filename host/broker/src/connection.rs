//! A connection as the machine knows it: its consumers, transactions, producers, and what waits for it.

use std::collections::VecDeque;
use std::sync::Arc;

use message::{Destination, Event, ProducerId, Publish, Receipt, Refusal, SubscriptionKey, Text, TransactionKey};
use plugin::auth::Principal;
use rustc_hash::FxHashMap;

use crate::slots::Key;

#[derive(Debug)]
pub(crate) struct Connection {
    /// The client's own id of it.
    pub(crate) id: Text,
    pub(crate) client_id: Option<Text>,
    pub(crate) user: Option<Text>,
    /// Whose rights it has.
    pub(crate) principal: Arc<Principal>,
    pub(crate) remote: Text,
    /// The client came back after a break; its sends may be repeated (row L04).
    pub(crate) failover: bool,
    pub(crate) consumers: FxHashMap<SubscriptionKey, Key>,
    pub(crate) transactions: FxHashMap<TransactionKey, Transaction>,
    pub(crate) producers: FxHashMap<ProducerId, Option<Destination>>,
    /// Temporary destinations it owns.
    pub(crate) temporary: Vec<Destination>,
    /// Sends that wait for room, oldest first, with the time they came.
    pub(crate) parked: VecDeque<(i64, Publish)>,
    /// Messages it gave up whose bodies are on their way from the journal to become dead letters.
    pub(crate) burying: u32,
    /// Answers that wait for those.
    pub(crate) withheld: Vec<Receipt>,
    /// Fences that wait for those sends.
    pub(crate) fences: Vec<Receipt>,
    /// The session was told to stop reading.
    pub(crate) paused: bool,
    /// Bytes handed out that its socket has not taken.
    pub(crate) unsent: u64,
    /// Events for the caller to fetch.
    pub(crate) events: Vec<Event>,
}

/// Sends and acknowledgements that wait for a commit.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) publishes: Vec<Publish>,
    /// Consumer and tag of each acknowledged delivery.
    pub(crate) acks: Vec<(Key, u64)>,
    /// Bytes of its sends, counted against the memory limit until it ends.
    pub(crate) bytes: u64,
    /// Why it can only roll back (row W20).
    pub(crate) failed: Option<Refusal>,
}

impl Transaction {
    pub(crate) fn operations(&self) -> usize {
        self.publishes.len() + self.acks.len()
    }
}
