//! `jackfield serve`: opens the rooms, hands one to the other, waits for the end.

use std::io::{Write, stdout};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use journal::JournalError;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use server::{ClientAuth, Listener, Server, ServerError};

use crate::certificates::Certificates;
use crate::cli;
use crate::config::{Config, protocol_name};
use crate::config_file::{self, Found};
use crate::exit::Exit;
use crate::policies::{Control, Policies};
use crate::{log, security, wiring};

/// Runs the broker until it is told to stop or cannot go on.
pub(crate) fn serve(args: &cli::Serve) -> Exit {
    let begun = Instant::now();
    // Before any thread is there, so that all of them inherit it and signals come to one place only.
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("jackfield: cannot catch signals: {error}");
            return Exit::Internal;
        }
    };
    let found = match config_file::load(args.config.as_deref()) {
        Ok(found) => with_arguments(found, args),
        Err(exit) => return exit,
    };
    if let Err(error) = log::start(&found.config.log) {
        eprintln!("jackfield: {error:#}");
        return Exit::Internal;
    }
    ask_for_descriptors();
    say_what_holds(&found);
    // Before anything is touched: whoever mistyped a file's name has nothing to clean up.
    let certificates = match Certificates::load(&found.config) {
        Ok(certificates) => certificates,
        Err(problems) => {
            for problem in problems {
                tracing::error!("{problem}");
            }
            return Exit::Config;
        }
    };
    match start(&found.config, &certificates) {
        Ok((server, control)) => {
            signals.reach(&server, certificates, control);
            announce(&server, begun);
            end(server.wait())
        }
        Err(exit) => exit,
    }
}

fn with_arguments(found: Found, args: &cli::Serve) -> Found {
    let Found { mut config, file } = found;
    if let Some(data) = &args.data {
        config.data_directory.clone_from(data);
    }
    if let Some(format) = args.log_format {
        config.log.format = format;
    }
    if let Some(level) = &args.log_level {
        config.log.level.clone_from(level);
    }
    Found { config, file }
}

/// Each connection takes a descriptor, and systems grant a process few of them unless it asks for what it may have.
fn ask_for_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(limit) => tracing::debug!(limit, "open files allowed"),
        Err(error) => tracing::warn!("the limit of open files cannot be raised: {error}"),
    }
}

/// Opens journal, policies and ports; an error is logged and becomes an exit code.
fn start(config: &Config, certificates: &Certificates) -> Result<(Server, Arc<Control>), Exit> {
    if let Err(error) = std::fs::create_dir_all(&config.data_directory) {
        tracing::error!("cannot make the data directory {}: {error}", config.data_directory.display());
        return Err(Exit::Failed);
    }
    let journal = journal_rocksdb::RocksJournal::open(&wiring::journal(config)).map_err(|error| {
        tracing::error!("{error}");
        if matches!(error, JournalError::Locked { .. }) { Exit::Locked } else { Exit::Failed }
    })?;
    let refuse = |errors: Vec<anyhow::Error>| {
        for error in errors {
            tracing::error!("policies cannot be run: {error:#}");
        }
        Exit::Config
    };
    let (policies, control) =
        Policies::new(config.policy, &config.stock_policies, &config.components).map_err(refuse)?;
    policies.check(config).map_err(refuse)?;
    let gate = security::gate(&config.security).map_err(|errors| {
        for error in errors {
            tracing::error!("logins cannot be checked: {error:#}");
        }
        Exit::Config
    })?;
    let id = wiring::broker_id();
    let (journal, policies) = (Arc::new(journal), Box::new(policies));
    let facts = |facts| control.load(facts);
    let told = wiring::server(config, certificates, &id, gate);
    let started = Server::start(told, config.broker(), journal, policies, id, facts);
    let server = started.map_err(|error| {
        tracing::error!("{error}");
        if matches!(error, ServerError::Facts(_)) { Exit::Config } else { Exit::Failed }
    })?;
    control.begin(server.policy_hand()).map_err(|error| {
        tracing::error!("cannot start a thread for the policies: {error}");
        Exit::Internal
    })?;
    Ok((server, control))
}

