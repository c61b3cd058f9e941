//! Auth policies that are components, on the real program: whom they let in, what they allow, which messages they let pass,
//! and that nobody gets anywhere when they fail; with each protocol's own refusal, and no hang.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wire::openwire::{
    Command, ConnectionId, DestinationInfo, LocalTransactionId, Message, ProducerId, ProducerInfo, TransactionId,
    TransactionInfo,
};

use crate::admin::{metrics, series};
use crate::auth_guest::{ADMIT, ALLOW, AuthGuest, LOGINS, MESSAGES, PASSWORDS, RIGHTS, once};
use crate::openwire::{OpenWire, queue};
use crate::security::hash;
use crate::support::{Broker, Stomp, repository, run, text};

const FOREVER: &str = "(loop $again (br $again)) (unreachable)";
const TRAP: &str = "(unreachable)";
/// A refusal comes within the deadline of a call, and much later on a busy machine; a hang would be tens of seconds.
const SOON: Duration = Duration::from_secs(10);

/// A broker whose logins and rights are those of this component alone, with more lines of configuration in `[security]`.
fn guarded(component: Vec<u8>, security: &str) -> Broker {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("guard.wasm"), component).expect("a file");
    let config = format!(
        "[[policy.component]]\nname = \"guard\"\nfile = \"guard.wasm\"\n[security]\npolicies = [\"guard\"]\n{security}\n"
    );
    Broker::start_in(home, &config)
}

/// A broker with the component of `plugins/auth-table`. "ann" may do everything with ORDERS, "bob" reads R and writes W, robots
/// come by keys, one of which lasts for `seconds` more.
fn with_table(seconds: u64) -> Broker {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let home = tempfile::tempdir().expect("a folder");
    std::fs::copy(repository("plugins/built/auth-table.wasm"), home.path().join("table.wasm")).expect("it is kept");
    let config = format!(
        r#"
[[policy.component]]
name = "table"
file = "table.wasm"
[policy.component.settings]
"user ann" = "desk acme"
"user bob" = "readers writers"
"key bda5424d0ec3451be100bc4a103d795c281cf93ece78648a63976baafa749468" = "robot readers until={}"
"key 762c08fc17a1cc5f00d248f8b50f2f2f4d17ff2934ac31e64deacb3f5bb3f2ec" = "old readers until=1000"
"role desk" = "read >, write >, create >, admin >"
"role readers" = "read R.>"
"role writers" = "write W.>"
tenant = "tenant"
max-bytes = "5000"
[security]
policies = ["table"]
show_passwords = ["table"]
users = [
    {{ name = "ann", password_hash = "{}" }},
    {{ name = "bob", password = "other" }},
    {{ name = "eve", password = "known to the broker, not to the table" }},
]
"#,
        now + seconds,
        hash("secret")
    );
    Broker::start_in(home, &config)
}

/// The refusals of a login on both protocols, which end the connection; empty if it comes in.
fn refusals(broker: &Broker, user: Option<&str>, password: Option<&str>) -> [String; 2] {
    let begun = Instant::now();
    let login = user.map(|user| format!("login:{user}\n")).unwrap_or_default()
        + &password.map(|password| format!("passcode:{password}\n")).unwrap_or_default();
    let (mut client, answer) = Stomp::log_in(broker, &login);
    let stomp = match answer.command.as_str() {
        "CONNECTED" => String::new(),
        "ERROR" => {
            assert!(client.is_closed());
            answer.header("message").to_owned()
        }
        other => panic!("{other}"),
    };
    let openwire = match OpenWire::log_in(broker, user, password) {
        Ok(_) => String::new(),
        Err(refused) => {
            let (mut client, said) = *refused;
            client.last_words();
            said.strip_prefix("java.lang.SecurityException: ").expect("the exception of ActiveMQ").to_owned()
        }
    };
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    [stomp, openwire]
}

