//! How fast a consumer acknowledges.

/// Time without work after which half of what is known of a consumer's pace is forgotten, ms.
const FORGET_MS: i64 = 10_000;
/// Acknowledgements over which the mean is taken.
const MEAN_OF: f64 = 32.0;

/// Busy time of a consumer per acknowledged message, as a moving mean. Two numbers a consumer and no time stamp a message:
/// what counts is the time from one acknowledgement, or from the beginning of work, to the next.
///
/// ```text
///   idle ── first delivery ──> busy ── acknowledgement of n: (now - since) / n ──> busy, or idle if nothing is left
/// ```
///
/// A consumer that was slow and then idle is believed less with time, or nobody would ever find out that it recovered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// When the time now counted began, ms since 1970: the last acknowledgement, or the delivery that ended idleness.
    since: i64,
    /// Microseconds per message; `None` until the first acknowledgement.
    mean_us: Option<f64>,
}

impl Pace {
    /// The consumer gets a message and had none.
    pub(crate) fn begin(&mut self, now: i64) {
        self.mean_us = self.mean_us.map(|mean| mean * remembered(now - self.since));
        self.since = now;
    }

    /// The application is done with `count` messages.
    pub(crate) fn acknowledged(&mut self, count: u32, now: i64) {
        if count == 0 {
            return;
        }
        let sample = (now - self.since).max(0) as f64 * 1_000.0 / f64::from(count);
        let weight = (f64::from(count) / MEAN_OF).min(0.5);
        self.mean_us = Some(self.mean_us.map_or(sample, |mean| mean + (sample - mean) * weight));
        self.since = now;
    }

    /// Microseconds of busy time per acknowledgement, at least 1; 0 before the first one. `held` is how many messages it
    /// works on: time that already went by for those counts although none is acknowledged.
    pub(crate) fn interval_us(&self, held: usize, now: i64) -> u32 {
        let Some(mean) = self.mean_us else { return 0 };
        let elapsed = (now - self.since).max(0);
        let interval = match held {
            0 => mean * remembered(elapsed),
            held => mean.max(elapsed as f64 * 1_000.0 / held as f64),
        };
        // Above the largest number it is that number.
        (interval as u32).max(1)
    }
}

/// The share of the mean that is still believed.
fn remembered(idle_ms: i64) -> f64 {
    if idle_ms < FORGET_MS {
        return 1.0;
    }
    0.5_f64.powi(i32::try_from(idle_ms / FORGET_MS).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_the_acknowledgements() {
        let mut pace = Pace::default();
        pace.begin(1_000);
        assert_eq!(pace.interval_us(1, 5_000), 0, "nothing is known before the first");
        pace.acknowledged(1, 1_004);
        assert_eq!(pace.interval_us(0, 1_004), 4_000);
        pace.acknowledged(500, 1_504);
        assert_eq!(pace.interval_us(1, 1_504), 2_500, "many count more than one, and half at most");
        for now in 1_505..2_000 {
            pace.acknowledged(1, now);
        }
        assert_eq!(pace.interval_us(1, 2_000), 1_000);
        pace.acknowledged(0, 9_000);
        assert_eq!(pace.interval_us(100, 2_000), 1_000, "no acknowledgement changes nothing");
    }

    /// Faster than the clock's step is fast, and known.
    #[test]
    fn within_a_millisecond_is_one() {
        let mut pace = Pace::default();
        pace.begin(5);
        pace.acknowledged(1, 5);
        assert_eq!(pace.interval_us(0, 5), 1);
    }

    #[test]
    fn who_does_not_acknowledge_becomes_slow_and_who_is_idle_is_forgiven() {
        let mut pace = Pace::default();
        pace.begin(0);
        pace.acknowledged(1, 8);
        assert_eq!(pace.interval_us(10, 1_008), 100_000);
        assert_eq!(pace.interval_us(0, 10_008), 4_000);
        assert_eq!(pace.interval_us(0, 20_008), 2_000);
        pace.begin(20_008);
        assert_eq!(pace.interval_us(1, 20_008), 2_000);
        assert_eq!(pace.interval_us(0, i64::MAX), 1);
        assert_eq!(pace.interval_us(1, i64::MAX), u32::MAX);
        assert_eq!(pace.interval_us(1, 0), 2_000, "a clock that goes back does no harm");
    }
}
