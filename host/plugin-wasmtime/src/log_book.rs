//! What policies said lately, kept for whoever asks, and handed on to whoever listens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines kept of one policy; the oldest go first.
const LINES_MAX: usize = 200;
/// Policies whose lines are kept; what further ones say, only the log has.
const POLICIES_MAX: usize = 128;
/// Lines that wait for whoever listens at most; further ones are counted as dropped.
const LINES_WAITING_MAX: usize = 256;

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

/// A line with who said it.
pub type Said = (Arc<str>, LogLine);

/// The lines by policy.
#[derive(Default)]
pub(crate) struct LogBook {
    lines: Mutex<BTreeMap<Arc<str>, VecDeque<LogLine>>>,
    /// Set once somebody listens.
    listener: OnceLock<SyncSender<Said>>,
}

impl LogBook {
    /// Keeps a line and hands it on. False where it cannot be: there are too many policies, or somebody reads at this moment, for
    /// whom the core's thread does not wait, or whoever listens is not quick enough.
    pub(crate) fn note(&self, policy: &Arc<str>, level: &'static str, destination: &Arc<str>, text: String) -> bool {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let line = LogLine { at_ms, level, destination: destination.clone(), text };
        // What nobody reads any more is not missed.
        let is_heard = self.listener.get().is_none_or(|listener| {
            !matches!(listener.try_send((policy.clone(), line.clone())), Err(TrySendError::Full(_)))
        });
        let Ok(mut book) = self.lines.try_lock() else { return false };
        if book.len() >= POLICIES_MAX && !book.contains_key(policy) {
            return false;
        }
        let lines = book.entry(policy.clone()).or_default();
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
        is_heard
    }

    /// What is said from now on; can be had once.
    pub(crate) fn listen(&self) -> Option<Receiver<Said>> {
        let (sender, lines) = sync_channel(LINES_WAITING_MAX);
        self.listener.set(sender).ok().map(|()| lines)
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
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
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
        let heard = book.listen().expect("nobody listens yet");
        assert!(book.listen().is_none());
        for number in 0..LINES_WAITING_MAX {
            assert!(book.note(&policy, "warn", &queue, number.to_string()));
        }
        assert!(!book.note(&policy, "warn", &queue, "too much".into()), "nobody takes them away");
        let (who, line) = heard.recv().expect("the first");
        assert_eq!((&*who, line.level, &*line.text), ("p", "warn", "0"));
        drop(heard);
        assert!(book.note(&policy, "warn", &queue, "nobody listens".into()));
        book.forget("p");
        assert!(book.read("p").is_empty() && book.note(&"one more".into(), "info", &queue, String::new()));
    }
}
