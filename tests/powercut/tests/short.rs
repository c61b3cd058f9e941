//! The short form of the campaigns. Each prints the seed with which it failed; the program runs the long ones.
//!
//! Where a file system in user space cannot be mounted the tests say so and pass.

use powercut::campaign::Campaign;

fn run(test: impl FnOnce(Campaign) -> Result<String, String>) {
    match test(Campaign::new(env!("CARGO_BIN_EXE_powercut"))) {
        Ok(report) => eprintln!("{report}"),
        Err(cause) if cause.starts_with("cannot mount") => eprintln!("not run: {cause}"),
        Err(cause) => panic!("{cause}"),
    }
}

#[test]
fn twenty_power_cuts_lose_nothing() {
    run(|campaign| campaign.cuts(20, 1));
}

#[test]
fn a_failed_call_stops_the_journal_and_loses_nothing() {
    run(|campaign| campaign.faults(37));
}

#[test]
fn a_full_disk_heals() {
    run(|campaign| campaign.full(1));
}
