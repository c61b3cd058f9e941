//! OpenWire clients that know the protocol and misuse it, before and after login.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;

use bytes::{BufMut, Bytes, BytesMut};
use wire::openwire::*;

use crate::openwire::{OpenWire, golden, queue};
use crate::support::{Broker, Witness, figure};

const MB: u64 = 1024 * 1024;

/// What ActiveMQ's own client says in the golden frames' connection, first of all.
fn golden_greeting() -> WireFormatInfo {
    let (name, frame) = golden().swap_remove(0);
    let greeting = Format::new(Limits::default()).decode(&mut BytesMut::from(&frame[..]));
    let Ok(Some(Command::WireFormatInfo(info))) = greeting else { panic!("{name}: {greeting:?}") };
    info
}

/// A frame of each type that there is, and some more. A type that the codec learns must be among the golden frames.
fn every_command() -> Vec<(&'static str, Vec<u8>)> {
    let mut frames = golden();
    frames.push(("Null", vec![0, 0, 0, 1, 0]));
    let have: BTreeSet<u8> = frames.iter().map(|(_, frame)| frame[4]).collect();
    let known = (0..=255).filter(|data_type| {
        let mut format = Format::new(Limits::default());
        format.agree(Agreement { version: 12, ..Agreement::default() });
        let read = format.decode(&mut BytesMut::from(&[0, 0, 0, 1, *data_type][..]));
        !matches!(read, Err(Error::UnknownType { .. }))
    });
    assert_eq!(have, known.collect());
    frames
}

/// V10: before login no command has an effect, and none learns anything.
#[test]
fn no_command_is_obeyed_before_login() {
    let users = "[security]\nusers = [{ name = \"somebody\", password = \"secret\" }]\n";
    let broker = Broker::start_with(users);
    let before = broker.destinations();
    for (name, frame) in every_command() {
        for copies in [1, 3] {
            let mut client = OpenWire::agreed_with(broker.openwire, golden_greeting());
            let _ = client.send_bytes(&frame.repeat(copies));
            client.hang_up();
            for word in client.last_words() {
                match word {
                    Command::ExceptionResponse(answer) => {
                        let exception = answer.exception.expect("an exception");
                        assert_eq!(exception.class, "java.lang.SecurityException", "{name}");
                        let text = exception.message.expect("a text");
                        let known = ["not allowed before login", "or password is invalid."];
                        assert!(known.iter().any(|known| text.contains(known)), "{name}: {text}");
                    }
                    Command::ConnectionError(_) => assert_eq!(name, "ConnectionInfo.empty"),
                    Command::Response(_) => assert!(name.starts_with("BrokerInfo") || name == "ShutdownInfo", "{name}"),
                    Command::KeepAliveInfo(_) => assert_eq!(name, "KeepAliveInfo"),
                    other => panic!("{name} is told {other:?}"),
                }
            }
        }
        // The same without a greeting.
        let mut socket = TcpStream::connect(broker.openwire).expect("a broker");
        let _ = socket.write_all(&frame);
    }
    assert_eq!(broker.destinations(), before);
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
    assert!(!broker.log().contains("stopping"), "{}", broker.log());
}

