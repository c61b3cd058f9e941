//! Publish routing: where a message goes that a producer sends.

use crate::{Decided, Messages, PolicyStats};

/// What becomes of a message that a producer sends. Targets are qualified names; without a scheme they name queues.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It goes where its producer sent it.
    #[default]
    AsAddressed,
    /// It goes to these in place of where it was sent.
    Replace(Vec<String>),
    /// It goes where it was sent, and to these.
    Add(Vec<String>),
    /// It goes nowhere; its producer hears that all is well.
    Drop,
    /// Its producer gets this sentence as an error.
    Reject(String),
    /// It becomes a dead letter, for this reason.
    DeadLetter(String),
}

/// The routing policy of one binding. The core owns it and asks it synchronously.
///
/// An answer always comes: if the policy fails, the messages of that very batch go where they were sent. The answer is
/// advice; the core passes it through [`RouteCheck`] before it acts.
pub trait PublishRouting: Send {
    /// The most rows of one question, at least 1.
    fn rows_max(&self) -> usize;

    /// Clears `out`, then puts a verdict there for each of the messages.
    fn route(&mut self, now_ms: u64, messages: &dyn Messages, out: &mut Vec<Verdict>) -> Decided;

    /// So many of the answers of the last batch were wrong and were corrected; not called where all were right.
    fn corrected(&mut self, answers: u64) {
        let _ = answers;
    }

    /// What happened so far and how it stands.
    fn stats(&self) -> PolicyStats;
}

/// How a routing policy decides, without the bookkeeping around it: the native policies, and the guests that are built
/// from the same source.
pub trait RouteLogic: Default + Send + 'static {
    /// Ids of the headers that are read by [`Messages::number`]; the manual has the table.
    const COLUMN_IDS: &'static [u32] = &[];

    /// Version of the state that [`snapshot`](Self::snapshot) writes and [`restore`](Self::restore) reads; 0 = none.
    const STATE_VERSION: u8 = 0;

    /// Takes the settings in their order, or says in a sentence what is wrong with them.
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String>;

    /// Names of the properties that [`decide`](Self::decide) reads with these settings.
    fn reads(&self) -> Vec<String>;

    /// A verdict for one row.
    fn decide(&mut self, messages: &dyn Messages, row: usize) -> Verdict;

    /// What to keep while the policy sleeps.
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what [`snapshot`](Self::snapshot) gave; false if it makes no sense.
    fn restore(&mut self, state: &[u8]) -> bool {
        state.is_empty()
    }
}

/// What was wrong in the verdicts of a batch. All zero for verdicts that were kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteCorrections {
    /// Targets that no message can be sent to.
    pub unknown_target: u64,
    /// Targets beyond the limit for one message.
    pub surplus_target: u64,
    /// Rows without a verdict.
    pub missing: u64,
    /// Verdicts without a row.
    pub surplus: u64,
}

impl RouteCorrections {
    /// All the wrong answers together.
    pub fn total(&self) -> u64 {
        self.unknown_target + self.surplus_target + self.missing + self.surplus
    }
}

/// Checks verdicts and corrects them.
#[derive(Debug, Clone, Copy)]
pub struct RouteCheck {
    /// Targets of one verdict.
    pub targets_max: usize,
    /// Bytes of a reason that a policy gives for a rejection or a dead letter; longer ones are cut.
    pub reason_bytes_max: usize,
}

impl RouteCheck {
    /// Makes `verdicts` right in place and counts what was wrong. `is_target` says whether a message can be sent there.
    ///
    /// Afterwards there is one verdict per row, no target that cannot be and none twice. A row that is left without a
    /// target goes as addressed: only an explicit drop drops.
    pub fn correct(
        &self,
        rows: usize,
        verdicts: &mut Vec<Verdict>,
        mut is_target: impl FnMut(&str) -> bool,
    ) -> RouteCorrections {
        let mut found = RouteCorrections {
            surplus: verdicts.len().saturating_sub(rows) as u64,
            missing: rows.saturating_sub(verdicts.len()) as u64,
            ..RouteCorrections::default()
        };
        verdicts.resize(rows, Verdict::AsAddressed);
        for verdict in verdicts {
            match verdict {
                Verdict::Replace(targets) | Verdict::Add(targets) => {
                    found.surplus_target += targets.len().saturating_sub(self.targets_max) as u64;
                    targets.truncate(self.targets_max);
                    let named = targets.len();
                    targets.retain(|target| is_target(target));
                    found.unknown_target += (named - targets.len()) as u64;
                    if targets.is_empty() {
                        *verdict = Verdict::AsAddressed;
                    }
                }
                Verdict::Reject(reason) | Verdict::DeadLetter(reason) => {
                    reason.truncate(reason.floor_char_boundary(self.reason_bytes_max));
                }
                Verdict::AsAddressed | Verdict::Drop => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn wrong_verdicts_are_counted_and_corrected() {
        let check = RouteCheck { targets_max: 2, reason_bytes_max: 5 };
        let mut verdicts = vec![
            Verdict::Replace(names(&["A", "B", "C"])),
            Verdict::Replace(names(&["bad", "bad"])),
            Verdict::Add(names(&["bad", "B"])),
            Verdict::Replace(vec![]),
            Verdict::Reject("no way".into()),
            Verdict::DeadLetter("caffé".into()),
            Verdict::Drop,
        ];
        let found = check.correct(8, &mut verdicts, |target| target != "bad");
        let expected = [
            Verdict::Replace(names(&["A", "B"])),
            Verdict::AsAddressed,
            Verdict::Add(names(&["B"])),
            Verdict::AsAddressed,
            Verdict::Reject("no wa".into()),
            Verdict::DeadLetter("caff".into()),
            Verdict::Drop,
            Verdict::AsAddressed,
        ];
        assert_eq!(verdicts, expected);
        assert_eq!(found, RouteCorrections { unknown_target: 3, surplus_target: 1, missing: 1, surplus: 0 });
    }

    #[test]
    fn verdicts_without_a_row_are_left_out() {
        let check = RouteCheck { targets_max: 2, reason_bytes_max: 5 };
        let mut verdicts = vec![Verdict::Drop, Verdict::Drop];
        assert_eq!(check.correct(1, &mut verdicts, |_| true).surplus, 1);
        assert_eq!(verdicts, [Verdict::Drop]);
    }
}
