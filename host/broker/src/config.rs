//! What the broker machine is told when it is made. Plain values; the program reads files and gives defaults by name.

use message::{Pattern, Text};

/// Limits and habits of the whole machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the broker, for refusals and advisories (row B02).
    pub broker_name: Text,
    /// Bytes of non-persistent messages held for all destinations together; above it producers wait (rows Q01, Q04).
    pub memory_bytes_limit: u64,
    /// Bytes of persistent bodies kept in memory although the journal has them; above it only references are kept.
    pub body_window_bytes: u64,
    /// Bytes of persistent bodies one destination may keep in memory of those.
    pub body_window_bytes_per_destination: u64,
    /// Refuse in place of waiting when a limit is reached (row Q05).
    pub send_fail_if_no_space: bool,
    /// Refuse after waiting this long, ms; 0 waits without end (row Q05).
    pub send_fail_if_no_space_after_timeout_ms: i64,
    /// Bytes handed to one connection and not yet taken by its socket; above it nothing more is handed to it.
    pub connection_window_bytes: u64,
    /// Operations in one transaction (`maxUncommittedCount`, row W26).
    pub transaction_operations_max: usize,
    /// Bytes of messages in one transaction.
    pub transaction_bytes_max: u64,
    /// Destinations, temporary ones included.
    pub destinations_max: usize,
    /// Consumers of all connections together.
    pub consumers_max: usize,
    /// Durable subscriptions, active or not.
    pub durable_subscriptions_max: usize,
    /// Producers whose last message is remembered against duplicates (row L05).
    pub producers_audited_max: usize,
    /// Messages one queue browser walks over (row P07, `maxBrowsePageSize`).
    pub browse_messages_max: usize,
    /// Largest prefetch granted; larger wishes get this.
    pub prefetch_max: u32,
    /// Rows in one question to a dispatch policy.
    pub dispatch_rows_max: usize,
    /// Whether advisories are sent (row E01).
    pub advisory_support: bool,
    /// Policies by destination; the most specific match wins (row P05).
    pub destinations: Vec<DestinationPolicy>,
    /// For destinations that no policy matches.
    pub default_destination: DestinationSettings,
    /// Which policies say where sent messages go; the most specific pattern wins.
    pub routing: Vec<Routing>,
    /// Bindings of publish routing that one message passes.
    pub routing_hops_max: usize,
    /// Destinations that publish routing sends one message to.
    pub routing_targets_max: usize,
}

/// Binds what is sent to the destinations of a pattern to a routing policy.
#[derive(Clone, Debug)]
pub struct Routing {
    /// True for queues, false for topics.
    pub is_queue: bool,
    /// Which names.
    pub pattern: Pattern,
    /// Name of the policy.
    pub policy: String,
    /// What the policy is told, in this order.
    pub settings: Vec<(String, String)>,
}

/// Settings for the destinations of a pattern (row P05).
#[derive(Clone, Debug)]
pub struct DestinationPolicy {
    /// True for queues, false for topics.
    pub is_queue: bool,
    /// Which names.
    pub pattern: Pattern,
    /// What holds for them.
    pub settings: DestinationSettings,
}

