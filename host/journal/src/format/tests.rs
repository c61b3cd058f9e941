use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use message::properties::Builder;
use message::{BodyKind, Destination, DestinationKind, Message, MessageId, Record, Value};

use super::*;
use crate::conformance::{Random, Samples};

/// A message that uses every field.
fn full() -> Message {
    let producer = ProducerId { connection: "ID:höst-1".into(), session: -1, value: i64::MIN };
    let id = MessageId { producer, sequence: i64::MAX, text_view: Some("foreign".into()) };
    let mut m = Message::new(id, Destination::topic("T.a.b"));
    m.original_destination = Some(Destination { kind: DestinationKind::TempQueue, name: "ID:x:1".into() });
    m.original_transaction = Some("TX:1".into());
    m.reply_to = Some(Destination { kind: DestinationKind::TempTopic, name: "ID:x:2".into() });
    m.correlation_id = Some("".into());
    m.kind = Some("type".into());
    m.persistent = true;
    m.priority = 9;
    m.expiration = 1_790_000_000_123;
    m.timestamp = -1;
    m.group_id = Some("g".into());
    m.group_sequence = i32::MIN;
    m.user_id = Some("user".into());
    m.body_kind = BodyKind::Blob;
    m.compressed = true;
    m.content = Some(Bytes::from_static(b"\0\x01body"));
    let mut b = Builder::new();
    b.push("text", &Value::Text("grüße 😀".into()));
    b.push("long", &Value::Long(-5));
    m.properties = b.finish();
    m.droppable = true;
    m.broker_in_time = 1_790_000_000_000;
    m.redelivery_count = u32::MAX;
    m.sequence = u64::MAX;
    m
}

fn small() -> Message {
    let mut m = Message::new(MessageId::default(), Destination::queue("Q"));
    m.content = Some(Bytes::new());
    m.body_kind = BodyKind::Text;
    m
}

#[derive(Debug, PartialEq)]
enum Any {
    Body(Box<Message>),
    Entry(EntryMeta),
    Log(LogDefinition),
    Producer(i64, Sequence),
    Number(u64),
    GroupOwner(message::Text),
    Fact(Bytes),
    Append(Vec<Record>),
}

impl Any {
    fn encode(&self, key: &[u8]) -> Vec<u8> {
        match self {
            Any::Body(m) => encode_body(key, m),
            Any::Entry(m) => encode_entry(key, m),
            Any::Log(d) => encode_log(key, d),
            Any::Producer(s, at) => encode_producer(key, *s, *at),
            Any::Number(n) => encode_number(key, *n),
            Any::GroupOwner(owner) => encode_group_owner(key, owner),
            Any::Fact(value) => encode_fact(key, value),
            Any::Append(records) => encode_append(key, std::slice::from_ref(records)),
        }
    }

    fn decode(kind: &str, key: &[u8], value: &[u8]) -> Result<Any, FormatError> {
        Ok(match kind {
            "body" => Any::Body(decode_body(key, &Bytes::copy_from_slice(value))?.into()),
            "entry" => Any::Entry(decode_entry(key, value)?),
            "log" => Any::Log(decode_log(key, value)?),
            "producer" => decode_producer(key, value).map(|(s, at)| Any::Producer(s, at))?,
            "owner" => Any::GroupOwner(decode_group_owner(key, value)?),
            "fact" => Any::Fact(decode_fact(key, &Bytes::copy_from_slice(value))?),
            "append" => Any::Append(decode_append(key, &Bytes::copy_from_slice(value))?),
            _ => Any::Number(decode_number(key, value)?),
        })
    }
}

fn facts() -> Vec<(&'static str, Any)> {
    [&b""[..], b"{\"version\":1}", &[0xff; 200]].map(|value| ("fact", Any::Fact(Bytes::from_static(value)))).into()
}

/// All there is, by name of kind.
fn samples() -> Vec<(&'static str, Any)> {
    let mut all = first_samples();
    all.extend(group_samples());
    all.extend(facts());
    all.extend(appends());
    all
}

/// Records of every kind; their fixture is a file of its own too.
fn appends() -> Vec<(&'static str, Any)> {
    let message = Arc::new(full());
    let all = vec![
        Record::Body { sequence: 1 << 40, message },
        Record::BodyGone { sequence: 3 },
        Samples::entry(7, 1 << 40),
        Record::EntryGone { log: u32::MAX, sequence: u64::MAX },
        Record::Redeliveries { log: 7, sequence: 9, count: 2 },
        Record::Dispatched { log: 7, up_to: 300 },
        Samples::queue(1),
        Samples::durable(2),
        Record::LogGone { log: 1 },
        Samples::group(300, 1, "ID:a:1:1"),
        Samples::group_gone(300, 2),
        Samples::producer(-5, i64::MIN, 77),
        Record::ProducerGone { producer: Samples::producer_id(3) },
        Samples::fact(1, 10),
        Samples::fact_gone(2),
        Record::CleanStop,
    ];
    vec![("append", Any::Append(all)), ("append", Any::Append(Vec::new()))]
}

/// What came with message groups; their fixture is a file of its own.
fn group_samples() -> Vec<(&'static str, Any)> {
    let owner = |text: &'static str| ("owner", Any::GroupOwner(text.into()));
    vec![owner("ID:host-1-2-3:1:1:1"), owner(""), owner("grüße/1")]
}

