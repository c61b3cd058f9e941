//! The journal in each database keeps what every journal promises, survives its database, and gives way to the next
//! broker.

#[allow(dead_code, reason = "the tests of the whole program use the rest")]
mod server;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ha::{Attempt, Checked, Former, Holder, Lock as _, LockError, Loss, Waited};
use journal::conformance::{self, Bed, Driver, Random, Samples};
use journal::{Journal, JournalError, MemJournal};
use journal_sql::{Address, Config, Lease, SqlJournal, SqlLease};
use message::Record;
use server::{Engine, PASSWORD, Server};

const OUTAGE_MAX: Duration = Duration::from_secs(60);

fn config(url: &str, table_prefix: &str) -> Config {
    Config {
        address: Address::parse(url).expect("a URL"),
        table_prefix: table_prefix.into(),
        create_tables: true,
        outage_max: OUTAGE_MAX,
        lease: None,
    }
}

/// Tables of their own for each bed.
struct Tables(Config);

impl Tables {
    fn new(url: &str) -> Tables {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Tables(config(url, &format!("bed{}_", NUMBER.fetch_add(1, Ordering::Relaxed))))
    }
}

impl Bed for Tables {
    fn open(&mut self) -> Arc<dyn Journal> {
        Arc::new(SqlJournal::open(&self.0).expect("open"))
    }
}

fn sqlite(home: &tempfile::TempDir) -> String {
    format!("sqlite:{}?mode=rwc", home.path().join("journal.db").display())
}

fn all_promises(url: &str) {
    conformance::all(&mut || Tables::new(url));
    what_is_in_the_way_is_told(url);
    what_is_kept_is_settled_by_whoever_opens_it(url);
    whoever_opened_it_last_has_it(url);
    a_lease_has_one_holder(url);
    a_drained_log_is_read_from_its_head(url);
}

#[test]
fn sqlite_keeps_what_a_journal_promises() {
    // In memory, where there is such a place: what is shown here has nothing to do with the disk.
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    all_promises(&sqlite(&home));
}

#[test]
fn postgres_keeps_what_a_journal_promises() {
    let server = Server::start(Engine::Postgres);
    all_promises(&server.url());
}

#[test]
fn mariadb_keeps_what_a_journal_promises() {
    let server = Server::start(Engine::MariaDb);
    all_promises(&server.url());
}

/// Tables that are missing, another program's or a later version's are refused by name, and stay as they are; no message
/// shows a password.
fn what_is_in_the_way_is_told(url: &str) {
    let told = |config: &Config, parts: &[&str]| {
        let error = SqlJournal::open(config).map(drop).expect_err("refused").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(!error.contains(PASSWORD), "{error}");
    };
    let absent = Config { create_tables: false, ..config(url, "absent_") };
    told(&absent, &["table absent_journal is missing", "create_tables_on_startup"]);
    told(&absent, &["table absent_journal is missing"]);

    let statements = ["CREATE TABLE other_bodies (id BIGINT)", "INSERT INTO other_bodies VALUES (7)"];
    sql(url, &statements);
    told(&config(url, "other_"), &["table other_bodies has other columns: id", "another table_prefix"]);
    told(&Config { create_tables: false, ..config(url, "other_") }, &["other_"]);
    assert_eq!(count(url, "other_bodies"), 1);

    drop(SqlJournal::open(&config(url, "newer_")).expect("open"));
    sql(url, &["UPDATE newer_journal SET format = 3"]);
    assert_eq!(SqlJournal::open(&config(url, "newer_")).map(drop), Err(JournalError::Newer { found: 3, known: 2 }));
    sql(url, &["DELETE FROM newer_journal", "DELETE FROM newer_appends"]);
    // The making of the tables was cut short.
    drop(SqlJournal::open(&config(url, "newer_")).expect("open"));
    sql(url, &["DELETE FROM newer_journal", "DELETE FROM newer_appends", "INSERT INTO newer_bodies VALUES (1, 0, '')"]);
    told(&config(url, "newer_"), &["newer_bodies has rows, and newer_journal has no version"]);

    drop(SqlJournal::open(&config(url, "part_")).expect("open"));
    sql(url, &["DROP TABLE part_entries", "DROP TABLE part_facts"]);
    told(&config(url, "part_"), &["is damaged: missing: part_entries, part_facts; restore"]);

    sql(url, &["CREATE TABLE odd_lock (id BIGINT)"]);
    let error = SqlLease::open(lease(url, "odd_", "a")).map(drop).expect_err("refused").to_string();
    assert!(error.contains("table odd_lock has other columns: id"), "{error}");
}

