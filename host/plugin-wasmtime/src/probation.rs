//! Whether a new generation does well: its faults, its corrected answers, and what it costs beside the one before.

use std::time::Duration;

use plugin::Fallback;

use crate::Limits;

/// What calls cost in processor time, as far as they were measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    nanos: u64,
    rows: u64,
    calls: u64,
}

/// What a call costs beside its rows, counted in rows.
const CALL_ROWS: u64 = 8;
/// Calls after which older ones count half.
const CALLS_KEPT: u64 = 256;
/// Calls without which nothing is said.
const CALLS_MIN: u64 = 8;

impl Cost {
    pub(crate) fn add(&mut self, took: Duration, rows: usize) {
        if self.calls >= CALLS_KEPT {
            *self = Cost { nanos: self.nanos / 2, rows: self.rows / 2, calls: self.calls / 2 };
        }
        self.nanos += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 512).min(u64::MAX / 512);
        self.rows += rows as u64;
        self.calls += 1;
    }

    /// Nanoseconds a call, and nanoseconds a row with a call shared among its rows. `None` while too little is known.
    fn means(&self) -> Option<(u64, u64)> {
        (self.calls >= CALLS_MIN).then(|| (self.nanos / self.calls, self.nanos / (self.rows + CALL_ROWS * self.calls)))
    }
}

/// A generation under watch.
#[derive(Debug)]
pub(crate) struct Probation {
    /// Ends then, in the broker's time.
    pub(crate) until_ms: u64,
    faults: u32,
    rows: u64,
    corrected: u64,
    before: Cost,
    pub(crate) cost: Cost,
}

impl Probation {
    /// Begins; `before` is what the former generation cost.
    pub(crate) fn new(until_ms: u64, before: Cost) -> Probation {
        Probation { until_ms, faults: 0, rows: 0, corrected: 0, before, cost: Cost::default() }
    }

    /// A batch was decided. Why the generation has to go, if it has to.
    pub(crate) fn decided(&mut self, limits: &Limits, took: Duration, rows: usize) -> Option<String> {
        self.rows += rows as u64;
        self.cost.add(took, rows);
        let ((call, mine), (_, before)) = (self.cost.means()?, self.before.means()?);
        let times = limits.probation_cost_times_max;
        let is_slow = call / 1_000 >= limits.probation_call_us_min && mine > before.saturating_mul(times.into());
        is_slow
            .then(|| format!("a call takes {} us and a row {times} times what it took before and more", call / 1_000))
    }

    /// A call failed or answered the wrong number of rows.
    pub(crate) fn failed(&mut self, limits: &Limits, what: &str) -> Option<String> {
        self.faults += 1;
        (self.faults > limits.probation_faults_max).then(|| format!("{what}, fault {} since it took over", self.faults))
    }

    /// Answers of the last batch had to be corrected.
    pub(crate) fn corrected(&mut self, limits: &Limits, corrected: u64) -> Option<String> {
        self.corrected += corrected;
        let allowed = self.rows.saturating_mul(limits.probation_corrected_percent_max);
        let is_bad = self.rows >= limits.probation_rows_min && self.corrected.saturating_mul(100) > allowed;
        is_bad.then(|| format!("{} of {} answers had to be corrected", self.corrected, self.rows))
    }
}

/// What a generation is to blame for when its native twin decides; `None` where it is not.
pub(crate) fn blame(fallback: Fallback) -> Option<&'static str> {
    match fallback {
        Fallback::Trap => Some("it trapped"),
        Fallback::Deadline => Some("it overran its deadline"),
        Fallback::WrongLength => Some("it answered another number of rows"),
        Fallback::BackingOff | Fallback::Refused => Some("it cannot be made an instance"),
        Fallback::Warming | Fallback::Busy | Fallback::Full => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(calls: u64, micros: u64, rows: usize) -> Cost {
        let mut cost = Cost::default();
        (0..calls).for_each(|_| cost.add(Duration::from_micros(micros), rows));
        cost
    }

    #[test]
    fn a_call_that_costs_far_more_than_before_is_too_slow() {
        let limits = Limits::default();
        let judge = |before: Cost, micros: u64, rows: usize| {
            let mut probation = Probation::new(0, before);
            (0..20).find_map(|_| probation.decided(&limits, Duration::from_micros(micros), rows)).is_some()
        };
        assert!(judge(cost(300, 10, 32), 1_000, 32));
        assert!(!judge(cost(300, 10, 32), 90, 32), "nine times is not ten times");
        assert!(!judge(cost(300, 1, 32), 150, 32), "what takes so little harms nobody");
        assert!(!judge(cost(300, 10, 1), 600, 256), "more rows may take longer");
        assert!(!judge(cost(3, 10, 32), 1_000, 32), "too little is known of before");
    }

    #[test]
    fn faults_and_corrections_are_counted_against_their_limits() {
        let limits = Limits { probation_faults_max: 1, ..Limits::default() };
        let mut probation = Probation::new(0, Cost::default());
        assert_eq!(probation.failed(&limits, "it trapped"), None);
        assert_eq!(probation.failed(&limits, "it trapped").as_deref(), Some("it trapped, fault 2 since it took over"));
        let mut probation = Probation::new(0, Cost::default());
        probation.decided(&limits, Duration::ZERO, 255);
        assert_eq!(probation.corrected(&limits, 255), None, "too few to judge");
        probation.decided(&limits, Duration::ZERO, 5_000);
        assert_eq!(probation.corrected(&limits, 7), None, "262 of 5255 are less than 5 percent");
        assert_eq!(probation.corrected(&limits, 1).as_deref(), Some("263 of 5255 answers had to be corrected"));
    }
}
