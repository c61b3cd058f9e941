//! Why a message went where it went: the latest decisions on a queue or a topic, noted while somebody asks for them.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::Arc;

use message::{Message, Sequence, Text};
use plugin::{ConsumerRow, Decided, LEAVE, SubscriptionRow};
use rustc_hash::{FxHashMap, FxHasher};

use crate::broker::Broker;
use crate::line::{Line, LineKind};
use crate::slots::Key;

/// Decisions kept per destination; the oldest go first.
pub const EXPLAIN_DECISIONS_MAX: usize = 1_000;
/// Destinations whose decisions are noted at the same time.
pub const EXPLAIN_DESTINATIONS_MAX: usize = 16;
/// Subscriptions that one decision names; on a topic more may get the message.
pub const COPIES_TOLD_MAX: usize = 64;
/// Without a question for so long nothing more is noted, ms.
const WATCH_MS: i64 = 10 * 60 * 1000;

/// One message put to a policy, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The message's number.
    pub sequence: Sequence,
    /// Its JMS id.
    pub message_id: String,
    /// The policy that was asked.
    pub policy: Arc<str>,
    /// Its generation; 0 if it has none.
    pub generation: u64,
    /// Who decided.
    pub decided: Decided,
    /// The slot that the answer named; `None` to leave the message where it is.
    pub asked: Option<u32>,
    /// The consumer that it was given to, after the check and what its group allows; `None` if it stayed.
    pub given: Option<Given>,
    /// Digest of the table of consumers that was shown, credit and messages in flight included, on a topic of that of
    /// subscriptions: equal digests stand for equal tables.
    pub table: u64,
    /// Who said that the consumer owns the message's group; `None` for a message without one, and where the owner was found
    /// before anybody asked for decisions, or without asking the policy.
    pub group: Option<OwnerDecision>,
    /// On a topic the subscriptions that got it, in the order in which they were served; at most [`COPIES_TOLD_MAX`].
    pub copies: Vec<Given>,
    /// On a topic the subscriptions that matched and did not get it.
    pub withheld: u32,
}

/// How a message group got its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerDecision {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The group.
    pub group: Text,
    /// The slot of the consumer that it was given to, after the check.
    pub slot: u32,
    /// The group policy that was asked.
    pub policy: Arc<str>,
    /// Its generation; 0 if it has none.
    pub generation: u64,
    /// Who decided.
    pub decided: Decided,
    /// Digest of the table of consumers that was shown, with how many groups each owned.
    pub table: u64,
}

/// A consumer that a message was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its slot.
    pub slot: u32,
    /// Its id as the client knows it; of a durable subscription its name.
    pub consumer: String,
    /// Client id of its connection, or of the subscription.
    pub client_id: Option<Text>,
}

/// Answer to [`Broker::explain`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// Nothing was noted before this question; from now on it is.
    pub begun_now: bool,
    /// The latest decisions, oldest first.
    pub decisions: Vec<Decision>,
}

/// Why there is no explanation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No queue has this name.
    #[error("queue {name} does not exist; explain knows queues that have been used")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// Nobody decides there.
    #[error(
        "topic {name} has no policy, or had no message since it got one; what is sent there goes to all subscriptions that \
         match, in the order in which they came"
    )]
    NoPolicy {
        /// The topic.
        name: String,
    },
    /// Too many are asked about.
    #[error(
        "decisions of {limit} destinations are noted already; those nobody asks about are let go after ten minutes"
    )]
    TooMany {
        /// [`EXPLAIN_DESTINATIONS_MAX`].
        limit: usize,
    },
}

/// What a policy answered to a batch, before the check.
pub(crate) struct Asked {
    generation: u64,
    decided: Decided,
    slots: Vec<u32>,
    table: u64,
}

impl Asked {
    /// `generation` is the one that was asked, `table` what it was shown.
    pub(crate) fn new(generation: u64, decided: Decided, slots: &[u32], table: &[ConsumerRow]) -> Asked {
        Asked { generation, decided, slots: slots.to_vec(), table: digest(table, &[]) }
    }
}

/// Decisions of one line or topic.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    asked_ms: i64,
    decisions: VecDeque<Decision>,
    /// How groups got their owners since then, by their numbers in the line's table, which bounds them.
    owners: FxHashMap<u32, OwnerDecision>,
}

impl Watch {
    fn new(asked_ms: i64) -> Box<Watch> {
        Box::new(Watch { asked_ms, ..Watch::default() })
    }

    fn is_old(&self, now_ms: i64) -> bool {
        now_ms - self.asked_ms > WATCH_MS
    }

    fn note(&mut self, decision: Decision) {
        if self.decisions.len() == EXPLAIN_DECISIONS_MAX {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decision);
    }

    /// These groups got owners.
    pub(crate) fn note_owners(&mut self, decisions: impl Iterator<Item = (u32, OwnerDecision)>) {
        self.owners.extend(decisions);
    }
}

/// What was noted so far; begins to note where nobody did and there `is_room`.
fn answer(watch: &mut Option<Box<Watch>>, is_room: bool, now_ms: i64) -> Result<Explained, ExplainError> {
    match watch {
        Some(watch) => {
            watch.asked_ms = now_ms;
            Ok(Explained { begun_now: false, decisions: watch.decisions.iter().cloned().collect() })
        }
        None if !is_room => Err(ExplainError::TooMany { limit: EXPLAIN_DESTINATIONS_MAX }),
        None => {
            *watch = Some(Watch::new(now_ms));
            Ok(Explained { begun_now: true, decisions: Vec::new() })
        }
    }
}