/// Appends are kept where they are until they are settled, and none of them may be missing then; tables of the format
/// before that get a table for them.
fn what_is_kept_is_settled_by_whoever_opens_it(url: &str) {
    let config = config(url, "kept_");
    drop(SqlJournal::open(&config).expect("open"));
    sql(url, &["DROP TABLE kept_appends", "UPDATE kept_journal SET format = 1, appends = 12"]);
    let journal = SqlJournal::open(&config).expect("open");
    assert_eq!(count(url, "kept_journal WHERE format = 2"), 1);
    for sequence in 1..=3 {
        journal
            .append(&[vec![Samples::queue(1), Samples::body(sequence), Samples::entry(1, sequence)]])
            .expect("append");
    }
    assert_eq!((count(url, "kept_appends"), count(url, "kept_entries")), (4, 0));
    assert_eq!(journal.load(&[2]), Ok(vec![(2, Some(Samples::message(2).into()))]));
    let large: Vec<_> = (4..300).flat_map(|sequence| [Samples::body(sequence), Samples::entry(1, sequence)]).collect();
    journal.append(&[large]).expect("append");
    assert_eq!((count(url, "kept_appends"), count(url, "kept_entries")), (1, 299));
    for sequence in 300..303 {
        journal.append(&[vec![Samples::body(sequence), Samples::entry(1, sequence)]]).expect("append");
    }
    journal.append(&[(1..301).map(|sequence| Record::EntryGone { log: 1, sequence }).collect()]).expect("append");
    drop(journal);
    // Each epoch leaves a row.
    sql(
        url,
        &[
            "CREATE TABLE kept_rest AS SELECT * FROM kept_appends WHERE number = 19",
            "DELETE FROM kept_appends WHERE number = 19",
        ],
    );
    let error = SqlJournal::open(&config).map(drop).expect_err("one is missing").to_string();
    assert!(error.contains("append 19 in the journal is damaged: it is missing"), "{error}");
    sql(url, &["INSERT INTO kept_appends SELECT * FROM kept_rest"]);
    let journal = SqlJournal::open(&config).expect("open");
    let expected = [Samples::queue(1), Samples::entry(1, 301), Samples::entry(1, 302)];
    assert_eq!(conformance::recover(&journal).0, expected);
    assert_eq!((count(url, "kept_appends"), count(url, "kept_entries")), (3, 2));
}

/// A journal that somebody else has opened since takes nothing, and nothing of it is stored, however far the other one
/// has come.
fn whoever_opened_it_last_has_it(url: &str) {
    let config = config(url, "taken_");
    let zeroth = SqlJournal::open(&config).expect("open");
    let first = SqlJournal::open(&config).expect("open");
    first.append(&[vec![Samples::queue(1), Samples::body(1), Samples::entry(1, 1)]]).expect("append");
    let second = SqlJournal::open(&config).expect("open");
    let error = first.append(&[vec![Samples::body(2), Samples::entry(1, 2)]]).expect_err("displaced");
    assert!(matches!(&error, JournalError::Fenced { why } if why.contains("epoch 3")), "{error}");
    assert!(matches!(first.load(&[1]), Err(JournalError::Fenced { .. })));
    second.append(&[vec![Samples::body(3), Samples::entry(1, 3)]]).expect("append");
    second.close().expect("close");
    assert_eq!(count(url, "taken_entries"), 2);
    let error = zeroth.append(&[vec![Samples::body(2), Samples::entry(1, 2)]]).expect_err("displaced");
    assert!(matches!(&error, JournalError::Fenced { why } if why.contains("epoch 3")), "{error}");
    drop((zeroth, first, second));
    let expected = [Samples::queue(1), Samples::entry(1, 1), Samples::entry(1, 3)];
    assert_eq!(conformance::recover(&SqlJournal::open(&config).expect("open")).0, expected);
}

