//! Publish routing: what becomes of messages whose destinations are bound to a policy.

mod house;

use std::sync::Arc;

use broker::{Config, Routing, RoutingStats};
use house::{House, delivered, text_of};
use message::{Command, Pattern, Value};
use plugin::native::NativeHost;
use plugin::{
    Decided, GroupAssignment, Messages, Point, PolicyError, PolicyHost, PolicyInfo, PolicyStats, PublishRouting,
    QueueDispatch, SymbolTable, Verdict,
};

fn bound(pattern: &str, policy: &str, settings: &[(&str, &str)]) -> Routing {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let pattern = message::Destination::parse(pattern, message::DestinationKind::Queue);
    Routing {
        is_queue: pattern.kind.is_queue(),
        pattern: Pattern::new(pattern.name),
        policy: policy.to_owned(),
        settings,
    }
}

fn house(routing: Vec<Routing>) -> House {
    let mut house = House::with(Config { routing, ..Config::default() });
    house.connect(1);
    house.connect(2);
    house.take(1);
    house
}

impl House {
    /// Sends a persistent message with a property `kind`; the outcome of receipt 7.
    fn send_kind(&mut self, destination: &str, kind: &'static str) -> Result<u32, String> {
        let mut message = self.message(1, destination, kind);
        message.properties = message.properties.with("kind", &Value::Text(kind.into()));
        self.publish(1, message, Some(7));
        self.replies(1).pop().expect("an answer")
    }

    fn routing_stats(&self, at: usize) -> RoutingStats {
        self.broker.routing()[at].routing
    }
}

const RULES: &[(&str, &str)] = &[
    ("to EU.ORDERS, topic://SEEN", "kind = 'eu'"),
    ("also AUDIT", "kind = 'dear'"),
    ("drop", "kind = 'noise'"),
    ("reject no wine on weekdays", "kind = 'wine'"),
    ("dead-letter not for us", "kind = 'lost'"),
];

/// Each verdict does what it says, and only a rejection reaches the producer.
#[test]
fn a_policy_says_where_messages_go() {
    let mut house = house(vec![bound("ORDERS.>", "content-based", RULES)]);
    house.subscribe(2, 1, "topic://SEEN");
    house.take(2);
    for kind in ["eu", "dear", "noise", "lost", "plain"] {
        assert_eq!(house.send_kind("ORDERS.NEW", kind), Ok(7), "{kind}");
    }
    let refused = house.send_kind("ORDERS.NEW", "wine").unwrap_err();
    let sentence = "message to queue://ORDERS.NEW rejected by routing policy content-based: no wine on weekdays";
    assert_eq!(refused, sentence);
    let counts = ["queue://ORDERS.NEW", "queue://EU.ORDERS", "queue://AUDIT", "queue://ActiveMQ.DLQ"];
    assert_eq!(counts.map(|name| house.pending(name)), [2, 1, 1, 1]);
    let seen = house.take(2);
    let seen: Vec<_> = seen.iter().filter_map(delivered).collect();
    assert_eq!(seen.len(), 1);
    let original = seen[0].message.original_destination.as_ref().map(ToString::to_string);
    assert_eq!((text_of(seen[0]).as_str(), original.as_deref()), ("eu", Some("queue://ORDERS.NEW")));
    let expected = RoutingStats {
        as_addressed: 1,
        replaced: 1,
        added: 1,
        dropped: 1,
        rejected: 1,
        dead_lettered: 1,
        ..RoutingStats::default()
    };
    assert_eq!(house.routing_stats(0), expected);
    house.subscribe(2, 2, "ActiveMQ.DLQ");
    let dead = house.take(2);
    let dead = dead.iter().find_map(delivered).expect("a dead letter");
    let cause = dead.message.properties.get("dlqDeliveryFailureCause");
    assert_eq!(cause.and_then(|cause| cause.to_text().map(|text| text.into_owned())).as_deref(), Some("not for us"));
}

/// All copies are in the group that the receipt waits for: a crash finds all of them or none.
#[test]
fn copies_become_durable_together() {
    let mut house = house(vec![bound("A", "wiretap", &[("targets", "B,C")])]);
    house.prompt = false;
    let message = house.message(1, "A", "one");
    house.publish(1, message, Some(7));
    assert_eq!(house.replies(1), [], "nothing is durable yet");
    assert_eq!(house.waiting.len(), 1, "one group for all the copies");
    house.confirm();
    house.settle();
    assert_eq!(house.replies(1), [Ok(7)]);
    house.prompt = true;
    let mut house = house.restart(Config::default(), false);
    house.connect(2);
    assert_eq!(["queue://A", "queue://B", "queue://C"].map(|name| house.pending(name)), [1, 1, 1]);
}

