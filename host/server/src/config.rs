//! What the server is told when it starts.

use std::sync::Arc;

use plugin::auth::Guard;
use session::{Authenticator, Inspector, Protocol};

use crate::Tls;

/// Says whether clients may be told what the core says.
pub type MaySpeak = Arc<dyn Fn() -> bool + Send + Sync>;

/// Limits and habits of the server.
#[derive(Clone)]
pub struct Config {
    /// Where clients connect.
    pub connectors: Vec<Connector>,
    /// Threads that serve connections.
    pub threads: usize,
    /// Decides logins.
    pub authenticator: Arc<dyn Authenticator>,
    /// Logins that may be decided at the same time where that takes a while (password hashes, policies that are components).
    pub login_threads: usize,
    /// Asked by the core about rights that only it can look at; `None` where everybody may do everything.
    pub guard: Option<Arc<dyn Guard>>,
    /// Looks at what clients send; `None` where nobody does.
    pub inspector: Option<Arc<dyn Inspector>>,
    /// Looked at each time before what the core says is encoded for a client, and again before it goes to the socket; it
    /// waits while the answer is no. A broker that cannot prove that it is the master promises nothing and hands nothing out:
    /// what was true when it was decided may not be any more, as after a pause. Heart-beats go on.
    pub may_speak: MaySpeak,
    /// Batches of commands one connection may have on the way to the core.
    pub batches_in_flight_max: usize,
    /// Bytes that may wait for the journal's writer; above it no persistent messages are taken, at twice as many no commands
    /// at all. Not zero.
    pub journal_backlog_bytes_max: u64,
    /// Bytes encoded for one socket before it must take some.
    pub write_buffer_bytes_max: usize,
    /// Read buffer of one connection, in bytes, while its frames are small.
    pub read_buffer_bytes: usize,
    /// How long an orderly stop waits for sockets to take the last words, ms.
    pub drain_ms_max: u64,
    /// How long a port may be in use by another process before that is an error, ms.
    pub bind_ms_max: u64,
    /// How long a TLS handshake may take, ms.
    pub handshake_ms_max: u64,
    /// TLS handshakes that compute at the same time; further ones wait, within their time.
    pub handshakes_max: usize,
}

/// One listening address.
#[derive(Clone)]
pub struct Connector {
    /// Its name, for people.
    pub name: String,
    /// `host:port`; port 0 lets the system choose.
    pub address: String,
    /// Which machine speaks there.
    pub protocol: Protocol,
    /// Certificates, where TLS is spoken. Whoever keeps a clone can replace them while the connector listens.
    pub tls: Option<Arc<Tls>>,
    /// Connections at a time (`maximumConnections`); more are closed as they come.
    pub connections_max: usize,
    /// Connections the system may hold that were not yet accepted (`backlog`).
    pub backlog: u32,
    /// What each session there is told; `remote` and `certificate_subject` are filled in per connection.
    pub session: session::Config,
}

impl Config {
    /// The documented defaults with these connectors.
    pub fn new(connectors: Vec<Connector>, authenticator: Arc<dyn Authenticator>) -> Config {
        Config {
            connectors,
            threads: 2,
            authenticator,
            login_threads: 1,
            guard: None,
            inspector: None,
            may_speak: Arc::new(|| true),
            batches_in_flight_max: 2,
            journal_backlog_bytes_max: 32 * 1024 * 1024,
            write_buffer_bytes_max: 256 * 1024,
            read_buffer_bytes: 64 * 1024,
            drain_ms_max: 2_000,
            bind_ms_max: 0,
            handshake_ms_max: 10_000,
            handshakes_max: 256,
        }
    }
}
