//! Sampling: a copy of some messages.

use super::{targets, unknown};
use crate::{Messages, RouteLogic, Verdict};

/// Most messages between two samples.
const EVERY_MAX: u64 = 1_000_000_000;

/// Every n-th message goes to other destinations as well.
///
/// Settings: `every` is n (100), `targets` has the destinations. The state is the count since the last sample.
#[derive(Debug)]
pub struct Sampling {
    every: u64,
    targets: Vec<String>,
    /// Messages since the last sample.
    since: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { every: 100, targets: Vec::new(), since: 0 }
    }
}

impl RouteLogic for Sampling {
    const STATE_VERSION: u8 = 1;

    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = Sampling { since: self.since, ..Sampling::default() };
        for (key, value) in settings {
            match key.as_str() {
                "every" => {
                    let number = value.parse().ok().filter(|number| (1..=EVERY_MAX).contains(number));
                    fresh.every = number.ok_or_else(|| {
                        format!("setting {key} = {value} is no such number; write a whole number from 1 to {EVERY_MAX}")
                    })?;
                }
                "targets" => fresh.targets = targets(key, value)?,
                _ => return Err(unknown(key, value, "every, targets")),
            }
        }
        if fresh.targets.is_empty() && !settings.is_empty() {
            return Err("sampling needs targets; write destinations with commas between them".to_owned());
        }
        *self = fresh;
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        Vec::new()
    }

    fn decide(&mut self, _messages: &dyn Messages, _row: usize) -> Verdict {
        self.since += 1;
        if self.since < self.every || self.targets.is_empty() {
            return Verdict::AsAddressed;
        }
        self.since = 0;
        Verdict::Add(self.targets.clone())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.since.to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let Ok(since) = state.try_into() else { return false };
        self.since = u64::from_le_bytes(since);
        true
    }
}
