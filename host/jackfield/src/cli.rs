//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use message::{Destination, DestinationKind};
use registry::Point;

use crate::author::AuthorCommand;
use crate::config::LogFormat;
use crate::{bench, exit};

const EXAMPLES: &str = "\
Examples:
  jackfield serve                                  a broker on ports 61616 and 61613
  jackfield send queue://hello 'Hello, world'      a first message
  jackfield receive queue://hello                  and back
  jackfield status                                 how the broker stands
  jackfield config show > jackfield.toml           a file to start from, each key explained
  jackfield config check                           what is wrong with it
";

/// A message broker for ActiveMQ's clients whose dispatch policies can be exchanged while it runs.
#[derive(Debug, Parser)]
#[command(
    name = "jackfield",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = format!("{EXAMPLES}\n{}", exit::HELP))]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of them, and it lives as long as the program")]
pub(crate) enum Command {
    /// Run the broker.
    Serve(Serve),
    /// Send messages to a queue or topic.
    Send(Send),
    /// Receive messages from a queue or topic and print their bodies, a line for each.
    Receive(Receive),
    /// Make a password's hash for the configuration: a line of standard input becomes a line of standard output.
    #[command(after_help = "\
Examples:
  echo 'secret' | jackfield password           for password_hash in [security] users")]
    Password,
    /// Show how a running broker stands.
    Status(Status),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look into policies, and change them on a running broker.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Measure a broker under load.
    Bench(bench::Args),
}

/// Run the broker until it is told to stop (SIGTERM, or Ctrl-C). SIGUSR1 has it log how things stand, SIGHUP has it read
/// its certificates again.
///
/// Standard output has a line for each port, such as `listening openwire 127.0.0.1:61616`, then `ready`. Everything
/// else goes to standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield serve                                      data in ./data, ports on this machine alone
  jackfield serve --data /var/lib/jackfield            data elsewhere
  jackfield serve --config /etc/jackfield.toml --log-format json")]
pub(crate) struct Serve {
    /// Configuration file. Without it, ./jackfield.toml if that exists, else the defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is that must survive a restart; goes before broker.data_directory of the file.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How log lines look; goes before log.format of the file.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// How much is logged, such as info or info,server=debug; goes before log.level of the file.
    #[arg(long, value_name = "LEVEL", value_parser = log_level)]
    pub(crate) log_level: Option<String>,
}

/// Show how a running broker stands: ports, destinations, policies, limits. Asks over its admin socket, which only the
/// broker's own user may do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield status                                     the broker of this folder
  jackfield status --data /var/lib/jackfield           another one
  jackfield status --json --destinations 1000          for programs")]
pub(crate) struct Status {
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// How many destinations to show, those with most messages waiting first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) destinations: usize,
    /// One JSON object in place of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which broker, by its admin socket.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// Configuration file of the broker. Without it, ./jackfield.toml if that exists, else the defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The broker's data directory; goes before broker.data_directory of the file.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The admin socket itself.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["config", "data"])]
    pub(crate) socket: Option<PathBuf>,
}

/// How to reach a broker.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// Where the broker listens for STOMP.
    #[arg(long, value_name = "URL", default_value = "stomp://127.0.0.1:61613", value_parser = broker_address)]
    pub(crate) broker: Address,
    /// User name, where the broker asks for one.
    #[arg(long, value_name = "NAME", requires = "password")]
    pub(crate) user: Option<String>,
    /// Password of the user.
    #[arg(long, value_name = "TEXT", requires = "user")]
    pub(crate) password: Option<String>,
}

/// Host and port of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name or address, IPv6 in brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

/// Send messages to a queue or topic.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield send queue://hello 'Hello, world'
  jackfield send topic://prices 12.5 --property symbol=ACME --non-persistent
  jackfield send hello 'the same again' --count 1000
  seq 1 100000 | jackfield send queue://numbers --stdin")]