/// Once much was removed from a log, the journal notes where its entries begin; what comes in below that is found too.
fn a_drained_log_is_read_from_its_head(url: &str) {
    let config = config(url, "heads_");
    let journal = SqlJournal::open(&config).expect("open");
    journal.append(&[vec![Samples::queue(1), Samples::queue(2), Samples::entry(2, 9)]]).expect("append");
    for first in (100..12_100).step_by(1_000) {
        journal.append(&[(first..first + 1_000).map(|s| Samples::entry(1, s)).collect()]).expect("append");
    }
    // What came and went before it was settled leaves nothing to walk over.
    journal.close().expect("close");
    let journal = SqlJournal::open(&config).expect("open");
    assert_eq!(count(url, "heads_entries"), 12_001);
    let gone = |sequence| Record::EntryGone { log: 1, sequence };
    journal.append(&[(100..12_000).map(gone).collect()]).expect("append");
    let byte = |letter: char| match url.starts_with("postgres") {
        true => format!("'{letter}'"),
        false => format!("x'{:02x}'", letter as u32),
    };
    let heads = format!("heads_facts WHERE id >= {} AND id < {}", byte('h'), byte('i'));
    assert_eq!(count(url, &heads), 0);
    let mut sequence = 20_000;
    while count(url, &heads) == 0 {
        journal.maintain();
        sequence += 1;
        journal.append(&[vec![Samples::entry(1, sequence)]]).expect("append");
    }
    drop(journal);
    let read = || {
        let journal = SqlJournal::open(&config).expect("open");
        let records = conformance::recover(&journal).0;
        let place = |record| match record {
            Record::Entry { log, sequence, .. } => Some((log, sequence)),
            _ => None,
        };
        (journal, records.into_iter().filter_map(place).collect::<Vec<_>>())
    };
    let mut expected: Vec<_> = (12_000..12_100).chain(20_001..=sequence).map(|s| (1, s)).collect();
    expected.push((2, 9));
    let (journal, found) = read();
    assert_eq!(found, expected);
    journal.append(&[vec![Samples::entry(1, 50)]]).expect("append");
    drop(journal);
    expected.insert(0, (1, 50));
    assert_eq!(read().1, expected);
}

fn lease(url: &str, prefix: &str, broker: &str) -> Lease {
    let holder = Holder { broker: broker.into(), host: "here".into(), process: 7, ..Holder::default() };
    let address = Address::parse(url).expect("a URL");
    Lease { address, table_prefix: prefix.into(), create_tables: true, length_ms: 1_500, holder }
}

