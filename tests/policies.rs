//! Policies that loop, trap or talk nonsense cost their own batches at most.

use nix::sys::signal::Signal;

use crate::support::{Broker, until};

#[path = "../host/plugin-wasmtime/tests/guest/mod.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod guest;

const KINDS: [(&str, &str); 3] = [
    ("loops", "(loop $again (br $again)) (unreachable)"),
    ("traps", "(unreachable)"),
    ("nonsense", "(i32.store (i32.const 256) (i32.const 12345)) (call $answer (i32.const 1))"),
];

#[test]
fn a_bad_policy_stops_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let mut config = String::new();
    for (name, plan) in KINDS {
        std::fs::write(home.path().join(format!("{name}.wasm")), guest::component(plan)).expect("a file");
        config += &format!("[[policy.component]]\nname = \"{name}\"\nfile = \"{name}.wasm\"\n");
        config += &format!("[[destination]]\nqueue = \"BAD.{name}\"\ndispatch_policy = \"{name}\"\n");
    }
    let broker = Broker::start_in(home, &config);
    for (name, _) in KINDS {
        let queue = format!("BAD.{name}");
        let mut client = broker.client();
        client.confirm(&format!("SUBSCRIBE\nid:1\ndestination:/queue/{queue}\nack:auto\n"), "");
        for number in 0..50 {
            client.send(&format!("SEND\ndestination:/queue/{queue}\n\n{number}"));
            assert_eq!(client.frame().body, number.to_string(), "{name}");
        }
        client.confirm("UNSUBSCRIBE\nid:1\n", "");
        client.confirm(&format!("SUBSCRIBE\nid:2\ndestination:/queue/{queue}\nack:auto\n"), "");
        client.send(&format!("SEND\ndestination:/queue/{queue}\n\nlast"));
        assert_eq!(client.frame().body, "last");
        std::mem::forget(client);
    }
    broker.signal(Signal::SIGUSR1);
    until("the report", || broker.log().contains("report: dispatch policy"));
    let log = broker.log();
    assert!(log.matches("fails").count() + log.matches("failing").count() >= 1, "one line tells: {log}");
}
