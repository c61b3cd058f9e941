//! A policy's folder: its policy.toml.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// Name of the file.
pub(super) const FILE: &str = "policy.toml";

/// How a policy is built.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// The world that it implements, such as `queue-policy`.
    pub(super) world: String,
    /// The command that builds it, run by `sh -c` in the folder.
    pub(super) build: String,
    /// What the command builds, from the folder: a core module or a component.
    pub(super) module: PathBuf,
    /// The component that is made of it.
    pub(super) component: PathBuf,
}

/// Reads the policy.toml of a folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Policy> {
    let file = folder.join(FILE);
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("cannot read {}; name a policy's folder, or make one with `jackfield plugin new`", file.display())
    })?;
    toml::from_str(&text).with_context(|| format!("{} is not as it should be", file.display()))
}

/// The component of a path that names it or its folder.
pub(super) fn component(path: &Path) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    let file = if path.is_dir() { path.join(read(path)?.component) } else { path.to_owned() };
    let bytes = std::fs::read(&file)
        .with_context(|| format!("cannot read {}; build it with `jackfield plugin build`", file.display()))?;
    Ok((file, bytes))
}
