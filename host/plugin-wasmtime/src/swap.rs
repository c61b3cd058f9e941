//! How one generation of a policy takes over from another on a destination.
//!
//! Whoever deploys prepares the new generation on a thread of his own: compiled, made an instance, configured. It waits at
//! the cell's desk until the core's thread comes to a batch boundary and does the exchange itself: the old instance's
//! snapshot goes to the new one. Both threads only ever try the desk's locks where the core is concerned, so the core
//! waits for nobody, and no batch is decided natively because of a swap.
//!
//! ```text
//!  offer: Next ──> desk ──boundary──> snapshot, restore ──> decides, on probation ──time is up──> decides
//!                                        │ not taken                 │ faults, corrections, cost
//!                                        v                           v
//!                                  the old one goes on         the old one, still warm, goes on
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::instance::Live;
use crate::program::Program;
use crate::recorder::Tape;
use crate::shadow::{NextShadow, ShadowReport};
use crate::state::StateDesk;

/// What became of an offer or of a probation, for whoever keeps the generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapEvent {
    /// A destination did not take a generation; the one before goes on there.
    Refused {
        /// The policy.
        policy: String,
        /// The destination.
        destination: String,
        /// The generation that was not taken.
        generation: u64,
        /// Why.
        reason: String,
    },
    /// A generation did not do well on a destination; the one before decides there again.
    Undone {
        /// The policy.
        policy: String,
        /// The destination.
        destination: String,
        /// The generation that was left.
        generation: u64,
        /// Why.
        reason: String,
    },
}

/// How a generation takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takeover {
    /// Where the new generation does not take the old one's state it goes on without; otherwise the old one goes on.
    pub start_empty: bool,
    /// The new generation is watched for `probation_ms`, and the old one stays warm as long.
    pub probation: bool,
}

/// Destinations that one takeover has remarks on at most.
const REMARKS_MAX: usize = 20;

/// What is worth telling of a takeover on one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The destination, or the place of an auth policy.
    pub destination: String,
    /// False where the generation before goes on; true where the new one goes on without the state of that one.
    pub is_taken: bool,
    /// Why.
    pub reason: String,
}

/// How a generation takes over from another one, destination by destination.
pub struct Turnout {
    is_taken: bool,
    remarks: Receiver<Remark>,
}

impl Turnout {
    /// The sender is for those destinations that have something to hand over.
    pub(crate) fn new() -> (SyncSender<Remark>, Turnout) {
        let (sender, remarks) = sync_channel(REMARKS_MAX);
        (sender, Turnout { is_taken: true, remarks })
    }

    /// It guards, and not all of its instances took over: the one before goes on.
    pub(crate) fn deny(&mut self) {
        self.is_taken = false;
    }

    /// False where the one before goes on everywhere, which only auth policies know at once.
    pub fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// What there is to tell of the destinations that come to a batch within `patience`, of [`REMARKS_MAX`] of them at most; comes back
    /// as soon as all did.
    pub fn remarks(self, patience: Duration) -> Vec<Remark> {
        let end = Instant::now() + patience;
        let next = || self.remarks.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
        std::iter::from_fn(next).collect()
    }
}

/// A generation that is to take over.
pub(crate) struct Next<F> {
    pub(crate) program: Arc<Program>,
    /// Its instance; `None` where the cell has none either.
    pub(crate) live: Option<Box<Live<F>>>,
    pub(crate) takeover: Takeover,
    /// Told what is worth telling; dropped when it took over, or did not.
    pub(crate) told: Option<SyncSender<Remark>>,
}

/// The generation before, ready to go on.
pub(crate) struct Warm<F> {
    pub(crate) program: Arc<Program>,
    pub(crate) live: Option<Box<Live<F>>>,
    /// Dropped then.
    pub(crate) until: Instant,
}

/// Where generations wait at a cell. The core's thread tries its locks and never waits for them.
pub(crate) struct Desk<F> {
    /// There is a `next`.
    offered: AtomicBool,
    next: Mutex<Option<Next<F>>>,
    warm: Mutex<Option<Warm<F>>>,
    pub(crate) states: StateDesk,
    /// A shadow is to begin, or to end.
    shadow_offered: AtomicBool,
    shadow: Mutex<Option<NextShadow<F>>>,
    /// What the shadow that was offered last found.
    shadow_report: Mutex<Option<Arc<Mutex<ShadowReport>>>>,
    /// A recording is to begin.
    tape_offered: AtomicBool,
    tape: Mutex<Option<Arc<Tape>>>,
    /// The keeper was asked to look after `warm`.
    pub(crate) cooling: AtomicBool,
}