/// A client that came back and repeats its send is not asked about again, whatever became of the first.
#[test]
fn repeated_sends_are_known_before_the_policy_is_asked() {
    let mut house = house(vec![bound("A", "wiretap", &[("targets", "B")])]);
    let message = house.message(1, "A", "one");
    house.publish(1, message.clone(), Some(1));
    house.act(1, Command::Disconnect);
    house.connect_as(1, None, true);
    house.publish(1, message, Some(2));
    assert_eq!(house.replies(1).pop(), Some(Ok(2)));
    assert_eq!(["queue://A", "queue://B"].map(|name| house.pending(name)), [1, 1]);
    assert_eq!(house.routing_stats(0).added, 1);
}

/// A rejected send is not on record as sent: its repetition is rejected again and not taken for done.
#[test]
fn a_rejected_send_stays_rejected_when_it_is_repeated() {
    let mut house = house(vec![bound("A", "content-based", &[("reject no", "TRUE")])]);
    let message = house.message(1, "A", "one");
    house.publish(1, message.clone(), Some(1));
    house.act(1, Command::Disconnect);
    house.connect_as(1, None, true);
    house.take(1);
    house.publish(1, message, Some(2));
    assert!(house.replies(1).pop().expect("an answer").unwrap_err().contains("rejected by routing policy"));
}

/// Sends of a transaction are asked about when it commits; one rejection and nothing of it happens.
#[test]
fn a_transaction_is_routed_at_commit_and_as_a_whole() {
    let mut house = house(vec![bound("ORDERS.>", "content-based", RULES)]);
    let send = |house: &mut House, kind: &'static str, transaction| {
        let mut message = house.message(1, "ORDERS.NEW", kind);
        message.properties = message.properties.with("kind", &Value::Text(kind.into()));
        house.publish_in(1, message, None, Some(transaction));
    };
    house.act(1, Command::Begin { transaction: 1, receipt: None });
    for kind in ["eu", "dear", "plain"] {
        send(&mut house, kind, 1);
    }
    assert_eq!(house.routing_stats(0), RoutingStats::default(), "nobody was asked yet");
    house.act(1, Command::Commit { transaction: 1, receipt: Some(1) });
    assert_eq!(house.replies(1), [Ok(1)]);
    let counts = ["queue://ORDERS.NEW", "queue://EU.ORDERS", "queue://AUDIT"];
    assert_eq!(counts.map(|name| house.pending(name)), [2, 1, 1]);

    house.act(1, Command::Begin { transaction: 2, receipt: None });
    for kind in ["eu", "wine", "plain"] {
        send(&mut house, kind, 2);
    }
    house.act(1, Command::Commit { transaction: 2, receipt: Some(2) });
    assert!(house.replies(1).pop().expect("an answer").unwrap_err().contains("no wine on weekdays"));
    assert_eq!(counts.map(|name| house.pending(name)), [2, 1, 1], "none of it happened");
    assert_eq!(house.broker.memory().0, 0, "and none of it is kept");
}

/// Bindings that lead to one another end: each is asked once on a way, and a message is never lost on it.
#[test]
fn bindings_that_lead_in_a_circle_end() {
    let mut house = house(vec![
        bound("A", "wiretap", &[("targets", "B")]),
        bound("B", "content-based", &[("to A", "TRUE")]),
        bound("X", "content-based", &[("to Y", "TRUE")]),
        bound("Y", "content-based", &[("to X", "TRUE")]),
    ]);
    assert_eq!(house.send_kind("A", "x"), Ok(7));
    assert_eq!(["queue://A", "queue://B"].map(|name| house.pending(name)), [1, 0], "one copy of it is enough");
    assert_eq!(house.send_kind("X", "x"), Ok(7));
    assert_eq!(["queue://X", "queue://Y"].map(|name| house.pending(name)), [1, 0]);
    assert_eq!((0..4).map(|at| house.routing_stats(at).hops_cut).collect::<Vec<_>>(), [1, 0, 1, 0]);
}

