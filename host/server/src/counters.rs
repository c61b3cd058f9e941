//! What happens at a connector, counted without locks by whoever sees it.

use std::sync::atomic::{AtomicU64, Ordering};

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
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more and gives the count.
    pub(crate) fn count(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Whether the log hears of the `count`th time: of the first, and then ever more seldom, so that nobody fills the log.
pub(crate) fn is_told(count: u64) -> bool {
    count.is_power_of_two()
}
