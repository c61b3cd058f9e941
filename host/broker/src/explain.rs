//! Why a message went where it went: the latest decisions of a queue, noted while somebody asks for them.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::Arc;

use message::{Sequence, Text};
use plugin::{Decided, DispatchBatch, LEAVE};
use rustc_hash::FxHasher;

use crate::broker::Broker;
use crate::line::Line;
use crate::slots::Key;

/// Decisions kept per destination; the oldest go first.
pub const EXPLAIN_DECISIONS_MAX: usize = 1_000;
/// Destinations whose decisions are noted at the same time.
pub const EXPLAIN_DESTINATIONS_MAX: usize = 16;
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
    /// Digest of the table of consumers that was shown, credit and messages in flight included: equal digests stand for
    /// equal tables.
    pub table: u64,
}

/// A consumer that a message was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its slot.
    pub slot: u32,
    /// Its id as the client knows it.
    pub consumer: String,
    /// Client id of its connection.
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
    /// Too many are asked about.
    #[error("decisions of {limit} queues are noted already; those nobody asks about are let go after ten minutes")]
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
    /// `generation` is the one that was asked.
    pub(crate) fn new(generation: u64, decided: Decided, slots: &[u32], batch: &DispatchBatch<'_>) -> Asked {
        Asked { generation, decided, slots: slots.to_vec(), table: digest(batch) }
    }
}

/// Decisions of one line.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    asked_ms: i64,
    decisions: VecDeque<Decision>,
}

impl Broker {
    /// The latest decisions on a queue's messages. The first question begins to note them; ten minutes after the last
    /// one that ends.
    pub fn explain(&mut self, queue: &str, now_ms: i64) -> Result<Explained, ExplainError> {
        let unknown = || ExplainError::Unknown { name: queue.to_owned() };
        let key = *self.queues.get(queue).ok_or_else(unknown)?;
        let old = |line: &Line| line.watch.as_ref().is_some_and(|watch| now_ms - watch.asked_ms > WATCH_MS);
        let watched: Vec<_> = self.lines.iter().filter(|(_, line)| line.watch.is_some()).map(|(key, _)| key).collect();
        let mut busy = 0;
        for other in watched {
            let Some(line) = self.lines.get_mut(other) else { continue };
            if old(line) {
                line.watch = None;
            } else if other != key {
                busy += 1;
            }
        }
        let line = self.lines.get_mut(key).ok_or_else(unknown)?;
        match &mut line.watch {
            Some(watch) => {
                watch.asked_ms = now_ms;
                Ok(Explained { begun_now: false, decisions: watch.decisions.iter().cloned().collect() })
            }
            None if busy >= EXPLAIN_DESTINATIONS_MAX => Err(ExplainError::TooMany { limit: EXPLAIN_DESTINATIONS_MAX }),
            None => {
                line.watch = Some(Box::new(Watch { asked_ms: now_ms, decisions: VecDeque::new() }));
                Ok(Explained { begun_now: true, decisions: Vec::new() })
            }
        }
    }

    /// Notes what became of the message at `row`, the one at `at` of the batch.
    pub(crate) fn note_decision(&self, line: &mut Line, asked: &Asked, at: usize, row: usize, receiver: Option<Key>) {
        let Some(watch) = &mut line.watch else { return };
        if self.now - watch.asked_ms > WATCH_MS {
            line.watch = None;
            return;
        }
        let Some(entry) = line.pending.at(row) else { return };
        let given = receiver.and_then(|key| self.consumers.get(key).map(|consumer| (key, consumer)));
        let given = given.map(|(key, consumer)| Given {
            slot: key.index,
            consumer: consumer.id.to_string(),
            client_id: consumer.client_id.clone(),
        });
        if watch.decisions.len() == EXPLAIN_DECISIONS_MAX {
            watch.decisions.pop_front();
        }
        watch.decisions.push_back(Decision {
            at_ms: self.now,
            sequence: entry.sequence,
            message_id: entry.message.as_ref().map(|message| message.id.to_string()).unwrap_or_default(),
            policy: line.policy_name.clone().unwrap_or_default(),
            generation: asked.generation,
            decided: asked.decided,
            asked: asked.slots.get(at).copied().filter(|slot| *slot != LEAVE),
            given,
            table: asked.table,
        });
    }
}

fn digest(batch: &DispatchBatch<'_>) -> u64 {
    let mut hasher = FxHasher::default();
    for row in batch.consumers {
        hasher.write_u32(row.slot);
        hasher.write_u32(row.credit);
        hasher.write_u32(row.in_flight);
        hasher.write_i16(row.priority);
    }
    hasher.finish()
}
