//! One connection's task: a socket, a session, and the two letter boxes.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use message::{Command, ConnectionKey, Event};
use session::{Admitted, Denied, Output, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::{Config, MaySpeak};
use crate::core::{Core, now_ms};
use crate::counters::{Counters, SessionCounters, is_told};
use crate::inbox::{Batch, Content, Input};
use crate::inspection::Inspection;
use crate::logins::Logins;
use crate::outbox::Outbox;
use crate::tls::looks_like_tls;

/// How long a closing connection may take to accept its last bytes.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often somebody who may not speak looks whether he may.
const SILENCE_LOOK: Duration = Duration::from_millis(5);
/// The first read of a connection, in bytes.
const READ_BYTES_FIRST: usize = 1024;
/// Deliveries written before the core hears of it, in bytes.
const WRITTEN_REPORT_BYTES: u64 = 512 * 1024;

/// A login that is being decided.
type Deciding = Pin<Box<dyn Future<Output = Result<Admitted, Denied>> + Send>>;

pub(crate) struct Connection {
    key: ConnectionKey,
    session: Box<dyn Session>,
    core: Arc<Core>,
    outbox: Arc<Outbox>,
    permits: Arc<Semaphore>,
    /// Where logins are decided, and the address that this one's wait under.
    logins: (Arc<Logins>, IpAddr),
    /// The session's login that has not been decided; it takes no frame until then.
    deciding: Option<Deciding>,
    /// Whether what the core says may be passed on. Heart-beats and greetings promise nothing and may always.
    may_speak: MaySpeak,
    /// Something of the core's is encoded and may not have left.
    tells: bool,
    /// Looks at what the client sends, where somebody wants to.
    inspection: Option<Inspection>,
    out: Output,
    events: std::vec::IntoIter<Event>,
    buffer: BytesMut,
    /// How much is read at a time: little until the peer sends much, so that thousands who say little cost little.
    read_bytes: usize,
    read_bytes_max: usize,
    write_buffer_bytes_max: usize,
    /// Deliveries encoded, not yet taken by the socket.
    encoded: u64,
    /// Deliveries taken by the socket, not yet told to the core.
    written: u64,
    /// The core wants nothing more from this client for now.
    paused: bool,
    /// The session was last told that its peer is read.
    reads: bool,
    /// The peer takes nothing any more, for this reason. It is read to its end all the same: a client that sends
    /// without waiting and closes at once has sent.
    deaf: Option<String>,
    /// A batch left that may have been as large as a batch can be.
    full_batch: bool,
    counters: Arc<Counters>,
    shown: Arc<SessionCounters>,
    /// The limit that the session was last seen to hit.
    limit_hit: Option<&'static str>,
    /// TLS lies below: what is written leaves when it is flushed.
    is_secured: bool,
    /// Something was written and may not have left.
    unflushed: bool,
    /// Nothing was read yet.
    fresh: bool,
}

/// Tells the core of the end, however the task ends.
struct Farewell(ConnectionKey, Arc<Core>, Arc<Counters>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.2.end(self.0);
        self.1.push_batch(Batch { connection: self.0, content: Content::Closed });
    }
}

/// What [`push_out`] did.
enum Pushed {
    Bytes(usize),
    Flush,
}

/// Waits until clients may be told something.
async fn silence(may_speak: &MaySpeak) {
    while !may_speak() {
        sleep(SILENCE_LOOK).await;
    }
}

/// Writes what there is; without any, sees to it that what was written leaves. Waits first for `may_speak`, if there is one.
/// Safe to cancel.
async fn push_out(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &mut BytesMut,
    may_speak: Option<&MaySpeak>,
) -> std::io::Result<Pushed> {
    if let Some(may_speak) = may_speak {
        // As late as can be: between this and the write nothing is waited for.
        silence(may_speak).await;
    }
    if bytes.is_empty() {
        writer.flush().await.map(|()| Pushed::Flush)
    } else {
        writer.write_buf(bytes).await.map(Pushed::Bytes)
    }
}

