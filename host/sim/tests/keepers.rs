//! Lock keepers in short: some thousand seeds, and proof that the checker sees broken promises.

use sim::{Keepers, LockTally, LockTamper};

/// Never two that may confirm, nothing confirmed that the next master does not find, and one master in the end.
#[test]
fn never_two_masters() {
    let mut total = LockTally::default();
    for seed in 0..2_000 {
        total.add(&Keepers::new(seed, LockTamper::None).run().unwrap_or_else(|violation| panic!("{violation}")));
    }
    assert!(total.promotions > 8_000 && total.waited > 2_000 && total.stepped_down > 2_000, "{total}");
    assert!(
        total.dropped > 1_000 && total.meddled > 5_000 && total.doubts > 1_000 && total.confirmed > 50_000,
        "{total}"
    );
}

/// The same seed gives the same run.
#[test]
fn a_seed_is_a_run() {
    let figures = || format!("{:?}", Keepers::new(7, LockTamper::None).run());
    assert_eq!(figures(), figures());
}

#[track_caller]
fn caught(tamper: LockTamper, expected: &[&str]) {
    let found = (0..500).find_map(|seed| Keepers::new(seed, tamper).run().err());
    let what = found.unwrap_or_else(|| panic!("{tamper:?} was not noticed")).what;
    assert!(expected.iter().any(|part| what.contains(part)), "{tamper:?} was noticed as: {what}");
}

const TWO: &[&str] = &["may both confirm", "had opened the journal"];

/// A standby that does not wait for a master that may be alive.
#[test]
fn haste_is_caught() {
    caught(LockTamper::Hasty, TWO);
}

/// A master that does not look whether it still has its lock.
#[test]
fn blindness_is_caught() {
    caught(LockTamper::Blind, TWO);
}

/// A master that goes on when it gets no answer.
#[test]
fn endless_proofs_are_caught() {
    caught(LockTamper::Endless, TWO);
}
