//! Topic dispatch: subscriptions ranked and thinned out by a policy.

mod house;

use std::sync::Arc;

use broker::{Config, DestinationPolicy, DestinationSettings};
use house::{House, delivered, wish};
use message::{Command, Message, Pattern, Publish, Text};
use plugin::native::NativeHost;
use plugin::{
    Decided, FanOut, GroupAssignment, Messages, Point, PolicyError, PolicyHost, PolicyInfo, PolicyStats, QueueDispatch,
    SubscriptionRow, SymbolTable, TopicDispatch,
};

/// A policy that answers nonsense.
#[derive(Default)]
struct Nonsense {
    native: NativeHost,
}

struct Wrong(PolicyStats);

impl TopicDispatch for Wrong {
    fn plan(&mut self, _now_ms: u64, _messages: &dyn Messages, table: &[SubscriptionRow], out: &mut FanOut) -> Decided {
        out.mask = vec![0; 9];
        out.order = vec![4_000_000, table[0].slot, table[0].slot];
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.0
    }
}

impl PolicyHost for Nonsense {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        self.native.queue_dispatch(policy, destination)
    }

    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        self.native.group_assignment(policy, destination)
    }

    fn topic_dispatch(&self, _policy: &str, _destination: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        Ok(Box::new(Wrong(PolicyStats::default())))
    }

    fn names(&self, point: Point) -> Vec<PolicyInfo> {
        self.native.names(point)
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        self.native.symbols()
    }
}

fn with_topic(policy: &str) -> Config {
    let settings = DestinationSettings { topic_dispatch_policy: Some(policy.into()), ..DestinationSettings::default() };
    let pattern = Pattern::new(Text::from_static("PRICES.>"));
    Config { destinations: vec![DestinationPolicy { is_queue: false, pattern, settings }], ..Config::default() }
}

fn send_price(house: &mut House, topic: &str) {
    let mut message: Message = house.message(1, topic, "price");
    message.persistent = false;
    let publish = Publish { message: Arc::new(message), transaction: None, receipt: None, window_bytes: None };
    house.act(1, Command::Publish(publish));
}

fn subscriptions_served(house: &mut House) -> Vec<u32> {
    house.take(2).iter().filter_map(delivered).map(|delivery| delivery.subscription).collect()
}

fn subscribe_with(house: &mut House, subscription: u32, priority: i8, network: bool) {
    let mut wish = wish(2, subscription, "topic://PRICES.>");
    (wish.priority, wish.network) = (priority, network);
    house.act(2, Command::Subscribe(Box::new(wish)));
    house.take(2);
}

/// The policy's order is the order of delivery; topics that it does not cover keep the order of arrival.
#[test]
fn subscriptions_are_served_in_the_order_of_the_policy() {
    let mut house = House::with(with_topic("priority"));
    house.connect(1);
    house.connect(2);
    for (subscription, priority) in [(1, -1), (2, 5), (3, 0), (4, 5)] {
        subscribe_with(&mut house, subscription, priority, false);
    }
    send_price(&mut house, "topic://PRICES.ACME");
    assert_eq!(subscriptions_served(&mut house), [2, 4, 3, 1]);
    let report = house.broker.topics_dispatched();
    assert_eq!((report.len(), report[0].name.as_str(), report[0].topic.messages), (1, "topic://PRICES.ACME", 1));

    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    for (subscription, priority) in [(1, -1), (2, 5), (3, 0)] {
        subscribe_with(&mut house, subscription, priority, false);
    }
    send_price(&mut house, "topic://PRICES.ACME");
    assert_eq!(subscriptions_served(&mut house), [1, 2, 3]);
    assert_eq!(house.broker.topics_dispatched().len(), 0);
}

/// Several ways to another broker: only the best one gets a copy (row N59).
#[test]
fn a_policy_takes_copies_away() {
    let mut house = House::with(with_topic("priority-network"));
    house.connect(1);
    house.connect(2);
    for (subscription, priority, network) in [(1, 0, false), (2, -6, true), (3, -5, true)] {
        subscribe_with(&mut house, subscription, priority, network);
    }
    send_price(&mut house, "topic://PRICES.ACME");
    assert_eq!(subscriptions_served(&mut house), [1, 3]);
    assert_eq!(house.broker.topics_dispatched()[0].topic.withheld, 1);
}

#[test]
fn a_nonsensical_fan_out_leaves_nobody_out() {
    let mut house = House::with_policies(with_topic("wrong"), Box::new(Nonsense::default()));
    house.connect(1);
    house.connect(2);
    for subscription in [1, 2, 3] {
        subscribe_with(&mut house, subscription, 0, false);
    }
    send_price(&mut house, "topic://PRICES.ACME");
    assert_eq!(subscriptions_served(&mut house), [1, 2, 3]);
    assert_eq!(house.broker.topics_dispatched()[0].topic.corrected, 3);
}
