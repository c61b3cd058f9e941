//! Content based: rules with selectors.

use selector::{Limits, Selector};

use super::{ENTRIES_MAX, full, targets, unknown};
use crate::{Messages, RouteLogic, Scalar, Verdict};

/// The first rule whose JMS selector takes the message says what becomes of it; without one it goes as addressed.
///
/// A setting is a rule, in the order in which they are written: its value is the selector, its key what to do:
/// `to A, topic://B`, `also A, B`, `drop`, `reject SENTENCE` or `dead-letter SENTENCE`.
#[derive(Debug, Default)]
pub struct ContentBased {
    rules: Vec<(Selector, Verdict)>,
}

impl RouteLogic for ContentBased {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut rules = Vec::new();
        for (key, value) in settings {
            let (verb, rest) = key.split_once(' ').unwrap_or((key, ""));
            let rest = rest.trim();
            let verdict = match verb {
                "to" => Verdict::Replace(targets(key, rest)?),
                "also" => Verdict::Add(targets(key, rest)?),
                "drop" => Verdict::Drop,
                "reject" => Verdict::Reject(rest.to_owned()),
                "dead-letter" => Verdict::DeadLetter(rest.to_owned()),
                _ => return Err(unknown(key, value, "to …, also …, drop, reject …, dead-letter …")),
            };
            let selector = Selector::parse(value, &Limits::default())
                .map_err(|error| format!("setting {key} = {value} is no selector: {error}"))?;
            if rules.len() == ENTRIES_MAX {
                return Err(full(key, value));
            }
            rules.push((selector, verdict));
        }
        self.rules = rules;
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (selector, _) in &self.rules {
            names.extend(selector.identifiers().iter().map(|name| name.to_string()));
        }
        names.sort();
        names.dedup();
        names
    }

    fn decide(&mut self, messages: &dyn Messages, row: usize) -> Verdict {
        let view = View { messages, row };
        let rule = self.rules.iter().find(|(selector, _)| selector.matches(&view));
        rule.map_or(Verdict::AsAddressed, |(_, verdict)| verdict.clone())
    }
}

/// One row as a selector sees it.
struct View<'a> {
    messages: &'a dyn Messages,
    row: usize,
}

impl selector::Properties for View<'_> {
    fn get(&self, name: &str) -> Option<selector::Value<'_>> {
        Some(match self.messages.property(self.row, name) {
            Scalar::Absent => return None,
            Scalar::Bool(value) => selector::Value::Bool(value),
            Scalar::Int(value) => selector::Value::Int(value),
            Scalar::Float(value) => selector::Value::Float(value),
            Scalar::Text(std::borrow::Cow::Borrowed(value)) => selector::Value::Str(value),
            Scalar::Text(std::borrow::Cow::Owned(value)) => selector::Value::Owned(value.into()),
        })
    }
}
