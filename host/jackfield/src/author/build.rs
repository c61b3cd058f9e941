//! From sources to a component.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use plugin_wasmtime::{Limits, inspect};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap, WorldId};

use crate::author::folder;

/// The WIT package: what policies import and export.
pub(super) const WIT: [(&str, &str); 7] = [
    ("policy.wit", include_str!("../../../../wit/policy.wit")),
    ("queue.wit", include_str!("../../../../wit/queue.wit")),
    ("topic.wit", include_str!("../../../../wit/topic.wit")),
    ("group.wit", include_str!("../../../../wit/group.wit")),
    ("routing.wit", include_str!("../../../../wit/routing.wit")),
    ("network.wit", include_str!("../../../../wit/network.wit")),
    ("auth.wit", include_str!("../../../../wit/auth.wit")),
];

/// Custom section in which a module says which world it is written for.
const WORLD_SECTION: &str = "component-type";
/// What runtimes of languages import although a policy has nothing of the kind.
const PREVIEW1: &str = "wasi_snapshot_preview1";

pub(super) fn run(folder: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let policy = folder::read(folder)?;
    writeln!(out, "{}", policy.build)?;
    out.flush()?;
    let status = Command::new("sh").arg("-c").arg(&policy.build).current_dir(folder).status();
    let status = status.context("cannot run sh")?;
    if !status.success() {
        bail!("`{}` in {} failed: {status}", policy.build, folder.display());
    }
    let module = folder.join(&policy.module);
    let bytes = std::fs::read(&module)
        .with_context(|| format!("the build did not make {}; see module in {}", module.display(), folder::FILE))?;
    let component =
        component(bytes, &policy.world).with_context(|| format!("{} becomes no component", module.display()))?;
    let file = folder.join(&policy.component);
    std::fs::write(&file, &component).with_context(|| format!("cannot write {}", file.display()))?;
    let found = inspect(&component, &Limits::largest())?;
    if !found.forbidden.is_empty() {
        bail!("{} asks for what no policy is given: {}", file.display(), found.forbidden.join(", "));
    }
    match found.world {
        Ok(world) => writeln!(out, "{}: {} bytes, world {world}", file.display(), component.len())?,
        Err(reason) => bail!("{} is no policy: {reason}", file.display()),
    }
    Ok(())
}

/// Makes a component of a core module; a component stays as it is.
fn component(bytes: Vec<u8>, world: &str) -> anyhow::Result<Vec<u8>> {
    if is_component(&bytes) {
        return Ok(bytes);
    }
    let mut module = bytes;
    if !has_world(&module)? {
        let mut resolve = Resolve::default();
        let world = select(&mut resolve, world)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    }
    let encoder = ComponentEncoder::default().validate(true).module(&module)?;
    encoder.adapter(PREVIEW1, &nothing()?)?.encode()
}

/// The world of this name in the WIT package.
fn select(resolve: &mut Resolve, world: &str) -> anyhow::Result<WorldId> {
    let mut sources = SourceMap::new();
    for (name, text) in WIT {
        sources.push_str(name, text);
    }
    let group = sources.parse().map_err(|(_, error)| anyhow::anyhow!("the WIT package: {error}"))?;
    let package = resolve.push_group(group)?;
    resolve.select_world(&[package], Some(world)).with_context(|| format!("world {world} is none of the WIT package"))
}

fn is_component(bytes: &[u8]) -> bool {
    // Magic, then version 13 in layer 1.
    bytes.get(4..8) == Some(&[0x0d, 0, 1, 0])
}

fn has_world(module: &[u8]) -> anyhow::Result<bool> {
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        if let wasmparser::Payload::CustomSection(section) = payload?
            && section.name().starts_with(WORLD_SECTION)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a language's runtime finds in place of a system: a clock that stands still, no chance, no arguments, no files,
/// and an output that nobody reads. So the same calls give the same answers.
fn nothing() -> anyhow::Result<Vec<u8>> {
    let mut module = wat::parse_str(include_str!("nothing.wat")).context("the stand-in for WASI")?;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("nothing.wit", "package jackfield:nothing; world nothing {}")?;
    let world = resolve.select_world(&[package], None)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that asks WASI for the time and hands it on.
    #[test]
    fn a_runtime_finds_nothing_in_place_of_a_system() {
        nothing().expect("the stand-in is a module");
    }
}
