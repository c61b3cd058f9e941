//! Every key of the file: its name, what it means, how it is read into [`Config`] and how it is shown again.

use std::path::Path;

use broker::DestinationSettings;
use tracing_subscriber::EnvFilter;

use super::admin::ADMIN;
use super::journal::JOURNAL;
use super::lock::LOCK;
use super::plugins::PLUGINS;
use super::problem::{Fault, unknown};
use super::raw::Raw;
use super::tls::TLS;
use super::{Config, LogFormat, size};

/// One key of a section.
pub(crate) struct Key<T> {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it means, for the comment above it; lines of at most a hundred characters.
    pub(crate) doc: &'static str,
    /// Sets it.
    pub(crate) read: fn(&mut T, Raw<'_>) -> Result<(), Fault>,
    /// Its value as TOML.
    pub(crate) show: fn(&T) -> Shown,
}

/// A value as the file shows it.
pub(crate) enum Shown {
    /// This value.
    Value(String),
    /// Not set: the key is shown as a comment with this example.
    Unset(&'static str),
}

/// A section that is there once.
pub(crate) struct Section {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) doc: &'static str,
    /// Its keys.
    pub(crate) keys: &'static [Key<Config>],
    /// Keys of shapes of their own, read elsewhere.
    pub(crate) others: &'static [&'static str],
}

/// The sections, in the order in which they are shown. `default_destination`, `[[destination]]`, `[[connector]]` and
/// `[security]` have shapes of their own and are not among them.
pub(crate) const SECTIONS: &[Section] = &[
    Section { name: "broker", doc: "The broker itself.", keys: BROKER, others: &[] },
    Section {
        name: "memory",
        doc: "Memory, and what happens to producers when it is used up.",
        keys: MEMORY,
        others: &[],
    },
    Section { name: "server", doc: "How connections are served.", keys: SERVER, others: &[] },
    Section {
        name: "tls",
        doc: "Certificates of connectors with TLS. SIGHUP has them read again.",
        keys: TLS,
        others: &[],
    },
    Section {
        name: "store",
        doc: "The journal on disk. One in a database has the limits of that.",
        keys: STORE,
        others: &[],
    },
    Section {
        name: "journal",
        doc: "The journal in a database, in place of the one on disk (jdbcPersistenceAdapter).",
        keys: JOURNAL,
        others: &[],
    },
    Section {
        name: "lock",
        doc: "The lock on the journal: brokers that share one are master and slaves.",
        keys: LOCK,
        others: &[],
    },
    Section {
        name: "limits",
        doc: "Upper bounds. What is beyond one is refused with an error that names it.",
        keys: LIMITS,
        others: &[],
    },
    Section {
        name: "policy",
        doc: "Bounds of policies that run as WebAssembly components.",
        keys: POLICY,
        others: &["stock", "component"],
    },
    Section {
        name: "plugins",
        doc: "Policies that `jackfield plugin` deploys: what is kept of them, and when a generation has to go back.",
        keys: PLUGINS,
        others: &[],
    },
    Section {
        name: "admin",
        doc: "Looking after the broker: `jackfield status`, health, metrics, HTTP API.",
        keys: ADMIN,
        others: &[],
    },
    Section { name: "log", doc: "What the program says about itself, on standard error.", keys: LOG, others: &[] },
];

const MILLION: i64 = 1_000_000;
const MS_MAX: i64 = 1 << 40;
const PB: u64 = 1 << 50;

const BROKER: &[Key<Config>] = &[
    Key {
        name: "name",
        doc: "Unique among all brokers that know each other (brokerName).",
        read: |c, raw| {
            let name = raw.name()?;
            if name.len() > 255 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(Fault::new("is no broker name", "write at most 255 characters without spaces"));
            }
            c.broker.broker_name = name.into();
            Ok(())
        },
        show: |c| text(&c.broker.broker_name),
    },
    Key {
        name: "data_directory",
        doc: "Where everything is that must survive a restart. Relative to where the program is started.\n\
              `--data` goes before it.",
        read: |c, raw| {
            c.data_directory = Path::new(raw.name()?).to_path_buf();
            Ok(())
        },
        show: |c| text(&c.data_directory.to_string_lossy()),
    },
    Key {
        name: "advisory_support",
        doc: "Tell clients on ActiveMQ.Advisory.> topics what happens (advisorySupport).",
        read: |c, raw| raw.flag().map(|on| c.broker.advisory_support = on),
        show: |c| plain(c.broker.advisory_support),
    },
];

