//! `[admin]`: where people and programs look after the broker.

use std::path::PathBuf;

use super::Config;
use super::keys::{Key, Shown, bytes, plain, text};
use super::problem::Fault;
use super::raw::Raw;

/// The admin room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admin {
    /// Path of the Unix socket; `None` for `admin.sock` in the data directory, empty for none.
    pub(crate) socket: Option<PathBuf>,
    /// `host:port` for those who log in.
    pub(crate) address: Option<String>,
    /// Logs in as `Authorization: Bearer`.
    pub(crate) token: Option<admin::Secret>,
    /// Logs in as `Authorization: Basic`, with `password`.
    pub(crate) user: Option<String>,
    /// See `user`.
    pub(crate) password: Option<admin::Secret>,
    /// Names that the address has, beside numbers and `localhost`.
    pub(crate) hosts: Vec<String>,
    /// `host:port` for health and metrics alone, without a login.
    pub(crate) health: Option<String>,
    /// `host:port` for the same while this broker waits to become master.
    pub(crate) standby: Option<String>,
    /// Bounds.
    pub(crate) limits: admin::Limits,
}

/// Keys whose values no message and no listing shows.
pub(super) const SECRETS: [&str; 4] = ["admin.token", "admin.password", "journal.url", "lock.url"];

/// Shortest token: shorter ones can be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// Keys of `[admin]`.
pub(super) const ADMIN: &[Key<Config>] = &[
    Key {
        name: "socket",
        doc: "Unix socket that only the broker's own user may use; without the key admin.sock in the data directory,\n\
              empty for none.",
        read: |c, raw| raw.text().map(|path| c.admin.socket = Some(PathBuf::from(path))),
        show: |c| match &c.admin.socket {
            Some(path) => text(&path.to_string_lossy()),
            None => Shown::Unset("\"data/admin.sock\""),
        },
    },
    Key {
        name: "address",
        doc: "HOST:PORT for those who log in with the token, or with user and password. What is sent there is not encrypted.",
        read: |c, raw| address(raw).map(|address| c.admin.address = Some(address)),
        show: |c| optional(c.admin.address.as_deref(), "\"127.0.0.1:8162\""),
    },
    Key {
        name: "token",
        doc: "Sent as Authorization: Bearer TOKEN; at least 16 characters.",
        read: |c, raw| {
            let token = raw.name()?;
            if token.chars().count() < TOKEN_CHARS_MIN || token.chars().any(|c| !c.is_ascii_graphic()) {
                let remedy =
                    "write at least 16 letters, digits and signs without spaces, such as `openssl rand -hex 24` prints";
                return Err(Fault::new("is no token", remedy));
            }
            c.admin.token = Some(admin::Secret(token.to_owned()));
            Ok(())
        },
        show: |c| secret(c.admin.token.as_ref(), "\"at-least-16-characters\""),
    },
    Key {
        name: "user",
        doc: "Sent with the password as Authorization: Basic.",
        read: |c, raw| {
            let name = raw.name()?;
            if name.contains(':') {
                return Err(Fault::new("has a colon", "leave it out"));
            }
            c.admin.user = Some(name.to_owned());
            Ok(())
        },
        show: |c| optional(c.admin.user.as_deref(), "\"operator\""),
    },
    Key {
        name: "password",
        doc: "The password of the user.",
        read: |c, raw| raw.name().map(|password| c.admin.password = Some(admin::Secret(password.to_owned()))),
        show: |c| secret(c.admin.password.as_ref(), "\"…\""),
    },
    Key {
        name: "hosts",
        doc: "Names under which the address is reached, beside numbers and localhost; requests for others are refused.",
        read: |c, raw| raw.names().map(|hosts| c.admin.hosts = hosts),
        show: |c| plain(toml::Value::from(c.admin.hosts.clone())),
    },
    Key {
        name: "health",
        doc: "HOST:PORT for /health, /health/alive and /metrics alone, open to everybody who reaches it.",
        read: |c, raw| address(raw).map(|address| c.admin.health = Some(address)),
        show: |c| optional(c.admin.health.as_deref(), "\"127.0.0.1:8161\""),
    },
    Key {
        name: "standby",
        doc: "HOST:PORT for /health, /health/alive and /metrics while this broker is a slave that waits; it may be that of\n\
              health. /health says 503 then, /health/alive 200.",
        read: |c, raw| address(raw).map(|address| c.admin.standby = Some(address)),
        show: |c| optional(c.admin.standby.as_deref(), "\"127.0.0.1:8161\""),
    },
    Key {
        name: "connections",
        doc: "Connections of the socket, and of each of the two addresses.",
        read: |c, raw| raw.count(1..=10_000).map(|count| c.admin.limits.connections_max = count),
        show: |c| plain(c.admin.limits.connections_max),
    },
    Key {
        name: "header_ms",
        doc: "Longest time for the head of a request, silence between two requests included.",
        read: |c, raw| raw.integer(1..=600_000).map(|ms| c.admin.limits.header_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.admin.limits.header_ms_max),
    },
    Key {
        name: "header_limit",
        doc: "Largest head of a request; settings of policies stand there.",
        read: |c, raw| raw.size(8 << 10..=1 << 20).map(|bytes| c.admin.limits.header_bytes_max = bytes as usize),
        show: |c| bytes(c.admin.limits.header_bytes_max as u64),
    },
    Key {
        name: "body_ms",
        doc: "Longest time for a component to come in.",
        read: |c, raw| raw.integer(1..=3_600_000).map(|ms| c.admin.limits.body_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.admin.limits.body_ms_max),
    },
    Key {
        name: "answer_ms",
        doc: "Longest time that the broker has for an answer; changes of policies take the time that they need.",
        read: |c, raw| raw.integer(1..=600_000).map(|ms| c.admin.limits.answer_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.admin.limits.answer_ms_max),
    },
    Key {
        name: "connection_ms",
        doc: "Longest life of a connection.",
        read: |c, raw| raw.integer(1000..=86_400_000).map(|ms| c.admin.limits.connection_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.admin.limits.connection_ms_max),
    },
    Key {
        name: "destinations",
        doc: "Most destinations in one answer.",
        read: |c, raw| raw.count(1..=100_000).map(|count| c.admin.limits.destinations_max = count),
        show: |c| plain(c.admin.limits.destinations_max),
    },
    Key {
        name: "destination_series",
        doc: "Destinations that have series of their own in /metrics, those with most messages waiting first; 0 for none.",
        read: |c, raw| raw.count(0..=100_000).map(|count| c.admin.limits.destination_series_max = count),
        show: |c| plain(c.admin.limits.destination_series_max),
    },
];

