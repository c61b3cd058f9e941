//! The program `jackfield`: command line, configuration, wiring, signals, exit codes.
//!
//! This room must never know what a message means or how bytes are laid out; it opens the rooms that do and hands one
//! to the other. Only here is a file of settings read, only here is a process ended.
//!
//! Start reading at [`main`], then `serve` for the wiring, `role` for master and slave, `config` for the file, `client` for
//! `send` and `receive`, `control` for what the admin room asks.

mod admin_client;
mod author;
mod bench;
mod certificates;
mod cli;
mod client;
mod config;
mod config_file;
mod control;
mod exit;
mod log;
mod plugin_command;
mod plugin_inspect;
mod plugin_record;
mod plugin_show;
mod policies;
mod role;
mod security;
mod serve;
mod standby;
mod status;
mod table;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A person who cannot be told has closed the terminal.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    match std::panic::catch_unwind(move || run(cli)) {
        Ok(code) => code,
        Err(_) => Exit::Internal.into(),
    }
}

fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Serve(args) => serve::serve(&args).into(),
        Command::Send(args) => finish(client::send(&args)),
        Command::Receive(args) => finish(client::receive(&args, &mut std::io::stdout())),
        Command::Status(args) => finish(status::status(&args, &mut std::io::stdout())),
        Command::Password => finish(security::print_hash()),
        Command::Config(command) => config_file::run(&command).into(),
        Command::Plugin(command) => finish(plugin_command::run(&command, &mut std::io::stdout())),
        Command::Bench(args) => bench::run(args).unwrap_or_else(|error| finish(Err(error))),
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            eprintln!("jackfield: {error:#}");
            Exit::Failed.into()
        }
    }
}
