//! Recordings: put to a component, and made without a broker.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use plugin_wasmtime::kit::{Difference, Finding, Outcome, Replay, golden, replay};
use plugin_wasmtime::{CachePlace, Limits, Recording, RecordingError};

use crate::author::{Golden, Judged, Replayed, folder, judge};
use crate::policies::with_remedy;
use crate::table::{moment, section};

/// How the names of recordings end.
const SUFFIX: &str = "recording";

/// Plays a recording; an error if anything is decided otherwise.
pub(super) fn play(args: &Replayed, out: &mut impl Write) -> anyhow::Result<()> {
    let Replayed { recording: file, policy, settings, json, limits } = args;
    let recording = read(file)?;
    let (component, bytes) = folder::component(policy)?;
    let limits = judge::limits(policy, limits)?.limits;
    let settings = Some(settings.as_slice()).filter(|settings| !settings.is_empty());
    let found = replay(&recording, &bytes, settings, &limits, None).map_err(failed)?;
    let is_equal = found.is_equal(&recording);
    if *json {
        let told = serde_json::json!({
            "recording": file, "component": component, "equal": is_equal, "batches_recorded": recording.steps.len(),
            "messages_recorded": recording.rows(), "found": found,
        });
        writeln!(out, "{told:#}")?;
    } else {
        write!(out, "{}", show(file, &component, &recording, &found))?;
    }
    if !is_equal {
        bail!("{} does not decide as {} says", component.display(), file.display());
    }
    Ok(())
}

/// Plays the recordings of a policy's folder: a finding for each.
pub(super) fn kept(judged: &Judged, bytes: &[u8], limits: &Limits, cache: &CachePlace) -> anyhow::Result<Vec<Finding>> {
    let mut kept = Vec::new();
    for file in folder::recordings(&judged.policy)? {
        let recording = read(&file)?;
        let outcome = match replay(&recording, bytes, None, limits, Some(cache)) {
            Err(error) => Outcome::Broken(with_remedy(&error)),
            Ok(found) if found.is_equal(&recording) => {
                Outcome::Kept(format!("{} batches, {} rows", found.batches, found.rows))
            }
            Ok(found) => {
                let why = found.first.map(|first| in_short(&first)).or(found.ended).unwrap_or_default();
                let again = "if that is meant, make the recording anew with `jackfield plugin golden`";
                Outcome::Broken(format!("{why}; `jackfield plugin replay {}` tells more; {again}", file.display()))
            }
        };
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        kept.push(Finding { check: format!("it decides as {name} says").into(), outcome });
    }
    Ok(kept)
}

/// Makes a recording of random traffic.
pub(super) fn make(args: &Golden, out: &mut impl Write) -> anyhow::Result<()> {
    let Golden { judged, seed, batches, out: file } = args;
    let (component, bytes) = folder::component(&judged.policy)?;
    let limits = judge::limits(&judged.policy, &judged.limits)?.limits;
    let name = component.file_stem().map_or_else(|| "policy".into(), |stem| stem.to_string_lossy());
    let mut recording = golden(&name, &bytes, &judged.settings, &limits, *seed, *batches).map_err(failed)?;
    recording.head.component = registry::Digest::of(&bytes).to_string();
    let file = match file {
        Some(file) => file.clone(),
        None => folder::recordings_folder(&judged.policy)?.join(format!("{name}.{SUFFIX}")),
    };
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    std::fs::write(&file, recording.write()).with_context(|| format!("cannot write {}", file.display()))?;
    let place = file.display();
    writeln!(out, "{place}: {} batches of {} messages, seed {seed}", recording.steps.len(), recording.rows())?;
    Ok(())
}

/// The recordings in a folder, by name.
pub(super) fn in_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot look into {}", folder.display()))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut files = files.with_context(|| format!("cannot look into {}", folder.display()))?;
    files.retain(|file| file.extension().is_some_and(|suffix| suffix == SUFFIX));
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> anyhow::Result<Recording> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}; make one with `jackfield plugin record`", file.display()))?;
    Recording::read(&text).with_context(|| file.display().to_string())
}

fn failed(error: RecordingError) -> anyhow::Error {
    anyhow::anyhow!(with_remedy(&error))
}

fn show(file: &Path, component: &Path, recording: &Recording, found: &Replay) -> String {
    let head = &recording.head;
    let mut text = format!(
        "{}: {} on {}, {} batches of {} messages\n{}: {} batches decided alike, {} otherwise; {} of {} messages alike\n",
        file.display(),
        head.policy,
        head.destination,
        recording.steps.len(),
        recording.rows(),
        component.display(),
        found.batches_equal,
        found.batches - found.batches_equal,
        found.rows_equal,
        found.rows,
    );
    if found.corrected > 0 {
        text += &format!("a broker would correct {} of its answers\n", found.corrected);
    }
    if let (Some(start), true) = (&found.start, found.first.is_some()) {
        text += &format!("it did not start from where the recording did: {start}\n");
    }
    if let Some(ended) = &found.ended {
        text += &format!("{ended}\n");
    }
    if let Some(first) = &found.first {
        text += &explained(first);
    }
    text
}

fn in_short(first: &Difference) -> String {
    let Difference { batch, row, recorded, replayed, .. } = first;
    match row {
        0 => format!("batch {batch} has {replayed} where {recorded} is recorded"),
        row => format!("message {row} of batch {batch}: {replayed} where {recorded} is recorded"),
    }
}

/// The first difference with all that the message was decided by.
fn explained(first: &Difference) -> String {
    let Difference { batch, row, rows, now_ms, recorded, replayed, message, consumers, consumers_all } = first;
    let at = moment(i64::try_from(*now_ms).unwrap_or(i64::MAX));
    let which = if *row == 0 { format!("its {rows} messages") } else { format!("message {row} of {rows}") };
    let mut text = format!("\nthe first difference: batch {batch} at {at}, {which}\n");
    text += &format!("  recorded: {recorded}\n  replayed: {replayed}\n");
    text += &section(["column", "value"], message.iter().map(|(name, value)| vec![name.clone(), value.clone()]));
    text += &section(
        ["slot", "client id", "priority", "credit", "used before", "in flight", "may take it"],
        consumers.iter().map(|consumer| {
            vec![
                consumer.slot.to_string(),
                consumer.client_id.clone(),
                consumer.priority.to_string(),
                consumer.credit.to_string(),
                consumer.used.to_string(),
                consumer.in_flight.to_string(),
                if consumer.may_take { "yes" } else { "no" }.to_owned(),
            ]
        }),
    );
    if consumers.len() < *consumers_all {
        text += &format!("and {} consumers more\n", consumers_all - consumers.len());
    }
    text
}
