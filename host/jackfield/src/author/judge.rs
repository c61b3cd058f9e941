//! The contract, and the limits that a component is judged by.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use plugin_wasmtime::kit::{Outcome, contract};
use plugin_wasmtime::{CachePlace, Limits};

use crate::author::{Bounds, Judged, folder, replay};
use crate::config_file;
use crate::policies::with_remedy;

/// Bytes of what is compiled for one command.
const CACHE_BYTES_MAX: u64 = 2 << 30;

/// Limits, and whose they are.
pub(super) struct Bounded {
    pub(super) limits: Limits,
    pub(super) whose: String,
}

/// The limits that a policy is judged by.
pub(super) fn limits(policy: &Path, bounds: &Bounds) -> anyhow::Result<Bounded> {
    let own = folder::of(policy).join(config_file::FILE_BY_HABIT);
    let file = bounds.config.clone().or_else(|| own.exists().then_some(own));
    let (mut limits, whose) = match &file {
        None => (Limits::default(), "a broker's default limits".to_owned()),
        Some(file) => match config_file::load(Some(file)) {
            Ok(found) => (found.config.policy, format!("the limits of {}", file.display())),
            Err(_) => bail!("the configuration cannot be read; name another one with --config"),
        },
    };
    if let Some(memory) = bounds.memory {
        limits.memory_bytes_max = (memory as usize) << 20;
    }
    Ok(Bounded { limits, whose })
}

/// A cache for one command: a component is compiled once, however often it is run.
pub(super) fn cache() -> anyhow::Result<(tempfile::TempDir, CachePlace)> {
    let home = tempfile::tempdir().context("cannot make a folder for what is compiled")?;
    let place = CachePlace { folder: home.path().to_owned(), bytes_max: CACHE_BYTES_MAX };
    Ok((home, place))
}

/// Prints each check and its outcome; an error if one is broken.
pub(super) fn test(judged: &Judged, out: &mut impl Write) -> anyhow::Result<()> {
    let (file, bytes) = folder::component(&judged.policy)?;
    let Bounded { limits, whose } = limits(&judged.policy, &judged.limits)?;
    writeln!(out, "{}, by {whose}", file.display())?;
    out.flush()?;
    let (_home, cache) = cache()?;
    let mut findings = contract(&bytes, &judged.settings, &limits, Some(&cache))?;
    // What a broker does not take decides nothing.
    if findings.len() > 1 {
        findings.extend(replay::kept(judged, &bytes, &limits, &cache)?);
    }
    let mut broken = 0;
    for finding in &findings {
        let (word, text) = match &finding.outcome {
            Outcome::Kept(text) => ("ok", text),
            Outcome::NotAsked(text) => ("--", text),
            Outcome::Broken(text) => ("NO", &with_remedy(text)),
        };
        broken += usize::from(word == "NO");
        writeln!(out, "{word}  {}: {text}", finding.check)?;
    }
    if broken > 0 {
        bail!("{broken} of {} checks are not kept", findings.len());
    }
    Ok(())
}
