//! Messages in both directions, producers and their windows.

use bytes::Bytes;
use message::properties::Builder;
use message::{Advisory, BodyKind, DestinationKind, ProducerId, Value};

use super::*;

fn publishes(peer: &mut Peer) -> Vec<message::Publish> {
    peer.commands()
        .into_iter()
        .filter_map(|command| match command {
            Ask::Publish(publish) => Some(publish),
            _ => None,
        })
        .collect()
}

fn properties(count: usize) -> Bytes {
    let mut builder = Builder::new();
    (0..count).for_each(|n| {
        builder.push(&format!("p{n}"), &Value::Int(n as i32));
    });
    builder.finish().encoded().cloned().expect("not empty")
}

/// Every field that the broker keeps goes through unchanged.
#[test]
fn a_message_comes_out_as_it_went_in() {
    let temporary = ow::Destination { kind: ow::DestinationKind::TempQueue, name: "ID:c:1:1".into() };
    let kinds = [
        (ow::MessageKind::Plain, BodyKind::Empty),
        (ow::MessageKind::Bytes, BodyKind::Bytes),
        (ow::MessageKind::Map, BodyKind::Map),
        (ow::MessageKind::Object, BodyKind::Object),
        (ow::MessageKind::Stream, BodyKind::Stream),
        (ow::MessageKind::Text, BodyKind::Text),
    ];
    for (kind, body_kind) in kinds {
        let mut peer = Peer::open();
        let key = peer.consumer(1, 0);
        let given = ow::Message {
            original_destination: Some(queue("old")),
            original_transaction_id: Some(local(9)),
            group_id: Some("group".into()),
            group_sequence: -1,
            correlation_id: Some("correlation".into()),
            persistent: true,
            expiration_ms: 99,
            priority: 7,
            reply_to: Some(temporary.clone()),
            timestamp_ms: 98,
            message_type: Some("type".into()),
            properties: Some(properties(3)),
            compressed: true,
            user_id: Some("user".into()),
            droppable: true,
            kind,
            ..text(5)
        };
        peer.tell(given.clone());
        let mut publish = publishes(&mut peer).pop().expect("a send");
        assert_eq!(publish.message.body_kind, body_kind);
        assert_eq!(publish.message.reply_to.as_ref().map(|d| d.kind), Some(DestinationKind::TempQueue));
        Arc::make_mut(&mut publish.message).sequence = 42;
        peer.hear(Event::Deliver(Delivery {
            subscription: key,
            tag: 1,
            message: publish.message,
            redeliveries: 1,
            group_first: false,
        }));
        let received = match peer.frames().pop() {
            Some(Command::MessageDispatch(dispatch)) => *dispatch.message.expect("a message"),
            other => panic!("{other:?}"),
        };
        let mut expected = given;
        expected.message_id.as_mut().expect("an id").broker_sequence = 42;
        expected.redelivery_counter = 1;
        expected.broker_out_time_ms = peer.now;
        assert_eq!(received, expected);
        assert_eq!(peer.session.stats().messages_in, 1);
        assert_eq!(peer.session.stats().messages_out, 1);
    }
}

#[test]
fn blobs_keep_their_place() {
    let mut peer = Peer::open();
    let key = peer.consumer(1, 0);
    let blob = ow::Blob { remote_url: Some("http://x/y".into()), mime_type: None, deleted_by_broker: true };
    peer.tell(ow::Message { content: None, kind: ow::MessageKind::Blob(Box::new(blob.clone())), ..text(1) });
    let message = publishes(&mut peer).pop().expect("a send").message;
    peer.hear(Event::Deliver(Delivery { subscription: key, tag: 1, message, redeliveries: 0, group_first: false }));
    match peer.frames().pop() {
        Some(Command::MessageDispatch(dispatch)) => {
            assert_eq!(dispatch.message.expect("a message").kind, ow::MessageKind::Blob(Box::new(blob)));
        }
        other => panic!("{other:?}"),
    }
}

