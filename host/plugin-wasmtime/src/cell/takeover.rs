//! How another generation takes over at a cell, and how the one before comes back; `swap.rs` has the desk where they wait.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Boundary, Cell, Inner, Legacy, MakeError, Slot};
use crate::instance::Live;
use crate::keeper::Job;
use crate::program::{Program, Ready};
use crate::runtime::Runtime;
use crate::swap::{Next, Remark, SwapEvent, Takeover, Warm};
use crate::world::Functions;

impl<F: Functions> Cell<F> {
    /// To be called by the core's thread before a batch is gathered: a generation that waits takes over, if it takes the
    /// state of the one before.
    pub(crate) fn boundary(self: &Arc<Cell<F>>, runtime: &Runtime) -> Boundary {
        if !self.desk.is_offered() {
            return Boundary::Same;
        }
        let Some(mut inner) = self.enter() else { return Boundary::Same };
        let Some(mut next) = self.desk.take(F::WORLD.is_closed()) else { return Boundary::Same };
        if Arc::ptr_eq(&next.program, &inner.program) {
            if let Some(live) = next.live {
                runtime.bury(live);
            }
            return Boundary::Same;
        }
        let (program, takeover) = (next.program.clone(), next.takeover);
        let told = next.told.take();
        let remark = |is_taken: bool, reason: &str| {
            let Some(told) = &told else { return };
            let (destination, reason) = (self.seat.destination.to_string(), reason.to_owned());
            // Where enough are told already, or nobody listens any more, the log has it.
            let _ = told.try_send(Remark { destination, is_taken, reason });
        };
        let begun = Instant::now();
        let outcome = self.exchange(runtime, &mut inner, next);
        self.seat.counters.swap_times.lock().unwrap_or_else(PoisonError::into_inner).add(begun.elapsed());
        match outcome {
            Ok(lost) => {
                lost.iter().for_each(|reason| remark(true, reason));
                Boundary::TookOver { program, on_probation: takeover.probation }
            }
            Err(reason) => {
                remark(false, &reason);
                self.seat.counters.swaps_refused.fetch_add(1, Ordering::Relaxed);
                let (policy, destination) = (self.seat.policy.to_string(), self.seat.destination.to_string());
                let generation = program.generation;
                // One that guards guards everywhere or nowhere.
                runtime.tell(match F::WORLD.is_closed() {
                    true => SwapEvent::Undone { policy, destination, generation, reason },
                    false => SwapEvent::Refused { policy, destination, generation, reason },
                });
                Boundary::Same
            }
        }
    }

    /// Seats the new generation, or says why the one before goes on. Gives why the state of that one is lost, if it is.
    fn exchange(
        self: &Arc<Cell<F>>,
        runtime: &Runtime,
        inner: &mut Inner<F>,
        next: Next<F>,
    ) -> Result<Option<String>, String> {
        let Some(Ok(ready)) = next.program.get() else { return Err("it is not compiled".to_owned()) };
        let old = std::mem::replace(&mut inner.slot, Slot::Empty);
        let (slot, warm, lost) = match old {
            Slot::Live(mut old) => {
                let legacy = match inner.program.get() {
                    Some(Ok(old_ready)) => self.legacy(runtime, old_ready, &mut old),
                    _ => Legacy::State(None),
                };
                match self.succeed_to(runtime, &next.program, ready, next.live, next.takeover, &legacy) {
                    Ok((live, lost)) => match legacy {
                        Legacy::Broken(_) => {
                            runtime.bury(old);
                            (Slot::Live(live), None, lost)
                        }
                        _ => (Slot::Live(live), Some(old), lost),
                    },
                    Err(reason) => {
                        let slot = match legacy {
                            Legacy::Broken(fault) => {
                                runtime.bury(old);
                                self.fail(runtime, inner, &fault);
                                return Err(reason);
                            }
                            _ => Slot::Live(old),
                        };
                        self.set(inner, slot);
                        return Err(reason);
                    }
                }
            }
            // It is made when it is asked, from the state of the one before if it reads that.
            other => {
                if let Some(live) = next.live {
                    runtime.bury(live);
                }
                (if let Slot::Asleep(state) = other { Slot::Asleep(state) } else { Slot::Empty }, None, None)
            }
        };
        self.set(inner, slot);
        let former = std::mem::replace(&mut inner.program, next.program);
        inner.failures = 0;
        inner.good = 0;
        self.seat.counters.swaps.fetch_add(1, Ordering::Relaxed);
        // One that guards may have to go back because another instance of it does not take over.
        self.keep_warm(runtime, former, warm, next.takeover.probation || F::WORLD.is_closed());
        Ok(lost)
    }

