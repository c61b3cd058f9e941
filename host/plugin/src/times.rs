//! How long calls take: counted in buckets, so that many of them take no memory.

use std::time::Duration;

/// Upper ends of the buckets, microseconds; the last bucket has none.
const BOUNDS_US: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/// Times of calls that were measured. Each is in exactly one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallTimes {
    counts: [u64; BOUNDS_US.len() + 1],
    nanos: u64,
    nanos_most: u64,
}

impl CallTimes {
    /// Counts a call.
    pub fn add(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[BOUNDS_US.partition_point(|bound| bound * 1_000 < nanos)] += 1;
        self.nanos = self.nanos.saturating_add(nanos);
        self.nanos_most = self.nanos_most.max(nanos);
    }

    /// Adds the calls of another one.
    pub fn merge(&mut self, other: &CallTimes) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.nanos_most = self.nanos_most.max(other.nanos_most);
    }

    /// The buckets from the shortest to the longest: upper end in microseconds, which belongs to it, and calls. The last one
    /// has no end.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        BOUNDS_US.iter().copied().map(Some).chain([None]).zip(self.counts)
    }

    /// Nanoseconds of all calls together.
    pub fn nanos(&self) -> u64 {
        self.nanos
    }

    /// Nanoseconds of the longest call.
    pub fn nanos_most(&self) -> u64 {
        self.nanos_most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_one_bucket() {
        let table = [(0, Some(1)), (1_000, Some(1)), (1_001, Some(2)), (5_000_000, Some(5_000)), (5_000_001, None)];
        for (nanos, expected) in table {
            let mut times = CallTimes::default();
            times.add(Duration::from_nanos(nanos));
            let filled: Vec<_> = times.buckets().filter(|(_, calls)| *calls > 0).collect();
            assert_eq!(filled, [(expected, 1)], "{nanos}");
            assert_eq!((times.nanos(), times.nanos_most()), (nanos, nanos));
        }
        let (mut sum, mut other) = (CallTimes::default(), CallTimes::default());
        sum.add(Duration::from_nanos(3_000));
        other.add(Duration::from_nanos(4_000));
        sum.merge(&other);
        assert!(sum.buckets().any(|bucket| bucket == (Some(5), 2)) && sum.nanos() == 7_000);
        assert_eq!(CallTimes::default().buckets().count(), BOUNDS_US.len() + 1);
    }
}