#[test]
fn a_component_says_who_comes_in() {
    let broker = with_table(3600);
    let invalid = "or password is invalid.";
    for (user, password, why) in [
        (Some("ann"), Some("secret"), ""),
        (Some("bob"), Some("other"), ""),
        (None, Some("key-of-robot"), ""),
        (Some("ann"), Some("wr0ng"), invalid),
        (Some("ann"), None, invalid),
        (Some("eve"), Some("known to the broker, not to the table"), invalid),
        (Some("nobody"), Some("secret"), invalid),
        (None, None, invalid),
        (None, Some("key-of-rob0t"), invalid),
        (None, Some("old-key"), "the token has expired"),
    ] {
        for said in refusals(&broker, user, password) {
            assert_eq!(why.is_empty(), said.is_empty(), "{user:?} {password:?}: {said}");
            assert!(said.contains(why), "{said}");
        }
    }
    let log = broker.log();
    for secret in ["secret", "wr0ng", "key-of-robot", "key-of-rob0t", "old-key", "known to the broker"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    let figures = metrics(&broker);
    assert!(series(&figures, "jackfield_logins_refused_total") >= 12.0, "{figures}");
    assert!(series(&figures, "jackfield_auth_policy_calls_total{policy=\"table\",place=\"logins\"}") >= 10.0);
}

#[test]
fn a_component_says_what_may_be_done() {
    let broker = with_table(3600);
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    for name in ["R.1", "W.1", "OTHER"] {
        ann.publish(name, "x");
    }
    let mut bob = Stomp::as_user(&broker, "bob", "other");
    for (frame, why) in [
        ("SUBSCRIBE\nid:1\ndestination:/queue/W.1\n", "read from: queue://W.1"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/>\n", "read from: queue://>"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/R.new\n", "create: queue://R.new"),
        ("SEND\ndestination:/queue/R.1\n", "write to: queue://R.1"),
        ("SEND\ndestination:/queue/W.new\n", "create: queue://W.new"),
        ("SEND\ndestination:/queue/W.1,/queue/OTHER\n", "write to: queue://W.1,OTHER"),
        ("SEND\ndestination:/topic/T\n", "write to: topic://T"),
        ("SEND\ndestination:/queue/W.1\n", ""),
        ("SUBSCRIBE\nid:1\ndestination:/queue/R.1\nack:client\n", ""),
    ] {
        let said = bob.attempt(frame).err().unwrap_or_default();
        assert_eq!(said.strip_prefix("User bob is not authorized to ").unwrap_or_default(), why, "{frame}: {said}");
    }
    assert_eq!(bob.frame().body, "x");

    let mut bob = OpenWire::as_user(&broker, "bob", "other");
    let producer = |bob: &OpenWire, value, name| ProducerInfo {
        producer_id: Some(ProducerId { connection: bob.id.clone(), session: 1, value }),
        destination: Some(queue(name)),
        ..Default::default()
    };
    let removal = DestinationInfo { destination: Some(queue("OTHER")), operation: 1, ..Default::default() };
    let asked: Vec<(Command, &str)> = vec![
        (bob.consumer_info(1, "W.1").into(), "read from: queue://W.1"),
        (bob.consumer_info(1, "R.new").into(), "create: queue://R.new"),
        (producer(&bob, 11, "R.1").into(), "write to: queue://R.1"),
        (producer(&bob, 12, "W.1").into(), ""),
        (bob.sent_to(queue("R.1")).into(), "write to: queue://R.1"),
        (bob.sent_to(queue("W.1")).into(), ""),
        (removal.into(), "remove: queue://OTHER"),
        (bob.consumer_info(1, "R.1").into(), ""),
    ];
    for (command, why) in asked {
        let shown = format!("{command:?}");
        let said = bob.ask(command).err().unwrap_or_default();
        let refusal = said.strip_prefix("java.lang.SecurityException: User bob is not authorized to ");
        assert_eq!(refusal.unwrap_or_default(), why, "{shown}: {said}");
    }
}

/// Ten thousand sends ask once for the right to send; others of the same name do not ask either.
#[test]
fn ten_thousand_sends_ask_once() {
    let guest = AuthGuest { wants: &[LOGINS, RIGHTS], authorize: &always(2, 3_600_000), ..AuthGuest::default() };
    let broker = guarded(guest.component(), "");
    let calls = || series(&metrics(&broker), "jackfield_auth_policy_calls_total{policy=\"guard\",place=\"rights\"}");
    for _ in 0..2 {
        let (mut client, answer) = Stomp::log_in(&broker, "");
        assert_eq!(answer.command, "CONNECTED");
        let sends = "SEND\ndestination:/queue/MANY\n\nx\0".repeat(5_000);
        client.send_bytes(sends.as_bytes()).expect("sent");
        client.publish("MANY", "last");
        assert_eq!(calls(), 2.0, "to write, and to make the queue");
    }
    assert_eq!(broker.total("published"), 10_002);
}

/// Body of `authorize` that gives this opinion for so many milliseconds.
pub(crate) fn always(opinion: u8, ms: u32) -> String {
    format!(
        "(i32.store8 (i32.const 256) (i32.const {opinion})) (i32.store (i32.const 260) (i32.const {ms}))
         (call $answer (i32.const 1))"
    )
}

/// A login lasts as long as the component says; then its connections are closed, and it comes in no more.
#[test]
fn a_login_ends_when_the_component_says() {
    let broker = with_table(3);
    let Ok(mut openwire) = OpenWire::log_in(&broker, None, Some("key-of-robot")) else { panic!("it is early enough") };
    let (mut stomp, answer) = Stomp::log_in(&broker, "passcode:key-of-robot\n");
    assert_eq!(answer.command, "CONNECTED");
    let error = stomp.frame();
    assert!(error.command == "ERROR" && error.header("message").contains("expired"), "{error:?}");
    assert!(stomp.is_closed());
    let words = openwire.last_words();
    assert!(words.iter().any(|word| matches!(word, Command::ConnectionError(_))), "{words:?}");
    for said in refusals(&broker, None, Some("key-of-robot")) {
        assert!(said.contains("the token has expired"), "{said}");
    }
}

/// A message that may not be sent goes nowhere: its sender hears why, with and without a receipt, a transaction fails as a
/// whole, and the messages around it arrive.
#[test]
fn a_component_looks_at_messages() {
    let broker = with_table(3600);
    let mut reader = Stomp::as_user(&broker, "ann", "secret");
    reader.subscribe("ORDERS", "auto");
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    let refused = "User ann is not authorized to send this message to: queue://ORDERS: tenant other is another's";
    let send = |tenant: &str, body: &str| format!("SEND\ndestination:/queue/ORDERS\ntenant:{tenant}\n\n{body}");
    // Together in one packet.
    ann.send_bytes(format!("{}\0{}\0{}\0", send("acme", "1"), send("other", "2"), send("acme", "3")).as_bytes())
        .expect("sent");
    let error = ann.frame();
    assert_eq!((error.command.as_str(), error.header("message")), ("ERROR", refused));
    assert_eq!([reader.frame().body, reader.frame().body], ["1", "3"]);
    assert_eq!(ann.attempt("SEND\ndestination:/queue/ORDERS\ntenant:other\n").err().as_deref(), Some(refused));
    ann.send("BEGIN\ntransaction:t\n\n");
    for tenant in ["acme", "other"] {
        ann.send(&format!("SEND\ndestination:/queue/ORDERS\ntransaction:t\ntenant:{tenant}\n\nnever"));
    }
    assert_eq!(ann.frame().header("message"), refused);
    assert!(ann.attempt("COMMIT\ntransaction:t\n").is_err());

    let mut other = OpenWire::as_user(&broker, "ann", "secret");
    let long =
        |client: &mut OpenWire| Message { content: Some(vec![b'x'; 6000].into()), ..client.sent_to(queue("ORDERS")) };
    let message = long(&mut other);
    let said = other.ask(message).expect_err("too long");
    let why = "User ann is not authorized to send this message to: queue://ORDERS: it has more than 5000 bytes";
    assert_eq!(said, format!("java.lang.SecurityException: {why}"));
    let id =
        TransactionId::Local(LocalTransactionId { value: 1, connection: ConnectionId { value: other.id.clone() } });
    let change = |kind| TransactionInfo { transaction_id: Some(id.clone()), kind, ..Default::default() };
    other.ask(change(0)).expect("begun");
    let message = Message { transaction_id: Some(id.clone()), ..long(&mut other) };
    other.send(message).expect("sent");
    let said = other.ask(change(2)).expect_err("a commit that misses a part");
    assert!(said.contains("TransactionRolledBackException") && said.contains("5000 bytes"), "{said}");
    other.publish("ORDERS", "4");
    assert_eq!(reader.frame().body, "4");
    let figures = metrics(&broker);
    assert_eq!(series(&figures, "jackfield_sends_forbidden_total"), 5.0);
    assert_eq!(series(&figures, "jackfield_messages_forbidden_total"), 5.0);
}

/// Nobody is let in, allowed or taken from while the component traps, loops or talks nonsense; everybody hears so at once, in
/// the words of the protocol, time and again.
#[test]
fn a_component_that_is_down_refuses_all_and_hangs_nobody() {
    let nonsense = "(i32.store8 (i32.const 256) (i32.const 77)) (i32.const 256)";
    for body in [TRAP, FOREVER, nonsense] {
        let broker = guarded(AuthGuest { authenticate: body, ..AuthGuest::default() }.component(), "");
        for _ in 0..3 {
            for said in refusals(&broker, Some("ann"), Some("s3cret")) {
                assert_eq!(said, "User name [ann] cannot be checked at present; try again later", "{body}");
            }
        }
        let figures = metrics(&broker);
        assert!(series(&figures, "jackfield_auth_failed_closed_total") >= 6.0, "{figures}");
        assert!(!broker.log().contains("s3cret"), "{}", broker.log());
    }
    let begun = Instant::now();
    for body in [TRAP, FOREVER, "(call $answer (i32.const 7))"] {
        let broker = guarded(AuthGuest { authorize: body, ..AuthGuest::default() }.component(), "");
        let why = "whether user guest may use queue://Q cannot be decided now; try again later";
        let (mut client, _) = Stomp::log_in(&broker, "login:x\n");
        for frame in ["SEND\ndestination:/queue/Q\n", "SUBSCRIBE\nid:1\ndestination:/queue/Q\n"] {
            for _ in 0..2 {
                assert_eq!(client.attempt(frame).err().as_deref(), Some(why), "{body}");
            }
        }
        let Ok(mut client) = OpenWire::log_in(&broker, Some("x"), None) else { panic!("logins are another matter") };
        let producer = ProducerInfo {
            producer_id: Some(client.producer()),
            destination: Some(queue("Q")),
            ..ProducerInfo::default()
        };
        let consumer = client.consumer_info(1, "Q");
        let message = client.sent_to(queue("Q"));
        for command in [Command::from(producer), consumer.into(), message.into()] {
            let said = client.ask(command).expect_err(body);
            assert_eq!(said, format!("java.lang.SecurityException: {why}"), "{body}");
        }
        assert!(broker.destinations().is_empty(), "nothing was made");
    }
    for body in [TRAP, FOREVER, "(call $answer (i32.const 0))"] {
        let guest = AuthGuest { wants: &[LOGINS, MESSAGES], check_messages: body, ..AuthGuest::default() };
        let broker = guarded(guest.component(), "");
        let why = "queue://Q: it cannot be looked at now; try again later";
        let (mut client, _) = Stomp::log_in(&broker, "login:x\n");
        for _ in 0..2 {
            let said = client.attempt("SEND\ndestination:/queue/Q\n").expect_err(body);
            assert!(said.ends_with(why), "{body}: {said}");
        }
        let Ok(mut client) = OpenWire::log_in(&broker, Some("x"), None) else { panic!("logins are another matter") };
        let message = client.sent_to(queue("Q"));
        let said = client.ask(message).expect_err(body);
        assert!(said.starts_with("java.lang.SecurityException: ") && said.ends_with(why), "{body}: {said}");
        assert_eq!(broker.total("published"), 0);
    }
    assert!(begun.elapsed() < 6 * SOON);
}

/// With a time in the configuration, the very same is let in and allowed as before, and nothing else is; without, nothing.
#[test]
fn what_was_decided_before_may_be_honoured() {
    let (login, right) = (once(ADMIT), once(ALLOW));
    for (security, honoured) in [("", false), ("last_known_good_ms = 600000", true)] {
        let guest = AuthGuest { wants: &[LOGINS, PASSWORDS], authenticate: &login, ..AuthGuest::default() };
        let broker = guarded(guest.component(), &format!("show_passwords = [\"guard\"]\n{security}"));
        let headers = "login:ann\npasscode:one\n";
        assert_eq!(Stomp::log_in(&broker, headers).1.command, "CONNECTED", "it answers once");
        for _ in 0..3 {
            let (_, answer) = Stomp::log_in(&broker, headers);
            assert_eq!(answer.command, if honoured { "CONNECTED" } else { "ERROR" });
        }
        for other in ["login:ann\npasscode:two\n", "login:bob\npasscode:one\n", "login:ann\n", ""] {
            let (_, answer) = Stomp::log_in(&broker, other);
            assert!(answer.header("message").contains("cannot be checked at present"), "{other}: {answer:?}");
        }
        let count = if honoured { 3.0 } else { 0.0 };
        assert_eq!(series(&metrics(&broker), "jackfield_auth_honoured_total"), count);
        assert!(broker.log().contains("auth policy guard does not answer: logins: it trapped"), "{}", broker.log());

        // It is asked whether the client may write, and answers once; then for the making of the queue, and does not.
        let guest = AuthGuest { wants: &[LOGINS, RIGHTS], authorize: &right, ..AuthGuest::default() };
        let broker = guarded(guest.component(), security);
        let (mut client, _) = Stomp::log_in(&broker, "");
        let made = client.attempt("SEND\ndestination:/queue/Q\n").expect_err("nobody knows about the making");
        assert!(made.contains("not authorized to create"), "{made}");
        let again = client.attempt("SEND\ndestination:/queue/Q\n").expect_err("nor now");
        assert_eq!(again.contains("not authorized to create"), honoured, "the writing is known: {again}");
        let other = client.attempt("SUBSCRIBE\nid:1\ndestination:/queue/Q\n").expect_err("never asked before");
        assert!(other.contains("cannot be decided now"), "{other}");
    }
}

/// Before a port opens, by key, value and remedy.
#[test]
fn a_component_that_cannot_guard_is_told_at_the_start() {
    let home = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(home.path().join(name), bytes).expect("a file");
    write("rights.wasm", AuthGuest { wants: &[RIGHTS], ..AuthGuest::default() }.component());
    write("passwords.wasm", AuthGuest { wants: &[LOGINS, PASSWORDS], ..AuthGuest::default() }.component());
    write("traps.wasm", AuthGuest { configure: TRAP, ..AuthGuest::default() }.component());
    write("good.wasm", AuthGuest::default().component());
    std::fs::copy(repository("plugins/built/round-robin.wasm"), home.path().join("queue.wasm")).expect("copied");
    let component = |name: &str| {
        format!(
            "[[policy.component]]\nname = \"{name}\"\nfile = \"{name}.wasm\"\n[security]\npolicies = [\"{name}\"]\n"
        )
    };
    for (file, words) in [
        (component("rights"), "none of them decides who logs in"),
        (component("passwords"), "name it in security.show_passwords"),
        (component("traps"), "security.policies, traps"),
        (component("queue"), "policy queue is unknown"),
        (component("absent"), "absent.wasm"),
        ("[security]\npolicies = [\"guard\"]\n".to_owned(), "security.policies"),
        ("[security]\npolicies = []\n".to_owned(), "names nobody"),
        (component("good") + "show_passwords = [\"other\"]\n", "security.show_passwords"),
        (component("good") + "anonymous_access = true\n", "is read by the native policies"),
    ] {
        std::fs::write(home.path().join("bad.toml"), &file).expect("a file");
        let output = run(home.path(), &["serve", "--config", "bad.toml"]);
        assert_eq!(output.status.code(), Some(78), "{file}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(words), "{file}: {}", text(&output.stderr));
    }
}
