//! OpenWire against the bytes of ActiveMQ's own client, and against bytes that nobody should send.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use wire::openwire::*;

/// Frames marshalled by `tests/fixtures/openwire/Golden.java`.
const GOLDEN: &str = include_str!("../../../tests/fixtures/openwire/golden.txt");

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Spoken {
    version: i32,
    tight: bool,
    cache: bool,
}

struct Golden {
    name: &'static str,
    frame: Vec<u8>,
}

/// One connection for each version and flags, its frames in order.
fn connections() -> BTreeMap<Spoken, Vec<Golden>> {
    let mut connections = BTreeMap::<_, Vec<_>>::new();
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("five words a line");
        let name = word();
        let version = word().parse().expect("a version");
        let spoken = Spoken { version, tight: word() == "tight", cache: word() == "cache" };
        let hex = word();
        let frame = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"));
        connections.entry(spoken).or_default().push(Golden { name, frame: frame.collect() });
    }
    assert_eq!(connections.len(), 12 * 4);
    connections
}

fn decode(format: &mut Format, frame: &[u8]) -> Result<Option<Command>, Error> {
    format.decode(&mut BytesMut::from(frame))
}

fn encode(format: &mut Format, command: &Command) -> Vec<u8> {
    let mut out = BytesMut::new();
    format.encode(command, &mut out).expect("a command that was decoded");
    out.to_vec()
}

/// A side that has seen the fixture's `WireFormatInfo`.
fn agreed(golden: &[Golden]) -> Format {
    let mut format = Format::new(Limits::default());
    let info = decode(&mut format, &golden[0].frame).expect("valid").expect("whole");
    let Command::WireFormatInfo(info) = info else { panic!("{info:?}") };
    format.renegotiate(&info, &info.clone()).expect("agreement");
    format
}

fn throwable(command: &mut Command) -> Option<&mut Throwable> {
    match command {
        Command::ConnectionError(command) => command.exception.as_mut(),
        Command::ExceptionResponse(command) => command.exception.as_mut(),
        Command::MessageAck(command) => command.poison_cause.as_mut(),
        _ => None,
    }
}

/// What Java wrote is read, and written again to the same bytes, in every version, encoding and cache setting.
#[test]
fn golden_frames_come_out_as_they_went_in() {
    for (spoken, golden) in connections() {
        let (mut reader, mut writer) = (agreed(&golden), agreed(&golden));
        assert_eq!(i32::from(reader.agreement().version), spoken.version);
        assert_eq!(reader.agreement().tight, spoken.tight);
        assert_eq!(reader.agreement().cache_size, spoken.cache.then_some(150));
        assert_eq!(reader.agreement().stack_trace, spoken.version % 2 == 0);
        for Golden { name, frame } in &golden {
            let mut buffer = BytesMut::from(&frame[..]);
            let mut command = match reader.decode(&mut buffer) {
                Ok(Some(command)) => command,
                other => panic!("{name} {spoken:?}: {other:?}"),
            };
            assert!(buffer.is_empty());
            let written = encode(&mut writer, &command);
            match throwable(&mut command).filter(|_| reader.agreement().stack_trace) {
                // We send no stack trace, so only the strings can be compared.
                Some(throwable) => {
                    assert!(throwable.class.contains("Exception"), "{name}: {throwable:?}");
                    assert!(written.len() < frame.len());
                }
                None => assert_eq!(written, *frame, "{name} {spoken:?}\n{command:?}"),
            }
        }
    }
}

/// The strings of a throwable survive whatever Java puts behind them.
#[test]
fn throwables_are_two_strings() {
    let mut seen = 0;
    for (spoken, golden) in connections() {
        let mut reader = agreed(&golden);
        for Golden { name, frame } in &golden {
            let mut command = decode(&mut reader, frame).expect("valid").expect("whole");
            let expected = match *name {
                "ExceptionResponse.bare" => ("java.lang.SecurityException", None),
                "ExceptionResponse" | "ConnectionError" => {
                    ("jakarta.jms.InvalidClientIDException", Some("client ü is taken"))
                }
                "MessageAck.poison" if spoken.version >= 7 => {
                    ("jakarta.jms.InvalidClientIDException", Some("client ü is taken"))
                }
                _ => {
                    assert!(throwable(&mut command).is_none(), "{name}");
                    continue;
                }
            };
            let throwable = throwable(&mut command).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((&throwable.class[..], throwable.message.as_deref()), expected);
            seen += 1;
        }
    }
    assert!(seen > 150);
}

