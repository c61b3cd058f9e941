//! The judge: clients that write down what the broker promised, and a verdict on what it kept.
//!
//! Start at [`ledger`] for the rules, then [`work`] for what the clients do.

mod gaps;
pub(crate) mod kill;
mod ledger;
mod members;
mod work;

use std::{
    fs::File,
    io::Write,
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use self::gaps::Gaps;
use self::ledger::{Ledger, Violation};
use super::{
    body::now_ns,
    client::{Client, Destination, Login},
    options::{JudgeArgs, Load, Work},
    progress::Progress,
};

/// Producers send, consumers do all that they may do.
const LOAD: u8 = 0;
/// Producers are done; consumers take what is left and give nothing back.
const DRAIN: u8 = 1;
const STOP: u8 = 2;

/// Bounds of reconnecting.
const BACK_OFF_MIN: Duration = Duration::from_millis(5);
const BACK_OFF_MAX: Duration = Duration::from_millis(40);
/// A broker that is away for longer ends the judgement.
const ABSENCE_MAX: Duration = Duration::from_secs(120);
/// How often is looked whether anything was confirmed.
const STANDSTILL_LOOK: Duration = Duration::from_millis(50);
/// The drain ends here even if messages go on coming.
const DRAIN_MAX: Duration = Duration::from_secs(600);

/// What all clients of a judgement share.
pub(crate) struct Court {
    ledger: Mutex<Ledger>,
    phase: AtomicU8,
    /// Time of the last delivery or confirmation on the clock of the bodies.
    active_ns: AtomicU64,
    /// Acknowledgements and rollbacks without an answer.
    awaited: AtomicI64,
    reconnects: AtomicU64,
    refused: AtomicU64,
    /// How long clients stood still when a broker died.
    gaps: Gaps,
    /// Ways in for each kind of client: those that it tries in turn.
    logins: Vec<Vec<Login>>,
    queues: Vec<Destination>,
    work: Work,
}

impl Court {
    /// Clients are spread over `logins`; each tries those of its place in turn.
    pub(crate) fn new(logins: Vec<Vec<Login>>, mut work: Work) -> Arc<Self> {
        work.queues = work.queues.min(work.consumers);
        let tag = format!("judge.{}.{}", work.seed, std::process::id());
        Arc::new(Self {
            ledger: Mutex::new(Ledger::new(work.producers, work.queues, work.groups, work.lenient_marks)),
            phase: AtomicU8::new(LOAD),
            active_ns: AtomicU64::new(now_ns()),
            awaited: AtomicI64::new(0),
            reconnects: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            gaps: Gaps::new(work.producers),
            logins,
            queues: (0..work.queues).map(|queue| Destination::queue(format!("{tag}.{queue}"))).collect(),
            work,
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no client panics while it holds the ledger")
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn set_phase(&self, phase: u8) {
        self.active();
        self.phase.store(phase, Ordering::Relaxed);
    }

    fn active(&self) {
        self.active_ns.store(now_ns(), Ordering::Relaxed);
    }

    /// A connection of `generation` was lost. The first to notice begins the next generation.
    fn lost(&self, generation: u16) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        let mut ledger = self.ledger();
        if ledger.generation() == generation {
            ledger.next_generation(false);
        }
    }

    /// Logs in, again and again while the broker is away; none when `until` has come or the phase is over.
    fn connect(&self, index: usize, last_phase: u8) -> anyhow::Result<Option<(Client, u16)>> {
        let logins = &self.logins[index % self.logins.len()];
        let since = Instant::now();
        let mut back_off = BACK_OFF_MIN;
        while self.phase() <= last_phase {
            // Looked up before the connect: a broker that dies in between makes the connection an old one.
            let generation = self.ledger().generation();
            for login in logins {
                match Client::connect(login) {
                    Ok(client) => return Ok(Some((client, generation))),
                    Err(error) if since.elapsed() > ABSENCE_MAX => {
                        return Err(error).with_context(|| format!("no login at {} for {ABSENCE_MAX:?}", login.target));
                    }
                    Err(_) => {}
                }
            }
            thread::sleep(back_off);
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
        Ok(None)
    }

    /// Waits until nothing has come for the quiet time and nothing is awaited.
    fn drain(&self, progress: &mut Progress) {
        let quiet = Duration::from(self.work.quiet);
        let end = Instant::now() + DRAIN_MAX;
        self.active();
        loop {
            let silent = now_ns().saturating_sub(self.active_ns.load(Ordering::Relaxed));
            let awaited = self.awaited.load(Ordering::Relaxed);
            if Instant::now() > end || (silent > quiet.as_nanos() as u64 && awaited <= 0) {
                return;
            }
            if silent > 10 * quiet.as_nanos() as u64 + 60_000_000_000 {
                return;
            }
            thread::sleep(Duration::from_millis(20));
            self.show("drain", progress);
        }
    }

    fn show(&self, phase: &str, progress: &mut Progress) {
        let tally = self.ledger().tally;
        progress.show(phase, tally.confirmed, tally.deliveries);
    }

    /// Closes the book, prints it, says whether all was kept.
    fn verdict(&self, title: &str) -> anyhow::Result<ExitCode> {
        let mut ledger = self.ledger();
        ledger.close();
        let tally = ledger.tally;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{title}")?;
        let rows = [
            ("sent", tally.sent),
            ("sends confirmed", tally.confirmed),
            ("rolled back or never committed", tally.rolled_back),
            ("left open by a loss or a refusal", tally.open),
            ("  of these arrived", tally.open_arrived),
            ("deliveries", tally.deliveries),
            ("  of these marked redelivered", tally.redelivered),
            ("acknowledgements confirmed", tally.acknowledged),
            ("deliveries checked for order", tally.order_checked),
            ("connections lost", self.reconnects.load(Ordering::Relaxed)),
            ("refusals", self.refused.load(Ordering::Relaxed)),
            ("unmarked duplicates after a restart", tally.unmarked_after_restart),
        ];
        for (name, value) in rows {
            writeln!(out, "  {name:48} {value:>12}")?;
        }
        for violation in Violation::ALL {
            writeln!(out, "  BROKEN {:41} {:>12}", violation.name(), ledger.count(violation))?;
        }
        for finding in ledger.findings().iter().take(20) {
            writeln!(out, "    {finding}")?;
        }
        if let Some(path) = &self.work.journal_file {
            let mut file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            ledger.findings().iter().try_for_each(|finding| writeln!(file, "{finding}"))?;
        }
        // An empty run proves nothing, so it is no success.
        let proved = tally.confirmed > 0 && tally.deliveries > 0 && tally.acknowledged > 0;
        let clean = ledger.is_clean() && proved;
        let word = if clean {
            "PASS"
        } else if proved {
            "FAIL"
        } else {
            "FAIL (nothing was proved: no send, delivery or acknowledgement was confirmed)"
        };
        writeln!(out, "verdict: {word}")?;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The clients of a judgement, each a thread.
pub(crate) struct Clients {
    producers: Vec<JoinHandle<anyhow::Result<()>>>,
    consumers: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Clients {
    fn start(court: &Arc<Court>) -> Self {
        let spawn = |name: &str, index: u32, work: fn(&Court, u32) -> anyhow::Result<()>| {
            let court = court.clone();
            let builder = thread::Builder::new().name(format!("{name}-{index}")).stack_size(512 << 10);
            builder.spawn(move || work(&court, index)).expect("the system gives a thread")
        };
        let work = &court.work;
        Self {
            producers: (0..work.producers).map(|index| spawn("producer", index, work::produce)).collect(),
            consumers: (0..work.consumers).map(|index| spawn("consumer", index, work::consume)).collect(),
        }
    }

    /// A client that ended before its time has given up.
    fn check(&self, court: &Court) -> anyhow::Result<()> {
        let ended = |threads: &[JoinHandle<_>]| threads.iter().any(JoinHandle::is_finished);
        if ended(&self.consumers) || (court.phase() == LOAD && ended(&self.producers)) {
            bail!("a client of the judge gave up");
        }
        Ok(())
    }

    fn join(threads: Vec<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a client of the judge panicked"))??;
        }
        Ok(())
    }

    /// Stops all that still runs, whatever it says.
    fn abandon(self, court: &Court) -> anyhow::Error {
        court.set_phase(STOP);
        let producers = Self::join(self.producers);
        match producers.and(Self::join(self.consumers)) {
            Ok(()) => anyhow::anyhow!("a client of the judge ended early"),
            Err(error) => error,
        }
    }
}

/// The ways in of each kind of client: every address by itself, or with `failover` all that speak the same protocol.
fn ways_in(logins: impl Iterator<Item = Login>, failover: bool) -> Vec<Vec<Login>> {
    let mut kinds: Vec<Vec<Login>> = Vec::new();
    for login in logins {
        let same = |kind: &&mut Vec<Login>| failover && kind[0].target.protocol == login.target.protocol;
        match kinds.iter_mut().find(same) {
            Some(kind) => kind.push(login),
            None => kinds.push(vec![login]),
        }
    }
    kinds
}

/// Load for a time against a broker that somebody else runs (and may restart), then drain and verdict.
pub(crate) fn run(_: &Load, args: &JudgeArgs) -> anyhow::Result<ExitCode> {
    let login = |target: &super::client::Target| Login {
        target: target.clone(),
        user: args.user.clone(),
        password: args.password.clone(),
        tight: true,
        cache: true,
    };
    let court = Court::new(ways_in(args.brokers.iter().map(login), args.failover), args.work.clone());
    let mut progress = Progress::new("judge".into());
    let clients = Clients::start(&court);
    let end = Instant::now() + Duration::from(args.duration);
    let mut standstill = Standstill::begin(Instant::now());
    while Instant::now() < end {
        thread::sleep(STANDSTILL_LOOK);
        standstill.look(Instant::now(), court.ledger().tally.confirmed);
        court.show("load", &mut progress);
        if clients.check(&court).is_err() {
            return Err(clients.abandon(&court));
        }
    }
    court.set_phase(DRAIN);
    Clients::join(clients.producers)?;
    court.drain(&mut progress);
    court.set_phase(STOP);
    Clients::join(clients.consumers)?;
    // New consumers find nothing: what was acknowledged stays away.
    court.set_phase(DRAIN);
    let again = Clients::start(&court);
    Clients::join(again.producers)?;
    court.drain(&mut progress);
    court.set_phase(STOP);
    Clients::join(again.consumers)?;
    progress.done();
    writeln!(std::io::stdout(), "longest time without a confirmed send: {:.1} s", standstill.longest.as_secs_f64())?;
    court.verdict(&format!("judge seed {} over {:?}", args.work.seed, Duration::from(args.duration)))
}

/// The longest time in which no producer at all was confirmed anything.
struct Standstill {
    confirmed: u64,
    since: Instant,
    longest: Duration,
}

impl Standstill {
    fn begin(now: Instant) -> Standstill {
        Standstill { confirmed: 0, since: now, longest: Duration::ZERO }
    }

    /// So many sends were confirmed by now.
    fn look(&mut self, now: Instant, confirmed: u64) {
        self.longest = self.longest.max(now.duration_since(self.since));
        if confirmed > self.confirmed {
            (self.confirmed, self.since) = (confirmed, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With failover the clients of each protocol have all brokers; without it every address has its own.
    #[test]
    fn addresses_by_protocol() {
        let check = |failover, want: &[&[&str]]| {
            let uris = ["tcp://127.0.0.1:1", "stomp://127.0.0.1:2", "tcp://127.0.0.1:3", "stomp://127.0.0.1:4"];
            let login = |uri: &str| Login {
                target: uri.parse().expect("a valid address"),
                user: None,
                password: None,
                tight: true,
                cache: true,
            };
            let ways = ways_in(uris.into_iter().map(login), failover);
            let text: Vec<Vec<String>> =
                ways.iter().map(|kind| kind.iter().map(|login| login.target.to_string()).collect()).collect();
            assert_eq!(text, want);
        };
        check(
            false,
            &[&["tcp://127.0.0.1:1"], &["stomp://127.0.0.1:2"], &["tcp://127.0.0.1:3"], &["stomp://127.0.0.1:4"]],
        );
        check(true, &[&["tcp://127.0.0.1:1", "tcp://127.0.0.1:3"], &["stomp://127.0.0.1:2", "stomp://127.0.0.1:4"]]);
    }

    /// From confirmation to confirmation, and from the last one to the end.
    #[test]
    fn the_longest_standstill_counts() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut standstill = Standstill::begin(begin);
        for (ms, confirmed, longest) in [(100, 1, 100), (150, 2, 100), (450, 2, 300), (500, 3, 350), (900, 3, 400)] {
            standstill.look(at(ms), confirmed);
            assert_eq!(standstill.longest, Duration::from_millis(longest), "at {ms}");
        }
    }
}
