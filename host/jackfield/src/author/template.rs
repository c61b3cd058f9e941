//! Folders to begin with: the example of each language under another name.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::author::build::WIT;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// What the examples are called.
const EXAMPLE: &str = "home-first";

/// A language with an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, with the SDK.
    Rust,
    /// Go, the usual compiler.
    Go,
    /// JavaScript.
    Js,
    /// Python.
    Python,
    /// C, without a library.
    C,
}

/// The files of an example: their names and what is in them.
type Files = &'static [(&'static str, &'static str)];

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../../../", $folder, "/", $name)))),+]
    };
}

const RUST: Files = files!("examples/policies/rust": "policy.toml", "Cargo.toml", "src/lib.rs");
const SDK: Files = files!("plugins/sdk": "src/lib.rs", "src/batch.rs", "src/glue.rs", "src/property.rs", "src/settings.rs", "src/turn.rs");
const GO: Files = files!("examples/policies/go": "policy.toml", "go.mod", "policy.go", "jackfield.go");
const JS: Files = files!("examples/policies/js": "policy.toml", "jackfield.toml", "package.json", "policy.js");
const PYTHON: Files = files!("examples/policies/python": "policy.toml", "jackfield.toml", "policy.py");
const C: Files = files!("examples/policies/c": "policy.toml", "policy.c", "jackfield_policy.h");

/// What the examples decide, for `test` to hold the policy to until its author has another one.
const GOLDEN: &str = include_str!("../../../../examples/policies/golden/home-first.recording");

/// The SDK's own manifest outside of this tree.
const SDK_MANIFEST: &str = "\
[package]
name = \"jackfield-policy\"
version = \"0.1.0\"
edition = \"2024\"
license = \"Apache-2.0\"
publish = false

[dependencies]
wit-bindgen = { version = \"=0.61.1\", default-features = false, features = [\"macros\", \"realloc\"] }
";

impl Language {
    fn files(self) -> Files {
        match self {
            Language::Rust => RUST,
            Language::Go => GO,
            Language::Js => JS,
            Language::Python => PYTHON,
            Language::C => C,
        }
    }
}

/// A name that all the languages take.
pub(super) fn name(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.len() > NAME_BYTES_MAX || !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.bytes().all(good) {
        let rule = "lower-case letters, digits and dashes, a letter first";
        return Err(format!("{rule}, at most {NAME_BYTES_MAX}"));
    }
    Ok(text.to_owned())
}

/// Makes the folder `into`/`name`.
pub(super) fn write(name: &str, language: Language, into: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = into.join(name);
    if folder.exists() {
        bail!("{} is there already; choose another name, or another folder by --into", folder.display());
    }
    for (file, text) in language.files() {
        let text = text.replace(EXAMPLE, name).replace(&EXAMPLE.replace('-', "_"), &name.replace('-', "_"));
        // What lies in this tree lies beside the policy there.
        let text = text.replace("../../../plugins/sdk", "sdk").replace("../../../wit", "wit");
        let text = text.replace("\"../golden\"", "\"golden\"");
        put(&folder, file, &text)?;
    }
    put(&folder, &format!("golden/{name}.recording"), GOLDEN)?;
    let wit = if language == Language::Rust { "sdk/wit" } else { "wit" };
    for (file, text) in WIT {
        put(&folder, &format!("{wit}/{file}"), text)?;
    }
    if language == Language::Rust {
        put(&folder, "sdk/Cargo.toml", SDK_MANIFEST)?;
        for (file, text) in SDK {
            put(&folder, &format!("sdk/{file}"), &text.replace("../../wit", "wit"))?;
        }
    }
    let here = folder.display();
    writeln!(out, "{here} is a policy; go on with")?;
    writeln!(out, "  jackfield plugin build {here}")?;
    writeln!(out, "  jackfield plugin test {here}")?;
    writeln!(out, "  jackfield plugin bench {here}")?;
    Ok(())
}

fn put(folder: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(file);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
