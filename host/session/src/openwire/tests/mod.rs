//! A client in a test's hands: it speaks through the codec, time is a number, the broker machine is the test.

mod acknowledgements;
mod handshake;
mod hostile;
mod lifecycle;
mod login;
mod messages;
mod rights;

use std::sync::Arc;

use bytes::BytesMut;
use message::{Command as Ask, Delivery, Event, Message, MessageId, Receipt, Refusal, RefusalKind, Text};
use plugin::auth::Principal;
use wire::openwire::{self as ow, Command, Format, Header, Limits, Property, WireFormatInfo};

use super::{OpenWireSession, Options};
use crate::{Admitted, BrokerInfo, Config, Credentials, Denied, Output, Session, UserId};

/// Who comes in.
fn decide(credentials: &Credentials) -> Result<Admitted, Denied> {
    match (credentials.user.as_deref(), credentials.password.as_deref()) {
        (Some("eve"), _) => Err(Denied::Invalid),
        (user, _) => Ok(Admitted::forever(Principal { name: user.unwrap_or_default().into(), ..Default::default() })),
    }
}

fn config() -> Config {
    Config {
        broker: BrokerInfo { id: "ID:broker-1".into(), name: "house".into(), url: "tcp://house:61616".into() },
        remote: "tcp://10.0.0.1:5000".into(),
        connector: "test".into(),
        certificate_subject: None,
        frame_bytes_max: 1 << 20,
        inactivity_ms: 30_000,
        inactivity_initial_delay_ms: 10_000,
        login_ms_max: 30_000,
        commands_per_read_max: 1024,
        login_bytes_max: 64 * 1024,
        consumers_max: 5,
        producers_max: 5,
        sessions_max: 3,
        transactions_max: 2,
        heart_beat_grace: 1.0,
        heart_beat_ms_min: 10_000,
        selector: selector::Limits::default(),
        properties: message::properties::Limits { count_max: 8, ..Default::default() },
        authorizer: None,
        verdicts_max: 4,
        user_id: UserId::Client,
    }
}

/// Both ends of one connection.
struct Peer {
    session: OpenWireSession,
    format: Format,
    out: Output,
    now: i64,
    command_id: i32,
    rest: BytesMut,
    /// Logins are decided by the test, not at once.
    patient: bool,
}

const CONNECTION: &str = "ID:client-1:1";

impl Peer {
    fn new() -> Peer {
        Peer::with(config(), Options::default())
    }

    fn with(config: Config, options: Options) -> Peer {
        let mut peer = Peer {
            session: OpenWireSession::new(config, options),
            format: Format::new(Limits::default()),
            out: Output::default(),
            now: 1_000_000,
            command_id: 0,
            rest: BytesMut::new(),
            patient: false,
        };
        peer.session.open(peer.now, &mut peer.out);
        peer
    }

    /// Agrees on a format and takes the broker's greeting.
    fn agree(mut self, version: i32, tight: bool, cache: bool, provider: &str) -> Peer {
        let ours = offer(version, tight, cache, provider);
        let theirs = match &self.frames()[..] {
            [Command::WireFormatInfo(info)] => info.clone(),
            other => panic!("{other:?}"),
        };
        self.tell(ours.clone());
        self.format.renegotiate(&theirs, &ours).expect("an offer of the broker's own");
        match &self.frames()[..] {
            [Command::BrokerInfo(info)] => assert_eq!(info.broker_name.as_deref(), Some("house")),
            other => panic!("{other:?}"),
        }
        self
    }

    fn agreed() -> Peer {
        Peer::new().agree(12, true, true, "6.2.0")
    }

    fn joined(mut self) -> Peer {
        let id = self.ask(login("bob"));
        self.accept();
        assert_eq!(self.answers(), [(id, None)]);
        self.sessions()
    }

    fn sessions(mut self) -> Peer {
        self.tell(ow::SessionInfo { session_id: Some(session_id(1)), ..Default::default() });
        self
    }

