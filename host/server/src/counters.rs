//! What happens at a connector, counted without locks by whoever sees it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::ConnectionKey;
use rustc_hash::FxHashMap;

/// Counters of one connector. They only rise.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Sockets accepted and let in.
    pub(crate) accepted: Counter,
    /// Sockets closed at once because of `maximumConnections`.
    pub(crate) refused: Counter,
    /// TLS handshakes that succeeded.
    pub(crate) handshakes: Counter,
    /// TLS handshakes on which the two did not agree.
    pub(crate) handshakes_failed: Counter,
    /// TLS handshakes that took too long.
    pub(crate) handshakes_slow: Counter,
    /// Clients without TLS on a connector with it, and the reverse.
    pub(crate) mistaken: Counter,
    sessions: Mutex<Sessions>,
}

/// What the sessions of a connector counted.
#[derive(Debug, Default)]
struct Sessions {
    live: FxHashMap<ConnectionKey, Arc<SessionCounters>>,
    /// Of those that ended.
    ended: session::Stats,
    limits_hit: BTreeMap<&'static str, u64>,
}

/// Counters of one session, where others can read them: its own task alone writes.
#[derive(Debug, Default)]
pub(crate) struct SessionCounters {
    figures: [AtomicU64; 6],
}

impl SessionCounters {
    /// To be called by the session's task whenever it did something.
    pub(crate) fn show(&self, stats: &session::Stats) {
        let session::Stats { frames_in, frames_out, frames_refused, messages_in, messages_out, acks_stale, .. } =
            *stats;
        let figures = [frames_in, frames_out, frames_refused, messages_in, messages_out, acks_stale];
        self.figures.iter().zip(figures).for_each(|(shown, figure)| shown.store(figure, Ordering::Relaxed));
    }

    fn add_to(&self, sum: &mut session::Stats) {
        let [frames_in, frames_out, frames_refused, messages_in, messages_out, acks_stale] =
            self.figures.each_ref().map(|figure| figure.load(Ordering::Relaxed));
        sum.frames_in += frames_in;
        sum.frames_out += frames_out;
        sum.frames_refused += frames_refused;
        sum.messages_in += messages_in;
        sum.messages_out += messages_out;
        sum.acks_stale += acks_stale;
    }
}

impl Counters {
    /// A session begins; [`Counters::end`] must follow.
    pub(crate) fn begin(&self, key: ConnectionKey) -> Arc<SessionCounters> {
        self.sessions().live.entry(key).or_default().clone()
    }

    /// A session ended: what it counted stays.
    pub(crate) fn end(&self, key: ConnectionKey) {
        let mut sessions = self.sessions();
        if let Some(counters) = sessions.live.remove(&key) {
            counters.add_to(&mut sessions.ended);
        }
    }

    /// A session hit a limit.
    pub(crate) fn hit(&self, limit: &'static str) {
        *self.sessions().limits_hit.entry(limit).or_default() += 1;
    }

    /// The sums over all sessions that were and are, and the limits that they hit.
    pub(crate) fn sum(&self) -> (session::Stats, BTreeMap<&'static str, u64>) {
        let sessions = self.sessions();
        let mut sum = sessions.ended;
        sessions.live.values().for_each(|counters| counters.add_to(&mut sum));
        (sum, sessions.limits_hit.clone())
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more and gives the count.
    pub(crate) fn count(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the log hears of the `count`th time: of the first, and then ever more seldom, so that nobody fills the log.
pub(crate) fn is_told(count: u64) -> bool {
    count.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session that ended goes on counting for its connector, and counts once.
    #[test]
    fn sums_are_over_sessions_that_were_and_are() {
        let counters = Counters::default();
        let (first, second) = (counters.begin(1), counters.begin(2));
        first.show(&session::Stats { messages_in: 3, ..Default::default() });
        second.show(&session::Stats { messages_in: 4, frames_out: 1, ..Default::default() });
        assert_eq!(counters.sum().0.messages_in, 7);
        counters.end(1);
        counters.end(1);
        second.show(&session::Stats { messages_in: 5, frames_out: 2, ..Default::default() });
        counters.hit("a");
        counters.hit("a");
        let (sum, hit) = counters.sum();
        assert_eq!((sum.messages_in, sum.frames_out, hit), (8, 2, [("a", 2)].into()));
    }
}
