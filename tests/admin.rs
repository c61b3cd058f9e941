//! The admin room of the real program: who gets in, what is told, and that clients of the broker notice nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::support::{Broker, PATIENCE, Witness, run, text, until};

/// A broker with all three doors and bounds that a test can reach.
const DOORS: &str = "[admin]\naddress = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\nhealth = \"127.0.0.1:0\"\n\
                     header_ms = 400\nconnections = 4\n";
const TOKEN: &str = "Authorization: Bearer 0123456789abcdef\r\n";

fn socket(broker: &Broker) -> UnixStream {
    let stream = UnixStream::connect(broker.home.path().join("data/admin.sock")).expect("an admin room");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("an admin room");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Says something and reads to the end: status and body.
pub(crate) fn exchange(mut stream: impl Read + Write, said: &str) -> (u16, String) {
    let _ = stream.write_all(said.as_bytes());
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "never closed");
    }
    let answer = text(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

pub(crate) fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
}

/// What `/metrics` says now.
pub(crate) fn metrics(broker: &Broker) -> String {
    exchange(socket(broker), &get("/metrics", "")).1
}

/// The value of a series that a broker tells now.
pub(crate) fn told(broker: &Broker, name: &str) -> f64 {
    series(&exchange(socket(broker), &get("/metrics", "")).1, name)
}

/// The value of a series.
pub(crate) fn series(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().expect("a number")
}

#[test]
fn the_socket_is_there_for_its_user_alone() {
    let broker = Broker::start();
    let path = broker.home.path().join("data/admin.sock");
    assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);
    assert_eq!(exchange(socket(&broker), &get("/health", "")).1.trim(), "{\"role\":\"active\",\"ready\":true}");
    // A killed broker leaves its socket behind; the next one takes its place.
    let home = broker.kill();
    assert!(home.path().join("data/admin.sock").exists());
    let broker = Broker::start_in(home, "");
    assert_eq!(exchange(socket(&broker), &get("/health", "")).0, 200);
    let (_, home) = broker.stop();
    assert!(!home.path().join("data/admin.sock").exists(), "taken away by an orderly stop");
}

/// What clients did is what is told, in all three forms.
#[test]
fn what_happened_is_told() {
    let broker = Broker::start_with("[limits]\ndestinations = 50\n[admin]\ndestination_series = 1\n");
    let mut client = broker.client();
    for number in 0..5 {
        client.publish("MANY", &number.to_string());
    }
    client.publish("FEW", "one");
    client.subscribe("FEW", "auto");
    assert_eq!(client.frame().body, "one");
    let metrics = || exchange(socket(&broker), &get("/metrics", "")).1;
    until("the acknowledgement", || series(&metrics(), "jackfield_all_dequeued_total") == 1.0);
    let metrics = metrics();
    for (name, expected) in [
        ("jackfield_ready", 1.0),
        ("jackfield_connections", 1.0),
        ("jackfield_messages_published_total", 6.0),
        ("jackfield_all_pending", 5.0),
        ("jackfield_destinations", 2.0),
        ("jackfield_destination_pending{destination=\"queue://MANY\"}", 5.0),
        ("jackfield_destination_series_omitted", 1.0),
        ("jackfield_limit_used{limit=\"limits.destinations\"}", 2.0),
        ("jackfield_limit_max{limit=\"limits.destinations\"}", 50.0),
        ("jackfield_connector_open{connector=\"stomp\",protocol=\"stomp\"}", 1.0),
        ("jackfield_connector_messages_in_total{connector=\"stomp\",protocol=\"stomp\"}", 6.0),
        ("jackfield_connector_messages_out_total{connector=\"stomp\",protocol=\"stomp\"}", 1.0),
        ("jackfield_connector_accepted_total{connector=\"openwire\",protocol=\"openwire\"}", 0.0),
        ("jackfield_policy_rows_total{policy=\"round-robin\",point=\"queue-dispatch\"}", 1.0),
        ("jackfield_journal_poisoned", 0.0),
    ] {
        assert_eq!(series(&metrics, name), expected, "{name}");
    }
    assert!(series(&metrics, "jackfield_journal_appends_total") > 0.0);
    assert!(series(&metrics, "jackfield_memory_bytes{of=\"process\"}") > 1e6);
    assert!(!metrics.contains("FEW"), "only the busiest has series of its own");
    assert!(metrics.ends_with("# EOF\n"));

    let home = broker.home.path();
    let shown = run(home, &["status"]);
    let said = text(&shown.stdout);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    for part in ["broker localhost is active and ready", "queue://MANY", "round-robin", &broker.stomp.to_string()] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let shown = run(home, &["status", "--json", "--destinations", "1"]);
    let value: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(value["survey"]["destinations"][0]["name"], "queue://MANY");
    assert_eq!(value["survey"]["sums"]["enqueued"], 6);
    assert_eq!(value["status"]["totals"]["published"], 6);

    // Counters only rise, also where the policy went with its last consumer.
    drop(client);
    let metrics = || exchange(socket(&broker), &get("/metrics", "")).1;
    until("the end of the connection", || series(&metrics(), "jackfield_connections") == 0.0);
    let rows = "jackfield_policy_rows_total{policy=\"round-robin\",point=\"queue-dispatch\"}";
    until("the policy to go", || !metrics().contains("jackfield_policy_destinations{policy=\"round-robin\""));
    assert_eq!(series(&metrics(), rows), 1.0);
}

