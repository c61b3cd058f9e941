//! Clients that mean ill or are broken: each gets its protocol's own error or is cut off, nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::{Broker, PATIENCE, Stomp, until};

/// A good client that works while others do not behave.
struct Witness(Stomp);

impl Witness {
    fn new(broker: &Broker) -> Witness {
        let mut client = broker.client();
        client.subscribe("WITNESS", "auto");
        Witness(client)
    }

    fn is_well(&mut self) {
        self.0.send("SEND\ndestination:/queue/WITNESS\n\nstill here");
        assert_eq!(self.0.frame().body, "still here");
    }
}

/// Sends bytes and reads until the broker closes or `quiet` passes; the socket's end is what counts.
fn throw(address: SocketAddr, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut socket = TcpStream::connect(address).expect("a broker");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return (answer, true),
            Ok(length) => answer.extend(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return (answer, true),
            Err(_) => return (answer, false),
        }
    }
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn garbage_costs_its_own_connection_only() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let before = broker.resident();
    for seed in 1..200 {
        for address in [broker.openwire, broker.stomp] {
            let mut socket = TcpStream::connect(address).expect("a broker");
            let _ = socket.write_all(&noise(seed * 7919, 4096));
        }
        if seed % 20 == 0 {
            witness.is_well();
        }
    }
    witness.is_well();
    assert!(broker.resident() < before + 64 * 1024 * 1024, "{} grew to {}", before, broker.resident());
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

/// Sizes that lie, on the handshake of OpenWire.
#[test]
fn lying_sizes_are_not_believed() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let before = broker.resident();
    for size in [0x7fff_ffffu32, 0x8000_0000, 0xffff_ffff, 0, 1, 0x0640_0001] {
        let mut frame = size.to_be_bytes().to_vec();
        frame.extend([1, b'A', b'c', b't', b'i', b'v', b'e', b'M', b'Q', 0, 0, 0, 12]);
        for _ in 0..20 {
            let (_, closed) = throw_and_half_close(broker.openwire, &frame);
            assert!(closed, "a size of {size:#x} ends the connection");
        }
        witness.is_well();
    }
    assert!(broker.resident() < before + 32 * 1024 * 1024);
}

fn throw_and_half_close(address: SocketAddr, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut socket = TcpStream::connect(address).expect("a broker");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let closed = match socket.read_to_end(&mut answer) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    (answer, closed)
}

#[test]
fn the_wrong_protocol_is_cut_off() {
    let broker = Broker::start();
    let (_, closed) = throw_and_half_close(broker.openwire, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(closed);
    let (answer, closed) = throw(broker.stomp, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\0");
    assert!(closed && answer.starts_with(b"ERROR"), "{}", String::from_utf8_lossy(&answer));
    let (_, closed) = throw_and_half_close(broker.openwire, b"CONNECT\naccept-version:1.2\n\n\0");
    assert!(closed);
    Witness::new(&broker).is_well();
}

/// STOMP's own refusals: each is an ERROR frame that says what is wrong.
#[test]
fn stomp_mistakes_are_named() {
    let broker = Broker::start();
    let long = "x".repeat(1024 * 1024);
    let table = [
        ("SEND\ndestination:/queue/A\n\nbefore login".to_owned(), false, "connect"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/A\n\n".to_owned(), false, "connect"),
        ("FROBNICATE\n\n".to_owned(), true, "frobnicate"),
        ("SEND\n\nno destination".to_owned(), true, "destination"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/A\nselector:a = = 1\n\n".to_owned(), true, "selector"),
        (format!("SUBSCRIBE\nid:1\ndestination:/queue/A\nselector:{long}\n\n"), true, ""),
        ("SEND\ndestination:/queue/A\ncontent-length:-1\n\nx".to_owned(), true, "content-length"),
        ("SEND\ndestination:/queue/A\ncontent-length:99999999999999999999\n\nx".to_owned(), true, "content-length"),
        ("COMMIT\ntransaction:none\n\n".to_owned(), true, "none"),
    ];
    for (frame, logged_in, word) in table {
        let mut client = if logged_in { broker.client() } else { Stomp::open(broker.stomp) };
        let _ = client.send_bytes(format!("{frame}\0").as_bytes());
        let start: String = frame.chars().take(60).collect();
        match client.try_frame() {
            Some(answer) => {
                assert_eq!(answer.command, "ERROR", "{start}");
                let said = (answer.header("message").to_owned() + &answer.body).to_lowercase();
                assert!(said.contains(word), "{start}: {said}");
            }
            None => assert!(word.is_empty(), "{start}: closed without a word"),
        }
    }
    Witness::new(&broker).is_well();
}

/// Thousands that connect and never log in are closed in time and cost little meanwhile.
#[test]
fn strangers_who_say_nothing_are_bounded() {
    let broker = Broker::start_impatient();
    let address = broker.stomp;
    let mut witness = Witness::new(&broker);
    let before = broker.resident();
    let strangers: Vec<TcpStream> = (0..1_000).filter_map(|_| TcpStream::connect(address).ok()).collect();
    assert_eq!(strangers.len(), 1_000);
    witness.is_well();
    assert!(broker.resident() < before + 64 * 1024 * 1024);
    for mut stranger in strangers {
        stranger.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut rest = Vec::new();
        let _ = stranger.read_to_end(&mut rest);
    }
    witness.is_well();
}

/// A consumer that never reads holds up nobody and costs a window.
#[test]
fn a_deaf_consumer_is_bounded() {
    let broker = Broker::start();
    let mut deaf = broker.client();
    deaf.send("SUBSCRIBE\nid:1\ndestination:/queue/DEAF\nack:auto\nactivemq.prefetchSize:100000\n\n");
    let mut witness = Witness::new(&broker);
    let mut producer = broker.client();
    let before = broker.resident();
    let body = "x".repeat(100_000);
    for _ in 0..400 {
        producer.publish("DEAF", &body);
    }
    witness.is_well();
    assert!(broker.resident() < before + 64 * 1024 * 1024, "{} grew to {}", before, broker.resident());
}

/// Ends of connections in the middle of everything leave nothing behind.
#[test]
fn torn_connections_leave_nothing() {
    let broker = Broker::start();
    for cut in 1..60 {
        let mut client = broker.client();
        client.send("SUBSCRIBE\nid:1\ndestination:/queue/TORN\nack:client-individual\n\n");
        client.send("BEGIN\ntransaction:t\n\n");
        let frame = "SEND\ndestination:/queue/TORN\ntransaction:t\n\nnever committed\0";
        let _ = client.send_bytes(&frame.as_bytes()[..cut.min(frame.len())]);
    }
    let mut client = broker.client();
    client.subscribe("TORN", "auto");
    client.publish("TORN", "only this");
    assert_eq!(client.frame().body, "only this");
    until("no panic", || !broker.log().contains("panicked"));
}
