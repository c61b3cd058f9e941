//! Tells how a running server stands, to whoever asks, without holding it up: the core thread answers between two steps and
//! looks at a bounded number of lines at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use broker::{Broker, LineReport, Retired};
use journal::Journal;
use plugin::{Point, PolicyStats};
use session::Protocol;
use tokio::sync::{oneshot, watch};

use crate::core::Core;
use crate::inbox::{Input, Question};
use crate::listener::Place;

/// Lines that the core thread looks at for one answer: a fraction of a millisecond.
const PAGE_LINES: usize = 512;

/// Asks a running server. Cheap to clone; stays usable, but gets no answers, after the server ended.
#[derive(Clone)]
pub struct Observer {
    pub(crate) core: Arc<Core>,
    pub(crate) places: Arc<[(Arc<Place>, SocketAddr)]>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The core thread is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker has stopped")]
pub struct Gone;

/// Figures of the whole machine. Counters rise since its start.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Connections logged in.
    pub connections: u64,
    /// Messages taken in.
    pub published: u64,
    /// Sends recognised as repeated and dropped.
    pub duplicates: u64,
    /// Sends that had to wait for room.
    pub sends_parked: u64,
    /// Sends refused for want of room.
    pub sends_refused: u64,
    /// Sends that an auth policy did not allow.
    pub sends_forbidden: u64,
    /// Messages for destinations that went away meanwhile.
    pub dropped: u64,
    /// Acknowledgements of consumers that are gone.
    pub stale_acks: u64,
    /// Dispatch policies that could not be had.
    pub policies_refused: u64,
    /// Bytes of messages that are nowhere but in memory.
    pub memory_bytes: u64,
    /// Bytes of bodies that the journal has too.
    pub body_window_bytes: u64,
    /// What has an upper bound: configuration key, used, bound.
    pub used: Vec<(&'static str, u64, u64)>,
}

/// Some of the queues and durable subscriptions.
#[derive(Debug)]
pub struct Page {
    /// They themselves.
    pub lines: Vec<LineReport>,
    /// Where to go on; `None` at the end.
    pub next: Option<usize>,
    /// At the end: what policies counted that no line has, by name.
    pub policies: BTreeMap<(Point, Arc<str>), PolicyStats>,
    /// At the end: what lines and policies counted that are there no more.
    pub retired: Retired,
}

/// One connector as it stands. Counters rise since its start.
#[derive(Clone, Debug)]
pub struct ConnectorReport {
    /// Its name.
    pub name: String,
    /// Which machine speaks there.
    pub protocol: Protocol,
    /// The address with its real port.
    pub address: SocketAddr,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// End of its certificate, seconds since 1970.
    pub certificate_not_after: Option<i64>,
    /// Connections now, those in their handshake included.
    pub open: u64,
    /// Most connections at a time.
    pub connections_max: u64,
    /// Connections let in.
    pub accepted: u64,
    /// Connections closed because of `connections_max`.
    pub refused: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// TLS handshakes on which the two did not agree.
    pub handshakes_failed: u64,
    /// TLS handshakes that took too long.
    pub handshakes_slow: u64,
    /// Clients without TLS where it is spoken, and the reverse.
    pub mistaken: u64,
    /// Counters of all sessions, those that ended included; `limit_hit` is not among them.
    pub sessions: session::Stats,
    /// How often sessions hit each of their limits.
    pub limits_hit: BTreeMap<&'static str, u64>,
}

impl Observer {
    /// The figures of the whole machine. The caller says how long it waits by dropping this.
    pub async fn figures(&self) -> Result<Figures, Gone> {
        self.ask(Question::Figures).await
    }

    /// Some of the queues and durable subscriptions, from `from` on, which begins with 0.
    pub async fn page(&self, from: usize) -> Result<Page, Gone> {
        self.ask(|answer| Question::Page(from, answer)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Gone> {
        let (answer, heard) = oneshot::channel();
        self.core.put(Input::Ask(question(answer)));
        self.core.wake();
        heard.await.map_err(|_| Gone)
    }

    /// The connectors, in the order of the configuration.
    pub fn connectors(&self) -> Vec<ConnectorReport> {
        self.places.iter().map(|(place, address)| place.report(*address)).collect()
    }

    /// Figures of the journal.
    pub fn journal(&self) -> journal::Stats {
        self.journal.stats()
    }

    /// Bytes that wait for the journal, and how many may.
    pub fn journal_backlog(&self) -> (u64, u64) {
        self.core.journal_backlog()
    }

    /// The server was told to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// Answers on the core thread.
pub(crate) fn answer(broker: &Broker, question: Question) {
    match question {
        Question::Figures(answer) => drop(answer.send(figures(broker))),
        Question::Page(from, answer) => {
            let (lines, next) = broker.report_page(from, PAGE_LINES);
            let is_last = next.is_none();
            let retired = if is_last { broker.retired().clone() } else { Retired::default() };
            let policies = if is_last { broker.policies_without_lines() } else { BTreeMap::new() };
            drop(answer.send(Page { lines, next, policies, retired }));
        }
    }
}

fn figures(broker: &Broker) -> Figures {
    let stats = broker.stats();
    let (memory_bytes, body_window_bytes) = broker.memory();
    Figures {
        connections: broker.connections() as u64,
        published: stats.published,
        duplicates: stats.duplicates,
        sends_parked: stats.sends_parked,
        sends_refused: stats.sends_refused,
        sends_forbidden: stats.sends_forbidden,
        dropped: stats.dropped,
        stale_acks: stats.stale_acks,
        policies_refused: stats.policies_refused,
        memory_bytes,
        body_window_bytes,
        used: broker.used().to_vec(),
    }
}
