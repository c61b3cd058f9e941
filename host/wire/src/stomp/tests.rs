//! Frames as text in, frames out, text back.

use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::*;

/// A decoder for `version` with small limits when `small`.
fn decoder(version: Version, small: bool) -> Decoder {
    let limits = Limits {
        command_bytes_max: 12,
        header_bytes_max: 20,
        headers_max: 3,
        head_bytes_max: 60,
        body_bytes_max: 8,
        frame_bytes_max: 64,
    };
    let mut decoder = Decoder::new(if small { limits } else { Limits::default() });
    decoder.set_version(version);
    decoder
}

/// Everything in `chunks`, given one chunk after the other, until the first error.
fn decode_chunks<'c>(
    mut decoder: Decoder,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> (Vec<Item>, Option<Error>, usize) {
    let mut buf = BytesMut::new();
    let mut items = Vec::new();
    for chunk in chunks {
        buf.extend_from_slice(chunk);
        loop {
            match decoder.decode(&mut buf) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut buf), Err(error.clone()), "a failed decoder stays failed");
                    return (items, Some(error), buf.len());
                }
            }
        }
    }
    (items, None, buf.len())
}

/// `COMMAND|name=value|…|body`, one line per frame; heart-beats are left out, as runs of them depend on the chunks.
fn shown(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        if let Item::Frame(frame) = item {
            text.push_str(frame.command.as_str());
            for (name, value) in &frame.headers {
                write!(text, "|{}={}", name.escape_debug(), value.escape_debug()).unwrap();
            }
            writeln!(text, "|{}", frame.body.escape_ascii()).unwrap();
        }
    }
    text
}

/// `wire` gives `expected` and nothing is left, whole and in two chunks at every cut and byte by byte.
fn check(version: Version, wire: &[u8], expected: &[&str]) {
    let expected = expected.iter().fold(String::new(), |text, line| text + line + "\n");
    let (items, error, left) = decode_chunks(decoder(version, false), [wire]);
    assert_eq!((shown(&items), error, left), (expected.clone(), None, 0), "{}", wire.escape_ascii());
    for cut in 0..=wire.len() {
        let (items, error, left) = decode_chunks(decoder(version, false), [&wire[..cut], &wire[cut..]]);
        assert_eq!((shown(&items), error, left), (expected.clone(), None, 0), "cut at {cut}: {}", wire.escape_ascii());
    }
    let (items, error, left) = decode_chunks(decoder(version, false), wire.chunks(1));
    assert_eq!((shown(&items), error, left), (expected, None, 0), "{}", wire.escape_ascii());
}

/// `wire` breaks `expected`, whole and byte by byte. A limit may show an earlier length when bytes come one by one.
fn check_error(version: Version, small: bool, wire: &[u8], expected: &str) {
    let whole = decode_chunks(decoder(version, small), [wire]).1;
    let single = decode_chunks(decoder(version, small), wire.chunks(1)).1;
    let (Some(whole), Some(single)) = (whole, single) else {
        panic!("{} is accepted", wire.escape_ascii());
    };
    assert_eq!(whole.to_string(), expected, "{}", wire.escape_ascii());
    match (&whole, &single) {
        (Error::TooLong { what, limit, .. }, Error::TooLong { what: what1, limit: limit1, .. }) => {
            assert_eq!((what, limit), (what1, limit1), "{}", wire.escape_ascii());
        }
        _ => assert_eq!(whole, single, "{}", wire.escape_ascii()),
    }
}

