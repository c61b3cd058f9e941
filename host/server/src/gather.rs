//! Whether an append waits a moment for company.
//!
//! Producers that wait for their receipts come back in cohorts: those whose sends just missed a sync wait for the next
//! one, and the others for the one after it, so that each sync serves half of them and each producer waits for two.
//! Waiting for a fraction of a sync until all have come back makes them one cohort. A producer alone never waits.

use std::time::Duration;

/// The wait is at most this share of the last append's time …
const SHARE: u32 = 2;
/// … and at most this.
const PATIENCE_MAX: Duration = Duration::from_millis(1);
/// Appends that do not wait after waits in vain, at most.
const SKIPS_MAX: u32 = 64;

/// What the writer remembers of its last appends.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// Waiters that seem to be about: those of the last append and those who came during it.
    peers: u64,
    took: Duration,
    /// Waits in vain in a row.
    misses: u32,
    /// Appends that do not wait now.
    skips: u32,
}

impl Gather {
    /// An append was made that `answered` waited for; `came` more did so meanwhile.
    pub(crate) fn ended(&mut self, answered: u64, came: u64, took: Duration) {
        self.peers = answered + came;
        self.took = took;
    }

    /// One waiter at most seems to be about.
    pub(crate) fn is_alone(&self) -> bool {
        self.peers <= 1
    }

    /// What the last append took.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// How many waiters to wait for, and for how long, when there are `waiters`.
    pub(crate) fn patience(&mut self, waiters: u64) -> Option<(u64, Duration)> {
        if waiters == 0 || waiters >= self.peers {
            return None;
        }
        if self.skips > 0 {
            self.skips -= 1;
            return None;
        }
        Some((self.peers, (self.took / SHARE).min(PATIENCE_MAX)))
    }

    /// How a wait ended: with as many as were hoped for or not.
    pub(crate) fn waited(&mut self, met: bool) {
        self.misses = if met { 0 } else { self.misses + 1 };
        self.skips = if met { 0 } else { (1u32 << self.misses.min(6)).min(SKIPS_MAX) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(200);

    /// One producer after the other never makes anybody wait.
    #[test]
    fn a_producer_alone_does_not_wait() {
        let mut gather = Gather::default();
        for _ in 0..10 {
            assert_eq!(gather.patience(1), None);
            gather.ended(1, 0, SYNC);
        }
    }

    /// Two halves that never met become one cohort.
    #[test]
    fn cohorts_meet() {
        let mut gather = Gather::default();
        assert_eq!(gather.patience(4), None);
        gather.ended(4, 4, SYNC);
        assert_eq!(gather.patience(4), Some((8, SYNC / 2)));
        gather.waited(true);
        gather.ended(8, 0, SYNC);
        assert_eq!(gather.patience(1), Some((8, SYNC / 2)), "the first one back waits for the others");
    }

    /// Peers that think for long between two sends are waited for ever less often.
    #[test]
    fn waits_in_vain_become_rare() {
        let mut gather = Gather::default();
        let mut waits = 0;
        for _ in 0..1_000 {
            gather.ended(1, 1, SYNC);
            if gather.patience(1).is_some() {
                waits += 1;
                gather.waited(false);
            }
        }
        assert!((10..30).contains(&waits), "{waits}");
    }

    #[test]
    fn a_slow_disk_is_not_waited_for_longer() {
        let mut gather = Gather::default();
        gather.ended(1, 1, Duration::from_secs(1));
        assert_eq!(gather.patience(1), Some((2, PATIENCE_MAX)));
    }
}