/// One of two has it, and the other one learns who; it goes over when it is given up or not renewed; and the journal
/// takes nothing from whoever has lost it, even if nobody has opened the journal since.
fn a_lease_has_one_holder(url: &str) {
    let a = SqlLease::open(lease(url, "lease_", "a")).expect("open");
    let b = SqlLease::open(lease(url, "lease_", "b")).expect("open");
    assert_eq!(a.check(), Checked::Lost(Loss::Freed));
    assert_eq!(a.take(), Ok(Attempt::Taken(Former::Gone)));
    assert_eq!(a.claim(Some(4)), Ok(()));
    let Ok(Attempt::Held(held_by)) = b.take() else { panic!("two holders") };
    assert_eq!(held_by.holder.map(|holder| (holder.broker, holder.epoch)), Some(("a".into(), Some(4))));
    assert!(matches!(b.claim(None), Err(LockError::NotHeld { .. })));

    let proven = Config { lease: Some(a.holder_id().into()), ..config(url, "lease_") };
    let journal = SqlJournal::open(&proven).expect("open");
    journal.append(&[vec![Samples::queue(1)]]).expect("append");
    // Not renewed for its length, it is free; whoever is quicker has it.
    assert_eq!(b.wait(), Waited::Granted);
    assert_eq!(a.check(), Checked::Ours);
    assert!(matches!(b.take(), Ok(Attempt::Held(_))));
    assert_eq!(b.wait(), Waited::Granted);
    assert_eq!(b.take(), Ok(Attempt::Taken(Former::Gone)));
    let error = journal.append(&[vec![Samples::queue(2)]]).expect_err("the lease is lost");
    assert!(matches!(&error, JournalError::Fenced { why } if why.contains("lease")), "{error}");
    assert!(matches!(a.check(), Checked::Lost(Loss::TakenOver(by)) if by.starts_with("broker b on here")));
    let error = SqlJournal::open(&proven).map(drop).expect_err("the lease is lost");
    assert!(matches!(error, JournalError::Fenced { .. }), "{error}");

    b.release(true);
    assert_eq!(a.wait(), Waited::Granted);
    let proven = Config { lease: Some(b.holder_id().into()), ..config(url, "lease_") };
    assert_eq!(b.take(), Ok(Attempt::Taken(Former::Gone)));
    assert_eq!(conformance::recover(&SqlJournal::open(&proven).expect("open")).0, [Samples::queue(1)]);
}

/// What the driver makes, by way of one statement after another.
fn sql(url: &str, statements: &[&str]) {
    run(url, statements, |_| ());
}

fn count(url: &str, table: &str) -> i64 {
    let statement = format!("SELECT COUNT(*) FROM {table}");
    run(url, &[&statement], |row| sqlx::Row::get::<i64, _>(&row, 0)).pop().expect("a row")
}

fn run<T>(url: &str, statements: &[&str], read: impl Fn(sqlx::any::AnyRow) -> T) -> Vec<T> {
    use sqlx::{ConnectOptions as _, Executor as _};
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options: sqlx::any::AnyConnectOptions = url.parse().expect("a URL");
        let mut connection = options.connect().await.expect("connected");
        let mut found = Vec::new();
        for statement in statements {
            let statement = sqlx::raw_sql(sqlx::AssertSqlSafe((*statement).to_owned()));
            found.extend(connection.fetch_all(statement).await.expect("done").into_iter().map(&read));
        }
        found
    })
}

/// A wire that breaks again and again, each time after an answer that the client does not get.
struct BadWire {
    port: u16,
    breaks: Arc<AtomicBool>,
    broken: Arc<AtomicU64>,
}

impl BadWire {
    fn to(port: u16) -> BadWire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("a port").port();
        let (breaks, broken): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let wire = BadWire { port: own, breaks: breaks.clone(), broken: broken.clone() };
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port))) else { continue };
                let answers = 10 + Random(number as u64).below(60);
                let (from, to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                std::thread::spawn(move || pass(from, to, || true));
                let (breaks, broken) = (breaks.clone(), broken.clone());
                let mut left = answers;
                std::thread::spawn(move || {
                    pass(server, client, || {
                        left = left.saturating_sub(u64::from(breaks.load(Ordering::Relaxed)));
                        if left == 0 {
                            broken.fetch_add(1, Ordering::Relaxed);
                        }
                        left > 0
                    });
                });
            }
        });
        wire
    }
}

