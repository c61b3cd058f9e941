//! A host without an engine: the broker runs with native policies only.

use std::sync::Arc;

use super::{LeastInFlight, RoundRobin};
use crate::{PolicyError, PolicyHost, PolicyInfo, PolicyOrigin, QueueDispatch, SymbolTable};

/// Serves the native policies under the names of the stock ones.
#[derive(Debug, Default)]
pub struct NativeHost {
    symbols: Arc<SymbolTable>,
}

impl NativeHost {
    /// A host with an empty symbol table of default limits.
    pub fn new() -> NativeHost {
        NativeHost::default()
    }
}

impl PolicyHost for NativeHost {
    fn queue_dispatch(&self, policy: &str, _destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        match policy {
            RoundRobin::NAME => Ok(Box::new(RoundRobin::new())),
            LeastInFlight::NAME => Ok(Box::new(LeastInFlight::new())),
            _ => Err(PolicyError::Unknown {
                policy: policy.to_owned(),
                known: self.names().into_iter().map(|info| info.name).collect(),
            }),
        }
    }

    fn names(&self) -> Vec<PolicyInfo> {
        [(LeastInFlight::NAME, LeastInFlight::DESCRIPTION), (RoundRobin::NAME, RoundRobin::DESCRIPTION)]
            .map(|(name, description)| PolicyInfo {
                name: name.to_owned(),
                description: description.to_owned(),
                origin: PolicyOrigin::Native,
            })
            .to_vec()
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        &self.symbols
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_served_and_others_are_told_the_names() {
        let host = NativeHost::new();
        for info in host.names() {
            assert!(host.queue_dispatch(&info.name, "orders").is_ok());
        }
        let error = host.queue_dispatch("lottery", "orders").err().expect("no such policy");
        assert_eq!(error.to_string(), "policy lottery is unknown; known are least-in-flight, round-robin");
    }
}
