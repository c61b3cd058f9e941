//! The dispatch policies of this program: the stock ones as components, and their native twins by `native:` in front.

use std::sync::Arc;

use anyhow::Context;
use plugin::native::NativeHost;
use plugin::{GroupAssignment, Point, PolicyError, PolicyHost, PolicyInfo, QueueDispatch, SymbolTable};
use plugin_wasmtime::{Limits, WasmHost};

use crate::config::{Component, StockPolicy};

/// Stands in front of the name of a native policy.
pub(crate) const NATIVE: &str = "native:";

/// The names that `dispatch_policy` may have, the stock policies first.
pub(crate) fn names() -> Vec<String> {
    let stock = plugin_wasmtime::stock().iter().map(|stock| stock.name.to_owned());
    let native = NativeHost::new().names(Point::QueueDispatch).into_iter().map(|info| format!("{NATIVE}{}", info.name));
    stock.chain(native).collect()
}

/// Serves both kinds. A destination that asks for native policies alone never waits for a compiler.
pub(crate) struct Policies {
    components: WasmHost,
    native: NativeHost,
}

impl Policies {
    /// Looks at each of the operator's policies and compiles nothing yet. All that is wrong with them comes at once.
    pub(crate) fn new(
        limits: Limits,
        stock: &[StockPolicy],
        components: &[Component],
    ) -> Result<Policies, Vec<anyhow::Error>> {
        let mut host = WasmHost::new(limits).map_err(|error| vec![error.into()])?;
        let mut native = NativeHost::new();
        let mut errors = Vec::new();
        for StockPolicy { name, policy, settings } in stock {
            let added = host.add_stock(name, policy, settings).and_then(|()| native.add(name, policy, settings));
            if let Err(error) = added {
                errors.push(anyhow::Error::from(error).context(format!("policy.stock {name}")));
            }
        }
        for component in components {
            if let Err(error) = add(&mut host, component) {
                errors.push(error);
            }
        }
        if errors.is_empty() { Ok(Policies { components: host, native }) } else { Err(errors) }
    }
}

fn add(host: &mut WasmHost, component: &Component) -> anyhow::Result<()> {
    let Component { name, file, settings } = component;
    let what = || format!("policy.component {name}, file {}", file.display());
    let bytes = std::fs::read(file).with_context(what)?;
    host.add(name, bytes, settings).with_context(what)
}

impl PolicyHost for Policies {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        match policy.strip_prefix(NATIVE) {
            Some(native) => self.native.queue_dispatch(native, destination),
            None => self.components.queue_dispatch(policy, destination),
        }
    }

    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        match policy.strip_prefix(NATIVE) {
            Some(native) => self.native.group_assignment(native, destination),
            None => self.components.group_assignment(policy, destination),
        }
    }

    fn names(&self, point: Point) -> Vec<PolicyInfo> {
        let native = self.native.names(point).into_iter();
        let mut all = self.components.names(point);
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

    /// Before a port opens, and of all components at once.
    #[test]
    fn components_that_cannot_be_used_are_named() {
        let home = tempfile::tempdir().expect("a folder");
        let file = |name: &str| home.path().join(name);
        std::fs::write(file("text.wasm"), "no component").expect("a file");
        let component =
            |name: &str| Component { name: name.into(), file: file(&format!("{name}.wasm")), settings: Vec::new() };
        let errors = Policies::new(Limits::default(), &[], &[component("text"), component("missing")]).err();
        let errors: Vec<String> = errors.expect("two").iter().map(|error| format!("{error:#}")).collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("policy.component text, file"), "{errors:?}");
        assert!(errors[1].contains("missing.wasm: No such file"), "{errors:?}");
    }

    /// What the configuration accepts is what the broker finds.
    #[test]
    fn every_name_that_may_be_written_is_served() {
        let stock = StockPolicy { name: "even".into(), policy: "fair-share".into(), settings: Vec::new() };
        let Ok(policies) = Policies::new(Limits::default(), &[stock], &[]) else { panic!("no host") };
        let mut names = names();
        names.extend(["even", "native:even"].map(str::to_owned));
        for name in &names {
            assert!(policies.queue_dispatch(name, "orders").is_ok(), "{name}");
        }
        names.sort();
        assert_eq!(names, policies.names(Point::QueueDispatch).into_iter().map(|info| info.name).collect::<Vec<_>>());
    }
}
