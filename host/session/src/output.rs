//! What a session hands to its caller.

use bytes::BytesMut;
use message::{Command, Refusal};

use crate::Credentials;

/// Collects what a session wants done. The caller empties it after each call.
#[derive(Debug, Default)]
pub struct Output {
    /// For the broker machine, in order.
    pub commands: Vec<Command>,
    /// For the socket.
    pub bytes: BytesMut,
    /// Deliveries encoded into `bytes` since the caller last took this, in bytes as
    /// [`message::Message::size_bytes`] counts them; the caller reports them as [`Command::Written`] once the socket
    /// has taken the bytes.
    pub delivered_bytes: u64,
    /// A client wants to log in. The caller has it decided and calls [`crate::Session::login`]; until then the session
    /// takes no frame.
    pub login: Option<Credentials>,
    /// The connection must end, for this reason, after `bytes` are written.
    pub close: Option<Refusal>,
}

/// Counters of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames read.
    pub frames_in: u64,
    /// Frames written.
    pub frames_out: u64,
    /// Frames refused: broken, too large, not allowed before login, unknown.
    pub frames_refused: u64,
    /// Messages taken in.
    pub messages_in: u64,
    /// Messages handed out.
    pub messages_out: u64,
    /// Acknowledgements that named nothing the consumer holds (row L08).
    pub acks_stale: u64,
    /// Questions put to the authorizer.
    pub verdicts_asked: u64,
    /// Its answers that refused something; answers that were remembered are not counted again.
    pub verdicts_refused: u64,
    /// The last limit that was hit, by its configuration name; `None` while none was.
    pub limit_hit: Option<&'static str>,
}
