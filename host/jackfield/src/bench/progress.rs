//! A line a second on standard error, if somebody looks at it.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

/// Shows totals and rates; silent when standard error is no terminal.
pub(crate) struct Progress {
    shown: bool,
    title: String,
    last: Option<(Instant, u64, u64)>,
}

impl Progress {
    pub(crate) fn new(title: String) -> Self {
        Self { shown: std::io::stderr().is_terminal(), title, last: None }
    }

    /// At most once a second, in place of the line before.
    pub(crate) fn show(&mut self, phase: &str, produced: u64, consumed: u64) {
        let now = Instant::now();
        let Some((at, produced_before, consumed_before)) = self.last else {
            self.last = Some((now, produced, consumed));
            return;
        };
        let time = now - at;
        if time < Duration::from_secs(1) {
            return;
        }
        self.last = Some((now, produced, consumed));
        let rate = |count: u64, before: u64| count.saturating_sub(before) as f64 / time.as_secs_f64();
        let (into, out) = (rate(produced, produced_before), rate(consumed, consumed_before));
        self.line(&format!("{phase}: {produced} in, {consumed} out, {into:.0}/s in, {out:.0}/s out"));
    }

    /// A line in place of the one before.
    pub(crate) fn line(&self, text: &str) {
        if self.shown {
            // A terminal that is gone must not end a measurement.
            let _ = write!(std::io::stderr(), "\r\x1b[K{} {text}", self.title);
        }
    }

    /// Clears the line.
    pub(crate) fn done(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
