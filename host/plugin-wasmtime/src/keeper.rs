//! The thread that does all that is slow: compile, make instances anew, put idle ones to sleep, drop stores.
//!
//! One thread on purpose: components are compiled one after the other.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use crate::cell::{Cell, Slot};
use crate::instance::Live;
use crate::program::Program;
use crate::runtime::Runtime;

/// Jobs that wait at most. A job that finds no place is asked for again at the next plan.
pub(crate) const JOBS_MAX: usize = 4_096;

/// All that the keeper can be asked.
pub(crate) enum Job {
    /// Compile a component.
    Compile(Arc<Program>),
    /// Make an instance for a cell that failed, not before this time.
    MakeAgain { cell: Weak<Cell>, at: Instant },
    /// Put the idlest instances to sleep.
    MakeRoom,
    /// Drop an instance.
    Bury(Box<Live>),
    /// The host is gone.
    Stop,
}

/// All the cells of a host.
#[derive(Default)]
pub(crate) struct Cells(Mutex<Vec<Weak<Cell>>>);

impl Cells {
    pub(crate) fn add(&self, cell: &Arc<Cell>) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() == cells.capacity() {
            cells.retain(|cell| cell.strong_count() > 0);
        }
        cells.push(Arc::downgrade(cell));
    }

    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// The thread's own data.
pub(crate) struct Keeper {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) cells: Arc<Cells>,
    pub(crate) jobs: Receiver<Job>,
    /// Cells that wait for another instance. At most one entry a cell.
    pub(crate) waiting: Vec<(Instant, Weak<Cell>)>,
}

impl Keeper {
    pub(crate) fn run(mut self) {
        loop {
            let next = self.waiting.iter().map(|(at, _)| *at).min();
            let job = match next {
                None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.jobs.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match job {
                Ok(Job::Compile(program)) => self.compile(&program),
                Ok(Job::MakeAgain { cell, at }) => self.waiting.push((at, cell)),
                Ok(Job::MakeRoom) => self.make_room(),
                Ok(Job::Bury(live)) => drop(live),
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.make_due();
        }
    }

    fn compile(&self, program: &Program) {
        if let Err(error) = program.prepare(&self.runtime) {
            tracing::error!(policy = &*program.name, %error, "policy cannot be run; the native one decides");
        }
    }

    /// Makes the instances whose pause is over.
    fn make_due(&mut self) {
        let now = Instant::now();
        let mut at = 0;
        while at < self.waiting.len() {
            if self.waiting[at].0 > now {
                at += 1;
                continue;
            }
            let (_, cell) = self.waiting.swap_remove(at);
            if let Some(cell) = cell.upgrade() {
                self.make_again(&cell);
            }
        }
    }

    /// After a fault the policy starts without a state: the state may be what made it fail.
    fn make_again(&self, cell: &Arc<Cell>) {
        let Some(Ok(ready)) = cell.program.get() else { return };
        // Outside the lock: meanwhile the native twin decides, and nobody else touches a failed cell.
        let made = cell.make(&self.runtime, ready, None);
        let mut inner = cell.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(inner.slot, Slot::Failed { .. }) {
            cell.seat_instance(&self.runtime, &mut inner, made);
        }
    }

    /// Puts the idlest to sleep, some more than needed so that the next newcomer does not call again.
    fn make_room(&self) {
        let runtime = &self.runtime;
        let max = runtime.limits.instances_live_max;
        let goal = max - max / 8;
        let mut cells = self.cells.all();
        cells.sort_by_key(|cell| cell.used_ms.load(Ordering::Relaxed));
        for cell in cells {
            if runtime.live.load(Ordering::Relaxed) <= goal {
                break;
            }
            let Some(Ok(ready)) = cell.program.get() else { continue };
            // A cell that is being asked is not idle.
            let Ok(mut inner) = cell.inner.try_lock() else { continue };
            cell.put_to_sleep(runtime, ready, &mut inner);
        }
        runtime.crowded.store(false, Ordering::Relaxed);
    }
}
