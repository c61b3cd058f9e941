//! `powercut cuts N [SEED]`, `powercut faults [STRIDE]`, `powercut full`: see the library.

use std::process::ExitCode;

use powercut::campaign::{self, Campaign};
use powercut::writer;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| arguments.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let campaign = || Campaign::new(std::env::current_exe().expect("path of this program"));
    let outcome = match arguments.first().map(String::as_str) {
        Some("writer") => return writer::main(&arguments[1..]),
        Some("cuts") => campaign().cuts(number(1, 20), number(2, 1)),
        Some("faults") => campaign().faults(number(1, 1)),
        Some("full") => campaign().full(number(1, 3)),
        _ => Err("usage: powercut cuts N [SEED] | faults [STRIDE] | full [SEEDS]".into()),
    };
    campaign::report(outcome)
}
