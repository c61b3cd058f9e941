//! A component of a given name and settings, compiled once when it is first asked for.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use plugin::{Columns, Fallback, Point, PolicyError, PolicyOrigin, Property, QueueDispatch, native};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::Limits;
use crate::bindings::{LIFECYCLE, Requirements, Setting};
use crate::cell::Seat;
use crate::check::check;
use crate::instance::{Fault, FaultKind, HostState, Live};
use crate::keeper::Job;
use crate::runtime::Runtime;
use crate::stock::Stock;
use crate::world::{Functions, World};

/// Rows of a policy that leaves the number to the broker.
pub(crate) const ROWS_DEFAULT: u32 = 256;

/// A component that may be compiled or not.
pub(crate) struct Program {
    pub(crate) name: Arc<str>,
    pub(crate) description: String,
    pub(crate) origin: PolicyOrigin,
    pub(crate) world: &'static World,
    pub(crate) bytes: Cow<'static, [u8]>,
    pub(crate) settings: Arc<[Setting]>,
    /// The native twin and its settings, for a stock policy that dispatches queues; round robin for others.
    native: Option<(&'static native::Twin, Vec<(String, String)>)>,
    /// 0 for a policy that has no generations.
    pub(crate) generation: u64,
    ready: OnceLock<Result<Ready, PolicyError>>,
    /// True once the keeper was asked to compile it.
    requested: AtomicBool,
    /// The operator granted it to see passwords.
    passwords: AtomicBool,
}

/// A component that can be made an instance, and what it said about itself.
pub(crate) struct Ready {
    pub(crate) exports: Exports,
    pub(crate) columns: Columns,
    /// Ids of the columns of rows, ascending.
    pub(crate) column_ids: Vec<u32>,
    /// Shown as columns behind those.
    pub(crate) properties: Vec<Property>,
    pub(crate) rows_max: usize,
    /// 0 if the policy keeps no state.
    pub(crate) state_version: u32,
    /// Formats of states that it takes over.
    pub(crate) restores: Vec<u32>,
}

/// Where the functions of the world are in the component.
pub(crate) struct Exports {
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) describe: ComponentExportIndex,
    pub(crate) configure: ComponentExportIndex,
    pub(crate) snapshot: ComponentExportIndex,
    pub(crate) restore: ComponentExportIndex,
    /// Those of the world, in its order.
    pub(crate) functions: Vec<ComponentExportIndex>,
}

impl Program {
    pub(crate) fn new(
        name: &str,
        description: &str,
        origin: PolicyOrigin,
        world: &'static World,
        bytes: Cow<'static, [u8]>,
        settings: Vec<Setting>,
        generation: u64,
    ) -> Program {
        Program {
            name: name.into(),
            description: description.to_owned(),
            origin,
            world,
            bytes,
            settings: settings.into(),
            native: None,
            generation,
            ready: OnceLock::new(),
            requested: AtomicBool::new(false),
            passwords: AtomicBool::new(false),
        }
    }

    /// Grants it to see passwords, or takes that back.
    pub(crate) fn grant_passwords(&self, granted: bool) {
        self.passwords.store(granted, Ordering::Relaxed);
    }

    /// Whether it may see passwords, if it asks for them.
    pub(crate) fn sees_passwords(&self) -> bool {
        self.passwords.load(Ordering::Relaxed)
    }

    /// A stock policy with these settings, which its native twin must have taken.
    pub(crate) fn stock(name: &str, stock: &Stock, world: &'static World, settings: &[(String, String)]) -> Program {
        let told = settings.iter().map(|(key, value)| Setting { key: key.clone(), value: value.clone() }).collect();
        let bytes = Cow::Borrowed(stock.bytes);
        let origin = PolicyOrigin::Stock;
        let twin = native::twin(stock.name).filter(|_| world.point == Point::QueueDispatch);
        let twin = twin.map(|twin| (twin, settings.to_vec()));
        Program { native: twin, ..Program::new(name, stock.description, origin, world, bytes, told, 0) }
    }

    /// Who decides what the component cannot.
    pub(crate) fn twin(&self) -> Box<dyn QueueDispatch> {
        let twin = self.native.as_ref().and_then(|(twin, settings)| twin.make(settings).ok());
        twin.unwrap_or_else(|| Box::new(native::RoundRobin::new()))
    }

    /// The compiled component if it is there by now, without waiting.
    pub(crate) fn get(&self) -> Option<Result<&Ready, &PolicyError>> {
        self.ready.get().map(Result::as_ref)
    }

    /// The compiled component, or why the native twin decides in its place.
    pub(crate) fn ready_or_fallback(self: &Arc<Program>, runtime: &Runtime) -> Result<&Ready, Fallback> {
        match self.get() {
            Some(Ok(ready)) => Ok(ready),
            Some(Err(_)) => Err(Fallback::Refused),
            None => {
                self.request(runtime);
                Err(Fallback::Warming)
            }
        }
    }

    /// Asks the keeper once to compile it.
    pub(crate) fn request(self: &Arc<Program>, runtime: &Runtime) {
        if !self.requested.swap(true, Ordering::Relaxed) && !runtime.ask(Job::Compile(self.clone())) {
            self.requested.store(false, Ordering::Relaxed);
        }
    }

