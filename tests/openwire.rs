//! A small OpenWire client over `wire`, which can also send what no client should.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::BytesMut;
use bytestring::ByteString;
use wire::openwire::*;

use crate::support::PATIENCE;

/// Each client has a connection id of its own.
static CLIENTS: AtomicU32 = AtomicU32::new(1);

/// The number of the session that every client has, and of the producer in it.
const NUMBER: i64 = 1;

/// An OpenWire connection: version 12, loose, without a cache.
pub(crate) struct OpenWire {
    socket: TcpStream,
    format: Format,
    unread: BytesMut,
    /// Messages that came before an answer that was waited for.
    early: std::collections::VecDeque<Message>,
    command_id: i32,
    sequence: i64,
    pub(crate) id: ByteString,
}

impl OpenWire {
    /// Without a word.
    pub(crate) fn open(address: SocketAddr) -> OpenWire {
        let socket = TcpStream::connect(address).expect("a broker");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        OpenWire {
            socket,
            format: Format::new(Limits::default()),
            unread: BytesMut::new(),
            early: Default::default(),
            command_id: 0,
            sequence: 0,
            id: format!("ID:house-{}", CLIENTS.fetch_add(1, Ordering::Relaxed)).into(),
        }
    }

    /// Greeted, but not logged in.
    pub(crate) fn agreed(address: SocketAddr) -> OpenWire {
        OpenWire::agreed_with(address, WireFormatInfo::new(VERSION, &[]))
    }

    pub(crate) fn agreed_with(address: SocketAddr, ours: WireFormatInfo) -> OpenWire {
        let mut client = OpenWire::open(address);
        let theirs = client.frame();
        let Command::WireFormatInfo(theirs) = theirs else { panic!("the broker greets with {theirs:?}") };
        client.send(ours.clone()).expect("sent");
        client.format.renegotiate(&theirs, &ours).expect("agreement");
        let info = client.frame();
        assert!(matches!(info, Command::BrokerInfo(_)), "{info:?}");
        client
    }

    /// Logged in, with a session and a producer.
    pub(crate) fn connect(address: SocketAddr) -> OpenWire {
        OpenWire::agreed(address).logged_in()
    }

    pub(crate) fn logged_in(mut self) -> OpenWire {
        let id = self.id.clone();
        let login = ConnectionInfo { connection_id: Some(ConnectionId { value: id }), ..Default::default() };
        self.ask(login).expect("a login");
        self.ask(SessionInfo { session_id: Some(self.session()), ..Default::default() }).expect("a session");
        self.ask(ProducerInfo { producer_id: Some(self.producer()), ..Default::default() }).expect("a producer");
        self
    }

    pub(crate) fn session(&self) -> SessionId {
        SessionId { connection: self.id.clone(), value: NUMBER }
    }

    pub(crate) fn producer(&self) -> ProducerId {
        ProducerId { connection: self.id.clone(), session: NUMBER, value: NUMBER }
    }

    pub(crate) fn consumer(&self, value: i64) -> ConsumerId {
        ConsumerId { connection: self.id.clone(), session: NUMBER, value }
    }

    /// The next message of the client's producer, not yet sent.
    pub(crate) fn message(&mut self, queue: &str, body: &str) -> Message {
        self.sequence += 1;
        let id = MessageId { producer: self.producer(), sequence: self.sequence, ..Default::default() };
        Message {
            producer_id: Some(self.producer()),
            destination: Some(self::queue(queue)),
            message_id: Some(id),
            persistent: true,
            content: Some(body.to_owned().into()),
            kind: MessageKind::Bytes,
            ..Message::default()
        }
    }

    pub(crate) fn publish(&mut self, queue: &str, body: &str) {
        let message = self.message(queue, body);
        self.ask(message).expect("confirmed");
    }

