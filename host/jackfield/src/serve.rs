//! `jackfield serve`: opens the rooms, hands one to the other, waits for the end.

use std::io::{Write, stdout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use admin::Room;
use auth::Gate;
use journal::JournalError;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use server::{ClientAuth, Listener, Server, ServerError};

use crate::certificates::Certificates;
use crate::cli;
use crate::config::{Config, protocol_name};
use crate::config_file::{self, Found};
use crate::control::House;
use crate::exit::Exit;
use crate::policies::{Control, Policies, watch};
use crate::role::{self, MasterJournal, Role};
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
    let started = match start(&found.config, &certificates, &signals.standby) {
        Ok(started) => started,
        Err(exit) => return exit,
    };
    let Started { server, control, gate, role, journal } = started;
    let room = match open_admin(&found.config, &server, control.clone(), gate) {
        Ok(room) => room,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    signals.reach(&server, certificates, control);
    announce(&server, &room, role.began(begun));
    role.serves(server.recovered().journal.epoch);
    let exit = end(server.wait());
    // It looks into the journal, which has to be let go of before the role is.
    drop(room);
    role.retire(&journal, exit)
}

/// Opens the admin room on a server that runs.
fn open_admin(
    config: &Config,
    server: &Server,
    control: Arc<Control>,
    gate: Option<Arc<Gate>>,
) -> Result<Room, admin::AdminError> {
    let house = House {
        broker: config.broker.broker_name.to_string(),
        observer: server.observer(),
        gate,
        since: Instant::now(),
    };
    Room::open(wiring::admin(config), Arc::new(house), Some(control))
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

/// A broker that serves.
struct Started {
    server: Server,
    control: Arc<Control>,
    /// `None` if everybody may come in.
    gate: Option<Arc<Gate>>,
    role: Role,
    journal: Weak<MasterJournal>,
}

/// Opens policies, journal and ports, and waits between the first two until this broker may be master; an error is logged
/// and becomes an exit code.
fn start(config: &Config, certificates: &Certificates, standby: &AtomicBool) -> Result<Started, Exit> {
    if let Err(error) = std::fs::create_dir_all(&config.data_directory) {
        tracing::error!("cannot make the data directory {}: {error}", config.data_directory.display());
        return Err(Exit::Failed);
    }
    let refuse = |errors: Vec<anyhow::Error>| {
        for error in errors {
            tracing::error!("policies cannot be run: {error:#}");
        }
        Exit::Config
    };
    let (policies, control) = Policies::new(
        config.policy,
        wiring::cache(config).as_ref(),
        config.registry,
        &config.stock_policies,
        &config.components,
    )
    .map_err(refuse)?;
    policies.check(config).map_err(refuse)?;
    let component = |name: &str, passwords_granted| policies.auth(name, passwords_granted);
    let gate = security::gate(&config.security, &component, policies.terms()).map_err(|errors| {
        for error in errors {
            tracing::error!("logins cannot be checked: {error:#}");
        }
        Exit::Config
    })?;
    if let Some(gate) = &gate {
        control.guard(gate.clone(), &config.security);
    }
    let (role, shared) = role::enter(config, standby)?;
    let journal = Arc::downgrade(&shared);
    let id = wiring::broker_id();
    let facts = |facts| control.load(facts);
    let mut told = wiring::server(config, certificates, &id, gate.clone());
    told.bind_ms_max = role.bind_ms_max();
    told.may_speak = role.may_speak();
    let started = Server::start(told, config.broker(), shared, Box::new(policies), id, facts);
    let server = started.map_err(|error| {
        tracing::error!("{error}");
        if matches!(error, ServerError::Facts(_)) { Exit::Config } else { Exit::Failed }
    })?;
    control.begin(server.policy_hand()).map_err(|error| {
        tracing::error!("cannot start a thread for the policies: {error}");
        Exit::Internal
    })?;
    if let Some(folder) = &config.plugin_watch {
        let interval = Duration::from_millis(config.plugin_watch_ms);
        watch(folder, interval, config.policy.component_bytes_max, &control).map_err(|error| {
            tracing::error!("cannot start a thread for plugins.watch: {error}");
            Exit::Internal
        })?;
    }
    Ok(Started { server, control, gate, role, journal })
}

fn say_what_holds(found: &Found) {
    let config = &found.config;
    let file = found.file.as_deref().map_or("the defaults".into(), Path::to_string_lossy);
    let data = std::path::absolute(&config.data_directory).unwrap_or_else(|_| config.data_directory.clone());
    tracing::info!("jackfield {} with {file}, data in {}", env!("CARGO_PKG_VERSION"), data.display());
    if let Some(url) = &config.journal.url {
        tracing::info!("the journal is in database {url}, in tables {}*", config.journal.table_prefix);
    }
    if let Some(address) = &config.admin.address
        && !is_local(address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).trim_matches(['[', ']']))
    {
        tracing::warn!(
            "admin.address {address} is reached from elsewhere, and nothing is encrypted there; put TLS in front"
        );
    }
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
fn announce(server: &Server, room: &Room, begun: Instant) {
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
    if let Some(socket) = room.socket() {
        tracing::info!("admin socket {}", socket.display());
    }
    for (word, address) in [("admin", room.address()), ("health", room.health())] {
        if let Some(address) = address {
            tracing::info!("{word} listens on {address}");
            lines += &format!("listening {word} {address}\n");
        }
    }
    lines += "ready\n";
    say(&lines);
    tracing::info!("ready in {} ms", begun.elapsed().as_millis());
}

/// Says something on standard output to whoever started the program.
pub(crate) fn say(lines: &str) {
    // Nobody may be listening there any more.
    let _ = stdout().write_all(lines.as_bytes()).and_then(|()| stdout().flush());
}

fn end(exit: server::Exit) -> Exit {
    match exit {
        server::Exit::Stopped => {
            tracing::info!("stopped in order");
            Exit::Ok
        }
        server::Exit::JournalFailed(error @ JournalError::Fenced { .. }) => {
            tracing::error!("nothing more can be promised: {error}");
            Exit::LockLost
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
struct Signals {
    hands: Arc<OnceLock<Hands>>,
    /// This broker waits for another one to end, so that there is nothing to be put in order.
    standby: Arc<AtomicBool>,
}

impl Signals {
    /// Blocks the signals for this thread and those it will start, and waits for them on a thread of its own.
    fn catch() -> std::io::Result<Signals> {
        let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGHUP]);
        signals.thread_block()?;
        let hands: Arc<OnceLock<Hands>> = Arc::default();
        let standby: Arc<AtomicBool> = Arc::default();
        let (known, waits) = (hands.clone(), standby.clone());
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
                    (_, None) if waits.load(Ordering::SeqCst) => {
                        tracing::info!("stopped as a slave because of {signal}");
                        std::process::exit(Exit::Ok as i32)
                    }
                    // Nothing is promised that is not in the journal, so this loses nothing either.
                    _ => std::process::exit(Exit::Failed as i32),
                }
            }
        })?;
        Ok(Signals { hands, standby })
    }

    /// From now on signals are for this server; before, they ended the program at once.
    fn reach(&self, server: &Server, certificates: Certificates, control: Arc<Control>) {
        let stop = Arc::new(server.stopper());
        let stop = move || {
            let (control, stop) = (control.clone(), stop.clone());
            // On a thread of its own: the journal may take its time, and a second signal must be heard meanwhile.
            std::thread::spawn(move || {
                control.keep_all();
                stop();
            });
        };
        let (stop, report) = (Box::new(stop), Box::new(server.reporter()));
        let hands = Hands { stop, report, certificates };
        // Set once, here.
        let _ = self.hands.set(hands);
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
