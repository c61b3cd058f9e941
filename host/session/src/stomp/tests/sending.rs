use message::{BodyKind, DestinationKind, Event, Publish, RefusalKind, Value};

use super::*;

fn publish(command: Command) -> Publish {
    match command {
        Command::Publish(publish) => publish,
        other => panic!("{other:?} is no publish"),
    }
}

fn sent(headers: &str, body: &[u8]) -> Message {
    let mut bench = Bench::connected(Version::V1_2);
    bench.say([format!("SEND\n{headers}\n\n").as_bytes(), body, b"\0"].concat());
    let frames = bench.text();
    let message = publish(bench.command()).message;
    assert_eq!(frames, "");
    Arc::try_unwrap(message).expect("nobody else holds it")
}

/// ActiveMQ's forms of destination names.
#[test]
fn stomp_destinations_are_named() {
    for (header, want) in [
        ("/queue/a.b", "queue://a.b"),
        ("/topic/a", "topic://a"),
        (" /queue/a ", "queue://a"),
        ("/remote-temp-queue/ID\\cx\\c1\\c2", "temp-queue://ID:x:1:2"),
        ("/remote-temp-topic/t", "temp-topic://t"),
        ("queue\\c//a", "queue://a"),
        ("topic\\c//a", "topic://a"),
        ("a", "queue://a"),
        ("/other/a", "queue:///other/a"),
        ("/queue/a,/queue/b", "queue://a,b"),
        ("/queue/a,/topic/b", "queue://a,topic://b"),
        ("/queue/a?consumer.prefetchSize=1", "queue://a"),
    ] {
        assert_eq!(sent(&format!("destination:{header}"), b"").destination.to_string(), want, "{header}");
    }
}

/// What cannot be sent is refused with the receipt's id, and the connection goes on.
#[test]
fn stomp_bad_sends_are_refused() {
    let long = format!("destination:/queue/{}\n", "x".repeat(5000));
    for (headers, why) in [
        ("", "SEND received without a Destination specified!"),
        ("destination:\n", "Illegal destination name: []"),
        ("destination:/queue/\n", "Illegal destination name: [/queue/]"),
        ("destination:/queue/a,,/queue/b\n", "Illegal destination name"),
        ("destination:/queue/a\\nb\n", "Illegal destination name"),
        (&*long, "Illegal destination name"),
        ("destination:/queue/a\ntransaction:none\n", "Invalid transaction id: none"),
        ("destination:/queue/a\npriority:high\n", "priority is [high]"),
        ("destination:/queue/a\nexpires:\n", "expires is []"),
        ("destination:/queue/a\nJMSXGroupSeq:1.5\n", "JMSXGroupSeq is [1.5]"),
        ("destination:/queue/a\namq-msg-type:map\n", "Unsupported message type 'map'"),
        ("destination:/queue/a\nAMQ_SCHEDULED_DELAY:-1\n", "AMQ_SCHEDULED_DELAY must not be a negative value"),
    ] {
        let mut bench = Bench::connected(Version::V1_2);
        bench.say(format!("SEND\n{headers}receipt:r\n\n\0"));
        let frame = bench.frame();
        assert_eq!(frame.get("receipt-id").map(|id| &**id), Some("r"), "{frame:?}");
        assert!(frame.get("message").is_some_and(|message| message.starts_with(why)), "{frame:?}");
        assert!(bench.commands().is_empty() && bench.out.close.is_none());
        bench.say("SEND\ndestination:/queue/a\n\n\0");
        assert_eq!(bench.commands().len(), 1, "it goes on");
    }
}