/// Hands on what comes, until it may not.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut() -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !may() || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Connections break at any answer, that to a commit too: each append is stored once, whatever its broker was told.
#[test]
fn an_append_whose_answer_is_lost_is_stored_once() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let server = Server::start(engine);
        let wire = BadWire::to(server.port);
        let config = config(&server.url_at(&format!("127.0.0.1:{}", wire.port)), "wire_");
        let journal = SqlJournal::open(&config).expect("open");
        wire.breaks.store(true, Ordering::Relaxed);
        let (mut driver, twin) = (Driver::new(5, 2_000), MemJournal::new());
        while wire.broken.load(Ordering::Relaxed) < 100 {
            let groups: Vec<Vec<Record>> = (0..3).map(|_| driver.group()).collect();
            journal.append(&groups).expect("append");
            twin.append(&groups).expect("append to twin");
        }
        drop(journal);
        let straight = Config { address: Address::parse(&server.url()).expect("a URL"), ..config };
        let journal = SqlJournal::open(&straight).expect("open");
        let (found, expected) = (conformance::recover(&journal), conformance::recover(&twin));
        assert_eq!(found.0, expected.0, "{engine:?}");
        assert_eq!((found.1.entries, found.1.next_sequence), (expected.1.entries, expected.1.next_sequence));
    }
}

/// The server dies and comes back while appends and reads are under way: they take as long, and all of them are there.
#[test]
fn a_database_that_dies_and_comes_back_is_waited_for() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let mut server = Server::start(engine);
        let config = config(&server.url(), "restart_");
        let journal = Arc::new(SqlJournal::open(&config).expect("open"));
        journal.append(&[vec![Samples::queue(1)]]).expect("append");
        let stop = Arc::new(AtomicBool::new(false));
        let appender = {
            let (journal, stop) = (journal.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut sequence = 0;
                while !stop.load(Ordering::Relaxed) {
                    sequence += 1;
                    journal.append(&[vec![Samples::body(sequence), Samples::entry(1, sequence)]]).expect("append");
                    assert!(journal.load(&[sequence]).expect("load")[0].1.is_some());
                }
                sequence
            })
        };
        for _ in 0..3 {
            let before = journal.stats().appends;
            while journal.stats().appends < before + 20 {
                std::thread::yield_now();
            }
            server.kill();
            server.start_again();
        }
        let before = journal.stats().appends;
        while journal.stats().appends < before + 20 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        let last = appender.join().expect("no panic");
        drop(journal);
        let (records, found) = conformance::recover(&SqlJournal::open(&config).expect("open"));
        assert_eq!((records.len() as u64, found.entries), (last + 1, last), "{engine:?}");
    }
}

/// A database that stays away longer than is allowed for ends the journal, and says where it was and what to do.
#[test]
fn a_database_that_stays_away_is_given_up() {
    let mut server = Server::start(Engine::Postgres);
    let config = Config { outage_max: Duration::from_millis(300), ..config(&server.url(), "away_") };
    let journal = SqlJournal::open(&config).expect("open");
    server.kill();
    let error = journal.append(&[vec![Samples::queue(1)]]).expect_err("away").to_string();
    assert!(error.contains("append to database postgres://jackfield@127.0.0.1"), "{error}");
    assert!(error.contains("check that the server runs"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
    assert!(matches!(journal.append(&[]), Err(JournalError::Poisoned { .. })));

    let error = SqlJournal::open(&config).map(drop).expect_err("away").to_string();
    assert!(error.contains("open the journal in database") && !error.contains(PASSWORD), "{error}");
    server.start_again();
    let url = server.url().replace(PASSWORD, "wrong");
    let wrong = Config { address: Address::parse(&url).expect("a URL"), ..config.clone() };
    let error = SqlJournal::open(&wrong).map(drop).expect_err("a wrong password").to_string();
    assert!(error.contains("check user and password") && !error.contains("wrong@"), "{error}");
    let wrong =
        Config { address: Address::parse(&server.url().replace("/postgres", "/nowhere")).expect("a URL"), ..config };
    let error = SqlJournal::open(&wrong).map(drop).expect_err("no database").to_string();
    assert!(error.contains("create the database"), "{error}");
}
