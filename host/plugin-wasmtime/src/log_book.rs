//! What policies said lately, kept for whoever asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines kept of one policy; the oldest go first.
const LINES_MAX: usize = 200;
/// Policies whose lines are kept; what further ones say, only the log has.
const POLICIES_MAX: usize = 128;

/// A line that a policy said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The destination that it was on; empty while it was tried out.
    pub destination: Arc<str>,
    /// What it said, without control characters.
    pub text: String,
}

/// The lines by policy.
#[derive(Default)]
pub(crate) struct LogBook(Mutex<BTreeMap<Arc<str>, VecDeque<LogLine>>>);

impl LogBook {
    /// Keeps a line. False where it cannot be: there are too many policies, or somebody reads at this moment, for whom the
    /// core's thread does not wait.
    pub(crate) fn note(&self, policy: &Arc<str>, level: &'static str, destination: &Arc<str>, text: String) -> bool {
        let Ok(mut book) = self.0.try_lock() else { return false };
        if book.len() >= POLICIES_MAX && !book.contains_key(policy) {
            return false;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let lines = book.entry(policy.clone()).or_default();
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(LogLine { at_ms, level, destination: destination.clone(), text });
        true
    }

    /// The latest lines of a policy, oldest first.
    pub(crate) fn read(&self, policy: &str) -> Vec<LogLine> {
        self.lock().get(policy).into_iter().flatten().cloned().collect()
    }

    /// Drops the lines of a policy.
    pub(crate) fn forget(&self, policy: &str) {
        self.lock().remove(policy);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, VecDeque<LogLine>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lines_are_kept() {
        let book = LogBook::default();
        let (policy, queue): (Arc<str>, Arc<str>) = ("p".into(), "q".into());
        for number in 0..LINES_MAX + 3 {
            assert!(book.note(&policy, "info", &queue, number.to_string()));
        }
        let lines = book.read("p");
        assert_eq!((lines.len(), lines[0].text.as_str(), &*lines[0].destination), (LINES_MAX, "3", "q"));
        for number in 1..POLICIES_MAX {
            assert!(book.note(&format!("p{number}").into(), "info", &queue, String::new()));
        }
        assert!(!book.note(&"one more".into(), "info", &queue, String::new()));
        book.forget("p");
        assert!(book.read("p").is_empty() && book.note(&"one more".into(), "info", &queue, String::new()));
    }
}