#[test]
fn long_messages_of_throwables_are_cut() {
    let exception = Throwable { class: "java.lang.Exception".into(), message: Some("ä€".repeat(20_000).into()) };
    let response = ExceptionResponse { exception: Some(exception), ..Default::default() };
    let frame = encode(&mut loose(), &response.into());
    let mut command = decode(&mut loose(), &frame).expect("valid").expect("whole");
    let message = throwable(&mut command).and_then(|throwable| throwable.message.take()).expect("message");
    assert_eq!(message.len(), 4095);
    assert!(message.starts_with("ä€ä€"));
}

/// The newest version carries every field; this is what they mean.
#[test]
fn a_message_has_the_values_that_java_set() {
    let connections = connections();
    let golden = &connections[&Spoken { version: 12, tight: true, cache: true }];
    let mut reader = agreed(golden);
    let mut found = None;
    for Golden { name, frame } in golden {
        let command = decode(&mut reader, frame).expect("valid").expect("whole");
        if *name == "ActiveMQTextMessage" {
            found = Some(command);
        }
    }
    let Some(Command::Message(message)) = found else { panic!("{found:?}") };
    let connection = "ID:host-1:1";
    let producer = ProducerId { connection: connection.into(), session: -1, value: 3 };
    let queue = Destination { kind: DestinationKind::Queue, name: "A.B".into() };
    let broker = |name: &'static str| BrokerId { value: name.into() };
    let expected = Message {
        header: message.header,
        producer_id: Some(producer.clone()),
        destination: Some(queue),
        transaction_id: Some(TransactionId::Local(LocalTransactionId {
            value: 0xffff_ffff,
            connection: ConnectionId { value: connection.into() },
        })),
        original_destination: Some(Destination { kind: DestinationKind::Topic, name: "T.ä€".into() }),
        message_id: Some(MessageId { text_view: None, producer, sequence: 5, broker_sequence: 5 * 65536 }),
        original_transaction_id: Some(TransactionId::Xa(XaTransactionId {
            format_id: 55,
            global_transaction_id: Bytes::from_static(&[1, 2, 3]),
            branch_qualifier: Bytes::from_static(&[0xff, 0]),
        })),
        group_id: Some("group".into()),
        group_sequence: -1,
        correlation_id: Some("a\0b😀".into()),
        persistent: true,
        expiration_ms: -1,
        priority: 9,
        reply_to: Some(Destination { kind: DestinationKind::TempQueue, name: "ID:host-1:1:7".into() }),
        timestamp_ms: 1_700_000_000_000,
        message_type: Some("type".into()),
        content: Some(Bytes::from_static(&[9, 8, 7, 0, 255])),
        properties: Some(Bytes::from_static(&[0; 4])),
        data_structure: None,
        target_consumer_id: Some(ConsumerId { connection: connection.into(), session: -1, value: 70000 }),
        compressed: true,
        redelivery_counter: 3,
        broker_path: Some(vec![broker("one"), broker("two")]),
        arrival_ms: 65535,
        user_id: Some("user".into()),
        received_by_df_bridge: true,
        droppable: true,
        cluster: Some(vec![broker("three")]),
        broker_in_time_ms: 65536,
        broker_out_time_ms: 0x1122_3344_5566_7788,
        group_first_for_consumer: true,
        kind: MessageKind::Text,
    };
    assert_eq!(message, expected);
}

/// Where the stream is cut makes no difference.
#[test]
fn chunks_are_read_like_the_whole() {
    for (spoken, golden) in connections() {
        for step in [1, 7, 1000] {
            let (mut whole, mut chunked) = (agreed(&golden), agreed(&golden));
            let stream: Vec<u8> = golden.iter().flat_map(|golden| golden.frame.clone()).collect();
            let mut expected = golden.iter().map(|golden| decode(&mut whole, &golden.frame).expect("valid"));
            let mut buffer = BytesMut::new();
            for chunk in stream.chunks(step) {
                buffer.extend_from_slice(chunk);
                while let Some(command) = chunked.decode(&mut buffer).expect("valid") {
                    assert_eq!(Some(Some(command)), expected.next(), "{spoken:?} {step}");
                }
            }
            assert_eq!(expected.next(), None);
        }
    }
}

