//! A policy's folder: its policy.toml.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::author::replay::in_folder;

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
    /// The folder of recordings that `test` plays.
    #[serde(default = "golden")]
    pub(super) golden: PathBuf,
}

fn golden() -> PathBuf {
    PathBuf::from("golden")
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

/// The policy's folder: the one that is named, or the one that a component is in.
pub(super) fn of(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.to_owned(),
        false => path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned(),
    }
}

/// Where a policy's recordings are.
pub(super) fn recordings_folder(path: &Path) -> anyhow::Result<PathBuf> {
    let folder = of(path);
    match folder.join(FILE).exists() {
        true => Ok(folder.join(read(&folder)?.golden)),
        false => Ok(folder.join(golden())),
    }
}

/// The recordings that a policy's folder has, by name; none for a component alone.
pub(super) fn recordings(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    match path.is_dir() {
        true => in_folder(&recordings_folder(path)?),
        false => Ok(Vec::new()),
    }
}
