//! What a policy costs: nanoseconds a message, native against WebAssembly, by rows of a batch.
//!
//! `cargo run --release -p plugin-wasmtime --example cost`

use std::io::{self, Write};
use std::time::{Duration, Instant};

use plugin::{ConsumerRow, Decided, DispatchBatch, PlanCheck, PolicyHost, QueueDispatch, native};
use plugin_wasmtime::{Limits, WasmHost, stock};

const ROWS: [usize; 4] = [1, 8, 32, 128];
const RUN: Duration = Duration::from_millis(150);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    let begin = Instant::now();
    // Ample time, so that a busy machine does not hand batches to the native twin: its cost is not the policy's.
    let host = WasmHost::new(Limits { call_ms_max: 10_000, ..Limits::default() })?;
    writeln!(out, "start of the host: {:?}", begin.elapsed())?;
    for stock in stock() {
        let begin = Instant::now();
        host.prepare(stock.name)?;
        writeln!(out, "compile {} ({} bytes): {:?}", stock.name, stock.bytes.len(), begin.elapsed())?;
    }
    writeln!(out, "\nnanoseconds a message at 1 / 8 / 32 / 128 rows, best of 5 runs; credit is ample")?;
    for consumers in [4, 64] {
        for stock in stock() {
            let mut twin = native::twin(stock.name);
            row(&mut out, &format!("native {} {consumers} consumers", stock.name), &mut *twin, consumers, false)?;
            let mut policy = host.queue_dispatch(stock.name, "orders")?;
            row(&mut out, &format!("wasm   {} {consumers} consumers", stock.name), &mut *policy, consumers, false)?;
            let mut policy = host.queue_dispatch(stock.name, "orders")?;
            row(&mut out, &format!("wasm   {} {consumers} + selectors", stock.name), &mut *policy, consumers, true)?;
        }
    }
    writeln!(out, "\nfirst plan of a destination (an instance is made), mean of 200:")?;
    let table = table(4);
    for stock in stock() {
        let mut policies = Vec::new();
        for at in 0..200 {
            policies.push(host.queue_dispatch(stock.name, &format!("queue-{at}"))?);
        }
        let begin = Instant::now();
        for policy in &mut policies {
            let decided = policy.plan(&DispatchBatch::new(0, 1, &table), &mut Vec::new());
            assert_eq!(decided, Decided::Policy, "the fall-back must not be measured in its place");
        }
        writeln!(out, "{}: {:?}", stock.name, begin.elapsed() / 200)?;
    }
    Ok(())
}

fn table(consumers: u32) -> Vec<ConsumerRow> {
    (0..consumers).map(|slot| ConsumerRow { slot, credit: 1_000, in_flight: slot % 7, priority: 0 }).collect()
}

/// Measures plan and check together, as the core pays them.
fn row(
    out: &mut impl Write,
    name: &str,
    policy: &mut dyn QueueDispatch,
    consumers: u32,
    selectors: bool,
) -> io::Result<()> {
    let table = table(consumers);
    write!(out, "{name:44}")?;
    for rows in ROWS {
        let candidates = if selectors { vec![u64::MAX; rows * table.len().div_ceil(64)] } else { vec![] };
        let batch = DispatchBatch { candidates: &candidates, ..DispatchBatch::new(1, rows, &table) };
        let (mut check, mut plan) = (PlanCheck::new(), Vec::new());
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let (begin, mut batches) = (Instant::now(), 0_u32);
            while begin.elapsed() < RUN / 5 {
                for _ in 0..64 {
                    let decided = policy.plan(&batch, &mut plan);
                    assert_eq!(decided, Decided::Policy, "the fall-back must not be measured in its place");
                    check.correct(&batch, &mut plan);
                    batches += 1;
                }
            }
            best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(batches) / rows as f64);
        }
        write!(out, "{best:10.1}")?;
    }
    writeln!(out)
}
