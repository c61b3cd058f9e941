//! Tables over PEM texts, and handshakes over loopback.

use std::time::Duration;

use message::Text;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::*;

const HANDSHAKE_RECORD: u8 = 0x16;

/// An authority made for one test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("signed").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key for a subject, empty for none.
    fn sign(&self, common_name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !common_name.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, "Example");
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    fn tls(&self, client_ca: Option<&Authority>, client_auth: ClientAuth) -> Tls {
        let (chain, key) = self.sign("broker");
        let client_ca = client_ca.map(|authority| authority.pem.as_bytes());
        let (chain, key) = (chain.as_bytes(), key.as_bytes());
        Tls::new(&Certificates { chain, key, client_ca, client_auth, versions: Versions::Both }).expect("usable")
    }

    /// A client that trusts this authority and shows a certificate if it has one.
    fn client(&self, shows: Option<(String, String)>) -> ClientConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = roots(self.pem.as_bytes()).expect("an authority");
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let builder = builder.with_root_certificates(roots);
        match shows {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = super::chain(chain.as_bytes(), Part::Chain).expect("a certificate");
                builder.with_client_auth_cert(chain, super::key(key.as_bytes()).expect("a key")).expect("a pair")
            }
        }
    }
}

/// Both ends of a fresh connection.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.expect("connected"), accepted.expect("accepted").0)
}

fn unhurried() -> Handshakes {
    Handshakes::new(4, Duration::from_secs(20))
}

fn hurried() -> Handshakes {
    Handshakes::new(1, Duration::from_millis(50))
}

/// What the broker says of a client that does the whole handshake and then says one byte.
async fn outcome(tls: &Tls, client: ClientConfig) -> Result<Option<Text>, Failure> {
    let (theirs, ours) = sockets().await;
    let name = ServerName::try_from("localhost").expect("a name");
    let client = async {
        if let Ok(mut stream) = TlsConnector::from(Arc::new(client)).connect(name, theirs).await {
            let _ = stream.write_all(b"x").await;
            let _ = stream.read(&mut [0]).await;
        }
    };
    let broker = async {
        let mut secured = unhurried().accept(ours, tls).await?;
        assert_eq!(secured.stream.read_u8().await.expect("a byte"), b'x');
        Ok(secured.subject)
    };
    tokio::join!(client, broker).1
}

