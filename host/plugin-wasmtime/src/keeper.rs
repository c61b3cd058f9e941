//! The thread that does all that is slow: compile, make instances anew, put idle ones to sleep, drop stores.
//!
//! One thread on purpose: components are compiled one after the other.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use plugin::Point;

use crate::program::Program;
use crate::recorder::Tape;
use crate::runtime::Runtime;
use crate::shadow::ShadowReport;
use crate::state::KeptState;
use crate::swap::{Remark, Takeover};

/// Jobs that wait at most. A job that finds no place is asked for again at the next call.
pub(crate) const JOBS_MAX: usize = 4_096;

/// All that the keeper can be asked.
pub(crate) enum Job {
    /// Compile a component.
    Compile(Arc<Program>),
    /// Make an instance for a cell that failed, not before this time.
    MakeAgain { cell: Weak<dyn Kept>, at: Instant },
    /// Drop the former generation that a cell keeps warm, not before this time.
    Cool { cell: Weak<dyn Kept>, at: Instant },
    /// Have a candidate look on.
    Shadow { cell: Weak<dyn Kept>, program: Arc<Program> },
    /// Put the idlest instances to sleep.
    MakeRoom,
    /// Drop an instance.
    Bury(Box<dyn Send>),
    /// The host is gone.
    Stop,
}

/// A policy on one destination as the keeper sees it, whatever its world.
pub(crate) trait Kept: Send + Sync {
    /// The broker's time of the last call.
    fn used_ms(&self) -> u64;

    /// Makes another instance after a fault.
    fn make_again(self: Arc<Self>, runtime: &Runtime);

    /// Drops the instance and keeps its state, unless it is in use.
    fn sleep(&self, runtime: &Runtime);

    /// Drops the former generation if its time is up; says when to come again.
    fn cool(&self, now: Instant) -> Option<Instant>;

    /// What the policy remembers, if that is to be kept and changed since it was asked last.
    fn collect(&self, runtime: &Runtime) -> Option<KeptState>;

    /// Has a candidate look on, or ends that.
    fn offer_shadow(self: Arc<Self>, runtime: &Runtime, program: Option<&Arc<Program>>);

    /// What the candidate found so far.
    fn shadow_report(&self) -> Option<ShadowReport>;

    /// Has a recording begin at the next batch.
    fn offer_tape(&self, tape: Arc<Tape>);

    /// The destination.
    fn destination(&self) -> &Arc<str>;

    /// The policy that decides.
    fn policy(&self) -> (Point, &Arc<str>);

    /// Puts another generation on the desk; `told` hears what is worth telling where there is something to hand over.
    fn offer(self: Arc<Self>, runtime: &Runtime, program: &Arc<Program>, takeover: Takeover, told: &SyncSender<Remark>);
}

/// All the cells of a host.
#[derive(Default)]
pub(crate) struct Cells(Mutex<Vec<Weak<dyn Kept>>>);

impl Cells {
    pub(crate) fn add(&self, cell: Weak<dyn Kept>) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() == cells.capacity() {
            cells.retain(|cell| cell.strong_count() > 0);
        }
        cells.push(cell);
    }

    pub(crate) fn all(&self) -> Vec<Arc<dyn Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// The thread's own data.
pub(crate) struct Keeper {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) cells: Arc<Cells>,
    pub(crate) jobs: Receiver<Job>,
    /// Cells that wait for another instance. At most one entry a cell.
    pub(crate) waiting: Vec<(Instant, Weak<dyn Kept>)>,
    /// Cells that keep a former generation warm. At most one entry a cell.
    pub(crate) cooling: Vec<(Instant, Weak<dyn Kept>)>,
}

impl Keeper {
    pub(crate) fn run(mut self) {
        loop {
            let next = self.waiting.iter().chain(&self.cooling).map(|(at, _)| *at).min();
            let job = match next {
                None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.jobs.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match job {
                Ok(Job::Compile(program)) => self.compile(&program),
                Ok(Job::MakeAgain { cell, at }) => self.waiting.push((at, cell)),
                Ok(Job::Cool { cell, at }) => self.cooling.push((at, cell)),
                Ok(Job::Shadow { cell, program }) => {
                    if let (Some(cell), Ok(_)) = (cell.upgrade(), program.prepare(&self.runtime)) {
                        cell.offer_shadow(&self.runtime, Some(&program));
                    }
                }
                Ok(Job::MakeRoom) => self.make_room(),
                Ok(Job::Bury(live)) => drop(live),
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.make_due();
            self.cool_due();
        }
    }

    fn compile(&self, program: &Program) {
        if let Err(error) = program.prepare(&self.runtime) {
            tracing::error!(policy = &*program.name, %error, "policy cannot be run; {}", program.world.meanwhile());
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
                cell.make_again(&self.runtime);
            }
        }
    }

    /// Drops former generations whose time is up.
    fn cool_due(&mut self) {
        let now = Instant::now();
        self.cooling.retain_mut(|(at, cell)| {
            if *at > now {
                return true;
            }
            let again = cell.upgrade().and_then(|cell| cell.cool(now));
            *at = again.unwrap_or(now);
            again.is_some()
        });
    }

    /// Puts the idlest to sleep, some more than needed so that the next newcomer does not call again.
    fn make_room(&self) {
        let runtime = &self.runtime;
        let max = runtime.limits.instances_live_max;
        let goal = max - max / 8;
        let mut cells = self.cells.all();
        cells.sort_by_key(|cell| cell.used_ms());
        for cell in cells {
            if runtime.live.load(Ordering::Relaxed) <= goal {
                break;
            }
            cell.sleep(runtime);
        }
        runtime.crowded.store(false, Ordering::Relaxed);
    }
}
