//! The kill campaign: the judge's load against a broker that is killed again and again, and started on the same data or
//! succeeded by a slave that waits on it.

use std::{
    io::Write,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::members::Members;
use super::{Clients, Court, DRAIN, STOP};
use crate::bench::{
    body::{Random, now_ns},
    client::{Login, Protocol, Target},
    options::{KillArgs, Load},
    progress::Progress,
};

/// Kills, restarts, judges. The moments and all that the clients do follow from the seed; what the machine does in
/// between does not, so a seed repeats the load and not the very instant.
pub(crate) fn run(_: &Load, args: &KillArgs) -> anyhow::Result<ExitCode> {
    if args.min_ms > args.max_ms {
        bail!("--min-ms {} is more than --max-ms {}", args.min_ms, args.max_ms);
    }
    let begun = Instant::now();
    let more = match &args.config {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?,
        None => String::new(),
    };
    let (count, start_max) = (1 + args.standbys as usize, Duration::from(args.start_max));
    let mut brokers = Members::start(&args.program, &args.data, count, start_max, more)?;
    let logins = |protocol, name: &str| -> Vec<Login> {
        let login = |address| Login {
            target: Target { protocol, address },
            user: None,
            password: None,
            tight: true,
            cache: true,
        };
        brokers.addresses(name).into_iter().map(login).collect()
    };
    let (openwire, stomp) = (logins(Protocol::OpenWire, "openwire"), logins(Protocol::Stomp, "stomp"));
    let logins = match (args.openwire, args.stomp) {
        (true, _) => vec![openwire],
        (_, true) => vec![stomp],
        _ => vec![openwire, stomp],
    };
    let court = Court::new(logins, args.work.clone());
    let clients = Clients::start(&court);
    let mut random = Random::new(args.work.seed);
    let mut restart_max = Duration::ZERO;
    for kill in 1..=args.kills {
        let life = Duration::from_millis(args.min_ms + random.below(args.max_ms - args.min_ms + 1));
        thread::sleep(life);
        let next = brokers.check().and_then(|()| restart(&court, &mut brokers));
        let took = match next {
            Ok(took) => took,
            Err(error) => {
                let _ = clients.abandon(&court);
                return Err(error.context(format!("kill {kill}, see {}", brokers.log().display())));
            }
        };
        restart_max = restart_max.max(took);
        if clients.check(&court).is_err() {
            return Err(clients.abandon(&court));
        }
        report(&court, kill, args.kills, life, took);
    }
    court.set_phase(DRAIN);
    Clients::join(clients.producers)?;
    let mut progress = Progress::new("drain".into());
    court.drain(&mut progress);
    court.set_phase(STOP);
    Clients::join(clients.consumers)?;
    // One kill more with nothing in the queues: what was acknowledged stays away.
    let took = restart(&court, &mut brokers).context("the last restart")?;
    restart_max = restart_max.max(took);
    court.set_phase(DRAIN);
    let again = Clients::start(&court);
    Clients::join(again.producers)?;
    court.drain(&mut progress);
    court.set_phase(STOP);
    Clients::join(again.consumers)?;
    progress.done();
    drop(brokers);
    let (gaps, median, worst) = court.gaps.summary();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    writeln!(
        std::io::stdout(),
        "gap seen by producers, from the kill to their next confirmation: median {:.0} ms, worst {:.0} ms, of {gaps}",
        ms(median),
        ms(worst)
    )?;
    court.verdict(&format!(
        "kill campaign: seed {}, {} kills in {:.0} s, {} waiting brokers, each {}-{} ms after ready, slowest restart {:.0} ms, {}",
        args.work.seed,
        args.kills,
        begun.elapsed().as_secs_f64(),
        args.standbys,
        args.min_ms,
        args.max_ms,
        ms(restart_max),
        match (args.openwire, args.stomp) {
            (true, _) => "OpenWire",
            (_, true) => "STOMP",
            _ => "OpenWire and STOMP",
        },
    ))
}

/// Kills the master and waits for the next one; clients learn of the loss before they can be confirmed anything by it.
fn restart(court: &Court, brokers: &mut Members) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let killed_ns = now_ns();
    {
        // Nobody notes anything while it is being killed: what is read from its sockets afterwards counts for nothing.
        let mut ledger = court.ledger();
        brokers.kill_master()?;
        ledger.next_generation(true);
        court.gaps.killed(killed_ns, ledger.generation());
    }
    brokers.succeed()?;
    Ok(begun.elapsed())
}

fn report(court: &Court, kill: u32, kills: u32, life: Duration, took: Duration) {
    let ledger = court.ledger();
    let tally = ledger.tally;
    let found = ledger.findings().len();
    drop(ledger);
    eprintln!(
        "kill {kill}/{kills} after {} ms, all there again in {} ms; {} confirmed, {} delivered, {} acknowledged, {found} found",
        life.as_millis(),
        took.as_millis(),
        tally.confirmed,
        tally.deliveries,
        tally.acknowledged,
    );
}
