//! Tools of whoever writes a policy, on the real program: recordings of a broker and of random traffic, played again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{Broker, repository, run, text, until};

/// Runs `jackfield plugin …` in a folder: whether it went well, what it says, and what went wrong.
fn plugin(home: &Path, args: &[&str]) -> (bool, String, String) {
    let output = run(home, &[&["plugin"], args].concat());
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn done(home: &Path, args: &[&str]) -> String {
    let (well, said, wrong) = plugin(home, args);
    assert!(well, "{args:?}: {said}{wrong}");
    said
}

fn failed(home: &Path, args: &[&str]) -> String {
    let (well, said, wrong) = plugin(home, args);
    assert!(!well, "{args:?}: {said}");
    said + &wrong
}

fn stock(name: &str) -> String {
    repository(&format!("plugins/built/{name}.wasm")).to_str().expect("a path in letters").to_owned()
}

/// Sends to a queue with two consumers until `work` is done.
fn while_messages_flow(broker: &Broker, queue: &'static str, work: impl FnOnce()) {
    const LAST: &str = "the last one";
    let (is_done, gone) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut client = broker.client();
            client.subscribe(queue, "auto");
            let gone = &gone;
            scope.spawn(move || {
                while client.try_frame().is_some_and(|frame| frame.body != LAST) {}
                gone.fetch_add(1, Ordering::Relaxed);
            });
        }
        let (mut client, is_done, gone) = (broker.client(), &is_done, &gone);
        let producer = scope.spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                client.publish(queue, "x");
            }
            while gone.load(Ordering::Relaxed) < 2 {
                client.publish(queue, LAST);
            }
        });
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_done.store(true, Ordering::Relaxed);
        producer.join().expect("all were confirmed");
        worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// What a broker's policy decides is recorded while messages flow, and put to that component and to others.
