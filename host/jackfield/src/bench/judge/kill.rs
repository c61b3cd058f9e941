//! The kill campaign: the judge's load against a broker that is killed and restarted on the same data again and again.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{Clients, Court, DRAIN, STOP};
use crate::bench::{
    body::Random,
    client::{Login, Protocol, Target},
    options::{KillArgs, Load},
    progress::Progress,
};

/// A broker process of ours; it never outlives this value.
struct Broker {
    child: Child,
    ports: Vec<(String, SocketAddr)>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // `kill` is SIGKILL: no drain, no last sync. What cannot be killed has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Broker {
    /// Starts the program and waits for its `ready` line.
    fn start(args: &KillArgs, config: &Path, log: &Path) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log).with_context(|| format!("open {log:?}"))?;
        let child = Command::new(&args.program)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .arg("--data")
            .arg(&args.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", args.program.display()))?;
        let mut broker = Self { child, ports: Vec::new() };
        let stdout = broker.child.stdout.take().expect("asked for above");
        let lines = read_lines(stdout);
        let deadline = Instant::now() + Duration::from(args.start_max);
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == "ready" => return Ok(broker),
                Ok(line) => broker.ports.extend(listening(&line)),
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("no `ready` within {:?}", Duration::from(args.start_max)),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = broker.child.wait()?;
                    bail!("the broker ended before it was ready: {status}");
                }
            }
        }
    }

    fn port(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let port = self.ports.iter().find(|(other, _)| other == name).map(|(_, address)| *address);
        port.with_context(|| format!("the broker printed no `listening {name}`"))
    }
}

/// Reads lines on a thread of its own, to the end, so that the program never waits for its reader.
fn read_lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // After `ready` nobody listens any more.
            let _ = tx.send(line.trim().to_owned());
        }
    });
    rx
}

/// `listening NAME ADDRESS:PORT`
fn listening(line: &str) -> Option<(String, SocketAddr)> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "listening" {
        return None;
    }
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

const CONNECTORS: [(&str, &str); 2] = [("openwire", "tcp"), ("stomp", "stomp")];

fn write_config(path: &Path, port: impl Fn(&str) -> u16) -> anyhow::Result<()> {
    let mut text = String::new();
    for (name, scheme) in CONNECTORS {
        text.push_str(&format!("[[connector]]\nname = \"{name}\"\nuri = \"{scheme}://127.0.0.1:{}\"\n", port(name)));
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// A file beside the data folder.
fn beside(data: &Path, extension: &str) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(extension);
    data.with_file_name(name)
}

/// Kills, restarts, judges. The moments and all that the clients do follow from the seed; what the machine does in
/// between does not, so a seed repeats the load and not the very instant.
pub(crate) fn run(_: &Load, args: &KillArgs) -> anyhow::Result<ExitCode> {
    if args.min_ms > args.max_ms {
        bail!("--min-ms {} is more than --max-ms {}", args.min_ms, args.max_ms);
    }
    fs::create_dir_all(&args.data).with_context(|| format!("create {}", args.data.display()))?;
    let (config, log) = (beside(&args.data, ".toml"), beside(&args.data, ".log"));
    write_config(&config, |_| 0)?;
    let begun = Instant::now();
    let mut broker = Broker::start(args, &config, &log)?;
    let addresses = [broker.port("openwire")?, broker.port("stomp")?];
    // From now on the same ports, as clients expect of a broker that comes back.
    write_config(&config, |name| if name == "openwire" { addresses[0].port() } else { addresses[1].port() })?;

    let login = |protocol, address| Login {
        target: Target { protocol, address },
        user: None,
        password: None,
        tight: true,
        cache: true,
    };
    let logins = [login(Protocol::OpenWire, addresses[0]), login(Protocol::Stomp, addresses[1])];
    let logins = match (args.openwire, args.stomp) {
        (true, _) => vec![logins[0].clone()],
        (_, true) => vec![logins[1].clone()],
        _ => logins.to_vec(),
    };
    let court = Court::new(logins, args.work.clone());
    let clients = Clients::start(&court);
    let mut random = Random::new(args.work.seed);
    let mut restart_max = Duration::ZERO;
    for kill in 1..=args.kills {
        let life = Duration::from_millis(args.min_ms + random.below(args.max_ms - args.min_ms + 1));
        thread::sleep(life);
        if let Some(status) = broker.child.try_wait()? {
            let error = clients.abandon(&court);
            bail!("the broker ended by itself ({status}) before kill {kill}, see {}: {error:#}", log.display());
        }
        let (next, took) = match restart(args, &court, broker, &config, &log) {
            Ok(next) => next,
            Err(error) => {
                let _ = clients.abandon(&court);
                return Err(error.context(format!("restart after kill {kill}, see {}", log.display())));
            }
        };
        broker = next;
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
    let (broker, took) = restart(args, &court, broker, &config, &log).context("the last restart")?;
    restart_max = restart_max.max(took);
    court.set_phase(DRAIN);
    let again = Clients::start(&court);
    Clients::join(again.producers)?;
    court.drain(&mut progress);
    court.set_phase(STOP);
    Clients::join(again.consumers)?;
    progress.done();
    drop(broker);
    court.verdict(&format!(
        "kill campaign: seed {}, {} kills in {:.0} s, each {}-{} ms after ready, slowest restart {:.0} ms, {}",
        args.work.seed,
        args.kills,
        begun.elapsed().as_secs_f64(),
        args.min_ms,
        args.max_ms,
        restart_max.as_secs_f64() * 1e3,
        match (args.openwire, args.stomp) {
            (true, _) => "OpenWire",
            (_, true) => "STOMP",
            _ => "OpenWire and STOMP",
        },
    ))
}

/// Kills the broker and starts it on the same data; clients learn of the loss before the new one listens.
fn restart(
    args: &KillArgs,
    court: &Court,
    broker: Broker,
    config: &Path,
    log: &Path,
) -> anyhow::Result<(Broker, Duration)> {
    drop(broker);
    court.ledger().next_generation(true);
    let begun = Instant::now();
    let next = Broker::start(args, config, log)?;
    Ok((next, begun.elapsed()))
}

fn report(court: &Court, kill: u32, kills: u32, life: Duration, took: Duration) {
    let ledger = court.ledger();
    let tally = ledger.tally;
    let found = ledger.findings().len();
    drop(ledger);
    eprintln!(
        "kill {kill}/{kills} after {} ms, ready again in {} ms; {} confirmed, {} delivered, {} acknowledged, {found} found",
        life.as_millis(),
        took.as_millis(),
        tally.confirmed,
        tally.deliveries,
        tally.acknowledged,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the lines that name a port are taken.
    #[test]
    fn listening_lines() {
        let check = |line: &str, want: Option<(&str, &str)>| {
            let want = want.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
            assert_eq!(listening(line), want, "{line}");
        };
        check("listening openwire 127.0.0.1:61616", Some(("openwire", "127.0.0.1:61616")));
        check("listening stomp [::1]:5", Some(("stomp", "[::1]:5")));
        check("ready", None);
        check("listening openwire", None);
        check("listening openwire here", None);
    }

    /// Files go beside the folder, not into it: the folder is the broker's.
    #[test]
    fn files_beside_the_data() {
        assert_eq!(beside(Path::new("/tmp/x/data"), ".toml"), Path::new("/tmp/x/data.toml"));
        assert_eq!(beside(Path::new("data.d"), ".log"), Path::new("data.d.log"));
    }
}
