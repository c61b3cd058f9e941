//! Include and exclude: destinations by pattern.

use super::{list, unknown};
use crate::{CrossingLogic, Demand, Interest, Peer};

/// Demand counts for destinations that an `include` covers and no `exclude` does. Without `include` all are covered.
///
/// Settings: `include` and `exclude` are patterns with commas between them, such as `queue://ORDERS.>, topic://PRICES.*`:
/// `*` stands for one part of a name, `>` for all that follow.
#[derive(Debug, Default)]
pub struct IncludeExclude {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl CrossingLogic for IncludeExclude {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = IncludeExclude::default();
        for (key, value) in settings {
            match key.as_str() {
                "include" => fresh.include = list(key, value)?,
                "exclude" => fresh.exclude = list(key, value)?,
                _ => return Err(unknown(key, value, "include, exclude")),
            }
        }
        *self = fresh;
        Ok(())
    }

    fn interest(&mut self, _peer: &Peer, demand: &Demand) -> Interest {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| covers(pattern, &demand.destination));
        let included = self.include.is_empty() || any(&self.include);
        if included && !any(&self.exclude) { Interest::Forward } else { Interest::Suppress }
    }
}

/// Whether a qualified name is one that the pattern stands for. The scheme is a part like the others.
fn covers(pattern: &str, name: &str) -> bool {
    let (Some((kind, pattern)), Some((other, name))) = (split(pattern), split(name)) else { return false };
    if kind != other {
        return false;
    }
    let mut parts = name.split('.');
    for wanted in pattern.split('.') {
        if wanted == ">" {
            return true;
        }
        match parts.next() {
            Some(part) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// Scheme and name; without a scheme it is a queue.
fn split(name: &str) -> Option<(&str, &str)> {
    Some(name.split_once("://").unwrap_or(("queue", name))).filter(|(_, name)| !name.is_empty())
}