/// After login each command is answered or ends its own connection; whatever ids it names, others notice nothing.
#[test]
fn commands_with_the_ids_of_others_do_no_harm() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let mut victim = OpenWire::connect(broker.openwire);
    victim.ask(victim.consumer_info(1, "VICTIM")).expect("a consumer");
    for (name, frame) in every_command() {
        let mut client = OpenWire::agreed_with(broker.openwire, golden_greeting()).logged_in();
        let _ = client.send_bytes(&frame);
        if name == "ShutdownInfo" {
            client.last_words();
        } else if name.starts_with("RemoveInfo") || name.starts_with("ConsumerInfo") {
            let _ = client.is_well();
        } else {
            assert!(client.is_well(), "the connection ended after {name}");
        }
    }
    // A client takes away or acknowledges what another has.
    let mut thief = OpenWire::connect(broker.openwire);
    let all: [ObjectId; 4] = [
        ObjectId::Connection(ConnectionId { value: victim.id.clone() }),
        ObjectId::Session(victim.session()),
        ObjectId::Consumer(victim.consumer(1)),
        ObjectId::Producer(victim.producer()),
    ];
    for object in all {
        let _ = thief.ask(RemoveInfo { object_id: Some(object), ..RemoveInfo::default() });
    }
    let mut thief = OpenWire::connect(broker.openwire);
    let control = ConsumerControl { consumer_id: Some(victim.consumer(1)), close: true, ..ConsumerControl::default() };
    let _ = thief.ask(control);
    victim.publish("VICTIM", "mine");
    let message = victim.receive();
    let ack = MessageAck {
        consumer_id: Some(victim.consumer(1)),
        destination: Some(queue("VICTIM")),
        ack_type: 2,
        last_message_id: message.message_id.clone(),
        message_count: 1,
        ..MessageAck::default()
    };
    let _ = thief.ask(ack.clone());
    let line =
        |broker: &Broker| broker.destinations().into_iter().find(|line| line.contains("VICTIM")).expect("a line");
    assert_eq!(figure(&line(&broker), "dequeued"), 0, "the message is still there");
    victim.ask(ack).expect("acknowledged by its consumer");
    assert_eq!(figure(&line(&broker), "dequeued"), 1);
    witness.is_well();
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

/// V12, V13: who is logged in commands nobody.
#[test]
fn management_from_the_wire_has_no_effect() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let mut client = OpenWire::connect(broker.openwire);
    for command in ["shutdown", "stop", "exit", "restart", ""] {
        let control = ControlCommand { command: Some(command.into()), ..ControlCommand::default() };
        client.ask(control).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    let control = ConnectionControl {
        close: true,
        exit: true,
        suspend: true,
        reconnect_to: Some("tcp://192.0.2.1:1".into()),
        connected_brokers: Some("tcp://192.0.2.1:1".into()),
        rebalance_connection: true,
        ..ConnectionControl::default()
    };
    client.ask(control).expect("an answer");
    let network = BrokerInfo {
        broker_id: Some(BrokerId { value: "ID:evil".into() }),
        broker_name: Some("evil".into()),
        broker_url: Some("tcp://192.0.2.1:1".into()),
        network_connection: true,
        duplex_connection: true,
        ..BrokerInfo::default()
    };
    for _ in 0..1_000 {
        client.send(network.clone()).expect("sent");
    }
    client.ask(network.clone()).expect("an answer");
    assert!(client.is_well());
    witness.is_well();

    // A second introduction before login ends the connection.
    let mut stranger = OpenWire::agreed(broker.openwire);
    let _ = (0..3).try_for_each(|_| stranger.send(network.clone()));
    assert!(stranger.last_words().is_empty());
    assert!(!broker.log().contains("192.0.2.1"), "{}", broker.log());
}