/// The limits on the way and on the copies hold, are counted, and leave the message somewhere.
#[test]
fn hops_and_targets_are_bounded() {
    let chain = (0..5).map(|at| bound(&format!("Q{at}"), "content-based", &[(&format!("to Q{}", at + 1), "TRUE")]));
    let many: Vec<String> = (0..9).map(|at| format!("T{at}")).collect();
    let mut routing: Vec<Routing> = chain.collect();
    routing.push(bound("MANY", "wiretap", &[("targets", &many.join(","))]));
    let mut house = House::with(Config { routing, routing_hops_max: 3, routing_targets_max: 4, ..Config::default() });
    house.connect(1);
    assert_eq!(house.send_kind("Q0", "x"), Ok(7));
    assert_eq!(house.pending("queue://Q3"), 1);
    assert_eq!(house.routing_stats(3).hops_cut, 1);
    assert_eq!(house.send_kind("MANY", "x"), Ok(7));
    let copies: usize = (0..9).map(|at| house.pending(&format!("queue://T{at}"))).sum();
    assert_eq!((house.pending("queue://MANY"), copies), (1, 3));
    let stats = house.routing_stats(5);
    assert_eq!((stats.corrected, stats.targets_cut), (5, 1));
}

/// Each part of a composite is asked about alone; temporary destinations and advisories never are.
#[test]
fn composites_are_taken_apart_and_temporaries_left_alone() {
    let mut house =
        house(vec![bound("A", "wiretap", &[("targets", "TAP")]), bound("topic://>", "wiretap", &[("targets", "TAP")])]);
    assert_eq!(house.send_kind("A,B", "x"), Ok(7));
    assert_eq!(["queue://A", "queue://B", "queue://TAP"].map(|name| house.pending(name)), [1, 1, 1]);
    house.subscribe(2, 1, "temp-queue://nobody");
    house.subscribe(2, 2, "topic://ActiveMQ.Advisory.>");
    house.connect(3);
    assert_eq!(house.pending("queue://TAP"), 1, "advisories are not tapped");
}

/// Policies that answer nonsense: what cannot be is taken out and counted, and the message stays where it was sent.
#[derive(Default)]
struct Nonsense {
    native: NativeHost,
}

struct Wrong(PolicyStats);

impl PublishRouting for Wrong {
    fn rows_max(&self) -> usize {
        0
    }

    fn route(&mut self, _now_ms: u64, messages: &dyn Messages, out: &mut Vec<Verdict>) -> Decided {
        out.clear();
        let answer = match messages.property(0, "kind").to_text().as_deref() {
            Some("wildcard") => vec!["queue://A.>", "topic://*", "", "A,B", "temp-queue://x", "queue://"],
            Some("advisory") => vec!["topic://ActiveMQ.Advisory.Queue"],
            Some("some") => vec!["bad\u{7}", "GOOD"],
            Some("long") => return self.long(out),
            _ => return Decided::Policy,
        };
        out.push(Verdict::Replace(answer.into_iter().map(str::to_owned).collect()));
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.0
    }
}

impl Wrong {
    fn long(&self, out: &mut Vec<Verdict>) -> Decided {
        out.extend(vec![Verdict::Drop; 3]);
        out[0] = Verdict::AsAddressed;
        Decided::Policy
    }
}

impl PolicyHost for Nonsense {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        self.native.queue_dispatch(policy, destination)
    }

    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        self.native.group_assignment(policy, destination)
    }

    fn publish_routing(
        &self,
        _policy: &str,
        _pattern: &str,
        _settings: &[(String, String)],
    ) -> Result<Box<dyn PublishRouting>, PolicyError> {
        Ok(Box::new(Wrong(PolicyStats::default())))
    }

    fn names(&self, point: Point) -> Vec<PolicyInfo> {
        self.native.names(point)
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        self.native.symbols()
    }
}

#[test]
fn nonsense_is_corrected_and_loses_nothing() {
    let config = Config { routing: vec![bound(">", "wrong", &[])], ..Config::default() };
    let mut house = House::with_policies(config, Box::new(Nonsense::default()));
    house.connect(1);
    for (count, kind) in ["wildcard", "advisory", "none", "long"].into_iter().enumerate() {
        assert_eq!(house.send_kind("A", kind), Ok(7), "{kind}");
        assert_eq!(house.pending("queue://A"), count + 1, "{kind}");
    }
    assert_eq!(house.send_kind("A", "some"), Ok(7));
    assert_eq!((house.pending("queue://A"), house.pending("queue://GOOD")), (4, 1));
    let stats = house.routing_stats(0);
    // Six targets and one, one verdict missing, two too many, one target; and the one for GOOD, asked about there.
    assert_eq!(stats.corrected, 6 + 1 + 1 + 2 + 1);
    assert_eq!(stats.hops_cut, 1, "the binding covers GOOD too and is not asked twice");
}
