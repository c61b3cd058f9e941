//! Stock policies with what the machine shows them: properties, the pace of consumers, more rows than there is credit.

mod house;

use broker::{Broker, Config, DestinationSettings};
use house::{House, wish};
use message::{AckKind, Command, Message, Subscribe, Text, Value};
use plugin::native::NativeHost;

/// A house whose queues have this stock policy with these settings.
fn house(policy: &str, settings: &[(&str, &str)]) -> House {
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut host = NativeHost::new();
    host.add("named", policy, &settings).expect("good settings");
    let default_destination = DestinationSettings { dispatch_policy: "named".into(), ..DestinationSettings::default() };
    let config = Config { default_destination, ..Config::default() };
    House { broker: Broker::new(config, Box::new(host), Text::from_static("ID:house")), ..House::new() }
}

fn send(house: &mut House, text: &str, change: impl FnOnce(&mut Message)) {
    let mut message = house.message(1, "queue://Q", text);
    change(&mut message);
    house.publish(1, message, None);
}

fn subscribe(house: &mut House, connection: u64, prefetch: u32) {
    house.connect(connection);
    house.act(connection, Command::Subscribe(Box::new(Subscribe { prefetch, ..wish(connection, 1, "queue://Q") })));
    house.take(connection);
}

/// Without look-ahead the machine would show one row to a consumer with a prefetch of one, and it would be the oldest.
#[test]
fn priority_looks_beyond_the_credit() {
    let mut house = house("priority", &[("by", "urgency")]);
    house.connect(1);
    for (text, urgency) in [("a", Value::Int(1)), ("b", Value::Text("7".into())), ("c", Value::Double(7.5))] {
        send(&mut house, text, |message| message.properties = message.properties.with("urgency", &urgency));
    }
    send(&mut house, "d", |_| {});
    house.connect(2);
    house.act(2, Command::Subscribe(Box::new(Subscribe { prefetch: 1, ..wish(2, 1, "queue://Q") })));
    for (tag, text) in (1..).zip(["c", "b", "a", "d"]) {
        assert_eq!(house.texts(2), [text]);
        house.ack(2, 1, AckKind::Standard, tag, tag);
    }
    assert_eq!(house.pending("queue://Q"), 0);
}

/// A tenant that sends one message into the flood of another is served next.
#[test]
fn fair_share_serves_a_trickle_within_a_flood() {
    let mut house = house("fair-share", &[("key", "tenant")]);
    house.connect(1);
    let tenant = |name: &'static str| {
        move |message: &mut Message| {
            message.properties = message.properties.with("tenant", &Value::Text(name.into()));
        }
    };
    for _ in 0..200 {
        send(&mut house, "flood", tenant("big"));
    }
    for _ in 0..2 {
        send(&mut house, "trickle", tenant("small"));
    }
    house.connect(2);
    house.act(2, Command::Subscribe(Box::new(Subscribe { prefetch: 1, ..wish(2, 1, "queue://Q") })));
    let mut served = Vec::new();
    for tag in 1..=5 {
        served.extend(house.texts(2));
        house.ack(2, 1, AckKind::Standard, tag, tag);
    }
    assert_eq!(served, ["flood", "trickle", "flood", "trickle", "flood"]);
}

/// The same value goes to the same consumer, and one that waits for a busy consumer does not hold up the others.
#[test]
fn sticky_messages_wait_for_their_consumer_alone() {
    let mut house = house("sticky-by-property", &[]);
    house.connect(1);
    for connection in 2..=4 {
        subscribe(&mut house, connection, 1);
    }
    let correlation = |at: usize| Text::from(format!("conversation-{at}"));
    for at in 0..60 {
        send(&mut house, &(at % 12).to_string(), |message| message.correlation_id = Some(correlation(at % 12)));
    }
    let mut seen: [Vec<String>; 3] = Default::default();
    let mut tags = [0; 3];
    // The first consumer takes one message and never acknowledges it.
    for _ in 0..60 {
        for at in 1..3 {
            let texts = house.texts(2 + at as u64);
            for _ in &texts {
                tags[at] += 1;
                house.ack(2 + at as u64, 1, AckKind::Standard, tags[at], tags[at]);
            }
            seen[at].extend(texts);
        }
    }
    seen[0] = house.texts(2);
    assert_eq!(seen[0].len(), 1);
    let left = house.pending("queue://Q");
    assert!(left > 0 && left % 5 == 4, "{left} of the first consumer's 5 messages a value wait");
    assert_eq!(seen[1].len() + seen[2].len() + left + 1, 60);
    for text in &seen[1] {
        assert!(!seen[2].contains(text) && seen[1].iter().filter(|other| *other == text).count() == 5, "{text}");
    }
}

/// The machine measures how fast a consumer acknowledges, in transactions too, and believes no refusals.
#[test]
fn latency_aware_gives_the_fast_more() {
    let mut house = house("latency-aware", &[]);
    house.connect(1);
    for connection in 2..=4 {
        subscribe(&mut house, connection, 4);
    }
    house.act(3, Command::Begin { transaction: 9, receipt: None });
    let mut given = [0_u64; 3];
    let mut tags = [0_u64; 3];
    for round in 0..400_u64 {
        send(&mut house, "work", |_| {});
        house.later(2);
        for (connection, given) in (2..).zip(&mut given) {
            *given += house.texts(connection).len() as u64;
        }
        // 2 ms, 20 ms in transactions, and one that gives back whatever it gets at once.
        for _ in tags[0]..given[0] {
            tags[0] += 1;
            house.ack(2, 1, AckKind::Standard, tags[0], tags[0]);
        }
        if round % 10 == 0 && tags[1] < given[1] {
            tags[1] += 1;
            house.ack_in(3, 1, AckKind::Standard, tags[1], tags[1], Some(9));
        }
        if round == 200 {
            assert!(given[0] > 3 * given[1], "{given:?}");
        }
    }
    assert!(given[0] > 3 * given[1] && given[0] > 3 * given[2], "{given:?}");
}