    /// Logged in, with session 1.
    fn open() -> Peer {
        Peer::agreed().joined()
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        self.session.receive(&mut self.rest, self.now, &mut self.out);
        if !self.patient
            && let Some(credentials) = self.out.login.take()
        {
            self.session.login(decide(&credentials), self.now, &mut self.out);
        }
    }

    fn encode(&mut self, command: &Command) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        self.format.encode(command, &mut bytes).expect("a command of the test's own");
        bytes.to_vec()
    }

    /// Sends a command as it is.
    fn tell(&mut self, command: impl Into<Command>) {
        let bytes = self.encode(&command.into());
        self.receive(&bytes);
    }

    /// Sends a command that wants an answer; its command id.
    fn ask(&mut self, command: impl Into<Command>) -> i32 {
        let mut command = command.into();
        self.command_id += 1;
        if let Some(header) = command.header_mut() {
            *header = Header { command_id: self.command_id, response_required: true };
        }
        self.tell(command);
        self.command_id
    }

    /// What the broker has written since it was last asked.
    fn frames(&mut self) -> Vec<Command> {
        let mut frames = Vec::new();
        while let Some(frame) = self.format.decode(&mut self.out.bytes).expect("frames of the broker's own") {
            frames.push(frame);
        }
        frames
    }

    /// Answers among the frames: the command answered, and the exception's class.
    fn answers(&mut self) -> Vec<(i32, Option<String>)> {
        self.frames()
            .into_iter()
            .filter_map(|frame| match frame {
                Command::Response(answer) => Some((answer.correlation_id, None)),
                Command::ExceptionResponse(answer) => {
                    let class = answer.exception.expect("an exception").class;
                    Some((answer.correlation_id, Some(class.to_string())))
                }
                _ => None,
            })
            .collect()
    }

    fn commands(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.out.commands)
    }

    fn hear(&mut self, event: Event) {
        self.session.handle(event, self.now, &mut self.out);
    }

    /// The broker machine agrees to all that was asked for.
    fn accept(&mut self) -> Vec<Ask> {
        let commands = self.commands();
        for receipt in commands.iter().filter_map(receipt_of) {
            self.hear(Event::Reply { receipt, outcome: Ok(()) });
        }
        commands
    }

    /// The broker machine refuses all that was asked for.
    fn refuse(&mut self, kind: RefusalKind) {
        for receipt in self.commands().iter().filter_map(receipt_of) {
            self.hear(Event::Reply { receipt, outcome: Err(Refusal::new(kind, "because")) });
        }
    }

    /// Adds a consumer of the queue and hands it these messages; tags and broker sequences count from 1 and 101.
    fn consumer(&mut self, value: i64, messages: u64) -> u32 {
        self.tell(consumer(value, ow::DestinationKind::Queue));
        let key = match &self.accept()[..] {
            [Ask::Subscribe(subscribe)] => subscribe.subscription,
            other => panic!("{other:?}"),
        };
        for tag in 1..=messages {
            self.hear(delivery(key, tag));
        }
        key
    }

    fn tick(&mut self, now: i64) {
        self.now = now;
        self.session.tick(now, &mut self.out);
    }

    fn closed(&self) -> Option<&str> {
        self.out.close.as_ref().map(|why| &why.message[..])
    }
}

fn offer(version: i32, tight: bool, cache: bool, provider: &str) -> WireFormatInfo {
    WireFormatInfo::new(
        version,
        &[
            ("TightEncodingEnabled", Property::Boolean(tight)),
            ("CacheEnabled", Property::Boolean(cache)),
            ("CacheSize", Property::Int(1024)),
            ("SizePrefixDisabled", Property::Boolean(true)),
            ("MaxInactivityDuration", Property::Long(30_000)),
            ("MaxInactivityDurationInitalDelay", Property::Long(10_000)),
            ("MaxFrameSize", Property::Long(i64::MAX)),
            ("ProviderVersion", Property::String(provider.into())),
        ],
    )
}