/// What can be set per destination.
#[derive(Clone, Debug)]
pub struct DestinationSettings {
    /// Name of the dispatch policy (queues only).
    pub dispatch_policy: String,
    /// Name of the message-group policy (queues only, row C15).
    pub message_group_policy: String,
    /// Message groups one queue remembers; beyond it the longest idle are forgotten (row C15).
    pub message_groups_max: usize,
    /// How long after a restart a message group waits for its owner to come back, ms, from the first consumer on.
    pub group_owner_grace_ms: i64,
    /// All consumers are exclusive ones (row P11).
    pub all_consumers_exclusive_by_default: bool,
    /// Consumers of higher priority are served first (row P11).
    pub use_consumer_priority: bool,
    /// After the first consumer came nothing is dispatched for this time, ms (row P12).
    pub time_before_dispatch_starts_ms: i64,
    /// … or until so many consumers are there; 0 for the time alone (row P12).
    pub consumers_before_dispatch_starts: usize,
    /// Name of the topic dispatch policy (topics only); `None` serves all subscriptions in order of arrival (row C02).
    pub topic_dispatch_policy: Option<String>,
    /// Higher priority first (row P11).
    pub prioritized_messages: bool,
    /// Bytes of non-persistent messages this destination may hold (row P09); 0 for the machine's limit alone.
    pub memory_bytes_limit: u64,
    /// How often expired messages are looked for, ms; 0 for never (row R08).
    pub expire_messages_period_ms: i64,
    /// Where dead letters go (row R02).
    pub dead_letter_queue: Text,
    /// Dead letters go to a queue each destination has for itself: this text in front of its name (row R03).
    pub individual_dead_letter_prefix: Option<Text>,
    /// Expired messages become dead letters (row R02).
    pub dead_letter_expired: bool,
    /// Non-persistent messages become dead letters too (row R02).
    pub dead_letter_non_persistent: bool,
}

impl Default for DestinationSettings {
    fn default() -> DestinationSettings {
        DestinationSettings {
            dispatch_policy: "round-robin".into(),
            message_group_policy: "sticky".into(),
            message_groups_max: 100_000,
            group_owner_grace_ms: 10_000,
            all_consumers_exclusive_by_default: false,
            use_consumer_priority: true,
            time_before_dispatch_starts_ms: 0,
            consumers_before_dispatch_starts: 0,
            topic_dispatch_policy: None,
            prioritized_messages: false,
            memory_bytes_limit: 0,
            expire_messages_period_ms: 30_000,
            dead_letter_queue: Text::from_static("ActiveMQ.DLQ"),
            individual_dead_letter_prefix: None,
            dead_letter_expired: true,
            dead_letter_non_persistent: false,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            broker_name: Text::from_static("localhost"),
            memory_bytes_limit: 1024 * 1024 * 1024,
            body_window_bytes: 32 * 1024 * 1024,
            body_window_bytes_per_destination: 8 * 1024 * 1024,
            send_fail_if_no_space: false,
            send_fail_if_no_space_after_timeout_ms: 0,
            connection_window_bytes: 4 * 1024 * 1024,
            transaction_operations_max: 1_000_000,
            transaction_bytes_max: 256 * 1024 * 1024,
            destinations_max: 1_000_000,
            consumers_max: 1_000_000,
            durable_subscriptions_max: 100_000,
            producers_audited_max: 4096,
            browse_messages_max: 100_000,
            prefetch_max: 1_000_000,
            dispatch_rows_max: 256,
            advisory_support: true,
            destinations: Vec::new(),
            default_destination: DestinationSettings::default(),
            routing: Vec::new(),
            routing_hops_max: 8,
            routing_targets_max: 64,
        }
    }
}

impl Config {
    /// The settings of a destination: of the policies that match, the most specific one's. A pattern is more specific
    /// the later its first wildcard comes; a full name beats all patterns.
    pub fn settings(&self, is_queue: bool, name: &str) -> &DestinationSettings {
        self.destinations
            .iter()
            .filter(|policy| policy.is_queue == is_queue && policy.pattern.matches(name))
            .max_by_key(|policy| policy.pattern.specificity())
            .map_or(&self.default_destination, |policy| &policy.settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_policy_wins() {
        let policy = |pattern: &'static str, dispatch: &str| DestinationPolicy {
            is_queue: true,
            pattern: Pattern::new(Text::from_static(pattern)),
            settings: DestinationSettings { dispatch_policy: dispatch.into(), ..DestinationSettings::default() },
        };
        let config = Config {
            destinations: vec![policy(">", "all"), policy("A.*", "star"), policy("A.B", "name"), policy("A.>", "rest")],
            ..Config::default()
        };
        for (name, expected) in [("A.B", "name"), ("A.C", "star"), ("A.C.D", "rest"), ("Z", "all")] {
            assert_eq!(config.settings(true, name).dispatch_policy, expected, "{name}");
        }
        assert_eq!(config.settings(false, "A.B").dispatch_policy, "round-robin");
    }
}
