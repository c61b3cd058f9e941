//! Policies that loop, trap or talk nonsense cost their own batches at most.

use crate::guest;
use crate::support::{Broker, Witness, figure, until};

/// A stock policy under a name and with settings of the operator's decides as a component, and its native twin does the
/// same.
#[test]
fn a_stock_policy_takes_the_settings_of_the_file() {
    let config = "[[policy.stock]]\nname = \"urgent\"\npolicy = \"priority\"\nsettings = { by = \"urgency\" }\n\
                  [[destination]]\nqueue = \"WASM\"\ndispatch_policy = \"urgent\"\n\
                  [[destination]]\nqueue = \"NATIVE\"\ndispatch_policy = \"native:urgent\"\n";
    let broker = Broker::start_with(config);
    for queue in ["WASM", "NATIVE"] {
        let mut client = broker.client();
        client.subscribe(queue, "auto");
        // The first plans may come before the component is compiled.
        until("the policy to decide", || {
            client.send(&format!("SEND\ndestination:/queue/{queue}\n\nfirst"));
            assert_eq!(client.frame().body, "first");
            let report = broker.report();
            let line = report.iter().find(|line| line.starts_with("dispatch policy") && line.contains(queue));
            line.is_some_and(|line| figure(line, "batches_policy") > 0)
        });
        client.confirm("UNSUBSCRIBE\nid:1\n", "");
        let mut client = broker.client();
        for urgency in [1, 5, 3, 9, 7] {
            let headers = format!("SEND\ndestination:/queue/{queue}\nurgency:{urgency}\n");
            client.confirm(&headers, &urgency.to_string());
        }
        let wish = format!("SUBSCRIBE\nid:1\ndestination:/queue/{queue}\nack:client-individual\n");
        client.send(&format!("{wish}activemq.prefetchSize:1\n\n"));
        for expected in ["9", "7", "5", "3", "1"] {
            let message = client.frame();
            assert_eq!(message.body, expected, "{queue}");
            client.ack(&message);
        }
    }
}

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
