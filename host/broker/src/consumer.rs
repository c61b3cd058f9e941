//! A consumer: what it wants, what it holds, how much more it may get.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use message::{ConnectionKey, Destination, Message, ProducerId, Sequence, SubscriptionKey, Text};
use selector::Selector;

use crate::entry::Held;
use crate::pace::Pace;
use crate::slots::Key;

#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) connection: ConnectionKey,
    pub(crate) subscription: SubscriptionKey,
    /// Its id as the client knows it.
    pub(crate) id: ProducerId,
    /// What it is called again after a restart of the broker.
    pub(crate) identity: Option<Text>,
    pub(crate) client_id: Option<Text>,
    /// As subscribed: wildcards and composites as they were written.
    pub(crate) destination: Destination,
    /// Queues a wildcard or composite stands for; new queues are matched against these.
    pub(crate) patterns: Vec<Destination>,
    pub(crate) selector: Option<Arc<Selector>>,
    pub(crate) prefetch: u32,
    pub(crate) durable_name: Option<Text>,
    pub(crate) no_local: bool,
    pub(crate) exclusive: bool,
    pub(crate) priority: i8,
    pub(crate) network: bool,
    pub(crate) auto_ack: bool,
    /// Lines it is served from.
    pub(crate) lines: Vec<Key>,
    /// In tag order.
    pub(crate) held: VecDeque<Held>,
    /// Held and not seen by the application.
    pub(crate) unseen: u32,
    /// Up to this tag `Delivered` was said already.
    pub(crate) seen_up_to: u64,
    pub(crate) next_tag: u64,
    /// How fast it acknowledges.
    pub(crate) pace: Pace,
    /// Pulls not yet answered (prefetch 0).
    pub(crate) pulls: u32,
    /// When the oldest pull gives up, ms since 1970.
    pub(crate) pull_deadline: Option<i64>,
    pub(crate) browse: Option<Browse>,
    /// Rises with each consumer; the first of equal exclusive consumers is served.
    pub(crate) order: u64,
}

/// What a browser still has to see.
#[derive(Debug, Default)]
pub(crate) struct Browse {
    /// Line, number and priority of each message when the browser came.
    pub(crate) left: VecDeque<(Key, Sequence, u8)>,
    /// Bodies that came from the journal.
    pub(crate) loaded: HashMap<Sequence, Arc<Message>>,
    pub(crate) loading: bool,
    pub(crate) ended: bool,
}

impl Consumer {
    /// How many more messages it may be given, its connection's window aside (row W28).
    pub(crate) fn credit(&self) -> u32 {
        if self.prefetch == 0 { self.pulls } else { self.prefetch.saturating_sub(self.unseen) }
    }

    /// Index of the held message with this tag or the next one behind it.
    pub(crate) fn held_from(&self, tag: u64) -> usize {
        match self.held.front() {
            Some(first) if first.tag < tag => self.held.partition_point(|held| held.tag < tag),
            _ => 0,
        }
    }

    /// Forgets settled messages at the front.
    pub(crate) fn tidy(&mut self) {
        while self.held.front().is_some_and(|held| held.gone) {
            self.held.pop_front();
        }
        if self.held.capacity() > 4096 && self.held.len() < self.held.capacity() / 8 {
            self.held.shrink_to(self.held.len() * 2);
        }
    }
}
