//! Who comes in and what they may do, on both protocols: each refusal is the protocol's own, nothing hangs, and nobody
//! else notices.

use std::io::Write;
use std::process::{Command as Process, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use wire::openwire::{
    Command, ConnectionId, ConnectionInfo, ConsumerInfo, Destination, DestinationInfo, DestinationKind, Message,
    ProducerId, ProducerInfo, RemoveSubscriptionInfo, SessionInfo, TransactionId, TransactionInfo,
};

use crate::openwire::{OpenWire, queue};
use crate::support::{Broker, Frame, PROGRAM, Stomp, run, text};

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The hash that the program itself makes of a password.
pub(crate) fn hash(password: &str) -> String {
    let mut child = Process::new(PROGRAM)
        .arg("password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    writeln!(child.stdin.take().expect("piped"), "{password}").expect("typed");
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success());
    text(&output.stdout).trim().to_owned()
}

/// "ann" may do everything, "bob" reads R and writes W (both in groups of their own); GUEST is for all who are in.
fn secured() -> Broker {
    Broker::start_with(&format!(
        r#"
[security]
populate_jmsx_user_id = true
users = [
    {{ name = "ann", password_hash = "{}", groups = ["admins"] }},
    {{ name = "bob", password = "other", groups = ["readers", "writers"] }},
]
[[security.jwt]]
algorithm = "HS256"
secret = "{JWT_SECRET}"
[[security.authorization]]
queue = ">"
read = ["admins"]
write = ["admins"]
admin = ["admins"]
[[security.authorization]]
topic = ">"
read = ["admins"]
write = ["admins"]
admin = ["admins"]
[[security.authorization]]
queue = "R.>"
read = ["readers"]
[[security.authorization]]
queue = "W.>"
write = ["writers"]
[[security.authorization]]
queue = "GUEST.>"
read = ["*"]
write = ["*"]
admin = ["*"]
"#,
        hash("secret")
    ))
}

impl Stomp {
    /// The answer to a login, and the connection.
    pub(crate) fn log_in(broker: &Broker, headers: &str) -> (Stomp, Frame) {
        let mut client = Stomp::open(broker.stomp);
        client.send(&format!("CONNECT\naccept-version:1.2\nhost:x\n{headers}\n"));
        let answer = client.frame();
        (client, answer)
    }

    pub(crate) fn as_user(broker: &Broker, user: &str, password: &str) -> Stomp {
        let (client, answer) = Stomp::log_in(broker, &format!("login:{user}\npasscode:{password}\n"));
        assert_eq!(answer.command, "CONNECTED", "{answer:?}");
        client
    }

    /// What comes of a frame with a receipt: nothing, or the refusal.
    pub(crate) fn attempt(&mut self, frame: &str) -> Result<(), String> {
        self.send(&format!("{frame}receipt:r\n\n"));
        let answer = self.frame();
        assert_eq!(answer.header("receipt-id"), "r", "{answer:?}");
        match answer.command.as_str() {
            "RECEIPT" => Ok(()),
            _ => Err(answer.header("message").to_owned()),
        }
    }
}

impl OpenWire {
    pub(crate) fn log_in(
        broker: &Broker,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<OpenWire, Box<(OpenWire, String)>> {
        let mut client = OpenWire::agreed(broker.openwire);
        let login = ConnectionInfo {
            connection_id: Some(ConnectionId { value: client.id.clone() }),
            client_id: Some(client.id.clone()),
            user_name: user.map(Into::into),
            password: password.map(Into::into),
            ..Default::default()
        };
        match client.ask(login) {
            Ok(_) => {
                let session = SessionInfo { session_id: Some(client.session()), ..Default::default() };
                client.ask(session).expect("a session");
                Ok(client)
            }
            Err(why) => Err(Box::new((client, why))),
        }
    }

    pub(crate) fn as_user(broker: &Broker, user: &str, password: &str) -> OpenWire {
        let Ok(client) = OpenWire::log_in(broker, Some(user), Some(password)) else { panic!("{user} gets in") };
        client
    }

    pub(crate) fn sent_to(&mut self, destination: Destination) -> Message {
        Message { destination: Some(destination), ..self.message("unused", "x") }
    }
}

/// Somebody who is in already and works while others knock.
struct Insider(Stomp);

impl Insider {
    fn new(broker: &Broker) -> Insider {
        let mut client = Stomp::as_user(broker, "ann", "secret");
        client.subscribe("GUEST.INSIDER", "auto");
        Insider(client)
    }

    fn is_well(&mut self) {
        self.0.send("SEND\ndestination:/queue/GUEST.INSIDER\n\nstill here");
        assert_eq!(self.0.frame().body, "still here");
    }
}

fn topic(name: &str) -> Destination {
    Destination { kind: DestinationKind::Topic, name: name.into() }
}

fn token(user: &str, groups: &[&str], seconds: i64, secret: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let claims = serde_json::json!({ "sub": user, "groups": groups, "exp": now + seconds });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a token")
}

#[test]
fn who_is_not_known_does_not_come_in() {
    let broker = secured();
    let mut insider = Insider::new(&broker);
    let good = token("tom", &["readers"], 3600, JWT_SECRET);
    let expired = token("tom", &["readers"], -3600, JWT_SECRET);
    let forged = token("tom", &["admins"], 3600, &JWT_SECRET.replace('0', "9"));
    let long = "x".repeat(10_000);
    let invalid = "or password is invalid.";
    let table: [(Option<&str>, Option<&str>, &str); 13] = [
        (Some("ann"), Some("secret"), ""),
        (Some("bob"), Some("other"), ""),
        (None, Some(&good), ""),
        (Some("anybody"), Some(&good), ""),
        (Some("ann"), Some("wrong"), invalid),
        (Some("ann"), Some(""), invalid),
        (Some("ann"), None, invalid),
        (Some("nobody"), Some("secret"), invalid),
        (Some(""), Some(""), invalid),
        (None, None, invalid),
        (Some("*"), Some(&long), invalid),
        (Some("ann"), Some(&forged), invalid),
        (Some("ann"), Some(&expired), "the token has expired"),
    ];
    for (user, password, why) in table {
        let login = user.map(|user| format!("login:{user}\n")).unwrap_or_default()
            + &password.map(|password| format!("passcode:{password}\n")).unwrap_or_default();
        let (mut client, answer) = Stomp::log_in(&broker, &login);
        match (answer.command.as_str(), OpenWire::log_in(&broker, user, password)) {
            ("CONNECTED", Ok(_)) => assert_eq!(why, "", "{user:?} came in"),
            ("ERROR", Err(refused)) => {
                let (mut other, said) = *refused;
                assert!(!why.is_empty() && answer.header("message").contains(why), "{answer:?}");
                assert!(said.starts_with("java.lang.SecurityException: User name [") && said.contains(why), "{said}");
                assert!(client.is_closed());
                other.last_words();
            }
            (answer, other) => panic!("{user:?}: {answer}, {}", if other.is_ok() { "in" } else { "out" }),
        }
        insider.is_well();
    }
    assert!(!broker.log().contains("secret") && !broker.log().contains(&good), "{}", broker.log());
}

/// Read, write and admin, each wanted without and with the right, on both protocols; the connection goes on.
#[test]
fn what_is_not_allowed_is_refused_in_the_protocols_own_words() {
    let broker = secured();
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    for name in ["R.1", "W.1", "OTHER"] {
        ann.publish(name, "x");
    }
    let mut bob = Stomp::as_user(&broker, "bob", "other");
    let table = [
        ("SUBSCRIBE\nid:1\ndestination:/queue/W.1\n", Some("read from: queue://W.1")),
        ("SUBSCRIBE\nid:1\ndestination:/queue/W.1\nbrowser:true\n", Some("read from: queue://W.1")),
        ("SUBSCRIBE\nid:1\ndestination:/queue/>\n", Some("read from: queue://>")),
        ("SUBSCRIBE\nid:1\ndestination:/topic/T\n", Some("read from: topic://T")),
        ("SUBSCRIBE\nid:1\ndestination:/topic/ActiveMQ.Advisory.>\n", Some("read from: topic://ActiveMQ.Advisory.>")),
        ("SUBSCRIBE\nid:1\ndestination:/queue/R.new\n", Some("create: queue://R.new")),
        ("SEND\ndestination:/queue/R.1\n", Some("write to: queue://R.1")),
        ("SEND\ndestination:/queue/W.1,/queue/OTHER\n", Some("write to: queue://W.1,OTHER")),
        ("SEND\ndestination:/queue/W.new\n", Some("create: queue://W.new")),
        ("SEND\ndestination:/topic/ActiveMQ.Advisory.Connection\n", Some("write to: topic://ActiveMQ.Advisory")),
        ("SEND\ndestination:/queue/W.1\n", None),
        ("SUBSCRIBE\nid:1\ndestination:/queue/R.1\nack:client\n", None),
        ("SEND\ndestination:/queue/GUEST.new\n", None),
        ("SEND\ndestination:/temp-queue/mine\n", None),
    ];
    for (frame, why) in table {
        match (bob.attempt(frame), why) {
            (Ok(()), None) => {}
            (Err(said), Some(why)) => assert_eq!(
                said.strip_prefix("User bob is not authorized to ").map(|said| said.starts_with(why)),
                Some(true),
                "{said}"
            ),
            (outcome, _) => panic!("{frame:?}: {outcome:?}"),
        }
        if frame.contains("R.1\nack") {
            assert_eq!(bob.frame().body, "x");
        }
    }

    let mut bob = OpenWire::as_user(&broker, "bob", "other");
    let id = |value| ProducerId { connection: bob.id.clone(), session: 1, value };
    let (one, two, three) = (id(11), id(12), id(13));
    let producer = |id, destination| ProducerInfo { producer_id: Some(id), destination, ..Default::default() };
    let consumer = |bob: &OpenWire, value, destination| ConsumerInfo {
        destination: Some(destination),
        ..bob.consumer_info(value, "unused")
    };
    let change =
        |name: &str, operation| DestinationInfo { destination: Some(queue(name)), operation, ..Default::default() };
    let composite = Destination { kind: DestinationKind::TempQueue, name: "queue://W.1,queue://OTHER".into() };
    let asked: Vec<(Command, Option<&str>)> = vec![
        (consumer(&bob, 1, queue("W.1")).into(), Some("read from: queue://W.1")),
        (ConsumerInfo { browser: true, ..consumer(&bob, 1, queue("OTHER")) }.into(), Some("read from: queue://OTHER")),
        (consumer(&bob, 1, queue(">")).into(), Some("read from: queue://>")),
        (consumer(&bob, 1, queue("R.new")).into(), Some("create: queue://R.new")),
        (producer(one, Some(queue("R.1"))).into(), Some("write to: queue://R.1")),
        (producer(two, Some(queue("W.1"))).into(), None),
        (producer(three, None).into(), None),
        (bob.sent_to(queue("R.1")).into(), Some("write to: queue://R.1")),
        (bob.sent_to(queue("W.1,OTHER")).into(), Some("write to: queue://W.1,OTHER")),
        (bob.sent_to(composite).into(), Some("write to: temp-queue://queue://W.1,queue://OTHER")),
        (bob.sent_to(topic("T")).into(), Some("write to: topic://T")),
        (bob.sent_to(queue("W.1")).into(), None),
        (change("W.2", 0).into(), Some("create: queue://W.2")),
        (change("OTHER", 1).into(), Some("remove: queue://OTHER")),
        (change("R.1", 0).into(), None),
        (change("GUEST.x", 0).into(), None),
        (change("GUEST.x", 1).into(), None),
        (
            RemoveSubscriptionInfo {
                client_id: Some("ann".into()),
                subscription_name: Some("s".into()),
                ..Default::default()
            }
            .into(),
            Some("remove durable subscriptions of client id ann"),
        ),
        (consumer(&bob, 1, queue("R.1")).into(), None),
    ];
    for (command, why) in asked {
        let shown = format!("{command:?}");
        match (bob.ask(command), why) {
            (Ok(_), None) => {}
            (Err(said), Some(why)) => {
                let wanted = format!("java.lang.SecurityException: User bob is not authorized to {why}");
                assert!(said.starts_with(&wanted), "{said}");
            }
            (outcome, _) => panic!("{shown}: {outcome:?}"),
        }
    }
    assert!(broker.destinations().iter().all(|line| !line.contains("W.new") && !line.contains("R.new")));
    ann.publish("R.1", "still served");
}

/// Within a transaction a refused send that nobody waits for makes the commit fail, and nothing of it is there.
#[test]
fn a_transaction_with_a_refused_send_does_not_commit() {
    let broker = secured();
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    ann.publish("W.1", "before");
    let mut bob = OpenWire::as_user(&broker, "bob", "other");
    let local = wire::openwire::LocalTransactionId { value: 1, connection: ConnectionId { value: bob.id.clone() } };
    let id = TransactionId::Local(local);
    let change = |kind| TransactionInfo { transaction_id: Some(id.clone()), kind, ..Default::default() };
    bob.ask(change(0)).expect("begun");
    for name in ["W.1", "R.1"] {
        let message = Message { transaction_id: Some(id.clone()), ..bob.sent_to(queue(name)) };
        bob.send(message).expect("sent");
    }
    let said = bob.ask(change(2)).expect_err("a commit that misses a part");
    assert!(said.contains("TransactionRolledBackException") && said.contains("not authorized"), "{said}");
    let mut other = Stomp::as_user(&broker, "bob", "other");
    other.send("BEGIN\ntransaction:t\n\n");
    other.send("SEND\ndestination:/queue/W.1\ntransaction:t\n\nx");
    other.send("SEND\ndestination:/queue/R.1\ntransaction:t\n\nx");
    assert_eq!(other.frame().command, "ERROR");
    assert!(other.attempt("COMMIT\ntransaction:t\n").is_err());
    ann.subscribe("W.1", "auto");
    ann.publish("W.1", "after");
    assert_eq!([ann.frame().body, ann.frame().body], ["before", "after"]);
}

/// A token brings its groups, and its connection ends when it expires: with ERROR, and with ConnectionError.
#[test]
fn a_token_opens_for_its_time() {
    let broker = secured();
    Stomp::as_user(&broker, "ann", "secret").publish("R.1", "x");
    let lasting = token("tom", &["readers"], 3600, JWT_SECRET);
    let (mut tom, answer) = Stomp::log_in(&broker, &format!("passcode:{lasting}\n"));
    assert_eq!(answer.command, "CONNECTED");
    assert_eq!(tom.attempt("SUBSCRIBE\nid:1\ndestination:/queue/R.1\nack:client\n"), Ok(()));
    assert_eq!(tom.frame().body, "x");
    let refused = tom.attempt("SEND\ndestination:/queue/W.1\n").expect_err("no writer");
    assert_eq!(refused, "User tom is not authorized to write to: queue://W.1");

    let short = token("tom", &["readers"], 3, JWT_SECRET);
    let Ok(mut openwire) = OpenWire::log_in(&broker, None, Some(&short)) else { panic!("it holds for three seconds") };
    let (mut stomp, answer) = Stomp::log_in(&broker, &format!("passcode:{short}\n"));
    assert_eq!(answer.command, "CONNECTED");
    let error = stomp.frame();
    assert!(error.command == "ERROR" && error.header("message").contains("expired"), "{error:?}");
    assert!(stomp.is_closed());
    let words = openwire.last_words();
    assert!(words.iter().any(|word| matches!(word, Command::ConnectionError(_))), "{words:?}");
    let (_, answer) = Stomp::log_in(&broker, &format!("passcode:{short}\n"));
    assert!(answer.header("message").contains("the token has expired"), "{answer:?}");
}

/// Nothing that comes behind a login is obeyed before the login was found good (V10).
#[test]
fn what_stands_behind_a_login_waits_for_it() {
    let broker = secured();
    for (password, good) in [("wrong", false), ("secret", true)] {
        let mut client = Stomp::open(broker.stomp);
        let login = format!("CONNECT\naccept-version:1.2\nhost:x\nlogin:ann\npasscode:{password}\n\n\0");
        let rest = "SEND\ndestination:/queue/EARLY\nreceipt:1\n\nx\0SUBSCRIBE\nid:1\ndestination:/queue/EARLY\n\n\0";
        client.send_bytes(format!("{login}{rest}").as_bytes()).expect("sent");
        let answer = client.frame();
        assert_eq!(answer.command, if good { "CONNECTED" } else { "ERROR" });
        if good {
            client.expect_receipt("1");
            assert_eq!(client.frame().body, "x");
        } else {
            assert!(client.is_closed());
            assert!(broker.destinations().iter().all(|line| !line.contains("EARLY")));
        }
    }
}

/// Hashing takes its own time on its own thread: who is in does not wait for a flood of logins, and the flood is
/// answered to the last.
#[test]
fn a_flood_of_logins_is_felt_by_nobody_who_is_in() {
    let broker = secured();
    let mut insider = Insider::new(&broker);
    let mut knocking: Vec<Stomp> = (0..60).map(|_| Stomp::open(broker.stomp)).collect();
    for (at, client) in knocking.iter_mut().enumerate() {
        let name = if at % 2 == 0 { "ann" } else { "nobody" };
        client.send(&format!("CONNECT\naccept-version:1.2\nhost:x\nlogin:{name}\npasscode:wrong\n\n"));
    }
    for _ in 0..200 {
        insider.is_well();
    }
    for client in &mut knocking {
        assert_eq!(client.frame().command, "ERROR");
        assert!(client.is_closed());
    }
    insider.is_well();
}

/// The sender's name is the broker's word, whatever the client writes (row K12).
#[test]
fn the_sender_is_named_by_the_broker() {
    let broker = secured();
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    ann.subscribe("GUEST.SENDERS", "auto");
    let mut bob = Stomp::as_user(&broker, "bob", "other");
    bob.confirm("SEND\ndestination:/queue/GUEST.SENDERS\nJMSXUserID:ann\n", "stomp");
    let mut other = OpenWire::as_user(&broker, "bob", "other");
    let message = Message { user_id: Some("ann".into()), ..other.sent_to(queue("GUEST.SENDERS")) };
    other.ask(message).expect("sent");
    for _ in 0..2 {
        assert_eq!(ann.frame().header("JMSXUserID"), "bob");
    }
}

/// Whoever keeps plain passwords hears of it, and who lets everybody in to others' machines too.
#[test]
fn weak_configurations_are_told() {
    let broker = secured();
    assert!(broker.log().contains("kept as plain text"), "{}", broker.log());
    let home = broker.home.path();
    std::fs::write(home.join("file.toml"), "[security]\nusers = [{ name = \"a\", password_hash = \"x\" }]\n")
        .expect("a file");
    let output = run(home, &["config", "check", "--config", "file.toml"]);
    let said = text(&output.stderr);
    assert!(said.contains("line 2") && said.contains("security.users[1].password_hash"), "{said}");
    assert!(said.contains("jackfield password"), "{said}");
}
