//! The scenarios by name, as the published figures of other brokers name them.

use clap::ValueEnum;

/// How a producer learns that its messages are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Each send waits for its confirmation.
    Sync,
    /// Nothing is confirmed; messages gather into large writes.
    Async,
    /// So many sends to a transaction; the commit is confirmed.
    Transacted(u32),
}

/// How a consumer acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acking {
    /// Each message alone.
    Each,
    /// One range for half a prefetch.
    Batch,
}

/// All that a load needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) topic: bool,
    pub(crate) producers: u32,
    pub(crate) consumers: u32,
    pub(crate) body_bytes: usize,
    /// Each body is filled anew.
    pub(crate) fresh_bodies: bool,
    pub(crate) persistent: bool,
    pub(crate) sending: Sending,
    pub(crate) acking: Acking,
    /// Most messages on their way at once, over all producers; none sends without limit.
    pub(crate) window: Option<u64>,
    /// Messages per second over all producers, sent at their time whatever the broker does.
    pub(crate) rate: Option<f64>,
    pub(crate) prefetch: u32,
    /// Each consumer takes its own share of the messages by a selector.
    pub(crate) selectors: bool,
    /// Message groups, three of four messages in one of them; 0 for none.
    pub(crate) groups: u32,
}

/// What a scenario does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Producers and consumers at once, for a time.
    Flow,
    /// So many messages in, then out.
    Backlog(u64),
    /// So many connections that do nothing.
    Idle(u32),
    /// So many new queues with one message each.
    Queues(u32),
    /// A program's start until it answers.
    Start,
}

/// A row of the table.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    plan: Plan,
}

impl Scenario {
    /// A copy of the plan, to be changed by flags.
    pub(crate) fn plan(&self) -> Plan {
        self.plan.clone()
    }
}

/// One persistent producer and consumer, message by message: what all others differ from.
const BASE: Plan = Plan {
    topic: false,
    producers: 1,
    consumers: 1,
    body_bytes: 1024,
    fresh_bodies: false,
    persistent: true,
    sending: Sending::Sync,
    acking: Acking::Each,
    window: None,
    rate: None,
    prefetch: 1000,
    selectors: false,
    groups: 0,
};

const FAST: Plan = Plan { persistent: false, sending: Sending::Async, acking: Acking::Batch, ..BASE };

/// All scenarios in the order of `list`.
pub(crate) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "s1",
        about: "persistent, 1 producer sending one by one, 1 consumer",
        kind: Kind::Flow,
        plan: BASE,
    },
    Scenario {
        name: "s2",
        about: "as s1 with 8 producers and 8 consumers",
        kind: Kind::Flow,
        plan: Plan { producers: 8, consumers: 8, ..BASE },
    },
    Scenario {
        name: "s3",
        about: "persistent, transacted, 100 a batch, window 2000",
        kind: Kind::Flow,
        plan: Plan { sending: Sending::Transacted(100), acking: Acking::Batch, window: Some(2000), ..BASE },
    },
    Scenario { name: "s4", about: "non-persistent 1x1, asynchronous, no window", kind: Kind::Flow, plan: FAST },
    Scenario {
        name: "s4w",
        about: "non-persistent 1x1, asynchronous, window 1000",
        kind: Kind::Flow,
        plan: Plan { window: Some(1000), ..FAST },
    },
    Scenario {
        name: "s5w",
        about: "non-persistent 4x4, asynchronous, window 4000",
        kind: Kind::Flow,
        plan: Plan { producers: 4, consumers: 4, window: Some(4000), ..FAST },
    },
    Scenario {
        name: "s6",
        about: "topic, non-persistent, 1 publisher, 20 subscribers, window 500",
        kind: Kind::Flow,
        plan: Plan { topic: true, consumers: 20, window: Some(500), prefetch: 32766, ..FAST },
    },
    Scenario {
        name: "s7",
        about: "200,000 persistent messages in (commit each 100), then out one by one",
        kind: Kind::Backlog(200_000),
        plan: Plan { sending: Sending::Transacted(100), ..BASE },
    },
    Scenario {
        name: "s9",
        about: "latency at 1,000 persistent messages a second, counted from the intended time",
        kind: Kind::Flow,
        plan: Plan { rate: Some(1000.0), ..BASE },
    },
    Scenario { name: "s10", about: "1,000 idle connections", kind: Kind::Idle(1000), plan: BASE },
    Scenario {
        name: "s12",
        about: "50 consumers with distinct selectors on one queue",
        kind: Kind::Flow,
        plan: Plan { consumers: 50, selectors: true, ..BASE },
    },
    Scenario {
        name: "s13",
        about: "10,000 new queues, one message each, a commit each 100",
        kind: Kind::Queues(10_000),
        plan: Plan { sending: Sending::Transacted(100), ..BASE },
    },
    Scenario {
        name: "start",
        about: "time from --command to an answer at --broker, and memory then",
        kind: Kind::Start,
        plan: BASE,
    },
    Scenario {
        name: "custom",
        about: "as s4 (--persistent: as s1), to be changed by flags",
        kind: Kind::Flow,
        plan: FAST,
    },
];

/// The row of a name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are unique and findable, and the numbers that reports rely on are those of the published figures.
    #[test]
    fn table() {
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            assert!(SCENARIOS[..index].iter().all(|earlier| earlier.name != scenario.name), "{}", scenario.name);
            assert!(std::ptr::eq(find(scenario.name).unwrap(), scenario));
            assert!(scenario.about.len() < 100);
            assert_eq!(scenario.plan.body_bytes, 1024);
        }
        let check = |name: &str, producers, consumers, persistent, window| {
            let plan = find(name).unwrap().plan();
            let got = (plan.producers, plan.consumers, plan.persistent, plan.window);
            assert_eq!(got, (producers, consumers, persistent, window), "{name}");
        };
        check("s1", 1, 1, true, None);
        check("s2", 8, 8, true, None);
        check("s4", 1, 1, false, None);
        check("s5w", 4, 4, false, Some(4000));
        check("s6", 1, 20, false, Some(500));
        check("s12", 1, 50, true, None);
        assert_eq!(find("s7").unwrap().kind, Kind::Backlog(200_000));
        assert!(find("s99").is_none());
    }
}