/// Frames without a size in front of them are found by reading them.
#[test]
fn frames_without_a_size_are_read_and_written() {
    for (spoken, golden) in connections() {
        let (mut reader, mut writer) = (agreed(&golden), agreed(&golden));
        let unsized_too = Agreement { size_prefix_disabled: true, ..reader.agreement().clone() };
        let (mut unsized_reader, mut unsized_writer) = (reader.clone(), writer.clone());
        unsized_reader.agree(unsized_too.clone());
        unsized_writer.agree(unsized_too);
        let mut buffer = BytesMut::new();
        for Golden { name, frame } in &golden {
            let command = decode(&mut reader, frame).expect("valid").expect("whole");
            let written = encode(&mut unsized_writer, &command);
            assert_eq!(written, encode(&mut writer, &command)[4..]);
            for chunk in written.chunks(written.len().div_ceil(5)) {
                assert_eq!(unsized_reader.decode(&mut buffer), Ok(None), "{name}");
                buffer.extend_from_slice(chunk);
            }
            assert_eq!(unsized_reader.decode(&mut buffer), Ok(Some(command)), "{name} {spoken:?}");
            assert!(buffer.is_empty());
        }
    }
}

/// A borrowed dispatch is the same frame as an owned one.
#[test]
fn dispatches_can_be_borrowed() {
    let mut seen = 0;
    for golden in connections().values() {
        let (mut reader, mut owned, mut borrowed) = (agreed(golden), agreed(golden), agreed(golden));
        for Golden { frame, .. } in golden {
            let command = decode(&mut reader, frame).expect("valid").expect("whole");
            let mut out = BytesMut::new();
            match &command {
                Command::MessageDispatch(MessageDispatch {
                    header,
                    consumer_id: Some(consumer_id),
                    destination: Some(destination),
                    message,
                    redelivery_counter,
                }) => {
                    let dispatch = Dispatch {
                        header: *header,
                        consumer_id,
                        destination,
                        message: message.as_deref(),
                        redelivery_counter: *redelivery_counter,
                    };
                    borrowed.encode_dispatch(&dispatch, &mut out).expect("valid");
                    seen += 1;
                }
                Command::Message(message) => borrowed.encode_message(message, &mut out).expect("valid"),
                command => borrowed.encode(command, &mut out).expect("valid"),
            }
            assert_eq!(out, encode(&mut owned, &command));
        }
    }
    assert!(seen > 100);
}

/// Texts and bodies point into the buffer that they came in.
#[test]
fn decoding_copies_no_text_and_no_body() {
    let connections = connections();
    let golden = &connections[&Spoken { version: 12, tight: true, cache: false }];
    let frame = &golden.iter().find(|golden| golden.name == "ActiveMQTextMessage").expect("there is one").frame;
    let mut buffer = BytesMut::from(&frame[..]);
    let range = buffer.as_ptr() as usize..buffer.as_ptr() as usize + buffer.len();
    let command = agreed(golden).decode(&mut buffer).expect("valid");
    let Some(Command::Message(message)) = command else { panic!("{command:?}") };
    let within = |bytes: &[u8]| range.contains(&(bytes.as_ptr() as usize));
    assert!(within(message.content.as_deref().expect("content")));
    assert!(within(message.properties.as_deref().expect("properties")));
    assert!(within(message.destination.as_ref().expect("destination").name.as_bytes()));
    assert!(within(message.original_destination.as_ref().expect("not ASCII, but UTF-8").name.as_bytes()));
    assert!(within(message.group_id.as_ref().expect("group").as_bytes()));
    assert!(!within(message.correlation_id.as_ref().expect("not UTF-8").as_bytes()));
}

/// Reading and writing again what may be rubbish: errors are fine, everything else is not.
fn survive(mut format: Format, bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let mut writer = format.clone();
    while let Ok(Some(command)) = format.decode(&mut buffer) {
        let mut out = BytesMut::new();
        if writer.encode(&command, &mut out).is_ok() {
            assert!(matches!(writer.clone().decode(&mut out), Ok(Some(_)) | Err(Error::CacheIndex { .. })));
        } else {
            assert!(out.is_empty(), "a failed frame leaves nothing behind");
        }
    }
}

