//! Who may ask what, decided from the head of a request alone.

use std::net::IpAddr;

use hyper::{HeaderMap, header};

use crate::Problem;
use crate::config::{Login, TcpDoor};

/// Where a request came in.
#[derive(Debug)]
pub(crate) enum Door {
    /// The Unix socket: the system has checked who it is.
    Socket,
    /// An address with a login.
    Tcp(TcpDoor),
    /// The open address.
    Health,
}

impl Door {
    /// For the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Door::Socket => "socket",
            Door::Tcp(_) => "address",
            Door::Health => "health",
        }
    }
}

/// Lets a request pass, or says why not.
pub(crate) fn check(door: &Door, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
    match door {
        Door::Socket => Ok(()),
        Door::Health => {
            no_foreign_page(headers)?;
            match path {
                "/health" | "/health/alive" | "/metrics" => Ok(()),
                _ => Err(Problem::new(
                    404,
                    "only /health, /health/alive and /metrics are served here",
                    "use the admin socket or address",
                )),
            }
        }
        Door::Tcp(TcpDoor { login, hosts, .. }) => {
            known_host(headers, hosts)?;
            no_foreign_page(headers)?;
            logged_in(headers, login)
        }
    }
}

/// A page of another site that has its own name lead here would send that name.
fn known_host(headers: &HeaderMap, hosts: &[String]) -> Result<(), Problem> {
    let given = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match given.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => given.rsplit_once(':').map_or(given, |(name, _)| name),
    };
    let known = name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
    if known {
        return Ok(());
    }
    let remedy = "use an address or localhost, or add the name to admin.hosts";
    Err(Problem::new(403, "the request is for another host", remedy).with("Host", given))
}

/// Browsers say which page a request comes from; programs say nothing.
fn no_foreign_page(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let remedy = "ask from a program; pages of other sites are refused";
    if let Some(origin) = text("origin") {
        let own = text("host").unwrap_or_default();
        let same = origin.split_once("://").is_some_and(|(_, rest)| !own.is_empty() && rest.eq_ignore_ascii_case(own));
        if !same {
            return Err(
                Problem::new(403, "the request comes from a page of another site", remedy).with("Origin", origin)
            );
        }
    }
    match text("sec-fetch-site") {
        None | Some("none" | "same-origin") => Ok(()),
        Some(site) => {
            let what = "the request comes from a page of another site";
            Err(Problem::new(403, what, remedy).with("Sec-Fetch-Site", site))
        }
    }
}

fn logged_in(headers: &HeaderMap, login: &Login) -> Result<(), Problem> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, rest) = given.split_once(' ').unwrap_or((given, ""));
    let rest = rest.trim();
    let token = login.token.as_ref().is_some_and(|token| scheme.eq_ignore_ascii_case("bearer") && same(&token.0, rest));
    let user = login.user.as_ref().is_some_and(|(name, password)| {
        scheme.eq_ignore_ascii_case("basic") && same(&base64(format!("{name}:{}", password.0).as_bytes()), rest)
    });
    if token || user {
        return Ok(());
    }
    let remedy = "send the token of the configuration as Authorization: Bearer TOKEN, or user and password as Basic";
    Err(Problem::new(401, "not logged in", remedy).with("Authorization", ""))
}

/// Compares without stopping at the first difference.
fn same(secret: &str, given: &str) -> bool {
    let (secret, given) = (secret.as_bytes(), given.as_bytes());
    let mut difference = secret.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ secret.get(index).copied().unwrap_or(0));
    }
    std::hint::black_box(difference) == 0 && !secret.is_empty()
}

/// As `Authorization: Basic` writes it.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn door() -> Door {
        let login = Login {
            token: Some(Secret("0123456789abcdef".into())),
            user: Some(("ops".into(), Secret("open sesame".into()))),
        };
        Door::Tcp(TcpDoor { address: "127.0.0.1:1".into(), login, hosts: vec!["broker.example".into()] })
    }

    fn status(door: &Door, path: &str, lines: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a header"));
        }
        check(door, path, &headers).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn who_may_ask() {
        const TOKEN: (&str, &str) = ("authorization", "Bearer 0123456789abcdef");
        const HERE: (&str, &str) = ("host", "127.0.0.1:8162");
        let table: &[(&[(&'static str, &str)], u16)] = &[
            (&[HERE, TOKEN], 200),
            (&[("host", "localhost"), ("authorization", "bearer  0123456789abcdef")], 200),
            (&[("host", "[::1]:8162"), TOKEN], 200),
            (&[("host", "BROKER.example:8162"), TOKEN], 200),
            // `ops:open sesame`
            (&[HERE, ("authorization", "Basic b3BzOm9wZW4gc2VzYW1l")], 200),
            (&[HERE, ("authorization", "Basic b3BzOm9wZW4gc2VzYW1")], 401),
            (&[HERE, ("authorization", "Basic 0123456789abcdef")], 401),
            (&[HERE, ("authorization", "Bearer 0123456789abcde")], 401),
            (&[HERE, ("authorization", "Bearer 0123456789abcdefg")], 401),
            (&[HERE, ("authorization", "Bearer ")], 401),
            (&[HERE, ("authorization", "Bearer")], 401),
            (&[HERE], 401),
            (&[TOKEN], 403),
            (&[("host", "evil.example"), TOKEN], 403),
            (&[("host", "localhost.evil.example:8162"), TOKEN], 403),
            (&[HERE, TOKEN, ("origin", "http://127.0.0.1:8162")], 200),
            (&[HERE, TOKEN, ("origin", "http://evil.example")], 403),
            (&[HERE, TOKEN, ("origin", "null")], 403),
            (&[HERE, TOKEN, ("origin", "http://127.0.0.1:9999")], 403),
            (&[HERE, TOKEN, ("sec-fetch-site", "cross-site")], 403),
            (&[HERE, TOKEN, ("sec-fetch-site", "same-site")], 403),
            (&[HERE, TOKEN, ("sec-fetch-site", "none")], 200),
        ];
        for (lines, expected) in table {
            assert_eq!(status(&door(), "/api/v1/status", lines), *expected, "{lines:?}");
        }
    }

    #[test]
    fn the_open_door_leads_to_two_rooms() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], u16);
        let table: &[Case] = &[
            ("/health", &[], 200),
            ("/metrics", &[("host", "anything")], 200),
            ("/metrics", &[("origin", "http://evil.example"), ("host", "b")], 403),
            ("/metrics", &[("sec-fetch-site", "cross-site")], 403),
            ("/api/v1/status", &[], 404),
            ("/metrics/", &[], 404),
        ];
        for (path, lines, expected) in table {
            assert_eq!(status(&Door::Health, path, lines), *expected, "{path} {lines:?}");
        }
    }

    #[test]
    fn base64_is_written_as_rfc_4648_says() {
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
