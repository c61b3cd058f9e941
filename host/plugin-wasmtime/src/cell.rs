//! A policy on one destination, as the core's thread and the keeper share it.
//!
//! ```text
//!           first call            too many alive
//!   Empty ─────────────> Live ────────────────────> Asleep(state)
//!                       │    ^ <─────────────────────── │
//!                 fault │    │ keeper, after a pause     next call
//!                       v    │
//!                      Failed ── refuses its settings ──> Refused
//! ```
//!
//! Another generation may take over in any of these, see `swap.rs` and `cell/takeover.rs`.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use plugin::{CallTimes, Fallback, Point, PolicyState, PolicyStats};

use crate::Limits;
use crate::bindings::Setting;
use crate::instance::{Fault, FaultKind, Live};
use crate::keeper::{self, Job};
use crate::program::{Program, Ready};
use crate::recorder::Tape;
use crate::runtime::Runtime;
use crate::shadow::{NextShadow, ShadowReport};
use crate::state::KeptState;
use crate::stores::Memory;
use crate::swap::{Desk, Next, Remark, Takeover};
use crate::world::Functions;

mod takeover;
mod tape;

/// Whose instance it is.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) policy: Arc<str>,
    pub(crate) destination: Arc<str>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) memory: Arc<Memory>,
}

impl Seat {
    /// The seat of the instance that is asked what it wants and then dropped.
    pub(crate) fn rehearsal(policy: Arc<str>, limits: &Limits) -> Seat {
        let memory = Arc::new(Memory::new(limits));
        Seat { policy, destination: "".into(), counters: Arc::default(), memory }
    }
}

/// What is counted by others than the thread that asks.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) faults_lifecycle: AtomicU64,
    pub(crate) instances_made: AtomicU64,
    pub(crate) instances_slept: AtomicU64,
    pub(crate) states_lost: AtomicU64,
    pub(crate) log_lines_dropped: AtomicU64,
    pub(crate) swaps: AtomicU64,
    pub(crate) swaps_refused: AtomicU64,
    pub(crate) swaps_undone: AtomicU64,
    swap_times: Mutex<CallTimes>,
    /// Of all instances of the seat, those of a shadow and of a warm generation included.
    pub(crate) memory_bytes: AtomicU64,
    pub(crate) memory_bytes_most: AtomicU64,
    state: AtomicU8,
}

/// A policy on one destination, whose functions are `F`.
pub(crate) struct Cell<F> {
    pub(crate) seat: Seat,
    pub(crate) desk: Desk<F>,
    /// Told behind those of the generation.
    settings: Vec<Setting>,
    /// The broker's time of the last call.
    used_ms: AtomicU64,
    inner: Mutex<Inner<F>>,
}

/// What the lock protects. The core's thread never waits for the lock.
struct Inner<F> {
    /// The generation that decides.
    program: Arc<Program>,
    slot: Slot<F>,
    /// Failures since it last recovered.
    failures: u32,
    /// Batches decided in a row since the last failure; counted only while there are failures.
    good: u32,
}

/// Where the instance is.
enum Slot<F> {
    /// Nobody asked yet.
    Empty,
    /// It answers.
    Live(Box<Live<F>>),
    /// Put to sleep with this state, if it keeps one.
    Asleep(Option<Kept>),
    /// It failed; the keeper makes another one if it was asked to.
    Failed {
        /// True if the keeper has the job.
        requested: bool,
    },
    /// It refuses its settings on this destination.
    Refused,
}

/// A state that outlives its instance.
#[derive(Clone)]
struct Kept {
    format: u32,
    bytes: Arc<[u8]>,
}

/// What an old instance leaves to the new one.
enum Legacy {
    /// Its state; `None` if it keeps none.
    State(Option<Kept>),
    /// It says no, for this reason.
    Denied(String),
    /// It failed and is of no use any more.
    Broken(Fault),
}

