//! A live instance: a store of its own and the functions in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plugin::SymbolTable;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Instance, Lift, Linker, Lower, TypedFunc, WasmStr,
};
use wasmtime::{Engine, Store, StoreContextMut, StoreLimits, StoreLimitsBuilder, Trap, UpdateDeadline};

use crate::bindings::{Batch, Change, Consumers, Level, Refusal, Requirements, SYMBOLS, Setting, TELEMETRY};
use crate::cell::{Counters, Seat};
use crate::engine::Ticker;
use crate::program::Exports;
use crate::runtime::Runtime;

type Describe = TypedFunc<(), (Requirements,)>;
type Configure = TypedFunc<(Arc<[Setting]>,), (Result<(), String>,)>;
type Snapshot = TypedFunc<(u32,), (Result<Vec<u8>, Refusal>,)>;
type Restore = TypedFunc<(u32, Arc<[u8]>), (Result<(), Refusal>,)>;
type MembersChanged = TypedFunc<(Vec<Change>,), ()>;
type Plan = TypedFunc<(Arc<Batch>, Arc<Consumers>), (Vec<u32>,)>;

/// Looks at a call that lasts long before it is cut whatever its CPU time.
const SLICES_MAX: u32 = 50;

/// How a call into a guest went wrong. The store must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Trap,
    Deadline,
    /// A function has other types than the world says.
    World,
}

/// A call that went wrong, with the words of the engine.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) reason: String,
}

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Fault {
        let kind = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => FaultKind::Deadline,
            _ => FaultKind::Trap,
        };
        Fault { kind, reason: error.root_cause().to_string() }
    }
}

impl Fault {
    fn world(error: wasmtime::Error) -> Fault {
        Fault { kind: FaultKind::World, reason: format!("{error:#}") }
    }
}

/// What the host keeps in a store.
pub(crate) struct HostState {
    limits: StoreLimits,
    symbols: Arc<SymbolTable>,
    counters: Arc<Counters>,
    policy: Arc<str>,
    destination: Arc<str>,
    call_ms_max: u64,
    /// The calling thread's CPU time when the call under way was first found to last long, and how often it was looked
    /// at since; cleared as a call begins.
    overdue: Option<(Duration, u32)>,
    log: LogBucket,
}

/// Lines that may still be logged.
struct LogBucket {
    lines_per_second: u32,
    line_bytes_max: usize,
    left: u32,
    filled: Instant,
}

