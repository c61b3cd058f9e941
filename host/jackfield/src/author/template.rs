//! Folders to begin with: the examples under another name. There is one in each language for queues, and one in Rust for
//! each other world.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::author::build::WIT;
use crate::author::sdk;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;

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

/// What a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum World {
    /// Which consumer gets which message of a queue.
    Queue,
    /// Which subscriptions get a message of a topic.
    Topic,
    /// Which consumer owns a message group.
    Group,
    /// Where a message goes that is sent.
    Routing,
    /// What crosses to another broker.
    Network,
    /// Who comes in, and what they may do.
    Auth,
}

/// The files of an example: their names and what is in them.
pub(super) type Files = &'static [(&'static str, &'static str)];

/// An example.
struct Example {
    /// What it is called.
    name: &'static str,
    files: Files,
}

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../../../", $folder, "/", $name)))),+]
    };
}
pub(super) use files;

const RUST: Files = files!("examples/policies/rust": "policy.toml", "Cargo.toml", "src/lib.rs");
const TOPIC: Files = files!("examples/policies/topic": "policy.toml", "Cargo.toml", "src/lib.rs");
const GROUP: Files = files!("examples/policies/group": "policy.toml", "Cargo.toml", "src/lib.rs");
const ROUTING: Files = files!("examples/policies/routing": "policy.toml", "Cargo.toml", "src/lib.rs");
const NETWORK: Files = files!("examples/policies/network": "policy.toml", "Cargo.toml", "src/lib.rs");
const AUTH: Files = files!("examples/policies/auth": "policy.toml", "Cargo.toml", "src/lib.rs");
const GO: Files = files!("examples/policies/go": "policy.toml", "go.mod", "policy.go", "jackfield.go");
const JS: Files = files!("examples/policies/js": "policy.toml", "jackfield.toml", "package.json", "policy.js");
const PYTHON: Files = files!("examples/policies/python": "policy.toml", "jackfield.toml", "policy.py");
const C: Files = files!("examples/policies/c": "policy.toml", "policy.c", "jackfield_policy.h");

/// What the examples decide, for `test` to hold the policy to until its author has another one.
const GOLDEN: &str = include_str!("../../../../examples/policies/golden/home-first.recording");

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

impl World {
    /// The word for it on the command line.
    fn word(self) -> &'static str {
        match self {
            World::Queue => "queue",
            World::Topic => "topic",
            World::Group => "group",
            World::Routing => "routing",
            World::Network => "network",
            World::Auth => "auth",
        }
    }

    /// The example to begin with; none in a language that has no library for this world.
    fn example(self, language: Language) -> Option<Example> {
        let (name, files) = match self {
            World::Queue => ("home-first", language.files()),
            _ if language != Language::Rust => return None,
            World::Topic => ("shed-slow", TOPIC),
            World::Group => ("by-load", GROUP),
            World::Routing => ("tenant-lanes", ROUTING),
            World::Network => ("small-parcels", NETWORK),
            World::Auth => ("own-area", AUTH),
        };
        Some(Example { name, files })
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
pub(super) fn write(
    name: &str,
    world: World,
    language: Language,
    into: &Path,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Some(example) = world.example(language) else {
        let world = world.word();
        bail!("--world {world} has a folder to begin with in Rust alone; write --lang rust");
    };
    let folder = into.join(name);
    if folder.exists() {
        bail!("{} is there already; choose another name, or another folder by --into", folder.display());
    }
    for (file, text) in example.files {
        let crate_name = |name: &str| name.replace('-', "_");
        let text = text.replace(example.name, name).replace(&crate_name(example.name), &crate_name(name));
        // Where it is not made of the package's name, as in Rust, it is written out.
        let format = |name: &str| plugin::state_format(name, 1).to_string();
        let text = text.replace(&format(example.name), &format(name));
        // What lies in this tree lies beside the policy there.
        let text = text.replace("../../../plugins/sdk", "sdk").replace("../../../wit", "wit");
        let text = text.replace("\"../golden\"", "\"golden\"");
        // The libraries of the other worlds are a workspace of their own.
        let text = match world {
            World::Queue => text,
            _ => text.replace("[workspace]\n", "[workspace]\nexclude = [\"sdk\"]\n"),
        };
        put(&folder, file, &text)?;
    }
    if world == World::Queue {
        put(&folder, &format!("golden/{name}.recording"), GOLDEN)?;
    }
    let wit = if language == Language::Rust { "sdk/wit" } else { "wit" };
    for (file, text) in WIT {
        put(&folder, &format!("{wit}/{file}"), text)?;
    }
    match (language, world) {
        (Language::Rust, World::Queue) => sdk::write_queue(&folder)?,
        (Language::Rust, _) => sdk::write(&folder, world.word())?,
        _ => {}
    }
    let here = folder.display();
    writeln!(out, "{here} is a policy; go on with")?;
    writeln!(out, "  jackfield plugin build {here}")?;
    writeln!(out, "  jackfield plugin test {here}")?;
    writeln!(out, "  jackfield plugin bench {here}")?;
    Ok(())
}

pub(super) fn put(folder: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(file);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
