//! How one run of the broker is set up: drawn anew at each start.

use broker::{Config, DestinationPolicy, DestinationSettings};
use message::{Pattern, Text};

use crate::policy::NONSENSE;
use crate::rng::Rng;

/// One run's setup.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The machine's own configuration.
    pub(crate) config: Config,
    /// Longest an append takes, ms.
    pub(crate) append_ms_max: i64,
    /// Longest a read of bodies takes, ms.
    pub(crate) load_ms_max: i64,
    /// How often, of a thousand steps, the machine ends a step and its effects come out.
    pub(crate) flush_per_mille: u64,
    /// How often, of a thousand steps, the broker dies.
    pub(crate) crash_per_mille: u64,
    /// How often, of ten thousand steps, an append begins to fail.
    pub(crate) fault_per_mille: u64,
    /// How often, of a thousand steps, the journal's disk fills or empties.
    pub(crate) full_per_mille: u64,
}

impl Options {
    /// Draws all of it. A `calm` run has no faults, small delays and no limit that refuses; one with `groups` has settings
    /// that matter to message groups.
    pub(crate) fn draw(rng: &mut Rng, calm: bool, groups: bool) -> Options {
        let mut destinations = Vec::new();
        for pattern in ["Q.*", "Q.0", "Q.1", "T.0", ">"] {
            if rng.per_mille(500) {
                destinations.push(DestinationPolicy {
                    is_queue: !pattern.starts_with('T'),
                    pattern: Pattern::new(Text::from_static(pattern)),
                    settings: settings(rng, groups),
                });
            }
        }
        let tiny = !calm && rng.per_mille(300);
        let config = Config {
            memory_bytes_limit: if tiny { 6_000 } else { 100_000_000 },
            body_window_bytes: rng.pick(&[2_000, 20_000, 10_000_000]),
            body_window_bytes_per_destination: rng.pick(&[1_000, 5_000, 40_000, 10_000_000]),
            send_fail_if_no_space: !calm && rng.per_mille(200),
            send_fail_if_no_space_after_timeout_ms: if calm { 0 } else { rng.pick(&[0, 0, 50, 3_000]) },
            connection_window_bytes: rng.pick(&[3_000, 20_000, 4_000_000]),
            transaction_operations_max: if !calm && rng.per_mille(150) { 4 } else { 100_000 },
            transaction_bytes_max: if !calm && rng.per_mille(150) { 4_000 } else { 100_000_000 },
            browse_messages_max: rng.pick(&[3, 1_000]),
            prefetch_max: rng.pick(&[3, 1_000]),
            dispatch_rows_max: rng.pick(&[1, 2, 256]),
            advisory_support: rng.per_mille(300),
            destinations,
            default_destination: settings(rng, groups),
            ..Config::default()
        };
        let crash_per_mille = rng.pick(&[0, 2, 10]);
        Options {
            config,
            append_ms_max: if calm { 5 } else { rng.pick(&[0, 3, 30, 2_000]) },
            load_ms_max: if calm { 5 } else { rng.pick(&[0, 3, 30, 1_000]) },
            flush_per_mille: rng.pick(&[150, 500, 1_000]),
            crash_per_mille: if calm { 0 } else { crash_per_mille },
            fault_per_mille: if calm { 0 } else { rng.pick(&[0, 0, 5]) },
            full_per_mille: if calm { 0 } else { rng.pick(&[0, 0, 10]) },
        }
    }
}

/// The dispatch policies that are drawn from.
const POLICIES: [&str; 8] = [
    "round-robin",
    "round-robin",
    "least-in-flight",
    "latency-aware",
    "strict-order",
    "priority",
    "fair-share",
    NONSENSE,
];

fn settings(rng: &mut Rng, groups: bool) -> DestinationSettings {
    let plain = DestinationSettings::default();
    let grouped = match groups {
        false => plain,
        true => DestinationSettings {
            message_group_policy: rng.pick(&["sticky", "sticky", "hash-bucket", "consistent-hash", NONSENSE]).into(),
            message_groups_max: rng.pick(&[2, 1_000, 1_000]),
            group_owner_grace_ms: rng.pick(&[0, 50, 2_000]),
            use_consumer_priority: rng.per_mille(800),
            time_before_dispatch_starts_ms: rng.pick(&[0, 0, 0, 100]),
            consumers_before_dispatch_starts: rng.pick(&[0, 0, 0, 2]),
            ..plain
        },
    };
    let prefix = rng.per_mille(200).then(|| Text::from_static("DLQ."));
    DestinationSettings {
        dispatch_policy: rng.pick(&POLICIES).into(),
        prioritized_messages: rng.per_mille(250),
        memory_bytes_limit: if rng.per_mille(100) { 5_000 } else { 0 },
        expire_messages_period_ms: rng.pick(&[0, 100, 5_000, 30_000]),
        dead_letter_queue: Text::from_static("ActiveMQ.DLQ"),
        individual_dead_letter_prefix: prefix,
        dead_letter_expired: rng.per_mille(500),
        dead_letter_non_persistent: rng.per_mille(300),
        ..grouped
    }
}

/// Whether a queue takes dead letters, as far as the drawn options go.
pub(crate) fn is_dead_letter_queue(name: &str) -> bool {
    name == "ActiveMQ.DLQ" || name.starts_with("DLQ.")
}
