//! What those who change policies ask of the core, from threads of their own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use broker::{ExplainError, Explained, PluginLine};
use message::{FACT_KEY_BYTES_MAX, FACT_VALUE_BYTES_MAX, Fact};

use crate::core::Core;
use crate::inbox::Input;

/// Why the core did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// The broker stops; what was asked may or may not have been done.
    #[error("the broker is stopping; ask again when it is back")]
    Stopping,
    /// A fact that is none.
    #[error("fact {key} has {have} bytes; a key has 1 to {FACT_KEY_BYTES_MAX}, a value up to {FACT_VALUE_BYTES_MAX}")]
    TooLarge {
        /// Its key.
        key: String,
        /// Bytes of its value.
        have: usize,
    },
    /// There is nothing to tell.
    #[error(transparent)]
    Explain(#[from] ExplainError),
}

/// A hand to the core. Each call waits for its answer, so it is not for the core's own thread nor for connections.
#[derive(Clone)]
pub struct PolicyHand {
    core: Arc<Core>,
}

impl PolicyHand {
    pub(crate) fn new(core: Arc<Core>) -> PolicyHand {
        PolicyHand { core }
    }

    /// Keeps facts in the journal, all or none; durable when it returns `Ok`.
    pub fn keep(&self, facts: Vec<Fact>) -> Result<(), HandError> {
        if let Some(fact) = facts.iter().find(|fact| !fact.is_within_limits()) {
            let have = fact.value.as_ref().map_or(0, |value| value.len());
            return Err(HandError::TooLarge { key: fact.key.to_string(), have });
        }
        self.ask(|done| Input::Keep(facts, done))
    }

    /// Other policies are bound to destinations than before: each has its own when this returns.
    pub fn policies_changed(&self) -> Result<(), HandError> {
        self.ask(Input::PoliciesChanged)
    }

    /// The latest decisions on a queue's messages, see [`broker::Broker::explain`].
    pub fn explain(&self, queue: &str) -> Result<Explained, HandError> {
        Ok(self.ask(|answer| Input::Explain(queue.to_owned(), answer))??)
    }

    /// Hands what a policy said to those who listen to its topic.
    pub fn say(&self, line: PluginLine) -> Result<(), HandError> {
        self.ask(|done| Input::Say(line, done))
    }

    fn ask<T>(&self, input: impl FnOnce(SyncSender<T>) -> Input) -> Result<T, HandError> {
        let (sender, answer): (_, Receiver<T>) = sync_channel(1);
        self.core.push(input(sender));
        // The sender is dropped unanswered when the core ends.
        answer.recv().map_err(|_| HandError::Stopping)
    }
}
