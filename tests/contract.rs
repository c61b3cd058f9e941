//! The tools of whoever writes a policy, world by world: a folder to begin with, the contract, the cost.

use std::path::Path;

use crate::auth_guest::{AuthGuest, RIGHTS};
use crate::guest;
use crate::support::{repository, run, text};
use crate::world_guest::{each, wrong};

/// Runs `jackfield plugin …` in a folder: whether it went well, and all that it says.
fn plugin(home: &Path, args: &[&str]) -> (bool, String) {
    let output = run(home, &[&["plugin"], args].concat());
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// All that is built is held to the contract of its world, which is found out.
#[test]
fn what_is_built_keeps_the_contract_of_its_world() {
    let home = tempfile::tempdir().expect("a folder");
    let built = std::fs::read_dir(repository("plugins/built")).expect("it is in the tree");
    let files = built.map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "wasm")).collect();
    assert!(files.len() >= 24, "{files:?}");
    for file in files {
        let (well, said) = plugin(home.path(), &["test", file.to_str().expect("a path in letters")]);
        assert!(well && !said.contains("NO  "), "{said}");
        let checks = said.lines().filter(|line| line.starts_with("ok  ")).count();
        assert!(checks >= 6, "{said}");
    }
}

/// One of each world that answers and is wrong is told so, with the reason.
#[test]
fn what_is_wrong_is_told_for_each_world() {
    let home = tempfile::tempdir().expect("a folder");
    let slots = each("(i32.load offset=12 (local.get $question))", 4, 77, 0);
    let queue = guest::component(&format!("{slots} (call $answer (i32.load offset=12 (local.get $question)))"));
    let allow = each("(local.get 6)", 8, 2, 0) + &each("(local.get 6)", 8, -1, 4) + "(call $answer (local.get 6))";
    let auth = AuthGuest { wants: &[RIGHTS], authorize: &allow, ..AuthGuest::default() }.component();
    let others = [("queue", queue, "unknown_slot: 1"), ("auth", auth, "what is taken away would last as long")];
    for (world, bytes, what) in wrong().into_iter().chain(others) {
        let file = home.path().join(format!("{world}.wasm"));
        std::fs::write(&file, bytes).expect("a file");
        let (well, said) = plugin(home.path(), &["test", &format!("{world}.wasm")]);
        let is_told = said.lines().any(|line| line.starts_with("NO  ") && line.contains(what));
        assert!(!well && is_told && said.contains("checks are not kept"), "{world}: {said}");
    }
}

/// What each world's policies cost, beside the native policy that there is for it.
#[test]
fn costs_are_told_for_each_world() {
    let home = tempfile::tempdir().expect("a folder");
    let stock = |name: &str| repository(&format!("plugins/built/{name}.wasm")).display().to_string();
    for (name, settings, lines) in [
        ("weighted", &["--set", "weights=a=2"][..], &["this one, 64 consumers", "native weighted, 64 consumers"][..]),
        ("topic-priority", &[], &["this one, 8 subscriptions", "native priority, 8 subscriptions"]),
        ("group-hash-bucket", &["--beside", "sticky"], &["this one, 1 consumers", "native sticky, 1 consumers"]),
        ("routing-wiretap", &["--set", "targets=A"], &["this one  ", "native wiretap  "]),
        ("network-rate-limit", &[], &["this one  ", "native rate-limit  "]),
        ("auth-table", &["--set", "tenant=t"], &["this one, rights", "this one, messages", "this one, a login"]),
    ] {
        let (well, said) = plugin(home.path(), &[&["bench", &stock(name)], settings].concat());
        assert!(well && lines.iter().all(|line| said.lines().any(|told| told.starts_with(line))), "{said}");
    }
    let (well, said) = plugin(home.path(), &["bench", &stock("topic-priority"), "--beside", "lottery"]);
    assert!(!well && said.contains("known are priority, priority-network, strict-order"), "{said}");
}

/// There is a folder for each world in Rust, and for queues in each language.
#[test]
fn there_is_a_folder_to_begin_with_for_each_world() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    for world in ["queue", "topic", "group", "routing", "network", "auth"] {
        let name = format!("my-{world}");
        let (well, said) = plugin(home, &["new", &name, "--world", world, "--lang", "rust"]);
        assert!(well, "{said}");
        let read = |file: &str| std::fs::read_to_string(home.join(&name).join(file)).unwrap_or_default();
        assert!(read("policy.toml").contains(&format!("world = \"{world}-policy\"")), "{}", read("policy.toml"));
        assert!(read("policy.toml").contains(&format!("component = \"{name}.wasm\"")), "{}", read("policy.toml"));
        assert!(read("Cargo.toml").contains(&format!("name = \"{name}\"")), "{}", read("Cargo.toml"));
        assert!(read("Cargo.toml").contains("path = \"sdk"), "{}", read("Cargo.toml"));
        assert!(read("sdk/wit/policy.wit").starts_with("/// What a policy"));
        let (well, said) = plugin(home, &["new", "mine", "--world", world, "--lang", "go"]);
        assert_eq!(well, world == "queue", "{said}");
        assert!(well || said.contains("write --lang rust"), "{said}");
        assert!(home.join("mine").exists(), "that of the queue came first");
    }
}

/// Decisions are recorded for queues alone; who asks for others is told so.
#[test]
fn a_golden_recording_is_of_a_queue_policy() {
    let home = tempfile::tempdir().expect("a folder");
    let file = repository("plugins/built/routing-wiretap.wasm").display().to_string();
    let (well, said) = plugin(home.path(), &["golden", &file, "--out", "a.recording"]);
    assert!(!well && said.contains("it is of world routing-policy where queue-policy is recorded"), "{said}");
}
