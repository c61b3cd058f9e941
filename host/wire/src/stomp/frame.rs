//! The frame: a command, headers in order, a body.

use bytes::Bytes;
use bytestring::ByteString;

use super::Version;

/// What arrives on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A whole frame.
    Frame(Frame),
    /// One or more line ends between frames. Every frame that ActiveMQ's clients send has one behind it.
    HeartBeat,
}

/// The first line of a frame. Commands are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Command {
    // From clients.
    Connect,
    Stomp,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    // From servers.
    Connected,
    Message,
    Receipt,
    Error,
    /// Anything else, without the blanks around it.
    Unknown(ByteString),
}

impl Command {
    const KNOWN: [(&'static str, Command); 15] = [
        ("CONNECT", Command::Connect),
        ("STOMP", Command::Stomp),
        ("SEND", Command::Send),
        ("SUBSCRIBE", Command::Subscribe),
        ("UNSUBSCRIBE", Command::Unsubscribe),
        ("ACK", Command::Ack),
        ("NACK", Command::Nack),
        ("BEGIN", Command::Begin),
        ("COMMIT", Command::Commit),
        ("ABORT", Command::Abort),
        ("DISCONNECT", Command::Disconnect),
        ("CONNECTED", Command::Connected),
        ("MESSAGE", Command::Message),
        ("RECEIPT", Command::Receipt),
        ("ERROR", Command::Error),
    ];

    /// The known command of this name, if there is one.
    pub fn known(name: &str) -> Option<Command> {
        Command::KNOWN.iter().find(|(known, _)| *known == name).map(|(_, command)| command.clone())
    }

    /// The command as the first line spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Command::Connect => "CONNECT",
            Command::Stomp => "STOMP",
            Command::Send => "SEND",
            Command::Subscribe => "SUBSCRIBE",
            Command::Unsubscribe => "UNSUBSCRIBE",
            Command::Ack => "ACK",
            Command::Nack => "NACK",
            Command::Begin => "BEGIN",
            Command::Commit => "COMMIT",
            Command::Abort => "ABORT",
            Command::Disconnect => "DISCONNECT",
            Command::Connected => "CONNECTED",
            Command::Message => "MESSAGE",
            Command::Receipt => "RECEIPT",
            Command::Error => "ERROR",
            Command::Unknown(name) => name,
        }
    }

    /// Whether headers of this command are written with escapes in `version`. CONNECT and CONNECTED never are, so that
    /// both sides read them before a version is agreed (STOMP 1.2, "Value Encoding").
    pub(crate) fn escapes(&self, version: Version) -> bool {
        version != Version::V1_0 && !matches!(self, Command::Connect | Command::Connected)
    }
}

/// A command with its headers and body. Decoded headers and bodies are slices of the buffer they arrived in: keep one
/// for long and that buffer stays, so copy what outlives the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What to do.
    pub command: Command,
    /// Names and values without escapes, in order of arrival, repeated ones included.
    pub headers: Vec<(ByteString, ByteString)>,
    /// Without the NUL that ends it.
    pub body: Bytes,
}

impl Frame {
    /// A frame without headers or body.
    pub fn new(command: Command) -> Frame {
        Frame { command, headers: Vec::new(), body: Bytes::new() }
    }

    /// CONNECTED, telling the version that was agreed.
    pub fn connected(version: Version) -> Frame {
        Frame::new(Command::Connected).header("version", version.as_str())
    }

    /// RECEIPT for the request that carried `receipt_id`.
    pub fn receipt(receipt_id: impl Into<ByteString>) -> Frame {
        Frame::new(Command::Receipt).header("receipt-id", receipt_id)
    }

    /// ERROR with a short `message` header and an explanation for people as its body.
    pub fn error(message: impl Into<ByteString>, detail: impl Into<Bytes>) -> Frame {
        Frame::new(Command::Error).header("message", message).header("content-type", "text/plain").body(detail)
    }

    /// The same frame with one more header at its end.
    #[must_use]
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Frame {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same frame with this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Frame {
        self.body = body.into();
        self
    }

    /// The value of the first header of this name; later ones are its history (STOMP 1.2, "Repeated Header Entries").
    pub fn get(&self, name: &str) -> Option<&ByteString> {
        self.headers.iter().find(|(have, _)| *have == *name).map(|(_, value)| value)
    }
}
