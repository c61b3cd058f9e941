//! STOMP 1.0, 1.1 and 1.2 as ActiveMQ speaks them (rows X06, X07).
//!
//! ```text
//!   Login ──CONNECT──> Proving ──login()──> Connecting ──reply──> Connected ──DISCONNECT──> Leaving ──reply──> Closed
//!     └────── anything else, silence, too many bytes: ERROR ───────────────────────────────────────────────────^
//! ```
//!
//! While CONNECT is not decided, by whoever decides logins and by the broker machine, and while too many receipts are outstanding, [`Session::receive`]
//! leaves the buffer alone and [`Session::has_more`] stays true: the caller reads no more and calls again after the
//! next [`Session::handle`]. A pause is the caller's to keep; here it only stops the clock of the client's silence.
//!
//! Start reading at [`StompSession`]; `connect` logs in, `frame` obeys frames, `send` and `delivery` turn frames into
//! messages and back, `subscription` and `transaction` keep what may still be acknowledged.

mod advisory;
mod connect;
mod delivery;
mod destination;
mod frame;
mod heart_beat;
mod send;
mod subscription;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use message::{Command, Event, ProducerId, Receipt, Refusal, RefusalKind, SubscriptionKey, Text, TransactionKey};
use rustc_hash::FxHashMap;
use wire::stomp::{self, Decoder, Frame, FrameWriter, Item, Version};

use crate::rights::Rights;
use crate::{Admitted, Config, Denied, Output, Session, Stats};
use destination::Destinations;
use heart_beat::HeartBeat;
use subscription::Subscription;
use transaction::Transaction;

/// Most receipts that may be outstanding; further frames wait in the read buffer until some have left.
const RECEIPTS_PENDING_MAX: usize = 16 * 1024;
/// Most bytes of answers that one call of [`Session::receive`] writes before it hands them out.
const ANSWER_BYTES_PER_READ_MAX: usize = 256 * 1024;
/// Room in the read buffer beyond the largest frame.
const BUFFER_SLACK_BYTES: usize = 64 * 1024;

/// The machine of one STOMP connection. It takes no frame but CONNECT or STOMP before the login is answered, and
/// answers each receipt once.
pub struct StompSession {
    config: Config,
    /// What the client calls this connection's owner; set by CONNECT.
    client_id: Option<Text>,
    decoder: Decoder,
    version: Version,
    state: State,
    /// The one producer of this connection; its `connection` is the connection's id.
    producer: ProducerId,
    /// Count of the last message taken in.
    sequence: i64,
    subscriptions: BTreeMap<SubscriptionKey, Subscription>,
    /// Keys by the id that the client gave, oldest first, none empty.
    subscription_ids: FxHashMap<Text, Vec<SubscriptionKey>>,
    last_subscription: SubscriptionKey,
    rights: Rights,
    transactions: FxHashMap<Text, Transaction>,
    last_transaction: TransactionKey,
    pending: FxHashMap<Receipt, Pending>,
    last_receipt: Receipt,
    destinations: Destinations,
    heart_beat: HeartBeat,
    /// The caller does not read, so silence means nothing.
    paused: bool,
    /// Whole frames may be in the buffer.
    more: bool,
    /// Bytes left in the buffer by the last call, to tell new ones from old ones.
    left: usize,
    /// Reused for header values that must be put together.
    scratch: String,
    stats: Stats,
}

/// Where the connection stands.
#[derive(Debug)]
enum State {
    /// Only CONNECT or STOMP is listened to.
    Login {
        /// When patience ends.
        until_ms: i64,
        /// Bytes taken so far.
        bytes: usize,
        /// The command line of the frame that is arriving was looked at.
        greeted: bool,
    },
    /// Whether the login is good is being decided.
    Proving(connect::Proving),
    /// The login is with the broker machine.
    Connecting {
        /// When patience ends.
        until_ms: i64,
    },
    /// Frames are obeyed.
    Connected,
    /// DISCONNECT came; no more frames are read, its fence has not been answered.
    Leaving,
    /// The caller was told to close.
    Closed,
}

/// What to do when the broker machine answers.
#[derive(Debug)]
enum Pending {
    /// CONNECTED, with this `request-id`.
    Connect { request_id: Option<Text>, heart_beat: String },
    /// RECEIPT with this id.
    Frame { receipt_id: Text },
    /// RECEIPT, if asked for, then what was delivered meanwhile.
    Subscribe { key: SubscriptionKey, receipt_id: Option<Text> },
    /// RECEIPT, then the end.
    Disconnect { receipt_id: Text },
}