#[test]
fn frames_of_the_specification() {
    use Version::*;
    check(
        V1_0,
        b"CONNECT\nlogin: <username>\npasscode:<passcode>\n\n\0",
        &["CONNECT|login=<username>|passcode=<passcode>|"],
    );
    check(
        V1_2,
        b"STOMP\naccept-version:1.0,1.1,2.0\nhost:stomp.github.org\n\n\0",
        &["STOMP|accept-version=1.0,1.1,2.0|host=stomp.github.org|"],
    );
    check(V1_2, b"SEND\ndestination:/queue/a\n\nhello queue a\n\0", &["SEND|destination=/queue/a|hello queue a\\n"]);
    check(
        V1_2,
        b"SEND\r\ndestination:/queue/a\r\ncontent-length:5\r\n\r\na\0b\0c\0\r\n",
        &["SEND|destination=/queue/a|content-length=5|a\\x00b\\x00c"],
    );
    check(V1_2, b"MESSAGE\nfoo:World\nfoo:Hello\n\n\0", &["MESSAGE|foo=World|foo=Hello|"]);
    check(
        V1_1,
        b"BEGIN\ntransaction:t\n\n\0\n\nCOMMIT\ntransaction:t\n\n\0ACK\nid:1\n\n\0",
        &["BEGIN|transaction=t|", "COMMIT|transaction=t|", "ACK|id=1|"],
    );
    check(V1_2, b"SEND\ncontent-length:0\n\n\0", &["SEND|content-length=0|"]);
    check(
        V1_2,
        b"SEND\ncontent-length: 3 \ncontent-length:9\n\nabc\0",
        &["SEND|content-length= 3 |content-length=9|abc"],
    );
    check(V1_0, b"\n\r\n\0\0\n FLY \nhigh:\n\n\0", &["FLY|high=|"]);
    check(V1_0, b"send\n\n\0", &["send|"]);
    check(V1_0, b"", &[]);
    check(V1_0, b"\n\n\r\n", &[]);
}

/// Escapes and line ends, per version: 1.0 trims and leaves names as they are, 1.1 keeps a CR, 1.2 escapes it. What
/// a version does not escape stays as it is.
#[test]
fn headers_of_each_version() {
    use Version::*;
    let wire = b"SEND\na\\cb:1\\n2\\\\3\\c4:5\n\n\0";
    check(V1_0, wire, &[r"SEND|a\\cb=1\n2\\3:4:5|"]);
    check(V1_1, wire, &[r"SEND|a:b=1\n2\\3:4:5|"]);
    check(V1_2, wire, &[r"SEND|a:b=1\n2\\3:4:5|"]);
    check(V1_2, b"SEND\na:x\\ry\n\n\0", &[r"SEND|a=x\ry|"]);
    let wire = b"SEND\r\na: \xc3\xa4 \r\n\r\n\0";
    check(V1_0, wire, &["SEND|a=ä|"]);
    check(V1_1, wire, &[r"SEND|a= ä \r|"]);
    check(V1_2, wire, &["SEND|a= ä |"]);
    for version in Version::ALL {
        check(version, b"CONNECT\na:\\x\\\n\n\0", &[r"CONNECT|a=\\x\\|"]);
        check(version, b"CONNECT\nclient-id:a\\cb\n\n\0", &["CONNECT|client-id=a:b|"]);
        let escaped = if version == V1_0 { r"a\\cb" } else { "a:b" };
        check(version, b"RECEIPT\nreceipt-id:a\\cb\n\n\0", &[&format!("RECEIPT|receipt-id={escaped}|")]);
        check(version, b"CONNECTED\na:b\\c\n\n\0", &[r"CONNECTED|a=b\\c|"]);
        check(version, b"SEND\na:b\\t\\\n\n\0", &[r"SEND|a=b\\t\\|"]);
        check(version, b"SEND\na\\x\\:b\n\n\0", &[r"SEND|a\\x\\=b|"]);
        check(version, b"SEND\nabc\n\n\0", &["SEND|abc=|"]);
    }
    check(V1_1, b"SEND\na:x\\ry\n\n\0", &[r"SEND|a=x\\ry|"]);
}

