//! For whoever writes a policy: a folder to begin with, the component, the contract, the cost. None of it needs a broker.

mod bench;
mod build;
mod folder;
mod judge;
mod replay;
mod sdk;
mod template;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use template::{Language, World};

/// What authors do.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthorCommand {
    /// Make a folder with a policy that builds, passes the contract and can be deployed as it is.
    New(New),
    /// Run the build command of a policy's folder and make a component of what it builds.
    Build(Folder),
    /// Hold a policy to the contract that every policy of its world keeps.
    Test(Judged),
    /// Measure what a policy costs, beside a native one.
    Bench(Bench),
    /// Put a recording to a policy; it is an error if anything is decided otherwise.
    Replay(Replayed),
    /// Make a recording of random traffic, without a broker: what a queue policy decides now is what `test` holds it to.
    Golden(Golden),
}

/// A new policy.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Name of the policy and of its folder: lower-case letters, digits and dashes.
    #[arg(value_parser = template::name)]
    pub(crate) name: String,
    /// What it decides.
    #[arg(long, value_enum, default_value = "queue")]
    pub(crate) world: World,
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
    /// By whose limits.
    #[command(flatten)]
    pub(crate) limits: Bounds,
}

/// The limits that a policy is judged by.
#[derive(Debug, Args)]
pub(crate) struct Bounds {
    /// The configuration of the broker that it is for. Without it, the jackfield.toml of the policy's folder if there is
    /// one, else the limits that a broker has by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Memory of an instance in MiB, in place of policy.memory_limit.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) memory: Option<u32>,
}

/// A recording and who is to decide it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield plugin replay orders.recording candidate.wasm
  jackfield plugin replay orders.recording candidate.wasm --set home=north --json")]
pub(crate) struct Replayed {
    /// What `record` or `golden` wrote.
    pub(crate) recording: PathBuf,
    /// The component, or the folder with the policy.toml.
    #[arg(default_value = ".")]
    pub(crate) policy: PathBuf,
    /// A setting, in place of all that were recorded; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = crate::cli::setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// JSON in place of sentences.
    #[arg(long)]
    pub(crate) json: bool,
    /// By whose limits.
    #[command(flatten)]
    pub(crate) limits: Bounds,
}

/// A recording to make.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield plugin golden                      into golden/ of the policy's folder
  jackfield plugin golden --seed 7 --batches 20 --out golden/seven.recording")]
pub(crate) struct Golden {
    /// Which policy.
    #[command(flatten)]
    pub(crate) judged: Judged,
    /// Which traffic: the same number gives the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many batches.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) batches: u64,
    /// The file to write. Without it, one of the component's name in the folder of recordings.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// A policy to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Which policy.
    #[command(flatten)]
    pub(crate) judged: Judged,
    /// The native policy to measure beside it. Without it, the one that decides as this component does if it is a stock
    /// one, else round-robin for queues, strict-order for topics and sticky for groups.
    #[arg(long, value_name = "NAME")]
    pub(crate) beside: Option<String>,
}

/// Does what is asked for; what is found goes to `out`.
pub(crate) fn run(command: &AuthorCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        AuthorCommand::New(New { name, world, lang, into }) => template::write(name, *world, *lang, into, out),
        AuthorCommand::Build(Folder { folder }) => build::run(folder, out),
        AuthorCommand::Test(judged) => judge::test(judged, out),
        AuthorCommand::Replay(args) => replay::play(args, out),
        AuthorCommand::Golden(args) => replay::make(args, out),
        AuthorCommand::Bench(Bench { judged, beside }) => bench::run(judged, beside.as_deref(), out),
    }
}