/// A destination's name is a client's word, in every form in which it is told.
#[test]
fn names_that_mean_ill_stay_names() {
    let broker = Broker::start();
    let mut client = broker.client();
    // STOMP has two backslashes for one.
    client.publish("a\"} 1\\\\nevil 2<script>", "x");
    let (status, metrics) = exchange(socket(&broker), &get("/metrics", ""));
    assert_eq!(status, 200);
    assert!(!metrics.lines().any(|line| line.starts_with("evil")), "{metrics}");
    assert_eq!(series(&metrics, "jackfield_all_pending"), 1.0);
    let (_, body) = exchange(socket(&broker), &get("/api/v1/destinations", ""));
    let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert!(value["destinations"][0]["name"].as_str().is_some_and(|name| name.contains("<script>")), "{body}");
    assert!(!text(&run(broker.home.path(), &["status"]).stdout).contains("\nevil"));
}

/// V26, V30: nobody gets in without the token, no page of another site, and no name that leads here in disguise.
#[test]
fn an_address_asks_for_a_login() {
    let broker = Broker::start_with(DOORS);
    let (admin, health) = (broker.listening("admin"), broker.listening("health"));
    let table = [
        ("Host: localhost\r\n", 401),
        ("Host: localhost\r\nAuthorization: Bearer 0123456789abcdeF\r\n", 401),
        ("Host: localhost\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n", 401),
        ("Host: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n", 200),
        ("Host: rebound.example\r\nAuthorization: Bearer 0123456789abcdef\r\n", 403),
        ("Host: localhost\r\nOrigin: http://evil.example\r\nAuthorization: Bearer 0123456789abcdef\r\n", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nAuthorization: Bearer 0123456789abcdef\r\n", 403),
    ];
    for path in ["/health", "/metrics", "/api/v1/status", "/api/v1/destinations", "/api/v1/policies"] {
        for (head, expected) in table {
            let said = format!("GET {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
            let (status, body) = exchange(tcp(admin), &said);
            assert_eq!(status, expected, "{path} {head}: {body}");
            assert!(expected == 200 || !body.contains("jackfield_") && !body.contains("version"), "{body}");
        }
        let open = if path.starts_with("/api") { 404 } else { 200 };
        assert_eq!(exchange(tcp(health), &get(path, TOKEN)).0, open, "{path}");
    }
    assert!(!broker.log().contains("0123456789abcdef"), "no secret in the log");
}

#[test]
fn an_address_without_a_login_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("bad.toml"), "[admin]\naddress = \"127.0.0.1:0\"\n").expect("a file");
    let output = run(home.path(), &["serve", "--config", "bad.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("admin.address = \"127.0.0.1:0\": would let everybody in; set admin.token"));
    assert!(!home.path().join("data").exists(), "nothing was touched");
}

/// Those who do not finish what they began are let go, fill up their own door only, and no client of the broker waits.
#[test]
fn slow_and_large_requests_cost_themselves_only() {
    let broker = Broker::start_with(DOORS);
    let (admin, health) = (broker.listening("admin"), broker.listening("health"));
    let mut witness = Witness::new(&broker);
    let slow: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = tcp(admin);
            let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHo");
            stream
        })
        .collect();
    witness.is_well();
    assert_eq!(exchange(socket(&broker), &get("/health", "")).0, 200, "the socket has places of its own");
    assert_eq!(exchange(tcp(health), &get("/health", "")).0, 200, "and so has the other address");
    for stream in slow {
        exchange(stream, "");
    }
    until("room for others", || exchange(tcp(admin), &get("/health", TOKEN)).0 == 200);
    let before = broker.resident();
    assert_eq!(exchange(socket(&broker), &get("/health", &format!("X: {}\r\n", "x".repeat(100_000)))).0, 431);
    for noise in ["\0\0\0\0", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "CONNECT\naccept-version:1.2\n\n\0"] {
        let (status, _) = exchange(tcp(admin), noise);
        assert!(matches!(status, 0 | 400 | 408 | 505), "{noise:?}: {status}");
    }
    assert!(broker.resident() < before + 16 * 1024 * 1024, "{before} grew to {}", broker.resident());
    witness.is_well();
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

#[test]
fn nobody_there_is_said_plainly() {
    let home = tempfile::tempdir().expect("a folder");
    let shown = run(home.path(), &["status"]);
    assert_eq!(shown.status.code(), Some(1));
    let said = text(&shown.stderr);
    assert!(said.contains("no broker answers at data/admin.sock") && said.contains("jackfield serve"), "{said}");
}
