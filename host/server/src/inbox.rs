//! The broker machine's letter box: commands of connections and news of the journal, taken all at once.

use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::{ExplainError, Explained, JournalRoom, LoadId, PluginLine};
use message::{Command, ConnectionKey, Fact, Loaded, Position};
use rustc_hash::FxHashSet;
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
    /// Hand what a policy said to whoever listens, and say so.
    Say(PluginLine, SyncSender<()>),
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

impl Content {
    /// Whether it brings bodies to the journal.
    fn stores(&self) -> bool {
        match self {
            Content::Commands(commands, _) => commands.iter().any(|command| match command {
                Command::Publish(publish) => publish.message.persistent,
                Command::Commit { .. } => true,
                _ => false,
            }),
            Content::Closed => false,
        }
    }
}

/// Which commands are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    All,
    /// Those of connections of which nothing waits that brings bodies to the journal.
    Light,
    None,
}

#[derive(Default)]
struct Letters {
    inputs: Vec<Input>,
    batches: Vec<Batch>,
    /// So many of the batches, the first ones, were found to have to wait …
    held: usize,
    /// … and these connections sent them: what comes from them waits behind.
    holds: FxHashSet<ConnectionKey>,
    /// The machine's own thread sleeps.
    waits: bool,
    /// It was to be woken since it last looked: before it slept this counts as well.
    woken: bool,
    /// Nobody reads any more; what comes is dropped, so that whoever waits for an answer hears of it.
    closed: bool,
}

impl Letters {
    /// Whether there is nothing that may be taken, as far as was looked.
    fn is_empty(&self, takes: Takes) -> bool {
        let waiting = match takes {
            Takes::All => self.batches.len(),
            Takes::Light => self.batches.len() - self.held,
            Takes::None => 0,
        };
        self.inputs.is_empty() && waiting == 0
    }

    /// Moves those batches that need not wait. Each is looked at once.
    fn take_light(&mut self, taken: &mut Vec<Batch>) {
        for batch in self.batches.split_off(self.held) {
            if self.holds.contains(&batch.connection) || batch.content.stores() {
                self.holds.insert(batch.connection);
                self.batches.push(batch);
            } else {
                taken.push(batch);
            }
        }
        self.held = self.batches.len();
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

    pub(crate) fn is_empty(&self, takes: Takes) -> bool {
        self.lock().is_empty(takes)
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
    pub(crate) fn wait(&self, takes: impl FnOnce() -> Takes, timeout: Duration) {
        let mut letters = self.lock();
        if !letters.woken && letters.is_empty(takes()) {
            letters.waits = true;
            let asleep = |letters: &mut Letters| !letters.woken;
            letters = self.wake.wait_timeout_while(letters, timeout, asleep).unwrap_or_else(PoisonError::into_inner).0;
            letters.waits = false;
        }
        letters.woken = false;
    }

    /// Moves what is there, and may be taken, to the two lists, which are empty.
    pub(crate) fn take(&self, inputs: &mut Vec<Input>, batches: &mut Vec<Batch>, takes: Takes) {
        let mut letters = self.lock();
        std::mem::swap(&mut letters.inputs, inputs);
        match takes {
            Takes::All => {
                std::mem::swap(&mut letters.batches, batches);
                letters.held = 0;
                letters.holds.clear();
            }
            Takes::Light => letters.take_light(batches),
            Takes::None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use message::{Destination, Message, MessageId, Publish};
    use tokio::sync::Semaphore;

    use super::*;

    /// Who was to be woken while it got ready to sleep does not sleep.
    #[test]
    fn a_wake_before_the_sleep_counts_once() {
        let inbox = Inbox::default();
        inbox.wake();
        inbox.wait(|| Takes::All, Duration::MAX);
        assert!(!inbox.lock().woken);
        inbox.wait(|| Takes::All, Duration::ZERO);
    }

    /// Commands that may not be taken are no reason to stay awake; news are.
    #[test]
    fn letters_that_are_not_taken_do_not_wake() {
        let inbox = Inbox::default();
        inbox.push_batch(Batch { connection: 1, content: Content::Closed });
        assert!(inbox.is_empty(Takes::None) && !inbox.is_empty(Takes::Light));
        inbox.wait(|| Takes::All, Duration::MAX);
        inbox.push(Input::Stop);
        inbox.wait(|| Takes::None, Duration::MAX);
    }

    fn commands(connection: ConnectionKey, command: Command) -> Batch {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
        Batch { connection, content: Content::Commands(vec![command], permit) }
    }

    fn send(persistent: bool) -> Command {
        let mut message = Message::new(MessageId::default(), Destination::queue("Q"));
        message.persistent = persistent;
        Command::Publish(Publish { message: Arc::new(message), transaction: None, receipt: None, window_bytes: None })
    }

    /// Connections of the batches that are taken, and whether nothing is left that may be.
    fn taken(inbox: &Inbox, takes: Takes) -> (Vec<ConnectionKey>, bool) {
        let mut batches = Vec::new();
        inbox.take(&mut Vec::new(), &mut batches, takes);
        (batches.iter().map(|batch| batch.connection).collect(), inbox.is_empty(takes))
    }

    /// While the journal is far behind, what brings it more waits, and all that its connection sent after it; others go on.
    #[test]
    fn what_the_journal_has_no_time_for_waits_in_order() {
        let inbox = Inbox::default();
        inbox.push_batch(commands(1, send(true)));
        inbox.push_batch(commands(2, send(false)));
        inbox.push_batch(commands(3, Command::Commit { transaction: 1, receipt: None }));
        inbox.push_batch(commands(1, send(false)));
        inbox.push_batch(Batch { connection: 3, content: Content::Closed });
        inbox.push_batch(Batch { connection: 4, content: Content::Closed });
        assert_eq!(taken(&inbox, Takes::None), (vec![], true));
        assert!(!inbox.is_empty(Takes::Light));
        assert_eq!(taken(&inbox, Takes::Light), (vec![2, 4], true));
        inbox.push_batch(commands(1, send(false)));
        inbox.push_batch(commands(2, send(false)));
        assert_eq!(taken(&inbox, Takes::Light), (vec![2], true));
        assert_eq!(taken(&inbox, Takes::All), (vec![1, 3, 1, 3, 1], true));
        inbox.push_batch(commands(1, send(false)));
        assert_eq!(taken(&inbox, Takes::Light), (vec![1], true), "nothing of it waits any more");
    }
}
