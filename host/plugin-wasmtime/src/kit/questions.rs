//! What the contract needs to know of a world: random questions by seed, and which answers are right.

use std::collections::BTreeSet;
use std::sync::Arc;

use plugin::{PolicyError, PolicyStats, SymbolTable};

use crate::WasmHost;
use crate::kit::contract::{Finding, Subject};

/// Where the policy that is judged decides: its queue, topic, binding or connector.
pub(super) const PLACE: &str = "orders";
/// Words of the settings that questions are made of, at most.
const WORDS_MAX: usize = 64;
/// Length of such a word.
const WORD_BYTES_MAX: usize = 64;

/// What questions are drawn from.
pub(super) struct Ground {
    /// Texts become symbols of this table, that of whoever runs the policy.
    pub(super) symbols: Arc<SymbolTable>,
    /// Words of the settings: values that the policy may be waiting for.
    pub(super) words: Arc<[String]>,
    /// The most rows that the policy wants in one question.
    pub(super) rows_max: usize,
}

impl Ground {
    pub(super) fn new(host: &WasmHost, subject: &Subject<'_>) -> Result<Ground, PolicyError> {
        let prepared = host.prepare_generation("probe", 1, subject.bytes.to_vec(), subject.settings)?;
        let (_, rows_max) = prepared.wants();
        let symbols = plugin::PolicyHost::symbols(host).clone();
        Ok(Ground { symbols, words: words(subject.settings), rows_max })
    }
}

/// The words of settings, each once.
pub(super) fn words(settings: &[(String, String)]) -> Arc<[String]> {
    let is_between = |c: char| c.is_whitespace() || c.is_control() || ",;=<>'\"()".contains(c);
    let texts = settings.iter().flat_map(|(key, value)| [key, value]);
    let words = texts.flat_map(|text| text.split(is_between)).filter(|word| !word.is_empty());
    let words: BTreeSet<&str> = words.filter(|word| word.len() <= WORD_BYTES_MAX).collect();
    words.into_iter().take(WORDS_MAX).map(str::to_owned).collect()
}

/// Which question comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Any.
    Random,
    /// About nothing.
    Empty,
    /// As large as a broker asks.
    Largest,
}

/// Questions of one world, by seed: the same seed and the same answers give the same questions.
pub(super) trait Questions: Sized {
    /// A policy that is asked.
    type Policy;
    /// All that it says to one question.
    type Answer: PartialEq + Clone;
    /// What answers must be, as the contract says it.
    const RIGHT: &'static str;
    /// Whether the policy names the properties that it reads by a function of its own.
    const READS: bool;

    /// Those of a seed.
    fn new(seed: u64, ground: &Ground) -> Self;

    /// The policy `name` of a host in one place.
    fn policy(host: &WasmHost, name: &str, place: &str) -> Result<Self::Policy, PolicyError>;

    /// Makes the next question. Who came and went is told to the policy here.
    fn draw(&mut self, size: Size, policy: &mut Self::Policy);

    /// Puts the question. An error is who or what kept the policy from answering; then it may be put again.
    fn ask(&mut self, policy: &mut Self::Policy) -> Result<Self::Answer, String>;

    /// What a broker would have to correct in the answer to the last question.
    fn judge(&mut self, answer: &Self::Answer) -> Result<(), String>;

    /// Rows of the last question.
    fn rows(&self) -> usize;

    /// What the policy asked to see so far.
    fn wanted(&self, policy: &Self::Policy) -> BTreeSet<String>;

    /// What happened to it.
    fn stats(policy: &Self::Policy) -> PolicyStats;

    /// What the contract says of this world alone. The host has the policy as `judged`.
    fn own(subject: &Subject<'_>, host: &WasmHost, ground: &Ground) -> Result<Vec<Finding>, PolicyError> {
        let _ = (subject, host, ground);
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_settings_are_what_stands_between_signs() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let settings = [pair("to queue://EU, topic://SEEN", "region = 'eu' AND weight>100"), pair("=eu", "A.>")];
        let found = words(&settings);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["100", "A.", "AND", "eu", "queue://EU", "region", "to", "topic://SEEN", "weight"]);
    }
}