impl Connection {
    pub(crate) fn new(
        key: ConnectionKey,
        session: Box<dyn Session>,
        core: Arc<Core>,
        logins: (Arc<Logins>, IpAddr),
        config: &Config,
        counters: Arc<Counters>,
        is_secured: bool,
    ) -> Connection {
        Connection {
            key,
            session,
            core,
            outbox: Arc::new(Outbox::default()),
            permits: Arc::new(Semaphore::new(config.batches_in_flight_max.max(1))),
            logins,
            deciding: None,
            may_speak: config.may_speak.clone(),
            tells: false,
            inspection: config.inspector.clone().map(Inspection::new),
            out: Output::default(),
            events: Vec::new().into_iter(),
            buffer: BytesMut::new(),
            read_bytes: READ_BYTES_FIRST.min(config.read_buffer_bytes),
            read_bytes_max: config.read_buffer_bytes,
            write_buffer_bytes_max: config.write_buffer_bytes_max,
            encoded: 0,
            written: 0,
            paused: false,
            reads: true,
            deaf: None,
            full_batch: false,
            shown: counters.begin(key),
            counters,
            limit_hit: None,
            is_secured,
            unflushed: false,
            fresh: true,
        }
    }

    /// Serves the connection to its end. Returns why it ended, for the log.
    pub(crate) async fn run(
        mut self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> String {
        self.core.push(Input::Opened(self.key, self.outbox.clone()));
        let _farewell = Farewell(self.key, self.core.clone(), self.counters.clone());
        self.session.open(now_ms(), &mut self.out);
        loop {
            // What came earlier may be taken now: a login was answered, or a batch was handed over.
            self.take_events();
            self.tell_reading();
            if self.out.commands.is_empty() && self.out.close.is_none() && self.session.has_more() {
                self.session.receive(&mut self.buffer, now_ms(), &mut self.out);
            }
            self.begin_login();
            if self.deaf.is_some() {
                self.out.bytes.clear();
            }
            self.show_stats();
            self.note_encoded();
            self.hand_over_if_possible();
            if let Some(why) = self.out.close.take() {
                let _ = timeout(FAREWELL, self.finish(&mut writer)).await;
                return why.message.to_string();
            }
            let handed_over = self.out.commands.is_empty();
            if handed_over && self.events.len() > 0 && !self.is_crowded() && (self.may_speak)() {
                continue;
            }
            if handed_over && std::mem::take(&mut self.full_batch) && self.session.has_more() {
                continue;
            }
            let full = self.buffer.len() >= self.session.buffer_bytes_max();
            let may_read = handed_over && self.reads && !full && !self.session.has_more();
            if may_read && self.buffer.capacity() - self.buffer.len() < self.read_bytes / 16 {
                let room = self.read_bytes.max(self.buffer.len()).min(self.session.buffer_bytes_max());
                self.buffer.reserve(room);
            }
            let may_write = if self.out.bytes.is_empty() { self.unflushed } else { handed_over };
            let spare = self.buffer.capacity() - self.buffer.len();
            let due = self.session.timeout_ms().map_or(Duration::from_secs(60), |due| {
                Duration::from_millis(u64::try_from(due - now_ms()).unwrap_or(0))
            });
            let gate = self.tells.then_some(&self.may_speak);
            tokio::select! {
                biased;
                // Commands leave before the bytes that were encoded with them: a client that reads the answer to its
                // goodbye must find its place free.
                permit = self.permits.clone().acquire_owned(), if !handed_over => match permit {
                    Ok(permit) => self.hand_over(permit),
                    Err(_) => return "the broker stopped".to_owned(),
                },
                pushed = push_out(&mut writer, &mut self.out.bytes, gate), if may_write => match pushed {
                    Ok(Pushed::Bytes(0)) => self.deaf = Some("the peer closed the connection".to_owned()),
                    Ok(Pushed::Bytes(_)) => {
                        self.unflushed = self.is_secured;
                        self.note_written();
                    }
                    Ok(Pushed::Flush) => (self.unflushed, self.tells) = (false, false),
                    Err(error) => {
                        self.unflushed = false;
                        self.deaf = Some(format!("writing failed: {error}"));
                    }
                },
                outcome = decided(&mut self.deciding), if self.deciding.is_some() => {
                    self.deciding = None;
                    self.end_login(outcome);
                }
                () = heard(self.events.len() > 0, &self.outbox, &self.may_speak), if !self.is_crowded() => {}
                read = reader.read_buf(&mut self.buffer), if may_read => match read {
                    Ok(0) => return self.last_words("the peer closed the connection".to_owned()).await,
                    Ok(length) => {
                        if std::mem::take(&mut self.fresh) && !self.is_secured && looks_like_tls(&self.buffer) {
                            return self.mistaken();
                        }
                        if length == spare {
                            self.read_bytes = (self.read_bytes * 8).min(self.read_bytes_max);
                        }
                        self.session.receive(&mut self.buffer, now_ms(), &mut self.out);
                    }
                    Err(error) => return self.last_words(format!("reading failed: {error}")).await,
                },
                () = sleep_until(Instant::now() + due) => self.session.tick(now_ms(), &mut self.out),
            }
            if self.outbox.is_ended() && self.events.len() == 0 && self.out.close.is_none() {
                let _ = timeout(FAREWELL, self.finish(&mut writer)).await;
                return "the broker stopped".to_owned();
            }
        }
    }

    /// The peer is gone, but what it sent before counts: whole frames still in the buffer are taken.
    async fn last_words(mut self, why: String) -> String {
        loop {
            if !self.out.commands.is_empty() {
                match self.permits.clone().acquire_owned().await {
                    Ok(permit) => self.hand_over(permit),
                    Err(_) => break,
                }
            }
            if !self.session.has_more() {
                break;
            }
            self.session.receive(&mut self.buffer, now_ms(), &mut self.out);
            if self.out.commands.is_empty() {
                break;
            }
        }
        self.show_stats();
        self.deaf.unwrap_or(why)
    }

    /// Has a login decided that the session handed out.
    fn begin_login(&mut self) {
        let Some(credentials) = self.out.login.take() else { return };
        let (logins, from) = &self.logins;
        match logins.at_once(&credentials) {
            Some(outcome) => self.end_login(outcome),
            None => self.deciding = Some(Box::pin(logins.clone().decide(*from, credentials))),
        }
    }

    fn end_login(&mut self, outcome: Result<Admitted, Denied>) {
        if let (Some(inspection), Ok(admitted)) = (&mut self.inspection, &outcome) {
            inspection.admit(admitted);
        }
        self.session.login(outcome, now_ms(), &mut self.out);
    }

    /// A client that speaks TLS where nobody else does is told apart from one that speaks nonsense.
    fn mistaken(self) -> String {
        let count = self.counters.mistaken.count();
        let why =
            "the client speaks TLS, this connector does not; have it use tcp:// or stomp://, or a connector of ssl://";
        if is_told(count) {
            tracing::warn!(count, "{why}");
        }
        why.to_owned()
    }

    /// Lets others see what the session counted.
    fn show_stats(&mut self) {
        let stats = self.session.stats();
        self.shown.show(stats);
        if stats.limit_hit != self.limit_hit {
            self.limit_hit = stats.limit_hit;
            self.limit_hit.into_iter().for_each(|limit| self.counters.hit(limit));
        }
    }

    /// Tells the session when nothing is read from its peer, whose silence means nothing then.
    fn tell_reading(&mut self) {
        let reads = !self.paused && !self.is_crowded();
        if reads != self.reads {
            self.reads = reads;
            let event = if reads { Event::Resume } else { Event::Pause };
            self.session.handle(event, now_ms(), &mut self.out);
        }
    }

    fn is_crowded(&self) -> bool {
        self.out.bytes.len() >= self.write_buffer_bytes_max
    }

    /// Encodes events, if they may be passed on, until there are none or the write buffer is full; the rest waits.
    fn take_events(&mut self) {
        if !(self.may_speak)() {
            return;
        }
        let now = now_ms();
        while !self.is_crowded() {
            if self.events.len() == 0 {
                self.events = self.outbox.take().into_iter();
            }
            match self.events.next() {
                Some(Event::Pause) => self.paused = true,
                Some(Event::Resume) => self.paused = false,
                Some(event) => {
                    self.tells = true;
                    self.session.handle(event, now, &mut self.out);
                }
                None => return,
            }
        }
    }

    fn note_encoded(&mut self) {
        self.encoded += std::mem::take(&mut self.out.delivered_bytes);
        if self.out.bytes.is_empty() {
            self.note_written();
        }
    }

    /// Once the socket has all that was encoded, the core hears of it in large portions.
    fn note_written(&mut self) {
        if self.out.bytes.is_empty() {
            self.tells &= self.unflushed;
            self.written += std::mem::take(&mut self.encoded);
            if self.out.bytes.capacity() > 4 * self.write_buffer_bytes_max {
                self.out.bytes = BytesMut::new();
            }
            if self.written >= WRITTEN_REPORT_BYTES {
                self.out.commands.push(Command::Written { bytes: std::mem::take(&mut self.written) });
            }
        }
    }

    fn hand_over_if_possible(&mut self) {
        if !self.out.commands.is_empty()
            && let Ok(permit) = self.permits.clone().try_acquire_owned()
        {
            self.hand_over(permit);
        }
    }

    fn hand_over(&mut self, permit: OwnedSemaphorePermit) {
        if self.written > 0 {
            self.out.commands.push(Command::Written { bytes: std::mem::take(&mut self.written) });
        }
        let mut commands = std::mem::take(&mut self.out.commands);
        if let Some(inspection) = &mut self.inspection {
            inspection.look(&mut commands, now_ms());
        }
        self.full_batch = true;
        self.core.push_batch(Batch { connection: self.key, content: Content::Commands(commands, permit) });
    }

    /// Writes the last bytes and hands over the last commands.
    async fn finish(&mut self, writer: &mut (impl AsyncWrite + Unpin)) {
        if !self.out.commands.is_empty()
            && let Ok(permit) = self.permits.clone().acquire_owned().await
        {
            self.hand_over(permit);
        }
        if self.tells {
            silence(&self.may_speak).await;
        }
        let _ = writer.write_all(&self.out.bytes).await;
        let _ = writer.shutdown().await;
    }
}

/// Waits until there is something of the core's, if nothing `waits` already, and until it may be passed on. Safe to cancel.
async fn heard(waits: bool, outbox: &Outbox, may_speak: &MaySpeak) {
    if !waits {
        outbox.ready().await;
    }
    silence(may_speak).await;
}

/// The end of a login under way; never without one.
async fn decided(deciding: &mut Option<Deciding>) -> Result<Admitted, Denied> {
    match deciding {
        Some(deciding) => deciding.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Who may not speak keeps its bytes; when it may again they leave, whole and once.
    #[tokio::test]
    async fn nothing_is_said_before_it_may_be() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let looks = Arc::new(AtomicU32::new(0));
        let counted = looks.clone();
        let may_speak: MaySpeak = Arc::new(move || counted.fetch_add(1, Ordering::SeqCst) >= 3);
        let mut bytes = BytesMut::from(&b"receipt"[..]);
        assert!(matches!(push_out(&mut near, &mut bytes, Some(&may_speak)).await, Ok(Pushed::Bytes(7))));
        assert_eq!(looks.load(Ordering::SeqCst), 4);
        assert!(bytes.is_empty());
        drop(near);
        let mut said = Vec::new();
        far.read_to_end(&mut said).await.expect("read");
        assert_eq!(said, b"receipt");
    }
}