/// Frames that break the framing end the connection, and nothing behind them is read.
#[test]
fn broken_frames_end_the_connection() {
    let broker = Broker::start_with_frames_up_to(100_000);
    let mut witness = Witness::new(&broker);
    let before = broker.resident();
    let nested = |count: usize, each: &[u8]| [&[32][..], &each.repeat(count)].concat();
    let bodies: [(&str, Option<u32>, Vec<u8>); 13] = [
        ("one byte above the limit", None, vec![24; 100_001]),
        ("a size above the limit and no body", Some(100_001), vec![]),
        ("2 GiB less one", Some(0x7fff_ffff), vec![24; 100]),
        ("2 GiB", Some(0x8000_0000), vec![24; 100]),
        ("a size of -1", Some(0xffff_ffff), vec![24; 100]),
        ("a size of 0", Some(0), vec![]),
        ("an unknown type", None, vec![200, 0, 0, 0, 1, 1]),
        ("a type with nothing behind it", None, vec![5]),
        ("a message cut short", None, vec![24, 0, 0, 0, 1]),
        ("responses within responses", None, nested(9_000, b"\0\0\0\0\0\0\0\0\0\x01\x20")),
        (
            "a byte string of 2 GiB",
            None,
            [&b"\x12\0\0\0\x01\x01\0\0\0\0\0\0\0\0\x01"[..], &[0x7f, 255, 255, 255]].concat(),
        ),
        ("a byte string of -1", None, [&b"\x12\0\0\0\x01\x01\0\0\0\0\0\0\0\0\x01"[..], &[255; 4]].concat()),
        ("an array of -1", None, b"\x21\0\0\0\x01\x01\0\0\0\x01\x01\xff\xff".to_vec()),
    ];
    for (name, size, body) in bodies {
        let mut client = OpenWire::connect(broker.openwire);
        let after = client.message("BROKEN", "behind a broken frame");
        let mut bytes = size.unwrap_or(body.len() as u32).to_be_bytes().to_vec();
        bytes.extend(body);
        bytes.extend(client.encode(after));
        let _ = client.send_bytes(&bytes);
        for word in client.last_words() {
            assert!(matches!(word, Command::ConnectionError(_)), "{name}: {word:?}");
        }
        witness.is_well();
    }
    assert!(!broker.destinations().iter().any(|line| line.contains("BROKEN")));
    assert!(broker.resident() < before + 32 * MB, "{before} grew to {}", broker.resident());
    // The largest frame allowed is taken.
    let mut client = OpenWire::connect(broker.openwire);
    client.publish("LARGE", &"x".repeat(99_000));
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

/// A message cut anywhere is no message; a client that stops in the middle of one is gone when its time is up.
#[test]
fn half_a_frame_is_nothing() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let mut client = OpenWire::connect(broker.openwire);
    let message = client.message("HALF", "never");
    let frame = client.encode(message);
    for cut in (1..frame.len()).step_by(3) {
        let mut client = OpenWire::connect(broker.openwire);
        client.send_bytes(&frame[..cut]).expect("sent");
        client.hang_up();
        assert!(client.last_words().is_empty(), "cut at {cut}");
    }
    // Many claim the largest frame and say no more: what they claim is not set aside.
    let before = broker.resident();
    let mut silent: Vec<OpenWire> = (0..100)
        .map(|_| {
            let short = [("MaxInactivityDuration", Property::Long(1_000))];
            let mut client = OpenWire::agreed_with(broker.openwire, WireFormatInfo::new(VERSION, &short)).logged_in();
            client.send_bytes(&[0x06, 0x3f, 0xff, 0xff, 24, 0, 0]).expect("sent");
            client
        })
        .collect();
    assert!(broker.resident() < before + 64 * MB, "{before} grew to {}", broker.resident());
    for client in &mut silent {
        let words = client.last_words();
        assert!(words.iter().all(|word| matches!(word, Command::KeepAliveInfo(_))), "{words:?}");
    }
    witness.is_well();
    assert!(!broker.destinations().iter().any(|line| line.contains("HALF")));
}

/// A map within a map, `depth` times.
fn nested_properties(depth: usize) -> Bytes {
    let mut bytes = [0, 0, 0, 1, 0, 1, b'k', 11].repeat(depth);
    bytes.extend([0; 4]);
    bytes.into()
}

/// `count` properties side by side.
fn many_properties(count: i32) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(count);
    for number in 0..count {
        let name = number.to_string();
        out.put_u16(name.len() as u16);
        out.put_slice(name.as_bytes());
        out.put_slice(&[1, 1]);
    }
    out.freeze()
}

