//! Policies changed on the running program by `jackfield plugin`, while messages flow, and over kills and restarts.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::guest;
use crate::support::{Broker, PATIENCE, PROGRAM, Stomp, repository, run, text, until};

/// Leaves every message where it is.
const LEAVES_ALL: &str = "
    (local.set $count (i32.load (i32.add (local.get $question) (i32.const 12))))
    (block $done
        (loop $rows
            (br_if $done (i32.ge_u (local.get $row) (local.get $count)))
            (i32.store (i32.add (i32.const 256) (i32.shl (local.get $row) (i32.const 2))) (i32.const -1))
            (local.set $row (i32.add (local.get $row) (i32.const 1)))
            (br $rows)))
    (call $answer (local.get $count))";

/// Runs `jackfield plugin …` in the broker's folder.
pub(crate) fn plugin(home: &Path, args: &[&str]) -> String {
    let output = run(home, &[&["plugin"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The same where it is to be refused; gives what it says.
pub(crate) fn refused(home: &Path, args: &[&str]) -> String {
    let output = run(home, &[&["plugin"], args].concat());
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

pub(crate) fn json(home: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&plugin(home, &[args, &["--json"]].concat())).expect("JSON")
}

/// A stock component's file, to be deployed as anybody's.
pub(crate) fn stock(name: &str) -> String {
    repository(&format!("plugins/built/{name}.wasm")).to_str().expect("a path in letters").to_owned()
}

/// Writes a component made of text.
fn component(home: &Path, name: &str, plan: &str) {
    std::fs::write(home.join(name), guest::component(plan)).expect("a file");
}

/// The generation of the plug-in `mine` that decides.
fn active(home: &Path) -> Value {
    json(home, &["list"])["plugins"][0]["active"].clone()
}

/// Messages that flow while something else is done.
struct Traffic {
    stop: Arc<AtomicBool>,
    producer: JoinHandle<usize>,
    heard: Receiver<(usize, usize)>,
}

impl Traffic {
    /// Numbered persistent messages on a queue, one after the other, for three consumers.
    fn start(broker: &Broker, queue: &'static str) -> Traffic {
        let (tell, heard) = channel();
        for consumer in 0..3 {
            let (mut client, tell) = (broker.client(), tell.clone());
            client.subscribe(queue, "auto");
            std::thread::spawn(move || {
                while let Some(frame) = client.try_frame() {
                    // Nobody listens any more when the test is over.
                    let _ = tell.send((consumer, frame.body.parse().expect("a number")));
                }
            });
        }
        let (mut client, stop) = (broker.client(), Arc::new(AtomicBool::new(false)));
        let told = stop.clone();
        let producer = std::thread::spawn(move || {
            let mut count = 0;
            while !told.load(Ordering::Relaxed) {
                client.publish(queue, &count.to_string());
                count += 1;
            }
            count
        });
        Traffic { stop, producer, heard }
    }

    /// Each message came once, and to each consumer in order. Gives how many each of them got.
    fn end(self) -> [usize; 3] {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.producer.join().expect("all were confirmed");
        let mut came = vec![false; sent];
        let (mut counts, mut last) = ([0; 3], [None; 3]);
        for _ in 0..sent {
            let (consumer, number) = self.heard.recv_timeout(PATIENCE).expect("every message comes");
            assert!(!std::mem::replace(&mut came[number], true), "{number} came twice");
            assert!(last[consumer] < Some(number), "{number} came late");
            last[consumer] = Some(number);
            counts[consumer] += 1;
        }
        assert!(self.heard.try_recv().is_err(), "more came than was sent");
        counts
    }
}

/// Deployed, promoted, rolled back, configured while messages flow; found again after a stop and after a kill.
#[test]
fn generations_change_under_traffic_and_outlive_restarts() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    let traffic = Traffic::start(&broker, "ORDERS");
    assert_eq!(plugin(&home, &["deploy", "mine", &stock("round-robin")]), "generation 1 of mine decides\n");
    plugin(&home, &["bind", "mine", "ORDERS"]);
    let decides = |generation: u64| {
        until("the generation to decide", || {
            let explained = json(&home, &["explain", "ORDERS"]);
            let last = explained["decisions"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
            last["policy"] == "mine" && last["generation"] == generation && last["decided"] == "policy"
        });
    };
    decides(1);
    plugin(&home, &["deploy", "mine", &stock("weighted"), "--set", "weights=*=2", "--start-empty"]);
    decides(2);
    // Where there is a state by now, it is told that it is not taken.
    let told = plugin(&home, &["rollback", "mine"]);
    assert!(told.starts_with("generation 1 of mine decides again"), "{told}");
    decides(1);
    let told = plugin(&home, &["promote", "mine", "--generation", "2", "--start-empty"]);
    assert!(told.starts_with("generation 2 of mine decides"), "{told}");
    decides(2);
    assert_eq!(plugin(&home, &["configure", "mine", "--set", "weights=*=3"]), "generation 3 of mine decides\n");
    decides(3);
    let counts = traffic.end();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");

    let listed = plugin(&home, &["list"]);
    for part in ["mine", "queue-policy", "ORDERS"] {
        assert!(listed.contains(part), "{listed}");
    }
    let before = json(&home, &["list"]);
    let settings = &before["plugins"][0]["generations"][2]["settings"];
    assert_eq!(settings, &serde_json::json!([["weights", "*=3"]]));
    let told = plugin(&home, &["history", "mine"]);
    let what: Vec<&str> =
        told.lines().skip(1).filter_map(|line| line.split_once("Z ")).map(|(_, what)| what.trim()).collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let what: Vec<String> = what.into_iter().map(words).collect();
    assert_eq!(what, ["deployed 1", "deployed 2", "rolled back 1", "promoted 2", "configured 3"]);

    let (status, home) = broker.stop();
    assert!(status.success());
    let broker = Broker::start_in(home, "");
    let after = json(broker.home.path(), &["list"]);
    assert_eq!(
        (&after["plugins"][0]["active"], &after["bindings"]),
        (&before["plugins"][0]["active"], &before["bindings"])
    );
    let broker = Broker::start_in(broker.kill(), "");
    let home = broker.home.path().to_owned();
    assert_eq!(json(&home, &["list"])["plugins"][0]["generations"], before["plugins"][0]["generations"]);
    let traffic = Traffic::start(&broker, "ORDERS");
    until("the generation to decide", || {
        let explained = json(&home, &["explain", "ORDERS"]);
        let decisions = explained["decisions"].as_array().cloned().unwrap_or_default();
        decisions.iter().any(|one| one["generation"] == 3 && one["decided"] == "policy")
    });
    traffic.end();
}

/// What one policy remembers is not read by another one, however much it looks like what that one writes: three consumers
/// of `round-robin` are as long as one of `weighted`, which would never serve the two others again.
#[test]
fn the_state_of_another_policy_is_not_read() {
    let broker = Broker::start();
    let home = broker.home.path();
    plugin(home, &["deploy", "mine", &stock("round-robin")]);
    let told = refused(home, &["deploy", "mine", &stock("weighted")]);
    assert!(told.contains("generation 2 of mine does not restore format "), "{told}");
    assert!(told.contains("deploy with --start-empty to go on without the state"), "{told}");
    assert_eq!(active(home), 1);
    assert_eq!(
        plugin(home, &["deploy", "mine", &stock("weighted"), "--start-empty"]),
        "generation 2 of mine decides\n"
    );
}

/// A candidate that would starve everybody is seen to do so, and has no effect.
#[test]
fn a_shadow_shows_what_a_bad_candidate_would_do() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    component(&home, "starves.wasm", LEAVES_ALL);
    plugin(&home, &["deploy", "mine", &stock("round-robin")]);
    plugin(&home, &["bind", "mine", "Q"]);
    assert!(refused(&home, &["promote", "mine"]).contains("has no shadow; deploy one with --shadow"));
    assert_eq!(plugin(&home, &["deploy", "mine", "starves.wasm", "--shadow"]), "generation 2 of mine looks on\n");
    let traffic = Traffic::start(&broker, "Q");
    let found = |home: &Path| json(home, &["shadow", "mine"])[0].clone();
    until("a comparison", || found(&home)["rows"].as_u64() > Some(20));
    traffic.end();
    let found = found(&home);
    assert_eq!((&found["destination"], &found["generation"]), (&"Q".into(), &2.into()));
    assert_eq!((&found["rows_agreed"], &found["agreement_percent"]), (&0.into(), &0.0.into()));
    assert_eq!(found["rows_left"], serde_json::json!([0, found["rows"]]));
    assert!(found["consumers"].as_array().is_some_and(|consumers| consumers.len() == 3), "{found}");
    let told = plugin(&home, &["shadow", "mine"]);
    assert!(told.contains("0.0 %") && told.contains("left lying"), "{told}");
    assert_eq!(active(&home), 1);
    assert_eq!(plugin(&home, &["end-shadow", "mine"]), "generation 2 of mine looks on no more\n");
    assert!(refused(&home, &["end-shadow", "mine"]).contains("has no shadow"));
}

/// What a candidate writes into the policy's store is its own: the next generation does not find it.
#[test]
fn what_a_shadow_keeps_is_its_own() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    let imports = r#"
        (import "jackfield:policy/state-store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
        (import "jackfield:policy/state-store@0.1.0" "get" (func $get (param i32 i32 i32)))"#;
    let yes = "(i32.const 64)";
    let put = "(call $put (i32.const 1024) (i32.const 5) (i32.const 1024) (i32.const 5) (i32.const 4096))";
    let writes = guest::component_with(imports, yes, &format!("{put} {LEAVES_ALL}"));
    // It cannot be where something is.
    let finds = "(call $get (i32.const 1024) (i32.const 5) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (unreachable))) (i32.const 64)";
    let finds = guest::component_with(imports, finds, LEAVES_ALL);
    for (name, bytes) in [("writes.wasm", writes), ("finds.wasm", finds)] {
        std::fs::write(home.join(name), bytes).expect("a file");
    }
    plugin(&home, &["deploy", "mine", &stock("round-robin")]);
    plugin(&home, &["bind", "mine", "Q"]);
    let traffic = Traffic::start(&broker, "Q");
    plugin(&home, &["deploy", "mine", "writes.wasm", "--shadow"]);
    until("a comparison", || json(&home, &["shadow", "mine"])[0]["rows"].as_u64() > Some(5));
    assert_eq!(plugin(&home, &["deploy", "mine", "finds.wasm"]), "generation 3 of mine decides\n");
    plugin(&home, &["rollback", "mine"]);
    // Where it decides, the next one finds it.
    plugin(&home, &["promote", "mine"]);
    let written = || {
        let explained = json(&home, &["explain", "Q"]);
        explained["decisions"].as_array().is_some_and(|all| all.iter().any(|one| one["generation"] == 2))
    };
    until("it to decide", written);
    let said = plugin(&home, &["deploy", "mine", "finds.wasm"]);
    assert!(said.contains("on Q the one before goes on: no instance can be made"), "{said}");
    assert!(!said.contains("--start-empty"), "{said}");
    plugin(&home, &["rollback", "mine", "--generation", "1"]);
    traffic.end();
}

/// Says that it reads states of this format, takes none, and leaves every message where it is.
fn denies(format: u32) -> Vec<u8> {
    let describe = format!(
        "(i32.store (i32.const 532) (i32.const {format})) (i32.store (i32.const 536) (i32.const 544))
         (i32.store (i32.const 540) (i32.const 1)) (i32.store (i32.const 544) (i32.const {format})) (i32.const 512)"
    );
    let restore = "(i32.store8 (i32.const 160) (i32.const 1)) (i32.const 160)";
    guest::Guest { describe: &describe, restore, plan: LEAVES_ALL, ..guest::Guest::default() }.component()
}

/// Whether a destination takes a generation with the state of the one before, without it, or not at all is in the answer.
#[test]
fn a_state_that_is_not_taken_is_in_the_answer() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    plugin(&home, &["deploy", "mine", &stock("round-robin")]);
    plugin(&home, &["bind", "mine", "Q"]);
    let traffic = Traffic::start(&broker, "Q");
    let last = || {
        let explained = json(&home, &["explain", "Q"]);
        explained["decisions"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default()
    };
    until("its decisions", || last()["decided"] == "policy");
    std::fs::write(home.join("denies.wasm"), denies(plugin::state_format("round-robin", 1))).expect("a file");
    plugin(&home, &["deploy", "mine", "denies.wasm", "--shadow"]);
    let said = plugin(&home, &["promote", "mine"]);
    for part in
        ["generation 2 of mine decides, but\non Q the one before goes on: it refuses the state", "--start-empty"]
    {
        assert!(said.contains(part), "{said}");
    }
    until("its decisions", || last()["policy"] == "mine");
    assert_eq!(last()["generation"], 1);
    assert_eq!(plugin(&home, &["rollback", "mine"]), "generation 1 of mine decides again\n");
    let said = plugin(&home, &["promote", "mine", "--generation", "2", "--start-empty"]);
    let expected = "decides, but\non Q it goes on without the state of the one before: it refuses the state";
    assert!(said.contains(expected), "{said}");
    until("its decisions", || last()["generation"] == 2);
    plugin(&home, &["rollback", "mine"]);
    traffic.end();
}

/// A generation that fails goes back by itself, and the figures say so.
#[test]
fn a_generation_that_fails_is_taken_back() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    component(&home, "traps.wasm", "(unreachable)");
    plugin(&home, &["deploy", "mine", &stock("round-robin")]);
    plugin(&home, &["bind", "mine", "Q.>"]);
    let traffic = Traffic::start(&broker, "Q.1");
    let policies = || {
        let listed = json(&home, &["list"]);
        let policies = listed["policies"].as_array().cloned().unwrap_or_default();
        policies.into_iter().find(|policy| policy["name"] == "mine").unwrap_or_default()
    };
    until("calls that are measured", || policies()["times"]["calls"].as_u64() > Some(0));
    plugin(&home, &["deploy", "mine", "traps.wasm", "--start-empty"]);
    until("the way back", || active(&home) == 1);
    traffic.end();
    let history = plugin(&home, &["history", "mine"]);
    assert!(history.contains("taken back") && history.contains("on Q.1: it trapped, fault 1"), "{history}");
    let figures = policies();
    assert_eq!((&figures["batches"]["trap"], &figures["swaps_undone"]), (&1.into(), &1.into()), "{figures}");
    assert!(figures["memory_bytes"].as_u64() >= Some(64 << 10) && figures["memory_bytes_most"].as_u64() > Some(0));
    assert!(refused(&home, &["remove", "mine"]).contains("is bound to Q.> for queue-dispatch; unbind it first"));
    plugin(&home, &["unbind", "Q.>"]);
    plugin(&home, &["remove", "mine"]);
    assert!(plugin(&home, &["list"]).contains("no plug-ins are deployed"));
}

/// Each bad input gets its reason; nothing of it is kept, and nothing is allocated for what is too large.
#[test]
fn bad_input_is_refused_by_name() {
    let broker = Broker::start_with("[plugins]\nplugins = 2\ncomponent_limit = \"2mb\"\n");
    let home = broker.home.path().to_owned();
    plugin(&home, &["deploy", "mine", &stock("round-robin")]);
    let write = |name: &str, bytes: &[u8]| std::fs::write(home.join(name), bytes).expect("a file");
    write("text.wasm", b"no component");
    write("empty.wasm", b"");
    write("module.wasm", &wat::parse_str("(module)").expect("a module"));
    write("none.wasm", &wat::parse_str("(component)").expect("a component"));
    let wasi = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#;
    write("wasi.wasm", &wat::parse_str(wasi).expect("a component"));
    std::fs::File::create(home.join("large.wasm")).and_then(|file| file.set_len(100 << 20)).expect("a file");
    let before = broker.resident();
    let long = format!("k={}", "x".repeat(100_000));
    let table: &[(&[&str], &str)] = &[
        (&["deploy", "x", "missing.wasm"], "cannot read missing.wasm"),
        (&["deploy", "x", "text.wasm"], "not a WebAssembly component"),
        (&["deploy", "x", "empty.wasm"], "not a WebAssembly component"),
        (&["deploy", "x", "module.wasm"], "core module"),
        (&["deploy", "x", "none.wasm"], "implements no world"),
        (&["deploy", "x", "wasi.wasm"], "wasi:clocks/monotonic-clock"),
        (&["deploy", "x", "large.wasm"], "plugins.component_limit of 2097152 bytes; make it smaller"),
        (&["deploy", "a b", &stock("round-robin")], "is no name of a plug-in"),
        (&["deploy", "round-robin", &stock("round-robin")], "comes from the program itself"),
        (&["deploy", "x", &stock("round-robin"), "--set", "colour=red"], "colour"),
        (&["deploy", "x", &stock("round-robin"), "--set", &long], "admin.header_limit"),
        (&["configure", "mine", "--set", "colour=red"], "colour"),
        (&["promote", "mine", "--generation", "9"], "has no generation 9; kept are: 1"),
        (&["promote", "mine", "--generation", "1"], "is the active one already"),
        (&["rollback", "mine"], "has no previous generation"),
        (&["rollback", "x"], "plug-in x does not exist; deployed are: mine"),
        (&["history", "x"], "plug-in x does not exist"),
        (&["shadow", "x"], "plug-in x does not exist"),
        (&["remove", "x"], "plug-in x does not exist"),
        (&["bind", "x", "Q"], "plug-in x does not exist"),
        (&["bind", "mine", "queue://Q"], "is no pattern"),
        (&["bind", "mine", "A,B"], "is no pattern"),
        (&["unbind", "Q"], "nothing is bound to Q"),
        (&["explain", "NOBODY.WAS.HERE"], "does not exist"),
    ];
    for (args, part) in table {
        let said = refused(&home, args);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    assert!(broker.resident() < before + 32 * 1024 * 1024, "{before} grew to {}", broker.resident());
    plugin(&home, &["deploy", "second", &stock("round-robin")]);
    assert!(refused(&home, &["deploy", "third", &stock("round-robin")]).contains("plugins.plugins of 2; remove one"));
    let listed = json(&home, &["list"]);
    assert_eq!(listed["plugins"].as_array().map(Vec::len), Some(2));
    assert_eq!((&listed["plugins"][0]["active"], &listed["bindings"]), (&1.into(), &serde_json::json!([])));
    let lost = run(&home, &["plugin", "list", "--data", "elsewhere"]);
    assert!(text(&lost.stderr).contains("no broker answers at elsewhere/admin.sock"), "{}", text(&lost.stderr));
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

/// What a policy says can be read, also what it said while it was tried out.
#[test]
fn what_a_policy_says_can_be_read() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    let import = r#"(import "jackfield:policy/telemetry@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
    // "pong", as a warning.
    let configure = "(i32.store (i32.const 256) (i32.const 0x676e6f70))
        (call $log (i32.const 2) (i32.const 256) (i32.const 4)) (i32.const 64)";
    std::fs::write(home.join("speaks.wasm"), guest::component_with(import, configure, LEAVES_ALL)).expect("a file");
    plugin(&home, &["deploy", "mine", "speaks.wasm"]);
    let said = json(&home, &["logs", "mine"]);
    assert_eq!(
        (&said[0]["level"], &said[0]["text"], &said[0]["destination"]),
        (&"warn".into(), &"pong".into(), &"".into())
    );
    assert!(plugin(&home, &["logs", "mine"]).contains("pong"));
    assert!(plugin(&home, &["logs", "round-robin"]).contains("it has said nothing"));
    assert!(refused(&home, &["logs", "x"]).contains("plug-in x does not exist"));
}

/// Whoever listens to its topic hears it as it is said; others who listen hear others. No policy decides who gets that.
#[test]
fn what_a_policy_says_comes_to_those_who_listen() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    let import = r#"(import "jackfield:policy/telemetry@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
    // "ping" and "pong", as an information and as a warning.
    let speaks = |letters: u32, level: u32| {
        let configure = format!(
            "(i32.store (i32.const 256) (i32.const {letters}))
            (call $log (i32.const {level}) (i32.const 256) (i32.const 4)) (i32.const 64)"
        );
        guest::component_with(import, &configure, LEAVES_ALL)
    };
    std::fs::write(home.join("ping.wasm"), speaks(0x676e6970, 1)).expect("a file");
    std::fs::write(home.join("pong.wasm"), speaks(0x676e6f70, 2)).expect("a file");
    plugin(&home, &["deploy", "ranks", &stock("topic-priority")]);
    plugin(&home, &["bind", "ranks", ">", "--point", "topic-dispatch"]);
    let listener = |topic: &str| {
        let mut client = broker.client();
        client.confirm(&format!("SUBSCRIBE\nid:1\ndestination:/topic/Jackfield.Plugin.Log.{topic}\nack:auto\n"), "");
        client
    };
    let (mut one, mut all) = (listener("mine"), listener(">"));
    plugin(&home, &["deploy", "other", "ping.wasm"]);
    plugin(&home, &["deploy", "mine", "pong.wasm"]);
    let heard = |client: &mut Stomp| {
        let frame = client.frame();
        let header = |name: &str| frame.header(name).to_owned();
        assert_eq!(header("destination"), format!("/topic/Jackfield.Plugin.Log.{}", header("policy")));
        (header("policy"), header("level"), header("policyDestination"), frame.body.clone())
    };
    let line = |policy: &str, level: &str, on: &str, text: &str| (policy.into(), level.into(), on.into(), text.into());
    assert_eq!(heard(&mut one), line("mine", "warn", "", "pong"));
    assert_eq!(heard(&mut all), line("other", "info", "", "ping"));
    assert_eq!(heard(&mut all), line("mine", "warn", "", "pong"));
    plugin(&home, &["bind", "mine", "Q"]);
    let mut client = broker.client();
    client.subscribe("Q", "auto");
    client.publish("Q", "x");
    assert_eq!(heard(&mut one), line("mine", "warn", "Q", "pong"));
    assert!(refused(&home, &["explain", "topic://Jackfield.Plugin.Log.mine"]).contains("has no policy"));
}

/// One of most of a megabyte, as guests of other languages are.
#[test]
fn a_large_component_is_taken_in() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    let mut bytes = std::fs::read(stock("round-robin")).expect("a file");
    // A custom section: its name, and filling. Lengths are written seven bits at a time.
    let filling = vec![b'x'; 900_000];
    let length = filling.len() + 2;
    bytes.extend([0, (length & 0x7f | 0x80) as u8, (length >> 7 & 0x7f | 0x80) as u8, (length >> 14) as u8, 1, b'f']);
    bytes.extend(filling);
    std::fs::write(home.join("large.wasm"), &bytes).expect("a file");
    plugin(&home, &["deploy", "mine", "large.wasm"]);
    assert_eq!(json(&home, &["list"])["plugins"][0]["generations"][0]["bytes"], bytes.len());
    let broker = Broker::start_in(broker.kill(), "");
    assert_eq!(active(broker.home.path()), 1);
}

/// What there is of the plug-in `p`, but for times, digests and states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Summary {
    active: Option<u64>,
    previous: Option<u64>,
    shadow: Option<u64>,
    generations: Vec<u64>,
    history: Vec<(String, u64)>,
}