    /// Compiles it on this thread unless that was done; tens of milliseconds for a stock policy.
    pub(crate) fn prepare(&self, runtime: &Runtime) -> Result<&Ready, &PolicyError> {
        self.ready.get_or_init(|| self.compile(runtime)).as_ref()
    }

    fn compile(&self, runtime: &Runtime) -> Result<Ready, PolicyError> {
        let world = check(&self.name, &self.bytes, &runtime.limits)?;
        if world.point != self.world.point {
            let reason = format!("it is of world {} where {} is wanted", world.name, self.world.name);
            return Err(PolicyError::WrongWorld { policy: self.name.to_string(), reason });
        }
        let begun = Instant::now();
        let component = runtime.component(&self.name, &self.bytes).map_err(|error| PolicyError::NotComponent {
            policy: self.name.to_string(),
            reason: format!("{error:#}"),
        })?;
        let (policy, generation, ms) = (&*self.name, self.generation, begun.elapsed().as_millis());
        tracing::debug!(policy, generation, ms, "policy component is at hand");
        let exports = self.exports(runtime, &component)?;
        let wanted = (self.world.rehearse)(self, runtime, &exports)?;
        self.ready(exports, wanted, &runtime.limits)
    }

    fn exports(&self, runtime: &Runtime, component: &Component) -> Result<Exports, PolicyError> {
        let world = self.world;
        let wrong = |reason: String| PolicyError::WrongWorld { policy: self.name.to_string(), reason };
        let pre = runtime.linker.instantiate_pre(component).map_err(|error| wrong(format!("{error:#}")))?;
        let index = |interface: &str, function: &str| {
            component
                .get_export_index(None, interface)
                .and_then(|interface| component.get_export_index(Some(&interface), function))
                .ok_or_else(|| wrong(format!("it does not export {interface}.{function}")))
        };
        Ok(Exports {
            describe: index(LIFECYCLE, "describe")?,
            configure: index(LIFECYCLE, "configure")?,
            snapshot: index(LIFECYCLE, "snapshot")?,
            restore: index(LIFECYCLE, "restore")?,
            functions: world.functions.iter().map(|name| index(world.interface, name)).collect::<Result<_, _>>()?,
            pre,
        })
    }

    fn ready(&self, exports: Exports, wanted: Requirements, limits: &Limits) -> Result<Ready, PolicyError> {
        if !self.world.properties && !wanted.properties.is_empty() {
            let names = wanted.properties.join(", ");
            return Err(self.refused(format!("it wants message properties as columns, which are not shown: {names}")));
        }
        if wanted.properties.len() > limits.properties_max {
            let (have, limit) = (wanted.properties.len(), limits.properties_max);
            return Err(self.refused(format!("it wants {have} properties where properties_max is {limit}")));
        }
        let properties = wanted.properties.iter().map(|text| {
            Property::parse(text).map_err(|reason| self.refused(format!("it wants property {text:?}: {reason}")))
        });
        let properties = properties.collect::<Result<Vec<_>, _>>()?;
        let mut columns = Columns::NONE;
        for id in &wanted.columns {
            let column = Columns::from_id(*id).filter(|_| self.world.column_ids.contains(id));
            columns |= column.ok_or_else(|| self.refused(format!("it wants column {id}, which is not known here")))?;
        }
        if wanted.state_version != 0 && !wanted.restores.contains(&wanted.state_version) {
            return Err(self.refused(format!("it does not restore the format {} that it writes", wanted.state_version)));
        }
        let mut column_ids = wanted.columns;
        column_ids.retain(|id| *id < Columns::ACK_INTERVAL_ID);
        column_ids.sort_unstable();
        column_ids.dedup();
        let rows_wanted = if wanted.max_rows == 0 { ROWS_DEFAULT } else { wanted.max_rows };
        let rows_max = (rows_wanted as usize).min(limits.rows_max).max(1);
        let (state_version, restores) = (wanted.state_version, wanted.restores);
        Ok(Ready { exports, columns, column_ids, properties, rows_max, state_version, restores })
    }

    /// Makes an instance that serves nobody: checks the types of its functions, asks what it wants and gives it its
    /// settings.
    pub(crate) fn rehearse<F: Functions>(
        &self,
        runtime: &Runtime,
        exports: &Exports,
    ) -> Result<Requirements, PolicyError> {
        let seat = Seat::rehearsal(self.name.clone(), &runtime.limits);
        let made = Live::<F>::new(runtime, &seat, exports);
        let mut live = made.map_err(|fault| self.faulty("instantiation", fault))?;
        live.typecheck(exports).map_err(|fault| self.faulty("its types", fault))?;
        live.configure(&runtime.ticker, exports, &self.settings)
            .map_err(|fault| self.faulty("configure", fault))?
            .map_err(|reason| self.refused(format!("it refuses its settings: {reason}")))?;
        live.describe(&runtime.ticker, exports).map_err(|fault| self.faulty("describe", fault))
    }

    fn refused(&self, reason: String) -> PolicyError {
        PolicyError::Refused { policy: self.name.to_string(), reason }
    }

    fn faulty(&self, what: &str, fault: Fault) -> PolicyError {
        match fault.kind {
            FaultKind::World => PolicyError::WrongWorld { policy: self.name.to_string(), reason: fault.reason },
            FaultKind::Trap => self.refused(format!("{what} failed: {}", fault.reason)),
            FaultKind::Deadline => self.refused(format!("{what} overran the deadline call_ms_max")),
        }
    }
}
