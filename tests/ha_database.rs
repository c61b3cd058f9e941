//! Several brokers on one database: one is master, the others wait, nothing that was confirmed is lost when the lease goes
//! from one to the next, and a master that slept through it confirms nothing when it wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::database::{Engine, PASSWORD, Server};
use crate::ha::{LOCK_LOST, Member, Shared, drain, publish, run_example};
use crate::support::{PROGRAM, Stomp, run, text, until};

const QUICK: &str = "keep_alive_period_ms = 200\nacquire_sleep_interval_ms = 1000\n";

/// Journal and lease in this database.
fn in_database(url: &str) -> String {
    format!("[admin]\nsocket = \"\"\n[journal]\nurl = \"{url}\"\n[lock]\n{QUICK}")
}

/// The lease there and the journal on the shared directory.
fn lease_only(url: &str) -> String {
    format!("[admin]\nsocket = \"\"\n[lock]\ntype = \"lease-database-locker\"\nurl = \"{url}\"\n{QUICK}")
}

/// The guide's layout on a database: the first serves, the others wait without a port and say for whom; after a `kill -9`
/// the next one has everything that was confirmed as soon as the lease is over, and after an orderly stop at once.
fn three_brokers_share(url: &str, config: &str) {
    let shared = Shared::new();
    let start = |name, word| {
        let member = shared.start_with(name, config);
        member.await_word(word);
        member
    };
    let a = start("a", "ready");
    let (mut b, mut c) = (start("b", "standby"), start("c", "standby"));
    for waiting in [&b, &c] {
        waiting.await_log("jackfield_lock in database");
        waiting.await_log("is locked by another server: broker a on ");
        assert!(waiting.log().contains(&format!("process {}, ", a.pid())), "{}", waiting.log());
        assert!(waiting.log().contains("This broker is in slave mode"), "{}", waiting.log());
        assert!(!waiting.log().contains("listens"), "{}", waiting.log());
    }
    publish(&a, 0, 50);
    a.kill();
    until("a new master", || b.has_said("ready") || c.has_said("ready"));
    if c.has_said("ready") {
        std::mem::swap(&mut b, &mut c);
    }
    assert!(!c.has_said("ready"));
    b.await_log("this broker is master in epoch 2");
    drain(&b, 0, 50);
    publish(&b, 50, 80);
    let a = start("a", "standby");
    b.signal(Signal::SIGTERM);
    assert_eq!(b.end().code(), Some(0), "{}", b.log());
    until("a new master", || a.has_said("ready") || c.has_said("ready"));
    let master = if a.has_said("ready") { &a } else { &c };
    drain(master, 50, 80);
    master.await_log("this broker is master in epoch 3");
    for member in [&a, &b, &c] {
        assert!(!member.log().contains(PASSWORD), "{url}: {}", member.log());
    }
}

#[test]
fn three_brokers_share_a_postgres() {
    let server = Server::start(Engine::Postgres);
    three_brokers_share(&server.url(), &in_database(&server.url()));
}

#[test]
fn three_brokers_share_a_mariadb() {
    let server = Server::start(Engine::MariaDb);
    three_brokers_share(&server.url(), &in_database(&server.url()));
}

#[test]
fn three_brokers_share_a_directory_with_the_lease_in_a_database() {
    let server = Server::start(Engine::Postgres);
    three_brokers_share(&server.url(), &lease_only(&server.url()));
}

/// A broker that is started before its database serves, as after a power cut of all machines, waits for it.
#[test]
fn a_database_that_is_starting_is_waited_for() {
    let mut server = Server::start(Engine::Postgres);
    server.kill();
    server.start_not_ready();
    let shared = Shared::new();
    let a = shared.start_with("a", &in_database(&server.url()));
    a.await_log("is not ready yet");
    assert!(!a.has_said("ready"));
    server.serve();
    a.await_word("ready");
}

/// Sends one message after another, each when the one before is confirmed, until the connection ends.
fn send_on(mut client: Stomp, confirmed: Arc<AtomicUsize>) {
    for number in 0.. {
        let frame = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:{number}\n\n{number}\0");
        if client.send_bytes(frame.as_bytes()).is_err() {
            return;
        }
        match client.try_frame() {
            Some(frame) if frame.header("receipt-id") == number.to_string() => {
                confirmed.store(number + 1, Ordering::SeqCst)
            }
            _ => return,
        }
    }
}