#[test]
fn broken_frames() {
    for (wire, expected) in [
        (b"SEND\na:b\n:c\n\n\0".as_slice(), "header line 2 has no name"),
        (b" \t\n\n\0", "frame begins with a blank command"),
        (b"\rSEND\0", "NUL at byte 5 of a frame, before the blank line that ends its headers"),
        (b"DISCONNECT\nreceipt:1\n\0", "NUL at byte 21 of a frame, before the blank line that ends its headers"),
        (b"SEND\na:\xff\n\n\0", "byte 7 of a frame's headers is not UTF-8"),
        (b"S\xc3\nabc\n\n\0", "byte 1 of a frame's headers is not UTF-8"),
        (b"SEND\ncontent-length:-1\n\n\0", "Specified content-length may not be negative: -1"),
        (b"SEND\ncontent-length:+1\n\na\0", "Specified content-length is not a valid integer: +1"),
        (b"SEND\ncontent-length:\n\n\0", "Specified content-length is not a valid integer: "),
        (b"SEND\ncontent-length:0x1\n\n\0", "Specified content-length is not a valid integer: 0x1"),
        (b"SEND\ncontent-length:1.5\n\n\0", "Specified content-length is not a valid integer: 1.5"),
        (
            b"SEND\ncontent-length:18446744073709551616\n\n\0",
            "Specified content-length is not a valid integer: 18446744073709551616",
        ),
        (
            b"SEND\ncontent-length:18446744073709551615\n\n\0",
            "The maximum data length was exceeded: 18446744073709551615 bytes, the limit is 104857600",
        ),
        (
            b"SEND\ncontent-length:104857601\n\n\0",
            "The maximum data length was exceeded: 104857601 bytes, the limit is 104857600",
        ),
        (
            b"SEND\ncontent-length:2\n\nabc\0",
            "content-length bytes were read and there was no trailing null byte: byte 0x63 follows a body of 2",
        ),
    ] {
        check_error(Version::V1_2, false, wire, expected);
    }
}

/// Each limit cuts as soon as it is broken, also when the end of the part never comes.
#[test]
fn limits_hold() {
    for (wire, expected) in [
        ("ABCDEFGHIJKLM", "The maximum command length was exceeded: 13 bytes, the limit is 12"),
        ("ABCDEFGHIJKLM\n\n\0", "The maximum command length was exceeded: 13 bytes, the limit is 12"),
        ("SEND\na:3456789012345678901", "The maximum header length was exceeded: 21 bytes, the limit is 20"),
        ("SEND\na:3456789012345678901\n\n\0", "The maximum header length was exceeded: 21 bytes, the limit is 20"),
        ("SEND\na:1\na:2\na:3\na:4\n", "The maximum number of headers was exceeded: the limit is 3"),
        (
            "ABCDEFGHIJKL\na:345678901234567890\na:345678901234567890\na:345678",
            "The maximum head length was exceeded: 63 bytes, the limit is 60",
        ),
        ("SEND\n\n123456789", "The maximum data length was exceeded: 9 bytes, the limit is 8"),
        ("SEND\n\n123456789\0", "The maximum data length was exceeded: 9 bytes, the limit is 8"),
        ("SEND\ncontent-length:9\n\n", "The maximum data length was exceeded: 9 bytes, the limit is 8"),
        (
            "ABCDEFGHIJKL\na:345678901234567890\na:345678901234567890\na:\n\n1234567",
            "The maximum frame size was exceeded: 66 bytes, the limit is 64",
        ),
    ] {
        check_error(Version::V1_2, true, wire.as_bytes(), expected);
    }
    let fits = b"ABCDEFGHIJKL\na:345678901234567890\na:2\na:3\n\n12345678\0";
    assert_eq!(decode_chunks(decoder(Version::V1_2, true), [fits.as_slice()]).1, None);
    let fits = b"SEND\ncontent-length:8\n\n\0\0\0\0\0\0\0\0\0";
    assert_eq!(decode_chunks(decoder(Version::V1_2, true), [fits.as_slice()]).1, None);
}

