//! What is kept compiled from start to start: found again, and trusted only as far as its seal.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::admin::told;
use crate::support::{Broker, until};

const QUEUE: &str = "Q";

fn outcome(broker: &Broker, outcome: &str) -> f64 {
    told(broker, &format!("jackfield_policy_components_total{{outcome=\"{outcome}\"}}"))
}

/// Messages until the component of the queue decides.
fn decides(broker: &Broker) {
    let mut client = broker.client();
    client.subscribe(QUEUE, "auto");
    until("the component to decide", || {
        client.publish(QUEUE, "x");
        assert_eq!(client.frame().body, "x");
        outcome(broker, "found") + outcome(broker, "compiled") + outcome(broker, "rejected") > 0.0
    });
    let is_kept = |entry: &PathBuf| entry.extension().is_some_and(|suffix| suffix == "cwasm");
    until("what was compiled to be kept", || entries(broker.home.path()).iter().any(is_kept));
}

fn entries(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join("data/plugins/cache")).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// A start finds what the one before compiled. What somebody changed meanwhile is never run: it is dropped, counted, told
/// and compiled anew, and the queue goes on.
#[test]
fn compiled_policies_are_kept_and_a_touched_one_is_not_trusted() {
    let broker = Broker::start();
    decides(&broker);
    assert_eq!((outcome(&broker, "compiled"), outcome(&broker, "found")), (1.0, 0.0));
    let broker = Broker::start_in(broker.kill(), "");
    decides(&broker);
    assert_eq!((outcome(&broker, "compiled"), outcome(&broker, "found")), (0.0, 1.0));
    let rights = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    let home = broker.kill();
    assert_eq!(rights(&home.path().join("data/plugins/cache.key")), 0o600);
    assert_eq!(rights(&home.path().join("data/plugins/cache")), 0o700);
    for entry in entries(home.path()) {
        let mut bytes = std::fs::read(&entry).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(&entry, bytes).expect("a file");
    }
    let broker = Broker::start_in(home, "");
    decides(&broker);
    assert_eq!((outcome(&broker, "rejected"), outcome(&broker, "found")), (1.0, 0.0));
    assert!(broker.log().contains("is not trusted") && broker.log().contains("its seal is broken"), "{}", broker.log());
    let broker = Broker::start_in(broker.kill(), "");
    decides(&broker);
    assert_eq!(outcome(&broker, "found"), 1.0, "it was compiled anew and kept");
}

/// Without a secret that is one there is no cache, and everything else is as it was.
#[test]
fn a_secret_that_others_may_read_keeps_nothing() {
    let broker = Broker::start();
    decides(&broker);
    let home = broker.kill();
    let secret = home.path().join("data/plugins/cache.key");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).expect("rights");
    let broker = Broker::start_in(home, "");
    let mut client = broker.client();
    client.publish(QUEUE, "y");
    assert_eq!((outcome(&broker, "found"), outcome(&broker, "compiled")), (0.0, 0.0));
    assert!(broker.log().contains("its rights are 644 where 600 belongs; remove it"), "{}", broker.log());
    let broker = Broker::start_in(broker.kill(), "[plugins]\ncache_limit = 0\n");
    assert_eq!(outcome(&broker, "found"), 0.0);
}