impl<F> Desk<F> {
    pub(crate) fn new() -> Desk<F> {
        Desk {
            offered: AtomicBool::new(false),
            next: Mutex::new(None),
            warm: Mutex::new(None),
            states: StateDesk::default(),
            shadow_offered: AtomicBool::new(false),
            shadow: Mutex::new(None),
            shadow_report: Mutex::new(None),
            tape_offered: AtomicBool::new(false),
            tape: Mutex::new(None),
            cooling: AtomicBool::new(false),
        }
    }

    /// Puts a generation on the desk; one that nobody took is dropped here. Not for the core's thread.
    pub(crate) fn offer(&self, next: Next<F>) {
        let former = lock(&self.next).replace(next);
        self.offered.store(true, Ordering::Release);
        drop(former);
    }

    /// Whether a generation waits.
    pub(crate) fn is_offered(&self) -> bool {
        self.offered.load(Ordering::Acquire)
    }

    /// Takes the generation that waits. `None` too when somebody is at the desk and is not to be waited for: then at the next
    /// boundary.
    pub(crate) fn take(&self, waits: bool) -> Option<Next<F>> {
        let mut next = if waits { lock(&self.next) } else { self.next.try_lock().ok()? };
        self.offered.store(false, Ordering::Release);
        next.take()
    }

    /// Puts a shadow on the desk, or the end of the one there is. Not for the core's thread.
    pub(crate) fn offer_shadow(&self, next: Option<NextShadow<F>>) {
        *lock(&self.shadow_report) = next.as_ref().map(|next| next.report.clone());
        let former = std::mem::replace(&mut *lock(&self.shadow), next);
        self.shadow_offered.store(true, Ordering::Release);
        drop(former);
    }

    /// Takes what was offered: a shadow that begins, or `Some(None)` for the end of one.
    pub(crate) fn take_shadow(&self) -> Option<Option<NextShadow<F>>> {
        if !self.shadow_offered.load(Ordering::Acquire) {
            return None;
        }
        let mut next = self.shadow.try_lock().ok()?;
        self.shadow_offered.store(false, Ordering::Release);
        Some(next.take())
    }

    /// What the shadow found so far. Not for the core's thread.
    pub(crate) fn shadow_report(&self) -> Option<ShadowReport> {
        let report = lock(&self.shadow_report).clone()?;
        let found = lock(&report).clone();
        Some(found)
    }

    /// Puts a tape on the desk. Not for the core's thread.
    pub(crate) fn offer_tape(&self, tape: Arc<Tape>) {
        *lock(&self.tape) = Some(tape);
        self.tape_offered.store(true, Ordering::Release);
    }

    /// Whether a recording is to begin.
    pub(crate) fn is_tape_offered(&self) -> bool {
        self.tape_offered.load(Ordering::Acquire)
    }

    /// Takes the tape of a recording that is to begin.
    pub(crate) fn take_tape(&self) -> Option<Arc<Tape>> {
        let mut tape = self.tape.try_lock().ok()?;
        self.tape_offered.store(false, Ordering::Release);
        tape.take()
    }

    /// Keeps the generation before. Gives back what is to be dropped: what was kept, or all where somebody is at the desk.
    pub(crate) fn keep_warm(&self, warm: Warm<F>) -> Option<Warm<F>> {
        match self.warm.try_lock() {
            Ok(mut place) => place.replace(warm),
            Err(_) => Some(warm),
        }
    }

    /// Takes the generation before.
    pub(crate) fn take_warm(&self) -> Option<Warm<F>> {
        self.warm.try_lock().ok()?.take()
    }

    /// Drops the generation before if its time is up; says when to look again. Not for the core's thread.
    pub(crate) fn cool(&self, now: Instant) -> Option<Instant> {
        let mut place = lock(&self.warm);
        if let Some(warm) = &*place
            && warm.until > now
        {
            return Some(warm.until);
        }
        self.cooling.store(false, Ordering::Relaxed);
        let cold = place.take();
        drop(place);
        drop(cold);
        None
    }

    /// Drops the instances that wait here, not the generations. Not for the core's thread.
    pub(crate) fn make_room(&self) {
        let next = lock(&self.next).as_mut().and_then(|next| next.live.take());
        let warm = lock(&self.warm).as_mut().and_then(|warm| warm.live.take());
        drop((next, warm));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
