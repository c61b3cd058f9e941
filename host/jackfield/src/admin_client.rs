//! Asks a running broker over its admin socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use admin::Problem;
use admin::words::Health;
use anyhow::{Context, anyhow, bail};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::{cli, config_file, wiring};

/// How long to wait for an answer: a component may take long to compile on a busy machine.
const ANSWER_WAIT: Duration = Duration::from_secs(300);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A broker's admin socket.
pub(crate) struct AdminClient {
    socket: PathBuf,
    /// Where it answers while it waits to become master.
    standby: Option<String>,
}

impl AdminClient {
    /// The socket that is named, or the one of the configuration.
    pub(crate) fn new(reach: &cli::Reach) -> anyhow::Result<AdminClient> {
        if let Some(socket) = &reach.socket {
            return Ok(AdminClient { socket: socket.clone(), standby: None });
        }
        let mut config = match config_file::load(reach.config.as_deref()) {
            Ok(found) => found.config,
            Err(_) => bail!("the configuration cannot be read; name the socket with --socket"),
        };
        if let Some(data) = &reach.data {
            config.data_directory.clone_from(data);
        }
        let none = "admin.socket is empty, so there is no socket to ask; ask the admin address";
        Ok(AdminClient { socket: socket_of(&config).ok_or_else(|| anyhow!(none))?, standby: config.admin.standby })
    }

    /// Asks for one thing.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask("GET", path, &[])
    }

    /// Asks whether the broker is there and waits to become master. `None` where nobody says so.
    pub(crate) fn standby(&self) -> Option<Health> {
        let mut stream = TcpStream::connect(self.standby.as_ref()?).ok()?;
        stream.set_read_timeout(Some(ANSWER_WAIT)).ok()?;
        read(&exchange(&mut stream, "GET", "/health/alive", &[]).ok()?).ok()
    }

    /// Asks something, with a body where it has one.
    pub(crate) fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<T> {
        read(&self.exchange(method, path, body)?)
    }

    /// Asks for something that is no value: its bytes as they came.
    pub(crate) fn bytes(&self, method: &str, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.exchange(method, path, &[])?;
        content(&answer).map(<[u8]>::to_vec)
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let place = self.socket.display();
        let mut stream = connect(&self.socket)?;
        exchange(&mut stream, method, path, body).with_context(|| format!("no answer from {place}"))
    }
}

fn socket_of(config: &Config) -> Option<PathBuf> {
    wiring::admin(config).socket
}

fn connect(socket: &Path) -> anyhow::Result<UnixStream> {
    let place = socket.display();
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => anyhow!("{place} belongs to another user; run this as the broker's user"),
        _ => anyhow!(
            "no broker answers at {place} ({error}); start one with `jackfield serve`, or name its folder with --data"
        ),
    })?;
    stream.set_read_timeout(Some(ANSWER_WAIT)).context("cannot set up the connection")?;
    Ok(stream)
}

/// Says a request and hears the whole answer. A body is sent when the broker wants to see it, so that one that is too
/// large is refused before it travels.
fn exchange(stream: &mut (impl Read + Write), method: &str, path: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let about_body = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{about_body}\r\n");
    // A broker that refuses the head closes before it has read all of it, and its answer is there all the same.
    let mut said = stream.write_all(head.as_bytes());
    let mut heard = Vec::new();
    if !body.is_empty() && said.is_ok() {
        hear(stream, &mut heard, |heard| ends_head(heard).is_some())?;
        if let Some(end) = ends_head(&heard).filter(|_| heard.starts_with(b"HTTP/1.1 100")) {
            heard.drain(..end);
            said = stream.write_all(body);
        }
    }
    hear(stream, &mut heard, |_| false)?;
    if heard.is_empty() { said.and(Err(ErrorKind::UnexpectedEof.into())) } else { Ok(heard) }
}

