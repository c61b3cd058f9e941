//! A small blocking STOMP 1.2 client, for the first message and for scripts.

mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use bytes::BytesMut;
use message::{Destination, DestinationKind};
use wire::stomp::{Command, Decoder, Frame, Item, Limits, Version, encode};

pub(crate) use self::receive::receive;
pub(crate) use self::send::send;

use crate::cli::Remote;

/// How long to wait for an answer that the broker owes.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How long to wait for the connection to be made.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// A connection that is logged in.
struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// Receipts asked for so far; the next one gets the next number.
    receipts: u64,
}

impl Connection {
    /// Connects and logs in.
    fn open(remote: &Remote, client_id: Option<&str>) -> anyhow::Result<Connection> {
        let place = format!("{}:{}", remote.broker.host, remote.broker.port);
        let stream = dial(&place)?;
        stream.set_nodelay(true).context("cannot set up the connection")?;
        let mut connection = Connection {
            stream,
            decoder: Decoder::new(Limits::default()),
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            receipts: 0,
        };
        let mut hello = Frame::new(Command::Connect)
            .header("accept-version", "1.2")
            .header("host", remote.broker.host.clone())
            .header("heart-beat", "0,0");
        if let (Some(user), Some(password)) = (&remote.user, &remote.password) {
            hello = hello.header("login", user.clone()).header("passcode", password.clone());
        }
        if let Some(client_id) = client_id {
            hello = hello.header("client-id", client_id.to_owned());
        }
        connection.push(&hello);
        connection.flush()?;
        let answer = connection.next(Some(ANSWER_WAIT)).with_context(|| format!("no login at {place}"))?;
        match answer.map(|frame| frame.command) {
            Some(Command::Connected) => {
                connection.decoder.set_version(Version::V1_2);
                Ok(connection)
            }
            Some(other) => bail!("{place} answers {} to a login; is it a STOMP port?", other.as_str()),
            None => bail!("{place} does not answer; is it a STOMP port?"),
        }
    }

    /// Puts a frame behind those that wait to be written.
    fn push(&mut self, frame: &Frame) {
        encode(frame, Version::V1_2, &mut self.outgoing);
    }

    /// Puts a frame that the broker must confirm behind those that wait; gives what [`Connection::confirmed`] takes.
    fn push_confirmed(&mut self, frame: Frame) -> u64 {
        self.receipts += 1;
        self.push(&frame.header("receipt", self.receipts.to_string()));
        self.receipts
    }

    /// Writes all that waits.
    fn flush(&mut self) -> anyhow::Result<()> {
        let written = self.stream.write_all(&self.outgoing);
        self.outgoing.clear();
        match written {
            Ok(()) => Ok(()),
            // The broker says why in an ERROR frame before it closes; that is worth more than the broken pipe.
            Err(error) => match self.next(Some(Duration::from_secs(1))) {
                Err(reason) => Err(reason),
                Ok(_) => Err(error).context("the connection broke while writing"),
            },
        }
    }

    /// Writes all that waits, then waits until the broker has confirmed the frame of this receipt. Messages that come
    /// meanwhile are dropped: they are not acknowledged and go back to their queue.
    fn confirmed(&mut self, receipt: u64) -> anyhow::Result<()> {
        self.flush()?;
        let receipt = receipt.to_string();
        let deadline = Instant::now() + ANSWER_WAIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next(Some(left.max(Duration::from_millis(1))))? {
                Some(frame)
                    if frame.command == Command::Receipt
                        && frame.get("receipt-id").is_some_and(|id| **id == *receipt) =>
                {
                    return Ok(());
                }
                Some(_) => {}
                None => bail!(
                    "the broker did not confirm within {} s; producers wait when its memory or store is full",
                    ANSWER_WAIT.as_secs()
                ),
            }
        }
    }

    /// The next frame; `None` when none came in time. An ERROR frame is an error.
    fn next(&mut self, wait: Option<Duration>) -> anyhow::Result<Option<Frame>> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            match self.decoder.decode(&mut self.incoming).context("the broker broke the protocol")? {
                Some(Item::Frame(frame)) if frame.command == Command::Error => return Err(refusal(&frame)),
                Some(Item::Frame(frame)) => return Ok(Some(frame)),
                Some(Item::HeartBeat) => continue,
                None => {}
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.stream.set_read_timeout(left).context("cannot set up the connection")?;
            let held = self.incoming.len();
            self.incoming.resize(held + READ_BYTES, 0);
            let read = self.stream.read(&mut self.incoming[held..]);
            self.incoming.truncate(held + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => bail!("the broker closed the connection"),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the connection broke while reading"),
            }
        }
    }

    /// Says goodbye and waits until the broker has carried out all that was asked for before.
    fn close(mut self) -> anyhow::Result<()> {
        let receipt = self.push_confirmed(Frame::new(Command::Disconnect));
        self.confirmed(receipt)
    }
}

/// Tries all addresses of a place.
fn dial(place: &str) -> anyhow::Result<TcpStream> {
    use std::net::ToSocketAddrs;
    let addresses = place.to_socket_addrs().with_context(|| format!("cannot find the address of {place}"))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_WAIT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(anyhow!("nothing listens on {place}; start a broker with `jackfield serve`"))
        }
        Some(error) => Err(error).with_context(|| format!("cannot connect to {place}")),
        None => Err(anyhow!("{place} has no address")),
    }
}

/// What the broker says in an ERROR frame.
fn refusal(frame: &Frame) -> anyhow::Error {
    let message = frame.get("message").map_or("no reason given", |message| &**message);
    let detail = String::from_utf8_lossy(&frame.body);
    // ActiveMQ puts a stack trace here; its first line is for people.
    match detail.lines().next().map(str::trim).filter(|line| !line.is_empty() && !message.contains(line)) {
        Some(detail) => anyhow!("the broker refuses: {message} ({detail})"),
        None => anyhow!("the broker refuses: {message}"),
    }
}

/// The destination as STOMP headers name it.
fn stomp_name(destination: &Destination) -> String {
    let prefix = if destination.kind == DestinationKind::Topic { "/topic/" } else { "/queue/" };
    format!("{prefix}{}", destination.name)
}
