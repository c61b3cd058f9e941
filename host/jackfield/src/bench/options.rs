//! The command line of `jackfield bench`.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Parser, Subcommand};

use super::{
    client::{Login, Target},
    scenario::{Acking, Plan, Sending},
};

/// Loads a broker and measures it, or judges whether it keeps its promises.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) load: Load,
}

/// What is not a scenario.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Records what the broker promises and reports what it did not keep, through restarts of the broker.
    Judge(JudgeArgs),
    /// Starts the broker, kills it at random moments under the judge's load, restarts it, and judges.
    Kill(KillArgs),
}

/// Scenarios and what may be changed in them.
#[derive(Debug, Parser)]
pub(crate) struct Load {
    /// Scenarios by name, one after the other; `list` or none shows them.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<String>,
    /// Address of the broker: tcp://HOST:PORT (OpenWire) or stomp://HOST:PORT.
    #[arg(long, default_value = "tcp://127.0.0.1:61616")]
    pub(crate) broker: Target,
    /// Name to log in with.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Password to log in with.
    #[arg(long)]
    pub(crate) password: Option<String>,
    /// Time measured in each run.
    #[arg(long, default_value = "10s")]
    pub(crate) duration: Time,
    /// Time of the same load before each measurement.
    #[arg(long, default_value = "20s")]
    pub(crate) warmup: Time,
    /// Runs of each scenario; the report has minimum, median and maximum.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// Producers, each with a connection and a thread.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) producers: Option<u32>,
    /// Consumers, each with a connection and a thread.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) consumers: Option<u32>,
    /// Bytes of a body, at least 32.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(32..=64 << 20))]
    pub(crate) body: Option<u64>,
    /// Persistent messages, each send confirmed unless --async or --transacted.
    #[arg(long)]
    pub(crate) persistent: bool,
    /// Sends without confirmation.
    #[arg(long = "async", conflicts_with = "transacted")]
    pub(crate) asynchronous: bool,
    /// So many sends to a transaction.
    #[arg(long, value_name = "BATCH", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) transacted: Option<u32>,
    /// A topic instead of a queue (custom).
    #[arg(long)]
    pub(crate) topic: bool,
    /// Messages a second over all producers, sent at their time; latency counts from the intended time.
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Most messages on their way at once.
    #[arg(long)]
    pub(crate) window: Option<u64>,
    /// OpenWire producer window in bytes: the broker gives credit by ProducerAck.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) producer_window: u32,
    /// Messages that a consumer takes ahead.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=32766))]
    pub(crate) prefetch: Option<u32>,
    /// How consumers acknowledge.
    #[arg(long, value_enum)]
    pub(crate) ack: Option<Acking>,
    /// Message groups, three of four messages in one of them.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) groups: Option<u32>,
    /// Messages, connections or queues, where the scenario counts them.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Fills each body anew, so that no compression makes a row of messages smaller.
    #[arg(long)]
    pub(crate) fresh_bodies: bool,
    /// OpenWire's loose encoding instead of the tight one.
    #[arg(long)]
    pub(crate) loose: bool,
    /// OpenWire without its object cache.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Process of the broker, for its processor time, memory and disk.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Program to start, then its arguments, each with a --command of its own (scenario start).
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
    /// Writes all figures of all runs here.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// A word for the report.
    #[arg(long, default_value = "")]
    pub(crate) label: String,
}

/// The judge by itself.
#[derive(Debug, Parser)]
pub(crate) struct JudgeArgs {
    /// Addresses of one broker, or of several with --failover; producers and consumers are spread over them.
    #[arg(long = "broker", value_name = "URI", default_value = "tcp://127.0.0.1:61616")]
    pub(crate) brokers: Vec<Target>,
    /// Name to log in with.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Password to log in with.
    #[arg(long)]
    pub(crate) password: Option<String>,
    /// The addresses are of brokers that succeed one another: each client tries all that speak its protocol in turn.
    #[arg(long)]
    pub(crate) failover: bool,
    /// How long the load lasts; the drain comes after it.
    #[arg(long, default_value = "60s")]
    pub(crate) duration: Time,
    #[command(flatten)]
    pub(crate) work: Work,
}

/// What the judge's clients do.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Work {
    /// Producers, each with a connection of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) producers: u32,
    /// Consumers, each with a connection of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) consumers: u32,
    /// Queues that they share.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) queues: u32,
    /// Message groups of each queue, three of four messages in one of them; 0 for none.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) groups: u32,
    /// Varies sizes, transactions, acknowledgements and prefetch, and the moments of the kills.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Quiet time after which a queue counts as empty.
    #[arg(long, default_value = "5s")]
    pub(crate) quiet: Time,
    /// Least pause of a producer after each confirmation, to bound the load.
    #[arg(long, default_value = "0ms")]
    pub(crate) pause: Time,
    /// Counts duplicates without a redelivered mark across a restart, but does not hold them against the broker.
    #[arg(long)]
    pub(crate) lenient_marks: bool,
    /// Writes the judge's findings here, a line each.
    #[arg(long, value_name = "FILE")]
    pub(crate) journal_file: Option<PathBuf>,
}

