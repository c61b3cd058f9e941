//! OpenWire, ActiveMQ's own protocol: the machine of one client connection.
//!
//! It turns frames into commands for the broker machine and events into frames. Start reading at [`OpenWireSession`]
//! and its [`Session`] methods; `handshake` is what comes before login, `obey` what each command does after it, `held`
//! how acknowledgements find the deliveries they mean.
//!
//! ```text
//!  Greeting ──WireFormatInfo──> Stranger ──ConnectionInfo──> Proving ──login()──> Joining ──Reply──> Open
//!      └───────────────────────────┴─────── anything else ──> Closed <──ShutdownInfo── Leaving <──RemoveInfo──┘
//! ```
//!
//! Invariants: no command leaves before the login was answered, but the login itself (V10); a command that wants an
//! answer gets exactly one; nothing that outlives its frame holds the read buffer alive; no input panics.

mod acknowledge;
mod advisory;
mod clock;
mod convert;
mod deliver;
mod handshake;
mod held;
mod obey;
mod replies;
mod send;
mod subscribe;
#[cfg(test)]
mod tests;
mod transaction;

use bytes::{Buf, BytesMut};
use message::{Event, Refusal, RefusalKind, SubscriptionKey, Text, TransactionKey};
use rustc_hash::{FxHashMap, FxHashSet};
use wire::openwire::{Command, Error, Format, KeepAliveInfo, Limits, WireFormatInfo};

use self::clock::Clock;
use self::replies::Replies;
use self::send::Memory;
use self::subscribe::Consumer;
use self::transaction::Transaction;
use crate::rights::Rights;
use crate::{Admitted, Config, Denied, Output, Session, Stats};

/// Frames below this many bytes are copied once before they are read, so that a message that is kept holds its own
/// bytes and not the read buffer that it came in.
const COPIED_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Bytes that the caller may read beyond one frame.
const BUFFER_SLACK_BYTES: usize = 64 * 1024;

/// What is particular to OpenWire, beside [`Config`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The oldest version accepted (`minmumWireFormatVersion`, spelt so; default 0, row W06).
    pub version_min: i32,
    /// A client id in use is taken from its holder (`allowLinkStealing`, default false, row F24).
    pub link_stealing: bool,
    /// Deliveries that one consumer may hold unacknowledged, whatever its prefetch (default 1000000). A consumer that
    /// holds more is told so and its connection ends.
    pub held_max: usize,
    /// Commands that may wait for the broker's answer at once (default 100000).
    pub replies_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { version_min: 0, link_stealing: false, held_max: 1_000_000, replies_max: 100_000 }
    }
}

/// How far the connection has come; see the drawing at the head of this module.
#[derive(Debug)]
enum State {
    /// The peer's `WireFormatInfo` has not come.
    Greeting,
    /// Agreed, but nobody has logged in. A failover client keeps spare connections in this state (row F07).
    Stranger {
        /// A `BrokerInfo` came; a second one is refused.
        introduced: bool,
    },
    /// Whether the login is good is being decided. No frame is taken until it is.
    Proving(handshake::Joining),
    /// The login is with the broker machine. No frame is read until it has answered.
    Joining(handshake::Joining),
    /// Logged in.
    Open,
    /// The client has taken its connection back; only its good-bye is awaited.
    Leaving,
    /// `Output::close` was set; nothing is read and nothing is written.
    Closed,
}

/// What the client has built up since it logged in.
#[derive(Debug, Default)]
struct Client {
    /// Id of the connection, as the client chose it.
    id: Text,
    /// JMS client id.
    client_id: Option<Text>,
    /// Numbers of its sessions; -1, the connection's own, is not among them.
    sessions: FxHashSet<i64>,
    /// Producers by session and number.
    producers: FxHashMap<(i64, i64), Producer>,
    /// Subscription keys by session and number of the consumer.
    consumer_keys: FxHashMap<(i64, i64), SubscriptionKey>,
    consumers: FxHashMap<SubscriptionKey, Consumer>,
    /// Open local transactions by the client's number.
    transactions: FxHashMap<i64, Transaction>,
    /// It has come back after a failover and done nothing yet but to restore what it had.
    returning: bool,
    subscription_last: SubscriptionKey,
    transaction_last: TransactionKey,
}

/// A producer of the client.
#[derive(Clone, Copy, Debug)]
struct Producer {
    /// Its sends without an answer are acknowledged by size (row W34).
    windowed: bool,
}

/// The machine of one OpenWire connection.
pub struct OpenWireSession {
    config: Config,
    options: Options,
    format: Format,
    state: State,
    client: Client,
    rights: Rights,
    replies: Replies,
    clock: Clock,
    memory: Memory,
    /// What was offered; kept to agree upon it with the peer's offer.
    offer: WireFormatInfo,
    /// The client knows `jakarta.jms`; older ones know `javax.jms`.
    jakarta: bool,
    /// Bytes of frames taken before login; a keep-alive that comes in good time starts over.
    login_bytes: usize,
    login_bytes_since: i64,
    /// The buffer was not empty when [`Session::receive`] returned early.
    more: bool,
    stats: Stats,
}

impl OpenWireSession {
    /// A session that has not spoken yet.
    pub fn new(config: Config, options: Options) -> OpenWireSession {
        let limits =
            Limits { frame_bytes_max: config.frame_bytes_max, version_min: options.version_min, ..Limits::default() };
        let offer = handshake::offer(&config, &limits);
        OpenWireSession {
            format: Format::new(limits),
            clock: Clock::new(),
            rights: Rights::new(&config),
            config,
            options,
            state: State::Greeting,
            client: Client::default(),
            replies: Replies::default(),
            memory: Memory::default(),
            offer,
            jakarta: false,
            login_bytes: 0,
            login_bytes_since: 0,
            more: false,
            stats: Stats::default(),
        }
    }

