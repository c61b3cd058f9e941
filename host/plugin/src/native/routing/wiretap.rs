//! Wiretap: a copy of everything.

use super::{targets, unknown};
use crate::{Messages, RouteLogic, Verdict};

/// Every message goes to other destinations as well. Settings: `targets` has them.
#[derive(Debug, Default)]
pub struct Wiretap {
    targets: Vec<String>,
}

impl RouteLogic for Wiretap {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        for (key, value) in settings {
            match key.as_str() {
                "targets" => self.targets = targets(key, value)?,
                _ => return Err(unknown(key, value, "targets")),
            }
        }
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        Vec::new()
    }

    fn decide(&mut self, _messages: &dyn Messages, _row: usize) -> Verdict {
        if self.targets.is_empty() { Verdict::AsAddressed } else { Verdict::Add(self.targets.clone()) }
    }
}
