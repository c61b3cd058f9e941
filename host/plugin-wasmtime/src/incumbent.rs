//! The generation that decides on a destination, watched: for worlds whose questions are whole in themselves. Queue
//! dispatch, the hottest path, has the same in words of its own.

use std::sync::Arc;
use std::time::Duration;

use plugin::{Decided, Fallback, PolicyStats};

use crate::cell::{Boundary, Cell};
use crate::instance::{Fault, Live, thread_cpu_time};
use crate::probation::{Cost, Probation, blame};
use crate::program::{Program, ROWS_DEFAULT, Ready};
use crate::runtime::Runtime;
use crate::shadow::NextShadow;
use crate::world::Functions;

/// One in so many calls is measured where no generation is on probation: asking for the thread's time costs as much as a
/// call. The clock on the wall would be cheaper, and blame a policy for a busy machine.
pub(crate) const CALLS_PER_MEASURE: u32 = 16;

/// A policy on one destination with the counters of its answers.
pub(crate) struct Incumbent<F: Functions> {
    runtime: Arc<Runtime>,
    cell: Arc<Cell<F>>,
    /// The generation that decides; changes at a boundary, or when one on probation goes back.
    program: Arc<Program>,
    /// The generation is watched; the one before is warm.
    probation: Option<Probation>,
    /// What the generation costs, from every so many calls.
    cost: Cost,
    calls: u32,
    /// The generation that was asked last.
    asked: u64,
    /// A candidate looks on: each call is measured, to be compared.
    is_shadowed: bool,
    /// What the last call took, if it was measured.
    took: Duration,
    stats: PolicyStats,
}

/// A change of the generation that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Another one took over; if `kept`, the one before stays warm.
    TookOver { kept: bool },
    /// The one before decides again; if `was_live`, by the very instance of before.
    WentBack { was_live: bool },
}

impl<F: Functions> Incumbent<F> {
    pub(crate) fn new(runtime: Arc<Runtime>, cell: Arc<Cell<F>>, program: Arc<Program>) -> Incumbent<F> {
        Incumbent {
            runtime,
            cell,
            program,
            probation: None,
            cost: Cost::default(),
            calls: 0,
            asked: 0,
            is_shadowed: false,
            took: Duration::ZERO,
            stats: PolicyStats::default(),
        }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn destination(&self) -> &str {
        &self.cell.seat.destination
    }

    /// The most rows that it wants in one call.
    pub(crate) fn rows_max(&self) -> usize {
        match self.program.get() {
            Some(Ok(ready)) => ready.rows_max,
            _ => ROWS_DEFAULT as usize,
        }
    }

    /// The generation that decides.
    pub(crate) fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What there is to do between two questions, but for a takeover.
    pub(crate) fn pause(&mut self, now_ms: u64) {
        if self.probation.as_ref().is_some_and(|probation| now_ms >= probation.until_ms) {
            self.cost = self.probation.take().map(|probation| probation.cost).unwrap_or_default();
        }
        self.cell.tell_state(&self.runtime);
    }

    /// To be called before each question: a generation that waits takes over. Where nobody may decide in its place, only to
    /// be called with all instances of the policy in one's hands.
    pub(crate) fn boundary(&mut self, now_ms: u64) -> Option<Turn> {
        self.pause(now_ms);
        let Boundary::TookOver { program, on_probation } = self.cell.boundary(&self.runtime) else { return None };
        self.program = program;
        // A generation that was on probation itself is what the next one is measured against.
        let before = self.probation.take().map_or(self.cost, |probation| probation.cost);
        self.cost = Cost::default();
        let until_ms = now_ms.saturating_add(self.runtime.limits.probation_ms);
        self.probation = on_probation.then(|| Probation::new(until_ms, before));
        Some(Turn::TookOver { kept: on_probation })
    }

    /// To be called after each [`boundary`](Self::boundary): a candidate that begins to look on, or `Some(None)` where the one
    /// there is ends.
    pub(crate) fn shadow_boundary(&mut self) -> Option<Option<NextShadow<F>>> {
        let next = self.cell.shadow_boundary(&self.runtime)?;
        self.is_shadowed = next.is_some();
        Some(next)
    }

    /// The generation that was asked last.
    pub(crate) fn asked(&self) -> u64 {
        self.asked
    }

    /// Processor time of the last call, while a candidate looks on.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Asks the instance about so many rows, counts who decided, and says whether a generation on probation had to go
    /// because of it. `call` says `None` for an answer of the wrong length.
    pub(crate) fn ask<A>(
        &mut self,
        now_ms: u64,
        rows: usize,
        call: impl FnOnce(&Runtime, &Ready, &mut Live<F>) -> Result<Option<A>, Fault>,
    ) -> (Result<A, Fallback>, Option<Turn>) {
        self.calls = self.calls.wrapping_add(1);
        self.asked = self.program.generation;
        let is_measured = self.probation.is_some() || self.is_shadowed || self.calls.is_multiple_of(CALLS_PER_MEASURE);
        let begun = is_measured.then(thread_cpu_time);
        let (runtime, cell) = (&self.runtime, &self.cell);
        let ready = self.program.ready_or_fallback(runtime);
        let answer = ready.and_then(|ready| cell.ask(runtime, ready, now_ms, |live| call(runtime, ready, live)));
        let took = begun.map(|begun| thread_cpu_time().saturating_sub(begun));
        self.took = took.unwrap_or_default();
        let limits = &runtime.limits;
        let verdict = match (&answer, &mut self.probation) {
            (Ok(_), Some(probation)) => took.and_then(|took| probation.decided(limits, took, rows)),
            (Ok(_), None) => {
                took.into_iter().for_each(|took| self.cost.add(took, rows));
                None
            }
            (Err(fallback), Some(probation)) => blame(*fallback).and_then(|what| probation.failed(limits, what)),
            (Err(_), None) => None,
        };
        let decided = answer.as_ref().map_or_else(|fallback| Decided::Fallback(*fallback), |_| Decided::Policy);
        self.stats.count(rows, decided);
        (answer, verdict.and_then(|reason| self.go_back(&reason)))
    }

    /// Answers of the last question had to be corrected.
    pub(crate) fn corrected(&mut self, answers: u64) -> Option<Turn> {
        let reason = self.probation.as_mut()?.corrected(&self.runtime.limits, answers)?;
        self.go_back(&reason)
    }

    /// The generation before decides again, as far as it is still there.
    pub(crate) fn go_back(&mut self, reason: &str) -> Option<Turn> {
        self.probation = None;
        let (program, was_live) = self.cell.go_back(&self.runtime, reason)?;
        self.program = program;
        self.cost = Cost::default();
        Some(Turn::WentBack { was_live })
    }

    pub(crate) fn stats(&self) -> PolicyStats {
        let mut stats = self.stats;
        self.cell.describe(&self.program, &mut stats);
        stats
    }
}

impl<F: Functions> Drop for Incumbent<F> {
    fn drop(&mut self) {
        self.cell.leave(&self.runtime);
    }
}