/// Takes messages until `last` and returns how many they were; they must be numbers in order.
fn take_all(member: &Member) -> usize {
    let mut client = member.client();
    client.publish("Q", "last");
    client.subscribe("Q", "client-individual");
    for number in 0.. {
        let message = client.frame();
        client.ack(&message);
        if message.body == "last" {
            return number;
        }
        assert_eq!(message.body, number.to_string());
    }
    0
}

/// A master is stopped under load for longer than its lease. Its slave takes over; woken, the old one confirms nothing,
/// writes nothing, and ends with its own exit code; what it had confirmed is at the new master, once.
fn a_woken_master_confirms_nothing(config: &str, journal_is_shared_by_lock: bool) {
    for _ in 0..3 {
        let shared = Shared::new();
        let mut a = shared.start_with("a", config);
        a.await_word("ready");
        let b = shared.start_with("b", config);
        b.await_word("standby");
        let confirmed = Arc::new(AtomicUsize::new(0));
        let sender = {
            let (client, confirmed) = (a.client(), confirmed.clone());
            std::thread::spawn(move || send_on(client, confirmed))
        };
        until("some messages", || confirmed.load(Ordering::SeqCst) > 50);
        a.freeze();
        if journal_is_shared_by_lock {
            // The journal's own lock is still there, so that the lease alone does not make a second writer.
            b.await_log("which does not hold the lock; this broker has it and waits for the process to end");
            assert!(!b.has_said("ready"));
        } else {
            b.await_word("ready");
            b.await_log("this broker is master in epoch");
        }
        let before = confirmed.load(Ordering::SeqCst);
        a.signal(Signal::SIGCONT);
        let ended = a.end();
        assert_eq!(ended.code(), Some(LOCK_LOST), "{}", a.log());
        assert!(a.log().contains("was taken over by"), "{}", a.log());
        sender.join().expect("no panic");
        assert_eq!(confirmed.load(Ordering::SeqCst), before, "confirmed after the new epoch began: {}", a.log());
        b.await_word("ready");
        let found = take_all(&b);
        assert!((before..=before + 1).contains(&found), "{before} confirmed, {found} found");
        drop(b);
    }
}

/// Each time in tables of its own.
fn with_prefix(config: &str, number: usize) -> String {
    config.replace("[journal]\n", &format!("[journal]\ntable_prefix = \"t{number}_\"\n"))
}

#[test]
fn a_master_that_slept_confirms_nothing_postgres() {
    let server = Server::start(Engine::Postgres);
    a_woken_master_confirms_nothing(&with_prefix(&in_database(&server.url()), 1), false);
}

#[test]
fn a_master_that_slept_confirms_nothing_mariadb() {
    let server = Server::start(Engine::MariaDb);
    a_woken_master_confirms_nothing(&with_prefix(&in_database(&server.url()), 1), false);
}

#[test]
fn a_master_that_slept_confirms_nothing_with_the_lease_alone_in_a_database() {
    let server = Server::start(Engine::MariaDb);
    a_woken_master_confirms_nothing(&lease_only(&server.url()), true);
}

/// The database dies under a broker: receipts wait, nothing is refused, and everything goes on when it is back, with the
/// same master.
#[test]
fn a_database_that_dies_makes_clients_wait() {
    let mut server = Server::start(Engine::Postgres);
    let shared = Shared::new();
    // A lease that outlives the absence of its database.
    let config = in_database(&server.url()).replace("interval_ms = 1000", "interval_ms = 30000");
    let a = shared.start_with("a", &config);
    a.await_word("ready");
    let b = shared.start_with("b", &config);
    b.await_word("standby");
    publish(&a, 0, 20);
    let mut client = a.client();
    server.kill();
    client.send("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:away\n\n20");
    a.await_log("the lock gives no answer");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        assert!(client.nothing_came() && !b.has_said("ready"));
        std::thread::yield_now();
    }
    server.start_again();
    client.expect_receipt("away");
    drop(client);
    drain(&a, 0, 21);
    assert!(!b.has_said("ready"), "{}", b.log());
}