/// What a boundary came to.
pub(crate) enum Boundary {
    /// All is as it was.
    Same,
    /// This generation decides now.
    TookOver { program: Arc<Program>, on_probation: bool },
}

/// Why an instance could not be made.
enum MakeError {
    Fault(Fault),
    Settings(String),
}

impl From<Fault> for MakeError {
    fn from(fault: Fault) -> MakeError {
        MakeError::Fault(fault)
    }
}

impl<F: Functions> Cell<F> {
    pub(crate) fn new(runtime: &Runtime, program: Arc<Program>, destination: &str, settings: Vec<Setting>) -> Cell<F> {
        let (policy, place) = (program.name.clone(), Arc::from(destination));
        let memory = runtime.memories.of(F::WORLD.point, &policy, &place, &runtime.limits);
        let seat = Seat { policy, destination: place, counters: Arc::default(), memory };
        let kept = runtime.attic.take(F::WORLD.point, destination, &program.name);
        let kept = kept.filter(|kept| program.generation != 0 && kept.format != 0);
        let slot = match kept {
            Some(state) => Slot::Asleep(Some(Kept { format: state.format, bytes: state.bytes })),
            None => Slot::Empty,
        };
        let inner = Mutex::new(Inner { program, slot, failures: 0, good: 0 });
        Cell { seat, desk: Desk::new(), settings, used_ms: AtomicU64::new(0), inner }
    }

    /// Asks the instance, which is made or woken first where that is needed. `call` says `None` for an answer of the
    /// wrong length, which is not used. After a fault the instance is gone and the keeper makes another one.
    pub(crate) fn ask<A>(
        self: &Arc<Cell<F>>,
        runtime: &Runtime,
        ready: &Ready,
        now_ms: u64,
        call: impl FnOnce(&mut Live<F>) -> Result<Option<A>, Fault>,
    ) -> Result<A, Fallback> {
        self.used_ms.store(now_ms, Ordering::Relaxed);
        let Some(mut inner) = self.enter() else { return Err(Fallback::Busy) };
        self.wake(runtime, &mut inner, ready)?;
        let Slot::Live(live) = &mut inner.slot else { unreachable!("woken just now") };
        match call(live) {
            Ok(Some(answer)) => {
                self.succeed(runtime, &mut inner);
                Ok(answer)
            }
            Ok(None) => Err(Fallback::WrongLength),
            Err(fault) => {
                if let Slot::Live(live) = std::mem::replace(&mut inner.slot, Slot::Empty) {
                    runtime.bury(live);
                }
                self.fail(runtime, &mut inner, &fault);
                Err(if fault.kind == FaultKind::Deadline { Fallback::Deadline } else { Fallback::Trap })
            }
        }
    }