fn address(raw: Raw<'_>) -> Result<String, Fault> {
    let address = raw.name()?;
    let good = address.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = !host.contains(':') || host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && bare && !host.contains('/') && port.parse::<u16>().is_ok()
    });
    if good {
        Ok(address.to_owned())
    } else {
        Err(Fault::new("is no address", "write HOST:PORT, such as 127.0.0.1:8162"))
    }
}

fn optional(value: Option<&str>, example: &'static str) -> Shown {
    value.map_or(Shown::Unset(example), text)
}

fn secret(value: Option<&admin::Secret>, example: &'static str) -> Shown {
    value.map_or(Shown::Unset(example), |_| text("(not shown)"))
}

/// What the keys lack together: an address without a login is refused. Each fault is of one key.
pub(super) fn check(admin: &Admin) -> Vec<(&'static str, Fault)> {
    let mut faults = Vec::new();
    let remedy = "set admin.token, or admin.user and admin.password";
    if admin.address.is_some() && admin.token.is_none() && admin.user.is_none() {
        faults.push(("address", Fault::new("would let everybody in", remedy)));
    }
    match (&admin.user, &admin.password) {
        (Some(_), None) => faults.push(("user", Fault::new("has no password", "set admin.password too"))),
        (None, Some(_)) => faults.push(("password", Fault::new("is nobody's", "set admin.user too"))),
        _ => {}
    }
    faults
}
