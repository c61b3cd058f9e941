//! One connection of the generator to any broker, over OpenWire or STOMP.
//!
//! Blocking sockets and one thread each: nothing between the load and the kernel but two buffers. Commands gather in
//! the output buffer until [`Client::flush`]; one read takes as many frames as have come.

mod marshal;
mod openwire;
mod properties;
mod slots;
mod stomp;
mod target;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub(crate) use self::target::{Protocol, Target};
use self::{openwire::OpenWire, stomp::Stomp};

/// The largest frame the generator takes.
const FRAME_BYTES_MAX: usize = 128 << 20;
const INPUT_BYTES: usize = 256 << 10;
/// Longest silence of a peer that was told good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connect, a login or a confirmation may take before the connection counts as lost.
pub(crate) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a connection cannot go on, or why one call was refused.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The socket failed or the peer closed it.
    Lost(std::io::Error),
    /// The peer answered with an error.
    Refused(String),
    /// The peer sent what the generator does not understand.
    Protocol(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "no connection: {error}"),
            Self::Refused(text) => write!(f, "refused by the broker: {text}"),
            Self::Protocol(text) => write!(f, "protocol violation: {text}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error)
    }
}

/// A queue or a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// A topic, else a queue.
    pub(crate) topic: bool,
    /// Its physical name.
    pub(crate) name: String,
}

impl Destination {
    pub(crate) fn queue(name: impl Into<String>) -> Self {
        Self { topic: false, name: name.into() }
    }
}

/// A message to send.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) destination: &'a Destination,
    pub(crate) body: &'a [u8],
    pub(crate) persistent: bool,
    /// Part of the open transaction.
    pub(crate) transacted: bool,
    /// One int property, for selectors.
    pub(crate) property: Option<(&'a str, i32)>,
    /// Its message group.
    pub(crate) group: Option<&'a str>,
    /// The JMS timestamp.
    pub(crate) timestamp_ms: i64,
}

/// What a consumer asks for.
#[derive(Clone, Copy)]
pub(crate) struct Subscription<'a> {
    pub(crate) destination: &'a Destination,
    pub(crate) prefetch: u32,
    pub(crate) selector: Option<&'a str>,
    /// Each message is acknowledged alone.
    pub(crate) individual: bool,
}

/// A message that came; its body lies in the input buffer until the next receive.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    body: Range<usize>,
    pub(crate) redelivered: bool,
    pub(crate) consumer: i64,
}

/// The answer to a command sent with a wish for one.
#[derive(Debug)]
pub(crate) struct Confirm {
    pub(crate) id: u32,
    /// Set when the broker said no.
    pub(crate) refused: Option<String>,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    Delivery(Delivery),
    Confirm(Confirm),
    /// So many bytes of the producer's window are free again.
    Credit(i32),
    /// An error that belongs to no command; the connection is at its end.
    Refused(String),
    /// A frame without meaning for the load.
    Nothing,
    /// Nothing came in the time given.
    Idle,
}

/// How to log in and how to speak.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) target: Target,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// OpenWire's tight encoding, if the broker has it too.
    pub(crate) tight: bool,
    /// OpenWire's object cache, if the broker has it too.
    pub(crate) cache: bool,
}

enum Protocols {
    OpenWire(Box<OpenWire>),
    Stomp(Box<Stomp>),
}

/// A logged-in connection.
pub(crate) struct Client {
    stream: TcpStream,
    protocol: Protocols,
    output: Vec<u8>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    reads: u64,
    timeout: Option<Duration>,
}

static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