const MEMORY: &[Key<Config>] = &[
    Key {
        name: "limit",
        doc: "Non-persistent messages held for all destinations together; beyond it their producers wait\n\
              (systemUsage memoryUsage).",
        read: |c, raw| raw.size(1 << 20..=PB).map(|bytes| c.broker.memory_bytes_limit = bytes),
        show: |c| bytes(c.broker.memory_bytes_limit),
    },
    Key {
        name: "body_window",
        doc: "Bodies of persistent messages kept in memory beside the journal, for all destinations together;\n\
              beyond it only references are kept and bodies are read when they are needed.",
        read: |c, raw| raw.size(0..=PB).map(|bytes| c.broker.body_window_bytes = bytes),
        show: |c| bytes(c.broker.body_window_bytes),
    },
    Key {
        name: "body_window_per_destination",
        doc: "The same for one destination.",
        read: |c, raw| raw.size(0..=PB).map(|bytes| c.broker.body_window_bytes_per_destination = bytes),
        show: |c| bytes(c.broker.body_window_bytes_per_destination),
    },
    Key {
        name: "connection_window",
        doc: "Messages on their way to one connection whose socket has not taken them yet.",
        read: |c, raw| raw.size(64 << 10..=1 << 40).map(|bytes| c.broker.connection_window_bytes = bytes),
        show: |c| bytes(c.broker.connection_window_bytes),
    },
    Key {
        name: "send_fail_if_no_space",
        doc: "Refuse messages when a limit is reached, in place of letting producers wait (sendFailIfNoSpace).",
        read: |c, raw| raw.flag().map(|on| c.broker.send_fail_if_no_space = on),
        show: |c| plain(c.broker.send_fail_if_no_space),
    },
    Key {
        name: "send_fail_if_no_space_after_timeout_ms",
        doc: "Refuse them after waiting this long; 0 waits without end (sendFailIfNoSpaceAfterTimeout).",
        read: |c, raw| raw.integer(0..=MS_MAX).map(|ms| c.broker.send_fail_if_no_space_after_timeout_ms = ms),
        show: |c| plain(c.broker.send_fail_if_no_space_after_timeout_ms),
    },
];

const SERVER: &[Key<Config>] = &[
    Key {
        name: "threads",
        doc: "Threads that read from and write to connections. The broker itself has one more, the journal two.",
        read: |c, raw| raw.count(1..=1024).map(|count| c.server.threads = count),
        show: |c| plain(c.server.threads),
    },
    Key {
        name: "login_threads",
        doc: "Logins whose password is hashed at the same time; others wait in line, each address in its own.",
        read: |c, raw| raw.count(1..=1024).map(|count| c.server.login_threads = count),
        show: |c| plain(c.server.login_threads),
    },
    Key {
        name: "journal_backlog",
        doc: "What may wait for the journal to write it; beyond it no persistent messages are taken until it has.",
        read: |c, raw| raw.size(1 << 20..=1 << 40).map(|bytes| c.server.journal_backlog_bytes_max = bytes),
        show: |c| bytes(c.server.journal_backlog_bytes_max),
    },
    Key {
        name: "drain_ms",
        doc: "How long a stop waits for clients to take the last words.",
        read: |c, raw| raw.integer(0..=600_000).map(|ms| c.server.drain_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.server.drain_ms_max),
    },
];

const STORE: &[Key<Config>] = &[Key {
    name: "limit",
    doc: "Bytes the journal may take; beyond it producers of persistent messages wait (storeUsage).",
    read: |c, raw| raw.size(64 << 20..=PB).map(|bytes| c.store.bytes_limit = bytes),
    show: |c| bytes(c.store.bytes_limit),
}];

