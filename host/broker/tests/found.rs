//! What the simulator found, each as small as it gets.

mod house;

use broker::{Config, DestinationSettings};
use house::{House, selector, wish};
use message::{Ack, AckKind, Command, Destination, Event, Subscribe};

/// Larger than a body that stays in memory while a consumer works on it.
const LARGE_BYTES: usize = 80_000;

fn prioritized(window: u64) -> Config {
    let settings = DestinationSettings { prioritized_messages: true, ..DestinationSettings::default() };
    Config { default_destination: settings, body_window_bytes_per_destination: window, ..Config::default() }
}

fn poison(receipt: Option<u32>) -> Command {
    let (kind, transaction, cause) = (AckKind::Poison, None, None);
    Command::Ack(Ack { subscription: 1, kind, first: 1, last: 1, transaction, cause, receipt })
}

/// A house in which connection 1 holds one large message of queue A and has just given it up, its body being on its way.
fn burying(receipt: Option<u32>) -> House {
    let mut house = House::new();
    house.connect(1);
    house.subscribe(1, 1, "queue://A");
    house.send(1, "queue://A", &[&"x".repeat(LARGE_BYTES)]);
    assert_eq!(house.texts(1).len(), 1);
    house.broker.handle(1, poison(receipt), house.now);
    house
}

/// A consumer that comes while a message is on its way to the journal may be handed it: after a crash it is marked.
#[test]
fn a_message_stored_before_its_consumer_came_is_marked_after_a_crash() {
    let mut house = House::new();
    house.prompt = false;
    house.connect(1);
    house.send(1, "queue://Q", &["a"]);
    house.subscribe(1, 1, "queue://Q");
    house.confirm();
    house.settle();
    assert_eq!(house.texts(1), ["a"]);
    let mut house = house.restart(Config::default(), false);
    house.connect(1);
    house.subscribe(1, 1, "queue://Q");
    assert_eq!(house.texts(1), ["a!"]);
}

/// A message of higher priority is seen although all before it were found to be unwanted.
#[test]
fn priority_comes_before_what_was_looked_at() {
    let mut house = House::with(prioritized(8 << 20));
    house.connect(1);
    let urgent = Subscribe { selector: selector("JMSPriority > 5"), ..wish(1, 1, "queue://Q") };
    house.act(1, Command::Subscribe(Box::new(urgent)));
    house.send(1, "queue://Q", &["a", "b"]);
    assert!(house.texts(1).is_empty());
    let mut message = house.message(1, "queue://Q", "urgent");
    message.priority = 9;
    house.publish(1, message, None);
    assert_eq!(house.texts(1), ["urgent"]);
}

/// A message of higher priority whose body is away is fetched although later ones were fetched before.
#[test]
fn priority_is_fetched_before_what_was_fetched() {
    let mut house = House::with(prioritized(1000));
    house.connect(1);
    house.connect(2);
    house.send(1, "queue://Q", &["a", "b", "c"]);
    house.act(2, Command::Subscribe(Box::new(Subscribe { prefetch: 1, ..wish(2, 1, "queue://Q") })));
    assert_eq!(house.texts(2), ["a"]);
    house.act(2, Command::Unsubscribe { subscription: 1, last_delivered: Some(0), receipt: None });
    let mut message = house.message(1, "queue://Q", "urgent");
    message.priority = 9;
    house.publish(1, message, None);
    house.subscribe(2, 2, "queue://Q");
    assert_eq!(house.texts(2), ["urgent", "a", "b", "c"]);
}

/// A new consumer gets messages whose bodies went away because nobody wanted them.
#[test]
fn bodies_put_aside_are_fetched_for_a_new_consumer() {
    let mut house = House::with(Config { body_window_bytes_per_destination: 3000, ..Config::default() });
    house.connect(1);
    house.connect(2);
    let picky = Subscribe { selector: selector("JMSPriority > 5"), ..wish(1, 1, "queue://Q") };
    house.act(1, Command::Subscribe(Box::new(picky)));
    house.send(2, "queue://Q", &["a", "b", "c", "d", "e", "f", "g", "h"]);
    house.subscribe(2, 1, "queue://Q");
    assert_eq!(house.texts(2), ["a", "b", "c", "d", "e", "f", "g", "h"]);
}

/// A transaction's non-persistent messages are not seen before its persistent ones are safe.
#[test]
fn a_commit_is_seen_whole() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    house.subscribe(2, 1, "queue://FAST");
    house.subscribe(2, 2, "topic://FAST");
    house.prompt = false;
    house.act(1, Command::Begin { transaction: 1, receipt: None });
    for target in ["queue://FAST", "topic://FAST", "queue://SAFE"] {
        let mut message = house.message(1, target, target);
        message.persistent = target == "queue://SAFE";
        house.publish_in(1, message, None, Some(1));
    }
    house.act(1, Command::Commit { transaction: 1, receipt: None });
    assert!(house.texts(2).is_empty());
    house.confirm();
    house.settle();
    let mut seen = house.texts(2);
    seen.sort();
    assert_eq!(seen, ["queue://FAST", "topic://FAST"]);
}

