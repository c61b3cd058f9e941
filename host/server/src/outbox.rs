//! A connection's letter box: events from the core, taken by its task. Bounded by what the core hands out: deliveries
//! by the connection's window, answers by the commands it sent.

use std::sync::{Mutex, MutexGuard, PoisonError};

use message::Event;
use tokio::sync::Notify;

#[derive(Default)]
struct Letters {
    events: Vec<Event>,
    ended: bool,
}

#[derive(Default)]
pub(crate) struct Outbox {
    letters: Mutex<Letters>,
    wake: Notify,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, mut events: Vec<Event>) {
        let mut letters = self.lock();
        if letters.events.is_empty() {
            letters.events = events;
            drop(letters);
            self.wake.notify_one();
        } else {
            letters.events.append(&mut events);
        }
    }

    /// No more events will come: the broker stopped.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.wake.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    pub(crate) fn is_ended(&self) -> bool {
        let letters = self.lock();
        letters.ended && letters.events.is_empty()
    }

    /// Waits for events, or comes back at once if there are some. Safe to cancel.
    pub(crate) async fn ready(&self) {
        let is_empty = {
            let letters = self.lock();
            letters.events.is_empty() && !letters.ended
        };
        if is_empty {
            self.wake.notified().await;
        }
    }
}