/// A stream that stops early is a frame less, never an error and never a frame too many.
#[test]
fn truncations_wait() {
    let wire = b"SEND\r\na:b\r\ncontent-length:3\r\n\r\na\0b\0MESSAGE\n\nxyz\0";
    let first = wire.len() - b"MESSAGE\n\nxyz\0".len();
    for cut in 0..=wire.len() {
        let (items, error, _) = decode_chunks(decoder(Version::V1_2, false), [&wire[..cut]]);
        assert_eq!(error, None);
        assert_eq!(items.len(), usize::from(cut >= first) + usize::from(cut == wire.len()), "cut at {cut}");
    }
}

#[test]
fn heart_beats_are_one_item_for_a_run() {
    let (items, _, left) = decode_chunks(decoder(Version::V1_2, false), [b"\n\r\n\n".as_slice(), b"\n", b"\r", b"\n"]);
    assert_eq!((items, left), (vec![Item::HeartBeat; 3], 0));
}

/// A sender that gives one byte at a time costs as many steps as bytes.
#[test]
fn slow_senders_cost_linear_work() {
    let start = Instant::now();
    let limits = Limits { header_bytes_max: 4 << 20, head_bytes_max: 4 << 20, ..Limits::default() };
    let mut wire = b"SEND\na:".to_vec();
    wire.resize(2 << 20, b'x');
    wire.extend_from_slice(b"\n\n");
    wire.resize(4 << 20, b'y');
    wire.push(0);
    let (items, error, left) = decode_chunks(Decoder::new(limits), wire.chunks(1));
    assert_eq!((items.len(), error, left), (1, None, 0));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// The announced length is not reserved, and what is decoded shares the buffer.
#[test]
fn nothing_is_copied_or_reserved() {
    let mut decoder = decoder(Version::V1_2, false);
    let mut buf = BytesMut::from(b"SEND\na:b\ncontent-length:104857600\n\n".as_slice());
    assert_eq!(decoder.decode(&mut buf), Ok(None));
    assert!(buf.capacity() < 1024);
    let mut decoder = Decoder::new(Limits::default());
    let mut buf = BytesMut::from(b"SEND\nname:value\n\nbody\0".as_slice());
    let range = buf.as_ptr_range();
    let Ok(Some(Item::Frame(frame))) = decoder.decode(&mut buf) else { panic!("a whole frame") };
    for pointer in [frame.body.as_ptr(), frame.headers[0].0.as_ptr(), frame.headers[0].1.as_ptr()] {
        assert!(range.contains(&pointer));
    }
}

fn encoded(frame: &Frame, version: Version) -> String {
    let mut out = BytesMut::from(b"before ".as_slice());
    encode(frame, version, &mut out);
    out.escape_ascii().to_string().strip_prefix("before ").expect("what was there stays").to_owned()
}

#[test]
fn frames_are_written() {
    use Version::*;
    assert_eq!(encoded(&Frame::connected(V1_1), V1_1), r"CONNECTED\nversion:1.1\n\n\x00\n");
    assert_eq!(encoded(&Frame::receipt("a:b"), V1_0), r"RECEIPT\nreceipt-id:a:b\n\n\x00\n");
    assert_eq!(encoded(&Frame::receipt("a:b"), V1_2), r"RECEIPT\nreceipt-id:a\\cb\n\n\x00\n");
    // Every row of the table in `encode`, all characters at once.
    for (version, command, expected) in [
        (V1_0, Command::Receipt, r"RECEIPT\nn    \\:v  \\: \n\n\x00\n"),
        (V1_2, Command::Connected, r"CONNECTED\nn    \\:v  \\: \n\n\x00\n"),
        (V1_1, Command::Receipt, r"RECEIPT\nn\\n  \\c\\\\:v\\n \\\\\\c \n\n\x00\n"),
        (V1_2, Command::Receipt, r"RECEIPT\nn\\n\\r \\c\\\\:v\\n\\r\\\\\\c \n\n\x00\n"),
    ] {
        assert_eq!(encoded(&Frame::new(command).header("n\n\r\0:\\", "v\n\r\\:\0"), version), expected, "{version:?}");
    }
    let error = Frame::error("bad\nnews", "x");
    assert_eq!(encoded(&error, V1_0), r"ERROR\nmessage:bad news\ncontent-type:text/plain\n\nx\x00\n");
    let frame = Frame::new(Command::Message).header("content-length", "77").header("a", "b").body("xyz");
    assert_eq!(encoded(&frame, V1_2), r"MESSAGE\na:b\ncontent-length:3\n\nxyz\x00\n");
    let frame = Frame::new(Command::Message).body(&b"\0"[..]);
    assert_eq!(encoded(&frame, V1_0), r"MESSAGE\ncontent-length:1\n\n\x00\x00\n");
    assert_eq!(encoded(&Frame::new(Command::Unknown("".into())), V1_0), r"UNKNOWN\n\n\x00\n");
    assert_eq!(encoded(&Frame::new(Command::Unknown(" \0\n".into())), V1_0), r"UNKNOWN\n\n\x00\n");
    assert_eq!(encoded(&Frame::new(Command::Unknown("A\nb:c\0D".into())), V1_2), r"A b:c D\n\n\x00\n");
}

#[test]
fn a_writer_writes_in_place() {
    let mut out = BytesMut::from(b"x".as_slice());
    let mut writer = FrameWriter::new(&Command::Message, Version::V1_2, &mut out);
    writer.header("message-id", "ID:1");
    writer.header_number("priority", -4);
    writer.header_number("", 4);
    writer.header("", "nameless");
    writer.content_length();
    writer.finish(b"ab");
    assert_eq!(&out[..], b"xMESSAGE\nmessage-id:ID\\c1\npriority:-4\ncontent-length:2\n\nab\0\n");
    let mut writer = FrameWriter::new(&Command::Message, Version::V1_2, &mut out);
    writer.header("half", "done");
    drop(writer);
    assert!(out.ends_with(b"ab\0\n"));
}

/// Whatever a header holds, the other side reads one frame with as many headers; where the version can say it, the
/// very same ones.
#[test]
fn headers_cannot_inject() {
    let nasty = ["a\nx:y", "a\r\n\r\n\0SEND\n", ":", "\\", "\\n", "\\c\r", "\0", "\r", "plain", "é:ü\\"];
    for version in Version::ALL {
        for command in [Command::Message, Command::Connected, Command::Unknown("X\n\0".into())] {
            for (name, value) in nasty.iter().flat_map(|name| nasty.iter().map(move |value| (*name, *value))) {
                let mut out = BytesMut::new();
                encode_parts(&command, [(name, value), ("last", "1")], b"body", version, &mut out);
                let (items, error, _) = decode_chunks(decoder(version, false), [&out[..]]);
                assert_eq!(error, None, "{name:?} {value:?} {version:?}");
                let [Item::Frame(frame), Item::HeartBeat] = items.as_slice() else { panic!("{items:?}") };
                assert_eq!((frame.headers.len(), &frame.body[..]), (2, b"body".as_slice()));
                assert_eq!(frame.get("last").map(|v| &**v), Some("1"));
                let lossless = !name.contains('\0') && !value.contains('\0');
                if version == Version::V1_2 && lossless && command != Command::Connected {
                    assert_eq!((&*frame.headers[0].0, &*frame.headers[0].1), (name, value));
                }
            }
        }
    }
}

#[test]
fn versions_are_agreed() {
    for (offered, expected) in [
        ("1.0", Some(Version::V1_0)),
        ("1.0,1.1,1.2", Some(Version::V1_2)),
        ("1.1, 1.0 ,2.0", Some(Version::V1_1)),
        ("2.0", None),
        ("", None),
        ("1.22", None),
    ] {
        assert_eq!(Version::newest_in(offered), expected, "{offered}");
    }
}

#[test]
fn known_commands_spell_themselves() {
    for name in "CONNECT STOMP SEND SUBSCRIBE UNSUBSCRIBE ACK NACK BEGIN COMMIT ABORT DISCONNECT CONNECTED MESSAGE \
                 RECEIPT ERROR"
        .split(' ')
    {
        assert_eq!(Command::known(name).expect(name).as_str(), name);
    }
    assert_eq!(Command::known("send"), None);
}

/// Decodes `wire` whole and in random chunks, in every version and with either limits; the outcomes must agree, and
/// what comes out must survive being written and read again.
fn exercise(wire: &[u8], random: &mut impl FnMut(usize) -> usize) {
    for (version, small) in Version::ALL.into_iter().flat_map(|version| [(version, false), (version, true)]) {
        let (whole, whole_error, _) = decode_chunks(decoder(version, small), [wire]);
        let mut chunks = Vec::new();
        let mut rest = wire;
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at((1 + random(9)).min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        let (pieces, pieces_error, _) = decode_chunks(decoder(version, small), chunks);
        assert_eq!(shown(&whole), shown(&pieces), "{}", wire.escape_ascii());
        assert_eq!(whole_error.is_some(), pieces_error.is_some(), "{}", wire.escape_ascii());
        for item in &whole {
            let Item::Frame(frame) = item else { continue };
            let mut out = BytesMut::new();
            encode(frame, version, &mut out);
            let (again, error, _) = decode_chunks(decoder(version, false), [&out[..]]);
            assert_eq!(error, None, "{}", out.escape_ascii());
            let Some(Item::Frame(again)) = again.first() else { panic!("{}", out.escape_ascii()) };
            let command = frame.command.as_str().replace('\r', " ");
            assert_eq!(
                (again.command.as_str(), &again.body),
                (command.as_str(), &frame.body),
                "{}",
                out.escape_ascii()
            );
            if version == Version::V1_2 && frame.command.escapes(version) {
                let others = |frame: &Frame| {
                    frame.headers.iter().filter(|(name, _)| *name != *CONTENT_LENGTH).cloned().collect::<Vec<_>>()
                };
                assert_eq!(others(again), others(frame), "{}", out.escape_ascii());
            }
        }
    }
}

fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    }
}

