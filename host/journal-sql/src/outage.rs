//! How long a database is waited for that does not do what it is asked for, and what people are told meanwhile.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::fault::{Fault, Verdict};
use crate::session::Line;

/// Between two tries, at first …
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// … and later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often people are told that it is still tried.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// A time in which the database does not do what it is asked for.
pub(crate) struct Outage {
    max: Duration,
    /// What it does not do, for people.
    what: &'static str,
    pub(crate) began: Option<Instant>,
    told: Option<Instant>,
    pause: Duration,
    tries: u32,
}

impl Outage {
    /// One that may last so long.
    pub(crate) fn new(max: Duration, what: &'static str) -> Outage {
        Outage { max, what, began: None, told: None, pause: PAUSE_MIN, tries: 0 }
    }

    /// Waits before the next try; the fault itself where there is none.
    pub(crate) async fn wait(&mut self, fault: Fault, line: &Line) -> Result<(), Fault> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if fault.verdict() != Verdict::Again || began.elapsed() >= self.max {
            return Err(fault);
        }
        self.tries += 1;
        // What one more try puts right is not worth a line.
        if self.tries > 1 && self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            self.told = Some(Instant::now());
            tracing::warn!(
                "database {} {}: {fault}; {}. It is tried again, for {} s more at most",
                line.address,
                self.what,
                fault.remedy(line.address.kind()),
                self.max.saturating_sub(began.elapsed()).as_secs()
            );
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    /// It has done it.
    pub(crate) fn end(&self, line: &Line) {
        if let (Some(began), Some(_)) = (self.began, self.told) {
            let (ms, tries) = (began.elapsed().as_millis(), self.tries);
            tracing::info!("database {} is back, after {ms} ms and {tries} tries more", line.address);
        }
    }
}
