//! From the values of the configuration to what each room is told.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::Gate;
use message::Text;
use plugin::auth::Guard;
use plugin_wasmtime::CachePlace;
use session::{Authenticator, Authorizer, BrokerInfo, Inspector, Protocol};

use crate::certificates::Certificates;
use crate::config::{self, Config, Connector};
use crate::security::{self, Everybody};

/// Frames taken from one connection before the broker machine gets them.
const COMMANDS_PER_READ_MAX: usize = 1024;
/// Bytes accepted before login.
const LOGIN_BYTES_MAX: usize = 64 * 1024;
/// Shortest heart-beat that STOMP sessions agree to, ms: clients get what they ask for, short of flooding themselves.
const HEART_BEAT_MS_MIN: i64 = 100;
/// Verdicts on (action, destination) that one connection remembers.
const VERDICTS_MAX: usize = 1000;

/// What the server is told. `certificates` are those of the connectors, in their order.
pub(crate) fn server(
    config: &Config,
    certificates: &Certificates,
    broker_id: &Text,
    gate: Option<Arc<Gate>>,
) -> server::Config {
    // All three from the start: a policy that is bound later may limit rights, and look at messages.
    let guard = gate.clone().map(|gate| gate as Arc<dyn Guard>);
    let inspector = gate.clone().map(|gate| gate as Arc<dyn Inspector>);
    let authorizer = gate.clone().map(|gate| gate as Arc<dyn Authorizer>);
    let authenticator: Arc<dyn Authenticator> = match gate {
        Some(gate) => gate,
        None => Arc::new(Everybody),
    };
    let connectors =
        config.connectors.iter().zip(certificates.of_connectors()).map(|(connector, tls)| server::Connector {
            name: connector.name.clone(),
            address: address(connector),
            protocol: connector.protocol,
            tls: tls.clone(),
            connections_max: connector.connections_max,
            backlog: connector.backlog,
            session: session(config, connector, broker_id, authorizer.clone()),
        });
    server::Config {
        threads: config.server.threads,
        login_threads: config.server.login_threads,
        guard,
        inspector,
        journal_backlog_bytes_max: config.server.journal_backlog_bytes_max,
        drain_ms_max: config.server.drain_ms_max,
        handshake_ms_max: config.tls.handshake_ms_max,
        handshakes_max: config.tls.handshakes_max,
        ..server::Config::new(connectors.collect(), authenticator)
    }
}

/// What the journal is told: it lies in a directory of its own within the data directory.
pub(crate) fn journal(config: &Config) -> journal_rocksdb::Config {
    journal_rocksdb::Config {
        store_limit_bytes: config.store.bytes_limit,
        ..journal_rocksdb::Config::new(config.data_directory.join("journal"))
    }
}

/// What the journal in a database is told, if it is there. `lease` is who holds the lease in the same database.
pub(crate) fn database_journal(config: &Config, lease: Option<String>) -> Option<journal_sql::Config> {
    let config::JournalWish { url, table_prefix, create_tables_on_startup, outage_ms_max } = config.journal.clone();
    Some(journal_sql::Config {
        address: url?,
        table_prefix,
        create_tables: create_tables_on_startup,
        outage_max: Duration::from_millis(outage_ms_max.unsigned_abs()),
        lease,
    })
}

/// Where compiled policies are kept; `None` if they are not.
pub(crate) fn cache(config: &Config) -> Option<CachePlace> {
    let (folder, bytes_max) = (config.data_directory.join("plugins"), config.policy_cache_bytes_max);
    (bytes_max > 0).then_some(CachePlace { folder, bytes_max })
}

/// What the admin room is told.
pub(crate) fn admin(config: &Config) -> admin::Config {
    let config::Admin { socket, address, token, user, password, hosts, health, limits, .. } = config.admin.clone();
    let limits = admin::Limits { component_bytes_max: config.policy.component_bytes_max, ..limits };
    let socket = match socket {
        None => Some(config.data_directory.join("admin.sock")),
        Some(none) if none.as_os_str().is_empty() => None,
        Some(path) => Some(path),
    };
    let tcp = address.map(|address| {
        let login = admin::Login { token, user: user.zip(password) };
        admin::TcpDoor { address, login, hosts }
    });
    let health = health.map(|address| admin::HealthDoor { key: "admin.health", address });
    admin::Config { socket, tcp, health, limits }
}

/// What the admin room is told while this broker waits to become master: one open address, or nothing.
pub(crate) fn standby(config: &Config) -> Option<admin::Config> {
    let health = admin::HealthDoor { key: "admin.standby", address: config.admin.standby.clone()? };
    Some(admin::Config { socket: None, tcp: None, health: Some(health), limits: config.admin.limits })
}

