//! The broker machine's letter box: commands of connections and news of the journal, taken all at once.

use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::{ExplainError, Explained, JournalRoom, LoadId};
use message::{Command, ConnectionKey, Fact, Loaded, Position};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::observer::{Figures, Page};
use crate::outbox::Outbox;

/// All that can be told to the broker machine, beside commands.
pub(crate) enum Input {
    /// A socket was accepted; its session will speak under this key.
    Opened(ConnectionKey, std::sync::Arc<Outbox>),
    /// The journal reached this position.
    Persisted(Position),
    /// Bodies came from the journal.
    Loaded(LoadId, Loaded),
    /// The room in the journal changed.
    Room(JournalRoom),
    /// Keep facts and say so once they are durable.
    Keep(Vec<Fact>, SyncSender<()>),
    /// Other policies are bound to destinations than before; say so once each has its own.
    PoliciesChanged(SyncSender<()>),
    /// Tell the latest decisions on a queue's messages.
    Explain(String, SyncSender<Result<Explained, ExplainError>>),
    /// Tell the log how things stand.
    Report,
    /// Somebody wants to know.
    Ask(Question),
    /// Stop in order.
    Stop,
}

/// A question with the place for its answer; whoever asked may have gone.
pub(crate) enum Question {
    /// The figures of the whole machine.
    Figures(oneshot::Sender<Figures>),
    /// Some of the lines, from this number on.
    Page(usize, oneshot::Sender<Page>),
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
    /// The machine's own thread sleeps.
    waits: bool,
    /// It was to be woken since it last looked: before it slept this counts as well.
    woken: bool,
    /// Nobody reads any more; what comes is dropped, so that whoever waits for an answer hears of it.
    closed: bool,
}

impl Letters {
    fn is_empty(&self, with_batches: bool) -> bool {
        self.inputs.is_empty() && (self.batches.is_empty() || !with_batches)
    }
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
        if !letters.closed {
            letters.inputs.push(input);
        }
    }

    pub(crate) fn push_batch(&self, batch: Batch) {
        self.lock().batches.push(batch);
    }

    pub(crate) fn is_empty(&self, with_batches: bool) -> bool {
        self.lock().is_empty(with_batches)
    }

    /// Wakes the machine's own thread, or keeps it from falling asleep.
    pub(crate) fn wake(&self) {
        let mut letters = self.lock();
        letters.woken = true;
        if letters.waits {
            self.wake.notify_one();
        }
    }

    /// Nobody reads letters any more.
    pub(crate) fn close(&self) {
        let mut letters = self.lock();
        letters.closed = true;
        letters.inputs.clear();
    }

    /// Waits for letters or to be woken, at most for `timeout`.
    pub(crate) fn wait(&self, with_batches: impl FnOnce() -> bool, timeout: Duration) {
        let mut letters = self.lock();
        if !letters.woken && letters.is_empty(with_batches()) {
            letters.waits = true;
            let asleep = |letters: &mut Letters| !letters.woken;
            letters = self.wake.wait_timeout_while(letters, timeout, asleep).unwrap_or_else(PoisonError::into_inner).0;
            letters.waits = false;
        }
        letters.woken = false;
    }

    /// Moves what is there to the two lists. Batches stay where they are unless `with_batches`.
    pub(crate) fn take(&self, inputs: &mut Vec<Input>, batches: &mut Vec<Batch>, with_batches: bool) {
        let mut letters = self.lock();
        std::mem::swap(&mut letters.inputs, inputs);
        if with_batches {
            std::mem::swap(&mut letters.batches, batches);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who was to be woken while it got ready to sleep does not sleep.
    #[test]
    fn a_wake_before_the_sleep_counts_once() {
        let inbox = Inbox::default();
        inbox.wake();
        inbox.wait(|| true, Duration::MAX);
        assert!(!inbox.lock().woken);
        inbox.wait(|| true, Duration::ZERO);
    }

    /// Commands that may not be taken are no reason to stay awake; news are.
    #[test]
    fn letters_that_are_not_taken_do_not_wake() {
        let inbox = Inbox::default();
        inbox.push_batch(Batch { connection: 1, content: Content::Closed });
        assert!(inbox.is_empty(false) && !inbox.is_empty(true));
        inbox.wait(|| true, Duration::MAX);
        inbox.push(Input::Stop);
        inbox.wait(|| false, Duration::MAX);
    }
}
