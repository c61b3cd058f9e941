//! Bytes that nobody should send.

use super::*;

/// A small source of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A conversation as bytes, from the login on.
fn conversation(peer: &mut Peer) -> Vec<Command> {
    let mut commands: Vec<Command> = vec![
        ow::SessionInfo { session_id: Some(session_id(1)), ..Default::default() }.into(),
        ow::ProducerInfo { producer_id: Some(producer_id(1)), window_size: 100, ..Default::default() }.into(),
        consumer(1, ow::DestinationKind::Queue).into(),
        transaction(0, local(1)).into(),
        ow::Message { transaction_id: Some(local(1)), ..text(1) }.into(),
        transaction(2, local(1)).into(),
        text(2).into(),
        ow::MessageAck {
            consumer_id: Some(consumer_id(1)),
            ack_type: 2,
            last_message_id: Some(id_of(1)),
            message_count: 1,
            ..Default::default()
        }
        .into(),
        ow::ConsumerInfo { selector: Some("a = 'b'".into()), ..consumer(2, ow::DestinationKind::Topic) }.into(),
        ow::RemoveInfo { object_id: Some(ow::ObjectId::Session(session_id(1))), ..Default::default() }.into(),
    ];
    for (n, command) in (1..).zip(&mut commands) {
        if let Some(header) = command.header_mut() {
            *header = Header { command_id: n, response_required: n % 2 == 0 };
        }
    }
    peer.commands();
    commands
}

fn bytes_of(peer: &mut Peer) -> Vec<u8> {
    let commands = conversation(peer);
    commands.iter().flat_map(|command| peer.encode(command)).collect()
}

/// However the stream is cut, the same commands leave.
#[test]
fn cut_anywhere_the_stream_says_the_same() {
    let run = |cuts: &[usize]| {
        let mut peer = Peer::open();
        let bytes = bytes_of(&mut peer);
        let mut at = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            peer.receive(&bytes[at..cut]);
            at = cut;
        }
        assert_eq!(peer.closed(), None);
        (format!("{:?}", peer.commands()), bytes.len())
    };
    let (whole, length) = run(&[]);
    for cut in 1..length {
        assert_eq!(run(&[cut]).0, whole, "cut at {cut}");
    }
    assert_eq!(run(&(1..length).collect::<Vec<_>>()).0, whole);
}

#[test]
fn broken_frames_end_the_connection_with_a_reason() {
    for (bytes, reason) in [
        (&b"\x7f\xff\xff\xff"[..], "frame of 2147483647 bytes is above the limit"),
        (b"\xff\xff\xff\xff", "negative length"),
        (b"\0\0\0\0", "data type"),
        (b"\0\0\0\x01\xc8", "data type 200"),
        (b"\0\0\0\x02\x04\x01", "broken frame"),
    ] {
        let mut peer = Peer::open();
        peer.commands();
        peer.receive(bytes);
        let closed = peer.closed().unwrap_or_else(|| panic!("open after {bytes:x?}"));
        assert!(closed.contains(reason), "{closed}");
        assert_eq!(peer.session.stats().frames_refused, 1);
        peer.receive(&[1, 2, 3]);
        assert!(peer.commands().is_empty() && peer.rest.is_empty());
    }
}

/// Random and damaged bytes never make a session panic, loop or speak before login.
#[test]
fn damaged_bytes_never_panic() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..3000 {
        let (tight, cache, version) = (round % 2 == 0, round % 3 == 0, 1 + round % 12);
        let mut peer = Peer::new().agree(version, tight, cache, "6.0").joined();
        if round % 5 != 0 {
            peer.consumer(7, 3);
        }
        let mut bytes = bytes_of(&mut peer);
        for _ in 0..=numbers.below(8) {
            let at = numbers.below(bytes.len());
            match numbers.below(3) {
                0 => bytes[at] = numbers.next() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => {
                    let end = (at + numbers.below(64)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + 1 + numbers.below(200)).min(bytes.len());
            peer.receive(&bytes[at..end]);
            peer.accept();
            at = end;
        }
        peer.tick(peer.now + 10_000);
    }
}

#[test]
fn random_bytes_before_login_reach_nobody() {
    let mut numbers = Numbers(42);
    for round in 0..3000 {
        let mut peer = if round % 2 == 0 { Peer::new() } else { Peer::agreed() };
        let length = 1 + numbers.below(300);
        let mut bytes: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
        if round % 3 != 0 {
            // A size that fits, so that what follows is read.
            let size = (bytes.len() as u32).saturating_sub(4);
            bytes.iter_mut().zip(size.to_be_bytes()).for_each(|(byte, given)| *byte = given);
        }
        peer.receive(&bytes);
        assert!(peer.commands().is_empty());
        peer.tick(peer.now + 30_000);
        assert!(peer.closed().is_some());
    }
}

/// The caller gets at most so many commands at once, and nothing is lost between two calls.
#[test]
fn a_flood_is_taken_in_portions() {
    let mut peer = Peer::open();
    peer.commands();
    let mut bytes = Vec::new();
    (1..=2500).for_each(|n| bytes.extend(peer.encode(&text(n).into())));
    peer.receive(&bytes);
    let mut sequences = Vec::new();
    for expected in [1024, 1024, 452] {
        let commands = peer.commands();
        assert_eq!(commands.len(), expected);
        sequences.extend(commands.iter().map(|command| match command {
            Ask::Publish(publish) => publish.message.id.sequence,
            other => panic!("{other:?}"),
        }));
        assert_eq!(peer.session.has_more(), expected == 1024);
        peer.receive(&[]);
    }
    assert!(sequences.iter().copied().eq(1..=2500));
}