    /// The new instance with the old one's state, or without it and why.
    fn succeed_to(
        &self,
        runtime: &Runtime,
        program: &Program,
        ready: &Ready,
        live: Option<Box<Live<F>>>,
        takeover: Takeover,
        legacy: &Legacy,
    ) -> Result<(Box<Live<F>>, Option<String>), String> {
        let mut live = match live {
            Some(live) => live,
            None => self.make(runtime, program, ready, None).map_err(|error| match error {
                MakeError::Fault(fault) => format!("no instance can be made: {}", fault.reason),
                MakeError::Settings(reason) => format!("it refuses its settings: {reason}"),
            })?,
        };
        let is_stateless = ready.restores.is_empty();
        let denied = match legacy {
            Legacy::State(Some(state)) if !is_stateless => match self.hand_over(runtime, ready, &mut live, state) {
                Ok(Ok(())) => return Ok((live, None)),
                Ok(Err(reason)) => reason,
                Err(fault) => {
                    self.seat.counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
                    runtime.bury(live);
                    return Err(format!("it fails to restore the state: {}", fault.reason));
                }
            },
            Legacy::State(_) => return Ok((live, None)),
            Legacy::Denied(_) | Legacy::Broken(_) if is_stateless => return Ok((live, None)),
            // There is no going on with what is broken: without its state is all that is left.
            Legacy::Broken(fault) => {
                self.seat.counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
                self.lose_state(&fault.reason);
                return Ok((live, Some(format!("the one before fails: {}", fault.reason))));
            }
            Legacy::Denied(reason) => reason.clone(),
        };
        if takeover.start_empty {
            self.lose_state(&denied);
            return Ok((live, Some(denied)));
        }
        runtime.bury(live);
        Err(denied)
    }

    fn keep_warm(
        self: &Arc<Cell<F>>,
        runtime: &Runtime,
        program: Arc<Program>,
        live: Option<Box<Live<F>>>,
        keep: bool,
    ) {
        let until = Instant::now() + Duration::from_millis(runtime.limits.probation_ms);
        let mut spare = Some(Warm { program, live, until });
        if keep && !self.desk.cooling.swap(true, Ordering::Relaxed) {
            let cell: Weak<Cell<F>> = Arc::downgrade(self);
            let is_asked = runtime.ask(Job::Cool { cell, at: until });
            self.desk.cooling.store(is_asked, Ordering::Relaxed);
        }
        if keep && self.desk.cooling.load(Ordering::Relaxed) {
            spare = spare.and_then(|warm| self.desk.keep_warm(warm));
        } else if let Some(former) = self.desk.take_warm() {
            runtime.bury(Box::new(former));
        }
        if let Some(spare) = spare {
            runtime.bury(Box::new(spare));
        }
    }

    /// Back to the generation before, which is kept warm; the core's thread calls it. Gives that generation, and whether
    /// it is the very instance of before. Where it is not there any more, whoever keeps the generations sends it again.
    pub(crate) fn go_back(self: &Arc<Cell<F>>, runtime: &Runtime, reason: &str) -> Option<(Arc<Program>, bool)> {
        let mut inner = self.enter()?;
        runtime.tell(SwapEvent::Undone {
            policy: self.seat.policy.to_string(),
            destination: self.seat.destination.to_string(),
            generation: inner.program.generation,
            reason: reason.to_owned(),
        });
        let warm = self.desk.take_warm()?;
        let was_live = warm.live.is_some();
        if let Slot::Live(live) = std::mem::replace(&mut inner.slot, Slot::Empty) {
            runtime.bury(live);
        }
        self.set(&mut inner, warm.live.map_or(Slot::Empty, Slot::Live));
        inner.program = warm.program.clone();
        inner.failures = 0;
        inner.good = 0;
        self.seat.counters.swaps_undone.fetch_add(1, Ordering::Relaxed);
        Some((warm.program, was_live))
    }
}
