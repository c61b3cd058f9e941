//! Frames in, commands and frames out; time is a number and there is no socket.

mod acknowledging;
mod delivering;
mod hostile;
mod login;
mod rights;
mod sending;
mod subscribing;
mod timing;

use std::sync::Arc;

use bytes::BytesMut;
use message::{Command, Delivery, Destination, Event, Message, MessageId, ProducerId, Receipt, Refusal};
use plugin::auth::Principal;
use wire::stomp::{Decoder, Frame, Item, Limits, Version};

use super::StompSession;
use crate::{Admitted, BrokerInfo, Config, Credentials, Denied, Output, Session, UserId};

const START_MS: i64 = 1_000_000;

/// Who comes in.
fn decide(credentials: &Credentials) -> Result<Admitted, Denied> {
    match (credentials.user.as_deref(), credentials.password.as_deref()) {
        (None, None) => Ok(Admitted::forever(Principal::default())),
        (Some("admin"), Some("secret")) => {
            Ok(Admitted::forever(Principal { name: "admin".into(), ..Default::default() }))
        }
        _ => Err(Denied::Invalid),
    }
}

fn config() -> Config {
    Config {
        broker: BrokerInfo { id: "ID:host-1-2-0:1".into(), name: "test".into(), url: "stomp://host:1".into() },
        remote: "10.0.0.1:5".into(),
        connector: "test".into(),
        certificate_subject: None,
        frame_bytes_max: 1024 * 1024,
        inactivity_ms: 30_000,
        inactivity_initial_delay_ms: 10_000,
        login_ms_max: 30_000,
        commands_per_read_max: 1024,
        login_bytes_max: 64 * 1024,
        consumers_max: 100,
        producers_max: 100,
        sessions_max: 100,
        transactions_max: 10,
        heart_beat_grace: 1.0,
        heart_beat_ms_min: 100,
        selector: selector::Limits::default(),
        properties: message::properties::Limits::default(),
        authorizer: None,
        verdicts_max: 4,
        user_id: UserId::Client,
    }
}

/// A session with what it said since it was last asked.
struct Bench {
    session: StompSession,
    buffer: BytesMut,
    now_ms: i64,
    out: Output,
    version: Version,
    /// Logins are decided by the test, not at once.
    patient: bool,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(config())
    }

    fn with(config: Config) -> Bench {
        let mut bench = Bench {
            session: StompSession::with_serial(config, 7),
            buffer: BytesMut::new(),
            now_ms: START_MS,
            out: Output::default(),
            version: Version::V1_0,
            patient: false,
        };
        bench.session.open(START_MS, &mut bench.out);
        bench
    }

    /// A session that is logged in at `version`.
    fn connected(version: Version) -> Bench {
        Bench::connected_with(config(), version, "")
    }

    fn connected_with(config: Config, version: Version, headers: &str) -> Bench {
        let mut bench = Bench::with(config);
        bench.say(format!("CONNECT\naccept-version:{}\n{headers}\n\0", version.as_str()));
        bench.answer_all(Ok(()));
        assert!(bench.out.close.is_none(), "{:?}", bench.out.close);
        bench.version = version;
        bench.frames();
        bench.commands();
        bench
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.buffer.extend_from_slice(bytes.as_ref());
        self.read();
    }

    /// Reads on as the server does, until nothing is left or the commands must be handed over.
    fn read(&mut self) {
        loop {
            let before = self.buffer.len();
            self.session.receive(&mut self.buffer, self.now_ms, &mut self.out);
            if !self.patient
                && let Some(credentials) = self.out.login.take()
            {
                self.session.login(decide(&credentials), self.now_ms, &mut self.out);
            }
            if !self.session.has_more() || self.buffer.len() == before {
                return;
            }
        }
    }

    fn hear(&mut self, event: Event) {
        self.session.handle(event, self.now_ms, &mut self.out);
        if self.session.has_more() {
            self.read();
        }
    }

    fn tick(&mut self, at_ms: i64) {
        self.now_ms = START_MS + at_ms;
        self.session.tick(self.now_ms, &mut self.out);
    }

    fn commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.out.commands)
    }

    /// The only command.
    fn command(&mut self) -> Command {
        let mut all = self.commands();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.out.bytes.split()).into_owned()
    }

    fn frames(&mut self) -> Vec<Frame> {
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_version(self.version);
        let mut bytes = self.out.bytes.split();
        let mut frames = Vec::new();
        while let Some(item) = decoder.decode(&mut bytes).expect("what we write can be read") {
            if let Item::Frame(frame) = item {
                frames.push(frame);
            }
        }
        assert!(bytes.is_empty(), "half a frame: {bytes:?}");
        frames
    }

    /// The only frame.
    fn frame(&mut self) -> Frame {
        let mut all = self.frames();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// The `message` of the only frame, an ERROR.
    fn error(&mut self) -> String {
        let frame = self.frame();
        assert_eq!(frame.command.as_str(), "ERROR", "{frame:?}");
        frame.get("message").expect("an ERROR says why").to_string()
    }

    /// Answers all commands that want an answer; the commands stay.
    fn answer_all(&mut self, outcome: Result<(), Refusal>) {
        let receipts: Vec<Receipt> = self.out.commands.iter().filter_map(receipt_of).collect();
        for receipt in receipts {
            self.hear(Event::Reply { receipt, outcome: outcome.clone() });
        }
    }

    /// Subscribes, and forgets what was said about it.
    fn subscribe(&mut self, headers: &str) {
        self.say(format!("SUBSCRIBE\n{headers}\n\0"));
        self.answer_all(Ok(()));
        assert_eq!(self.text(), "");
        self.commands();
    }

    fn deliver(&mut self, subscription: u32, tag: u64, message: Message) {
        let message = Arc::new(message);
        self.hear(Event::Deliver(Delivery { subscription, tag, message, redeliveries: 0, group_first: false }));
    }
}

fn receipt_of(command: &Command) -> Option<Receipt> {
    match command {
        Command::Connect(connect) => connect.receipt,
        Command::Subscribe(subscribe) => subscribe.receipt,
        Command::Publish(publish) => publish.receipt,
        Command::Ack(ack) => ack.receipt,
        Command::Fence { receipt } => Some(*receipt),
        Command::Unsubscribe { receipt, .. }
        | Command::RemoveDurable { receipt, .. }
        | Command::AddDestination { receipt, .. }
        | Command::Begin { receipt, .. }
        | Command::Commit { receipt, .. }
        | Command::Rollback { receipt, .. } => *receipt,
        _ => None,
    }
}

/// A text message of a JMS client.
fn text_message(sequence: i64) -> Message {
    let producer = ProducerId { connection: "ID:j-1-2-3:1".into(), session: 1, value: 2 };
    let id = MessageId { producer, sequence, text_view: None };
    let mut message = Message::new(id, Destination::queue("A"));
    message.body_kind = message::BodyKind::Text;
    message.content = Some(message::properties::text_content("hi"));
    message.timestamp = 99;
    message
}