#[test]
fn random_bytes_never_panic() {
    let words: [&[u8]; 24] = [
        b"SEND",
        b"CONNECT",
        b"MESSAGE\n",
        b"X",
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"\0\n",
        b"a:b\n",
        b"a:b",
        b":",
        b"content-length:",
        b"content-length:3\n\n",
        b"0",
        b"3",
        b"-1",
        b"99999999999999999999",
        b"\\n",
        b"\\",
        b"\xff",
        b"\xc3\xa4",
        b" ",
    ];
    for seed in 1..=4_000 {
        let mut random = random(seed);
        let mut wire = Vec::new();
        for _ in 0..1 + random(16) {
            wire.extend_from_slice(words[random(words.len())]);
        }
        exercise(&wire, &mut random);
    }
}

/// The corpus as it is, and each file with bytes changed, lost and doubled.
#[test]
fn corpus_and_its_mutants_never_panic() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus/stomp");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect(folder) {
        let wire = Bytes::from(std::fs::read(entry.expect(folder).path()).expect("readable"));
        seen += 1;
        let mut random = random(seen);
        exercise(&wire, &mut random);
        for _ in 0..300 {
            let mut mutant = wire.to_vec();
            for _ in 0..1 + random(3) {
                let at = random(mutant.len().max(1));
                match random(3) {
                    0 if at < mutant.len() => mutant[at] = b"\0\n\r:\\-9x\xff"[random(9)],
                    1 if at < mutant.len() => drop(mutant.remove(at)),
                    _ => mutant.insert(at, b"\0\n\r:\\-9x\xff"[random(9)]),
                }
            }
            exercise(&mutant, &mut random);
        }
    }
    assert!(seen >= 6, "{folder} holds {seen} files");
}
