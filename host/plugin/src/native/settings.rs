//! The settings of a stock policy: read by the policy, checked on the way.

use std::fmt;
use std::ops::RangeInclusive;

/// Largest weight in a list of weights.
pub(super) const WEIGHT_MAX: u32 = 1_000;
/// Most entries of a list of weights.
const WEIGHTS_MAX: usize = 256;

/// A setting that a policy refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting {} = {} {}; {}", self.key, self.value, self.what, self.remedy)
    }
}

/// Reads keys and values. A wrong value is noted and reads as its default, so that all faults come at once; a key that
/// no read asked for is a fault too.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    all: &'a [(String, String)],
    known: Vec<&'static str>,
    faults: Vec<SettingFault>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(all: &'a [(String, String)]) -> Settings<'a> {
        Settings { all, known: Vec::new(), faults: Vec::new() }
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        let Some(value) = self.value(key) else { return default.to_owned() };
        if value.trim().is_empty() {
            self.fault(key, value, "is empty", "write a name, or leave the setting out".to_owned());
            return default.to_owned();
        }
        value.to_owned()
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &'static str, default: u64, bounds: RangeInclusive<u64>) -> u64 {
        let Some(value) = self.value(key) else { return default };
        match value.parse() {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let remedy = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
                self.fault(key, value, "is no such number", remedy);
                default
            }
        }
    }

    /// Index of one of several words, the first being the default.
    pub(super) fn choice(&mut self, key: &'static str, words: &[&str]) -> usize {
        let Some(value) = self.value(key) else { return 0 };
        words.iter().position(|word| *word == value).unwrap_or_else(|| {
            self.fault(key, value, "is unknown", format!("write one of {}", words.join(", ")));
            0
        })
    }

    /// A list such as `big=5, small=1`: names and weights, in their order.
    pub(super) fn weights(&mut self, key: &'static str) -> Vec<(String, u32)> {
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
                    self.fault(key, value, "is no list of weights", remedy);
                    return Vec::new();
                }
            }
        }
        if weights.len() > WEIGHTS_MAX {
            self.fault(key, value, "is too long", format!("write at most {WEIGHTS_MAX} weights"));
            return Vec::new();
        }
        weights
    }

    /// All that is wrong, once every key that the policy knows was read.
    pub(super) fn finish(self) -> Vec<SettingFault> {
        let Settings { all, known, mut faults } = self;
        for (key, value) in all.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let remedy = match known.is_empty() {
                true => "leave it out, this policy takes no settings".to_owned(),
                false => format!("known are {}", known.join(", ")),
            };
            faults.push(SettingFault { key: key.clone(), value: value.clone(), what: "is unknown".to_owned(), remedy });
        }
        faults
    }

    fn value(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.push(key);
        self.all.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    fn fault(&mut self, key: &str, value: &str, what: &str, remedy: String) {
        self.faults.push(SettingFault { key: key.to_owned(), value: value.to_owned(), what: what.to_owned(), remedy });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_and_reads_as_the_default() {
        let pairs =
            [("n", "12"), ("m", "13"), ("w", "a=1, ID:b*=1000"), ("v", "a"), ("c", "two"), ("d", "no"), ("t", " ")];
        let all: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut settings = Settings::new(&all);
        assert_eq!((settings.number("n", 1, 0..=12), settings.number("m", 1, 0..=12)), (12, 1));
        assert_eq!(settings.number("absent", 7, 0..=9), 7);
        assert_eq!(settings.weights("w"), [("a".to_owned(), 1), ("ID:b*".to_owned(), 1000)]);
        assert_eq!(settings.weights("v"), []);
        assert_eq!(settings.choice("c", &["one", "two"]), 1);
        assert_eq!(settings.text("t", "name"), "name");
        let told: Vec<String> = settings.finish().iter().map(SettingFault::to_string).collect();
        assert_eq!(
            told,
            [
                "setting m = 13 is no such number; write a whole number from 0 to 12",
                "setting v = a is no list of weights; write NAME=WEIGHT with weights from 1 to 1000 and commas between them",
                "setting t =   is empty; write a name, or leave the setting out",
                "setting d = no is unknown; known are n, m, absent, w, v, c, t",
            ]
        );
    }
}
