//! What is wrong with a configuration, said so that it can be put right without a manual.

use std::fmt;

/// One mistake in a configuration: where it is, what stands there, what is wrong with it, what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Line in the file, counted from 1, where known.
    pub(crate) line: Option<usize>,
    /// The key with its section, such as `memory.limit`; empty when the file is no TOML.
    pub(crate) key: String,
    /// The value as it stands in the file; `None` for secrets and for keys that are missing.
    pub(crate) value: Option<String>,
    /// What is wrong and what to write instead.
    pub(crate) fault: Fault,
}

/// What is wrong with a value, without where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) what: String,
    /// What to write instead.
    pub(crate) remedy: String,
}

impl Fault {
    /// A fault of these two parts.
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { what: what.into(), remedy: remedy.into() }
    }
}

/// Lets a function that finds one fault at most be used where several may be found.
impl From<Fault> for Vec<Fault> {
    fn from(fault: Fault) -> Vec<Fault> {
        vec![fault]
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}; {}", self.fault.what, self.fault.remedy)
    }
}

/// The fault of a name that is not among `known`; suggests the nearest one.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> Fault {
    let remedy = match nearest(name, known) {
        Some(near) => format!("did you mean {near}? Known are {}", known.join(", ")),
        None => format!("known are {}", known.join(", ")),
    };
    Fault::new(format!("{what} {name} is unknown"), remedy)
}

/// The known name that `name` was probably meant to be: at most a third of its letters differ, or none but their order.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let wanted = plain(name);
    known
        .iter()
        .map(|known| {
            let plain = plain(known);
            let same_letters = sorted(&plain) == sorted(&wanted);
            (if same_letters { 0 } else { distance(&wanted, &plain) }, *known)
        })
        .filter(|(distance, known)| *distance * 3 <= known.len().max(3))
        .min()
        .map(|(_, known)| known)
}

/// Letters to put in, take out or replace to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = corner + usize::from(letter != *other);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let known = ["memory_limit", "prioritized_messages", "limit", "name"];
        let table = [
            ("memory_limt", Some("memory_limit")),
            ("memoryLimit", Some("memory_limit")),
            ("prioritizedMessages", Some("prioritized_messages")),
            ("nmae", Some("name")),
            ("nam", Some("name")),
            ("colour", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("a", "a", 0)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_problem_names_line_key_value_and_remedy() {
        let problem = Problem {
            line: Some(3),
            key: "memory.limit".into(),
            value: Some("\"much\"".into()),
            fault: Fault::new("is no size", "write a size"),
        };
        assert_eq!(problem.to_string(), "line 3: memory.limit = \"much\": is no size; write a size");
    }
}