#[test]
fn stomp_bodies_are_text_or_bytes() {
    let big = vec![b'x'; 100_000];
    for (headers, body, kind, content) in [
        ("", &b"hi"[..], BodyKind::Text, &b"\0\0\0\x02hi"[..]),
        ("", b"", BodyKind::Text, b"\0\0\0\0"),
        ("", b"\xff", BodyKind::Text, b"\0\0\0\x03\xef\xbf\xbd"),
        ("content-length:2\n", b"hi", BodyKind::Bytes, b"hi"),
        ("content-length:3\n", b"a\0b", BodyKind::Bytes, b"a\0b"),
        ("content-length:0\n", b"", BodyKind::Bytes, b""),
        ("content-length:100000\n", &big, BodyKind::Bytes, &big),
        ("content-length:3\namq-msg-type:TEXT\n", b"a\0b", BodyKind::Text, b"\0\0\0\x04a\xc0\x80b"),
        ("amq-msg-type:bytes\n", b"hi", BodyKind::Bytes, b"hi"),
        ("transformation:jms-map-json\n", b"{}", BodyKind::Text, b"\0\0\0\x02{}"),
    ] {
        let message =
            sent(&format!("destination:/queue/a\n{headers}type:t\ncorrelation-id:c").replace("\n\n", "\n"), body);
        assert_eq!(message.body_kind, kind, "{headers}");
        assert_eq!(message.content.as_deref().unwrap_or_default(), content, "{headers}");
        assert_eq!((message.kind.as_deref(), message.correlation_id.as_deref()), (Some("t"), Some("c")));
    }
}

/// A text whose sender told its length is delivered with its length, the true one.
#[test]
fn stomp_text_keeps_its_content_length() {
    let mut bench = Bench::connected(Version::V1_2);
    bench.subscribe("id:1\ndestination:/queue/a\n");
    bench.say("SEND\ndestination:/queue/a\namq-msg-type:text\ncontent-length:3\n\nabc\0");
    let message = publish(bench.command()).message;
    assert_eq!(message.properties.get("content-length"), Some(Value::Text("3".into())));
    for (text, length) in [("abc", "3"), ("longer", "6")] {
        let mut message = (*message).clone();
        message.content = Some(message::properties::text_content(text));
        bench.deliver(1, 1, message);
        let frame = bench.frame();
        assert_eq!(frame.get("content-length").map(|length| &**length), Some(length));
        assert_eq!(frame.headers.iter().filter(|(name, _)| *name == *"content-length").count(), 1);
    }
}

#[test]
fn stomp_headers_become_fields_and_properties() {
    let message = sent(
        "destination:/queue/a\npersistent:true\npriority:12\nexpires:77\ntimestamp:55\ncorrelation-id:c\\c1\n\
         reply-to:/topic/back\ntype:t\nJMSXGroupID:g\nJMSXGroupSeq:-1\nreceipt:r\nmessage-id:no\nredelivered:true\n\
         subscription:no\nJMSXUserID:root\nfoo:1\nfoo:2\ncontent-type:text/plain\nAMQ_SCHEDULED_DELAY:500\nempty:",
        b"",
    );
    assert!(message.persistent);
    assert_eq!((message.priority, message.expiration, message.timestamp), (9, 77, 55));
    assert_eq!(message.correlation_id.as_deref(), Some("c:1"));
    assert_eq!(message.reply_to, Some(Destination::topic("back")));
    assert_eq!(message.kind.as_deref(), Some("t"));
    assert_eq!((message.group_id.as_deref(), message.group_sequence), (Some("g"), -1));
    assert_eq!(message.user_id, None);
    let properties: Vec<_> = message.properties.iter().collect();
    assert_eq!(
        properties,
        [
            ("foo".into(), Value::Text("1".into())),
            ("content-type".into(), Value::Text("text/plain".into())),
            ("AMQ_SCHEDULED_DELAY".into(), Value::Long(500)),
            ("empty".into(), Value::Text("".into())),
        ]
    );
    assert_eq!(message.id.to_string(), "ID:host-1-2-stomp:7:-1:1:1");

    let plain = sent("destination:/queue/a", b"");
    assert!(!plain.persistent && plain.properties.is_empty());
    assert_eq!((plain.priority, plain.expiration, plain.timestamp), (4, 0, START_MS));

    let odd = sent("destination:/queue/a\nreply-to:somebody", b"");
    assert_eq!((odd.reply_to, odd.properties.get("reply-to")), (None, Some(Value::Text("somebody".into()))));
}