/// A queued message must not hold the read buffer alive, and messages of one producer share their names.
#[test]
fn messages_hold_their_own_bytes() {
    for cache in [false, true] {
        let mut peer = Peer::new().agree(12, true, cache, "6.2.0").joined();
        peer.commands();
        let mut bytes = Vec::new();
        for n in 1..=50 {
            bytes.extend(peer.encode(&text(n).into()));
        }
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        buffer.extend_from_slice(&bytes);
        let start = buffer.as_ptr() as usize;
        peer.session.receive(&mut buffer, peer.now, &mut peer.out);
        let messages: Vec<_> = publishes(&mut peer).into_iter().map(|publish| publish.message).collect();
        assert_eq!(messages.len(), 50);
        for message in &messages {
            let content = message.content.as_ref().expect("a body").as_ptr() as usize;
            assert!(!(start..start + 64 * 1024).contains(&content));
            let [first, this] = [&messages[0], message].map(|m| m.id.producer.connection.as_ptr());
            assert_eq!(first, this);
            let [first, this] = [&messages[0], message].map(|m| m.destination.name.as_ptr());
            assert_eq!(first, this);
        }
    }
}

#[test]
fn refused_messages_leave_the_connection_open() {
    let cases = [
        (ow::Message { properties: Some(properties(9)), ..text(1) }, "jakarta.jms.MessageFormatException"),
        (
            ow::Message { properties: Some(Bytes::from_static(b"\0\0\0\x01x")), ..text(1) },
            "jakarta.jms.MessageFormatException",
        ),
        (ow::Message { destination: None, ..text(1) }, "jakarta.jms.InvalidDestinationException"),
        (ow::Message { message_id: None, ..text(1) }, "jakarta.jms.IllegalStateException"),
        (ow::Message { transaction_id: Some(xa()), ..text(1) }, "javax.transaction.xa.XAException"),
        (ow::Message { transaction_id: Some(local(4)), ..text(1) }, "jakarta.jms.JMSException"),
    ];
    for (message, class) in cases {
        let mut peer = Peer::open();
        let id = peer.ask(message.clone());
        assert_eq!(peer.answers(), [(id, Some(class.to_owned()))]);
        peer.tell(message);
        match &peer.frames()[..] {
            [Command::ConnectionError(error)] => {
                assert_eq!(error.exception.as_ref().map(|e| &e.class[..]), Some(class));
                assert_eq!(error.connection_id, Some(connection_id()));
            }
            other => panic!("{other:?}"),
        }
        assert!(peer.closed().is_none() && peer.commands().is_empty());
    }
}

/// The window of a producer gets back what it counts: 1024, the body and the properties as they were sent (row W34).
#[test]
fn producer_windows_never_leak() {
    let mut peer = Peer::open();
    for (value, window_size) in [(1, 1000), (2, 0)] {
        let producer_id = Some(producer_id(value));
        peer.tell(ow::ProducerInfo { producer_id, window_size, ..Default::default() });
    }
    peer.accept();
    let empty = Bytes::from_static(&[0, 0, 0, 0]);
    for (properties, size) in [(None, 1024 + 9), (Some(empty), 1024 + 9 + 4), (Some(properties(1)), 1024 + 9 + 13)] {
        let message = ow::Message { properties, ..text(1) };
        peer.tell(message.clone());
        peer.tell(ow::Message { producer_id: Some(producer_id(2)), ..message.clone() });
        peer.tell(ow::Message { producer_id: Some(producer_id(3)), ..message.clone() });
        peer.ask(message);
        let windows: Vec<_> = publishes(&mut peer).iter().map(|publish| publish.window_bytes).collect();
        assert_eq!(windows, [Some(size), None, None, None]);
    }
    let id = ProducerId { connection: CONNECTION.into(), session: 1, value: 1 };
    peer.frames();
    peer.hear(Event::ProducerAck { producer: id, bytes: 1033 });
    let ack = ow::ProducerAck { producer_id: Some(producer_id(1)), size: 1033, ..Default::default() };
    assert_eq!(peer.frames(), [ack.into()]);

    // A bridge sends under ids of other brokers' producers; its window opens all the same.
    let far = ow::MessageId { producer: ow::ProducerId::default(), sequence: 3, ..Default::default() };
    peer.tell(ow::Message { message_id: Some(far), ..text(1) });
    peer.accept();
    let ack = ow::ProducerAck { producer_id: Some(producer_id(1)), size: 1033, ..Default::default() };
    assert_eq!(peer.frames(), [ack.into()]);
}

/// Deliveries are counted whoever they reach, or the connection's delivery window would never open again.
#[test]
fn deliveries_count_whoever_they_reach() {
    let mut peer = Peer::open();
    let key = peer.consumer(1, 2);
    assert_eq!(peer.frames().len(), 2);
    assert_eq!(std::mem::take(&mut peer.out.delivered_bytes), 2048);
    peer.hear(delivery(key + 1, 1));
    assert_eq!((peer.frames().len(), peer.out.delivered_bytes), (0, 1024));
}