fn say_what_holds(found: &Found) {
    let config = &found.config;
    let file = found.file.as_deref().map_or("the defaults".into(), Path::to_string_lossy);
    let data = std::path::absolute(&config.data_directory).unwrap_or_else(|_| config.data_directory.clone());
    tracing::info!("jackfield {} with {file}, data in {}", env!("CARGO_PKG_VERSION"), data.display());
    if config.security.has_plain_passwords() {
        tracing::warn!(
            "passwords in {file} are kept as plain text; put what `jackfield password` makes of them into password_hash"
        );
    }
    if config.security.is_on() {
        return;
    }
    for connector in &config.connectors {
        let strangers = connector.tls.is_none_or(|tls| tls.client_auth() != ClientAuth::Need);
        if strangers && !is_local(&connector.host) {
            tracing::warn!(
                "connector {} listens on {} and lets everybody in; name users in [security] or listen on 127.0.0.1",
                connector.name,
                connector.host
            );
        }
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A line for each port on standard output, then `ready`: whoever started the program waits for that and learns ports
/// that the system chose.
fn announce(server: &Server, begun: Instant) {
    let recovered = server.recovered();
    let journal = &recovered.journal;
    if journal.entries > 0 || !journal.clean_stop {
        tracing::info!(
            "{} messages of {} bytes found after {} in {} ms",
            journal.entries,
            journal.bytes,
            if journal.clean_stop { "an orderly stop" } else { "a stop without goodbye" },
            recovered.took.as_millis()
        );
    }
    let mut lines = String::new();
    for Listener { name, protocol, tls, address } in server.listeners() {
        let protocol = protocol_name(*protocol, *tls);
        tracing::info!("connector {name} listens for {protocol} on {address}");
        lines += &format!("listening {protocol} {address}\n");
    }
    lines += "ready\n";
    // Nobody may be listening there any more.
    let _ = stdout().write_all(lines.as_bytes()).and_then(|()| stdout().flush());
    tracing::info!("ready in {} ms", begun.elapsed().as_millis());
}

fn end(exit: server::Exit) -> Exit {
    match exit {
        server::Exit::Stopped => {
            tracing::info!("stopped in order");
            Exit::Ok
        }
        server::Exit::JournalFailed(error) => {
            tracing::error!("the journal failed and nothing more can be promised: {error}");
            Exit::Journal
        }
        server::Exit::Fault(what) => {
            tracing::error!("a fault of the broker itself: {what}");
            Exit::Internal
        }
    }
}

/// What signals call, once there is a server.
struct Hands {
    stop: Box<dyn Fn() + Send + Sync>,
    report: Box<dyn Fn() + Send + Sync>,
    certificates: Certificates,
}

/// Turns SIGTERM and SIGINT into an orderly stop, SIGUSR1 into a report of how things stand, SIGHUP into a new look at the
/// certificates.
struct Signals(Arc<OnceLock<Hands>>);

impl Signals {
    /// Blocks the signals for this thread and those it will start, and waits for them on a thread of its own.
    fn catch() -> std::io::Result<Signals> {
        let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGHUP]);
        signals.thread_block()?;
        let hands: Arc<OnceLock<Hands>> = Arc::default();
        let known = hands.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut stopping = false;
            while let Ok(signal) = signals.wait() {
                match (signal, known.get()) {
                    (Signal::SIGUSR1, Some(hands)) => (hands.report)(),
                    (Signal::SIGHUP, Some(hands)) => reload(&hands.certificates),
                    (Signal::SIGUSR1 | Signal::SIGHUP, None) => {}
                    (_, Some(hands)) if !stopping => {
                        tracing::info!("stopping in order because of {signal}; a second one stops at once");
                        (hands.stop)();
                        stopping = true;
                    }
                    // Nothing is promised that is not in the journal, so this loses nothing either.
                    _ => std::process::exit(Exit::Failed as i32),
                }
            }
        })?;
        Ok(Signals(hands))
    }

    /// From now on signals are for this server; before, they ended the program at once.
    fn reach(&self, server: &Server, certificates: Certificates, control: Arc<Control>) {
        let stop = server.stopper();
        let stop = Arc::new(stop);
        let stop = move || {
            let (control, stop) = (control.clone(), stop.clone());
            // On a thread of its own: the journal may take its time, and a second signal must be heard meanwhile.
            std::thread::spawn(move || {
                // Twice: busy destinations answer at the batch after the first.
                control.keep_states();
                control.keep_states();
                stop();
            });
        };
        let (stop, report) = (Box::new(stop), Box::new(server.reporter()));
        let hands = Hands { stop, report, certificates };
        // Set once, here.
        let _ = self.0.set(hands);
    }
}

fn reload(certificates: &Certificates) {
    match certificates.reload() {
        Ok(0) => tracing::info!("no connector has certificates that could be read again"),
        Ok(connectors) => tracing::info!(connectors, "certificates were read again; new connections get them"),
        Err(problems) => {
            for problem in problems {
                tracing::error!("{problem}");
            }
            tracing::error!("the certificates stay as they are");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_need_no_warning() {
        for (host, expected) in
            [("127.0.0.1", true), ("::1", true), ("localhost", true), ("0.0.0.0", false), ("::", false), ("b1", false)]
        {
            assert_eq!(is_local(host), expected, "{host}");
        }
    }
}