const LIMITS: &[Key<Config>] = &[
    Key {
        name: "destinations",
        doc: "Queues and topics, temporary ones included.",
        read: |c, raw| raw.count(1..=100 * MILLION).map(|count| c.broker.destinations_max = count),
        show: |c| plain(c.broker.destinations_max),
    },
    Key {
        name: "consumers",
        doc: "Consumers of all connections together.",
        read: |c, raw| raw.count(1..=100 * MILLION).map(|count| c.broker.consumers_max = count),
        show: |c| plain(c.broker.consumers_max),
    },
    Key {
        name: "durable_subscriptions",
        doc: "Durable subscriptions, active or not.",
        read: |c, raw| raw.count(0..=100 * MILLION).map(|count| c.broker.durable_subscriptions_max = count),
        show: |c| plain(c.broker.durable_subscriptions_max),
    },
    Key {
        name: "producers_audited",
        doc: "Producers whose last message is remembered, so that one sent twice is taken once.",
        read: |c, raw| raw.count(0..=100 * MILLION).map(|count| c.broker.producers_audited_max = count),
        show: |c| plain(c.broker.producers_audited_max),
    },
    Key {
        name: "browse_messages",
        doc: "Messages that one queue browser walks over (maxBrowsePageSize).",
        read: |c, raw| raw.count(1..=100 * MILLION).map(|count| c.broker.browse_messages_max = count),
        show: |c| plain(c.broker.browse_messages_max),
    },
    Key {
        name: "prefetch",
        doc: "Largest prefetch of a consumer; larger wishes get this one.",
        read: |c, raw| raw.count(1..=i64::from(i32::MAX)).map(|count| c.broker.prefetch_max = count as u32),
        show: |c| plain(c.broker.prefetch_max),
    },
    Key {
        name: "transaction_operations",
        doc: "Messages and acknowledgements in one transaction (maxUncommittedCount).",
        read: |c, raw| raw.count(1..=100 * MILLION).map(|count| c.broker.transaction_operations_max = count),
        show: |c| plain(c.broker.transaction_operations_max),
    },
    Key {
        name: "transaction_size",
        doc: "Sizes of the messages in one transaction, summed up.",
        read: |c, raw| raw.size(64 << 10..=1 << 40).map(|bytes| c.broker.transaction_bytes_max = bytes),
        show: |c| bytes(c.broker.transaction_bytes_max),
    },
    Key {
        name: "sessions_per_connection",
        doc: "JMS sessions of one connection.",
        read: |c, raw| raw.count(1..=MILLION).map(|count| c.connection.sessions_max = count),
        show: |c| plain(c.connection.sessions_max),
    },
    Key {
        name: "transactions_per_connection",
        doc: "Transactions that one connection may have open.",
        read: |c, raw| raw.count(1..=MILLION).map(|count| c.connection.transactions_max = count),
        show: |c| plain(c.connection.transactions_max),
    },
    Key {
        name: "properties_per_message",
        doc: "Properties of one message, those within maps and lists included.",
        read: |c, raw| raw.count(0..=MILLION).map(|count| c.connection.properties.count_max = count),
        show: |c| plain(c.connection.properties.count_max),
    },
    Key {
        name: "properties_size",
        doc: "All properties of one message together.",
        read: |c, raw| {
            let bytes = raw.size(0..=i32::MAX as u64)?;
            c.connection.properties.bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
            Ok(())
        },
        show: |c| bytes(c.connection.properties.bytes_max as u64),
    },
    Key {
        name: "routing_hops",
        doc: "Bindings of [[routing]] that one message passes; after them it stays where it is.",
        read: |c, raw| raw.count(1..=64).map(|count| c.broker.routing_hops_max = count),
        show: |c| plain(c.broker.routing_hops_max),
    },
    Key {
        name: "routing_targets",
        doc: "Destinations that [[routing]] sends one message to.",
        read: |c, raw| raw.count(1..=1024).map(|count| c.broker.routing_targets_max = count),
        show: |c| plain(c.broker.routing_targets_max),
    },
];

const POLICY: &[Key<Config>] = &[
    Key {
        name: "deadline_ms",
        doc: "Longest time for one answer; after it the built-in policy decides that batch.",
        read: |c, raw| raw.integer(1..=60_000).map(|ms| c.policy.call_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.policy.call_ms_max),
    },
    Key {
        name: "memory_limit",
        doc: "Memory of one policy on one destination.",
        read: |c, raw| {
            let bytes = raw.size(1 << 20..=1 << 30)?;
            c.policy.memory_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
            Ok(())
        },
        show: |c| bytes(c.policy.memory_bytes_max as u64),
    },
    Key {
        name: "instances",
        doc: "Policies kept awake at the same time; beyond it the idlest are put to sleep with their state.",
        read: |c, raw| raw.count(1..=100_000).map(|count| c.policy.instances_live_max = count),
        show: |c| plain(c.policy.instances_live_max),
    },
    Key {
        name: "dispatch_rows",
        doc: "Most messages that a policy is asked about at once.",
        read: |c, raw| {
            let rows = raw.count(1..=65_536)?;
            c.broker.dispatch_rows_max = rows;
            Ok(())
        },
        show: |c| plain(c.broker.dispatch_rows_max),
    },
];

