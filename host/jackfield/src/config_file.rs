//! Finds the configuration file, and `jackfield config …`.

use std::path::{Path, PathBuf};

use crate::certificates::Certificates;
use crate::cli::{ConfigCommand, ConfigFile};
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::policies::{self, Policies};
use crate::security;

/// The file that is used when none is named.
pub(crate) const FILE_BY_HABIT: &str = "jackfield.toml";

/// A configuration and where it comes from.
pub(crate) struct Found {
    /// The values.
    pub(crate) config: Config,
    /// The file; `None` for the defaults.
    pub(crate) file: Option<PathBuf>,
}

/// Reads the file that is named, or the one in the working directory if there is one. What is wrong goes to standard
/// error, all of it.
pub(crate) fn load(named: Option<&Path>) -> Result<Found, Exit> {
    let file = match named {
        Some(file) => file,
        None if Path::new(FILE_BY_HABIT).exists() => Path::new(FILE_BY_HABIT),
        None => return Ok(Found { config: Config::default(), file: None }),
    };
    let source = std::fs::read_to_string(file).map_err(|error| {
        eprintln!("jackfield: cannot read {}: {error}; name another file with --config", file.display());
        Exit::Config
    })?;
    match config::read(&source, &policies::names()) {
        Ok(config) => Ok(Found { config, file: Some(file.to_owned()) }),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{}: {problem}", file.display());
            }
            let count = problems.len();
            eprintln!("jackfield: {count} {} in {}", if count == 1 { "mistake" } else { "mistakes" }, file.display());
            Err(Exit::Config)
        }
    }
}

/// `jackfield config …`.
#[allow(clippy::print_stdout, reason = "what is asked for goes to standard output")]
pub(crate) fn run(command: &ConfigCommand) -> Exit {
    let (ConfigCommand::Check(ConfigFile { config }) | ConfigCommand::Show(ConfigFile { config })) = command;
    let found = match load(config.as_deref()) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    match command {
        ConfigCommand::Show(_) => print!("{}", config::show(&found.config)),
        ConfigCommand::Check(_) => {
            let mut wrong = Vec::new();
            if let Err(problems) = Certificates::load(&found.config) {
                wrong.extend(problems.iter().map(ToString::to_string));
            }
            let Config { policy, registry, stock_policies, components, .. } = &found.config;
            match Policies::new(*policy, None, *registry, stock_policies, components) {
                Err(errors) => wrong.extend(errors.iter().map(|error| format!("{error:#}"))),
                Ok((policies, _)) => {
                    let component = |name: &str, passwords_granted| policies.auth(name, passwords_granted);
                    let gate = security::gate(&found.config.security, &component, policies.terms());
                    wrong.extend(gate.err().into_iter().flatten().map(|error| format!("{error:#}")));
                }
            }
            if !wrong.is_empty() {
                for what in wrong {
                    eprintln!("jackfield: {what}");
                }
                return Exit::Config;
            }
            match found.file {
                Some(file) => println!("{} is correct", file.display()),
                None => println!("there is no {FILE_BY_HABIT}; the defaults hold"),
            }
        }
    }
    Exit::Ok
}