    pub(crate) fn consumer_info(&self, value: i64, queue: &str) -> ConsumerInfo {
        ConsumerInfo {
            consumer_id: Some(self.consumer(value)),
            destination: Some(self::queue(queue)),
            prefetch_size: 1000,
            ..ConsumerInfo::default()
        }
    }

    /// Sends a command that wants no answer.
    pub(crate) fn send(&mut self, command: impl Into<Command>) -> std::io::Result<()> {
        let bytes = self.encode(command);
        self.send_bytes(&bytes)
    }

    /// The frame of a command as it would be sent now.
    pub(crate) fn encode(&mut self, command: impl Into<Command>) -> Vec<u8> {
        let mut out = BytesMut::new();
        self.format.encode(&command.into(), &mut out).expect("a command that can be written");
        out.to_vec()
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends what the broker takes now; none when it takes nothing.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        self.socket.set_nonblocking(true).expect("a socket");
        let written = self.socket.write(bytes);
        self.socket.set_nonblocking(false).expect("a socket");
        match written {
            Ok(length) => Some(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("the connection ended: {error}"),
        }
    }

    /// Nothing more will be sent.
    pub(crate) fn hang_up(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Sends a command and waits for its answer; an exception is its class and text.
    pub(crate) fn ask(&mut self, command: impl Into<Command>) -> Result<Command, String> {
        let mut command = command.into();
        self.command_id += 1;
        let id = self.command_id;
        *command.header_mut().expect("a command that can be answered") =
            Header { command_id: id, response_required: true };
        self.send(command).map_err(|error| error.to_string())?;
        loop {
            match self.read_frame() {
                Some(Command::Response(answer)) if answer.correlation_id == id => return Ok(answer.into()),
                Some(Command::ExceptionResponse(answer)) if answer.correlation_id == id => {
                    let exception = answer.exception.unwrap_or_default();
                    return Err(format!("{}: {}", exception.class, exception.message.unwrap_or_default()));
                }
                Some(Command::KeepAliveInfo(info)) if info.header.command_id == id => return Ok(info.into()),
                Some(Command::MessageDispatch(dispatch)) => self.early.extend(dispatch.message.map(|boxed| *boxed)),
                Some(_) => {}
                None => return Err("the connection ended".to_owned()),
            }
        }
    }

    /// Whether the connection is there and the broker answers on it.
    pub(crate) fn is_well(&mut self) -> bool {
        matches!(self.ask(KeepAliveInfo::default()), Ok(Command::KeepAliveInfo(_)))
    }

    /// The next message.
    pub(crate) fn receive(&mut self) -> Message {
        if let Some(message) = self.early.pop_front() {
            return message;
        }
        loop {
            match self.frame() {
                Command::MessageDispatch(dispatch) => return *dispatch.message.expect("a message"),
                Command::KeepAliveInfo(_) => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    pub(crate) fn frame(&mut self) -> Command {
        self.read_frame().expect("a frame")
    }

    /// The next frame, `None` at the end of the connection.
    pub(crate) fn read_frame(&mut self) -> Option<Command> {
        loop {
            if let Some(command) = self.format.decode(&mut self.unread).expect("the broker's frames are sound") {
                return Some(command);
            }
            let mut buffer = [0; 16384];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame in time: {error}"),
            }
        }
    }

    /// What the broker says until it closes the connection.
    pub(crate) fn last_words(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.read_frame()).collect()
    }
}

pub(crate) fn queue(name: &str) -> Destination {
    Destination { kind: DestinationKind::Queue, name: name.to_owned().into() }
}

/// Frames of ActiveMQ's own client as version 12, loose and without a cache writes them, by name.
pub(crate) fn golden() -> Vec<(&'static str, Vec<u8>)> {
    let mut frames = Vec::new();
    for line in include_str!("fixtures/openwire/golden.txt").lines() {
        if let [name, "12", "loose", "plain", hex] = line.split(' ').collect::<Vec<_>>()[..] {
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
            frames.push((name, (0..hex.len()).step_by(2).map(byte).collect()));
        }
    }
    frames
}
