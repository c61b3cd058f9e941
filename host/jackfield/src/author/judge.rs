//! The contract and the cost of a component.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, bail};
use plugin::{PolicyHost, native};
use plugin_wasmtime::kit::{COST_ROWS, Cost, Outcome, contract, cost};
use plugin_wasmtime::{Limits, WasmHost};

use crate::author::{Judged, folder};

/// Consumers of the tables that costs are measured with.
const CONSUMERS: [u32; 3] = [1, 8, 64];
/// Time of a call while it is measured: a busy machine must not hand it to the native policy.
const CALL_MS: u64 = 10_000;

fn limits(judged: &Judged) -> Limits {
    Limits { memory_bytes_max: (judged.memory as usize) << 20, ..Limits::largest() }
}

/// Prints each check and its outcome; an error if one is broken.
pub(super) fn test(judged: &Judged, out: &mut impl Write) -> anyhow::Result<()> {
    let (file, bytes) = folder::component(&judged.policy)?;
    writeln!(out, "{}", file.display())?;
    out.flush()?;
    let findings = contract(&bytes, &judged.settings, &limits(judged))?;
    let mut broken = 0;
    for finding in &findings {
        let (word, text) = match &finding.outcome {
            Outcome::Kept(text) => ("ok", text),
            Outcome::NotAsked(text) => ("--", text),
            Outcome::Broken(text) => ("NO", text),
        };
        broken += usize::from(word == "NO");
        writeln!(out, "{word}  {}: {text}", finding.check)?;
    }
    if broken > 0 {
        bail!("{broken} of {} checks are not kept", findings.len());
    }
    Ok(())
}

/// Prints what the component costs beside a native policy.
pub(super) fn bench(judged: &Judged, beside: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let (file, bytes) = folder::component(&judged.policy)?;
    let twin = native::check("--beside", beside, &[])?;
    let host = WasmHost::new(Limits { call_ms_max: CALL_MS, ..limits(judged) })?;
    let size = bytes.len();
    host.add("measured", bytes, &judged.settings)?;
    let begin = Instant::now();
    host.prepare("measured")?;
    writeln!(out, "{}: {size} bytes, compiled in {} ms", file.display(), begin.elapsed().as_millis())?;
    writeln!(out, "nanoseconds a message at {COST_ROWS:?} messages a call, the best of several runs:")?;
    for consumers in CONSUMERS {
        let mut policy = host.queue_dispatch("measured", "orders")?;
        let measured = cost(&mut *policy, consumers, false).context("it failed while it was measured; see `test`")?;
        let mut twin = twin.make(&[]).map_err(|_| anyhow::anyhow!("{beside} needs settings"))?;
        let native = cost(&mut *twin, consumers, false).context("the native policy failed")?;
        line(out, &format!("this one, {consumers} consumers"), measured)?;
        line(out, &format!("native {beside}, {consumers} consumers"), native)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, name: &str, cost: Cost) -> std::io::Result<()> {
    write!(out, "{name:40}")?;
    for each in cost {
        write!(out, "{each:10.1}")?;
    }
    writeln!(out)
}