pub(crate) struct Send {
    /// Where to: queue://NAME, topic://NAME, or NAME alone for a queue.
    #[arg(value_parser = destination)]
    pub(crate) destination: Destination,
    /// The body.
    #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
    pub(crate) text: Option<String>,
    /// Send a message for each line of standard input.
    #[arg(long)]
    pub(crate) stdin: bool,
    /// How many times to send the text.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "stdin", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// The broker must keep the messages over a restart (this is the default).
    #[arg(long, conflicts_with = "non_persistent")]
    pub(crate) persistent: bool,
    /// The broker may lose the messages when it stops.
    #[arg(long)]
    pub(crate) non_persistent: bool,
    /// A property of each message; may be given several times.
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    pub(crate) properties: Vec<(String, String)>,
    /// How to reach the broker.
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Receive messages from a queue or topic and print their bodies, a line for each.
///
/// A message is acknowledged after it was printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield receive queue://hello
  jackfield receive queue://numbers --count 100 --timeout 500ms
  jackfield receive topic://prices --follow --selector \"symbol = 'ACME'\"
  jackfield receive topic://prices --follow --durable desk --client-id desk-1")]
pub(crate) struct Receive {
    /// Where from: queue://NAME, topic://NAME, or NAME alone for a queue. Wildcards * and > are allowed.
    #[arg(value_parser = destination)]
    pub(crate) destination: Destination,
    /// Stop after this many messages.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// Give up when no message came for this long: 5s, 500ms, 2m.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Go on until interrupted.
    #[arg(long, conflicts_with_all = ["count", "timeout"])]
    pub(crate) follow: bool,
    /// Only messages that fit this JMS selector.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// A durable subscription of this name: what comes while nobody receives is kept (topics only).
    #[arg(long, value_name = "NAME", requires = "client_id")]
    pub(crate) durable: Option<String>,
    /// The client id that owns the durable subscription.
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// Print each message's headers in front of its body.
    #[arg(long)]
    pub(crate) headers: bool,
    /// How to reach the broker.
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Check or show the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell all mistakes of a configuration file at once: key, value, line and remedy.
    Check(ConfigFile),
    /// Print the configuration that holds, with every key explained.
    Show(ConfigFile),
}

/// Look into policies, and change them on a running broker.
///
/// A plug-in has generations, and one of them decides. The broker is asked over its admin socket, which only its own user
/// may do; all that is changed is there again after a restart.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  jackfield plugin inspect by-region.wasm
  jackfield plugin deploy by-region by-region.wasm --set home=north
  jackfield plugin bind by-region 'ORDERS.>'
  jackfield plugin deploy by-region candidate.wasm --shadow
  jackfield plugin shadow by-region                    does it decide alike, and what does it cost
  jackfield plugin promote by-region
  jackfield plugin rollback by-region
  jackfield plugin explain ORDERS.NORTH                which policy sent which message where
  jackfield plugin bind rights before.1 --point auth   asked before the auth policies of the configuration")]
pub(crate) enum PluginCommand {
    /// Write one.
    #[command(flatten)]
    Author(AuthorCommand),
    /// Tell what a component is and asks for, and whether a broker would take it. Needs no broker.
    Inspect(Inspect),
    /// Take in a component as a new generation, which decides at once.
    Deploy(Deploy),
    /// Have the shadow, or another generation, decide.
    Promote(Promote),
    /// Go back to the generation before, or to another one.
    Rollback(Rollback),
    /// Give the component that decides other settings: those given here and no others.
    Configure(Configure),
    /// End the shadow.
    EndShadow(Named),
    /// Remove a plug-in that nothing is bound to.
    Remove(Named),
    /// Have the queues of a pattern use a policy: a plug-in, or one that dispatch_policy may name. Or have an auth policy asked
    /// in a place.
    Bind(Binding),
    /// Have the queues of a pattern use what their settings say, or have nobody asked in a place.
    Unbind(Unbinding),
    /// Show the plug-ins, where they are bound, and what policies in use did so far.
    List(List),
    /// Show what happened to a plug-in.
    History(Show),
    /// Show what the shadow found so far.
    Shadow(Show),
    /// Show what a policy said lately; whoever listens to topic Jackfield.Plugin.Log.NAME gets it as it is said.
    Logs(Show),
    /// Show the latest decisions on the messages of a queue or a topic; the first question begins to note them.
    Explain(Explain),
    /// Take down what the policy of a queue is asked and answers, into a file for `replay`.
    Record(Record),
}

/// Which component.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield plugin inspect by-region.wasm
  jackfield plugin inspect by-region.wasm --set home=north")]
pub(crate) struct Inspect {
    /// The component.
    pub(crate) file: PathBuf,
    /// A setting to try it with; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

/// What to deploy.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Name of the plug-in.
    pub(crate) name: String,
    /// The component.
    pub(crate) file: PathBuf,
    /// A setting; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// It looks on without effect, beside the generation that decides.
    #[arg(long)]
    pub(crate) shadow: bool,
    /// Go on without the state of the generation before if it is not taken.
    #[arg(long)]
    pub(crate) start_empty: bool,
    /// What it is granted beyond its imports: passwords, which an auth policy may ask to see.
    #[arg(long = "grant", value_name = "WHAT")]
    pub(crate) grants: Vec<String>,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What to promote.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// Name of the plug-in.
    pub(crate) name: String,
    /// Which generation; without it the shadow.
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
    /// Go on without the state of the generation before if it is not taken.
    #[arg(long)]
    pub(crate) start_empty: bool,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// Where to go back to.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Name of the plug-in.
    pub(crate) name: String,
    /// Which generation; without it the previous one.
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// A plug-in and its settings.
#[derive(Debug, Args)]
pub(crate) struct Configure {
    /// Name of the plug-in.
    pub(crate) name: String,
    /// A setting; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// A plug-in.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name.
    pub(crate) name: String,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// How to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// JSON in place of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// A plug-in or another policy, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its name.
    pub(crate) name: String,
    /// JSON in place of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// A policy and the destinations that are to have it.
#[derive(Debug, Args)]
pub(crate) struct Binding {
    /// Name of the policy.
    pub(crate) name: String,
    /// Which queues, for topic-dispatch which topics: a name, or a pattern such as ORDERS.>; for publish-routing those of
    /// topics begin with topic://. For auth a place: before.1 to before.9 are asked before the policies of the configuration,
    /// behind.1 to behind.9 behind them.
    #[arg(value_name = "PATTERN|PLACE")]
    pub(crate) pattern: String,
    /// What it decides there: queue-dispatch, topic-dispatch, group-assignment, publish-routing or auth.
    #[arg(long, value_name = "POINT", default_value_t = Point::QueueDispatch)]
    pub(crate) point: Point,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// Destinations by pattern.
#[derive(Debug, Args)]
pub(crate) struct Unbinding {
    /// The pattern or place as it was bound.
    #[arg(value_name = "PATTERN|PLACE")]
    pub(crate) pattern: String,
    /// What was decided there.
    #[arg(long, value_name = "POINT", default_value_t = Point::QueueDispatch)]
    pub(crate) point: Point,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// A queue or a topic.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The name of a queue, or that of a topic with topic:// in front.
    pub(crate) destination: String,
    /// JSON in place of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What to record.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield plugin record ORDERS --for 30s --out orders.recording
  jackfield plugin record by-region --batches 500 --out golden/region.recording
  jackfield plugin replay orders.recording candidate.wasm")]
pub(crate) struct Record {
    /// The queue, or a policy that decides on one queue alone.
    pub(crate) what: String,
    /// For how long at most: 30s, 500ms, 2m. Without it and --batches, 30s.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) time: Option<Duration>,
    /// How many batches at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batches: Option<u64>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// JSON in place of a sentence.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which broker.
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file. Without it, ./jackfield.toml if that exists, else the defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

fn log_level(text: &str) -> Result<String, String> {
    crate::config::check_level(text)
        .map(|()| text.to_owned())
        .map_err(|fault| format!("{}; {}", fault.what, fault.remedy))
}

fn broker_address(text: &str) -> Result<Address, String> {
    let wanted = "write stomp://HOST:PORT, such as stomp://127.0.0.1:61613";
    let url = url::Url::parse(text).map_err(|error| format!("{error}; {wanted}"))?;
    if !matches!(url.scheme(), "stomp" | "stomp+nio") {
        return Err(format!("scheme {} is not STOMP's; {wanted}", url.scheme()));
    }
    match url.host_str() {
        Some(host) => Ok(Address { host: host.to_owned(), port: url.port().unwrap_or(61613) }),
        None => Err(format!("no host; {wanted}")),
    }
}

fn destination(text: &str) -> Result<Destination, String> {
    let destination = Destination::parse(text, DestinationKind::Queue);
    destination.check().map_err(|error| error.to_string())?;
    if destination.kind.is_temporary() || destination.name.contains("://") {
        return Err("write queue://NAME, topic://NAME, or NAME alone for a queue".to_owned());
    }
    Ok(destination)
}

/// Headers that STOMP or this program sets itself.
const HEADERS_TAKEN: [&str; 7] =
    ["content-length", "destination", "id", "persistent", "receipt", "subscription", "transaction"];

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, _)) if HEADERS_TAKEN.contains(&name) => {
            Err(format!("{name} cannot be a property; choose another name"))
        }
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let parsed = units.iter().find_map(|(unit, ms)| {
        let number = text.strip_suffix(unit)?.parse::<u64>().ok()?;
        number.checked_mul(*ms).filter(|ms| *ms > 0)
    });
    parsed.map(Duration::from_millis).ok_or_else(|| "write a number and a unit, such as 500ms, 5s, 2m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_meant_is_understood() {
        let Command::Send(send) = parse("jackfield send hello text --count 3 --property a=b=c").unwrap().command else {
            panic!("no send");
        };
        assert_eq!(send.destination, Destination::queue("hello"));
        assert_eq!((send.text.as_deref(), send.count, send.stdin), (Some("text"), 3, false));
        assert_eq!(send.properties, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(send.remote.broker, Address { host: "127.0.0.1".into(), port: 61613 });

        let line = "jackfield receive topic://A.> --follow --durable d --client-id c --broker stomp://[::1]:7";
        let Command::Receive(receive) = parse(line).unwrap().command else { panic!("no receive") };
        assert_eq!(receive.destination, Destination::topic("A.>"));
        assert!(receive.follow);
        assert_eq!(receive.remote.broker, Address { host: "[::1]".into(), port: 7 });

        let Command::Serve(serve) = parse("jackfield serve --log-format json --log-level debug").unwrap().command
        else {
            panic!("no serve");
        };
        assert_eq!(serve.log_format, Some(LogFormat::Json));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        use ErrorKind::{ArgumentConflict, MissingRequiredArgument, ValueValidation};
        let table = [
            ("jackfield send hello", MissingRequiredArgument),
            ("jackfield send hello text --stdin", ArgumentConflict),
            ("jackfield send hello text --count 0", ValueValidation),
            ("jackfield send hello text --persistent --non-persistent", ArgumentConflict),
            ("jackfield send hello text --property a", ValueValidation),
            ("jackfield send hello text --property receipt=1", ValueValidation),
            ("jackfield send temp-queue://x text", ValueValidation),
            ("jackfield send a,,b text", ValueValidation),
            ("jackfield send hello text --user u", MissingRequiredArgument),
            ("jackfield plugin inspect", MissingRequiredArgument),
            ("jackfield plugin inspect f --set a", ValueValidation),
            ("jackfield plugin deploy a f --set =b", ValueValidation),
            ("jackfield plugin promote a --generation x", ValueValidation),
            ("jackfield plugin bind a Q --point nowhere", ValueValidation),
            ("jackfield plugin list --socket s --config c", ArgumentConflict),
            ("jackfield receive a --durable d", MissingRequiredArgument),
            ("jackfield receive a --follow --count 3", ArgumentConflict),
            ("jackfield receive a --timeout 5", ValueValidation),
            ("jackfield receive a --broker tcp://127.0.0.1:61616", ValueValidation),
            ("jackfield serve --log-level loud", ValueValidation),
            ("jackfield status --socket s --data d", ArgumentConflict),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line).expect_err(line).kind(), expected, "{line}");
        }
    }

    #[test]
    fn times() {
        for (text, ms) in [("500ms", Some(500)), ("5s", Some(5000)), ("2m", Some(120_000)), ("1h", Some(3_600_000))] {
            assert_eq!(duration(text).ok(), ms.map(Duration::from_millis), "{text}");
        }
        for text in ["", "5", "s", "-1s", "0s", "1.5s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
