//! The core thread's letter box: commands of connections and news of the journal, taken all at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::{JournalRoom, LoadId};
use message::{Command, ConnectionKey, Loaded, Position};
use tokio::sync::OwnedSemaphorePermit;

use crate::outbox::Outbox;

/// All that can wake the core thread.
pub(crate) enum Input {
    /// A socket was accepted; its session will speak under this key.
    Opened(ConnectionKey, std::sync::Arc<Outbox>),
    /// The journal reached this position.
    Persisted(Position),
    /// Bodies came from the journal.
    Loaded(LoadId, Loaded),
    /// The room in the journal changed.
    Room(JournalRoom),
    /// Tell the log how things stand.
    Report,
    /// Stop in order.
    Stop,
}

/// What a connection's task sends, in order.
pub(crate) struct Batch {
    pub(crate) connection: ConnectionKey,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    /// Commands; the permit lets the task send the next batch once this one is dropped.
    Commands(Vec<Command>, OwnedSemaphorePermit),
    /// The socket is closed. Stands behind the last commands, which count.
    Closed,
}

#[derive(Default)]
struct Letters {
    inputs: Vec<Input>,
    batches: Vec<Batch>,
    /// The core sleeps and wants to be woken by batches too.
    waits_for_batches: bool,
    waits: bool,
}

#[derive(Default)]
pub(crate) struct Inbox {
    letters: Mutex<Letters>,
    wake: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, input: Input) {
        let mut letters = self.lock();
        letters.inputs.push(input);
        if std::mem::take(&mut letters.waits) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn push_batch(&self, batch: Batch) {
        let mut letters = self.lock();
        letters.batches.push(batch);
        if letters.waits_for_batches && std::mem::take(&mut letters.waits) {
            self.wake.notify_one();
        }
    }

    /// Moves what is there to the two lists, after waiting for at most `timeout`. Batches stay where they are unless
    /// `with_batches`.
    pub(crate) fn take(
        &self,
        inputs: &mut Vec<Input>,
        batches: &mut Vec<Batch>,
        with_batches: bool,
        timeout: Duration,
    ) {
        let mut letters = self.lock();
        if letters.inputs.is_empty() && (letters.batches.is_empty() || !with_batches) && !timeout.is_zero() {
            letters.waits = true;
            letters.waits_for_batches = with_batches;
            letters = self.wake.wait_timeout(letters, timeout).unwrap_or_else(PoisonError::into_inner).0;
            letters.waits = false;
        }
        std::mem::swap(&mut letters.inputs, inputs);
        if with_batches {
            std::mem::swap(&mut letters.batches, batches);
        }
    }
}