impl Summary {
    fn of(home: &Path) -> Summary {
        let listed = json(home, &["list"]);
        let Some(found) = listed["plugins"].as_array().and_then(|all| all.first()) else { return Summary::default() };
        let numbers = found["generations"].as_array().expect("a list").iter();
        let history = json(home, &["history", "p"]);
        let line = |line: &Value| {
            (line["what"].as_str().unwrap_or_default().to_owned(), line["generation"].as_u64().unwrap_or_default())
        };
        Summary {
            active: found["active"].as_u64(),
            previous: found["previous"].as_u64(),
            shadow: found["shadow"].as_u64(),
            generations: numbers.filter_map(|generation| generation["number"].as_u64()).collect(),
            history: history.as_array().expect("a list").iter().map(line).collect(),
        }
    }

    /// What an operation comes to.
    fn after(&self, operation: &[&str]) -> Summary {
        let mut after = self.clone();
        let next = self.generations.last().map_or(1, |last| last + 1);
        let (what, number) = match operation {
            ["deploy", _, _, "--shadow"] => {
                after.generations.push(next);
                after.shadow = Some(next);
                ("shadowed", next)
            }
            ["deploy", ..] => {
                after.generations.push(next);
                after.previous = after.active.replace(next);
                ("deployed", next)
            }
            ["promote", ..] => {
                let number = after.shadow.take().expect("there is one");
                after.previous = after.active.replace(number);
                ("promoted", number)
            }
            ["rollback", ..] => {
                let number = after.previous.take().expect("there is one");
                after.active = Some(number);
                ("rolled-back", number)
            }
            _ => unreachable!("no other operation is tried"),
        };
        after.history.push((what.to_owned(), number));
        after
    }
}

