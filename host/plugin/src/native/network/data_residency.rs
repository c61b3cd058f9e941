//! Data residency: some data stays here.

use super::{list, unknown};
use crate::{Crossing, CrossingLogic, Messages, Peer};

/// Messages cross if a property of theirs has one of the named values; all others stay for good.
///
/// Settings: `property` is its name, `allow` the values with commas between them. A message without the property stays
/// unless `allow` has the value `none`.
#[derive(Debug, Default)]
pub struct DataResidency {
    property: String,
    allow: Vec<String>,
}

impl CrossingLogic for DataResidency {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = DataResidency::default();
        for (key, value) in settings {
            match key.as_str() {
                "property" => fresh.property.clone_from(value),
                "allow" => fresh.allow = list(key, value)?,
                _ => return Err(unknown(key, value, "property, allow")),
            }
        }
        if fresh.property.is_empty() && !settings.is_empty() {
            return Err("data-residency needs property; write the name of the property to look at".to_owned());
        }
        *self = fresh;
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        if self.property.is_empty() { Vec::new() } else { vec![self.property.clone()] }
    }

    fn crossing(&mut self, _now_ms: u64, _peer: &Peer, messages: &dyn Messages, row: usize) -> Crossing {
        let value = messages.property(row, &self.property);
        let text = value.to_text();
        let text = text.as_deref().unwrap_or("none");
        if self.allow.iter().any(|allowed| allowed == text) { Crossing::Forward(Vec::new()) } else { Crossing::Drop }
    }
}
