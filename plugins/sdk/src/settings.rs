//! The settings of a policy: read by the policy, checked on the way.

use std::ops::RangeInclusive;

use crate::bindings::exports::jackfield::policy::lifecycle::Setting;

/// Largest weight in a list of weights.
pub const WEIGHT_MAX: u32 = 1_000;
/// Most entries of a list of weights.
const WEIGHTS_MAX: usize = 256;

/// Reads keys and values. A wrong value is noted and reads as its default, so that all faults come at once; a key that
/// no read asked for is a fault too. What was noted is the policy's refusal.
pub struct Settings {
    all: Vec<Setting>,
    known: Vec<&'static str>,
    faults: Vec<String>,
}

impl Settings {
    pub(crate) fn new(all: Vec<Setting>) -> Settings {
        Settings { all, known: Vec::new(), faults: Vec::new() }
    }

    /// A text that is not empty.
    pub fn text(&mut self, key: &'static str, default: &str) -> String {
        let Some(value) = self.value(key) else { return default.to_owned() };
        if value.trim().is_empty() {
            self.refuse(key, &value, "is empty", "write a name, or leave the setting out");
            return default.to_owned();
        }
        value
    }

    /// A whole number.
    pub fn number(&mut self, key: &'static str, default: u64, bounds: RangeInclusive<u64>) -> u64 {
        let Some(value) = self.value(key) else { return default };
        match value.parse() {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let remedy = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
                self.refuse(key, &value, "is no such number", &remedy);
                default
            }
        }
    }

    /// Index of one of several words, the first being the default.
    pub fn choice(&mut self, key: &'static str, words: &[&str]) -> usize {
        let Some(value) = self.value(key) else { return 0 };
        words.iter().position(|word| *word == value).unwrap_or_else(|| {
            self.refuse(key, &value, "is unknown", &format!("write one of {}", words.join(", ")));
            0
        })
    }

    /// A list such as `big=5, small=1`: names and weights from 1 to [`WEIGHT_MAX`], in their order.
    pub fn weights(&mut self, key: &'static str) -> Vec<(String, u32)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let mut weights = Vec::new();
        for entry in value.split(',') {
            let (name, weight) = entry.rsplit_once('=').unwrap_or((entry, ""));
            match weight.trim().parse() {
                Ok(weight) if (1..=WEIGHT_MAX).contains(&weight) && !name.trim().is_empty() => {
                    weights.push((name.trim().to_owned(), weight));
                }
                _ => {
                    let remedy =
                        format!("write NAME=WEIGHT with weights from 1 to {WEIGHT_MAX} and commas between them");
                    self.refuse(key, &value, "is no list of weights", &remedy);
                    return Vec::new();
                }
            }
        }
        if weights.len() > WEIGHTS_MAX {
            self.refuse(key, &value, "is too long", &format!("write at most {WEIGHTS_MAX} weights"));
            return Vec::new();
        }
        weights
    }

    /// Notes that `value` of `key` is wrong: what is, such as `is no colour`, and what to write instead.
    pub fn refuse(&mut self, key: &str, value: &str, what: &str, remedy: &str) {
        self.faults.push(format!("setting {key} = {value} {what}; {remedy}"));
    }

    /// All that is wrong, once every key that the policy knows was read.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        let remedy = match self.known.is_empty() {
            true => "leave it out, this policy takes no settings".to_owned(),
            false => format!("known are {}", self.known.join(", ")),
        };
        for Setting { key, value } in std::mem::take(&mut self.all) {
            if !self.known.contains(&key.as_str()) {
                self.refuse(&key, &value, "is unknown", &remedy);
            }
        }
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults.join(". ")) }
    }

    fn value(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        self.all.iter().find(|setting| setting.key == key).map(|setting| setting.value.clone())
    }
}
