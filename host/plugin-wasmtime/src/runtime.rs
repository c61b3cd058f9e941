//! What all the policies of a host share: the engine, the limits, the symbols and the way to the keeper.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use plugin::{PolicyError, SymbolTable};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::Limits;
use crate::cache::{Cache, CachePlace};
use crate::engine::{Ticker, engine};
use crate::grants::linker;
use crate::instance::HostState;
use crate::keeper::Job;
use crate::log_book::LogBook;
use crate::state::Attic;
use crate::stores::Memories;
use crate::swap::SwapEvent;

/// Shared by the host, its policies and the keeper.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    /// Components that were compiled before; `None` if they are not kept.
    pub(crate) cache: Option<Cache>,
    pub(crate) linker: Linker<HostState>,
    pub(crate) ticker: Ticker,
    pub(crate) limits: Limits,
    pub(crate) symbols: Arc<SymbolTable>,
    pub(crate) attic: Attic,
    pub(crate) log_book: Arc<LogBook>,
    /// Instances that are alive.
    pub(crate) live: Arc<AtomicUsize>,
    /// True while the keeper is asked to put instances to sleep.
    pub(crate) crowded: AtomicBool,
    /// What policies keep beside their instances.
    pub(crate) memories: Memories,
    /// Why a policy failed last, in the engine's words.
    last_fault: Mutex<String>,
    jobs: SyncSender<Job>,
    events: SyncSender<SwapEvent>,
}

impl Runtime {
    pub(crate) fn new(
        limits: Limits,
        symbols: Arc<SymbolTable>,
        cache: Option<&CachePlace>,
        jobs: SyncSender<Job>,
        events: SyncSender<SwapEvent>,
    ) -> Result<Runtime, PolicyError> {
        let broken = |reason: String| PolicyError::Engine { reason };
        let engine = engine(&limits).map_err(|error| broken(format!("{error:#}")))?;
        let cache = cache.and_then(|place| {
            let told = |reason: &String| tracing::warn!(reason, "compiled policies are not kept for the next start");
            Cache::open(place, &engine).inspect_err(told).ok()
        });
        let linker = linker(&engine).map_err(|error| broken(format!("{error:#}")))?;
        let ticker = Ticker::start(&engine).map_err(|error| broken(format!("no thread for the ticker: {error}")))?;
        let (attic, live) = (Attic::default(), Arc::default());
        Ok(Runtime {
            attic,
            log_book: Arc::default(),
            engine,
            cache,
            linker,
            ticker,
            limits,
            symbols,
            live,
            crowded: AtomicBool::new(false),
            memories: Memories::default(),
            last_fault: Mutex::default(),
            jobs,
            events,
        })
    }

    /// One without a keeper, for a single instance in the hands of the caller.
    pub(crate) fn alone(
        limits: Limits,
        symbols: SymbolTable,
        cache: Option<&CachePlace>,
    ) -> Result<Runtime, PolicyError> {
        let ((jobs, _), (events, _)) = (sync_channel(0), sync_channel(0));
        Runtime::new(limits, Arc::new(symbols), cache, jobs, events)
    }

    /// A component that can be made an instance: found compiled, or compiled on this thread.
    pub(crate) fn component(&self, policy: &str, bytes: &[u8]) -> wasmtime::Result<Component> {
        match &self.cache {
            Some(cache) => cache.component(&self.engine, policy, bytes),
            None => Component::from_binary(&self.engine, bytes),
        }
    }

    /// Gives the keeper a job; false if it has too many, or is gone.
    pub(crate) fn ask(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// Tells whoever keeps the generations; without room for it only the log has it.
    pub(crate) fn tell(&self, event: SwapEvent) {
        match &event {
            SwapEvent::Refused { policy, destination, generation, reason } => {
                tracing::warn!(
                    policy,
                    destination,
                    generation,
                    reason,
                    "policy generation is not taken; the one before goes on"
                );
            }
            SwapEvent::Undone { policy, destination, generation, reason } => {
                tracing::warn!(
                    policy,
                    destination,
                    generation,
                    reason,
                    "policy generation does not do well; the one before decides again"
                );
            }
        }
        let _ = self.events.try_send(event);
    }

    /// Notes why a policy failed, unless somebody reads that at this moment.
    pub(crate) fn note_fault(&self, reason: &str) {
        if let Ok(mut last) = self.last_fault.try_lock() {
            reason.clone_into(&mut last);
        }
    }

    /// Why a policy failed last; empty if none did.
    pub(crate) fn last_fault(&self) -> String {
        self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the keeper drop an instance: giving its memory back takes longer than a call.
    pub(crate) fn bury(&self, live: Box<dyn Send>) {
        match self.jobs.try_send(Job::Bury(live)) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => drop(job),
        }
    }

    /// True if another instance may be made; calls the keeper when there are too many.
    pub(crate) fn has_room(&self) -> bool {
        let live = self.live.load(Ordering::Relaxed);
        if live >= self.limits.instances_live_max
            && !self.crowded.swap(true, Ordering::Relaxed)
            && !self.ask(Job::MakeRoom)
        {
            self.crowded.store(false, Ordering::Relaxed);
        }
        live < self.limits.instances_live_max.saturating_mul(2).max(1)
    }
}