const LOG: &[Key<Config>] = &[
    Key {
        name: "level",
        doc: "error, warn, info, debug or trace, also by room: \"info,server=debug\". `--log-level` goes before it.",
        read: |c, raw| {
            let level = raw.name()?;
            check_level(level)?;
            c.log.level = level.to_owned();
            Ok(())
        },
        show: |c| text(&c.log.level),
    },
    Key {
        name: "format",
        doc: "\"human\" for lines of text, \"json\" for an object on each line. `--log-format` goes before it.",
        read: |c, raw| {
            c.log.format = match raw.name()? {
                "human" => LogFormat::Human,
                "json" => LogFormat::Json,
                other => return Err(unknown("format", other, &["human", "json"])),
            };
            Ok(())
        },
        show: |c| text(if c.log.format == LogFormat::Json { "json" } else { "human" }),
    },
];

/// Keys of a destination that mean nothing to topics.
pub(crate) const QUEUES_ONLY: &[&str] = &[
    "dispatch_policy",
    "message_group_policy",
    "message_groups",
    "group_owner_grace_ms",
    "all_consumers_exclusive_by_default",
    "use_consumer_priority",
    "time_before_dispatch_starts_ms",
    "consumers_before_dispatch_starts",
];

/// Keys of `[default_destination]` and of each `[[destination]]`.
pub(crate) const DESTINATION: &[Key<DestinationSettings>] = &[
    Key {
        name: "dispatch_policy",
        doc: "Which consumer gets a message (queues only): a stock policy or the name of a [[policy.stock]], with\n\
              \"native:\" in front for the twin built into the broker, or the name of a [[policy.component]].",
        read: |d, raw| raw.name().map(|name| d.dispatch_policy = name.to_owned()),
        show: |d| text(&d.dispatch_policy),
    },
    Key {
        name: "topic_dispatch_policy",
        doc: "Which subscriptions get a message and in which order (topics only): \"strict-order\", \"priority\" or\n\
              \"priority-network\", the same with \"native:\" in front, or the name of a [[policy.component]].\n\
              Left out: all, in order of arrival (dispatchPolicy).",
        read: |d, raw| raw.name().map(|name| d.topic_dispatch_policy = Some(name.to_owned())),
        show: |d| match &d.topic_dispatch_policy {
            Some(policy) => text(policy),
            None => Shown::Unset("\"priority\""),
        },
    },
    Key {
        name: "message_group_policy",
        doc: "Which consumer owns a message group (queues only, messageGroupMapFactoryType): \"sticky\" is whoever it\n\
              was given to, \"hash-bucket\" gives groups of a bucket to one consumer, \"consistent-hash\" gives new\n\
              consumers a share of the groups; the same with \"native:\" in front, or a [[policy.component]].",
        read: |d, raw| raw.name().map(|name| d.message_group_policy = name.to_owned()),
        show: |d| text(&d.message_group_policy),
    },
    Key {
        name: "message_groups",
        doc: "Message groups that one queue remembers (queues only, cacheSize). Beyond it the longest idle are\n\
              forgotten, never one with a message in flight, so order is kept.",
        read: |d, raw| raw.count(1..=100 * MILLION).map(|count| d.message_groups_max = count),
        show: |d| plain(d.message_groups_max),
    },
    Key {
        name: "group_owner_grace_ms",
        doc: "How long after a restart message groups wait for their owners to come back, from the first consumer\n\
              on (queues only).",
        read: |d, raw| raw.integer(0..=MS_MAX).map(|ms| d.group_owner_grace_ms = ms),
        show: |d| plain(d.group_owner_grace_ms),
    },
    Key {
        name: "all_consumers_exclusive_by_default",
        doc: "One consumer gets everything, as if all were exclusive (queues only, allConsumersExclusiveByDefault).",
        read: |d, raw| raw.flag().map(|on| d.all_consumers_exclusive_by_default = on),
        show: |d| plain(d.all_consumers_exclusive_by_default),
    },
    Key {
        name: "use_consumer_priority",
        doc: "Consumers of higher priority first (queues only, useConsumerPriority).",
        read: |d, raw| raw.flag().map(|on| d.use_consumer_priority = on),
        show: |d| plain(d.use_consumer_priority),
    },
    Key {
        name: "time_before_dispatch_starts_ms",
        doc: "Wait so long after the first consumer came, so that groups are shared out among those that come with\n\
              it (queues only, timeBeforeDispatchStarts).",
        read: |d, raw| raw.integer(0..=MS_MAX).map(|ms| d.time_before_dispatch_starts_ms = ms),
        show: |d| plain(d.time_before_dispatch_starts_ms),
    },
    Key {
        name: "consumers_before_dispatch_starts",
        doc: "… or until so many consumers are there, and if no time is set for a second at most (queues only,\n\
              consumersBeforeDispatchStarts).",
        read: |d, raw| raw.count(0..=MILLION).map(|count| d.consumers_before_dispatch_starts = count),
        show: |d| plain(d.consumers_before_dispatch_starts),
    },
    Key {
        name: "prioritized_messages",
        doc: "Higher priority first (prioritizedMessages).",
        read: |d, raw| raw.flag().map(|on| d.prioritized_messages = on),
        show: |d| plain(d.prioritized_messages),
    },
    Key {
        name: "memory_limit",
        doc: "Non-persistent messages that one destination may hold; 0 for no limit but memory.limit (memoryLimit).",
        read: |d, raw| raw.size(0..=PB).map(|bytes| d.memory_bytes_limit = bytes),
        show: |d| bytes(d.memory_bytes_limit),
    },
    Key {
        name: "expire_messages_period_ms",
        doc: "How often expired messages are looked for; 0 for never (expireMessagesPeriod).",
        read: |d, raw| raw.integer(0..=MS_MAX).map(|ms| d.expire_messages_period_ms = ms),
        show: |d| plain(d.expire_messages_period_ms),
    },
    Key {
        name: "dead_letter_queue",
        doc: "Queue for messages that cannot be delivered (deadLetterQueue).",
        read: |d, raw| {
            let name = raw.name()?;
            check_destination(name)?;
            d.dead_letter_queue = name.into();
            Ok(())
        },
        show: |d| text(&d.dead_letter_queue),
    },
    Key {
        name: "individual_dead_letter_prefix",
        doc: "Gives each destination a dead-letter queue of its own: this text and its name\n\
              (individualDeadLetterStrategy).",
        read: |d, raw| {
            let prefix = raw.name()?;
            check_destination(prefix)?;
            d.individual_dead_letter_prefix = Some(prefix.into());
            Ok(())
        },
        show: |d| match &d.individual_dead_letter_prefix {
            Some(prefix) => text(prefix),
            None => Shown::Unset("\"ActiveMQ.DLQ.Queue.\""),
        },
    },
    Key {
        name: "dead_letter_expired",
        doc: "Expired messages become dead letters (processExpired).",
        read: |d, raw| raw.flag().map(|on| d.dead_letter_expired = on),
        show: |d| plain(d.dead_letter_expired),
    },
    Key {
        name: "dead_letter_non_persistent",
        doc: "Non-persistent messages become dead letters too (processNonPersistent).",
        read: |d, raw| raw.flag().map(|on| d.dead_letter_non_persistent = on),
        show: |d| plain(d.dead_letter_non_persistent),
    },
];

