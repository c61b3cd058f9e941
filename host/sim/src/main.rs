//! `sim run --seeds A..B [--steps N] [--trace N] [--violations N]`: a campaign over many seeds. Prints a summary;
//! stops at the first broken promise, or after so many. `sim lock --seeds A..B`: the same of lock keepers.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use sim::{Keepers, LockTally, LockTamper, Summary, Tamper, World};

const USAGE: &str = "usage: sim run --seeds A..B [--steps N] [--trace N] [--violations N]
       sim lock --seeds A..B [--violations N]";
const STEPS: u64 = 1_000;

struct Wish {
    lock: bool,
    first: u64,
    end: u64,
    steps: u64,
    trace: usize,
    violations: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(wish) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if wish.lock {
        return lock(&wish);
    }
    let begun = Instant::now();
    let mut summary = Summary::default();
    let mut found = 0;
    let mut out = std::io::stdout();
    for seed in wish.first..wish.end {
        match World::new(seed, Tamper::None).with_trace(wish.trace).run(wish.steps) {
            Ok(tally) => summary.add(&tally),
            Err(violation) => {
                found += 1;
                let _ = writeln!(out, "{violation}");
                if found >= wish.violations {
                    let _ = writeln!(out, "again with: sim run --seeds {seed}..{} --steps {}", seed + 1, wish.steps);
                    return ExitCode::FAILURE;
                }
            }
        }
        if summary.seeds.is_multiple_of(500) {
            let _ = writeln!(out, "seed {seed}: {summary}");
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let _ = writeln!(
        out,
        "seeds {}..{}, {} steps each: {summary}, {found} violations, {took:.0} s",
        wish.first, wish.end, wish.steps
    );
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The campaign of lock keepers.
fn lock(wish: &Wish) -> ExitCode {
    let begun = Instant::now();
    let mut out = std::io::stdout();
    let (mut total, mut found) = (LockTally::default(), 0);
    for seed in wish.first..wish.end {
        match Keepers::new(seed, LockTamper::None).run() {
            Ok(tally) => total.add(&tally),
            Err(violation) => {
                found += 1;
                let _ = writeln!(out, "{violation}");
                if found >= wish.violations {
                    let _ = writeln!(out, "again with: sim lock --seeds {seed}..{}", seed + 1);
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let _ = writeln!(out, "lock keepers, seeds {}..{}: {total}, {found} violations, {took:.0} s", wish.first, wish.end);
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Option<Wish> {
    let (command, options) = arguments.split_first()?;
    if !matches!(command.as_str(), "run" | "lock") {
        return None;
    }
    let mut wish = Wish { lock: command == "lock", first: 0, end: 0, steps: STEPS, trace: 120, violations: 1 };
    for pair in options.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--seeds" => {
                let (first, end) = value.split_once("..")?;
                (wish.first, wish.end) = (first.parse().ok()?, end.parse().ok()?);
            }
            "--violations" => wish.violations = value.parse().ok()?,
            "--trace" => wish.trace = value.parse().ok()?,
            "--steps" => wish.steps = value.parse().ok()?,
            _ => return None,
        }
    }
    (wish.first < wish.end).then_some(wish)
}
