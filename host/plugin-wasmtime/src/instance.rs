//! A live instance: a store of its own and the functions in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use plugin::SymbolTable;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};
use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline};

use crate::Limits;
use crate::bindings::{Refusal, Requirements, Setting};
use crate::cell::{Counters, Seat};
use crate::engine::Ticker;
use crate::grants::LogBucket;
use crate::log_book::LogBook;
use crate::meter::Meter;
use crate::program::Exports;
use crate::runtime::Runtime;
use crate::stores::Memory;
use crate::world::{Finder, Functions};

type Describe = TypedFunc<(), (Requirements,)>;
type Configure = TypedFunc<(Arc<[Setting]>,), (Result<(), String>,)>;
type Snapshot = TypedFunc<(u32,), (Result<Vec<u8>, Refusal>,)>;
type Restore = TypedFunc<(u32, Arc<[u8]>), (Result<(), Refusal>,)>;

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
    /// The same with what the instance had asked for and was not given, which it may have failed of.
    fn with(self, state: &HostState) -> Fault {
        let Some((limit, most, wanted)) = state.limits.denied else { return self };
        Fault { reason: format!("{}; it wanted {wanted} where {limit} is {most}", self.reason), ..self }
    }

    pub(crate) fn world(error: wasmtime::Error) -> Fault {
        Fault { kind: FaultKind::World, reason: format!("{error:#}") }
    }
}

/// What the host keeps in a store.
pub(crate) struct HostState {
    limits: Meter,
    pub(crate) symbols: Arc<SymbolTable>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) policy: Arc<str>,
    pub(crate) destination: Arc<str>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) bounds: Limits,
    call_ms_max: u64,
    /// The calling thread's CPU time when the call under way was first found to last long, and how often it was looked
    /// at since; cleared as a call begins.
    overdue: Option<(Duration, u32)>,
    pub(crate) log: LogBucket,
    pub(crate) log_book: Arc<LogBook>,
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

/// An instance of a component, not entered by two calls at once, with the functions of its world.
pub(crate) struct Live<F> {
    store: Store<HostState>,
    instance: Instance,
    pub(crate) functions: F,
    call_ticks: u64,
    _permit: Permit,
}

impl<F: Functions> Live<F> {
    /// A new instance that nobody spoke to yet.
    pub(crate) fn new(runtime: &Runtime, seat: &Seat, exports: &Exports) -> Result<Live<F>, Fault> {
        let limits = &runtime.limits;
        let state = HostState {
            limits: Meter::new(limits, seat.counters.clone()),
            symbols: runtime.symbols.clone(),
            counters: seat.counters.clone(),
            policy: seat.policy.clone(),
            destination: seat.destination.clone(),
            memory: seat.memory.clone(),
            bounds: *limits,
            call_ms_max: limits.call_ms_max,
            overdue: None,
            log: LogBucket::new(limits),
            log_book: runtime.log_book.clone(),
        };
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        store.epoch_deadline_callback(overdue);
        store.set_hostcall_fuel(limits.answer_bytes_max);
        let call_ticks = slice_ticks(limits.call_ms_max);
        let running = runtime.ticker.run();
        store.set_epoch_deadline(call_ticks);
        let instance = exports.pre.instantiate(&mut store).map_err(|error| Fault::from(error).with(store.data()))?;
        drop(running);
        let functions = F::bind(&mut Finder { instance: &instance, store: &mut store }, &exports.functions)?;
        let permit = Permit::take(&runtime.live);
        Ok(Live { store, instance, functions, call_ticks, _permit: permit })
    }

    /// A function of the lifecycle failed outside the lifecycle's own calls.
    pub(crate) fn count_lifecycle_fault(&self) {
        self.store.data().counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls a function of the instance under the limits.
    pub(crate) fn call<P, R>(&mut self, ticker: &Ticker, func: &TypedFunc<P, R>, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let _running = ticker.run();
        self.store.data_mut().overdue = None;
        self.store.set_epoch_deadline(self.call_ticks);
        func.call(&mut self.store, params).map_err(|error| Fault::from(error).with(self.store.data()))
    }

    /// A function that is called too seldom to keep.
    fn function<P, R>(&mut self, index: &ComponentExportIndex) -> Result<TypedFunc<P, R>, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        Finder { instance: &self.instance, store: &mut self.store }.typed(index)
    }

    /// Says whether the functions of the lifecycle have its types; those of the world were checked when they were bound.
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
pub(crate) fn thread_cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