fn login(user: &str) -> ow::ConnectionInfo {
    ow::ConnectionInfo {
        connection_id: Some(connection_id()),
        client_id: Some("app".into()),
        user_name: Some(user.into()),
        ..Default::default()
    }
}

fn connection_id() -> ow::ConnectionId {
    ow::ConnectionId { value: CONNECTION.into() }
}

fn session_id(value: i64) -> ow::SessionId {
    ow::SessionId { connection: CONNECTION.into(), value }
}

fn consumer_id(value: i64) -> ow::ConsumerId {
    ow::ConsumerId { connection: CONNECTION.into(), session: 1, value }
}

fn producer_id(value: i64) -> ow::ProducerId {
    ow::ProducerId { connection: CONNECTION.into(), session: 1, value }
}

fn queue(name: &str) -> ow::Destination {
    ow::Destination { kind: ow::DestinationKind::Queue, name: Text::from(name) }
}

fn consumer(value: i64, kind: ow::DestinationKind) -> ow::ConsumerInfo {
    ow::ConsumerInfo {
        consumer_id: Some(consumer_id(value)),
        destination: Some(ow::Destination { kind, name: "Q".into() }),
        prefetch_size: 1000,
        ..Default::default()
    }
}

fn local(value: i64) -> ow::TransactionId {
    ow::TransactionId::Local(ow::LocalTransactionId { value, connection: connection_id() })
}

fn xa() -> ow::TransactionId {
    ow::TransactionId::Xa(ow::XaTransactionId::default())
}

fn transaction(kind: u8, transaction_id: ow::TransactionId) -> ow::TransactionInfo {
    let connection_id = Some(connection_id());
    ow::TransactionInfo { connection_id, transaction_id: Some(transaction_id), kind, ..Default::default() }
}

fn text(sequence: i64) -> ow::Message {
    ow::Message {
        producer_id: Some(producer_id(1)),
        destination: Some(queue("Q")),
        message_id: Some(ow::MessageId { producer: producer_id(1), sequence, ..Default::default() }),
        content: Some(message::properties::text_content("hello")),
        kind: ow::MessageKind::Text,
        ..Default::default()
    }
}

/// Message `n` of a producer elsewhere.
fn message_of(n: i64) -> Message {
    let mut id = MessageId { sequence: n, ..MessageId::default() };
    id.producer.connection = "ID:far".into();
    let mut message = Message::new(id, message::Destination::queue("Q"));
    message.sequence = 100 + n as u64;
    message
}

fn delivery(subscription: u32, tag: u64) -> Event {
    Event::Deliver(Delivery {
        subscription,
        tag,
        message: Arc::new(message_of(tag as i64)),
        redeliveries: 0,
        group_first: false,
    })
}

/// The id of message `n` as the client got it.
fn id_of(n: i64) -> ow::MessageId {
    let producer = ow::ProducerId { connection: "ID:far".into(), ..Default::default() };
    ow::MessageId { producer, sequence: n, broker_sequence: 100 + n, text_view: None }
}

fn receipt_of(command: &Ask) -> Option<Receipt> {
    match command {
        Ask::Connect(connect) => connect.receipt,
        Ask::Subscribe(subscribe) => subscribe.receipt,
        Ask::Publish(publish) | Ask::Forbidden { publish, .. } => publish.receipt,
        Ask::Ack(ack) => ack.receipt,
        Ask::Fence { receipt } => Some(*receipt),
        Ask::Unsubscribe { receipt, .. }
        | Ask::RemoveDurable { receipt, .. }
        | Ask::AddProducer { receipt, .. }
        | Ask::RemoveProducer { receipt, .. }
        | Ask::AddDestination { receipt, .. }
        | Ask::RemoveDestination { receipt, .. }
        | Ask::Begin { receipt, .. }
        | Ask::Commit { receipt, .. }
        | Ask::Rollback { receipt, .. } => *receipt,
        Ask::Disconnect | Ask::Prefetch { .. } | Ask::Pull { .. } | Ask::Written { .. } => None,
    }
}