/// What the first fixture of version 1 holds.
fn first_samples() -> Vec<(&'static str, Any)> {
    let mut all = vec![
        ("body", Any::Body(full().into())),
        ("body", Any::Body(small().into())),
        ("body", Any::Body(Samples::message(300).into())),
        ("producer", Any::Producer(-3, 77)),
        ("producer", Any::Producer(i64::MAX, u64::MAX)),
        ("number", Any::Number(0)),
        ("number", Any::Number(u64::MAX)),
    ];
    for s in [0, 1, 6, 999] {
        let Record::Entry { meta, .. } = Samples::entry(1, s) else { unreachable!("an entry") };
        all.push(("entry", Any::Entry(meta)));
    }
    for record in [Samples::queue(1), Samples::durable(2), Samples::durable(3)] {
        let Record::Log { definition, .. } = record else { unreachable!("a log") };
        all.push(("log", Any::Log(definition)));
    }
    all
}

fn key_of(index: usize) -> Vec<u8> {
    format!("key{index}").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        write!(out, "{b:02x}").expect("a string takes all");
        out
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).expect("hex digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Records written by version 1 read the same for ever.
#[test]
fn records_of_version_1_read_back() {
    read_back("records-v1.txt", &first_samples());
}

/// Owners of groups, and facts, came to version 1 later and have files of their own.
#[test]
fn owners_of_groups_of_version_1_read_back() {
    read_back("records-v1-groups.txt", &group_samples());
}

#[test]
fn facts_of_version_1_read_back() {
    read_back("facts-v1.txt", &facts());
}

#[test]
fn appends_of_version_1_read_back() {
    read_back("appends-v1.txt", &appends());
}

/// A file is written anew only where it is missing, which is a failure too: a fixture belongs to the version that wrote
/// it.
fn read_back(file: &str, samples: &[(&'static str, Any)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        let lines: Vec<String> = samples
            .iter()
            .enumerate()
            .map(|(i, (kind, any))| format!("{kind} {}\n", hex(&any.encode(&key_of(i)))))
            .collect();
        std::fs::write(&path, lines.concat()).expect("write fixture");
        panic!("{} was missing and is written now", path.display());
    };
    assert_eq!(text.lines().count(), samples.len());
    for (i, (line, (_, expected))) in text.lines().zip(samples).enumerate() {
        let (kind, value) = line.split_once(' ').expect("kind and value");
        assert_eq!(Any::decode(kind, &key_of(i), &unhex(value)).as_ref(), Ok(expected), "line {i}");
    }
}

#[test]
fn what_is_written_is_read() {
    for (i, (kind, any)) in samples().iter().enumerate() {
        let value = any.encode(&key_of(i));
        assert_eq!(Any::decode(kind, &key_of(i), &value).as_ref(), Ok(any));
        let (mut other_key, mut newer) = (key_of(i), value.clone());
        other_key[0] ^= 1;
        assert!(matches!(Any::decode(kind, &other_key, &value), Err(FormatError::Checksum { .. })));
        newer[0] = VERSION + 1;
        assert_eq!(Any::decode(kind, &key_of(i), &newer), Err(FormatError::Newer { found: VERSION + 1 }));
        for other in
            ["body", "entry", "log", "producer", "number", "owner", "fact", "append"].into_iter().filter(|o| o != kind)
        {
            assert!(matches!(Any::decode(other, &key_of(i), &value), Err(FormatError::Kind { .. })), "{kind} {other}");
        }
    }
    let producer = full().id.producer;
    assert_eq!(decode_producer_id(&encode_producer_id(&producer)), Ok(producer));
}

/// The usual message of the tests costs few bytes beside its body and properties.
#[test]
fn headers_are_small() {
    let m = Samples::message(300);
    let plain = m.content.as_ref().map_or(0, Bytes::len) + m.properties.len_bytes();
    let value = encode_body(b"key", &m);
    assert!(value.len() - plain < 50, "{} bytes of headers", value.len() - plain);
}

/// One flipped bit, one cut: always an error, never another value.
#[test]
fn damage_is_always_seen() {
    for (i, (kind, any)) in samples().iter().enumerate() {
        let key = key_of(i);
        let value = any.encode(&key);
        for cut in 0..value.len() {
            assert!(Any::decode(kind, &key, &value[..cut]).is_err());
        }
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Any::decode(kind, &key, &bad).is_err(), "{kind} bit {bit}");
        }
    }
}

/// Hostile bytes under a right checksum: the fields are refused or read, nothing else. The samples are the corpus, and
/// what was read is written back to the same bytes or at least to the same value.
#[test]
fn any_bytes_are_refused_or_read() {
    let mut random = Random(7);
    let corpus: Vec<(&str, Vec<u8>)> =
        samples().into_iter().map(|(kind, any)| (kind, any.encode(b"k")[HEADER_BYTES..].to_vec())).collect();
    let mut read = 0;
    for _ in 0..60_000 {
        let (kind, fields) = &corpus[random.below(corpus.len() as u64) as usize];
        let mut fields = fields.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(fields.len() as u64 + 1) as usize;
            match random.below(5) {
                0 => fields.truncate(at),
                1 => fields.insert(at, random.below(256) as u8),
                2 => fields.splice(at..at, [0xff; 9]).for_each(drop),
                _ if at < fields.len() => {
                    fields[at] = [random.below(256) as u8, 0x80, 0xff, 0][random.below(4) as usize]
                }
                _ => fields.push(0),
            }
        }
        let number = match *kind {
            "body" => Kind::Body,
            "entry" => Kind::Entry,
            "log" => Kind::Log,
            "producer" => Kind::Producer,
            "owner" => Kind::GroupOwner,
            "fact" => Kind::Fact,
            "append" => Kind::Append,
            _ => Kind::Number,
        };
        let value = seal(number, b"k", 0, |out| out.extend_from_slice(&fields));
        if let Ok(any) = Any::decode(kind, b"k", &value) {
            read += 1;
            assert_eq!(Any::decode(kind, b"k", &any.encode(b"k")), Ok(any));
        }
        drop(decode_producer_id(&fields));
    }
    assert!(read > 1000, "the mutations leave {read} values readable");
}