/// Giving a message up is confirmed when it is a dead letter, not while its body is being fetched.
#[test]
fn a_receipt_waits_for_the_dead_letter() {
    let mut house = burying(Some(7));
    house.broker.handle(1, Command::Fence { receipt: 8 }, house.now);
    house.broker.flush(house.now);
    assert!(house.broker.poll_events().is_none());
    house.settle();
    assert_eq!(house.replies(1), [Ok(7), Ok(8)]);
    assert_eq!(house.pending("queue://ActiveMQ.DLQ"), 1);
    assert_eq!(house.stored(), (1, 1));
}

/// The same for a message that its consumer found expired.
#[test]
fn a_receipt_waits_for_an_expired_message_too() {
    let mut house = House::new();
    house.connect(1);
    house.subscribe(1, 1, "queue://A");
    let mut message = house.message(1, "queue://A", &"x".repeat(LARGE_BYTES));
    message.expiration = house.now + 5;
    house.publish(1, message, None);
    assert_eq!(house.texts(1).len(), 1);
    let (kind, transaction, cause) = (AckKind::Expired, None, None);
    let ack = Ack { subscription: 1, kind, first: 1, last: 1, transaction, cause, receipt: Some(7) };
    house.broker.handle(1, Command::Ack(ack), house.now + 10);
    house.broker.flush(house.now);
    assert!(house.broker.poll_events().is_none());
    house.settle();
    assert_eq!(house.replies(1), [Ok(7)]);
    assert_eq!(house.pending("queue://ActiveMQ.DLQ"), 1);
}

/// A stop while a dead letter is being made: the message stays where it was, and is marked.
#[test]
fn a_stop_does_not_forget_a_message_given_up() {
    let mut house = burying(None);
    house.broker.stop(house.now);
    house.settle();
    let mut house = house.restart(Config::default(), true);
    house.connect(1);
    house.subscribe(1, 1, "queue://A");
    assert!(house.texts(1)[0].ends_with('!'));
}

/// A queue that goes while one of its messages becomes a dead letter takes the message along.
#[test]
fn a_queue_takes_messages_given_up_along() {
    let mut house = burying(Some(7));
    house.broker.handle(1, Command::Unsubscribe { subscription: 1, last_delivered: None, receipt: None }, house.now);
    let destination = Destination::queue("A");
    house.broker.handle(1, Command::RemoveDestination { destination, receipt: Some(8) }, house.now);
    house.settle();
    assert_eq!(house.replies(1), [Ok(7), Ok(8)]);
    assert_eq!(house.stored(), (0, 0));
    assert_eq!(house.broker.memory(), (0, 0));
}

/// A durable subscription that goes while a transaction holds one of its messages takes the message along.
#[test]
fn a_subscription_takes_messages_in_transactions_along() {
    for commits in [true, false] {
        let mut house = House::new();
        house.connect_as(1, Some("C"), false);
        let durable = Subscribe { durable_name: Some("D".into()), ..wish(1, 1, "topic://T") };
        house.act(1, Command::Subscribe(Box::new(durable)));
        house.send(1, "topic://T", &["a"]);
        house.act(1, Command::Begin { transaction: 1, receipt: None });
        house.ack_in(1, 1, AckKind::Standard, 1, 1, Some(1));
        house.act(1, Command::Unsubscribe { subscription: 1, last_delivered: Some(1), receipt: None });
        house.act(1, Command::RemoveDurable { client_id: "C".into(), name: "D".into(), receipt: None });
        assert_eq!(house.stored(), (0, 0), "its body must not outlive a crash");
        match commits {
            true => house.act(1, Command::Commit { transaction: 1, receipt: None }),
            false => house.act(1, Command::Rollback { transaction: 1, receipt: None }),
        }
        assert_eq!(house.broker.memory(), (0, 0));
    }
}

/// A topic consumer that goes while a transaction holds its message leaves no memory behind.
#[test]
fn a_topic_consumer_gone_in_a_transaction_frees_memory() {
    for commits in [true, false] {
        let mut house = House::new();
        house.connect(1);
        house.subscribe(1, 1, "topic://T");
        house.send(1, "topic://T", &["a"]);
        assert!(house.take(1).iter().any(|event| matches!(event, Event::Deliver(_))));
        house.act(1, Command::Begin { transaction: 1, receipt: None });
        house.ack_in(1, 1, AckKind::Standard, 1, 1, Some(1));
        house.act(1, Command::Unsubscribe { subscription: 1, last_delivered: Some(1), receipt: None });
        match commits {
            true => house.act(1, Command::Commit { transaction: 1, receipt: None }),
            false => house.act(1, Command::Rollback { transaction: 1, receipt: None }),
        }
        assert_eq!(house.broker.memory(), (0, 0));
    }
}