/// Why a frame was not obeyed.
#[derive(Debug)]
enum Failure {
    /// ERROR, and the connection goes on.
    Refused(String),
    /// ERROR, and the connection ends.
    Fatal(RefusalKind, String),
}

fn refused<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Refused(message.into()))
}

impl StompSession {
    /// A machine for a fresh connection. Connections of one process are numbered in order of creation.
    pub fn new(config: Config) -> StompSession {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        StompSession::with_serial(config, CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A machine for a fresh connection that the caller has numbered; no two connections of a run share a number, for
    /// the ids of connection, messages and temporary destinations are made from it.
    pub fn with_serial(config: Config, serial: u64) -> StompSession {
        let run = config.broker.id.rsplit_once('-').map_or(&*config.broker.id, |(run, _)| run);
        let connection = Text::from(format!("{run}-stomp:{serial}"));
        let wire = stomp::Limits { body_bytes_max: config.frame_bytes_max, ..stomp::Limits::default() };
        StompSession {
            client_id: None,
            decoder: Decoder::new(wire),
            version: Version::V1_0,
            state: State::Login { until_ms: i64::MAX, bytes: 0, greeted: false },
            producer: ProducerId { connection: connection.clone(), session: -1, value: 1 },
            sequence: 0,
            subscriptions: BTreeMap::new(),
            subscription_ids: FxHashMap::default(),
            last_subscription: 0,
            rights: Rights::new(&config),
            transactions: FxHashMap::default(),
            last_transaction: 0,
            pending: FxHashMap::default(),
            last_receipt: 0,
            destinations: Destinations::new(connection),
            heart_beat: HeartBeat::default(),
            paused: false,
            more: false,
            left: 0,
            scratch: String::new(),
            stats: Stats::default(),
            config,
        }
    }

    /// Whether frames must wait in the buffer for an answer of the broker machine.
    fn is_held(&self) -> bool {
        matches!(self.state, State::Proving(_) | State::Connecting { .. }) || self.pending.len() >= RECEIPTS_PENDING_MAX
    }

    /// Whether the client can be heard at all.
    fn is_deaf(&self) -> bool {
        self.paused || self.is_held()
    }

    fn read(&mut self, buffer: &mut BytesMut, now_ms: i64, out: &mut Output) {
        let answers_end = out.bytes.len() + ANSWER_BYTES_PER_READ_MAX;
        loop {
            self.more = !buffer.is_empty();
            if matches!(self.state, State::Leaving | State::Closed) {
                buffer.clear();
                self.more = false;
                return;
            }
            if self.is_held()
                || out.commands.len() >= self.config.commands_per_read_max
                || out.bytes.len() >= answers_end
            {
                return;
            }
            if let State::Login { greeted: false, .. } = self.state
                && let Err(failure) = self.look_at_stranger(buffer)
            {
                self.fail(failure, None, out);
                continue;
            }
            let before = buffer.len();
            let item = self.decoder.decode(buffer);
            if let State::Login { bytes, .. } = &mut self.state {
                *bytes += before - buffer.len();
            }
            match item {
                Ok(Some(Item::HeartBeat)) => {}
                Ok(Some(Item::Frame(frame))) => self.take(&frame, now_ms, out),
                Ok(None) => match self.check_login_bytes(buffer.len()) {
                    Ok(()) => {
                        self.more = false;
                        return;
                    }
                    Err(failure) => self.fail(failure, None, out),
                },
                Err(error) => {
                    if let stomp::Error::TooLong { what: "data length" | "frame size", .. } = error {
                        self.stats.limit_hit = Some("frame_bytes_max");
                    }
                    self.fail(Failure::Fatal(RefusalKind::IllegalState, error.to_string()), None, out);
                }
            }
        }
    }

    fn take(&mut self, frame: &Frame, now_ms: i64, out: &mut Output) {
        self.stats.frames_in += 1;
        let done = match self.state {
            State::Login { until_ms, .. } => self.connect(frame, until_ms, out),
            _ => self.obey(frame, now_ms, out),
        };
        if let Err(failure) = done {
            self.fail(failure, frame.get("receipt").map(|id| &**id), out);
        }
    }

    /// Says ERROR, and ends the connection when the failure is fatal.
    fn fail(&mut self, failure: Failure, receipt_id: Option<&str>, out: &mut Output) {
        self.stats.frames_refused += 1;
        match failure {
            Failure::Refused(message) => self.write_error(&message, receipt_id, out),
            Failure::Fatal(kind, message) => {
                self.write_error(&message, receipt_id, out);
                self.close(Refusal::new(kind, message), out);
            }
        }
    }

    fn close(&mut self, why: Refusal, out: &mut Output) {
        self.state = State::Closed;
        out.close.get_or_insert(why);
    }

    /// The client said goodbye. The broker machine hears of it before the client sees any answer, or the client's next
    /// connection would find its client id taken.
    fn leave(&mut self, out: &mut Output) {
        push(out, Command::Disconnect);
        self.close(Refusal::new(RefusalKind::Closing, "client disconnected"), out);
    }

    fn write_error(&mut self, message: &str, receipt_id: Option<&str>, out: &mut Output) {
        self.write(&stomp::Command::Error, out, |writer| {
            writer.header("message", message);
            writer.header("content-type", "text/plain");
            if let Some(id) = receipt_id {
                writer.header("receipt-id", id);
            }
            message
        });
    }

    fn write_receipt(&mut self, receipt_id: &str, out: &mut Output) {
        self.write(&stomp::Command::Receipt, out, |writer| {
            writer.header("receipt-id", receipt_id);
            ""
        });
    }

    /// Writes one frame; `headers` gives back its body.
    fn write<'b>(
        &mut self,
        command: &stomp::Command,
        out: &mut Output,
        headers: impl FnOnce(&mut FrameWriter<'_>) -> &'b str,
    ) {
        let mut writer = FrameWriter::new(command, self.version, &mut out.bytes);
        let body = headers(&mut writer);
        writer.finish(body.as_bytes());
        self.stats.frames_out += 1;
    }

    /// A number for a question, and what to do with its answer.
    fn expect(&mut self, pending: Pending) -> Receipt {
        loop {
            self.last_receipt = self.last_receipt.wrapping_add(1);
            if !self.pending.contains_key(&self.last_receipt) {
                self.pending.insert(self.last_receipt, pending);
                return self.last_receipt;
            }
        }
    }

    /// The question whose answer becomes the frame's RECEIPT; `None` when the client wants none.
    fn receipt(&mut self, frame: &Frame) -> Option<Receipt> {
        let receipt_id = own(frame.get("receipt")?);
        Some(self.expect(Pending::Frame { receipt_id }))
    }

    fn reply(&mut self, receipt: Receipt, outcome: Result<(), Refusal>, out: &mut Output) {
        let Some(pending) = self.pending.remove(&receipt) else { return };
        match (pending, outcome) {
            (Pending::Connect { request_id, heart_beat }, Ok(())) => {
                self.connected(request_id.as_deref(), &heart_beat, out);
            }
            (Pending::Connect { .. }, Err(why)) => {
                self.write_error(&why.message, None, out);
                self.close(why, out);
            }
            (Pending::Frame { receipt_id }, Ok(())) => self.write_receipt(&receipt_id, out),
            (Pending::Frame { receipt_id }, Err(why)) => self.write_error(&why.message, Some(&*receipt_id), out),
            (Pending::Subscribe { key, receipt_id }, Ok(())) => {
                if let Some(id) = receipt_id {
                    self.write_receipt(&id, out);
                }
                self.unpark(key, out);
            }
            (Pending::Subscribe { key, receipt_id }, Err(why)) => {
                self.forget(key, out);
                self.write_error(&why.message, receipt_id.as_deref(), out);
            }
            (Pending::Disconnect { receipt_id }, _) => {
                self.write_receipt(&receipt_id, out);
                self.leave(out);
            }
        }
    }

    fn on_event(&mut self, event: Event, out: &mut Output) {
        match event {
            Event::Deliver(delivery) => self.deliver(delivery, out),
            Event::Reply { receipt, outcome } => self.reply(receipt, outcome, out),
            Event::BrowseEnd { subscription } => self.browse_end(subscription, out),
            Event::SubscriptionClosed { subscription, why } => {
                self.forget(subscription, out);
                self.write_error(&why.message, None, out);
            }
            Event::Failed(why) => self.write_error(&why.message, None, out),
            Event::Pause => self.paused = true,
            Event::Resume => self.paused = false,
            Event::Close(why) => {
                self.write_error(&why.message, None, out);
                self.close(why, out);
            }
            // STOMP subscriptions never pull and its producers have no window.
            Event::PullEmpty { .. } | Event::ProducerAck { .. } => {}
        }
    }
}

impl Session for StompSession {
    fn open(&mut self, now_ms: i64, _out: &mut Output) {
        if let State::Login { until_ms, .. } = &mut self.state {
            *until_ms = now_ms.saturating_add(self.config.login_ms_max);
        }
    }

    fn receive(&mut self, buffer: &mut BytesMut, now_ms: i64, out: &mut Output) {
        if buffer.len() > self.left {
            self.heart_beat.note_read(now_ms);
        }
        let before = out.bytes.len();
        self.read(buffer, now_ms, out);
        self.left = buffer.len();
        if out.bytes.len() > before {
            self.heart_beat.note_write(now_ms);
        }
    }

    fn handle(&mut self, event: Event, now_ms: i64, out: &mut Output) {
        let was_deaf = self.is_deaf();
        let before = out.bytes.len();
        match (&self.state, event) {
            // What comes too late is gone with the connection, but its bytes must not stay in the window.
            (State::Closed, Event::Deliver(delivery)) => out.delivered_bytes += delivery.message.size_bytes() as u64,
            (State::Closed, _) => {}
            (_, event) => self.on_event(event, out),
        }
        if was_deaf && !self.is_deaf() {
            // Nobody listened until now, so the client's silence begins here.
            self.heart_beat.note_read(now_ms);
        }
        if out.bytes.len() > before {
            self.heart_beat.note_write(now_ms);
        }
    }

    fn login(&mut self, outcome: Result<Admitted, Denied>, now_ms: i64, out: &mut Output) {
        let before = out.bytes.len();
        self.decided(outcome, out);
        if out.bytes.len() > before {
            self.heart_beat.note_write(now_ms);
        }
    }

    fn tick(&mut self, now_ms: i64, out: &mut Output) {
        match self.state {
            State::Login { until_ms, .. }
            | State::Proving(connect::Proving { until_ms, .. })
            | State::Connecting { until_ms } => {
                if now_ms >= until_ms {
                    let waited = self.config.login_ms_max;
                    self.stats.limit_hit = Some("login_ms_max");
                    let message = format!("no login within {waited} ms; send CONNECT");
                    self.fail(Failure::Fatal(RefusalKind::IllegalState, message), None, out);
                }
            }
            State::Connected | State::Leaving => {
                if self.is_deaf() || matches!(self.state, State::Leaving) {
                    self.heart_beat.note_read(now_ms);
                }
                if now_ms >= self.rights.until_ms() {
                    let message = "the token of this connection has expired; log in again".to_owned();
                    self.fail(Failure::Fatal(RefusalKind::Security, message), None, out);
                } else if let Some(silence) = self.heart_beat.silence_at(now_ms) {
                    let message = format!("nothing was received for {silence} ms, the agreed heart-beat is shorter");
                    self.fail(Failure::Fatal(RefusalKind::IllegalState, message), None, out);
                } else {
                    self.heart_beat.beat(now_ms, &mut out.bytes);
                }
            }
            State::Closed => {}
        }
    }

    fn timeout_ms(&self) -> Option<i64> {
        match self.state {
            State::Login { until_ms, .. }
            | State::Proving(connect::Proving { until_ms, .. })
            | State::Connecting { until_ms } => Some(until_ms),
            State::Connected | State::Leaving => {
                let until_ms = Some(self.rights.until_ms()).filter(|until_ms| *until_ms < i64::MAX);
                [self.heart_beat.timeout_ms(), until_ms].into_iter().flatten().min()
            }
            State::Closed => None,
        }
    }

    fn has_more(&self) -> bool {
        self.more
    }

    fn buffer_bytes_max(&self) -> usize {
        match self.state {
            State::Login { .. } | State::Proving(_) | State::Connecting { .. } => {
                self.config.login_bytes_max + BUFFER_SLACK_BYTES
            }
            _ => {
                let head = stomp::Limits::default().head_bytes_max;
                self.config.frame_bytes_max.saturating_add(head + BUFFER_SLACK_BYTES)
            }
        }
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// Text of a frame in memory of its own; a slice would hold on to the whole buffer that the frame arrived in.
fn own(text: &str) -> Text {
    Text::from(text)
}

/// Hands one command to the broker machine.
fn push(out: &mut Output, command: Command) {
    out.commands.push(command);
}
