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

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use plugin::{Fallback, PolicyState, PolicyStats};

use crate::instance::{Fault, FaultKind, Live};
use crate::keeper::{Job, Kept};
use crate::program::{Program, Ready};
use crate::runtime::Runtime;
use crate::world::Functions;

/// Whose instance it is.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) policy: Arc<str>,
    pub(crate) destination: Arc<str>,
    pub(crate) counters: Arc<Counters>,
}

impl Seat {
    /// The seat of the instance that is asked what it wants and then dropped.
    pub(crate) fn rehearsal(policy: Arc<str>) -> Seat {
        Seat { policy, destination: "".into(), counters: Arc::default() }
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
    state: AtomicU8,
}

/// A policy on one destination, whose functions are `F`.
pub(crate) struct Cell<F> {
    pub(crate) program: Arc<Program>,
    pub(crate) seat: Seat,
    /// The broker's time of the last call.
    used_ms: AtomicU64,
    inner: Mutex<Inner<F>>,
}

/// What the lock protects. The core's thread never waits for the lock.
struct Inner<F> {
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
    Asleep(Option<Arc<[u8]>>),
    /// It failed; the keeper makes another one if it was asked to.
    Failed {
        /// True if the keeper has the job.
        requested: bool,
    },
    /// It refuses its settings on this destination.
    Refused,
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
    pub(crate) fn new(program: Arc<Program>, destination: &str) -> Cell<F> {
        let seat = Seat { policy: program.name.clone(), destination: destination.into(), counters: Arc::default() };
        let inner = Mutex::new(Inner { slot: Slot::Empty, failures: 0, good: 0 });
        Cell { program, seat, used_ms: AtomicU64::new(0), inner }
    }

    /// The compiled component, or why the native twin decides in its place.
    pub(crate) fn ready(&self, runtime: &Runtime) -> Result<&Ready, Fallback> {
        match self.program.get() {
            Some(Ok(ready)) => Ok(ready),
            Some(Err(_)) => Err(Fallback::Refused),
            None => {
                self.program.request(runtime);
                Err(Fallback::Warming)
            }
        }
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
        let Ok(mut inner) = self.inner.try_lock() else { return Err(Fallback::Busy) };
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
        if !runtime.has_room() {
            return Err(Fallback::Full);
        }
        let made = self.make(runtime, ready, state.as_ref());
        self.seat_instance(runtime, inner, made);
        match inner.slot {
            Slot::Live(_) => Ok(()),
            Slot::Refused => Err(Fallback::Refused),
            _ => Err(Fallback::BackingOff),
        }
    }

    /// A new instance, configured, with the state if there is one.
    fn make(&self, runtime: &Runtime, ready: &Ready, state: Option<&Arc<[u8]>>) -> Result<Box<Live<F>>, MakeError> {
        let exports = &ready.exports;
        let mut live = Live::new(runtime, &self.seat, exports)?;
        live.configure(&runtime.ticker, exports, &self.program.settings)?.map_err(MakeError::Settings)?;
        if let Some(state) = state
            && let Err(refusal) = live.restore(&runtime.ticker, exports, ready.state_version, state)?
        {
            self.seat.counters.states_lost.fetch_add(1, Ordering::Relaxed);
            let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
            tracing::warn!(policy, destination, ?refusal, "policy does not take its state back and starts without");
        }
        self.seat.counters.instances_made.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(live))
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
                tracing::error!(policy, destination, reason, "policy refuses its settings; the native one decides");
                self.set(inner, Slot::Refused);
            }
        }
    }

    /// After a fault: drops the instance and has the keeper make another one after a pause.
    fn fail(self: &Arc<Cell<F>>, runtime: &Runtime, inner: &mut Inner<F>, fault: &Fault) {
        if inner.failures == 0 {
            let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
            let (kind, reason) = (fault.kind, fault.reason.as_str());
            tracing::warn!(policy, destination, ?kind, reason, "policy fails; its native twin decides meanwhile");
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
    fn put_to_sleep(&self, runtime: &Runtime, ready: &Ready, inner: &mut Inner<F>) {
        let Slot::Live(live) = &mut inner.slot else { return };
        let counters = &self.seat.counters;
        let limit = runtime.limits.state_bytes_max;
        let state = match ready.state_version {
            0 => None,
            _ => match live.snapshot(&runtime.ticker, &ready.exports, limit) {
                Ok(Ok(state)) if state.len() <= limit as usize => Some(Arc::from(state)),
                outcome => {
                    if outcome.is_err() {
                        counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
                    }
                    let (policy, destination) = (&*self.seat.policy, &*self.seat.destination);
                    tracing::warn!(policy, destination, outcome = ?outcome.map(|state| state.map(|state| state.len())),
                        "policy gives no state and will start without");
                    counters.states_lost.fetch_add(1, Ordering::Relaxed);
                    None
                }
            },
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

    /// Adds to `stats` what others counted.
    pub(crate) fn describe(&self, stats: &mut PolicyStats) {
        let counters = &self.seat.counters;
        stats.faults_lifecycle = counters.faults_lifecycle.load(Ordering::Relaxed);
        stats.instances_made = counters.instances_made.load(Ordering::Relaxed);
        stats.instances_slept = counters.instances_slept.load(Ordering::Relaxed);
        stats.states_lost = counters.states_lost.load(Ordering::Relaxed);
        stats.log_lines_dropped = counters.log_lines_dropped.load(Ordering::Relaxed);
        stats.state = match self.program.get() {
            None => PolicyState::Warming,
            Some(Err(_)) => PolicyState::Refused,
            Some(Ok(_)) => decode(counters.state.load(Ordering::Relaxed)),
        };
    }
}

impl<F: Functions> Kept for Cell<F> {
    fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }

    /// After a fault the policy starts without a state: the state may be what made it fail.
    fn make_again(self: Arc<Cell<F>>, runtime: &Runtime) {
        let Some(Ok(ready)) = self.program.get() else { return };
        // Outside the lock: meanwhile the native twin decides, and nobody else touches a failed cell.
        let made = self.make(runtime, ready, None);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(inner.slot, Slot::Failed { .. }) {
            self.seat_instance(runtime, &mut inner, made);
        }
    }

    fn sleep(&self, runtime: &Runtime) {
        let Some(Ok(ready)) = self.program.get() else { return };
        // A cell that is being asked is not idle.
        if let Ok(mut inner) = self.inner.try_lock() {
            self.put_to_sleep(runtime, ready, &mut inner);
        }
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
