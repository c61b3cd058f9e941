//! TLS on the real program: who gets in, who is told what, and that nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Broker, PATIENCE, Witness, run, text, until};

/// An authority made for one test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        Authority::named("authority")
    }

    fn named(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("signed").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key for a common name.
    fn sign(&self, common_name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, common_name);
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    /// Writes what a broker needs into its folder.
    fn furnish(&self, home: &Path) {
        let (chain, key) = self.sign("broker");
        for (name, content) in [("broker.pem", &chain), ("broker.key", &key), ("ca.pem", &self.pem)] {
            std::fs::write(home.join(name), content).expect("a file");
        }
    }

    /// Does the handshake; an error of either side.
    fn connect(&self, address: SocketAddr, shows: Option<(String, String)>) -> std::io::Result<Secured> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
        let config = match shows {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(stream)
    }
}

type Secured = StreamOwned<ClientConnection, TcpStream>;

const TLS: &str = "[tls]\ncertificate = \"broker.pem\"\nkey = \"broker.key\"\nclient_ca = \"ca.pem\"\n\
                   [log]\nlevel = \"info,server=debug\"\n";

/// A broker that speaks STOMP over TLS too.
fn start(authority: &Authority, options: &str, more: &str) -> (Broker, SocketAddr) {
    let home = tempfile::tempdir().expect("a folder");
    authority.furnish(home.path());
    let broker = Broker::start_in(
        home,
        &format!("{TLS}{more}\n[[connector]]\nuri = \"stomp+ssl://127.0.0.1:0{options}\"\nname = \"secured\"\n"),
    );
    let address = broker.listening("stomp+ssl");
    (broker, address)
}

/// One STOMP exchange; all that came back by the end of the connection.
fn exchange(mut stream: impl Read + Write, frames: &str) -> String {
    stream.write_all(frames.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend(&buffer[..length]),
            Err(error) => panic!("{error} after {}", text(&answer)),
        }
    }
    text(&answer)
}

const THERE_AND_BACK: &str = "CONNECT\naccept-version:1.2\nhost:x\n\n\0\
    SUBSCRIBE\nid:1\ndestination:/queue/TLS\n\n\0SEND\ndestination:/queue/TLS\n\nover TLS\0DISCONNECT\nreceipt:bye\n\n\0";

#[test]
fn messages_go_there_and_back() {
    let authority = Authority::new();
    let (_broker, address) = start(&authority, "", "");
    let answer = exchange(authority.connect(address, None).expect("secured"), THERE_AND_BACK);
    assert!(answer.contains("over TLS") && answer.contains("receipt-id:bye"), "{answer}");
}

/// More than fits into one record, one buffer and one socket, to a reader that takes its time.
#[test]
fn large_messages_leave_whole() {
    let authority = Authority::new();
    let (_broker, address) = start(&authority, "", "");
    let body = "0123456789abcdef".repeat(512 * 1024 / 16);
    let mut frames = "CONNECT\naccept-version:1.2\nhost:x\n\n\0".to_owned();
    for _ in 0..8 {
        frames += &format!("SEND\ndestination:/queue/LARGE\n\n{body}\0");
    }
    frames += "DISCONNECT\nreceipt:sent\n\n\0";
    assert!(exchange(authority.connect(address, None).expect("secured"), &frames).contains("receipt-id:sent"));
    let mut stream = authority.connect(address, None).expect("secured");
    let ask = "CONNECT\naccept-version:1.2\nhost:x\n\n\0SUBSCRIBE\nid:1\ndestination:/queue/LARGE\n\n\0";
    stream.write_all(ask.as_bytes()).expect("sent");
    let (mut bodies, mut buffer, mut tail) = (0, [0; 3000], String::new());
    while bodies < 8 {
        let length = stream.read(&mut buffer).expect("more");
        assert!(length > 0, "ended after {bodies}");
        tail += &text(&buffer[..length]);
        while let Some(at) = tail.find(&body) {
            bodies += 1;
            tail.drain(..at + body.len());
        }
    }
}

/// `needClientAuth`: the subject of a good certificate is known, others do not get in and learn nothing.
#[test]
fn clients_show_certificates_where_they_must() {
    let (authority, foreign) = (Authority::new(), Authority::named("foreign"));
    let (broker, address) = start(&authority, "?needClientAuth=true", "");
    let mut witness = Witness::new(&broker);
    let stream = authority.connect(address, Some(authority.sign("orders"))).expect("secured");
    assert!(exchange(stream, THERE_AND_BACK).contains("over TLS"));
    assert!(broker.log().contains("CN=orders"), "{}", broker.log());
    let (namesake, mut told) = (Authority::new(), 0);
    for (shows, said) in [
        (None, "the client shows no certificate; needClientAuth asks for one"),
        (Some(foreign.sign("orders")), "no authority of client_ca signed the client's certificate"),
        (Some(namesake.sign("orders")), "no authority of client_ca signed the client's certificate"),
    ] {
        // With TLS 1.3 the client is done before it is refused, and hears of it when it reads.
        let refused = authority.connect(address, shows).and_then(|mut stream| {
            let _ = stream.write_all(THERE_AND_BACK.as_bytes());
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        });
        assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("alert")), "{refused:?}");
        told += 1;
        until("a line of the log", || {
            broker.log().contains(said) && broker.log().matches("no TLS connection:").count() == told
        });
        witness.is_well();
    }
}