fn named(name: &str, spoken: &Spoken, at: usize, run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        panic!("{name} {spoken:?} at byte {at}");
    }
}

/// The connections that the costly tests use: the oldest and the newest version.
fn some_connections() -> impl Iterator<Item = (Spoken, Vec<Golden>)> {
    connections().into_iter().filter(|(spoken, _)| matches!(spoken.version, 1 | 12))
}

/// The state in which each frame of a connection is read.
fn each_frame(golden: &[Golden], mut run: impl FnMut(&Format, &Golden)) {
    let mut format = agreed(golden);
    for frame in golden.iter().filter(|golden| golden.name != "Evict") {
        run(&format, frame);
        decode(&mut format, &frame.frame).expect("valid");
    }
}

/// A stream that ends early is waited for; a frame whose size says that it ends early is an error.
#[test]
fn cut_frames_are_no_commands() {
    for (spoken, golden) in some_connections() {
        each_frame(&golden, |format, Golden { name, frame }| {
            let step = if frame.len() > 1500 { 97 } else { 1 };
            for end in (0..frame.len()).step_by(step) {
                named(name, &spoken, end, || {
                    assert_eq!(decode(&mut format.clone(), &frame[..end]), Ok(None));
                    if let Some(size) = end.checked_sub(4) {
                        let mut cut = frame[..end].to_vec();
                        cut[..4].copy_from_slice(&(size as u32).to_be_bytes());
                        let mut format = format.clone();
                        assert!(decode(&mut format, &cut).is_err());
                    }
                });
            }
        });
    }
}

/// Any field may be a length: each place gets the values that lengths go wrong with, in one, two and four bytes.
#[test]
fn wrong_lengths_are_refused() {
    for (spoken, golden) in some_connections() {
        each_frame(&golden, |format, Golden { name, frame }| {
            let step = if frame.len() > 1500 { 97 } else { 1 + frame.len() / 150 };
            for at in (4..frame.len()).step_by(step) {
                for value in [-1i32, 0, 1, 2, 0x7f, 0x80, 0xc0, 0x7fff, 0x8000, i32::MAX, i32::MIN] {
                    for width in [1, 2, 4] {
                        let mut wrong = frame.clone();
                        let end = (at + width).min(wrong.len());
                        wrong[at..end].copy_from_slice(&value.to_be_bytes()[4 - width..][..end - at]);
                        named(name, &spoken, at, || survive(format.clone(), &wrong));
                    }
                }
            }
        });
    }
}

/// A generator of reproducible noise.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Bytes at random, and frames with bytes changed at random.
#[test]
fn noise_is_survived() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for (spoken, golden) in connections() {
        let format = agreed(&golden);
        for round in 0..1000 {
            let mut bytes = if round % 2 == 0 {
                let length = noise.below(200) + 5;
                let mut bytes: Vec<u8> = (0..length).map(|_| noise.next() as u8).collect();
                bytes[..4].copy_from_slice(&(length as u32 - 4).to_be_bytes());
                bytes[4] %= 128;
                bytes
            } else {
                golden[noise.below(golden.len())].frame.clone()
            };
            for _ in 0..noise.below(8) {
                let at = noise.below(bytes.len());
                bytes[at] = noise.next() as u8;
            }
            named("noise", &spoken, round, || survive(format.clone(), &bytes));
        }
    }
}

/// The corpus of the fuzzing entry, so that what was found once stays found.
#[test]
fn the_fuzz_corpus_is_survived() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus/openwire");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is in the tree") {
        let path = entry.expect("readable").path();
        fuzz(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        count += 1;
    }
    assert!(count > 0);
}