    /// What the lock protects; `None` while the keeper has it. Where nobody may decide in the policy's place it is waited for,
    /// no longer than a call of the lifecycle takes.
    fn enter(&self) -> Option<MutexGuard<'_, Inner<F>>> {
        match self.inner.try_lock() {
            Ok(inner) => Some(inner),
            Err(_) if F::WORLD.is_closed() => Some(self.inner.lock().unwrap_or_else(PoisonError::into_inner)),
            Err(_) => None,
        }
    }

    /// Makes the cell live, or says why it is not. A healthy policy is made here, in some ten microseconds; one that
    /// failed is made by the keeper.
    fn wake(self: &Arc<Cell<F>>, runtime: &Runtime, inner: &mut Inner<F>, ready: &Ready) -> Result<(), Fallback> {
        let state = match &inner.slot {
            Slot::Live(_) => return Ok(()),
            Slot::Empty => None,
            Slot::Asleep(state) => state.clone(),
            Slot::Failed { .. } => {
                self.request_again(runtime, inner);
                return Err(Fallback::BackingOff);
            }
            Slot::Refused => return Err(Fallback::Refused),
        };
        // However many queues there are, nobody is refused for it.
        if !runtime.has_room() && !F::WORLD.is_closed() {
            return Err(Fallback::Full);
        }
        let made = self.make(runtime, &inner.program, ready, state.as_ref());
        self.seat_instance(runtime, inner, made);
        match inner.slot {
            Slot::Live(_) => Ok(()),
            Slot::Refused => Err(Fallback::Refused),
            _ => Err(Fallback::BackingOff),
        }
    }

    /// A new instance, configured, with the state if there is one.
    fn make(
        &self,
        runtime: &Runtime,
        program: &Program,
        ready: &Ready,
        state: Option<&Kept>,
    ) -> Result<Box<Live<F>>, MakeError> {
        let mut live = self.configured(runtime, &self.seat, program, ready)?;
        if let Some(state) = state
            && let Err(reason) = self.hand_over(runtime, ready, &mut live, state)?
        {
            self.seat.counters.states_lost.fetch_add(1, Ordering::Relaxed);
            let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
            tracing::warn!(policy, destination, reason, "policy does not take its state back and starts without");
        }
        self.seat.counters.instances_made.fetch_add(1, Ordering::Relaxed);
        Ok(live)
    }

    /// A new instance in this seat, configured.
    fn configured(
        &self,
        runtime: &Runtime,
        seat: &Seat,
        program: &Program,
        ready: &Ready,
    ) -> Result<Box<Live<F>>, MakeError> {
        let exports = &ready.exports;
        let mut live = Live::new(runtime, seat, exports)?;
        let settings: Arc<[Setting]> = match self.settings.is_empty() {
            true => program.settings.clone(),
            false => program.settings.iter().chain(&self.settings).cloned().collect(),
        };
        live.configure(&runtime.ticker, exports, &settings)?.map_err(MakeError::Settings)?;
        Ok(Box::new(live))
    }

    /// Gives an instance a state. It may say no.
    fn hand_over(
        &self,
        runtime: &Runtime,
        ready: &Ready,
        live: &mut Live<F>,
        state: &Kept,
    ) -> Result<Result<(), String>, Fault> {
        if !ready.restores.contains(&state.format) {
            let known = &ready.restores;
            return Ok(Err(format!("the state has format {}, it restores {known:?}", state.format)));
        }
        let outcome = live.restore(&runtime.ticker, &ready.exports, state.format, &state.bytes)?;
        Ok(outcome.map_err(|refusal| format!("it refuses the state: {refusal:?}")))
    }

    /// The state of an instance, for another one.
    fn legacy(&self, runtime: &Runtime, ready: &Ready, live: &mut Live<F>) -> Legacy {
        let (format, limit) = (ready.state_version, runtime.limits.state_bytes_max);
        if format == 0 {
            return Legacy::State(None);
        }
        match live.snapshot(&runtime.ticker, &ready.exports, limit) {
            Ok(Ok(state)) if state.len() <= limit as usize => Legacy::State(Some(Kept { format, bytes: state.into() })),
            Ok(Ok(state)) => {
                Legacy::Denied(format!("its state has {} bytes, the limit state_bytes_max is {limit}", state.len()))
            }
            Ok(Err(refusal)) => Legacy::Denied(format!("it gives no state: {refusal:?}")),
            Err(fault) => Legacy::Broken(fault),
        }
    }

    /// Gives what the policy remembers to whoever wants to keep it. To be called between two questions.
    pub(crate) fn tell_state(&self, runtime: &Runtime) {
        if self.desk.states.is_wanted()
            && let Ok(mut inner) = self.inner.try_lock()
        {
            let state = self.remember(runtime, &mut inner);
            self.desk.states.put(self.used_ms.load(Ordering::Relaxed), state);
        }
    }

    /// What the policy remembers now; `None` if it has no generations or cannot say.
    fn remember(&self, runtime: &Runtime, inner: &mut Inner<F>) -> Option<KeptState> {
        let program = inner.program.clone();
        let state = match &mut inner.slot {
            Slot::Live(live) if program.generation != 0 => match self.legacy(runtime, program.get()?.ok()?, live) {
                Legacy::State(state) => state,
                Legacy::Denied(_) => None,
                Legacy::Broken(fault) => {
                    self.break_down(runtime, inner, &fault);
                    None
                }
            },
            Slot::Asleep(state) if program.generation != 0 => state.clone(),
            _ => return None,
        };
        let (format, bytes) = state.map_or((0, Arc::from([])), |state| (state.format, state.bytes));
        Some(KeptState {
            point: F::WORLD.point,
            destination: self.seat.destination.to_string(),
            policy: self.seat.policy.to_string(),
            generation: program.generation,
            format,
            bytes,
        })
    }

    /// The instance is of no use any more, and its state is lost.
    fn break_down(&self, runtime: &Runtime, inner: &mut Inner<F>, fault: &Fault) {
        if let Slot::Live(live) = std::mem::replace(&mut inner.slot, Slot::Empty) {
            runtime.bury(live);
        }
        self.seat.counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
        self.set(inner, Slot::Empty);
        self.lose_state(&fault.reason);
    }

    /// The destination has no use for the policy any more: what it remembers waits for the next time.
    pub(crate) fn leave(&self, runtime: &Runtime) {
        if let Ok(mut inner) = self.inner.try_lock()
            && let Some(state) = self.remember(runtime, &mut inner)
        {
            runtime.attic.put(state, true, runtime.limits.states_kept_max);
        }
    }

    /// A shadow that begins, with the active generation's state if it reads that; `Some(None)` where the one there is
    /// ends. To be called by the core's thread before a batch is gathered.
    pub(crate) fn shadow_boundary(&self, runtime: &Runtime) -> Option<Option<NextShadow<F>>> {
        let offered = self.desk.take_shadow()?;
        let Some(mut next) = offered else { return Some(None) };
        let program = next.program.clone();
        if let (Ok(mut inner), Some(Ok(ready))) = (self.inner.try_lock(), program.get())
            && let Some(state) = self.remember(runtime, &mut inner)
        {
            let state = Kept { format: state.format, bytes: state.bytes };
            // One that fails here fails when it is asked, too, and is told of then.
            let _ = self.hand_over(runtime, ready, &mut next.live, &state);
        }
        Some(Some(next))
    }

    fn lose_state(&self, reason: &str) {
        self.seat.counters.states_lost.fetch_add(1, Ordering::Relaxed);
        let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
        tracing::warn!(policy, destination, reason, "the state of the policy is lost and it starts without");
    }

    /// Puts the outcome of [`make`](Self::make) into its place.
    fn seat_instance(
        self: &Arc<Cell<F>>,
        runtime: &Runtime,
        inner: &mut Inner<F>,
        made: Result<Box<Live<F>>, MakeError>,
    ) {
        match made {
            Ok(live) => self.set(inner, Slot::Live(live)),
            Err(MakeError::Fault(fault)) => {
                self.seat.counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
                self.fail(runtime, inner, &fault);
            }
            Err(MakeError::Settings(reason)) => {
                let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
                tracing::error!(policy, destination, reason, "policy refuses its settings; {}", F::WORLD.meanwhile());
                self.set(inner, Slot::Refused);
            }
        }
    }

    /// After a fault: drops the instance and has the keeper make another one after a pause.
    fn fail(self: &Arc<Cell<F>>, runtime: &Runtime, inner: &mut Inner<F>, fault: &Fault) {
        runtime.note_fault(&fault.reason);
        if inner.failures == 0 {
            let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
            let (kind, reason) = (fault.kind, fault.reason.as_str());
            tracing::warn!(policy, destination, ?kind, reason, "policy fails; {}", F::WORLD.meanwhile());
        }
        inner.failures = inner.failures.saturating_add(1);
        inner.good = 0;
        self.set(inner, Slot::Failed { requested: false });
        self.request_again(runtime, inner);
    }

    /// Asks the keeper for another instance if it was not asked yet.
    fn request_again(self: &Arc<Cell<F>>, runtime: &Runtime, inner: &mut Inner<F>) {
        let Slot::Failed { requested: requested @ false } = &mut inner.slot else { return };
        let doubled = 1_u32.checked_shl(inner.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = runtime.limits.backoff_min.saturating_mul(doubled).min(runtime.limits.backoff_max);
        let cell: Weak<Cell<F>> = Arc::downgrade(self);
        *requested = runtime.ask(Job::MakeAgain { cell, at: Instant::now() + pause });
    }

    /// Counts a call that the policy answered; enough of them in a row and its failures are forgotten.
    fn succeed(&self, runtime: &Runtime, inner: &mut Inner<F>) {
        if inner.failures == 0 {
            return;
        }
        inner.good += 1;
        if inner.good >= runtime.limits.batches_until_recovered {
            let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
            tracing::info!(policy, destination, failures = inner.failures, "policy has recovered");
            inner.failures = 0;
            inner.good = 0;
        }
    }

    /// Drops the instance and keeps its state.
    fn put_to_sleep(&self, runtime: &Runtime, inner: &mut Inner<F>) {
        let program = inner.program.clone();
        let (Slot::Live(live), Some(Ok(ready))) = (&mut inner.slot, program.get()) else { return };
        let counters = &self.seat.counters;
        let state = match self.legacy(runtime, ready, live) {
            Legacy::State(state) => state,
            legacy @ (Legacy::Denied(_) | Legacy::Broken(_)) => {
                let reason = match legacy {
                    Legacy::Broken(fault) => {
                        counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
                        fault.reason
                    }
                    Legacy::Denied(reason) => reason,
                    Legacy::State(_) => unreachable!("matched above"),
                };
                let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
                tracing::warn!(policy, destination, reason, "policy gives no state and will start without");
                counters.states_lost.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        counters.instances_slept.fetch_add(1, Ordering::Relaxed);
        self.set(inner, Slot::Asleep(state));
    }

    /// Changes the slot; the old instance is dropped here unless it was taken out before.
    fn set(&self, inner: &mut Inner<F>, slot: Slot<F>) {
        let state = match &slot {
            Slot::Empty => PolicyState::Warming,
            Slot::Live(_) => PolicyState::Live,
            Slot::Asleep(_) => PolicyState::Asleep,
            Slot::Failed { .. } => PolicyState::BackingOff,
            Slot::Refused => PolicyState::Refused,
        };
        inner.slot = slot;
        self.seat.counters.state.store(code(state), Ordering::Relaxed);
    }

    /// Adds to `stats` what others counted; `program` decides.
    pub(crate) fn describe(&self, program: &Program, stats: &mut PolicyStats) {
        let counters = &self.seat.counters;
        stats.faults_lifecycle = counters.faults_lifecycle.load(Ordering::Relaxed);
        stats.instances_made = counters.instances_made.load(Ordering::Relaxed);
        stats.instances_slept = counters.instances_slept.load(Ordering::Relaxed);
        stats.states_lost = counters.states_lost.load(Ordering::Relaxed);
        stats.log_lines_dropped = counters.log_lines_dropped.load(Ordering::Relaxed);
        stats.generation = program.generation;
        stats.swaps = counters.swaps.load(Ordering::Relaxed);
        stats.swaps_refused = counters.swaps_refused.load(Ordering::Relaxed);
        stats.swaps_undone = counters.swaps_undone.load(Ordering::Relaxed);
        stats.swap_times = *counters.swap_times.lock().unwrap_or_else(PoisonError::into_inner);
        stats.memory_bytes = counters.memory_bytes.load(Ordering::Relaxed);
        stats.memory_bytes_most = counters.memory_bytes_most.load(Ordering::Relaxed);
        stats.state = match program.get() {
            None => PolicyState::Warming,
            Some(Err(_)) => PolicyState::Refused,
            Some(Ok(_)) => decode(counters.state.load(Ordering::Relaxed)),
        };
    }
}

impl<F: Functions> keeper::Kept for Cell<F> {
    fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }

    /// After a fault the policy starts without a state: the state may be what made it fail.
    fn make_again(self: Arc<Cell<F>>, runtime: &Runtime) {
        let program = self.inner.lock().unwrap_or_else(PoisonError::into_inner).program.clone();
        let Some(Ok(ready)) = program.get() else { return };
        // Outside the lock: meanwhile the native twin decides, and nobody but another generation touches a failed cell.
        let made = self.make(runtime, &program, ready, None);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(inner.slot, Slot::Failed { .. }) && Arc::ptr_eq(&inner.program, &program) {
            self.seat_instance(runtime, &mut inner, made);
        }
    }

    fn sleep(&self, runtime: &Runtime) {
        self.desk.make_room();
        // A cell that is being asked is not idle.
        if let Ok(mut inner) = self.inner.try_lock() {
            self.put_to_sleep(runtime, &mut inner);
        }
    }

    fn cool(&self, now: Instant) -> Option<Instant> {
        self.desk.cool(now)
    }

    fn collect(&self, runtime: &Runtime) -> Option<KeptState> {
        self.desk.states.collect(self.used_ms(), || {
            let mut inner = self.inner.try_lock().ok()?;
            self.remember(runtime, &mut inner)
        })
    }

    fn offer_shadow(self: Arc<Cell<F>>, runtime: &Runtime, program: Option<&Arc<Program>>) {
        let Some(program) = program else { return self.desk.offer_shadow(None) };
        let Some(Ok(ready)) = program.get() else { return };
        let mut report = ShadowReport {
            destination: self.seat.destination.to_string(),
            generation: program.generation,
            ..ShadowReport::default()
        };
        let seat = Seat { memory: Arc::new(self.seat.memory.copy(&runtime.limits)), ..self.seat.clone() };
        match self.configured(runtime, &seat, program, ready) {
            Ok(live) => {
                let report = Arc::new(Mutex::new(report));
                self.desk.offer_shadow(Some(NextShadow { program: program.clone(), live, report }));
            }
            Err(MakeError::Fault(Fault { reason, .. }) | MakeError::Settings(reason)) => {
                report.ended = Some(format!("no instance can be made: {reason}"));
                tracing::warn!(policy = &*self.seat.policy, ?report, "shadow cannot look on");
            }
        }
    }

    fn shadow_report(&self) -> Option<ShadowReport> {
        self.desk.shadow_report()
    }

    fn offer_tape(&self, tape: Arc<Tape>) {
        self.desk.offer_tape(tape);
    }

    fn destination(&self) -> &Arc<str> {
        &self.seat.destination
    }

    fn policy(&self) -> (Point, &Arc<str>) {
        (F::WORLD.point, &self.seat.policy)
    }

    fn offer(
        self: Arc<Cell<F>>,
        runtime: &Runtime,
        program: &Arc<Program>,
        takeover: Takeover,
        told: &SyncSender<Remark>,
    ) {
        let Some(Ok(ready)) = program.get() else { return };
        // Only who decides now needs an instance at once; the others make theirs when they are asked.
        let is_live = decode(self.seat.counters.state.load(Ordering::Relaxed)) == PolicyState::Live;
        // One that cannot be made is made, and refused, at the boundary.
        let live = if is_live { self.make(runtime, program, ready, None).ok() } else { None };
        let told = is_live.then(|| told.clone());
        self.desk.offer(Next { program: program.clone(), live, takeover, told });
    }
}

const STATES: [PolicyState; 5] =
    [PolicyState::Warming, PolicyState::Live, PolicyState::Asleep, PolicyState::BackingOff, PolicyState::Refused];

fn code(state: PolicyState) -> u8 {
    STATES.iter().position(|other| *other == state).map_or(0, |at| at as u8)
}

fn decode(code: u8) -> PolicyState {
    STATES.get(usize::from(code)).copied().unwrap_or(PolicyState::Warming)
}
