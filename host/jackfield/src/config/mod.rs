//! What `jackfield.toml` says, as plain values.
//!
//! One table of keys (`keys`) drives reading, checking and showing, so that no key can be read that is not documented
//! and none documented that is not read. All mistakes of a file are found in one go.

mod admin;
mod component;
mod connector;
mod journal;
mod keys;
mod lock;
mod plugins;
mod problem;
mod raw;
mod read;
mod routing;
mod security;
mod show;
mod size;
mod stock;
#[cfg(test)]
mod tests;
mod tls;

use std::path::PathBuf;

use session::Protocol;

pub(crate) use self::admin::Admin;
pub(crate) use self::connector::Connector;
pub(crate) use self::journal::JournalWish;
pub(crate) use self::keys::check_level;
pub(crate) use self::lock::LockWish;
pub(crate) use self::problem::{Fault, Problem};
pub(crate) use self::read::read;
pub(crate) use self::security::{NATIVE as NATIVE_AUTH, Security};
pub(crate) use self::show::show;
pub(crate) use self::tls::{Tls, TlsFiles};

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where the lock is and, unless it is in a database, the journal.
    pub(crate) data_directory: PathBuf,
    /// The ports, in the order of the file.
    pub(crate) connectors: Vec<Connector>,
    /// What the broker machine is told, without `destinations`: [`Config::broker`] gives it whole.
    pub(crate) broker: broker::Config,
    /// Settings by pattern, in the order of the file.
    pub(crate) destinations: Vec<Destination>,
    /// Bindings of publish routing, in the order of the file.
    pub(crate) routing: Vec<Routing>,
    /// Limits of each connection.
    pub(crate) connection: ConnectionLimits,
    /// Threads, buffers and the stop.
    pub(crate) server: Serving,
    /// Certificates, and bounds of handshakes.
    pub(crate) tls: Tls,
    /// The journal on disk.
    pub(crate) store: Store,
    /// The journal in a database.
    pub(crate) journal: JournalWish,
    /// The lock on the journal.
    pub(crate) lock: LockWish,
    /// Limits of dispatch policies that are components.
    pub(crate) policy: plugin_wasmtime::Limits,
    /// Bytes of compiled policies that are kept from run to run; 0 for none.
    pub(crate) policy_cache_bytes_max: u64,
    /// A folder whose components are deployed as they change.
    pub(crate) plugin_watch: Option<PathBuf>,
    /// How often it is looked at, ms.
    pub(crate) plugin_watch_ms: u64,
    /// Stock policies with settings of the operator's.
    pub(crate) stock_policies: Vec<StockPolicy>,
    /// Dispatch policies of the operator.
    pub(crate) components: Vec<Component>,
    /// Bounds of policies that are deployed while the broker runs.
    pub(crate) registry: registry::Limits,
    /// The admin room.
    pub(crate) admin: Admin,
    /// What the program says about itself.
    pub(crate) log: Log,
    /// Who may log in, and what they may do.
    pub(crate) security: Security,
}

/// Settings for the queues or topics of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// True for queues, false for topics.
    pub(crate) is_queue: bool,
    /// Which names.
    pub(crate) pattern: String,
    /// What holds for them.
    pub(crate) settings: broker::DestinationSettings,
}

/// Binds what is sent to the queues or topics of a pattern to a routing policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routing {
    /// True for queues, false for topics.
    pub(crate) is_queue: bool,
    /// Which names.
    pub(crate) pattern: String,
    /// Name of the policy.
    pub(crate) policy: String,
    /// What the policy is told, in the order of the file.
    pub(crate) settings: Vec<(String, String)>,
}

/// Limits of each connection, whatever its connector.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// JMS sessions.
    pub(crate) sessions_max: usize,
    /// Open transactions.
    pub(crate) transactions_max: usize,
    /// Counts, depths and lengths of message properties.
    pub(crate) properties: message::properties::Limits,
    /// Lengths and depths of selectors.
    pub(crate) selector: selector::Limits,
}