/// An id that no other run of any broker has (row W15).
pub(crate) fn broker_id() -> Text {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("ID:{}-{}-{}-0:1", host_name(), std::process::id(), since_1970.as_millis()).into()
}

fn session(
    config: &Config,
    connector: &Connector,
    broker_id: &Text,
    authorizer: Option<Arc<dyn Authorizer>>,
) -> session::Config {
    let limits = &config.connection;
    session::Config {
        broker: BrokerInfo { id: broker_id.clone(), name: config.broker.broker_name.clone(), url: url(connector) },
        connector: connector.name.as_str().into(),
        remote: Text::new(),
        certificate_subject: None,
        frame_bytes_max: connector.frame_bytes_max,
        inactivity_ms: connector.inactivity_ms,
        inactivity_initial_delay_ms: connector.inactivity_initial_delay_ms,
        login_ms_max: connector.login_ms_max,
        commands_per_read_max: COMMANDS_PER_READ_MAX,
        login_bytes_max: LOGIN_BYTES_MAX,
        consumers_max: connector.consumers_max,
        producers_max: connector.producers_max,
        sessions_max: limits.sessions_max,
        transactions_max: limits.transactions_max,
        heart_beat_grace: connector.heart_beat_grace,
        heart_beat_ms_min: HEART_BEAT_MS_MIN,
        selector: limits.selector,
        properties: limits.properties,
        authorizer,
        verdicts_max: VERDICTS_MAX,
        user_id: security::user_id(&config.security),
    }
}

/// `host:port` with IPv6 in brackets, as addresses are resolved.
fn address(connector: &Connector) -> String {
    if connector.host.contains(':') {
        format!("[{}]:{}", connector.host, connector.port)
    } else {
        format!("{}:{}", connector.host, connector.port)
    }
}

/// Where clients reach the connector: all addresses of a machine are reached by its name.
pub(crate) fn url(connector: &Connector) -> Text {
    let scheme = match (connector.protocol, connector.tls.is_some()) {
        (Protocol::OpenWire, false) => "tcp",
        (Protocol::OpenWire, true) => "ssl",
        (Protocol::Stomp, false) => "stomp",
        (Protocol::Stomp, true) => "stomp+ssl",
    };
    if matches!(connector.host.as_str(), "0.0.0.0" | "::") {
        return format!("{scheme}://{}:{}", host_name(), connector.port).into();
    }
    format!("{scheme}://{}", address(connector)).into()
}

/// This machine's name.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies;

    /// What stands in the file reaches the room that it is meant for.
    #[test]
    fn connectors_reach_the_server_with_their_limits() {
        let source = "\
[broker]
name = \"north\"
[server]
threads = 3
[limits]
sessions_per_connection = 4
[[connector]]
uri = \"tcp://[::1]:61616?maximumConnections=5&backlog=6&wireFormat.maxFrameSize=4096\"
maximum_consumers_per_connection = 7
[[connector]]
uri = \"stomp://0.0.0.0:61613?transport.hbGracePeriodMultiplier=2.5\"
";
        let config = crate::config::read(source, &policies::names()).expect("a correct file");
        let certificates = Certificates::load(&config).expect("no TLS, no files");
        let server = server(&config, &certificates, &"ID:x".into(), None);
        assert_eq!(server.threads, 3);
        let [openwire, stomp] = &server.connectors[..] else { panic!("two connectors") };
        assert_eq!((openwire.name.as_str(), openwire.address.as_str()), ("openwire", "[::1]:61616"));
        assert_eq!((openwire.connections_max, openwire.backlog), (5, 6));
        let session = &openwire.session;
        assert_eq!((session.frame_bytes_max, session.consumers_max, session.sessions_max), (4096, 7, 4));
        assert_eq!((&*session.broker.name, &*session.broker.url), ("north", "tcp://[::1]:61616"));
        assert_eq!((stomp.address.as_str(), stomp.session.heart_beat_grace), ("0.0.0.0:61613", 2.5));
        assert_eq!(&*stomp.session.broker.url, format!("stomp://{}:61613", host_name()));
    }

    #[test]
    fn the_journal_has_a_directory_of_its_own() {
        let mut config = Config { data_directory: "/somewhere".into(), ..Config::default() };
        config.store.bytes_limit = 1 << 30;
        let journal = journal(&config);
        assert_eq!(journal.place, std::path::Path::new("/somewhere/journal"));
        assert_eq!(journal.store_limit_bytes, 1 << 30);
    }
}