/// Reads on until it is enough, or to the end.
fn hear(stream: &mut impl Read, heard: &mut Vec<u8>, is_enough: impl Fn(&[u8]) -> bool) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    while !is_enough(heard) && heard.len() < ANSWER_BYTES_MAX {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => heard.extend_from_slice(&buffer[..length]),
            // What was heard before counts.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where the head of an answer ends.
fn ends_head(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads an answer: what was asked for, or a problem.
fn read<T: DeserializeOwned>(answer: &[u8]) -> anyhow::Result<T> {
    let body = content(answer)?;
    serde_json::from_slice(body).context("the answer is not what belongs here; is it the same version?")
}

/// The body of an answer, or a problem.
fn content(answer: &[u8]) -> anyhow::Result<&[u8]> {
    let end = ends_head(answer).ok_or_else(|| anyhow!("the answer is no HTTP"))?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end..]);
    match head.split(' ').nth(1) {
        Some("200") => return Ok(body),
        Some("414" | "431") => {
            bail!("the settings are longer than the broker's admin.header_limit; raise it, or give fewer")
        }
        _ => {}
    }
    let Ok(Problem { title, key, value, remedy, .. }) = serde_json::from_slice(body) else {
        bail!("the answer is {}", head.lines().next().unwrap_or_default());
    };
    let place = if key.is_empty() { String::new() } else { format!("{key} = {value}: ") };
    match remedy.as_str() {
        "" => bail!("{place}{title}"),
        remedy => bail!("{place}{title}; {remedy}"),
    }
}

/// The query of a request.
#[derive(Default)]
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn with(mut self, key: &str, value: &str) -> Query {
        self.0 += if self.0.is_empty() { "?" } else { "&" };
        self.0 += &format!("{key}={}", escaped(value));
        self
    }

    pub(crate) fn flag(self, key: &str, set: bool) -> Query {
        if set { self.with(key, "true") } else { self }
    }

    pub(crate) fn generation(self, number: Option<u64>) -> Query {
        match number {
            Some(number) => self.with("generation", &number.to_string()),
            None => self,
        }
    }

    pub(crate) fn settings(self, settings: &[(String, String)]) -> Query {
        settings.iter().fold(self, |query, (key, value)| query.with("set", &format!("{key}={value}")))
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text as a part of a path or query.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use admin::words::Health;

    use super::*;

    #[test]
    fn answers_are_values_or_problems() {
        let health = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n{\"role\":\"active\",\"ready\":true}";
        assert_eq!(read::<Health>(health).expect("a value").role, "active");
        let table: [(&[u8], &str); 6] = [
            (b"SSH-2.0", "no HTTP"),
            (b"HTTP/1.1 500 Oh\r\n\r\nplain", "the answer is HTTP/1.1 500 Oh"),
            (b"HTTP/1.1 431 Oh\r\n\r\n", "admin.header_limit"),
            (b"HTTP/1.1 200 OK\r\n\r\n[]", "not what belongs here"),
            (
                b"HTTP/1.1 400 Bad\r\n\r\n{\"status\":400,\"title\":\"is unknown\",\"key\":\"k\",\"value\":\"v\",\"remedy\":\"r\"}",
                "k = v: is unknown; r",
            ),
            (b"HTTP/1.1 422 Bad\r\n\r\n{\"status\":422,\"title\":\"why and what to do\"}", "why and what to do"),
        ];
        for (answer, expected) in table {
            let error = format!("{:#}", read::<Health>(answer).expect_err(expected));
            assert!(error.contains(expected) && !error.ends_with("; "), "{error}");
        }
    }

    /// A broker that has said all it wants to say.
    struct Said(std::io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Said {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            // As slowly as it can come.
            let length = buffer.len().min(7);
            self.0.read(&mut buffer[..length])
        }
    }

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_body_travels_only_when_it_is_wanted() {
        let refusal = "HTTP/1.1 413 Too large\r\n\r\n{}";
        let table = [
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n{}", true),
            (refusal, refusal, false),
        ];
        for (said, expected, travels) in table {
            let mut broker = Said(std::io::Cursor::new(said.as_bytes().to_vec()), Vec::new());
            let heard = exchange(&mut broker, "POST", "/x", b"BODY").expect("an answer");
            assert_eq!(String::from_utf8_lossy(&heard), expected);
            assert_eq!(broker.1.ends_with(b"BODY"), travels, "{said}");
        }
        let mut silent = Said(std::io::Cursor::default(), Vec::new());
        assert_eq!(exchange(&mut silent, "GET", "/x", b"").expect_err("nothing").kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn names_and_settings_are_escaped() {
        let query = Query::default().flag("shadow", true).flag("start_empty", false).generation(Some(3));
        let query = query.settings(&[("a b".to_owned(), "c&d=é+".to_owned())]);
        assert_eq!(query.to_string(), "?shadow=true&generation=3&set=a%20b%3Dc%26d%3D%C3%A9%2B");
        assert_eq!(escaped("ORDERS.>/x"), "ORDERS.%3E%2Fx");
    }
}