/// Says what is wrong with a log filter: levels, and levels for a room, with commas between them.
pub(crate) fn check_level(filter: &str) -> Result<(), Fault> {
    for part in filter.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        if !["off", "error", "warn", "info", "debug", "trace"].contains(&level) {
            let remedy = "write off, error, warn, info, debug or trace, or such as info,server=debug";
            return Err(Fault::new(format!("{level:?} is no log level"), remedy));
        }
    }
    EnvFilter::builder()
        .parse(filter)
        .map(|_| ())
        .map_err(|error| Fault::new(format!("is no log filter ({error})"), "write such as info,server=debug"))
}

/// Says what is wrong with the name of a single queue.
fn check_destination(name: &str) -> Result<(), Fault> {
    let destination = message::Destination::queue(name.to_owned());
    if let Err(error) = destination.check() {
        return Err(Fault::new(error.to_string(), "write the name of a queue without queue:// in front"));
    }
    if destination.is_wildcard() || destination.is_composite() || name.contains("://") {
        return Err(Fault::new("names more than a queue", "write one name without wildcards, commas and queue://"));
    }
    Ok(())
}

/// A text in quotes.
pub(crate) fn text(value: &str) -> Shown {
    Shown::Value(toml::Value::String(value.to_owned()).to_string())
}

/// A list of texts.
pub(crate) fn list(values: &[String]) -> Shown {
    let values = values.iter().map(|value| toml::Value::String(value.clone()));
    Shown::Value(toml::Value::Array(values.collect()).to_string())
}

/// A number or a flag.
pub(crate) fn plain(value: impl ToString) -> Shown {
    Shown::Value(value.to_string())
}

/// A size with its unit.
pub(crate) fn bytes(value: u64) -> Shown {
    match size::show(value) {
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => Shown::Value(number),
        with_unit => text(&with_unit),
    }
}
