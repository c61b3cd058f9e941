//! The policies of this program: the stock ones as components, and their native twins by `native:` in front.

mod answers;
mod control;
mod doors;
mod folder;
mod remedy;
#[cfg(test)]
mod running;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use plugin::auth::{AuthPolicy, Terms};
use plugin::native::NativeHost;
use plugin::{
    GroupAssignment, Point, PolicyError, PolicyHost, PolicyInfo, PolicyMetrics, PublishRouting, QueueDispatch,
    SymbolTable, TopicDispatch,
};
use plugin_wasmtime::{CachePlace, Limits, WasmHost};
use registry::Registry;

pub(crate) use self::control::Control;
pub(crate) use self::folder::watch;
pub(crate) use self::remedy::with_remedy;
use crate::config::{Component, Config, StockPolicy};

/// Stands in front of the name of a native policy.
pub(crate) const NATIVE: &str = "native:";

/// The names that `dispatch_policy` may have, the stock policies first.
pub(crate) fn names() -> Vec<String> {
    names_of(Point::QueueDispatch)
}

/// The names that policies of an extension point may have, the stock policies first.
pub(crate) fn names_of(point: Point) -> Vec<String> {
    let stock = plugin_wasmtime::stock_of(point).iter().map(|stock| stock.name.to_owned());
    let native = NativeHost::new().names(point).into_iter().map(|info| format!("{NATIVE}{}", info.name));
    stock.chain(native).collect()
}

/// Serves both kinds, and those that are deployed while the broker runs. A destination that asks for native policies alone
/// never waits for a compiler.
pub(crate) struct Policies {
    components: Arc<WasmHost>,
    native: NativeHost,
    registry: Arc<RwLock<Registry>>,
}