/// Sound frames that ask for too much, or for what is not there: an exception names the limit or the fault, the
/// connection lives, and the same connection then does what it may.
#[test]
fn wishes_beyond_limits_are_refused_by_name() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let mut client = OpenWire::connect(broker.openwire);
    let own = client.id.clone();
    let consumer = client.consumer_info(9, "Q");
    let selector = |text: String| ConsumerInfo { selector: Some(text.into()), ..consumer.clone() };
    let mut properties = |bytes: Bytes| Message { properties: Some(bytes), ..client.message("Q", "never") };
    let deep = properties(nested_properties(10_000));
    let many = properties(many_properties(10_000));
    let lying = properties(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]));
    let negative = properties(Bytes::from_static(&[0, 0, 0, 1, 0, 1, b'k', 10, 0xff, 0xff, 0xff, 0xfe]));
    let odd = properties(Bytes::from_static(&[0, 0, 0, 1, 0, 1, b'k', 99]));
    let place = |session| ProducerId { connection: own.clone(), session, value: 5 };
    let local = |value| {
        Some(TransactionId::Local(LocalTransactionId { value, connection: ConnectionId { value: own.clone() } }))
    };
    let transaction =
        |kind, value| TransactionInfo { kind, transaction_id: local(value), ..TransactionInfo::default() };
    let remove = |object| RemoveInfo { object_id: object, ..RemoveInfo::default() };
    let table: Vec<(&str, Command, &str)> = vec![
        ("deep properties", deep.into(), "nest deeper"),
        ("many properties", many.into(), "more than 4096"),
        ("a count that lies", lying.into(), "propert"),
        ("a negative length", negative.into(), "negative"),
        ("an unknown property type", odd.into(), "type 99"),
        ("a deep selector", selector(format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000))).into(), "selector"),
        ("a wide selector", selector(["a = 1"; 7_000].join(" OR ")).into(), "selector"),
        ("a broken selector", selector("a = = 1".into()).into(), "selector"),
        ("no consumer id", ConsumerInfo { consumer_id: None, ..consumer.clone() }.into(), ""),
        ("no destination", ConsumerInfo { destination: None, ..consumer.clone() }.into(), "destination"),
        (
            "a deep destination",
            ConsumerInfo { destination: Some(queue(&"a.".repeat(10_000))), ..consumer.clone() }.into(),
            "",
        ),
        (
            "a wide destination",
            ConsumerInfo { destination: Some(queue(&"a,".repeat(10_000))), ..consumer.clone() }.into(),
            "",
        ),
        (
            "a consumer of no session",
            ConsumerInfo { consumer_id: Some(ConsumerId { session: 77, ..client.consumer(1) }), ..consumer.clone() }
                .into(),
            "session",
        ),
        (
            "a producer of no session",
            ProducerInfo { producer_id: Some(place(77)), ..ProducerInfo::default() }.into(),
            "session",
        ),
        ("a session without an id", SessionInfo::default().into(), "id"),
        ("an end of nothing", remove(None).into(), "nothing"),
        (
            "the end of another",
            remove(Some(ObjectId::Connection(ConnectionId { value: "ID:other".into() }))).into(),
            "another",
        ),
        (
            "the end of no session",
            remove(Some(ObjectId::Session(SessionId { connection: own.clone(), value: 77 }))).into(),
            "session",
        ),
        ("a commit of nothing", transaction(2, 9).into(), "transaction"),
        ("a step that is none", transaction(99, 1).into(), ""),
        (
            "a message in no transaction",
            Message { transaction_id: local(9), ..client.message("Q", "never") }.into(),
            "transaction",
        ),
        ("a message to nowhere", Message { destination: None, ..client.message("Q", "never") }.into(), "destination"),
        (
            "an acknowledgement of type 77",
            MessageAck { consumer_id: Some(client.consumer(9)), ack_type: 77, ..MessageAck::default() }.into(),
            "type 77",
        ),
        (
            "a second login",
            ConnectionInfo { connection_id: Some(ConnectionId { value: own.clone() }), ..ConnectionInfo::default() }
                .into(),
            "logged in already",
        ),
        ("a change of no destination", DestinationInfo::default().into(), "destination"),
        (
            "an unknown change",
            DestinationInfo { destination: Some(queue("Q")), operation: 9, ..DestinationInfo::default() }.into(),
            "operation 9",
        ),
        ("a bridge's replay", ReplayCommand::default().into(), "not supported"),
    ];
    for (name, command, word) in table {
        let error = client.ask(command).expect_err(name);
        assert!(error.to_lowercase().contains(word), "{name}: {error}");
        assert!(!error.contains("the connection ended"), "{name}");
    }
    assert!(client.is_well());
    witness.is_well();
    client.publish("Q", "only this");
    client.ask(client.consumer_info(1, "Q")).expect("a consumer");
    assert_eq!(client.receive().content.as_deref(), Some(&b"only this"[..]));
}

