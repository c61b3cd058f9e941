//! The house in a bottle, in short: a few hundred seeds, seeds that found something, and proof that the checker sees
//! broken promises.

use sim::{Summary, Tamper, demand, run_tampered};

/// Steps of a seed here; campaigns take more.
const STEPS: u64 = 800;

/// Nothing that was promised is broken by any of these interleavings.
#[test]
fn promises_hold() {
    let mut summary = Summary::default();
    for seed in 0..300 {
        summary.add(&demand(seed, STEPS));
    }
    let counted = summary.total.counted;
    assert!(summary.total.crashes > 100 && summary.total.restarts > summary.total.crashes, "{summary}");
    assert!(counted.redeliveries > 1_000 && counted.commits > 500 && counted.dead > 500, "{summary}");
}

/// The same seed gives the same run.
#[test]
fn a_seed_is_a_run() {
    let figures = || format!("{:?}", demand(16, STEPS));
    assert_eq!(figures(), figures());
}

/// Runs seeds with this promise broken until the checker complains; says with what.
fn caught(tamper: Tamper) -> String {
    let found = (0..200).find_map(|seed| run_tampered(seed, STEPS, tamper).err());
    found.unwrap_or_else(|| panic!("{tamper:?} was not noticed in 200 seeds")).what
}

#[track_caller]
fn check(tamper: Tamper, expected: &[&str]) {
    let what = caught(tamper);
    assert!(expected.iter().any(|text| what.contains(text)), "{tamper:?} was noticed as: {what}");
}

/// Lives in which a message of a group overtook one whose body was away (14), or that had been refused by an owner before
/// (39), or in which all waited for each other because of it (4).
#[test]
fn groups_keep_their_order_where_they_once_did_not() {
    for seed in [4, 14, 39] {
        demand(seed, 1_000);
    }
}

/// A receipt before the journal has it.
#[test]
fn early_receipts_are_caught() {
    check(Tamper::ConfirmEarly, &["before it was durable"]);
}

/// A message handed out twice.
#[test]
fn duplicates_are_caught() {
    check(Tamper::Duplicate, &["it is held by", "came again", "already, its prefetch"]);
}

/// A message that never reaches the journal.
#[test]
fn losses_are_caught() {
    check(Tamper::Lose, &["lost", "before it was durable"]);
}

/// An acknowledgement that never reaches the journal.
#[test]
fn resurrections_are_caught() {
    check(Tamper::Resurrect, &["confirmed before it was durable", "came again"]);
}

/// A redelivery without a mark.
#[test]
fn missing_marks_are_caught() {
    check(Tamper::Unmark, &["is not marked"]);
}

/// A crash that forgets what was handed out.
#[test]
fn forgotten_deliveries_are_caught() {
    check(Tamper::ForgetDispatched, &["is not marked"]);
}

/// A body that is not what was sent.
#[test]
fn rotten_bodies_are_caught() {
    check(Tamper::Corrupt, &["not what was sent"]);
}

/// Messages that change places. Where any order will do, the acknowledgement of one is that of the other.
#[test]
fn disorder_is_caught() {
    check(Tamper::Reorder, &["comes after", "overtakes", "confirmed before it was durable"]);
}

/// Half a transaction in the journal.
#[test]
fn torn_groups_are_caught() {
    check(Tamper::Tear, &["in part", "before it was durable", "lost"]);
}

/// Bodies that nobody will ever ask for.
#[test]
fn leaks_are_caught() {
    check(Tamper::Leak, &["not drained", "left"]);
}

/// Messages stored just before their consumer came were not marked after a crash.
#[test]
fn stored_before_the_consumer_came() {
    demand(16, 600);
    demand(33, 600);
}

/// A queue with priorities lost sight of bodies that were away, and stood still.
#[test]
fn priorities_and_small_windows() {
    demand(0, 500);
    demand(230, 600);
}

/// Queues were removed while their messages became dead letters, and left bodies behind.
#[test]
fn queues_removed_under_dead_letters() {
    demand(82, 600);
    demand(138, 600);
}

/// Topic consumers were closed within transactions and left memory behind.
#[test]
fn consumers_closed_in_transactions() {
    demand(20, 600);
    demand(63, 600);
}

/// Messages given up were confirmed before they were dead letters; the broker died in between.
#[test]
fn given_up_and_not_yet_dead() {
    demand(267, 800);
    demand(2452, 800);
    demand(105_857, 1_000);
}

/// Non-persistent messages of a transaction arrived, its persistent ones died with the broker.
#[test]
fn transactions_seen_in_part() {
    demand(2485, 800);
    demand(3903, 800);
}

/// Durable subscriptions were removed while a transaction held their messages, then the broker died.
#[test]
fn subscriptions_removed_under_transactions() {
    demand(2651, 800);
}
