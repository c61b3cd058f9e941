use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use message::properties::{Builder, text_content};
use message::{Advisory, BodyKind, Value};

use super::*;

fn delivered(version: Version, message: Message) -> String {
    let mut bench = Bench::connected(version);
    bench.subscribe("id:s\ndestination:/queue/A\nack:client\n");
    bench.deliver(1, 1, message);
    bench.text()
}

#[test]
fn stomp_messages_carry_their_headers() {
    assert_eq!(
        delivered(Version::V1_2, text_message(5)),
        "MESSAGE\nack:1-1\nsubscription:s\ndestination:/queue/A\nmessage-id:ID\\cj-1-2-3\\c1\\c1\\c2\\c5\n\
         expires:0\npriority:4\ntimestamp:99\n\nhi\0\n"
    );
    let mut message = text_message(5);
    message.destination = Destination::topic("T");
    message.original_destination = Some(Destination::queue("O"));
    message.correlation_id = Some("c".into());
    message.reply_to = Some(Destination::queue("R"));
    message.kind = Some("k".into());
    message.user_id = Some("u".into());
    message.group_id = Some("g".into());
    message.group_sequence = 3;
    message.persistent = true;
    message.expiration = 7;
    message.priority = 9;
    let mut properties = Builder::new();
    for (name, value) in [
        ("text", Value::Text("a:b".into())),
        ("int", Value::Int(-5)),
        ("double", Value::Double(1.0)),
        ("flag", Value::Bool(true)),
        ("none", Value::Null),
        ("destination", Value::Text("/queue/other".into())),
        ("content-length", Value::Text("1".into())),
        ("ack", Value::Text("0-0".into())),
    ] {
        properties.push(name, &value);
    }
    message.properties = properties.finish();
    assert_eq!(
        delivered(Version::V1_0, message.clone()),
        "MESSAGE\nsubscription:s\ndestination:/topic/T\nmessage-id:ID:j-1-2-3:1:1:2:5\ncorrelation-id:c\nexpires:7\n\
         priority:9\nreply-to:/queue/R\ntimestamp:99\ntype:k\nJMSXUserID:u\noriginal-destination:/queue/O\n\
         persistent:true\nJMSXGroupID:g\nJMSXGroupSeq:3\ntext:a:b\nint:-5\ndouble:1.0\nflag:true\ncontent-length:2\n\nhi\0\n"
    );
    let mut bench = Bench::connected(Version::V1_0);
    bench.subscribe("destination:/topic/>\n");
    let message = Arc::new(message);
    bench.hear(Event::Deliver(Delivery { subscription: 1, tag: 1, message, redeliveries: 2, group_first: false }));
    bench.deliver(1, 2, text_message(6));
    let frames = bench.frames();
    assert_eq!(frames[0].get("redelivered").map(|v| &**v), Some("true"));
    assert_eq!(frames[0].get("subscription"), None);
    assert_eq!(frames[1].get("destination").map(|v| &**v), Some("/queue/A"));
    assert_eq!((bench.session.stats().messages_out, bench.session.stats().frames_out), (2, 3));
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn deflated_bytes(plain: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(plain.len() as i32);
    out.put_slice(&zlib(plain));
    out.freeze()
}

#[test]
fn stomp_bodies_are_shown_plain() {
    let bomb = vec![0u8; 2 * 1024 * 1024];
    let error = "transformation-error:";
    for (kind, compressed, content, body, header) in [
        (BodyKind::Text, false, Some(text_content("grüße \0")), "grüße \0", "content-length:9\n"),
        (BodyKind::Text, false, None, "", ""),
        (BodyKind::Text, false, Some(Bytes::from_static(b"\0\0\0\x09x")), "", error),
        (BodyKind::Text, true, Some(zlib(&text_content("squeezed")).into()), "squeezed", ""),
        (BodyKind::Text, true, Some(Bytes::from_static(b"junk")), "", error),
        (BodyKind::Text, true, Some(zlib(&bomb).into()), "", error),
        (BodyKind::Bytes, false, Some(Bytes::from_static(b"raw")), "raw", "content-length:3\n"),
        (BodyKind::Bytes, false, None, "", "content-length:0\n"),
        (BodyKind::Bytes, true, Some(deflated_bytes(b"squeezed")), "squeezed", "content-length:8\n"),
        (BodyKind::Bytes, true, Some(deflated_bytes(&bomb)), "", error),
        (BodyKind::Bytes, true, Some(Bytes::from_static(b"abc")), "", error),
        (BodyKind::Empty, false, None, "", ""),
        (BodyKind::Map, false, Some(Bytes::from_static(b"\0\0\0\0")), "", ""),
        (BodyKind::Object, true, Some(Bytes::from_static(b"rO0")), "", ""),
        (BodyKind::Stream, false, Some(Bytes::from_static(b"x")), "", ""),
    ] {
        let mut message = text_message(1);
        (message.body_kind, message.compressed, message.content) = (kind, compressed, content);
        let frame = delivered(Version::V1_1, message);
        let (head, rest) = frame.split_once("\n\n").expect("a blank line");
        assert_eq!(rest, format!("{body}\0\n"), "{kind:?}");
        assert!(format!("{head}\n").contains(header), "{header} is not in {head}");
        assert_eq!(head.contains(error), header == error, "{head}");
    }
}

#[test]
fn stomp_unmet_transformations_are_told() {
    let mut bench = Bench::connected(Version::V1_1);
    bench.subscribe("id:s\ndestination:/queue/A\ntransformation:jms-map-json\n");
    let mut map = text_message(1);
    map.body_kind = BodyKind::Map;
    bench.deliver(1, 1, map);
    bench.deliver(1, 2, text_message(2));
    let frames = bench.frames();
    assert!(frames[0].get("transformation-error").is_some() && frames[1].get("transformation-error").is_none());
    assert_eq!(frames[1].get("transformation").map(|v| &**v), Some("jms-map-json"));
}

#[test]
fn stomp_advisories_are_json() {
    let consumer = ProducerId { connection: "ID:c".into(), session: 1, value: 2 };
    for (advisory, body) in [
        (Advisory::ConsumerRemoved { consumer }, r#"{"RemoveInfo":{"objectId":"ID:c:1:2"}}"#),
        (
            Advisory::ConnectionAdded {
                connection: "ID:c".into(),
                client_id: None,
                user: Some("a\"b\n".into()),
                remote: "r".into(),
            },
            r#"{"ConnectionInfo":{"connectionId":"ID:c","userName":"a\"b\u000a","clientIp":"r"}}"#,
        ),
        (
            Advisory::Destination { destination: Destination::queue("Q"), connection: "ID:c".into(), removed: true },
            r#"{"DestinationInfo":{"connectionId":"ID:c","destination":"queue://Q","operationType":1}}"#,
        ),
    ] {
        let mut message = text_message(1);
        message.body_kind = BodyKind::Empty;
        message.content = None;
        message.advisory = Some(Box::new(advisory));
        let frame = delivered(Version::V1_1, message);
        assert!(frame.contains("\ntransformation:jms-advisory-json\n"), "{frame}");
        assert!(frame.ends_with(&format!("\n\n{body}\0\n")), "{frame}");
    }
}

/// Whatever a JMS client puts into names and values, a frame stays one frame with the headers that are ours.
#[test]
fn stomp_headers_cannot_be_injected() {
    for version in Version::ALL {
        let evil = "x\r\nsubscription:other\n\nbody\0MESSAGE\n\\";
        let mut message = text_message(1);
        message.correlation_id = Some(evil.into());
        message.kind = Some(evil.into());
        message.destination = Destination::queue(evil);
        message.properties = message.properties.with(evil, &Value::Text(evil.into()));
        let mut bench = Bench::connected(version);
        bench.subscribe("id:s\ndestination:/queue/A\n");
        bench.deliver(1, 1, message);
        let frame = bench.frame();
        assert_eq!(frame.headers.iter().filter(|(name, _)| *name == *"subscription").count(), 1, "{version:?}");
        assert_eq!(frame.body, &b"hi"[..]);
    }
    let mut bench = Bench::connected(Version::V1_0);
    // An escape is read in 1.0, but the LF it stands for cannot be written.
    bench.say("ACK\nmessage-id:a\rb\\nc\nreceipt:r\\nx:y\n\n\0");
    let frame = bench.frame();
    assert_eq!(frame.get("receipt-id").map(|v| &**v), Some("r x:y"));
}
