//! The arrows of host/ARCHITECTURE.md, read from the manifests.

use std::collections::BTreeSet;
use std::process::Command;

/// What each room may use of the others, directly or not.
const MAY_USE: &[(&str, &[&str])] = &[
    ("admin", &["registry", "message", "selector"]),
    ("selector", &[]),
    ("wire", &[]),
    ("plugin", &["selector"]),
    ("message", &["selector"]),
    ("session", &["wire", "message", "selector", "plugin"]),
    ("auth", &["session", "wire", "message", "selector", "plugin"]),
    ("broker", &["message", "selector", "plugin"]),
    ("journal", &["message", "selector"]),
    ("ha", &["journal", "message", "selector"]),
    ("journal-rocksdb", &["journal", "message", "selector"]),
    ("journal-sql", &["ha", "journal", "message", "selector"]),
    ("plugin-wasmtime", &["plugin", "selector"]),
    ("registry", &["message", "selector"]),
    ("server", &["session", "wire", "message", "selector", "broker", "plugin", "journal"]),
    ("sim", &["broker", "ha", "journal", "plugin", "message", "selector"]),
];

/// Crates that only one room may say.
const ONLY_IN: &[(&str, &str)] = &[
    ("rocksdb", "journal-rocksdb"),
    ("sqlx", "journal-sql"),
    ("wasmtime", "plugin-wasmtime"),
    ("argon2", "auth"),
    ("jsonwebtoken", "auth"),
    ("hyper", "admin"),
];

/// Rooms that know no runtime and no sockets.
const PURE: &[&str] = &["message", "selector", "wire", "session", "broker", "plugin", "journal", "registry", "ha"];

fn tree(room: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", room, "-e", "normal,build,dev", "--prefix", "none", "-f", "{p}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn arrows_go_one_way() {
    let rooms: Vec<&str> = MAY_USE.iter().map(|(room, _)| *room).collect();
    for (room, allowed) in MAY_USE {
        let uses = tree(room);
        for other in rooms.iter().filter(|other| *other != room) {
            assert!(!uses.contains(*other) || allowed.contains(other), "{room} must not use {other}");
        }
        for (name, only) in ONLY_IN {
            assert!(!uses.contains(*name) || room == only, "{room} must not build {name}");
        }
        if PURE.contains(room) {
            assert!(!uses.contains("tokio"), "{room} must not know tokio");
            assert!(!uses.contains("rustls"), "{room} must not know TLS");
        }
    }
}

/// No room is missing from the list above.
#[test]
fn every_room_has_its_place() {
    let rooms = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("host/ is there");
    for room in rooms.filter_map(Result::ok).filter(|room| room.path().join("Cargo.toml").exists()) {
        let name = room.file_name().into_string().expect("a name");
        assert!(name == "jackfield" || MAY_USE.iter().any(|(known, _)| *known == name), "{name} has no arrows yet");
    }
}