    /// The next command of the buffer. An error ends the connection.
    fn next_command(&mut self, buffer: &mut BytesMut) -> Result<Option<Command>, Refusal> {
        if matches!(self.state, State::Greeting) {
            handshake::refuse_foreign(buffer)?;
        }
        let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
        let need = (u32::from_be_bytes(*prefix) as usize).saturating_add(4);
        let stranger = matches!(self.state, State::Greeting | State::Stranger { .. });
        if stranger && self.login_bytes.saturating_add(need) > self.config.login_bytes_max {
            self.stats.limit_hit = Some("login_bytes_max");
            let limit = self.config.login_bytes_max;
            let text = format!("{need} bytes more before login, at most {limit} are taken (login_bytes_max)");
            return Err(Refusal::new(RefusalKind::ResourceAllocation, text));
        }
        let whole = buffer.len() >= need;
        let kept = !matches!(buffer.get(4), Some(7 | 10 | 20 | 22));
        let command = if whole && kept && need < COPIED_FRAME_BYTES_MAX {
            let mut copy = BytesMut::from(&buffer[..need]);
            buffer.advance(need);
            self.format.decode(&mut copy)
        } else {
            self.format.decode(buffer)
        };
        if stranger && whole {
            self.login_bytes += need;
        }
        command.map_err(|error| self.broken(&error))
    }

    /// The frames can no longer be told apart.
    fn broken(&mut self, error: &Error) -> Refusal {
        if let Error::FrameTooLarge { .. } = error {
            self.stats.limit_hit = Some("frame_bytes_max");
        }
        Refusal::new(RefusalKind::IllegalState, format!("broken frame: {error}"))
    }

    fn take(&mut self, command: Command, now_ms: i64, out: &mut Output) {
        self.stats.frames_in += 1;
        match self.state {
            State::Greeting | State::Stranger { .. } => self.meet(command, now_ms, out),
            State::Open => self.obey(command, out),
            State::Leaving => self.part(command, out),
            State::Proving(_) | State::Joining(_) | State::Closed => {}
        }
    }

    /// Ends the connection once what is written has left.
    fn close(&mut self, why: Refusal, out: &mut Output) {
        self.state = State::Closed;
        self.more = false;
        out.close.get_or_insert(why);
    }

    /// Appends a frame. One that cannot be written in what was agreed is left out; all of ours can.
    fn write(&mut self, command: impl Into<Command>, out: &mut Output) {
        if self.format.encode(&command.into(), &mut out.bytes).is_ok() {
            self.stats.frames_out += 1;
        }
    }

    fn keep_alive(&mut self, info: KeepAliveInfo, out: &mut Output) {
        if info.header.response_required {
            let mut answer = info;
            answer.header.response_required = false;
            self.write(answer, out);
        }
    }
}

impl Session for OpenWireSession {
    fn open(&mut self, now_ms: i64, out: &mut Output) {
        self.clock.open(now_ms);
        self.login_bytes_since = now_ms;
        self.write(self.offer.clone(), out);
        self.clock.wrote(now_ms);
    }

    fn receive(&mut self, buffer: &mut BytesMut, now_ms: i64, out: &mut Output) {
        self.clock.read(now_ms);
        self.more = false;
        let written = out.bytes.len();
        while !matches!(self.state, State::Proving(_) | State::Joining(_) | State::Closed) {
            if out.commands.len() >= self.config.commands_per_read_max {
                self.more = !buffer.is_empty();
                break;
            }
            match self.next_command(buffer) {
                Ok(None) => break,
                Ok(Some(command)) => self.take(command, now_ms, out),
                Err(why) => {
                    self.stats.frames_refused += 1;
                    self.close(why, out);
                }
            }
        }
        match self.state {
            State::Proving(_) | State::Joining(_) => self.more = !buffer.is_empty(),
            State::Closed => buffer.clear(),
            _ => {}
        }
        if out.bytes.len() != written {
            self.clock.wrote(now_ms);
        }
    }

    fn handle(&mut self, event: Event, now_ms: i64, out: &mut Output) {
        let written = out.bytes.len();
        self.hear(event, now_ms, out);
        if out.bytes.len() != written {
            self.clock.wrote(now_ms);
        }
    }

    fn login(&mut self, outcome: Result<Admitted, Denied>, now_ms: i64, out: &mut Output) {
        let written = out.bytes.len();
        self.decided(outcome, out);
        if out.bytes.len() != written {
            self.clock.wrote(now_ms);
        }
    }

    fn tick(&mut self, now_ms: i64, out: &mut Output) {
        self.watch(now_ms, out);
    }

    fn timeout_ms(&self) -> Option<i64> {
        self.next_watch()
    }

    fn has_more(&self) -> bool {
        self.more && !matches!(self.state, State::Proving(_) | State::Joining(_))
    }

    fn buffer_bytes_max(&self) -> usize {
        match self.state {
            State::Greeting | State::Stranger { .. } | State::Proving(_) | State::Joining(_) => {
                self.config.login_bytes_max.saturating_add(BUFFER_SLACK_BYTES)
            }
            _ => self.config.frame_bytes_max.saturating_add(4 + BUFFER_SLACK_BYTES),
        }
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// A copy of the text in an allocation of its own, for what outlives its frame.
fn detach(text: &Text) -> Text {
    Text::from(&text[..])
}