/// While its lock cannot be proven a master promises nothing and hands nothing out, not even what needs no journal, and its
/// heart-beats go on: a database that is away for long costs no connection.
#[test]
fn heart_beats_go_on_in_doubt() {
    let mut server = Server::start(Engine::Postgres);
    let shared = Shared::new();
    let a = shared.start_with("a", &in_database(&server.url()));
    a.await_word("ready");
    let mut client = Stomp::open(a.stomp());
    client.send("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:0,50\n\n");
    assert_eq!(client.frame().command, "CONNECTED");
    client.confirm("SUBSCRIBE\nid:1\ndestination:/topic/T\nack:auto\n", "");
    server.kill();
    a.await_log("the lock gives no answer");
    let begun = Instant::now();
    until("the lease to be over", || begun.elapsed() > Duration::from_secs(2));
    client.send("SEND\ndestination:/topic/T\nreceipt:doubt\n\nhello");
    client.hear_beats(20);
    assert!(client.nothing_came(), "said in doubt");
    server.start_again();
    client.expect_receipt("doubt");
    assert_eq!(client.frame().body, "hello");
}

/// What is wrong with a database is said with its place and a remedy, and without its password.
#[test]
fn what_is_wrong_with_a_database_is_told() {
    let server = Server::start(Engine::Postgres);
    let home = tempfile::tempdir().expect("a folder");
    let told = |config: &str, code: i32, parts: &[&str]| {
        let config = format!("{config}\n[[connector]]\nuri = \"stomp://127.0.0.1:0\"\n");
        std::fs::write(home.path().join("jackfield.toml"), config).expect("a file");
        let output = run(home.path(), &["serve", "--config", "jackfield.toml", "--data", "data"]);
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(parts.iter().all(|part| log.contains(part)), "{log}");
        assert!(!log.contains(PASSWORD) && !log.contains("wr0ng"), "{log}");
    };
    let url = server.url();
    let wrong = url.replace(PASSWORD, "wr0ng");
    told(&in_database(&wrong), 1, &["password authentication failed", "check user and password in the URL"]);
    let missing = in_database(&url).replace("[lock]", "create_tables_on_startup = false\n[lock]");
    told(&missing, 1, &["table jackfield_lock is missing", "create_tables_on_startup"]);
    let nowhere = in_database(&server.url_at("127.0.0.1:1"));
    told(&nowhere, 1, &["postgres://jackfield@127.0.0.1:1/postgres", "check that the server runs"]);
    told("[journal]\nurl = \"oracle://u:wr0ng@h/db\"\n", 78, &["journal.url: ", "sqlite:FILE"]);
    told("[lock]\ntype = \"lease-database-locker\"\n", 78, &["lock.type", "needs a database"]);
}

/// The example's commands, on a database of this test.
#[test]
fn the_example_on_a_database_runs_as_written() {
    let server = Server::start(Engine::Postgres);
    let ports = format!("1{:02}", std::process::id() % 100);
    let url = server.url();
    let change = |content: String| content.replace("postgres://jackfield:secret@127.0.0.1:5432/activemq", &url);
    let said = run_example("examples/ha-database", &ports, change);
    assert!(said.contains("This broker is in slave mode") && said.contains("\n1000\n"), "{said}");
}

/// The campaign in its short form: failovers under load, judged from outside.
#[test]
fn failovers_on_a_database_lose_nothing() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let server = Server::start(engine);
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("more.toml"), in_database(&server.url())).expect("a file");
        let mut args = vec!["bench", "kill", "--program", PROGRAM, "--data", "data", "--config", "more.toml"];
        args.extend(["--standbys", "2", "--kills", "4", "--seed", "7", "--max-ms", "800"]);
        let output = run(home.path(), &args);
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).contains("gap seen by producers"), "{}", text(&output.stdout));
    }
}

/// A journal in a file of SQLite, for one machine without a server: a restart finds everything.
#[test]
fn a_journal_in_a_file() {
    let shared = Shared::new();
    let config = in_database(&format!("sqlite:{}", shared.path("journal.db").display()));
    let a = shared.start_with("a", &config);
    a.await_word("ready");
    publish(&a, 0, 30);
    a.kill();
    let mut a = shared.start_with("a", &config);
    a.await_word("ready");
    drain(&a, 0, 30);
    a.signal(Signal::SIGTERM);
    assert_eq!(a.end().code(), Some(0), "{}", a.log());
}
