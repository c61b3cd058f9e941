//! `jackfield plugin inspect`: what a component is, and whether a broker would take it.

use std::io::Write;

use anyhow::{Context, anyhow, bail};
use plugin_wasmtime::{Limits, WasmHost};
use registry::Digest;

use crate::cli::Inspect;
use crate::policies::with_remedy;

/// Tells what a component is and asks for.
pub(crate) fn inspect(args: &Inspect, out: &mut impl Write) -> anyhow::Result<()> {
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let limits = Limits::default();
    writeln!(out, "file       {}", args.file.display())?;
    writeln!(out, "digest     sha256:{}", Digest::of(&bytes))?;
    writeln!(out, "bytes      {} of at most {}", bytes.len(), limits.component_bytes_max)?;
    let found = plugin_wasmtime::inspect(&bytes, &limits).map_err(|error| anyhow!(with_remedy(&error)))?;
    writeln!(out, "functions  {} of at most {}", found.functions, limits.functions_max)?;
    list(out, "imports", &found.imports)?;
    list(out, "exports", &found.exports)?;
    match &found.world {
        Ok(world) => writeln!(out, "world      {world}")?,
        Err(reason) => writeln!(out, "world      none: {reason}")?,
    }
    if !found.forbidden.is_empty() {
        bail!("it asks for what no policy is given: {}; build it without them", found.forbidden.join(", "));
    }
    let host = WasmHost::new(limits)?;
    let prepared = host.prepare_generation("inspected", 1, bytes, &args.settings);
    let prepared = prepared.map_err(|error| anyhow!(with_remedy(&error)))?;
    let (columns, rows) = prepared.wants();
    let (format, restores) = prepared.states();
    let names: Vec<String> = columns.iter().map(u32::to_string).collect();
    writeln!(out, "columns    {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") })?;
    writeln!(out, "rows       at most {rows} a call")?;
    match format {
        0 => writeln!(out, "state      none")?,
        _ => writeln!(out, "state      written in format {format}, read in {restores:?}")?,
    }
    writeln!(out, "a broker takes it with these settings")?;
    Ok(())
}

fn list(out: &mut impl Write, name: &str, entries: &[String]) -> std::io::Result<()> {
    if entries.is_empty() {
        return writeln!(out, "{name:10} none");
    }
    for (at, entry) in entries.iter().enumerate() {
        writeln!(out, "{:10} {entry}", if at == 0 { name } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(bytes: &[u8], settings: &[(&str, &str)]) -> (String, Option<String>) {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("policy.wasm");
        std::fs::write(&file, bytes).expect("a file");
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut out = Vec::new();
        let outcome = super::inspect(&Inspect { file, settings }, &mut out);
        (String::from_utf8(out).expect("text"), outcome.err().map(|error| format!("{error:#}")))
    }

    #[test]
    fn a_component_is_told_as_a_broker_would_see_it() {
        let stock = plugin_wasmtime::stock().iter().find(|stock| stock.name == "round-robin").expect("it is there");
        let (text, error) = inspected(stock.bytes, &[]);
        assert_eq!(error, None);
        let format = plugin::state_format("round-robin", 1);
        let state = format!("state      written in format {format}, read in [{format}]");
        for line in ["world      queue-policy", &state, "rows       at most 256"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let digest = format!("sha256:{}", Digest::of(stock.bytes));
        assert!(text.contains(&digest) && text.contains("jackfield:policy/lifecycle@0.1.0"), "{text}");
        let (_, error) = inspected(stock.bytes, &[("colour", "red")]);
        assert!(error.expect("it takes no settings").contains("colour"));
    }

    #[test]
    fn what_no_broker_takes_is_told_with_the_reason() {
        let wasi = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#;
        let (text, error) = inspected(&wat::parse_str(wasi).expect("a component"), &[]);
        assert!(text.contains("imports    wasi:clocks/monotonic-clock@0.2.0"), "{text}");
        assert!(error.expect("it asks for too much").contains("build it without them"));
        let (text, error) = inspected(b"no component", &[]);
        assert!(text.contains("bytes      12"), "{text}");
        assert!(error.expect("it is none").contains("not a WebAssembly component"));
    }
}
