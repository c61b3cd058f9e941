//! `jackfield plugin record`: what a running broker's policy is asked and answers, into a file.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use plugin_wasmtime::Recording;
use registry::Recorded;

use crate::admin_client::{AdminClient, Query, escaped};
use crate::cli::Record;

/// How long is recorded where nobody says.
const TIME: Duration = Duration::from_secs(30);
/// How often the broker is asked how the recording stands.
const POLL: Duration = Duration::from_millis(100);

/// Records until there is enough, then writes the file.
pub(crate) fn record(args: &Record, out: &mut impl Write) -> anyhow::Result<()> {
    let Record { what, time, batches, out: file, json, reach } = args;
    // Whoever mistyped the file's name is to know before the time is over.
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        bail!("{} is no folder; make it, or name another file with --out", folder.display());
    }
    let time = time.or_else(|| batches.is_none().then_some(TIME));
    let mut wish = Query::default();
    if let Some(time) = time {
        wish = wish.with("ms", &time.as_millis().to_string());
    }
    if let Some(batches) = batches {
        wish = wish.with("batches", &batches.to_string());
    }
    let broker = AdminClient::new(reach)?;
    let begun: Recorded = broker.ask("POST", &format!("/api/v1/recordings/{}{wish}", escaped(what)), &[])?;
    let path = format!("/api/v1/recordings/{}", escaped(&begun.queue));
    let until = time.map(|time| Instant::now() + time);
    while until.is_none_or(|until| Instant::now() < until) {
        thread::sleep(POLL.min(time.unwrap_or(POLL)));
        let stands: Recorded = broker.get(&path)?;
        if stands.is_over {
            break;
        }
    }
    let bytes = broker.bytes("DELETE", &path)?;
    let text = String::from_utf8(bytes).context("the answer is no text; is it the same version?")?;
    let recording = Recording::read(&text).context("the answer cannot be read; is it the same version?")?;
    std::fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    let head = &recording.head;
    let (batches, rows) = (recording.steps.len(), recording.rows());
    if *json {
        let told = serde_json::json!({
            "file": file, "queue": head.destination, "policy": head.policy, "generation": head.generation,
            "batches": batches, "messages": rows, "batches_native": head.batches_native, "ended": head.ended,
        });
        writeln!(out, "{told:#}")?;
        return Ok(());
    }
    let place = file.display();
    write!(out, "{place}: {batches} batches of {rows} messages, {} on {}", head.policy, head.destination)?;
    match head.generation {
        0 => writeln!(out)?,
        generation => writeln!(out, " in generation {generation}")?,
    }
    if head.batches_native > 0 {
        writeln!(out, "{} more batches were decided natively and are not in it", head.batches_native)?;
    }
    if !head.ended.is_empty() {
        writeln!(out, "it ended early: {}", head.ended)?;
    }
    Ok(())
}