/// The texts that cannot be used are told apart, with a remedy.
#[test]
fn what_is_wrong_with_certificates_is_said() {
    let authority = Authority::new("authority");
    let ((chain, key), (_, other_key)) = (authority.sign("broker"), authority.sign("other"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (none, need) = (ClientAuth::None, ClientAuth::Need);
    let table = [
        ("", key.as_str(), none, None, Part::Chain, "holds no certificate"),
        (&key, &key, none, None, Part::Chain, "holds no certificate"),
        (broken, &key, none, None, Part::Chain, "is no PEM"),
        (not_x509, &key, none, None, Part::Chain, "cannot be read"),
        (&chain, "", none, None, Part::Key, "holds no private key"),
        (&chain, &chain, none, None, Part::Key, "holds no private key"),
        (&chain, encrypted, none, None, Part::Key, "holds an encrypted key"),
        (&chain, &other_key, none, None, Part::Key, "is not the key of the certificate"),
        (&chain, &key, need, None, Part::ClientCa, "holds no certificate"),
        (&chain, &key, need, Some("text"), Part::ClientCa, "holds no certificate"),
        (&chain, &key, need, Some(not_x509), Part::ClientCa, "cannot be read"),
    ];
    for (chain, key, client_auth, client_ca, part, what) in table {
        let certificates = Certificates {
            chain: chain.as_bytes(),
            key: key.as_bytes(),
            client_ca: client_ca.map(str::as_bytes),
            client_auth,
            versions: Versions::Both,
        };
        let error = Tls::new(&certificates).expect_err(what);
        assert_eq!(error.part, part, "{what}: {error:?}");
        assert!(error.what.contains(what) && !error.remedy.is_empty(), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn clients_are_asked_as_the_connector_says() {
    let (authority, foreign) = (Authority::new("authority"), Authority::new("foreign"));
    let subject = Some("CN=orders,O=Example");
    let table = [
        (ClientAuth::None, None, Ok(None)),
        (ClientAuth::None, Some(authority.sign("orders")), Ok(None)),
        (ClientAuth::Want, None, Ok(None)),
        (ClientAuth::Want, Some(authority.sign("orders")), Ok(subject)),
        (ClientAuth::Want, Some(foreign.sign("orders")), Err("no authority of client_ca signed")),
        (ClientAuth::Need, Some(authority.sign("orders")), Ok(subject)),
        (ClientAuth::Need, Some(authority.sign("")), Ok(None)),
        (ClientAuth::Need, Some(foreign.sign("orders")), Err("no authority of client_ca signed")),
        (ClientAuth::Need, None, Err("shows no certificate")),
    ];
    for (client_auth, shows, expected) in table {
        let tls = authority.tls(Some(&authority), client_auth);
        match (outcome(&tls, authority.client(shows)).await, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{client_auth:?}"),
            (Err(Failure::Refused(why)), Err(expected)) => assert!(why.contains(expected), "{client_auth:?}: {why}"),
            (found, expected) => panic!("{client_auth:?}: {found:?} in place of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_broker_is_told_apart() {
    let (authority, foreign) = (Authority::new("authority"), Authority::new("foreign"));
    let tls = authority.tls(None, ClientAuth::None);
    let Err(Failure::Refused(why)) = outcome(&tls, foreign.client(None)).await else { panic!("trusted") };
    assert!(why.contains("does not trust this broker"), "{why}");
}

/// New handshakes use what is there now; a replacement that failed would have been refused before.
#[tokio::test]
async fn certificates_are_replaced_while_the_connector_listens() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let tls = old.tls(None, ClientAuth::None);
    assert!(outcome(&tls, old.client(None)).await.is_ok());
    tls.replace(new.tls(None, ClientAuth::None));
    assert!(outcome(&tls, new.client(None)).await.is_ok());
    assert!(outcome(&tls, old.client(None)).await.is_err());
}

#[tokio::test]
async fn a_plain_client_is_seen_by_its_first_byte() {
    let tls = Authority::new("authority").tls(None, ClientAuth::None);
    for first in [&b"CONNECT\n"[..], &[0, 0, 1, 0x1f, 1], b"\n"] {
        let (mut theirs, ours) = sockets().await;
        theirs.write_all(first).await.expect("sent");
        assert!(matches!(unhurried().accept(ours, &tls).await, Err(Failure::Plain)), "{first:?}");
    }
    let (theirs, ours) = sockets().await;
    drop(theirs);
    assert!(matches!(unhurried().accept(ours, &tls).await, Err(Failure::Gone)));
}

/// Silence and half a greeting end with the time, and hold no place meanwhile.
#[tokio::test]
async fn slow_clients_hold_no_place() {
    let tls = Authority::new("authority").tls(None, ClientAuth::None);
    let half = [HANDSHAKE_RECORD, 3, 1, 2, 0, 1, 0, 1, 0xfc];
    for said in [&[][..], &half[..1], &half] {
        let (mut theirs, ours) = sockets().await;
        theirs.write_all(said).await.expect("sent");
        let handshakes = hurried();
        assert!(matches!(handshakes.accept(ours, &tls).await, Err(Failure::TooSlow)), "{said:?}");
        assert_eq!(handshakes.places().available_permits(), 1, "{said:?}");
    }
}

/// Who finds no place waits within its time, and the places come back.
#[tokio::test]
async fn handshakes_wait_for_a_place() {
    let authority = Authority::new("authority");
    let tls = authority.tls(None, ClientAuth::None);
    let handshakes = hurried();
    let place = handshakes.places().acquire().await.expect("a place");
    let (theirs, ours) = sockets().await;
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(authority.client(None)));
    let (_, refused) = tokio::join!(connector.connect(name, theirs), handshakes.accept(ours, &tls));
    assert!(matches!(refused, Err(Failure::TooSlow)));
    drop(place);
    assert_eq!(handshakes.places().available_permits(), 1);
}

/// What a client on a port without TLS is told apart by.
#[test]
fn first_bytes_of_tls() {
    let table: [(&[u8], bool); 6] = [
        (&[HANDSHAKE_RECORD, 3, 1, 2, 0], true),
        (&[HANDSHAKE_RECORD, 3, 3], true),
        (&[HANDSHAKE_RECORD, 3], false),
        (b"CONNECT", false),
        (&[0, 0, 1, 0x1f, 1, b'A'], false),
        (&[HANDSHAKE_RECORD, 9, 9], false),
    ];
    for (bytes, expected) in table {
        assert_eq!(looks_like_tls(bytes), expected, "{bytes:?}");
    }
}
