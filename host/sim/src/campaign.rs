//! Many seeds, one after the other.

use std::fmt;

use crate::tamper::Tamper;
use crate::world::{Tally, Violation, World};

/// Runs one seed.
pub fn run(seed: u64, steps: u64) -> Result<Tally, Violation> {
    World::new(seed, Tamper::None).run(steps)
}

/// Runs one seed with a promise broken on purpose.
pub fn run_tampered(seed: u64, steps: u64, tamper: Tamper) -> Result<Tally, Violation> {
    World::new(seed, tamper).run(steps)
}

/// Runs one seed and panics with all that is known when it breaks a promise.
pub fn demand(seed: u64, steps: u64) -> Tally {
    run(seed, steps).unwrap_or_else(|violation| panic!("{violation}"))
}

/// The sum of many seeds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// All of them together.
    pub total: Tally,
}

impl Summary {
    /// Adds one seed.
    pub fn add(&mut self, tally: &Tally) {
        let (sum, one) = (&mut self.total, &tally.counted);
        self.seeds += 1;
        sum.steps += tally.steps;
        sum.restarts += tally.restarts;
        sum.crashes += tally.crashes;
        sum.sent += tally.sent;
        sum.virtual_ms += tally.virtual_ms;
        sum.counted.confirmed += one.confirmed;
        sum.counted.deliveries += one.deliveries;
        sum.counted.redeliveries += one.redeliveries;
        sum.counted.acks += one.acks;
        sum.counted.commits += one.commits;
        sum.counted.dead += one.dead;
        sum.counted.grouped += one.grouped;
        sum.counted.group_moves += one.group_moves;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { seeds, total } = self;
        let counted = &total.counted;
        write!(
            f,
            "{seeds} seeds, {} steps, {} restarts ({} crashes), {} messages sent, {} confirmed, {} delivered ({} marked), \
             {} acks confirmed, {} commits, {} dead letters, {:.1} virtual hours",
            total.steps,
            total.restarts,
            total.crashes,
            total.sent,
            counted.confirmed,
            counted.deliveries,
            counted.redeliveries,
            counted.acks,
            counted.commits,
            counted.dead,
            total.virtual_ms as f64 / 3_600_000.0
        )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}, step {}: {}", self.seed, self.step, self.what)
    }
}