/// Each gets a close at once, and the log says what the client should do.
#[test]
fn who_mistakes_the_port_is_told_apart() {
    let authority = Authority::new();
    let (broker, address) = start(&authority, "", "");
    let mut witness = Witness::new(&broker);
    let mut plain = TcpStream::connect(address).expect("a broker");
    plain.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    plain.write_all(b"CONNECT\naccept-version:1.2\n\n\0").expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert_eq!(answer, b"", "nothing is said to it");
    until("a line of the log", || broker.log().contains("the client speaks no TLS, this connector does"));
    for (port, lines) in [(broker.stomp, 1), (broker.openwire, 2)] {
        assert!(authority.connect(port, None).is_err(), "no TLS there");
        let said = "the client speaks TLS, this connector does not";
        until("a line of the log", || {
            broker.log().lines().filter(|line| line.contains("WARN") && line.contains(said)).count() == lines
        });
    }
    witness.is_well();
}

/// Silent ones are closed in time, and hold up neither handshakes nor accepts meanwhile.
#[test]
fn silent_clients_are_closed_in_time() {
    let authority = Authority::new();
    let home = tempfile::tempdir().expect("a folder");
    authority.furnish(home.path());
    let tls = TLS.replace("[log]", "handshake_ms = 700\nhandshakes = 1\n[log]");
    let connector = "[[connector]]\nuri = \"stomp+ssl://127.0.0.1:0\"\nname = \"secured\"\n";
    let broker = Broker::start_in(home, &format!("{tls}{connector}"));
    let address = broker.listening("stomp+ssl");
    let mut silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).expect("a broker")).collect();
    for stream in &mut silent[50..] {
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).expect("sent");
    }
    let answer = exchange(authority.connect(address, None).expect("secured"), THERE_AND_BACK);
    assert!(answer.contains("over TLS"), "{answer}");
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let closed = stream.read_to_end(&mut Vec::new());
        assert!(!closed.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "still open");
    }
    assert!(broker.log().contains("the TLS handshake took longer than tls.handshake_ms"), "{}", broker.log());
}

/// A renewed certificate is shown to new connections; those that are there go on. Files that cannot be used change nothing.
#[test]
fn certificates_are_read_again_on_sighup() {
    let (old, new) = (Authority::new(), Authority::new());
    let (broker, address) = start(&old, "", "");
    let mut before = old.connect(address, None).expect("secured");
    new.furnish(broker.home.path());
    broker.signal(Signal::SIGHUP);
    until("the new certificate", || new.connect(address, None).is_ok());
    assert!(old.connect(address, None).is_err());
    before.write_all(THERE_AND_BACK.as_bytes()).expect("open");
    std::fs::write(broker.home.path().join("broker.key"), "nonsense").expect("a file");
    broker.signal(Signal::SIGHUP);
    until("a line of the log", || broker.log().contains("the certificates stay as they are"));
    assert!(broker.log().contains("tls.key = \"broker.key\": holds no private key"), "{}", broker.log());
    assert!(new.connect(address, None).is_ok());
}

/// All that is wrong with the files is said at once, before a port opens or anything is written.
#[test]
fn wrong_files_are_told_before_a_port_opens() {
    let home = tempfile::tempdir().expect("a folder");
    Authority::new().furnish(home.path());
    std::fs::write(home.path().join("not.pem"), "hello").expect("a file");
    let config = "[tls]\ncertificate = \"missing.pem\"\nkey = \"broker.key\"\nclient_ca = \"not.pem\"\n\
                  [[connector]]\nuri = \"ssl://127.0.0.1:0\"\n\
                  [[connector]]\nuri = \"stomp+ssl://127.0.0.1:0?needClientAuth=true\"\ncertificate = \"broker.pem\"\n";
    std::fs::write(home.path().join("bad.toml"), config).expect("a file");
    for command in [&["config", "check", "--config", "bad.toml"][..], &["serve", "--config", "bad.toml"]] {
        let output = run(home.path(), command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        for line in [
            "tls.certificate = \"missing.pem\": cannot be read (No such file or directory (os error 2)); name a PEM file",
            "tls.client_ca = \"not.pem\": holds no certificate; name a PEM file",
        ] {
            assert!(said.contains(line), "{line} is not in: {said}");
        }
    }
    assert!(!home.path().join("data").exists(), "nothing was touched");
}
