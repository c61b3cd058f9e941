use message::Event;

use super::*;

/// A talk of every frame there is.
const TALK: &str = "\nCONNECT\naccept-version:1.2\nheart-beat:1000,1000\nlogin:admin\npasscode:secret\n\n\0\n\
    SUBSCRIBE\nid:1\ndestination:/queue/A\nack:client\nselector:a = 1\nreceipt:1\n\n\0\r\n\
    SEND\ndestination:/temp-queue/x\ncontent-length:3\nk\\c1:v\\n\n\na\0b\0\
    BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/B\ntransaction:t\nreceipt:2\n\nhello\0\n\n\
    COMMIT\ntransaction:t\nreceipt:3\n\n\0ACK\nid:9-9\n\n\0NACK\nid:x\n\n\0ABORT\ntransaction:z\n\n\0\
    UNSUBSCRIBE\nid:1\n\n\0DISCONNECT\nreceipt:4\n\n\0";

fn answer_new(bench: &mut Bench, answered: &mut usize) {
    while let Some(command) = bench.out.commands.get(*answered) {
        *answered += 1;
        if let Some(receipt) = receipt_of(command) {
            bench.hear(Event::Reply { receipt, outcome: Ok(()) });
        }
    }
}

/// However the bytes are cut, the same commands leave in the same order, and every receipt comes once.
#[test]
fn stomp_cut_anywhere_means_the_same() {
    let run = |cut: usize| {
        let mut bench = Bench::new();
        bench.version = Version::V1_2;
        let mut answered = 0;
        for part in [&TALK[..cut], &TALK[cut..]] {
            bench.say(part);
            answer_new(&mut bench, &mut answered);
        }
        let commands: Vec<String> = bench.commands().iter().map(|command| format!("{command:?}")).collect();
        let frames = bench.frames();
        (commands, frames, bench.out.close.map(|why| why.message), *bench.session.stats())
    };
    let (commands, frames, close, stats) = run(0);
    assert_eq!(commands.len(), 10, "{commands:#?}");
    let mut receipts: Vec<&str> = frames
        .iter()
        .filter(|f| f.command.as_str() == "RECEIPT")
        .map(|f| &**f.get("receipt-id").expect("an id"))
        .collect();
    receipts.sort();
    assert_eq!(receipts, ["1", "2", "3", "4"]);
    assert_eq!(close.as_deref(), Some("client disconnected"));
    for cut in 1..TALK.len() {
        let (again, frames_again, close_again, stats_again) = run(cut);
        assert_eq!(commands, again, "cut at {cut}");
        assert_eq!(
            (frames.len(), close.clone(), stats),
            (frames_again.len(), close_again, stats_again),
            "cut at {cut}"
        );
    }
}

/// One byte at a time is the same as well.
#[test]
fn stomp_byte_by_byte_means_the_same() {
    let mut bench = Bench::new();
    let mut answered = 0;
    for byte in TALK.as_bytes() {
        bench.say([*byte]);
        answer_new(&mut bench, &mut answered);
    }
    assert_eq!(bench.commands().len(), 10);
}

#[test]
fn stomp_other_protocols_are_sent_away() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"\0\0\x01\x9e\x01ActiveMQ",
        b"AMQP\0\x01\0\0",
        b"\x10\x0c\0\x04MQTT\x04",
        b"G",
        b"CONNECT / HTTP/1.1\r\n\r\n",
        b"CONNECT\n:no name\n\n\0",
        b"CONNECT\na:\xff\n\n\0",
        b"CONNECT\ncontent-length:x\n\n\0",
        b"CONNECT\ncontent-length:99999999\n\n",
        b"CONNECT\ncontent-length:1\n\nab",
        b"CONNECT\na\0",
    ] {
        let mut bench = Bench::new();
        bench.say(bytes);
        assert!(bench.out.close.is_some(), "{bytes:?}");
        assert!(bench.commands().is_empty());
        bench.error();
        assert!(!bench.session.has_more());
    }
}

#[test]
fn stomp_oversized_frames_end_the_connection() {
    for frame in [
        format!("SEND\ndestination:/queue/a\n\n{}", "x".repeat(2 * 1024 * 1024)),
        format!("SEND\ndestination:/queue/a\ncontent-length:{}\n\n", 2 * 1024 * 1024),
        format!("SEND\nh:{}\n\n\0", "x".repeat(20_000)),
        format!("SEND\n{}\n\0", "h:v\n".repeat(1001)),
        "X".repeat(2000),
    ] {
        let mut bench = Bench::connected(Version::V1_2);
        bench.say(&frame);
        assert!(bench.out.close.is_some(), "{}", &frame[..40]);
        bench.error();
        assert!(bench.commands().is_empty());
    }
}

/// Random bytes and randomly changed talk never panic, and never log in without CONNECT.
#[test]
fn stomp_noise_does_no_harm() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..3000 {
        let mut bytes = if round % 3 == 0 {
            (0..random() % 300).map(|_| random() as u8).collect::<Vec<u8>>()
        } else {
            let mut bytes = TALK.as_bytes().to_vec();
            for _ in 0..1 + random() % 6 {
                let at = random() as usize % bytes.len();
                match random() % 4 {
                    0 if bytes.len() > 1 => drop(bytes.remove(at)),
                    1 => bytes.insert(at, random() as u8),
                    2 => bytes[at] = b"\n\0:\\,x"[random() as usize % 6],
                    _ => bytes.truncate(at.max(1)),
                }
            }
            bytes
        };
        let mut bench = Bench::new();
        let mut answered = 0;
        while !bytes.is_empty() {
            let size = (1 + random() as usize % 200).min(bytes.len());
            let rest = bytes.split_off(size);
            bench.say(&bytes);
            bytes = rest;
            answer_new(&mut bench, &mut answered);
            if random() % 4 == 0 {
                bench.deliver(1, 1 + random() % 3, text_message(1));
            }
        }
        bench.tick(40_000);
        if let Some(first) = bench.commands().first() {
            assert!(matches!(first, Command::Connect(_)), "{first:?}");
        }
    }
}
