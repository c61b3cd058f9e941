//! Clients that mean ill or are broken: each gets its protocol's own error or is cut off, nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use wire::stomp::Command;

use crate::support::{Broker, PATIENCE, Stomp, Witness, until};

/// Sends bytes and no more, and reads to the end; true if there was one.
fn throw(address: SocketAddr, bytes: &[u8]) -> (Vec<u8>, bool) {
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
            let (_, closed) = throw(broker.openwire, &frame);
            assert!(closed, "a size of {size:#x} ends the connection");
        }
        witness.is_well();
    }
    assert!(broker.resident() < before + 32 * 1024 * 1024);
}

#[test]
fn the_wrong_protocol_is_cut_off() {
    let broker = Broker::start();
    let (_, closed) = throw(broker.openwire, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(closed);
    let (answer, closed) = throw(broker.stomp, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\0");
    assert!(closed && answer.starts_with(b"ERROR"), "{}", String::from_utf8_lossy(&answer));
    let (_, closed) = throw(broker.openwire, b"CONNECT\naccept-version:1.2\n\n\0");
    assert!(closed);
    Witness::new(&broker).is_well();
}

/// A frame that does something for those who are logged in; a command that the codec learns must be placed here.
fn frame_of(command: &Command) -> &'static str {
    match command {
        Command::Connect | Command::Stomp => "\naccept-version:1.2\nhost:x\nlogin:somebody\npasscode:wrong\n\n",
        Command::Send => "\ndestination:/queue/A\npersistent:true\n\nbefore login",
        Command::Subscribe => "\nid:1\ndestination:/queue/A\n\n",
        Command::Unsubscribe => "\nid:1\n\n",
        Command::Ack | Command::Nack => "\nid:1\nmessage-id:1\nsubscription:1\n\n",
        Command::Begin | Command::Commit | Command::Abort => "\ntransaction:1\n\n",
        Command::Disconnect => "\nreceipt:1\n\n",
        Command::Connected | Command::Message | Command::Receipt | Command::Error => "\nversion:1.2\n\n",
        Command::Unknown(_) => "\n\n",
    }
}

/// V10: before login no command has an effect, and none learns anything.
#[test]
fn no_stomp_command_is_obeyed_before_login() {
    let broker = Broker::start_with("[security]\nusers = [{ name = \"somebody\", password = \"secret\" }]\n");
    let before = broker.destinations();
    let names = "CONNECT STOMP SEND SUBSCRIBE UNSUBSCRIBE ACK NACK BEGIN COMMIT ABORT DISCONNECT CONNECTED MESSAGE \
                 RECEIPT ERROR shutdown";
    for name in names.split(' ') {
        let command = Command::known(name).unwrap_or(Command::Unknown(name.into()));
        let frame = format!("{name}{}\0", frame_of(&command));
        for copies in [1, 3] {
            let (answer, closed) = throw(broker.stomp, frame.repeat(copies).as_bytes());
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(closed, "{name}");
            assert!(answer.is_empty() || answer.starts_with("ERROR\n"), "{name}: {answer}");
            assert_eq!(answer.matches('\0').count(), usize::from(!answer.is_empty()), "{name}: {answer}");
            for secret in ["server:", env!("CARGO_PKG_VERSION"), "data", "secret"] {
                assert!(!answer.contains(secret), "{name}: {answer}");
            }
        }
    }
    assert_eq!(broker.destinations(), before);
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

/// Ten thousand, all there at the same time, each with the first half of a handshake. The broker began with 256
/// descriptors and asked for more itself.
#[test]
fn ten_thousand_strangers_leave_room_for_others() {
    let wanted = 10_000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max((wanted + 2_000).min(hard)), hard).expect("more descriptors");
    let count = wanted.min(hard.saturating_sub(2_000)) as usize;
    if count < wanted as usize {
        eprintln!("{count} connections in place of {wanted}: the system allows {hard} descriptors (ulimit -Hn)");
    }
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let (others, before) = (broker.descriptors(), broker.resident());
    let mut strangers = Vec::with_capacity(count);
    for number in 0..count {
        let (address, half) = match number % 2 {
            0 => (broker.openwire, &b"\0\0\0\x80\x01Activ"[..]),
            _ => (broker.stomp, &b"CONNECT\naccept-ver"[..]),
        };
        let mut stranger = TcpStream::connect(address).unwrap_or_else(|error| panic!("stranger {number}: {error}"));
        stranger.write_all(half).expect("sent");
        strangers.push(stranger);
        if number % 1_000 == 0 {
            witness.is_well();
        }
    }
    until("all to be accepted", || broker.descriptors() >= others + count);
    witness.is_well();
    let grown = broker.resident().saturating_sub(before);
    eprintln!("{count} strangers take {} MB", grown >> 20);
    assert!(grown < 128 * 1024 * 1024, "{count} strangers take {} MB", grown >> 20);
    broker.client().publish("Q", "a newcomer is served");
    drop(strangers);
    until("all to be gone", || broker.descriptors() < others + count / 100);
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
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}
