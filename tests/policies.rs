//! Policies that loop, trap or talk nonsense cost their own batches at most.

use crate::support::{Broker, Witness, figure, until};

#[path = "../host/plugin-wasmtime/tests/guest/mod.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod guest;

/// Name, how it plans, and what counts it in the report.
const KINDS: [(&str, &str, &str); 3] = [
    ("loops", "(loop $again (br $again)) (unreachable)", "deadline"),
    ("traps", "(unreachable)", "trap"),
    ("nonsense", "(i32.store (i32.const 256) (i32.const 12345)) (call $answer (i32.const 1))", "corrected"),
];

#[test]
fn a_bad_policy_stops_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let mut config = String::new();
    for (name, plan, _) in KINDS {
        std::fs::write(home.path().join(format!("{name}.wasm")), guest::component(plan)).expect("a file");
        config += &format!("[[policy.component]]\nname = \"{name}\"\nfile = \"{name}.wasm\"\n");
        config += &format!("[[destination]]\nqueue = \"BAD.{name}\"\ndispatch_policy = \"{name}\"\n");
    }
    let broker = Broker::start_in(home, &config);
    let mut witness = Witness::new(&broker);
    let mut clients = Vec::new();
    for (name, _, counter) in KINDS {
        let queue = format!("BAD.{name}");
        let mut client = broker.client();
        client.subscribe(&queue, "auto");
        let mut number = 0;
        until("the policy to be caught", || {
            for _ in 0..10 {
                client.send(&format!("SEND\ndestination:/queue/{queue}\n\n{number}"));
                assert_eq!(client.frame().body, number.to_string(), "{name}");
                number += 1;
            }
            witness.is_well();
            let report = broker.report();
            let line = report.iter().find(|line| line.starts_with("dispatch policy") && line.contains(&queue));
            line.is_some_and(|line| figure(line, counter) > 0)
        });
        clients.push(client);
    }
    // It is told once for each destination, however many batches fail.
    let log = broker.log();
    for (name, ..) in &KINDS[..2] {
        let told = log.lines().filter(|line| line.contains("policy fails") && line.contains(name)).count();
        assert_eq!(told, 1, "{name}: {log}");
    }
}