impl LogBucket {
    fn take(&mut self) -> bool {
        if self.filled.elapsed() >= Duration::from_secs(1) {
            self.left = self.lines_per_second;
            self.filled = Instant::now();
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

/// Counts live instances of the host while it lives.
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Permit {
    pub(crate) fn take(live: &Arc<AtomicUsize>) -> Permit {
        live.fetch_add(1, Ordering::Relaxed);
        Permit(live.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An instance of a component, not entered by two calls at once.
pub(crate) struct Live {
    store: Store<HostState>,
    instance: Instance,
    members_changed: MembersChanged,
    plan: Plan,
    call_ticks: u64,
    /// True once it heard of the members.
    pub(crate) told: bool,
    _permit: Permit,
}

impl Live {
    /// A new instance that nobody spoke to yet.
    pub(crate) fn new(runtime: &Runtime, seat: &Seat, exports: &Exports) -> Result<Live, Fault> {
        let limits = &runtime.limits;
        let store_limits = StoreLimitsBuilder::new()
            .memory_size(limits.memory_bytes_max)
            .memories(1)
            .table_elements(limits.table_elements_max)
            .tables(limits.tables_max)
            .instances(limits.core_instances_max)
            .build();
        let state = HostState {
            limits: store_limits,
            symbols: runtime.symbols.clone(),
            counters: seat.counters.clone(),
            policy: seat.policy.clone(),
            destination: seat.destination.clone(),
            call_ms_max: limits.call_ms_max,
            overdue: None,
            log: LogBucket {
                lines_per_second: limits.log_lines_per_second_max,
                line_bytes_max: limits.log_line_bytes_max,
                left: limits.log_lines_per_second_max,
                filled: Instant::now(),
            },
        };
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        store.epoch_deadline_callback(overdue);
        store.set_hostcall_fuel(limits.answer_bytes_max);
        let call_ticks = slice_ticks(limits.call_ms_max);
        let running = runtime.ticker.run();
        store.set_epoch_deadline(call_ticks);
        let instance = exports.pre.instantiate(&mut store)?;
        drop(running);
        let members_changed = instance.get_typed_func(&mut store, exports.members_changed).map_err(Fault::world)?;
        let plan = instance.get_typed_func(&mut store, exports.plan).map_err(Fault::world)?;
        let permit = Permit::take(&runtime.live);
        Ok(Live { store, instance, members_changed, plan, call_ticks, told: false, _permit: permit })
    }

    fn call<P, R>(&mut self, ticker: &Ticker, func: &TypedFunc<P, R>, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let _running = ticker.run();
        self.store.data_mut().overdue = None;
        self.store.set_epoch_deadline(self.call_ticks);
        Ok(func.call(&mut self.store, params)?)
    }

    /// A function that is called too seldom to keep.
    fn function<P, R>(&mut self, index: &ComponentExportIndex) -> Result<TypedFunc<P, R>, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.instance.get_typed_func(&mut self.store, index).map_err(Fault::world)
    }

    /// Says whether all the functions have the types of the world.
    pub(crate) fn typecheck(&mut self, exports: &Exports) -> Result<(), Fault> {
        let _: Describe = self.function(&exports.describe)?;
        let _: Configure = self.function(&exports.configure)?;
        let _: Snapshot = self.function(&exports.snapshot)?;
        let _: Restore = self.function(&exports.restore)?;
        Ok(())
    }

    pub(crate) fn describe(&mut self, ticker: &Ticker, exports: &Exports) -> Result<Requirements, Fault> {
        let func: Describe = self.function(&exports.describe)?;
        Ok(self.call(ticker, &func, ())?.0)
    }

    pub(crate) fn configure(
        &mut self,
        ticker: &Ticker,
        exports: &Exports,
        settings: &Arc<[Setting]>,
    ) -> Result<Result<(), String>, Fault> {
        let func: Configure = self.function(&exports.configure)?;
        Ok(self.call(ticker, &func, (settings.clone(),))?.0)
    }

    pub(crate) fn snapshot(
        &mut self,
        ticker: &Ticker,
        exports: &Exports,
        limit: u32,
    ) -> Result<Result<Vec<u8>, Refusal>, Fault> {
        let func: Snapshot = self.function(&exports.snapshot)?;
        Ok(self.call(ticker, &func, (limit,))?.0)
    }

    pub(crate) fn restore(
        &mut self,
        ticker: &Ticker,
        exports: &Exports,
        format: u32,
        state: &Arc<[u8]>,
    ) -> Result<Result<(), Refusal>, Fault> {
        let func: Restore = self.function(&exports.restore)?;
        Ok(self.call(ticker, &func, (format, state.clone()))?.0)
    }

    pub(crate) fn members_changed(&mut self, ticker: &Ticker, changes: Vec<Change>) -> Result<(), Fault> {
        let func = self.members_changed;
        self.call(ticker, &func, (changes,))
    }

    pub(crate) fn plan(
        &mut self,
        ticker: &Ticker,
        batch: Arc<Batch>,
        consumers: Arc<Consumers>,
    ) -> Result<Vec<u32>, Fault> {
        let func = self.plan;
        Ok(self.call(ticker, &func, (batch, consumers))?.0)
    }
}

/// Ticks until a call is looked at. The epoch moves at any time, so n ticks last between n - 1 and n of them.
fn slice_ticks(call_ms_max: u64) -> u64 {
    call_ms_max.div_ceil(2) + 1
}

/// Wall-clock time went by for a call. A busy machine may have run something else meanwhile, so from the first look on
/// the thread's own CPU time counts; asking for it at each call would cost more than most calls. A call is cut when it
/// used half its time since the first look, or when it lasts [`SLICES_MAX`] looks.
fn overdue(mut context: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let state = context.data_mut();
    let slice = Duration::from_millis(state.call_ms_max.div_ceil(2));
    let used = thread_cpu_time();
    let (begun, slices) = state.overdue.unwrap_or((used, 0));
    if slices >= SLICES_MAX || used.saturating_sub(begun) >= slice {
        return Ok(UpdateDeadline::Interrupt);
    }
    state.overdue = Some((begun, slices + 1));
    Ok(UpdateDeadline::Continue(slice_ticks(state.call_ms_max)))
}

/// CPU time of the calling thread so far; zero where the system does not tell, which cuts calls by [`SLICES_MAX`] alone.
fn thread_cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// What is granted to a component: `telemetry.log` and `symbols.text`.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    linker
        .instance(TELEMETRY)?
        .func_wrap("log", |context: StoreContextMut<'_, HostState>, (level, text)| log(context, level, &text))?;
    linker.instance(SYMBOLS)?.func_wrap("text", |context: StoreContextMut<'_, HostState>, (symbol,): (u32,)| {
        Ok((context.data().symbols.text(symbol).unwrap_or_else(|| Arc::from("")),))
    })?;
    Ok(linker)
}

fn log(mut context: StoreContextMut<'_, HostState>, level: Level, text: &WasmStr) -> wasmtime::Result<()> {
    let state = context.data_mut();
    if !state.log.take() {
        state.counters.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    let text = text.to_str(&context)?;
    let state = context.data();
    let end = text.floor_char_boundary(state.log.line_bytes_max);
    // A guest must not be able to forge lines of the broker.
    let line: String = text[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let (policy, destination) = (&*state.policy, &*state.destination);
    match level {
        Level::Debug => tracing::debug!(policy, destination, "policy says: {line}"),
        Level::Info => tracing::info!(policy, destination, "policy says: {line}"),
        Level::Warn => tracing::warn!(policy, destination, "policy says: {line}"),
        Level::Error => tracing::error!(policy, destination, "policy says: {line}"),
    }
    Ok(())
}
