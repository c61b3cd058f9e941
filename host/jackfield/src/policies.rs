//! The dispatch policies of this program: the stock ones as components, and their native twins by `native:` in front.

use std::sync::Arc;

use plugin::native::NativeHost;
use plugin::{PolicyError, PolicyHost, PolicyInfo, QueueDispatch, SymbolTable};
use plugin_wasmtime::{Limits, WasmHost};

/// Stands in front of the name of a native policy.
const NATIVE: &str = "native:";

/// The names that `dispatch_policy` may have, the stock policies first.
pub(crate) fn names() -> Vec<String> {
    let stock = plugin_wasmtime::stock().iter().map(|stock| stock.name.to_owned());
    let native = NativeHost::new().names().into_iter().map(|info| format!("{NATIVE}{}", info.name));
    stock.chain(native).collect()
}

/// Serves both kinds. A destination that asks for native policies alone never waits for a compiler.
pub(crate) struct Policies {
    components: WasmHost,
    native: NativeHost,
}

impl Policies {
    /// Compiles nothing yet.
    pub(crate) fn new(limits: Limits) -> Result<Policies, PolicyError> {
        Ok(Policies { components: WasmHost::new(limits)?, native: NativeHost::new() })
    }
}

impl PolicyHost for Policies {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        match policy.strip_prefix(NATIVE) {
            Some(native) => self.native.queue_dispatch(native, destination),
            None => self.components.queue_dispatch(policy, destination),
        }
    }

    fn names(&self) -> Vec<PolicyInfo> {
        let native = self.native.names().into_iter();
        let mut all = self.components.names();
        all.extend(native.map(|info| PolicyInfo { name: format!("{NATIVE}{}", info.name), ..info }));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        self.components.symbols()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the configuration accepts is what the broker finds.
    #[test]
    fn every_name_that_may_be_written_is_served() {
        let policies = Policies::new(Limits::default()).expect("a host");
        let mut names = names();
        for name in &names {
            assert!(policies.queue_dispatch(name, "orders").is_ok(), "{name}");
        }
        names.sort();
        assert_eq!(names, policies.names().into_iter().map(|info| info.name).collect::<Vec<_>>());
    }
}
