//! Policies changed on a running broker: server, journal on disk, components; clients over sockets.

#![allow(clippy::print_stdout, reason = "figures for people who ask for them with --nocapture")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use journal::Journal;
use journal_rocksdb::RocksJournal;
use message::Record;
use plugin_wasmtime::{Limits, stock};
use registry::{Bound, ControlError, Deploy, Happened, Listed, Point, PolicyControl, Registry, Turned, Wish};
use server::Server;

use super::{Control, Policies, taken};
use crate::certificates::Certificates;
use crate::config::{Component, Config, Connector};
use crate::wiring;

#[path = "../../../plugin-wasmtime/tests/guest/mod.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod guest;

const POINT: Point = Point::QueueDispatch;
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker within the test.
struct House {
    server: Option<Server>,
    control: Arc<Control>,
    openwire: SocketAddr,
    stomp: SocketAddr,
}

impl House {
    fn start(home: &Path) -> House {
        House::try_start(home, &[]).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_start(home: &Path, components: &[Component]) -> Result<House, String> {
        let connector = |name: &str, uri: &str| Connector::parse(name, uri).expect("a correct URI");
        let config = Config {
            data_directory: home.to_owned(),
            connectors: vec![connector("openwire", "tcp://127.0.0.1:0"), connector("stomp", "stomp://127.0.0.1:0")],
            ..Config::default()
        };
        let journal = Arc::new(RocksJournal::open(&wiring::journal(&config)).expect("a journal"));
        // Ample time and cost: no policy of the tests may fail because the machine is busy.
        let limits =
            Limits { call_ms_max: 1_000, probation_ms: 5_000, probation_cost_times_max: 1_000, ..Limits::default() };
        let (policies, control) = Policies::new(limits, None, registry::Limits::default(), &[], components)
            .map_err(|errors| format!("{errors:?}"))?;
        let id = wiring::broker_id();
        let Ok(certificates) = Certificates::load(&config) else { panic!("no certificate is needed") };
        let server = wiring::server(&config, &certificates, &id, None);
        let facts = |facts| control.load(facts);
        let server = Server::start(server, config.broker(), journal, Box::new(policies), id, facts)
            .map_err(|error| error.to_string())?;
        control.begin(server.policy_hand()).expect("a thread");
        let address = |name: &str| server.listeners().iter().find(|l| l.name == name).expect("a listener").address;
        let (openwire, stomp) = (address("openwire"), address("stomp"));
        Ok(House { server: Some(server), control, openwire, stomp })
    }

    fn stop(mut self) {
        let server = self.server.take().expect("it runs");
        self.control.keep_all();
        server.stopper()();
        assert!(matches!(server.wait(), server::Exit::Stopped));
    }

    fn deploy(&self, name: &str, bytes: Vec<u8>) -> u64 {
        self.control.deploy(wish(name, bytes)).expect("it is taken in").generation
    }

    /// Batches that a policy decided itself.
    fn decided(&self, policy: &str, point: plugin::Point) -> u64 {
        let observer = self.server.as_ref().expect("it runs").observer();
        let house = crate::control::House { broker: String::new(), observer, gate: None, since: Instant::now() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let survey = runtime.block_on(admin::Control::survey(&house, admin::words::Ask::default()));
        let policies = survey.unwrap_or_else(|problem| panic!("{problem:?}")).policies;
        let found = policies.iter().find(|found| found.name == policy && found.point == point.key());
        found.and_then(|found| found.batches.get("policy").copied()).unwrap_or(0)
    }

    fn running(&self, name: &str) -> Option<u64> {
        self.control.list().into_iter().find(|listed| listed.name == name)?.active
    }
}

fn wish(name: &str, bytes: Vec<u8>) -> Wish {
    Wish { name: name.into(), bytes: bytes.into(), settings: vec![], shadow: false, start_empty: false, grants: vec![] }
}

/// The generation decides, and there is nothing else to tell.
fn turned(generation: u64) -> Result<Turned, ControlError> {
    Ok(Turned { generation, remarks: Vec::new() })
}

fn component(name: &str) -> Vec<u8> {
    stock().iter().find(|stock| stock.name == name).expect("a stock policy").bytes.to_vec()
}

/// Written by hand, with a state in the format of round robin: the line, whose first gets all rows that it has credit for;
/// then it goes to the end.
fn turns() -> Vec<u8> {
    guest::Guest {
        describe: r#"
            (i32.store (i32.const 532) (i32.const 3815437825)) (i32.store (i32.const 536) (i32.const 544))
            (i32.store (i32.const 540) (i32.const 1)) (i32.store (i32.const 544) (i32.const 3815437825)) (i32.const 512)"#,
        snapshot: r#"
            (i32.store (i32.const 168) (i32.const 4096)) (i32.store (i32.const 172) (global.get $seen))
            (i32.const 160)"#,
        restore: r#"
            (memory.copy (i32.const 4096) (local.get $state) (local.get $bytes)) (global.set $seen (local.get $bytes))
            (i32.const 64)"#,
        // Row by row: the consumer at the place of the number of calls, or the next one that has credit.
        plan: r#"
            (local.set $count (i32.load (i32.add (local.get $question) (i32.const 36))))
            (local.set $credits (i32.load (i32.add (local.get $question) (i32.const 40))))
            (block $done
                (loop $rows
                    (br_if $done (i32.ge_u (local.get $row) (i32.load (i32.add (local.get $question) (i32.const 12)))))
                    (local.set $tries (i32.const 0))
                    (i32.store (i32.add (i32.const 256) (i32.shl (local.get $row) (i32.const 2))) (i32.const -1))
                    (block $given
                        (loop $search
                            (br_if $given (i32.ge_u (local.get $tries) (local.get $count)))
                            (local.set $tries (i32.add (local.get $tries) (i32.const 1)))
                            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                            (local.set $at
                                (i32.shl (i32.rem_u (global.get $calls) (local.get $count)) (i32.const 2)))
                            (br_if $search (i32.eqz (i32.load (i32.add (local.get $credits) (local.get $at)))))
                            (i32.store (i32.add (local.get $credits) (local.get $at))
                                (i32.sub (i32.load (i32.add (local.get $credits) (local.get $at))) (i32.const 1)))
                            (i32.store (i32.add (i32.const 256) (i32.shl (local.get $row) (i32.const 2)))
                                (i32.load (i32.add
                                    (i32.load (i32.add (local.get $question) (i32.const 32))) (local.get $at))))))
                    (local.set $row (i32.add (local.get $row) (i32.const 1)))
                    (br $rows)))
            (call $answer (local.get $row))"#,
        ..guest::Guest::default()
    }
    .component()
}

/// A STOMP connection that waits for each answer.
struct Stomp {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Stomp {
    fn connect(address: SocketAddr) -> Stomp {
        let socket = TcpStream::connect(address).expect("a broker");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        let mut stomp = Stomp { socket, unread: Vec::new() };
        stomp.send("CONNECT\naccept-version:1.2\nhost:x\n\n");
        assert!(stomp.frame().starts_with("CONNECTED"));
        stomp
    }

    fn subscribe(&mut self, queue: &str) {
        self.send(&format!("SUBSCRIBE\nid:1\ndestination:/queue/{queue}\nack:auto\nreceipt:s\n\n"));
        assert!(self.frame().starts_with("RECEIPT"));
    }

    fn publish(&mut self, queue: &str, body: &str) {
        self.send(&format!("SEND\ndestination:/queue/{queue}\npersistent:true\n\n{body}"));
    }

    fn send(&mut self, frame: &str) {
        self.socket.write_all(format!("{frame}\0").as_bytes()).expect("sent");
    }

    fn frame(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == 0) {
                let frame: Vec<u8> = self.unread.drain(..=end).collect();
                let text = String::from_utf8_lossy(&frame[..end]).trim_start().to_owned();
                if !text.is_empty() {
                    return text;
                }
                continue;
            }
            let mut buffer = [0; 4096];
            let length = self.socket.read(&mut buffer).expect("an answer in time");
            assert!(length > 0, "the broker closed the connection");
            self.unread.extend(&buffer[..length]);
        }
    }
}

fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !fact() {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        std::thread::yield_now();
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// A hundred swaps between a component of Rust and one written by hand, with state, under persistent load with 32
/// consumers and a judge: nothing lost, doubled or out of order. What a swap costs is printed.
#[test]
fn a_hundred_swaps_under_load_lose_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let house = House::start(home.path());
    assert_eq!(house.deploy("turns", component("round-robin")), 1);
    assert_eq!(house.deploy("turns", turns()), 2);
    for pattern in ["judge.>", "PROBE"] {
        house.control.bind(POINT, pattern, "turns").expect("bound");
    }
    let broker = format!("tcp://{}", house.openwire);
    let judge = std::thread::spawn(move || {
        let line = ["jackfield", "bench", "judge", "--broker", &broker, "--duration", "12s", "--consumers", "32"];
        let cli = crate::cli::Cli::try_parse_from(line).expect("a command line");
        let crate::cli::Command::Bench(args) = cli.command else { panic!("no bench") };
        crate::bench::run(args).expect("it runs")
    });
    let stop = Arc::new(AtomicBool::new(false));
    let probe = std::thread::spawn({
        let (stop, address) = (stop.clone(), house.stomp);
        move || {
            let mut client = Stomp::connect(address);
            client.subscribe("PROBE");
            let mut trips = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                client.publish("PROBE", "x");
                assert!(client.frame().starts_with("MESSAGE"));
                trips.push((begun, begun.elapsed()));
            }
            trips
        }
    });
    let mut swaps = Vec::new();
    for at in 0..100 {
        let begun = Instant::now();
        house.control.promote("turns", Some(1 + at % 2), false).expect("it takes over");
        swaps.push((begun, Instant::now()));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(judge.join().expect("the judge does not panic"), ExitCode::SUCCESS);
    stop.store(true, Ordering::Relaxed);
    let trips = probe.join().expect("the probe does not panic");
    let history = house.control.history("turns").expect("it is there");
    let refused: Vec<_> =
        history.iter().filter(|h| matches!(h.what, Happened::Refused | Happened::Withdrawn)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let meets_swap = |begun: Instant, took: Duration| {
        swaps.iter().any(|(from, to)| begun <= *to + Duration::from_millis(5) && begun + took >= *from)
    };
    let (mut during, mut other): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for (begun, took) in trips {
        if meets_swap(begun, took) { during.push(took) } else { other.push(took) }
    }
    for (name, trips) in [("while a swap was under way", &mut during), ("otherwise", &mut other)] {
        trips.sort();
        println!(
            "persistent round trip {name}: {} trips, median {:?}, p99 {:?}, worst {:?}",
            trips.len(),
            percentile(trips, 50),
            percentile(trips, 99),
            trips.last().copied().unwrap_or_default()
        );
    }
    let mut took: Vec<Duration> = swaps.iter().map(|(from, to)| *to - *from).collect();
    took.sort();
    println!("promote, durable and offered: median {:?}, p99 {:?}", percentile(&took, 50), percentile(&took, 99));
    house.stop();
}

/// Deployed, bound, explained, compared with a candidate, taken back when it is bad, found again after a restart.
#[test]
fn a_policy_lives_on_a_running_broker() {
    let home = tempfile::tempdir().expect("a folder");
    let house = House::start(home.path());
    let mut client = Stomp::connect(house.stomp);
    client.subscribe("ORDERS");
    let mut producer = Stomp::connect(house.stomp);
    let mut round = || {
        producer.publish("ORDERS", "x");
        assert!(client.frame().starts_with("MESSAGE"));
    };
    assert!(house.control.explain("ORDERS").expect("a queue").begun_now);
    assert_eq!(house.deploy("mine", component("round-robin")), 1);
    house.control.bind(POINT, "ORDERS", "mine").expect("bound");
    round();
    let explained = house.control.explain("ORDERS").expect("a queue");
    let last = explained.decisions.last().expect("a decision");
    assert_eq!((&*last.policy, last.generation, &*last.decided), ("mine", 1, "policy"));
    assert!(last.given.is_some());

    let shadow = Wish { shadow: true, ..wish("mine", component("round-robin")) };
    assert_eq!(house.control.deploy(shadow), turned(2));
    (0..20).for_each(|_| round());
    let found = house.control.shadow("mine").expect("it is there");
    assert_eq!((found.len(), &*found[0].destination, found[0].generation), (1, "ORDERS", 2));
    assert!(found[0].rows > 0 && found[0].ended.is_none(), "{found:?}");

    let bad = guest::component("(unreachable)");
    let bad = Wish { start_empty: true, ..wish("mine", bad) };
    assert_eq!(house.control.deploy(bad), turned(3));
    round();
    until("the bad one to be taken back", || house.running("mine") == Some(1));
    round();
    let history = house.control.history("mine").expect("it is there");
    let withdrawn = history.iter().find(|line| line.what == Happened::Withdrawn).expect("it was withdrawn");
    assert_eq!((withdrawn.generation, &*withdrawn.reason), (3, "on ORDERS: it trapped, fault 1 since it took over"));
    let explained = house.control.explain("ORDERS").expect("a queue");
    let fallbacks: Vec<_> = explained.decisions.iter().filter(|d| d.decided != "policy").collect();
    assert!(
        fallbacks.iter().all(|d| d.decided == "Trap" && d.generation == 3) && !fallbacks.is_empty(),
        "{fallbacks:?}"
    );

    assert!(house.control.remove("mine").expect_err("it is bound").to_string().contains("unbind it first"));
    // States are kept once more as the broker stops.
    let listed = |house: &House| -> Vec<Listed> {
        let without_states = |listed| Listed { states: 0, state_bytes: 0, ..listed };
        house.control.list().into_iter().map(without_states).collect()
    };
    let before = listed(&house);
    house.stop();

    let house = House::start(home.path());
    assert_eq!(listed(&house), before);
    let bound = Bound { point: POINT, pattern: "ORDERS".into(), policy: "mine".into() };
    assert_eq!(house.control.bindings(), [bound]);
    assert_eq!(house.control.end_shadow("mine"), Ok(2));
    house.control.unbind(POINT, "ORDERS").expect("unbound");
    house.control.remove("mine").expect("removed");
    assert!(house.control.list().is_empty());
    house.stop();
}

/// A routing policy is deployed, bound, exchanged and taken back like any other, and found again after a restart.
#[test]
fn a_routing_policy_is_changed_on_a_running_broker() {
    let routing = Point::PublishRouting;
    let table = |to: &str| vec![("property".into(), "region".into()), ("=eu".into(), to.into())];
    let stock = plugin_wasmtime::stock_of(plugin::Point::PublishRouting);
    let bytes = stock.iter().find(|stock| stock.name == "header-table").expect("a stock policy").bytes;
    let deploy = |to: &str| Wish { settings: table(to), ..wish("router", bytes.to_vec()) };
    let send = |house: &House| {
        let mut client = Stomp::connect(house.stomp);
        client.send("SEND\ndestination:/queue/ORDERS\nregion:eu\npersistent:true\nreceipt:r\n\nx");
        assert!(client.frame().starts_with("RECEIPT"));
    };
    let came = |house: &House, queue: &str| {
        let mut client = Stomp::connect(house.stomp);
        client.subscribe(queue);
        assert!(client.frame().starts_with("MESSAGE"), "{queue}");
    };
    let home = tempfile::tempdir().expect("a folder");
    let house = House::start(home.path());
    let shadow = Wish { shadow: true, ..deploy("EU") };
    assert!(house.control.deploy(shadow).expect_err("no candidates").to_string().contains("cannot look on"));
    assert_eq!(house.control.deploy(deploy("EU")), turned(1));
    for (point, policy) in [(POINT, "router"), (POINT, "wiretap"), (routing, "round-robin")] {
        let error = house.control.bind(point, "ORDERS", policy).expect_err("another point").to_string();
        assert!(error.contains("decides nothing for"), "{error}");
    }
    send(&house);
    came(&house, "ORDERS");
    house.control.bind(routing, "ORDERS", "router").expect("bound");
    house.control.bind(routing, "topic://PRICES.>", "router").expect("bound");
    send(&house);
    came(&house, "EU");
    assert_eq!(house.control.deploy(deploy("EU2")), turned(2));
    send(&house);
    came(&house, "EU2");
    house.stop();

    let house = House::start(home.path());
    send(&house);
    came(&house, "EU2");
    assert_eq!(house.control.rollback("router", None), turned(1));
    send(&house);
    came(&house, "EU");
    house.control.unbind(routing, "ORDERS").expect("unbound");
    send(&house);
    came(&house, "ORDERS");
    house.stop();
}

/// Group and topic policies are deployed, bound and exchanged like any other, and found again after a restart.
#[test]
fn policies_of_groups_and_topics_are_changed_on_a_running_broker() {
    let stock = |point, name: &str| {
        let stock = plugin_wasmtime::stock_of(point).iter().find(|stock| stock.name == name).expect("a stock policy");
        stock.bytes.to_vec()
    };
    let home = tempfile::tempdir().expect("a folder");
    let house = House::start(home.path());
    house.deploy("owners", stock(plugin::Point::GroupAssignment, "hash-bucket"));
    house.deploy("ranks", stock(plugin::Point::TopicDispatch, "priority"));
    let error = house.control.bind(Point::TopicDispatch, "PRICES.>", "owners").expect_err("another point").to_string();
    assert!(error.contains("decides nothing for topic-dispatch"), "{error}");
    house.control.bind(Point::GroupAssignment, "ORDERS", "owners").expect("bound");
    house.control.bind(Point::TopicDispatch, "PRICES.>", "ranks").expect("bound");
    house.stop();

    let house = House::start(home.path());
    let mut consumer = Stomp::connect(house.stomp);
    consumer.subscribe("ORDERS");
    let mut low = Stomp::connect(house.stomp);
    low.send("SUBSCRIBE\ndestination:/topic/PRICES.ACME\nid:2\nactivemq.priority:1\nreceipt:s\n\n");
    assert!(low.frame().starts_with("RECEIPT"));
    let mut client = Stomp::connect(house.stomp);
    let mut sent = 0;
    // Until a group policy is compiled the native default decides.
    until("decisions of both", || {
        sent += 1;
        client.send(&format!("SEND\ndestination:/queue/ORDERS\nJMSXGroupID:g{sent}\nreceipt:r\n\nx"));
        assert!(client.frame().starts_with("RECEIPT"));
        client.send("SEND\ndestination:/topic/PRICES.ACME\nreceipt:r\n\nx");
        assert!(client.frame().starts_with("RECEIPT"));
        assert!(consumer.frame().starts_with("MESSAGE") && low.frame().starts_with("MESSAGE"));
        house.decided("owners", plugin::Point::GroupAssignment) > 0
            && house.decided("ranks", plugin::Point::TopicDispatch) == sent
    });
    assert_eq!(
        house.control.deploy(wish("owners", stock(plugin::Point::GroupAssignment, "consistent-hash"))),
        turned(2)
    );
    house.control.unbind(Point::TopicDispatch, "PRICES.>").expect("unbound");
    house.control.remove("ranks").expect("removed");
    house.stop();
}

/// Gives a row while its store is empty and puts something into it; then it traps.
fn once() -> Vec<u8> {
    let imports = r#"
        (import "jackfield:policy/state-store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
        (import "jackfield:policy/state-store@0.1.0" "get" (func $get (param i32 i32 i32)))"#;
    let plan = r#"
        (call $get (i32.const 1024) (i32.const 5) (i32.const 600))
        (if (i32.load8_u (i32.const 600)) (then (unreachable)))
        (call $put (i32.const 1024) (i32.const 5) (i32.const 1024) (i32.const 5) (i32.const 640))
        (i32.store (i32.const 256) (i32.load (i32.load (i32.add (local.get $question) (i32.const 32)))))
        (call $answer (i32.const 1))"#;
    guest::Guest { imports, plan, ..guest::Guest::default() }.component()
}

/// What a policy puts into its store is in the journal a moment later, and there for the next run; it goes with the policy.
#[test]
fn a_store_is_found_again_after_a_restart() {
    let home = tempfile::tempdir().expect("a folder");
    let mut house = House::start(home.path());
    for expected in ["policy", "Trap", "policy"] {
        if house.control.list().is_empty() {
            assert_eq!(house.deploy("once", once()), 1);
            house.control.bind(POINT, "ORDERS", "once").expect("bound");
        }
        let mut client = Stomp::connect(house.stomp);
        client.subscribe("ORDERS");
        assert!(house.control.explain("ORDERS").expect("a queue").begun_now);
        // Until a policy is compiled the native one decides.
        let mut decided = String::new();
        until("a decision of the component", || {
            client.publish("ORDERS", "x");
            assert!(client.frame().starts_with("MESSAGE"));
            let explained = house.control.explain("ORDERS").expect("a queue");
            decided = explained.decisions.last().map(|last| last.decided.clone()).unwrap_or_default();
            ["policy", "Trap"].contains(&&*decided)
        });
        assert_eq!(decided, expected);
        until("the journal has it", || house.control.look().stores().count() == 1);
        if expected == "Trap" {
            house.control.unbind(POINT, "ORDERS").expect("unbound");
            house.control.remove("once").expect("removed");
            assert_eq!(house.control.look().stores().count(), 0);
        }
        house.stop();
        house = House::start(home.path());
    }
    house.stop();
}

/// Each bad input is refused with its reason, and nothing of it is kept.
#[test]
fn bad_components_are_refused_by_name() {
    let home = tempfile::tempdir().expect("a folder");
    let house = House::start(home.path());
    house.deploy("mine", component("round-robin"));
    let wasi = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#;
    let configured = Wish { settings: vec![("colour".into(), "red".into())], ..wish("x", component("round-robin")) };
    let table = [
        (wish("x", b"no component".to_vec()), "not a WebAssembly component"),
        (wish("x", wat::parse_str("(module)").expect("a module")), "core module"),
        (wish("x", wat::parse_str("(component)").expect("a component")), "implements no world"),
        (wish("x", wat::parse_str(wasi).expect("a component")), "wasi:clocks/monotonic-clock"),
        (wish("x", vec![0; 100 << 20]), "component_bytes_max"),
        (wish("round-robin", component("round-robin")), "the program itself"),
        (configured, "colour"),
    ];
    for (wish, word) in table {
        let error = house.control.deploy(wish).expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    let error = house.control.configure("mine", vec![("colour".into(), "red".into())]).expect_err("refused");
    assert!(error.to_string().contains("colour"), "{error}");
    assert_eq!(house.control.list().len(), 1);
    assert_eq!(house.running("mine"), Some(1));
    house.stop();

    // The same name in the configuration file: nobody can say which one is meant.
    let file = home.path().join("mine.wasm");
    std::fs::write(&file, component("round-robin")).expect("a file");
    let twice = Component { name: "mine".into(), file, settings: vec![] };
    let error = House::try_start(home.path(), &[twice]).err().expect("it does not start");
    assert!(error.contains("policy mine is deployed and comes from [[policy.component]]"), "{error}");
    House::start(home.path()).stop();
}

/// An operation that the child does again and again until it is killed.
fn operate(step: u64, registry: &Registry) -> Operation {
    let known = registry.plug_in("p").ok();
    let number = |n: u64| known.and_then(|p| p.generations.get(n as usize % p.generations.len())).map(|g| g.number);
    // Bindings and ways back need no compiler: most of their time is the journal's.
    match step % 12 {
        0 => Operation::Deploy { shadow: false, rust: step.is_multiple_of(24) },
        3 => Operation::Deploy { shadow: true, rust: step % 24 == 3 },
        6 => Operation::Promote(None),
        9 => Operation::Rollback(number(step / 12)),
        at if at % 3 == 1 => Operation::Rollback(None),
        _ => Operation::Bind(format!("Q.{}.{}", step % 5, step / 12)),
    }
}

#[derive(Debug)]
enum Operation {
    Deploy { shadow: bool, rust: bool },
    Promote(Option<u64>),
    Rollback(Option<u64>),
    Bind(String),
}

impl Operation {
    fn wish(shadow: bool, rust: bool) -> Wish {
        let bytes = if rust { component("round-robin") } else { turns() };
        Wish { shadow, start_empty: true, ..wish("p", bytes) }
    }

    /// On the real broker. A refusal changes nothing, and is none of this test's business.
    fn really(&self, control: &Control) {
        let _ = match self {
            Operation::Deploy { shadow, rust } => control.deploy(Operation::wish(*shadow, *rust)),
            Operation::Promote(number) => control.promote("p", *number, true),
            Operation::Rollback(number) => control.rollback("p", *number),
            Operation::Bind(pattern) => control.bind(POINT, pattern, "p").map(|()| Turned::default()),
        };
    }

    /// What it comes to.
    fn on_paper(&self, registry: &mut Registry) {
        let _ = match self {
            Operation::Deploy { shadow, rust } => {
                let wish = Operation::wish(*shadow, *rust);
                let deploy = Deploy {
                    name: wish.name,
                    bytes: wish.bytes,
                    world: "queue-policy".into(),
                    settings: vec![],
                    grants: vec![],
                    state_format: 1,
                    restores: vec![1],
                    shadow: *shadow,
                    start_empty: true,
                };
                registry.deploy(deploy, 0)
            }
            Operation::Promote(number) => registry.promote("p", *number, true, 0),
            Operation::Rollback(number) => registry.rollback("p", *number, 0),
            Operation::Bind(pattern) => registry.bind(POINT, pattern, "p"),
        };
    }
}

/// All of a registry but the times.
fn summary(registry: &Registry) -> String {
    let mut text = String::new();
    for (name, plug_in) in registry.plug_ins() {
        let generations: Vec<_> = plug_in.generations.iter().map(|g| (g.number, g.digest.short())).collect();
        let history: Vec<_> = plug_in.history.iter().map(|line| (line.what, line.generation)).collect();
        let named = (plug_in.active, plug_in.previous, plug_in.shadow, plug_in.next);
        text += &format!("{name} {named:?} {generations:?} {history:?} ");
    }
    let bindings: Vec<_> = registry.bindings().collect();
    text + &format!("{bindings:?}")
}

const KILLS: u64 = 60;

const CHILD: &str = "JACKFIELD_TEST_POLICY_CHILD";

/// Not a test by itself: the process that the next one kills.
#[test]
fn child_that_changes_policies() {
    let Ok(home) = std::env::var(CHILD) else { return };
    let house = House::start(Path::new(&home));
    let mut out = std::io::stdout();
    for step in 0.. {
        let registry = house.control.look();
        let operation = operate(step, &registry);
        let mut after = registry.clone();
        operation.on_paper(&mut after);
        // A line that was cut short by the kill is of an operation that was not begun.
        let line = format!("\nSTEP {}\tTO {}\tEND\n", summary(&registry), summary(&after));
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("told");
        operation.really(&house.control);
    }
}

fn is_step(line: &str) -> bool {
    line.starts_with("STEP ") && line.ends_with("\tEND")
}

/// Killed at any moment of deploy, promote, rollback and bind: what is found is what was before or what came after.
#[test]
fn a_kill_finds_the_policies_as_before_or_as_after() {
    let home = tempfile::tempdir().expect("a folder");
    let (mut before, mut after) = (0, 0);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["policies::running::child_that_changes_policies", "--exact", "--nocapture"])
            .env(CHILD, home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        // A moment after the beginning of one operation or another: most of them take less than a millisecond.
        let wanted = 1 + (kill * 7 % 40) as usize;
        let mut steps: Vec<String> = lines.by_ref().filter(|line| is_step(line)).take(wanted).collect();
        assert_eq!(steps.len(), wanted, "the child does not come so far");
        std::thread::sleep(Duration::from_micros(kill * 137 % 1_500));
        child.kill().expect("killed");
        steps.extend(lines.filter(|line| is_step(line)));
        child.wait().expect("gone");
        let last = steps.last().expect("a step");
        let rest = last.strip_prefix("STEP ").and_then(|rest| rest.strip_suffix("\tEND")).expect("a whole line");
        let (from, to) = rest.split_once("\tTO ").expect("two registries");

        let config = Config { data_directory: home.path().to_owned(), ..Config::default() };
        let journal = RocksJournal::open(&wiring::journal(&config)).expect("it opens");
        let mut facts = Vec::new();
        let each = &mut |record| {
            if let Record::Fact(fact) = record {
                facts.push(fact);
            }
        };
        journal.recover(each).expect("it recovers");
        let (found, troubles) = Registry::load(registry::Limits::default(), taken(&[], &[]), facts);
        assert_eq!(troubles, [], "kill {kill} after {} steps", steps.len());
        let found = summary(&found);
        assert!(found == from || found == to, "kill {kill}\nfound {found}\nbefore {from}\nafter {to}");
        before += u32::from(found == from);
        after += u32::from(found == to && from != to);
    }
    assert!(before > 0 && after > 0, "{before} before and {after} after: the moments show nothing");
    println!("{KILLS} kills: {before} found the policies as before, {after} as after");
}
