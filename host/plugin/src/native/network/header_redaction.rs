//! Header redaction: properties that others must not see.

use super::{list, unknown};
use crate::{Crossing, CrossingLogic, Edit, Messages, Peer, Scalar};

/// Properties are taken out of the copy that crosses; the message here keeps them.
///
/// Settings: `remove` has their names with commas between them; `strip-group` (false) takes the message group out too.
#[derive(Debug, Default)]
pub struct HeaderRedaction {
    remove: Vec<String>,
    strip_group: bool,
}

impl CrossingLogic for HeaderRedaction {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = HeaderRedaction::default();
        for (key, value) in settings {
            match (key.as_str(), value.as_str()) {
                ("remove", _) => fresh.remove = list(key, value)?,
                ("strip-group", "true") => fresh.strip_group = true,
                ("strip-group", "false") => fresh.strip_group = false,
                ("strip-group", _) => return Err(format!("setting {key} = {value} is no flag; write true or false")),
                _ => return Err(unknown(key, value, "remove, strip-group")),
            }
        }
        if let Some(name) = fresh.remove.iter().find(|name| name.starts_with("JMS")) {
            return Err(format!(
                "setting remove names {name}; names beginning with JMS are the broker's, leave it out"
            ));
        }
        *self = fresh;
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        self.remove.clone()
    }

    fn crossing(&mut self, _now_ms: u64, _peer: &Peer, messages: &dyn Messages, row: usize) -> Crossing {
        let there = self.remove.iter().filter(|name| messages.property(row, name) != Scalar::Absent);
        let mut edits: Vec<Edit> = there.map(|name| Edit::Remove(name.clone())).collect();
        if self.strip_group {
            edits.push(Edit::StripGroup);
        }
        Crossing::Forward(edits)
    }
}
