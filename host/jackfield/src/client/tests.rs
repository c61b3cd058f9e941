//! The client against a broker of a few lines that says what a test wants.

use std::net::TcpListener;
use std::thread::JoinHandle;

use clap::Parser;

use super::*;
use crate::cli::{self, Address, Cli};

fn remote(port: u16) -> Remote {
    Remote { broker: Address { host: "127.0.0.1".into(), port }, user: None, password: None }
}

fn command(port: u16, line: &str) -> cli::Command {
    let broker = format!("stomp://127.0.0.1:{port}");
    let words = ["jackfield"].into_iter().chain(line.split(' ')).chain(["--broker", &broker]);
    Cli::try_parse_from(words).expect(line).command
}

/// Takes one connection, answers login and receipts, lets `answer` say the rest; gives all frames it was sent.
fn broker(answer: impl Fn(&Frame) -> Vec<Frame> + Send + 'static) -> (u16, JoinHandle<Vec<Frame>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut decoder, mut buffer, mut frames) = (Decoder::new(Limits::default()), BytesMut::new(), Vec::new());
        loop {
            let mut out = BytesMut::new();
            while let Some(item) = decoder.decode(&mut buffer).unwrap() {
                let Item::Frame(frame) = item else { continue };
                if frame.command == Command::Connect {
                    decoder.set_version(Version::V1_2);
                    encode(&Frame::connected(Version::V1_2), Version::V1_2, &mut out);
                }
                for frame in answer(&frame) {
                    encode(&frame, Version::V1_2, &mut out);
                }
                if let Some(receipt) = frame.get("receipt") {
                    encode(&Frame::receipt(receipt.clone()), Version::V1_2, &mut out);
                }
                frames.push(frame);
            }
            let mut bytes = [0; 4096];
            if stream.write_all(&out).is_err() {
                return frames;
            }
            match stream.read(&mut bytes) {
                Ok(read) if read > 0 => buffer.extend_from_slice(&bytes[..read]),
                _ => return frames,
            }
        }
    });
    (port, thread)
}

/// A person whose broker is not started is told how to start it.
#[test]
fn a_missing_broker_is_named_with_the_remedy() {
    // Bound and not listening: nobody else is given the port meanwhile.
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = held.local_addr().unwrap().as_socket().unwrap().port();
    let error = Connection::open(&remote(port), None).err().expect("nobody listens").to_string();
    assert!(error.contains(&format!("nothing listens on 127.0.0.1:{port}")), "{error}");
    assert!(error.contains("jackfield serve"), "{error}");
}

/// What the broker says in an ERROR frame reaches the person.
#[test]
fn a_refusal_is_told_in_the_words_of_the_broker() {
    let refuse = |frame: &Frame| match frame.command {
        Command::Send => {
            vec![Frame::error("memory limit reached", "java.lang.Exception: memory limit reached\n\tat x")]
        }
        _ => Vec::new(),
    };
    let (port, thread) = broker(refuse);
    let cli::Command::Send(args) = command(port, "send queue://a text") else { panic!("no send") };
    let error = format!("{:#}", send(&args).expect_err("refused"));
    assert!(error.starts_with("the broker refuses: memory limit reached"), "{error}");
    assert!(!error.contains("\tat"), "{error}");
    thread.join().unwrap();
}

#[test]
fn sent_messages_carry_what_was_asked_for_and_are_confirmed() {
    let (port, thread) = broker(|_| Vec::new());
    let line = "send topic://prices 12.5 --count 600 --non-persistent --property symbol=A:B";
    let cli::Command::Send(args) = command(port, line) else { panic!("no send") };
    send(&args).expect("all confirmed");
    let frames = thread.join().unwrap();
    let sent: Vec<&Frame> = frames.iter().filter(|frame| frame.command == Command::Send).collect();
    assert_eq!(sent.len(), 600);
    for frame in &sent {
        let have = ["destination", "persistent", "symbol"].map(|name| frame.get(name).map(|value| &**value));
        assert_eq!(have, [Some("/topic/prices"), Some("false"), Some("A:B")]);
        assert_eq!(&*frame.body, b"12.5");
        assert_eq!(frame.get("content-length"), None, "its absence means text");
    }
    assert_eq!(frames.iter().filter(|frame| frame.get("receipt").is_some()).count(), 3, "256, 512, goodbye");
    assert_eq!(frames.last().map(|frame| &frame.command), Some(&Command::Disconnect));
}