/// Many headers, repeated ones among them, end as one property each.
#[test]
fn stomp_repeated_headers_count_once() {
    let mut headers = String::from("destination:/queue/a");
    for round in 0..3 {
        (0..300).for_each(|n| headers.push_str(&format!("\nh{n}:{round}")));
    }
    let message = sent(&headers, b"");
    assert_eq!(message.properties.iter().count(), 300);
    assert_eq!(message.properties.get("h299"), Some(Value::Text("0".into())));

    let properties = message::properties::Limits { count_max: 10, ..Default::default() };
    let mut bench = Bench::connected_with(Config { properties, ..config() }, Version::V1_2, "");
    bench.say(format!("SEND\n{headers}\n\n\0"));
    assert!(bench.error().starts_with("message has more than 10 properties"));
    assert_eq!(bench.session.stats().limit_hit, Some("properties"));
}

#[test]
fn stomp_message_ids_count_up_and_receipts_come_once() {
    let mut bench = Bench::connected(Version::V1_1);
    bench.say("SEND\ndestination:/queue/a\nreceipt:r\\c1\n\n\0\nSEND\ndestination:/queue/a\n\n\0SEND\ndestination:/queue/a\nreceipt:2\n\n\0");
    assert_eq!(bench.text(), "", "no receipt before the message is safe");
    let all: Vec<Publish> = bench.out.commands.clone().into_iter().map(publish).collect();
    assert_eq!(all.iter().map(|p| p.message.id.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    let receipts: Vec<_> = all.iter().map(|p| p.receipt).collect();
    assert!(receipts[0].is_some() && receipts[1].is_none() && receipts[2].is_some());
    let first = receipts[0].unwrap_or_default();
    bench.hear(Event::Reply { receipt: first, outcome: Ok(()) });
    assert_eq!(bench.text(), "RECEIPT\nreceipt-id:r\\c1\n\n\0\n");
    bench.hear(Event::Reply { receipt: first, outcome: Ok(()) });
    assert_eq!(bench.text(), "", "once");
    let why = Refusal::new(RefusalKind::ResourceAllocation, "the store is full");
    bench.hear(Event::Reply { receipt: receipts[2].unwrap_or_default(), outcome: Err(why.clone()) });
    assert_eq!(
        bench.text(),
        "ERROR\nmessage:the store is full\ncontent-type:text/plain\nreceipt-id:2\n\nthe store is full\0\n"
    );
    bench.hear(Event::Failed(why));
    assert_eq!(bench.error(), "the store is full");
    assert!(bench.out.close.is_none());
    assert_eq!(bench.session.stats().messages_in, 3);
}

/// A name under `/temp-queue/` is one destination of this connection, made when first used.
#[test]
fn stomp_temporary_destinations_are_made_once() {
    let mut bench = Bench::connected(Version::V1_2);
    bench.say("SEND\ndestination:/queue/a\nreply-to:/temp-queue/back\n\n\0SEND\ndestination:/temp-queue/back\n\n\0SEND\ndestination:/temp-topic/back\n\n\0");
    let commands = bench.commands();
    let back = Destination { kind: DestinationKind::TempQueue, name: "ID:host-1-2-stomp:7:1".into() };
    match &commands[..] {
        [
            Command::AddDestination { destination: made, .. },
            Command::Publish(first),
            Command::Publish(second),
            Command::AddDestination { destination: topic, .. },
            Command::Publish(_),
        ] => {
            assert_eq!(*made, back);
            assert_eq!(first.message.reply_to.as_ref(), Some(&back));
            assert_eq!(second.message.destination, back);
            assert_eq!(topic.to_string(), "temp-topic://ID:host-1-2-stomp:7:2");
        }
        other => panic!("{other:?}"),
    }
    bench.subscribe("id:1\ndestination:/temp-queue/back\n");
    let mut mine = text_message(1);
    mine.destination = back;
    mine.reply_to = Some(Destination { kind: DestinationKind::TempQueue, name: "ID:other:9".into() });
    bench.deliver(1, 1, mine);
    let frame = bench.frame();
    assert_eq!(frame.get("destination").map(|name| &**name), Some("/temp-queue/back"));
    assert_eq!(frame.get("reply-to").map(|name| &**name), Some("/remote-temp-queue/ID:other:9"));
}

#[test]
fn stomp_transactions_have_names() {
    let mut bench = Bench::connected(Version::V1_2);
    bench.say("BEGIN\ntransaction:t\nreceipt:1\n\n\0SEND\ndestination:/queue/a\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0");
    match &bench.commands()[..] {
        [
            Command::Begin { transaction: 1, receipt: Some(_) },
            Command::Publish(Publish { transaction: Some(1), message, .. }),
            Command::Commit { transaction: 1, receipt: None },
        ] => assert!(message.properties.is_empty()),
        other => panic!("{other:?}"),
    }
    bench.say("BEGIN\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0");
    assert!(matches!(
        bench.commands()[..],
        [Command::Begin { transaction: 2, .. }, Command::Rollback { transaction: 2, .. }]
    ));
    for (frame, why) in [
        ("BEGIN\n\n\0", "Must specify the transaction you are beginning"),
        ("COMMIT\n\n\0", "Must specify the transaction you are committing"),
        ("COMMIT\ntransaction:x\n\n\0", "Invalid transaction id: x"),
        ("ABORT\ntransaction:x\n\n\0", "Invalid transaction id: x"),
        ("BEGIN\ntransaction:a\n\n\0BEGIN\ntransaction:a\n\n\0", "The transaction was already started: a"),
    ] {
        bench.say(frame);
        assert_eq!(bench.error(), why);
    }
    bench.commands();
    (0..9).for_each(|n| bench.say(format!("BEGIN\ntransaction:n{n}\n\n\0")));
    assert_eq!(bench.session.stats().limit_hit, None);
    bench.say("BEGIN\ntransaction:last\n\n\0");
    assert!(bench.error().contains("10 open transactions"));
    assert_eq!(bench.session.stats().limit_hit, Some("transactions_max"));
}

/// What comes out of one call is bounded; the rest waits in the buffer.
#[test]
fn stomp_reading_stops_when_there_is_enough() {
    let mut bench = Bench::connected_with(Config { commands_per_read_max: 3, ..config() }, Version::V1_2, "");
    bench.buffer.extend_from_slice("SEND\ndestination:/queue/a\n\n\0".repeat(7).as_bytes());
    for want in [3, 3, 1] {
        bench.session.receive(&mut bench.buffer, START_MS, &mut bench.out);
        assert_eq!(bench.commands().len(), want);
        assert_eq!(bench.session.has_more(), want == 3);
    }
    let mut bench = Bench::connected(Version::V1_2);
    bench.say("SEND\ndestination:/queue/a\nreceipt:r\n\n\0".repeat(2000));
    bench.commands();
    bench.buffer.extend_from_slice(&b"ACK\n\n\0".repeat(100_000));
    bench.session.receive(&mut bench.buffer, START_MS, &mut bench.out);
    assert!(bench.out.bytes.len() < 300_000 && bench.session.has_more());
}

/// With too many receipts outstanding frames wait, and go on when one is answered.
#[test]
fn stomp_outstanding_receipts_are_bounded() {
    let mut bench = Bench::connected_with(Config { commands_per_read_max: usize::MAX, ..config() }, Version::V1_2, "");
    bench.say("SEND\ndestination:/queue/a\nreceipt:r\n\n\0".repeat(crate::stomp::RECEIPTS_PENDING_MAX + 2));
    let sent = bench.commands();
    assert_eq!(sent.len(), crate::stomp::RECEIPTS_PENDING_MAX);
    assert!(bench.session.has_more(), "so nothing more is read");
    bench.hear(Event::Reply { receipt: receipt_of(&sent[0]).expect("it asks"), outcome: Ok(()) });
    assert_eq!((bench.commands().len(), bench.session.has_more()), (1, true));
    bench.hear(Event::Reply { receipt: receipt_of(&sent[1]).expect("it asks"), outcome: Ok(()) });
    assert_eq!((bench.commands().len(), bench.session.has_more()), (1, false));
}
