//! For whoever writes a policy: a folder to begin with, the component, the contract, the cost. None of it needs a broker.

mod build;
mod folder;
mod judge;
mod template;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use template::Language;

/// What authors do.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthorCommand {
    /// Make a folder with a policy that builds, passes the contract and can be deployed as it is.
    New(New),
    /// Run the build command of a policy's folder and make a component of what it builds.
    Build(Folder),
    /// Hold a policy to the contract that every policy keeps.
    Test(Judged),
    /// Measure what a policy costs, beside a native one.
    Bench(Bench),
}

/// A new policy.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Name of the policy and of its folder: lower-case letters, digits and dashes.
    #[arg(value_parser = template::name)]
    pub(crate) name: String,
    /// The language to write it in.
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// Where to make the folder. Without it, here.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) into: PathBuf,
}

/// A policy's folder.
#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// The folder with the policy.toml.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
}

/// A policy to judge.
#[derive(Debug, Args)]
pub(crate) struct Judged {
    /// The component, or the folder with the policy.toml.
    #[arg(default_value = ".")]
    pub(crate) policy: PathBuf,
    /// A setting; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = crate::cli::setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Memory of an instance in MiB, where it needs more than a broker gives by default.
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) memory: u32,
}

/// A policy to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Which policy.
    #[command(flatten)]
    pub(crate) judged: Judged,
    /// The native policy to measure beside it.
    #[arg(long, value_name = "NAME", default_value = "round-robin")]
    pub(crate) beside: String,
}

/// Does what is asked for; what is found goes to `out`.
pub(crate) fn run(command: &AuthorCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        AuthorCommand::New(New { name, lang, into }) => template::write(name, *lang, into, out),
        AuthorCommand::Build(Folder { folder }) => build::run(folder, out),
        AuthorCommand::Test(judged) => judge::test(judged, out),
        AuthorCommand::Bench(Bench { judged, beside }) => judge::bench(judged, beside, out),
    }
}
