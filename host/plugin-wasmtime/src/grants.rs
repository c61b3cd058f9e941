//! What is granted to components: the host functions that they may call.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wasmtime::component::{Linker, WasmStr};
use wasmtime::{Engine, StoreContextMut};

use crate::Limits;
use crate::bindings::{Level, STATE_STORE, SYMBOLS, TELEMETRY};
use crate::instance::HostState;

/// A call from a guest.
type Context<'a> = StoreContextMut<'a, HostState>;

/// Lines that may still be logged.
pub(crate) struct LogBucket {
    lines_per_second: u32,
    line_bytes_max: usize,
    left: u32,
    filled: Instant,
}

impl LogBucket {
    pub(crate) fn new(limits: &Limits) -> LogBucket {
        LogBucket {
            lines_per_second: limits.log_lines_per_second_max,
            line_bytes_max: limits.log_line_bytes_max,
            left: limits.log_lines_per_second_max,
            filled: Instant::now(),
        }
    }

    fn take(&mut self) -> bool {
        if self.filled.elapsed() >= Duration::from_secs(1) {
            self.left = self.lines_per_second;
            self.filled = Instant::now();
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

/// All the host functions. A component gets those of them that it imports.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    let mut telemetry = linker.instance(TELEMETRY)?;
    telemetry.func_wrap("log", |context: Context<'_>, (level, text)| log(context, level, &text))?;
    telemetry.func_wrap("counter", |context: Context<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&context)?;
        let state = context.data();
        Ok((state.memory.metrics.handle(&name, &state.bounds),))
    })?;
    telemetry.func_wrap("add", |context: Context<'_>, (handle, by): (u32, u64)| {
        context.data().memory.metrics.add(handle, by);
        Ok(())
    })?;
    telemetry.func_wrap("observe", |context: Context<'_>, (handle, value): (u32, f64)| {
        context.data().memory.metrics.observe(handle, value);
        Ok(())
    })?;
    let mut store = linker.instance(STATE_STORE)?;
    store.func_wrap("get", |context: Context<'_>, (key,): (WasmStr,)| {
        let key = key.to_str(&context)?;
        Ok((context.data().memory.store.get(&key),))
    })?;
    // The limit on what a guest hands over in one call bounds key and value before they are taken over.
    store.func_wrap("put", |context: Context<'_>, (key, value): (String, Vec<u8>)| {
        Ok((context.data().memory.store.put(&key, value),))
    })?;
    store.func_wrap("delete", |context: Context<'_>, (key,): (WasmStr,)| {
        let key = key.to_str(&context)?;
        context.data().memory.store.delete(&key);
        Ok(())
    })?;
    linker.instance(SYMBOLS)?.func_wrap("text", |context: StoreContextMut<'_, HostState>, (symbol,): (u32,)| {
        Ok((context.data().symbols.text(symbol).unwrap_or_else(|| Arc::from("")),))
    })?;
    Ok(linker)
}

fn log(mut context: StoreContextMut<'_, HostState>, level: Level, text: &WasmStr) -> wasmtime::Result<()> {
    let state = context.data_mut();
    if !state.log.take() {
        state.counters.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    let text = text.to_str(&context)?;
    let state = context.data();
    let end = text.floor_char_boundary(state.log.line_bytes_max);
    // A guest must not be able to forge lines of the broker.
    let line: String = text[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let (policy, destination) = (&*state.policy, &*state.destination);
    let name = match level {
        Level::Debug => {
            tracing::debug!(policy, destination, "policy says: {line}");
            "debug"
        }
        Level::Info => {
            tracing::info!(policy, destination, "policy says: {line}");
            "info"
        }
        Level::Warn => {
            tracing::warn!(policy, destination, "policy says: {line}");
            "warn"
        }
        Level::Error => {
            tracing::error!(policy, destination, "policy says: {line}");
            "error"
        }
    };
    if !state.log_book.note(&state.policy, name, &state.destination, line) {
        state.counters.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