impl Policies {
    /// Looks at each of the operator's policies and compiles nothing yet. All that is wrong with them comes at once. Comes
    /// with the hand that changes policies later.
    pub(crate) fn new(
        limits: Limits,
        cache: Option<&CachePlace>,
        registry: registry::Limits,
        stock: &[StockPolicy],
        components: &[Component],
    ) -> Result<(Policies, Arc<Control>), Vec<anyhow::Error>> {
        let host = WasmHost::with_cache(limits, cache).map_err(|error| vec![error.into()])?;
        let mut native = NativeHost::new();
        let mut errors = Vec::new();
        for StockPolicy { name, policy, settings } in stock {
            let added = host.add_stock(name, policy, settings).and_then(|()| native.add(name, policy, settings));
            if let Err(error) = added {
                errors.push(anyhow::Error::from(error).context(format!("policy.stock {name}")));
            }
        }
        for component in components {
            if let Err(error) = add(&host, component) {
                errors.push(error);
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let taken = taken(stock, components);
        let limits = registry::Limits {
            component_bytes_max: limits.component_bytes_max,
            state_bytes_max: limits.state_bytes_max as usize,
            ..registry
        };
        let host = Arc::new(host);
        let registry = Arc::new(RwLock::new(Registry::new(limits, taken.clone())));
        let control = Control::new(host.clone(), registry.clone(), limits, taken);
        Ok((Policies { components: host, native, registry }, control))
    }
}

/// Names that no deployed policy may have, and where each comes from.
fn taken(stock: &[StockPolicy], components: &[Component]) -> BTreeMap<String, String> {
    let points = [Point::QueueDispatch, Point::TopicDispatch, Point::GroupAssignment, Point::NetworkFilter];
    let points = points.into_iter().chain([Point::PublishRouting]);
    let own = points.flat_map(names_of).map(|name| (name, "the program itself".to_owned()));
    let named = stock.iter().flat_map(|stock| [stock.name.clone(), format!("{NATIVE}{}", stock.name)]);
    let own = own.chain(named.map(|name| (name, "[[policy.stock]] of jackfield.toml".to_owned())));
    let from_file =
        |component: &Component| (component.name.clone(), "[[policy.component]] of jackfield.toml".to_owned());
    own.chain(components.iter().map(from_file)).collect()
}

fn add(host: &WasmHost, component: &Component) -> anyhow::Result<()> {
    let Component { name, file, settings } = component;
    let what = || format!("policy.component {name}, file {}", file.display());
    let bytes = std::fs::read(file).with_context(what)?;
    host.add(name, bytes, settings).map_err(|error| anyhow::anyhow!(with_remedy(&error))).with_context(what)
}

impl Policies {
    /// The auth policy of this name, compiled; it may see passwords if that was granted.
    pub(crate) fn auth(&self, name: &str, passwords_granted: bool) -> Result<Arc<dyn AuthPolicy>, PolicyError> {
        self.components.auth(name, passwords_granted)
    }

    /// The terms that end when another generation of an auth policy decides.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        self.components.terms().clone()
    }

    /// Says which policies that the configuration names cannot be had there: a component serves the point that its exports
    /// say.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Vec<anyhow::Error>> {
        let mut errors = Vec::new();
        let mut served = |point: Point, policy: &str, of: String| {
            let known: Vec<String> = self.names(point).into_iter().map(|info| info.name).collect();
            if !known.iter().any(|name| name == policy) {
                let error = PolicyError::Unknown { policy: policy.to_owned(), known };
                errors.push(anyhow::Error::new(error).context(of));
            }
        };
        let settings = config.destinations.iter().map(|entry| (entry.pattern.as_str(), &entry.settings));
        for (pattern, settings) in settings.chain([("default_destination", &config.broker.default_destination)]) {
            served(Point::QueueDispatch, &settings.dispatch_policy, format!("dispatch_policy of {pattern}"));
            if let Some(policy) = &settings.topic_dispatch_policy {
                served(Point::TopicDispatch, policy, format!("topic_dispatch_policy of {pattern}"));
            }
            let group_policy = &settings.message_group_policy;
            served(Point::GroupAssignment, group_policy, format!("message_group_policy of {pattern}"));
        }
        for routing in &config.routing {
            served(Point::PublishRouting, &routing.policy, format!("routing of {}", routing.pattern));
        }
        // Nothing passes a routing policy unasked while it is being compiled: stock ones have their native twins, those of
        // the operator are compiled now.
        let custom = config.components.iter().filter(|c| config.routing.iter().any(|routing| routing.policy == c.name));
        for component in custom {
            if let Err(error) = self.components.prepare(&component.name) {
                errors
                    .push(anyhow::anyhow!(with_remedy(&error)).context(format!("policy.component {}", component.name)));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
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

    fn bound(&self, point: Point, destination: &str) -> Option<String> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        registry.bound(control::from_plugin(point)?, destination).map(str::to_owned)
    }

    fn bindings(&self, point: Point) -> Vec<(String, String)> {
        let Some(point) = control::from_plugin(point) else { return Vec::new() };
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let theirs = registry.bindings().filter(|(at, ..)| *at == point);
        theirs.map(|(_, pattern, policy)| (pattern.to_owned(), policy.to_owned())).collect()
    }

    fn topic_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        match policy.strip_prefix(NATIVE) {
            Some(native) => self.native.topic_dispatch(native, destination),
            None => self.components.topic_dispatch(policy, destination),
        }
    }

    fn publish_routing(
        &self,
        policy: &str,
        pattern: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn PublishRouting>, PolicyError> {
        match policy.strip_prefix(NATIVE) {
            Some(native) => self.native.publish_routing(native, pattern, settings),
            None => self.components.publish_routing(policy, pattern, settings),
        }
    }

    fn metrics(&self) -> Vec<PolicyMetrics> {
        self.components.metrics()
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
        let errors = Policies::new(
            Limits::default(),
            None,
            registry::Limits::default(),
            &[],
            &[component("text"), component("missing")],
        )
        .err();
        let errors: Vec<String> = errors.expect("two").iter().map(|error| format!("{error:#}")).collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("policy.component text, file"), "{errors:?}");
        assert!(errors[1].contains("missing.wasm: No such file"), "{errors:?}");
    }

    /// What the configuration accepts is what the broker finds.
    #[test]
    fn every_name_that_may_be_written_is_served() {
        let stock = StockPolicy { name: "even".into(), policy: "fair-share".into(), settings: Vec::new() };
        let Ok((policies, _)) = Policies::new(Limits::default(), None, registry::Limits::default(), &[stock], &[])
        else {
            panic!("no host")
        };
        let mut names = names();
        names.extend(["even", "native:even"].map(str::to_owned));
        for name in &names {
            assert!(policies.queue_dispatch(name, "orders").is_ok(), "{name}");
        }
        names.sort();
        assert_eq!(names, policies.names(Point::QueueDispatch).into_iter().map(|info| info.name).collect::<Vec<_>>());
    }
}
