//! The Rust libraries of policies, as they lie beside a policy outside of this tree.

use std::path::Path;

use crate::author::template::{Files, files, put};

/// The library of queue policies.
const QUEUE: Files = files!("plugins/sdk": "src/lib.rs", "src/batch.rs", "src/glue.rs", "src/property.rs", "src/settings.rs", "src/turn.rs");
/// Its manifest.
const QUEUE_MANIFEST: &str = "\
[package]
name = \"jackfield-policy\"
version = \"0.1.0\"
edition = \"2024\"
license = \"Apache-2.0\"
publish = false

[dependencies]
wit-bindgen = { version = \"=0.61.1\", default-features = false, features = [\"macros\", \"realloc\"] }
";

/// The libraries of the other worlds, and what they share with the broker; `build.rs` lists them.
const OTHERS: Files = include!(concat!(env!("OUT_DIR"), "/sdk_sources.rs"));
/// Folders of [`OTHERS`] that each of these libraries needs.
const SHARED: [&str; 3] = ["host/", "shared/", "WORLD/"];
/// The manifest of the folder that they are in.
const OTHERS_MANIFEST: &str = "\
[workspace]
resolver = \"3\"
members = [\"WORLD\"]

[workspace.package]
version = \"0.1.0\"
edition = \"2024\"
rust-version = \"1.95\"
license = \"Apache-2.0\"
publish = false

[workspace.dependencies]
bytestring = \"1.5\"
plugin = { path = \"host/plugin\" }
selector = { path = \"host/selector\" }
thiserror = \"2\"
wit-bindgen = { version = \"=0.61.1\", default-features = false, features = [\"macros\", \"realloc\"] }

[workspace.lints.rust]
missing_docs = \"warn\"
";

/// Puts the library of queue policies into a policy's folder.
pub(super) fn write_queue(folder: &Path) -> anyhow::Result<()> {
    put(folder, "sdk/Cargo.toml", QUEUE_MANIFEST)?;
    for (file, text) in QUEUE {
        put(folder, &format!("sdk/{file}"), &text.replace("../../wit", "wit"))?;
    }
    Ok(())
}

/// Puts the library of another world there.
pub(super) fn write(folder: &Path, world: &str) -> anyhow::Result<()> {
    put(folder, "sdk/Cargo.toml", &OTHERS_MANIFEST.replace("WORLD", world))?;
    let needed = SHARED.map(|part| part.replace("WORLD", world));
    for (file, text) in OTHERS.iter().filter(|(file, _)| needed.iter().any(|part| file.starts_with(part))) {
        put(folder, &format!("sdk/{file}"), &text.replace("../../../wit", "../wit"))?;
    }
    Ok(())
}
