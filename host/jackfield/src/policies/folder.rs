//! A folder that is looked at while somebody works on a policy: a component that is new or changed there is deployed.
//!
//! `NAME.wasm` becomes the next generation of the plug-in `NAME`, with the settings of the generation that decides. What is
//! refused is logged, once for each change. It is polled: that works on every file system and costs nothing that counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use registry::{Digest, Listed, PolicyControl, Turned, Wish};

use super::Control;

/// Components that are looked after; further ones are left alone, and told.
const FILES_MAX: usize = 64;

/// How a file looked: it is read when it has looked the same twice, so that nobody reads half of one.
type Look = (SystemTime, u64);

/// What is known of the folder.
struct Watch {
    folder: PathBuf,
    bytes_max: u64,
    /// How each file looked last, and whether that was dealt with.
    files: BTreeMap<PathBuf, (Look, bool)>,
    /// What is wrong with the folder itself, so that it is told once.
    trouble: String,
}

/// Looks at the folder each `interval` on a thread of its own, as long as the broker runs.
pub(crate) fn watch(
    folder: &Path,
    interval: Duration,
    component_bytes_max: usize,
    control: &Arc<Control>,
) -> std::io::Result<()> {
    let mut watch = Watch {
        folder: folder.to_owned(),
        bytes_max: component_bytes_max as u64,
        files: BTreeMap::new(),
        trouble: String::new(),
    };
    let control: Weak<Control> = Arc::downgrade(control);
    tracing::info!(folder = %folder.display(), "components are deployed from this folder as they change; for development");
    std::thread::Builder::new().name("policy-folder".into()).spawn(move || {
        while let Some(control) = control.upgrade() {
            watch.look(&*control);
            drop(control);
            std::thread::sleep(interval);
        }
    })?;
    Ok(())
}

impl Watch {
    fn look(&mut self, control: &dyn PolicyControl) {
        match self.found() {
            Ok(found) => {
                self.trouble.clear();
                self.files.retain(|file, _| found.contains_key(file));
                for (file, look) in found {
                    let known = self.files.get(&file).copied();
                    let is_ripe = known == Some((look, false));
                    if is_ripe {
                        deploy(&file, look.1, self.bytes_max, control);
                    }
                    let is_done = is_ripe || known == Some((look, true));
                    self.files.insert(file, (look, is_done));
                }
            }
            Err(trouble) if trouble != self.trouble => {
                tracing::error!(folder = %self.folder.display(), "the folder of plugins.watch cannot be looked at: {trouble}");
                self.trouble = trouble;
            }
            Err(_) => {}
        }
    }

    /// The components in the folder, and how they look.
    fn found(&self) -> Result<BTreeMap<PathBuf, Look>, String> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            // A link is followed: what a compiler writes is often elsewhere.
            let Ok(facts) = std::fs::metadata(&path) else { continue };
            if facts.is_file() && path.extension().is_some_and(|suffix| suffix == "wasm") {
                found.insert(path, (facts.modified().unwrap_or(SystemTime::UNIX_EPOCH), facts.len()));
            }
        }
        if found.len() > FILES_MAX {
            return Err(format!("it has {} components, and {FILES_MAX} are looked after; take some out", found.len()));
        }
        Ok(found)
    }
}

fn deploy(file: &Path, length: u64, bytes_max: u64, control: &dyn PolicyControl) {
    let Some(name) = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { return };
    let (path, file) = (file, file.display());
    if length > bytes_max {
        tracing::error!("{file} has {length} bytes, and plugins.component_limit is {bytes_max}; it is not deployed");
        return;
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return tracing::error!("{file} cannot be read: {error}"),
    };
    let active = control.list().into_iter().find(|listed| listed.name == name).and_then(active);
    if active.as_ref().is_some_and(|(digest, _)| *digest == Digest::of(&bytes).to_string()) {
        return;
    }
    let settings = active.map(|(_, settings)| settings).unwrap_or_default();
    let wish = Wish {
        name: name.clone(),
        bytes: bytes.into(),
        settings,
        shadow: false,
        start_empty: false,
        grants: Vec::new(),
    };
    match control.deploy(wish) {
        Ok(Turned { generation, remarks }) => {
            tracing::info!(policy = name, generation, ?remarks, "{file} has changed and is deployed");
        }
        Err(error) => tracing::error!(policy = name, "{file} is not deployed: {error}"),
    }
}

/// Digest and settings of the generation that decides.
fn active(listed: Listed) -> Option<(String, Vec<(String, String)>)> {
    let number = listed.active?;
    let generation = listed.generations.into_iter().find(|generation| generation.number == number)?;
    Some((generation.digest, generation.settings))
}