const KILLS: u64 = 32;

/// Killed at any moment of deploy, promote and rollback: what is found is what was before or what came after, and what was
/// confirmed is there.
#[test]
fn a_kill_leaves_policies_as_before_or_as_after() {
    const CONFIG: &str = "[plugins]\ngenerations = 1000\n";
    let mut broker = Broker::start_with(CONFIG);
    let file = stock("round-robin");
    let operations: [&[&str]; 4] =
        [&["deploy", "p", &file], &["deploy", "p", &file, "--shadow"], &["promote", "p"], &["rollback", "p"]];
    let (mut lost, mut kept) = (0, 0);
    for kill in 0..KILLS {
        let home = broker.home.path().to_owned();
        let operation = operations[kill as usize % 4];
        // What an operation needs is there, however the ones before it ended.
        if operation[0] == "promote" && Summary::of(&home).shadow.is_none() {
            plugin(&home, operations[1]);
        }
        while operation[0] == "rollback" && Summary::of(&home).previous.is_none() {
            plugin(&home, operations[0]);
        }
        let before = Summary::of(&home);
        let after = before.after(operation);
        let client = Command::new(PROGRAM)
            .arg("plugin")
            .args(operation)
            .current_dir(&home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        // From the start of the client to well after an operation that has to compile.
        std::thread::sleep(Duration::from_micros(kill * 7_919 % 64 * 1_500));
        let folder = broker.kill();
        let confirmed = { client }.wait().expect("gone").success();
        broker = Broker::start_in(folder, CONFIG);
        let found = Summary::of(broker.home.path());
        assert!(
            found == after || (found == before && !confirmed),
            "kill {kill}: {found:?}, confirmed: {confirmed}\nbefore {before:?}\nafter {after:?}"
        );
        lost += u32::from(found == before);
        kept += u32::from(found == after);
    }
    assert!(lost > 0 && kept > 0, "{lost} as before and {kept} as after: the moments show nothing");
    let mut client: Stomp = broker.client();
    client.publish("STILL", "well");
    client.subscribe("STILL", "auto");
    assert_eq!(client.frame().body, "well");
}
