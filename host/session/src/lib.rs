//! One machine per client connection: bytes of a protocol in, commands for the broker machine out; events of the broker
//! machine in, bytes out.
//!
//! A session knows its protocol's frames and the words of `message`; it never knows sockets, clocks, threads or the
//! broker machine itself. Nothing but the handshake is obeyed before login (V10): a session hands out no command before
//! it has handed out [`Output::login`], heard that it was accepted, handed out [`message::Command::Connect`] and heard
//! its answer. What a client may do afterwards is asked per destination, see [`Authorizer`].
//!
//! Start reading at [`Session`]; `openwire` and `stomp` are the two machines behind it.
//!
//! ```text
//!   socket bytes ──> receive() ──> Output.commands ──> broker machine
//!   broker machine ──> handle() ──> Output.bytes ──> socket
//!   Output.login ──> who decides ──> login()
//!   time ──> tick()                  Output.close: write what is there, then close
//! ```

mod config;
mod login;
mod output;
mod rights;

pub mod openwire;
pub mod stomp;

use bytes::BytesMut;
use message::Event;

pub use config::{BrokerInfo, Config, Protocol};
pub use login::{Admitted, Authenticator, Authorizer, Credentials, Denied, Inspector, UserId, Verdict};
pub use output::{Output, Stats};

/// The machine of one connection.
///
/// All methods append to `out`; none blocks. After [`Output::close`] is set the caller writes what is in
/// `out.bytes`, closes the socket, sends [`message::Command::Disconnect`] to the broker machine if a
/// [`message::Command::Connect`] ever left, and drops the session.
pub trait Session: Send {
    /// The connection is open: a protocol that speaks first does so here.
    fn open(&mut self, now_ms: i64, out: &mut Output);

    /// Bytes came. Takes all whole frames out of `buffer` and leaves the rest for the next call. Stops early, leaving
    /// whole frames, once `out.commands` holds [`Config::commands_per_read_max`] commands; the caller calls again when
    /// those are handed over.
    fn receive(&mut self, buffer: &mut BytesMut, now_ms: i64, out: &mut Output);

    /// The broker machine said something to this connection.
    fn handle(&mut self, event: Event, now_ms: i64, out: &mut Output);

    /// What [`Output::login`] asked was decided. Without such a question nothing happens.
    fn login(&mut self, outcome: Result<Admitted, Denied>, now_ms: i64, out: &mut Output);

    /// Time went by. Keep-alives leave here, silence is noticed here.
    fn tick(&mut self, now_ms: i64, out: &mut Output);

    /// When [`Session::tick`] should be called at the latest, in ms since 1970; `None` for no timer.
    fn timeout_ms(&self) -> Option<i64>;

    /// Whether whole frames may still be in the buffer although [`Session::receive`] returned.
    fn has_more(&self) -> bool;

    /// The most bytes the caller should hold in its read buffer for this session: the frame limit plus slack.
    fn buffer_bytes_max(&self) -> usize;

    /// What happened so far.
    fn stats(&self) -> &Stats;
}