/// What refers to consumers that are gone or never were is passed over (row L08): after a failover it is usual.
#[test]
fn stale_acknowledgements_change_nothing() {
    let broker = Broker::start();
    let mut client = OpenWire::connect(broker.openwire);
    client.publish("STALE", "kept");
    client.ask(client.consumer_info(1, "STALE")).expect("a consumer");
    let message = client.receive();
    for kind in 0..7 {
        let ack = MessageAck {
            consumer_id: Some(client.consumer(99)),
            destination: Some(queue("STALE")),
            ack_type: kind,
            first_message_id: message.message_id.clone(),
            last_message_id: message.message_id.clone(),
            message_count: 1,
            ..MessageAck::default()
        };
        client.send(ack.clone()).expect("sent");
        client.ask(ack).unwrap_or_else(|error| panic!("{kind}: {error}"));
        // Of a consumer that is there, but for a message that it never got.
        let unknown = MessageAck {
            consumer_id: Some(client.consumer(1)),
            destination: Some(queue("STALE")),
            ack_type: kind,
            last_message_id: Some(MessageId { producer: client.producer(), sequence: 999, ..MessageId::default() }),
            message_count: i32::MAX,
            ..MessageAck::default()
        };
        client.send(unknown.clone()).expect("sent");
        let _ = client.ask(unknown);
    }
    let pull = MessagePull { consumer_id: Some(client.consumer(99)), timeout_ms: -1, ..MessagePull::default() };
    let _ = client.ask(pull);
    assert!(client.is_well());
    let destinations = broker.destinations();
    let line = destinations.iter().find(|line| line.contains("STALE")).expect("a line");
    assert_eq!(figure(line, "dequeued"), 0, "{line}");
}

/// A client that asks on and on and never reads an answer is not read either, once its answers pile up.
#[test]
fn who_does_not_listen_is_not_heard() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let mut client = OpenWire::connect(broker.openwire);
    // Small, and answered with an exception that is larger.
    let wanted = Header { command_id: 7, response_required: true };
    let frame = client.encode(TransactionInfo { header: wanted, kind: 99, ..TransactionInfo::default() });
    let stream = frame.repeat(1_000);
    let before = broker.resident();
    let (mut sent, mut rounds_without) = (0, 0);
    while rounds_without < 50 && (sent as u64) < 256 * MB {
        match client.push(&stream[sent % stream.len()..]) {
            Some(length) => (sent, rounds_without) = (sent + length, 0),
            None => {
                witness.is_well();
                rounds_without += 1;
            }
        }
    }
    assert!((sent as u64) < 256 * MB, "the broker read on");
    assert!(broker.resident() < before + 64 * MB, "{before} grew to {}", broker.resident());
    // Once it listens, all is answered.
    for _ in 0..sent / frame.len() {
        assert!(matches!(client.frame(), Command::ExceptionResponse(_)));
    }
    let begun = sent % frame.len();
    if begun > 0 {
        client.send_bytes(&frame[begun..]).expect("sent");
        assert!(matches!(client.frame(), Command::ExceptionResponse(_)));
    }
    assert!(client.is_well());
}
