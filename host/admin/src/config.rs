//! What the room is told when it opens.

use std::path::PathBuf;

/// Where it listens and what its bounds are.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of the Unix socket; only the user that runs the broker may use it.
    pub socket: Option<PathBuf>,
    /// An address for those who log in.
    pub tcp: Option<TcpDoor>,
    /// An address for health and metrics alone, open to everybody.
    pub health: Option<HealthDoor>,
    /// Bounds.
    pub limits: Limits,
}

/// An address without a login.
#[derive(Clone, Debug)]
pub struct HealthDoor {
    /// The configuration key that names it, for errors.
    pub key: &'static str,
    /// `host:port`.
    pub address: String,
}

/// An address that asks for a login.
#[derive(Clone, Debug)]
pub struct TcpDoor {
    /// `host:port`.
    pub address: String,
    /// Who may come in.
    pub login: Login,
    /// Names under which browsers and programs reach it, beside addresses and `localhost`: a page that has its own name
    /// lead here is refused.
    pub hosts: Vec<String>,
}

/// How to log in; at least one of the two must be set.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// `Authorization: Bearer TOKEN`.
    pub token: Option<Secret>,
    /// `Authorization: Basic …` with this user and password.
    pub user: Option<(String, Secret)>,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Bounds of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all doors together; more are closed as they come.
    pub connections_max: usize,
    /// How long a client may take for the head of a request, silence between two requests included, ms.
    pub header_ms_max: u64,
    /// Bytes of a head; settings of policies stand there.
    pub header_bytes_max: usize,
    /// Bytes of a component that is deployed.
    pub component_bytes_max: usize,
    /// How long a client may take for a body, ms.
    pub body_ms_max: u64,
    /// How long the broker may take for an answer, ms; changes of policies take the time that they need.
    pub answer_ms_max: u64,
    /// Longest life of a connection, ms: it ends clients that do not take their answers.
    pub connection_ms_max: u64,
    /// Destinations in one answer of the API.
    pub destinations_max: usize,
    /// Destinations that have series of their own in `/metrics`; the busiest come first. 0 for none.
    pub destination_series_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 64,
            header_ms_max: 5_000,
            header_bytes_max: 64 * 1024,
            component_bytes_max: 4 << 20,
            body_ms_max: 60_000,
            answer_ms_max: 5_000,
            connection_ms_max: 600_000,
            destinations_max: 1000,
            destination_series_max: 100,
        }
    }
}