/// The kill campaign.
#[derive(Debug, Parser)]
pub(crate) struct KillArgs {
    /// The jackfield to start.
    #[arg(long)]
    pub(crate) program: PathBuf,
    /// Its data; the same from start to start.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Kills before the drain; one more follows it.
    #[arg(long, default_value_t = 200)]
    pub(crate) kills: u32,
    /// Brokers that wait on the same data for the lock; then each kill is a failover, clients try all brokers in turn, and
    /// the dead one comes back as a slave.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=8))]
    pub(crate) standbys: u32,
    /// A file with more configuration that all brokers have, such as where their journal and lock are.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Clients speak OpenWire only.
    #[arg(long, conflicts_with_all = ["stomp", "both"])]
    pub(crate) openwire: bool,
    /// Clients speak STOMP only.
    #[arg(long, conflicts_with = "both")]
    pub(crate) stomp: bool,
    /// Half of the clients speak each (the default).
    #[arg(long)]
    pub(crate) both: bool,
    /// Least time between "ready" and the kill.
    #[arg(long, default_value_t = 50)]
    pub(crate) min_ms: u64,
    /// Most time between "ready" and the kill.
    #[arg(long, default_value_t = 1500)]
    pub(crate) max_ms: u64,
    /// Most time that a start may take.
    #[arg(long, default_value = "30s")]
    pub(crate) start_max: Time,
    #[command(flatten)]
    pub(crate) work: Work,
}

impl Load {
    pub(crate) fn login(&self) -> Login {
        Login {
            target: self.broker.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            tight: !self.loose,
            cache: !self.no_cache,
        }
    }

    /// The plan with what the flags say instead.
    pub(crate) fn change(&self, mut plan: Plan, custom: bool) -> Plan {
        if custom && self.persistent {
            plan = Plan { persistent: true, sending: Sending::Sync, acking: Acking::Each, ..plan };
        }
        plan.persistent |= self.persistent;
        plan.topic |= self.topic;
        plan.fresh_bodies |= self.fresh_bodies;
        plan.producers = self.producers.unwrap_or(plan.producers);
        plan.consumers = self.consumers.unwrap_or(plan.consumers);
        plan.body_bytes = self.body.map_or(plan.body_bytes, |bytes| bytes as usize);
        plan.prefetch = self.prefetch.unwrap_or(plan.prefetch);
        plan.acking = self.ack.unwrap_or(plan.acking);
        plan.groups = self.groups.unwrap_or(plan.groups);
        plan.window = self.window.or(plan.window);
        plan.rate = self.rate.or(plan.rate);
        if self.asynchronous {
            plan.sending = Sending::Async;
        }
        if let Some(batch) = self.transacted {
            plan.sending = Sending::Transacted(batch);
        }
        plan
    }
}

/// Between one in a minute or so and more than a machine can do.
fn rate(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.01..=10_000_000.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{text} is not between 0.01 and 10000000"))
    }
}

/// A time such as `90s`, `250ms` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(Duration);

impl From<Time> for Duration {
    fn from(time: Time) -> Self {
        time.0
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let ms = match &text[digits.len()..] {
            "ms" => 1.0,
            "s" | "" => 1e3,
            "m" | "min" => 60e3,
            "h" => 3600e3,
            unit => return Err(format!("unit {unit:?} is none of ms, s, m, h")),
        };
        let value: f64 = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
        let seconds = value * ms / 1e3;
        if !(0.0..=86_400.0).contains(&seconds) {
            return Err(format!("{text} is not between 0 and 24h"));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Args {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}")).args
    }

    /// Times have units, bounds and reasons.
    #[test]
    fn times() {
        let check = |text: &str, ms: Option<u64>| {
            assert_eq!(text.parse::<Time>().ok().map(|time| time.0), ms.map(Duration::from_millis), "{text}");
        };
        check("10s", Some(10_000));
        check("3", Some(3_000));
        check("250ms", Some(250));
        check("1.5m", Some(90_000));
        check("-1s", None);
        check("2d", None);
        check("s", None);
        check("99999999h", None);
    }

    /// Flags change the plan of a scenario and nothing else of it.
    #[test]
    fn flags_change_plans() {
        let args = parse("bench s1 --producers 3 --window 7 --body 64 --rate 5 --ack batch --groups 9");
        assert_eq!(args.load.scenarios, ["s1"]);
        let plan = scenario::find("s1").unwrap().plan();
        let want = Plan {
            producers: 3,
            window: Some(7),
            body_bytes: 64,
            rate: Some(5.0),
            acking: Acking::Batch,
            groups: 9,
            ..plan.clone()
        };
        assert_eq!(args.load.change(plan, false), want);
        let custom = scenario::find("custom").unwrap().plan();
        let plan = parse("bench custom --persistent").load.change(custom.clone(), true);
        assert_eq!((plan.persistent, plan.sending, plan.acking), (true, Sending::Sync, Acking::Each));
        let plan = parse("bench custom --persistent --transacted 9").load.change(custom, true);
        assert_eq!(plan.sending, Sending::Transacted(9));
    }

    /// The judge and the kill campaign have command lines of their own.
    #[test]
    fn commands() {
        let args = parse("bench judge --duration 60s --producers 4 --journal-file f --broker tcp://127.0.0.1:1");
        assert!(matches!(args.command, Some(Command::Judge(judge)) if judge.work.producers == 4));
        let args = parse("bench kill --program /x --data /y --kills 3 --seed 9 --stomp --min-ms 1");
        assert!(matches!(args.command, Some(Command::Kill(kill)) if kill.work.seed == 9 && kill.stomp));
        let args = parse("bench kill --program /x --data /y --standbys 2");
        assert!(matches!(args.command, Some(Command::Kill(kill)) if kill.standbys == 2 && kill.kills == 200));
    }
}
