//! Header table: a property looked up in a table.

use std::collections::BTreeMap;

use super::{ENTRIES_MAX, flag, full, targets, unknown};
use crate::{Messages, RouteLogic, Verdict};

/// The value of one property says where the message goes.
///
/// Settings: `property` is its name; each `=VALUE` has the destinations for that value; `otherwise` has those for all
/// other values and for messages without the property, which go as addressed if it is left out; `keep` (false) leaves
/// the message where it was sent as well.
#[derive(Debug, Default)]
pub struct HeaderTable {
    property: String,
    table: BTreeMap<String, Vec<String>>,
    otherwise: Vec<String>,
    keep: bool,
}

impl RouteLogic for HeaderTable {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = HeaderTable::default();
        for (key, value) in settings {
            match (key.as_str(), key.strip_prefix('=')) {
                (_, Some(_)) if fresh.table.len() == ENTRIES_MAX => return Err(full(key, value)),
                (_, Some(wanted)) => drop(fresh.table.insert(wanted.to_owned(), targets(key, value)?)),
                ("property", _) => fresh.property.clone_from(value),
                ("otherwise", _) => fresh.otherwise = targets(key, value)?,
                ("keep", _) => fresh.keep = flag(key, value)?,
                _ => return Err(unknown(key, value, "property, =VALUE, otherwise, keep")),
            }
        }
        if fresh.property.is_empty() && !settings.is_empty() {
            return Err("header-table needs property; write the name of the property to look at".to_owned());
        }
        *self = fresh;
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        if self.property.is_empty() { Vec::new() } else { vec![self.property.clone()] }
    }

    fn decide(&mut self, messages: &dyn Messages, row: usize) -> Verdict {
        let value = messages.property(row, &self.property);
        let found = value.to_text().and_then(|text| self.table.get(&*text));
        match found.unwrap_or(&self.otherwise) {
            targets if targets.is_empty() => Verdict::AsAddressed,
            targets if self.keep => Verdict::Add(targets.clone()),
            targets => Verdict::Replace(targets.clone()),
        }
    }
}