impl Broker {
    /// The latest decisions on the messages of a queue, or of a topic by its name with `topic://` in front. The first question
    /// begins to note them; ten minutes after the last one that ends.
    pub fn explain(&mut self, destination: &str, now_ms: i64) -> Result<Explained, ExplainError> {
        let busy = self.forget_old_watches(now_ms);
        let is_room = busy < EXPLAIN_DESTINATIONS_MAX;
        if let Some(topic) = destination.strip_prefix("topic://") {
            let watch = self.topic_policies.watch(topic);
            let watch = watch.ok_or_else(|| ExplainError::NoPolicy { name: topic.to_owned() })?;
            return answer(watch, is_room, now_ms);
        }
        let unknown = || ExplainError::Unknown { name: destination.to_owned() };
        let key = *self.queues.get(destination).ok_or_else(unknown)?;
        let line = self.lines.get_mut(key).ok_or_else(unknown)?;
        answer(&mut line.watch, is_room, now_ms)
    }

    /// Lets go of what nobody asks about any more; says how many are left.
    fn forget_old_watches(&mut self, now_ms: i64) -> usize {
        let watched: Vec<_> = self.lines.iter().filter(|(_, line)| line.watch.is_some()).map(|(key, _)| key).collect();
        let mut busy = self.topic_policies.forget_old_watches(|watch| watch.is_old(now_ms));
        for key in watched {
            let Some(line) = self.lines.get_mut(key) else { continue };
            line.watch = line.watch.take().filter(|watch| !watch.is_old(now_ms));
            busy += usize::from(line.watch.is_some());
        }
        busy
    }

    /// Notes what became of the message at `row`, the one at `at` of the batch, which is of this group if it has one.
    pub(crate) fn note_decision(
        &self,
        line: &mut Line,
        asked: &Asked,
        at: usize,
        row: usize,
        group: u32,
        receiver: Option<Key>,
    ) {
        let Some(watch) = &mut line.watch else { return };
        if watch.is_old(self.now) {
            line.watch = None;
            return;
        }
        let Some(entry) = line.pending.at(row) else { return };
        let id = line.groups.as_ref().and_then(|groups| groups.get(group)).map(|known| &known.id);
        let owner = watch.owners.get(&group).filter(|owner| {
            // A number may have been another group's before, and a group may have come to another owner unasked.
            Some(&owner.group) == id && receiver.is_none_or(|key| key.index == owner.slot)
        });
        let owner = owner.cloned();
        watch.note(Decision {
            at_ms: self.now,
            sequence: entry.sequence,
            message_id: entry.message.as_ref().map(|message| message.id.to_string()).unwrap_or_default(),
            policy: line.policy_name.clone().unwrap_or_default(),
            generation: asked.generation,
            decided: asked.decided,
            asked: asked.slots.get(at).copied().filter(|slot| *slot != LEAVE),
            given: receiver.and_then(|key| self.given_to(key)),
            table: asked.table,
            group: owner,
            copies: Vec::new(),
            withheld: 0,
        });
    }

    /// Notes who got a topic's message: `wanted` of those in `table`, in this order.
    pub(crate) fn note_fan_out(
        &self,
        watch: &mut Option<Box<Watch>>,
        message: &Message,
        (policy, generation, decided): (Arc<str>, u64, Decided),
        table: &[SubscriptionRow],
        wanted: &[Key],
    ) {
        if watch.as_ref().is_some_and(|watch| watch.is_old(self.now)) {
            *watch = None;
        }
        let Some(watch) = watch else { return };
        watch.note(Decision {
            at_ms: self.now,
            sequence: message.sequence,
            message_id: message.id.to_string(),
            policy,
            generation,
            decided,
            asked: None,
            given: None,
            table: digest_subscriptions(table),
            group: None,
            copies: wanted.iter().take(COPIES_TOLD_MAX).map(|key| self.subscribed(*key)).collect(),
            withheld: u32::try_from(table.len().saturating_sub(wanted.len())).unwrap_or(u32::MAX),
        });
    }

    fn given_to(&self, key: Key) -> Option<Given> {
        let consumer = self.consumers.get(key)?;
        Some(Given { slot: key.index, consumer: consumer.id.to_string(), client_id: consumer.client_id.clone() })
    }

    /// A subscription by its consumer, or by its name while it has none.
    fn subscribed(&self, key: Key) -> Given {
        let line = self.lines.get(key);
        let consumer = line.and_then(|line| line.members.first()).and_then(|member| self.given_to(*member));
        if let Some(consumer) = consumer {
            return Given { slot: key.index, ..consumer };
        }
        let durable = line.and_then(|line| match &line.kind {
            LineKind::Subscription(subscription) => subscription.durable.clone(),
            LineKind::Queue { .. } => None,
        });
        let (client_id, name) = durable.unzip();
        Given { slot: key.index, consumer: name.unwrap_or_default().to_string(), client_id }
    }
}

/// Equal digests stand for equal tables. `owned` are the groups of each consumer, where that was shown.
pub(crate) fn digest(table: &[ConsumerRow], owned: &[u32]) -> u64 {
    let mut hasher = FxHasher::default();
    for row in table {
        hasher.write_u32(row.slot);
        hasher.write_u32(row.credit);
        hasher.write_u32(row.in_flight);
        hasher.write_i16(row.priority);
    }
    owned.iter().for_each(|count| hasher.write_u32(*count));
    hasher.finish()
}

fn digest_subscriptions(table: &[SubscriptionRow]) -> u64 {
    let mut hasher = FxHasher::default();
    for row in table {
        hasher.write_u32(row.slot);
        hasher.write_i16(row.priority);
        hasher.write_u32(row.waiting);
        hasher.write_u8(u8::from(row.is_network) | u8::from(row.is_durable) << 1);
    }
    hasher.finish()
}