/// The shortest agreement: plain and loose.
fn loose() -> Format {
    let mut format = Format::new(Limits::default());
    format.agree(Agreement::default());
    format
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

#[test]
fn sizes_are_bounded() {
    let mut format = Format::new(Limits::default());
    let error = decode(&mut format, &[0x47, 0x45, 0x54, 0x20]);
    assert_eq!(error, Err(Error::FrameTooLarge { need: 0x4745_5420, have: 65_536 }), "GET of a web client");
    assert!(matches!(decode(&mut format, &[0xff; 4]), Err(Error::NegativeLength { .. })));
    assert!(matches!(decode(&mut format, &[0; 4]), Err(Error::Truncated { .. })));
    assert_eq!(decode(&mut loose(), &[0x06, 0x40, 0, 0]), Ok(None), "exactly the limit");
    assert!(matches!(decode(&mut loose(), &[0x06, 0x40, 0, 1]), Err(Error::FrameTooLarge { .. })));
}

#[test]
fn bytes_behind_a_command_are_left_alone() {
    let frame = framed(b"\x0a\0\0\0\x01\x01rest");
    let expected = KeepAliveInfo { header: Header { command_id: 1, response_required: true } };
    assert_eq!(decode(&mut loose(), &frame), Ok(Some(expected.into())));
}

#[test]
fn depth_is_bounded() {
    // DataResponse within DataResponse, on and on.
    let mut body = vec![32];
    for _ in 0..10_000 {
        body.extend_from_slice(b"\0\0\0\0\0\0\0\0\0\x01\x20");
    }
    assert!(matches!(decode(&mut loose(), &framed(&body)), Err(Error::TooDeep { .. })));
    // A throwable with a cause with a cause.
    let mut format = Format::new(Limits::default());
    format.agree(Agreement { stack_trace: true, ..Agreement::default() });
    let mut body = b"\x1f\0\0\0\0\0\0\0\0\0".to_vec();
    for _ in 0..10_000 {
        body.extend_from_slice(b"\x01\0\0\0\0");
    }
    assert!(matches!(decode(&mut format, &framed(&body)), Err(Error::TooDeep { .. })));
}

#[test]
fn types_that_a_version_does_not_have_are_refused() {
    for (data_type, since) in [(20, 2), (19, 3), (29, 3), (92, 12), (13, 255), (51, 255), (70, 255), (200, 255)] {
        for version in 1..=12 {
            let mut format = Format::new(Limits::default());
            format.agree(Agreement { version, ..Agreement::default() });
            let result = decode(&mut format, &framed(&[data_type]));
            let unknown = matches!(result, Err(Error::UnknownType { .. }));
            assert_eq!(unknown, version < since, "{data_type} in {version}: {result:?}");
        }
    }
    let mut format = Format::new(Limits::default());
    format.agree(Agreement { version: 11, ..Agreement::default() });
    let error = format.encode(&BrokerSubscriptionInfo::default().into(), &mut BytesMut::new());
    assert!(matches!(error, Err(Error::UnknownType { data_type: 92, version: 11, .. })));
}

#[test]
fn cache_indexes_are_checked() {
    let mut format = Format::new(Limits::default());
    format.agree(Agreement { cache_size: Some(10), ..Agreement::default() });
    // SessionInfo with a hit, then with a new id under some index.
    let hit = |index: i16| framed(&[&b"\x04\0\0\0\0\0\0"[..], &index.to_be_bytes()].concat());
    let new = |index: i16| {
        let id = b"\x01\x79\x01\0\x01c\0\0\0\0\0\0\0\x05";
        framed(&[&b"\x04\0\0\0\0\0\x01"[..], &index.to_be_bytes(), id].concat())
    };
    for index in [-1, -2, 0, 9, 10, i16::MAX, i16::MIN] {
        assert!(matches!(decode(&mut format, &hit(index)), Err(Error::CacheIndex { .. })), "{index}");
    }
    for index in [-2, 10, i16::MAX, i16::MIN] {
        assert!(matches!(decode(&mut format, &new(index)), Err(Error::CacheIndex { .. })), "{index}");
    }
    let session =
        SessionInfo { header: Header::default(), session_id: Some(SessionId { connection: "c".into(), value: 5 }) };
    assert_eq!(decode(&mut format, &new(-1)), Ok(Some(session.clone().into())));
    assert!(matches!(decode(&mut format, &hit(-1)), Err(Error::CacheIndex { .. })));
    assert_eq!(decode(&mut format, &new(9)), Ok(Some(session.clone().into())));
    assert_eq!(decode(&mut format, &hit(9)), Ok(Some(session.into())));
    // A connection id is asked for, a session id stands there.
    let wrong = framed(b"\x09\0\0\0\0\0\0\0\x09\0\0");
    assert!(matches!(decode(&mut format, &wrong), Err(Error::CacheIndex { index: 9, have: 10, .. })));
}

/// A frame that could not be written has told the peer nothing, so nothing of it may be a hit later.
#[test]
fn a_failed_frame_is_forgotten() {
    for tight in [true, false] {
        let agreement = Agreement { tight, cache_size: Some(1024), ..Agreement::default() };
        let (mut sender, mut receiver) = (Format::new(Limits::default()), Format::new(Limits::default()));
        sender.agree(agreement.clone());
        receiver.agree(agreement);
        let id = ConnectionId { value: "c".into() };
        let long = "x".repeat(70_000);
        let mut out = BytesMut::from(&b"before"[..]);
        let failing = RemoveSubscriptionInfo {
            connection_id: Some(id.clone()),
            subscription_name: Some(long.into()),
            ..Default::default()
        };
        assert!(matches!(sender.encode(&failing.into(), &mut out), Err(Error::TooMany { need: 70_000, .. })));
        assert_eq!(out, &b"before"[..]);
        let command: Command = ConnectionInfo { connection_id: Some(id), ..Default::default() }.into();
        let frame = encode(&mut sender, &command);
        assert_eq!(decode(&mut receiver, &frame), Ok(Some(command)));
    }
}

/// Rows W02 to W06.
#[test]
fn two_sides_agree_on_the_lesser() {
    let info = |version, properties: &[(&str, Property)]| WireFormatInfo::new(version, properties);
    let agree = |theirs: &WireFormatInfo| {
        let mut format = Format::new(Limits::default());
        let ours = format.preferred();
        format.renegotiate(theirs, &ours).cloned()
    };
    let theirs = info(
        9,
        &[
            ("TightEncodingEnabled", Property::Boolean(true)),
            ("CacheEnabled", Property::Boolean(true)),
            ("CacheSize", Property::Int(512)),
            ("MaxFrameSize", Property::Long(i64::MAX)),
            ("MaxInactivityDuration", Property::Long(60_000)),
            ("SizePrefixDisabled", Property::Boolean(true)),
        ],
    );
    let expected = Agreement {
        version: 9,
        tight: true,
        cache_size: Some(512),
        stack_trace: false,
        tcp_no_delay: false,
        size_prefix_disabled: false,
        frame_bytes_max: 104_857_600,
        inactivity_ms_max: 30_000,
        inactivity_initial_delay_ms: 0,
    };
    assert_eq!(agree(&theirs), Ok(expected));
    let ours = Format::new(Limits::default()).preferred();
    let agreement = agree(&ours).expect("with ourselves");
    assert_eq!((agreement.version, agreement.cache_size), (12, Some(1024)));
    // Versions above ours and "no wish" mean ours; a cache size of 0 means the largest; no cache means none.
    assert_eq!(agree(&info(99, &[])).expect("newer").version, 12);
    assert_eq!(agree(&info(0, &[])).expect("no wish").version, 12);
    let unsaid = agree(&info(12, &[("CacheEnabled", Property::Boolean(true))])).expect("cache");
    assert_eq!(unsaid.cache_size, Some(16_383));
    assert_eq!(agree(&info(12, &[("CacheSize", Property::Int(9))])).expect("no cache").cache_size, None);
    let negative = [("CacheEnabled", Property::Boolean(true)), ("CacheSize", Property::Int(-1))];
    assert_eq!(agree(&info(12, &negative)), Err(Error::CacheSize { size: -1 }));
    let magic = WireFormatInfo { magic: *b"ActiveMX", ..ours.clone() };
    assert_eq!(agree(&magic), Err(Error::Magic { magic: *b"ActiveMX" }));
    let mut strict = Format::new(Limits { version_min: 10, ..Limits::default() });
    assert!(matches!(strict.renegotiate(&info(9, &[]), &ours), Err(Error::Version { version: 9, least: 10, .. })));
    // What the encoder would send must fit what the peer takes.
    let mut small = Format::new(Limits::default());
    small.renegotiate(&info(12, &[("MaxFrameSize", Property::Long(8))]), &ours).expect("agreement");
    let mut out = BytesMut::new();
    assert!(matches!(small.encode(&Response::default().into(), &mut out), Err(Error::FrameTooLarge { .. })));
    assert!(out.is_empty());
}