#[test]
fn decisions_of_a_broker_are_recorded_and_played_again() {
    let broker = Broker::start_with("[plugins]\nrecording_batches = 40\n");
    let home = broker.home.path();
    done(home, &["deploy", "mine", &stock("round-robin"), "--start-empty"]);
    done(home, &["bind", "mine", "ORDERS"]);
    assert!(failed(home, &["record", "ORDERS", "--out", "no.recording"]).contains("neither a queue with consumers"));
    while_messages_flow(&broker, "ORDERS", || {
        let said = done(home, &["record", "mine", "--batches", "25", "--out", "a.recording"]);
        assert!(said.contains("a.recording: 25 batches") && said.contains("mine on ORDERS in generation 1"), "{said}");
        // The broker's own limit, asked for by name of the queue.
        let told = done(home, &["record", "ORDERS", "--for", "60s", "--out", "b.recording", "--json"]);
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!((&told["batches"], &told["queue"]), (&40.into(), &"ORDERS".into()));
    });
    let mut client = broker.client();
    client.subscribe("QUIET", "auto");
    done(home, &["bind", "mine", "QUIET"]);
    assert!(failed(home, &["record", "QUIET", "--for", "50ms", "--out", "no.recording"]).contains("asked nothing"));
    assert!(!home.join("no.recording").exists());
    assert!(failed(home, &["record", "ORDERS", "--out", "no/where"]).contains("no is no folder"));

    let head = std::fs::read_to_string(home.join("a.recording")).expect("a file");
    let head: Value = serde_json::from_str(head.lines().next().expect("a line")).expect("JSON");
    let digest = done(home, &["inspect", &stock("round-robin")]);
    assert!(digest.contains(head["component"].as_str().expect("a digest")), "{digest}");
    for file in ["a.recording", "b.recording"] {
        let said = done(home, &["replay", file, &stock("round-robin")]);
        assert!(said.contains(" batches decided alike, 0 otherwise"), "{said}");
    }
    let said = failed(home, &["replay", "a.recording", &stock("strict-order")]);
    for part in
        ["the first difference: batch", "recorded: slot ", "replayed: slot ", "used before", "does not decide as"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    let (well, told, _) = plugin(home, &["replay", "a.recording", &stock("strict-order"), "--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((well, &told["equal"], &told["batches_recorded"]), (false, &false.into(), &25.into()));
    assert!(told["found"]["first"]["consumers"].as_array().is_some_and(|all| all.len() == 2), "{told}");
    assert!(failed(home, &["replay", "a.recording", &stock("round-robin"), "--set", "a=b"]).contains("unknown"));
    assert!(failed(home, &["replay", "missing", &stock("round-robin")]).contains("jackfield plugin record"));
}

/// A policy's folder with a recording is held to it; what is decided otherwise is told with the way out.
#[test]
fn a_folder_is_held_to_its_golden_recordings() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let write = |name: &str, text: &str| std::fs::write(home.join(name), text).expect("a file");
    write("policy.toml", "world = \"queue-policy\"\nbuild = \"true\"\nmodule = \"a.wasm\"\ncomponent = \"a.wasm\"\n");
    std::fs::copy(stock("round-robin"), home.join("a.wasm")).expect("a component");
    assert!(!done(home, &["test"]).contains("it decides as"));
    let said = done(home, &["golden", "--batches", "30", "--seed", "5"]);
    assert!(said.contains("golden/a.recording: 30 batches") && said.contains("seed 5"), "{said}");
    let said = done(home, &["test"]);
    assert!(said.contains("ok  it decides as a.recording says: 30 batches"), "{said}");
    assert!(said.contains("by a broker's default limits"), "{said}");
    std::fs::copy(stock("strict-order"), home.join("a.wasm")).expect("a component");
    let said = failed(home, &["test"]);
    assert!(said.contains("NO  it decides as a.recording says: message "), "{said}");
    assert!(said.contains("jackfield plugin replay ./golden/a.recording") && said.contains("1 of 8 checks"), "{said}");
    done(home, &["golden"]);
    done(home, &["test"]);

    // Held to the limits of the broker that it is for.
    write("jackfield.toml", "[plugins]\ncore_modules = 1\n");
    let said = failed(home, &["test"]);
    assert!(
        said.contains("by the limits of ./jackfield.toml") && said.contains("raise plugins.core_modules"),
        "{said}"
    );
    write("other.toml", "[policy]\ndeadline_ms = 50\n");
    assert!(done(home, &["test", "--config", "other.toml"]).contains("within 50 ms each"));
}

/// Each language's folder begins with the golden recording of the examples.
#[test]
fn a_new_folder_has_a_golden_recording() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    for lang in ["rust", "go", "js", "python", "c"] {
        let name = format!("mine-{lang}");
        done(home, &["new", &name, "--lang", lang]);
        let golden =
            std::fs::read_to_string(home.join(&name).join(format!("golden/{name}.recording"))).expect("a file");
        assert!(golden.starts_with("{\"jackfield-recording\":1,"), "{golden:.80}");
        let policy = std::fs::read_to_string(home.join(&name).join("policy.toml")).expect("a file");
        assert!(policy.contains("golden = \"golden\""), "{policy}");
    }
}

/// What is put into the watched folder decides, what is changed there decides next, and what is wrong is told.
#[test]
fn components_of_a_watched_folder_are_deployed_as_they_change() {
    let broker = Broker::start_with("[plugins]\nwatch = \"work\"\nwatch_ms = 20\n");
    let home = broker.home.path();
    let active = || {
        let told: Value = serde_json::from_str(&done(home, &["list", "--json"])).expect("JSON");
        told["plugins"].as_array().and_then(|all| all.first().cloned()).unwrap_or_default()
    };
    until("the folder to be missed", || broker.log().contains("plugins.watch cannot be looked at"));
    std::fs::create_dir(home.join("work")).expect("a folder");
    std::fs::copy(stock("round-robin"), home.join("work/mine.wasm")).expect("a component");
    until("the component to be found", || active()["active"] == 1);
    std::fs::copy(stock("strict-order"), home.join("work/mine.wasm")).expect("a component");
    until("the change to be found", || active()["active"] == 2);
    std::fs::write(home.join("work/mine.wasm"), "no component").expect("a file");
    until("what is wrong to be told", || broker.log().contains("mine.wasm is not deployed"));
    let told = active();
    assert_eq!((&told["active"], &told["name"]), (&2.into(), &"mine".into()));
}
