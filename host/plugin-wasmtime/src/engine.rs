//! The engine, and the ticker that makes its deadlines pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::{Config, Engine, WasmFeatures};

use crate::Limits;

/// Time between two ticks; deadlines are counted in them.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a call after which the ticker sleeps.
const TICKS_IDLE_MAX: u32 = 50;
/// Address space set aside for a memory. Policies are small: 4 GiB each would spend the address space on nothing.
const MEMORY_RESERVATION: u64 = 64 << 20;

/// One engine for all the components of a host: types of two engines must never meet.
pub(crate) fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.concurrency_support(false);
    config.memory_reservation(MEMORY_RESERVATION);
    config.max_wasm_stack(limits.stack_bytes_max);
    // The same calls give the same answers on every machine.
    config.cranelift_nan_canonicalization(true);
    // What compilers emit for wasm32 by default stays on. The rest is code in the engine that policies do not need.
    let unneeded = WasmFeatures::MEMORY64
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::SIMD
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::THREADS
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::GC
        | WasmFeatures::EXCEPTIONS;
    config.wasm_features(unneeded, false);
    Engine::new(&config)
}

/// Bumps the engine's epoch each millisecond while calls are made, and sleeps otherwise: an idle broker has no wake-ups
/// from here, and a busy one pays two atomic additions a call.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    begun: AtomicU64,
    ended: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// A call in progress: time passes for the guest while it lives.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let handle = thread::Builder::new().name("policy-ticker".into()).spawn({
            let (engine, shared) = (engine.clone(), shared.clone());
            move || shared.tick(&engine)
        })?;
        Ok(Ticker { shared, thread: handle.thread().clone(), handle: Some(handle) })
    }

    /// To be held during each call into a guest.
    pub(crate) fn run(&self) -> Running<'_> {
        // In one total order with the ticker's "asleep, then look at begun": one of the two sees the other.
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread cannot panic; if it did, there is nobody left to tell.
            let _ = handle.join();
        }
    }
}

impl Shared {
    fn tick(&self, engine: &Engine) {
        let mut seen = 0;
        let mut idle = 0;
        while !self.stop.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            engine.increment_epoch();
            let begun = self.begun.load(Ordering::SeqCst);
            idle = if begun == seen && self.ended.load(Ordering::Acquire) == begun { idle + 1 } else { 0 };
            seen = begun;
            if idle < TICKS_IDLE_MAX {
                continue;
            }
            self.asleep.store(true, Ordering::SeqCst);
            while self.begun.load(Ordering::SeqCst) == seen && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}