/// Gives `count` messages to the subscriber.
fn give(count: usize) -> impl Fn(&Frame) -> Vec<Frame> + Send + 'static {
    move |frame| {
        let message = |n| Frame::new(Command::Message).header("ack", format!("id-{n}")).body(format!("body {n}"));
        if frame.command == Command::Subscribe { (1..=count).map(message).collect() } else { Vec::new() }
    }
}

#[test]
fn received_messages_are_printed_and_then_acknowledged() {
    let (port, thread) = broker(give(3));
    let line = "receive queue://a --count 3 --selector x>1";
    let cli::Command::Receive(args) = command(port, line) else { panic!("no receive") };
    let mut out = Vec::new();
    receive(&args, &mut out).expect("three came");
    assert_eq!(String::from_utf8(out).unwrap(), "body 1\nbody 2\nbody 3\n");
    let frames = thread.join().unwrap();
    let acks = frames.iter().filter(|frame| frame.command == Command::Ack);
    assert_eq!(
        acks.filter_map(|frame| frame.get("id").map(|id| id.to_string())).collect::<Vec<_>>(),
        ["id-1", "id-2", "id-3"]
    );
    let subscribe = frames.iter().find(|frame| frame.command == Command::Subscribe).unwrap();
    let have =
        ["destination", "ack", "selector", "activemq.prefetchSize"].map(|name| subscribe.get(name).map(|v| &**v));
    assert_eq!(have, [Some("/queue/a"), Some("client-individual"), Some("x>1"), Some("3")]);
    assert_eq!(frames.last().map(|frame| &frame.command), Some(&Command::Disconnect));
}

/// What did come is acknowledged even if more was wanted.
#[test]
fn a_receiver_gives_up_in_time_and_says_what_came() {
    for (come, expected) in
        [(0, "no message on queue://a within 50ms"), (1, "only 1 of 2 messages came from queue://a")]
    {
        let (port, thread) = broker(give(come));
        let cli::Command::Receive(args) = command(port, "receive a --count 2 --timeout 50ms") else {
            panic!("no receive")
        };
        let error = receive(&args, &mut Vec::new()).expect_err("too few").to_string();
        assert_eq!(error, expected);
        let frames = thread.join().unwrap();
        assert_eq!(frames.iter().filter(|frame| frame.command == Command::Ack).count(), come);
    }
}

#[test]
fn a_durable_subscription_needs_a_topic() {
    let (port, thread) = broker(|_| Vec::new());
    let line = "receive topic://a --timeout 50ms --durable desk --client-id me";
    let cli::Command::Receive(args) = command(port, line) else { panic!("no receive") };
    assert!(receive(&args, &mut Vec::new()).is_err());
    let frames = thread.join().unwrap();
    let get = |command: Command, name: &str| {
        frames.iter().find(|frame| frame.command == command).and_then(|frame| frame.get(name)).map(|v| v.to_string())
    };
    assert_eq!(get(Command::Connect, "client-id").as_deref(), Some("me"));
    assert_eq!(get(Command::Subscribe, "activemq.subscriptionName").as_deref(), Some("desk"));

    let line = "receive queue://a --durable desk --client-id me";
    let cli::Command::Receive(args) = command(port, line) else { panic!("no receive") };
    let error = receive(&args, &mut Vec::new()).expect_err("a queue").to_string();
    assert!(error.contains("write topic://a"), "{error}");
}

#[test]
fn destinations_are_named_as_stomp_does() {
    assert_eq!(stomp_name(&Destination::queue("A.B")), "/queue/A.B");
    assert_eq!(stomp_name(&Destination::topic("A.>")), "/topic/A.>");
}
