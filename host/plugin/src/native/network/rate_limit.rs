//! Rate limit: a bucket of messages that fills with time.

use super::unknown;
use crate::{Crossing, CrossingLogic, Messages, Peer};

/// Most messages a second, and most in a burst.
const NUMBER_MAX: u64 = 10_000_000;

/// So many messages a second cross; the others are held and asked about again.
///
/// Settings: `per-second` (1000) and `burst` (as `per-second`), how many may cross at once after a pause.
#[derive(Debug)]
pub struct RateLimit {
    per_second: u64,
    burst: u64,
    /// Thousandths of messages that may cross, and since when; `None` before the first question.
    bucket: Option<(u64, u64)>,
}

impl Default for RateLimit {
    fn default() -> RateLimit {
        RateLimit { per_second: 1_000, burst: 1_000, bucket: None }
    }
}

impl CrossingLogic for RateLimit {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let (mut per_second, mut burst) = (1_000, None);
        for (key, value) in settings {
            let number = value.parse().ok().filter(|number| (1..=NUMBER_MAX).contains(number)).ok_or_else(|| {
                format!("setting {key} = {value} is no such number; write a whole number from 1 to {NUMBER_MAX}")
            });
            match key.as_str() {
                "per-second" => per_second = number?,
                "burst" => burst = Some(number?),
                _ => return Err(unknown(key, value, "per-second, burst")),
            }
        }
        (self.per_second, self.burst) = (per_second, burst.unwrap_or(per_second));
        Ok(())
    }

    fn crossing(&mut self, now_ms: u64, _peer: &Peer, _messages: &dyn Messages, _row: usize) -> Crossing {
        let full = self.burst * 1_000;
        let (left, since) = self.bucket.unwrap_or((full, now_ms));
        // A message a second is a thousandth of it a millisecond.
        let gained = now_ms.saturating_sub(since).saturating_mul(self.per_second);
        let left = left.saturating_add(gained).min(full);
        let since = since.max(now_ms);
        if left < 1_000 {
            self.bucket = Some((left, since));
            return Crossing::Hold;
        }
        self.bucket = Some((left - 1_000, since));
        Crossing::Forward(Vec::new())
    }
}