/// Threads, buffers and the stop.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// Threads that serve connections.
    pub(crate) threads: usize,
    /// Logins that are hashed at the same time.
    pub(crate) login_threads: usize,
    /// Bytes that may wait for the journal.
    pub(crate) journal_backlog_bytes_max: u64,
    /// How long an orderly stop waits for sockets.
    pub(crate) drain_ms_max: u64,
}

/// The journal on disk.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Bytes it may take.
    pub(crate) bytes_limit: u64,
}

/// A stock policy under a name of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StockPolicy {
    /// What `dispatch_policy` calls it.
    pub(crate) name: String,
    /// Which one it is.
    pub(crate) policy: String,
    /// Its settings, which its native twin took.
    pub(crate) settings: Vec<(String, String)>,
}

/// A dispatch policy of the operator: a WebAssembly component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// What `dispatch_policy` calls it.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) file: PathBuf,
    /// What it is told when it is made, in the order of the file.
    pub(crate) settings: Vec<(String, String)>,
}

/// What the program says about itself, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// Filter, such as `info` or `info,server=debug`.
    pub(crate) level: String,
    /// For people or for machines.
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// A line of text for each event.
    Human,
    /// A JSON object for each event.
    Json,
}

impl Default for Config {
    fn default() -> Config {
        let connector = |name: &str, uri: &str| Connector::parse(name, uri).expect("the default URIs are correct");
        let serving = server::Config::new(Vec::new(), std::sync::Arc::new(crate::security::Everybody));
        Config {
            data_directory: "data".into(),
            connectors: vec![
                connector("openwire", "tcp://127.0.0.1:61616"),
                connector("stomp", "stomp://127.0.0.1:61613"),
            ],
            broker: broker::Config::default(),
            destinations: Vec::new(),
            routing: Vec::new(),
            connection: ConnectionLimits {
                sessions_max: 10_000,
                transactions_max: 1000,
                properties: message::properties::Limits::default(),
                selector: selector::Limits::default(),
            },
            server: Serving {
                threads: serving.threads,
                login_threads: serving.login_threads,
                journal_backlog_bytes_max: serving.journal_backlog_bytes_max,
                drain_ms_max: serving.drain_ms_max,
            },
            tls: Tls {
                files: TlsFiles::default(),
                handshake_ms_max: serving.handshake_ms_max,
                handshakes_max: serving.handshakes_max,
            },
            store: Store { bytes_limit: 100 << 30 },
            journal: JournalWish::default(),
            lock: LockWish::default(),
            policy: plugin_wasmtime::Limits::default(),
            policy_cache_bytes_max: 512 << 20,
            plugin_watch: None,
            plugin_watch_ms: 500,
            stock_policies: Vec::new(),
            components: Vec::new(),
            registry: registry::Limits::default(),
            admin: Admin::default(),
            log: Log { level: "info".into(), format: LogFormat::Human },
            security: Security::default(),
        }
    }
}

impl Config {
    /// What the broker machine is told.
    pub(crate) fn broker(&self) -> broker::Config {
        let policy = |entry: &Destination| broker::DestinationPolicy {
            is_queue: entry.is_queue,
            pattern: message::Pattern::new(entry.pattern.as_str().into()),
            settings: entry.settings.clone(),
        };
        let binding = |entry: &Routing| broker::Routing {
            is_queue: entry.is_queue,
            pattern: message::Pattern::new(entry.pattern.as_str().into()),
            policy: entry.policy.clone(),
            settings: entry.settings.clone(),
        };
        broker::Config {
            destinations: self.destinations.iter().map(policy).collect(),
            routing: self.routing.iter().map(binding).collect(),
            ..self.broker.clone()
        }
    }
}

/// The word for a protocol, as listeners are announced.
pub(crate) fn protocol_name(protocol: Protocol, is_tls: bool) -> &'static str {
    match (protocol, is_tls) {
        (Protocol::OpenWire, false) => "openwire",
        (Protocol::OpenWire, true) => "openwire+ssl",
        (Protocol::Stomp, false) => "stomp",
        (Protocol::Stomp, true) => "stomp+ssl",
    }
}