/// A message that the agreed format cannot carry must not block the queue: it becomes a dead letter.
#[test]
fn what_cannot_be_delivered_is_given_up() {
    let mut peer = Peer::open();
    let key = peer.consumer(1, 0);
    let mut message = message_of(1);
    message.content = Some(vec![0; 2 << 20].into());
    peer.hear(Event::Deliver(Delivery {
        subscription: key,
        tag: 1,
        message: Arc::new(message),
        redeliveries: 0,
        group_first: false,
    }));
    assert!(peer.frames().is_empty());
    match &peer.commands()[..] {
        [Ask::Ack(ack)] => {
            assert_eq!((ack.kind, ack.first, ack.last), (message::AckKind::Poison, 1, 1));
            assert!(ack.cause.as_ref().expect("a cause").contains("limit"));
        }
        other => panic!("{other:?}"),
    }
    peer.hear(delivery(key, 2));
    assert_eq!(peer.frames().len(), 1);
}

#[test]
fn advisories_carry_the_command_that_happened() {
    let id = ProducerId { connection: "ID:other".into(), session: 2, value: 3 };
    let subjects = [
        (
            Advisory::Destination {
                destination: message::Destination { kind: DestinationKind::TempQueue, name: "ID:other:1".into() },
                connection: "ID:other".into(),
                removed: true,
            },
            Some(8),
        ),
        (
            Advisory::ConnectionAdded {
                connection: "ID:other".into(),
                client_id: None,
                user: None,
                remote: "tcp://x".into(),
            },
            Some(3),
        ),
        (Advisory::ConnectionRemoved { connection: "ID:other".into() }, Some(12)),
        (
            Advisory::ConsumerAdded {
                consumer: id.clone(),
                destination: message::Destination::topic("T"),
                selector: Some("a = 1".into()),
                prefetch: 5,
                durable_name: None,
                browser: false,
                priority: -1,
                exclusive: true,
                no_local: false,
                client_id: None,
            },
            Some(5),
        ),
        (Advisory::ConsumerRemoved { consumer: id.clone() }, Some(12)),
        (Advisory::ProducerAdded { producer: id.clone(), destination: None }, Some(6)),
        (Advisory::ProducerRemoved { producer: id }, Some(12)),
        (Advisory::Message(Box::new(message_of(3))), Some(23)),
        (Advisory::MasterBroker, None),
    ];
    let mut peer = Peer::open();
    let key = peer.consumer(1, 0);
    for (tag, (subject, data_type)) in (1..).zip(subjects) {
        let mut message = message_of(tag as i64);
        message.advisory = Some(Box::new(subject));
        let mut builder = Builder::new();
        builder.push("consumerCount", &Value::Int(4));
        message.properties = builder.finish();
        peer.hear(Event::Deliver(Delivery {
            subscription: key,
            tag,
            message: Arc::new(message),
            redeliveries: 0,
            group_first: false,
        }));
        let message = match peer.frames().pop() {
            Some(Command::MessageDispatch(dispatch)) => *dispatch.message.expect("a message"),
            other => panic!("{other:?}"),
        };
        assert_eq!(message.kind, ow::MessageKind::Plain);
        assert_eq!(message.message_type.as_deref(), Some("Advisory"));
        let structure = message.data_structure;
        assert_eq!(structure.as_ref().map(|command| command.data_type()), data_type, "{structure:?}");
        if let Some(Command::DestinationInfo(info)) = structure.as_deref() {
            assert_eq!((info.operation, info.connection_id.as_ref().map(|id| &id.value[..])), (1, Some("ID:other")));
        }
        let properties =
            ::message::Properties::from_encoded(message.properties.expect("properties"), &Default::default());
        let properties = properties.expect("a map");
        let text = |name| properties.get(name).and_then(|value| value.to_text().map(|text| text.into_owned()));
        assert_eq!(text("originBrokerName").as_deref(), Some("house"));
        assert_eq!(text("originBrokerId").as_deref(), Some("ID:broker-1"));
        assert_eq!(text("originBrokerURL").as_deref(), Some("tcp://house:61616"));
        assert_eq!(properties.get("consumerCount"), Some(Value::Int(4)));
    }
}