impl Client {
    /// Connects and logs in.
    pub(crate) fn connect(login: &Login) -> Result<Self, Failure> {
        let stream = TcpStream::connect_timeout(&login.target.address, CONFIRM_TIMEOUT).map_err(|error| {
            Failure::Lost(std::io::Error::new(error.kind(), format!("connect to {}: {error}", login.target)))
        })?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(CONFIRM_TIMEOUT))?;
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let name = format!("ID:bench-{}-{now_ms}-{number}:1", std::process::id());
        let protocol = match login.target.protocol {
            Protocol::OpenWire => Protocols::OpenWire(Box::new(OpenWire::new(name, login.tight, login.cache))),
            Protocol::Stomp => Protocols::Stomp(Box::new(Stomp::new())),
        };
        let mut client =
            Self { stream, protocol, output: Vec::new(), input: Vec::new(), start: 0, end: 0, reads: 0, timeout: None };
        client.log_in(login)?;
        Ok(client)
    }

    fn log_in(&mut self, login: &Login) -> Result<(), Failure> {
        let (user, password) = (login.user.as_deref(), login.password.as_deref());
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        match &mut self.protocol {
            Protocols::Stomp(stomp) => {
                stomp.hello(user, password, &mut self.output);
                self.confirm(0)
            }
            Protocols::OpenWire(openwire) => {
                openwire.hello(&mut self.output);
                self.flush()?;
                let frame = loop {
                    if let Some(frame) = self.openwire_frame()? {
                        break frame;
                    }
                    if !self.fill(deadline)? {
                        return Err(Failure::Lost(ErrorKind::TimedOut.into()));
                    }
                };
                let Protocols::OpenWire(openwire) = &mut self.protocol else { unreachable!("matched above") };
                let id = openwire.login(&self.input[frame], user, password, &mut self.output)?;
                self.confirm(id)
            }
        }
    }

    /// Sends what has gathered.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if !self.output.is_empty() {
            let result = self.stream.write_all(&self.output);
            self.output.clear();
            result?;
        }
        Ok(())
    }

    /// Bytes gathered and not flushed.
    pub(crate) fn gathered(&self) -> usize {
        self.output.len()
    }

    /// Waits for one confirmation; deliveries that come before it are an error of the caller's order.
    pub(crate) fn confirm(&mut self, id: u32) -> Result<(), Failure> {
        self.flush()?;
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        loop {
            match self.receive(deadline)? {
                Received::Confirm(confirm) if confirm.id == id => {
                    return confirm.refused.map_or(Ok(()), |text| Err(Failure::Refused(text)));
                }
                Received::Refused(text) => return Err(Failure::Refused(text)),
                Received::Idle => return Err(Failure::Lost(ErrorKind::TimedOut.into())),
                Received::Delivery(_) => {
                    return Err(Failure::Protocol("a delivery where a confirmation was awaited".into()));
                }
                Received::Confirm(_) | Received::Credit(_) | Received::Nothing => {}
            }
        }
    }

    /// Announces the producer, of one destination or of any. `window_bytes` above 0 asks an OpenWire broker for
    /// credits (`ProducerAck`).
    pub(crate) fn open_producer(
        &mut self,
        destination: Option<&Destination>,
        window_bytes: u32,
    ) -> Result<(), Failure> {
        match &mut self.protocol {
            Protocols::Stomp(_) => Ok(()),
            Protocols::OpenWire(openwire) => {
                let id = openwire.add_producer(destination, window_bytes as i32, &mut self.output);
                self.confirm(id)
            }
        }
    }

    /// Gathers a message; returns the number that its confirmation will bear.
    pub(crate) fn send(&mut self, message: &Outgoing<'_>, confirm: bool) -> u32 {
        match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.send(message, confirm, &mut self.output),
            Protocols::Stomp(stomp) => stomp.send(message, confirm, &mut self.output),
        }
    }

    /// Subscribes: the numbers of the confirmation and of the consumer. Deliveries may come before the confirmation.
    pub(crate) fn subscribe(&mut self, subscription: &Subscription<'_>) -> Result<(u32, i64), Failure> {
        let ids = match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.subscribe(subscription, &mut self.output),
            Protocols::Stomp(stomp) => stomp.subscribe(subscription, &mut self.output),
        };
        self.flush()?;
        Ok(ids)
    }

    /// Ends a subscription; returns the number of the confirmation.
    pub(crate) fn unsubscribe(&mut self, consumer: i64) -> Result<u32, Failure> {
        let id = match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.unsubscribe(consumer, &mut self.output),
            Protocols::Stomp(stomp) => stomp.unsubscribe(consumer, &mut self.output),
        };
        self.flush()?;
        Ok(id)
    }

    /// Gathers an acknowledgement of the last delivery (`individual`) or of all since the last one.
    pub(crate) fn ack(&mut self, consumer: i64, individual: bool, transacted: bool, confirm: bool) -> Option<u32> {
        match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.ack(consumer, individual, transacted, confirm, &mut self.output),
            Protocols::Stomp(stomp) => stomp.ack(consumer, transacted, confirm, &mut self.output),
        }
    }

    /// Takes back the acknowledgement of a transaction that was rolled back.
    pub(crate) fn reopen(&mut self) {
        match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.reopen(),
            Protocols::Stomp(stomp) => stomp.reopen(),
        }
    }

    /// Gathers the begin of a transaction.
    pub(crate) fn begin(&mut self) {
        match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.begin(&mut self.output),
            Protocols::Stomp(stomp) => stomp.begin(&mut self.output),
        }
    }

    /// Gathers the end of a transaction; returns the number of the confirmation.
    pub(crate) fn end(&mut self, commit: bool) -> u32 {
        match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.end(commit, &mut self.output),
            Protocols::Stomp(stomp) => stomp.end(commit, &mut self.output),
        }
    }

    /// Says good-bye, as far as the peer still listens.
    pub(crate) fn close(mut self) {
        match &mut self.protocol {
            Protocols::OpenWire(openwire) => openwire.shutdown(&mut self.output),
            Protocols::Stomp(stomp) => stomp.shutdown(&mut self.output),
        }
        // The peer may be gone already, which is what closing wants. Otherwise it is heard to its end: a socket that is
        // closed with something unread throws away what was written and not yet taken.
        if self.flush().is_ok() && self.stream.shutdown(std::net::Shutdown::Write).is_ok() {
            let _ = self.stream.set_read_timeout(Some(CLOSE_TIMEOUT));
            let mut rest = [0; 16 << 10];
            while self.stream.read(&mut rest).is_ok_and(|length| length > 0) {}
        }
    }

    /// The body of a delivery; valid until the next receive.
    pub(crate) fn body(&self, delivery: &Delivery) -> &[u8] {
        &self.input[delivery.body.clone()]
    }

    /// Number of times that the socket was asked for more; between two of them time stands still for what comes.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
    }

    /// The next thing that comes, [`Received::Idle`] at the deadline.
    pub(crate) fn receive(&mut self, deadline: Instant) -> Result<Received, Failure> {
        loop {
            let received = match &mut self.protocol {
                Protocols::OpenWire(_) => match self.openwire_frame()? {
                    Some(frame) => {
                        let Protocols::OpenWire(openwire) = &mut self.protocol else { unreachable!("matched above") };
                        Some(openwire.receive(&self.input[frame.clone()], frame.start, &mut self.output)?)
                    }
                    None => None,
                },
                Protocols::Stomp(stomp) => match stomp.receive(&self.input[self.start..self.end], self.start)? {
                    Some((used, received)) => {
                        self.start += used;
                        Some(received)
                    }
                    None => None,
                },
            };
            match received {
                Some(Received::Nothing) => {}
                Some(received) => return Ok(received),
                None if self.fill(deadline)? => {}
                None => return Ok(Received::Idle),
            }
        }
    }

    /// Takes a whole OpenWire frame off the input: its place without the size prefix.
    fn openwire_frame(&mut self) -> Result<Option<Range<usize>>, Failure> {
        let Some(size) = self.input[self.start..self.end].first_chunk::<4>() else { return Ok(None) };
        let size = u32::from_be_bytes(*size) as usize;
        if size > FRAME_BYTES_MAX {
            return Err(Failure::Protocol(format!("frame of {size} bytes")));
        }
        if self.end - self.start < 4 + size {
            return Ok(None);
        }
        let frame = self.start + 4..self.start + 4 + size;
        self.start = frame.end;
        Ok(Some(frame))
    }

    /// Sends what has gathered, then reads once; false when the deadline passed first.
    fn fill(&mut self, deadline: Instant) -> Result<bool, Failure> {
        self.flush()?;
        self.reads += 1;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.input.len() || self.start > INPUT_BYTES / 2 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.input.len() - self.end < INPUT_BYTES / 4 {
            if self.input.len() > FRAME_BYTES_MAX {
                return Err(Failure::Protocol("input without the end of a frame".into()));
            }
            self.input.resize((self.input.len() * 2).max(INPUT_BYTES), 0);
        }
        let timeout = deadline.saturating_duration_since(Instant::now());
        if timeout.is_zero() {
            self.stream.set_nonblocking(true)?;
            let read = self.stream.read(&mut self.input[self.end..]);
            self.stream.set_nonblocking(false)?;
            return self.filled(read);
        }
        // Setting the time-out is a system call: keep one that is near enough.
        let coarse = timeout.max(Duration::from_millis(1)).min(Duration::from_millis(250));
        if self.timeout != Some(coarse) {
            self.stream.set_read_timeout(Some(coarse))?;
            self.timeout = Some(coarse);
        }
        loop {
            let read = self.stream.read(&mut self.input[self.end..]);
            if self.filled(read)? {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
        }
    }

    fn filled(&mut self, read: std::io::Result<usize>) -> Result<bool, Failure> {
        match read {
            Ok(0) => Err(Failure::Lost(ErrorKind::UnexpectedEof.into())),
            Ok(len) => {
                self.end += len;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
