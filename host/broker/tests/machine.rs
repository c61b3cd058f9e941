//! What the broker machine promises, shown in virtual time.

mod house;

use broker::{Config, DestinationPolicy, DestinationSettings};
use house::{House, delivered, selector, wish};
use message::{AckKind, Command, Destination, Event, Pattern, Text};

/// No receipt before the journal said durable, and no delivery either.
#[test]
fn a_receipt_waits_for_the_journal() {
    let mut house = House::new();
    house.prompt = false;
    house.connect(1);
    house.connect(2);
    house.subscribe(2, 1, "queue://Q");
    house.take(1);
    let message = house.message(1, "queue://Q", "a");
    house.publish(1, message, Some(7));
    assert_eq!(house.replies(1), []);
    assert!(house.texts(2).is_empty());
    house.confirm();
    house.settle();
    assert_eq!(house.replies(1), [Ok(7)]);
    assert_eq!(house.texts(2), ["a"]);
}

/// A non-persistent message does not overtake a persistent one that waits for the journal.
#[test]
fn order_holds_across_delivery_modes() {
    let mut house = House::new();
    house.prompt = false;
    house.connect(1);
    house.subscribe(1, 1, "queue://Q");
    house.confirm();
    house.take(1);
    let first = house.message(1, "queue://Q", "persistent");
    let mut second = house.message(1, "queue://Q", "fast");
    second.persistent = false;
    house.publish(1, first, None);
    house.publish(1, second, None);
    assert!(house.texts(1).is_empty());
    house.confirm();
    house.settle();
    assert_eq!(house.texts(1), ["persistent", "fast"]);
}

/// Prefetch bounds what a consumer holds; what the application has seen makes room (row W28).
#[test]
fn prefetch_is_a_window_that_moves() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    house.act(2, Command::Subscribe(Box::new(message::Subscribe { prefetch: 2, ..wish(2, 1, "queue://Q") })));
    house.send(1, "queue://Q", &["a", "b", "c", "d", "e"]);
    assert_eq!(house.texts(2), ["a", "b"]);
    house.ack(2, 1, AckKind::Delivered, 1, 1);
    assert_eq!(house.texts(2), ["c"]);
    house.ack(2, 1, AckKind::Standard, 1, 2);
    assert_eq!(house.texts(2), ["d"]);
    house.ack(2, 1, AckKind::Individual, 4, 4);
    assert_eq!(house.texts(2), ["e"]);
    house.ack(2, 1, AckKind::Standard, 1, 9);
    assert_eq!(house.stored(), (0, 0));
}

/// Competing consumers share in turn.
#[test]
fn consumers_are_served_in_turn() {
    let mut house = House::new();
    for connection in 1..=3 {
        house.connect(connection);
    }
    house.subscribe(2, 1, "queue://Q");
    house.subscribe(3, 1, "queue://Q");
    house.send(1, "queue://Q", &["a", "b", "c", "d"]);
    assert_eq!(house.texts(2).len(), 2);
    assert_eq!(house.texts(3).len(), 2);
}

/// What a consumer held goes back to where it stood; only what its application saw counts as redelivered (row L13).
#[test]
fn messages_of_a_gone_consumer_go_back_in_order() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    house.subscribe(2, 1, "queue://Q");
    house.send(1, "queue://Q", &["a", "b", "c"]);
    assert_eq!(house.texts(2), ["a", "b", "c"]);
    house.act(2, Command::Unsubscribe { subscription: 1, last_delivered: Some(1), receipt: None });
    house.send(1, "queue://Q", &["d"]);
    house.subscribe(2, 2, "queue://Q");
    assert_eq!(house.texts(2), ["a!", "b", "c", "d"]);
    house.act(2, Command::Disconnect);
    house.connect(3);
    house.subscribe(3, 1, "queue://Q");
    assert_eq!(house.texts(3), ["a!", "b!", "c!", "d!"]);
}

/// A consumer that pulls gets one message a pull, or is told that there is none (row W31).
#[test]
fn pulls_are_answered() {
    let mut house = House::new();
    house.connect(1);
    house.act(1, Command::Subscribe(Box::new(message::Subscribe { prefetch: 0, ..wish(1, 1, "queue://Q") })));
    house.send(1, "queue://Q", &["a", "b"]);
    assert!(house.texts(1).is_empty());
    house.act(1, Command::Pull { subscription: 1, timeout_ms: -1 });
    assert_eq!(house.texts(1), ["a"]);
    house.act(1, Command::Pull { subscription: 1, timeout_ms: 0 });
    assert_eq!(house.texts(1), ["b"]);
    house.act(1, Command::Pull { subscription: 1, timeout_ms: -1 });
    assert!(matches!(house.take(1)[..], [Event::PullEmpty { subscription: 1 }]));
    house.act(1, Command::Pull { subscription: 1, timeout_ms: 500 });
    house.later(400);
    assert!(house.take(1).is_empty());
    house.later(200);
    assert!(matches!(house.take(1)[..], [Event::PullEmpty { subscription: 1 }]));
}

/// A transaction is one group of the journal, all or nothing.
#[test]
fn a_commit_is_atomic() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    house.subscribe(2, 1, "queue://OUT");
    house.subscribe(1, 1, "queue://IN");
    house.send(2, "queue://IN", &["order"]);
    house.take(1);
    house.prompt = false;
    house.act(1, Command::Begin { transaction: 5, receipt: None });
    house.ack_in(1, 1, AckKind::Standard, 1, 1, Some(5));
    for text in ["x", "y"] {
        let message = house.message(1, "queue://OUT", text);
        house.publish_in(1, message, None, Some(5));
    }
    assert!(house.waiting.is_empty(), "nothing is written before the commit");
    house.act(1, Command::Commit { transaction: 5, receipt: Some(9) });
    assert_eq!(house.waiting.len(), 1, "one group");
    assert!(house.replies(1).is_empty());
    house.confirm();
    house.settle();
    assert_eq!(house.replies(1), [Ok(9)]);
    assert_eq!(house.texts(2), ["x", "y"]);
    house.confirm();
    assert_eq!(house.stored().0, 2);
}

/// A rolled-back acknowledgement leaves the message with its consumer, a rolled-back send leaves nothing; a dead
/// connection rolls back (row L09).
#[test]
fn a_rollback_undoes() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    house.send(2, "queue://IN", &["a"]);
    house.subscribe(1, 1, "queue://IN");
    for end in [true, false] {
        house.take(1);
        house.act(1, Command::Begin { transaction: 1, receipt: None });
        house.ack_in(1, 1, AckKind::Standard, 1, 1, Some(1));
        let message = house.message(1, "queue://OUT", "never");
        house.publish_in(1, message, None, Some(1));
        match end {
            true => house.act(1, Command::Rollback { transaction: 1, receipt: None }),
            false => house.act(1, Command::Disconnect),
        }
        assert_eq!(house.pending("queue://OUT"), 0);
    }
    house.connect(3);
    house.subscribe(3, 1, "queue://IN");
    assert_eq!(house.texts(3), ["a!"]);
}

/// A consumer closed before its transaction commits: the commit still counts, a rollback gives the message to others.
#[test]
fn a_transaction_outlives_its_consumer() {
    for commits in [true, false] {
        let mut house = House::new();
        house.connect(1);
        house.send(1, "queue://IN", &["a", "b"]);
        house.subscribe(1, 1, "queue://IN");
        house.take(1);
        house.act(1, Command::Begin { transaction: 1, receipt: None });
        house.ack_in(1, 1, AckKind::Standard, 1, 1, Some(1));
        house.act(1, Command::Unsubscribe { subscription: 1, last_delivered: Some(1), receipt: None });
        match commits {
            true => house.act(1, Command::Commit { transaction: 1, receipt: None }),
            false => house.act(1, Command::Rollback { transaction: 1, receipt: None }),
        }
        house.subscribe(1, 2, "queue://IN");
        let expected: &[&str] = if commits { &["b"] } else { &["a!", "b"] };
        assert_eq!(house.texts(1), expected);
    }
}

/// A send repeated after a reconnect is answered and dropped, also when the broker restarted meanwhile (row L04).
#[test]
fn repeated_sends_are_dropped() {
    let mut house = House::new();
    house.connect(1);
    let message = house.message(1, "queue://Q", "once");
    house.publish(1, message.clone(), Some(1));
    let mut house = house.restart(Config::default(), false);
    house.connect_as(1, None, true);
    house.take(1);
    house.publish(1, message, Some(2));
    let fresh = house.message(1, "queue://Q", "twice");
    house.publish(1, fresh, Some(3));
    assert_eq!(house.replies(1), [Ok(2), Ok(3)]);
    house.subscribe(1, 1, "queue://Q");
    assert_eq!(house.texts(1), ["once", "twice"]);
}

/// After a crash, what may have been delivered is marked; what cannot have been is not.
#[test]
fn a_restart_keeps_order_and_marks_what_was_under_way() {
    let mut house = House::new();
    house.connect(1);
    house.send(1, "queue://IDLE", &["i"]);
    house.subscribe(1, 1, "queue://BUSY");
    house.send(1, "queue://BUSY", &["a", "b", "c"]);
    house.ack(1, 1, AckKind::Individual, 2, 2);
    let mut house = house.restart(Config::default(), false);
    house.connect(1);
    house.subscribe(1, 1, "queue://BUSY");
    house.subscribe(1, 2, "queue://IDLE");
    assert_eq!(house.texts(1), ["a!", "c!", "i"]);
}

/// A message that waited before its consumer came is marked after a crash too; an orderly stop marks nothing.
#[test]
fn only_a_crash_marks() {
    for clean in [true, false] {
        let mut house = House::new();
        house.connect(1);
        house.send(1, "queue://Q", &["a"]);
        house.subscribe(1, 1, "queue://Q");
        let mut house = house.restart(Config::default(), clean);
        house.connect(1);
        house.subscribe(1, 1, "queue://Q");
        assert_eq!(house.texts(1), [if clean { "a" } else { "a!" }]);
    }
}

/// Poisoned messages become dead letters that carry what tools look for, in the same group (rows R02, R05).
#[test]
fn poison_goes_to_the_dead_letter_queue() {
    let mut house = House::new();
    house.connect(1);
    house.subscribe(1, 1, "queue://Q");
    house.send(1, "queue://Q", &["bad"]);
    house.take(1);
    house.ack(1, 1, AckKind::Poison, 1, 1);
    house.subscribe(1, 2, "queue://ActiveMQ.DLQ");
    let events = house.take(1);
    let dead = events.iter().find_map(delivered).expect("a dead letter");
    assert_eq!(dead.message.original_destination, Some(Destination::queue("Q")));
    assert!(dead.message.properties.get("dlqDeliveryFailureCause").is_some());
    assert_eq!(house.stored(), (1, 1));
    house.ack(1, 2, AckKind::Poison, 1, 1);
    assert_eq!(house.stored(), (0, 0), "a dead letter's own poison ends it");
}

/// Expired messages reach nobody: persistent ones become dead letters, others vanish (rows R02, R08).
#[test]
fn expired_messages_are_not_delivered() {
    let mut house = House::new();
    house.connect(1);
    for persistent in [true, false] {
        let mut message = house.message(1, "queue://Q", "late");
        message.expiration = house.now + 50;
        message.persistent = persistent;
        house.publish(1, message, None);
    }
    house.now += 100;
    house.subscribe(1, 1, "queue://Q");
    assert!(house.texts(1).is_empty());
    assert_eq!((house.pending("queue://Q"), house.pending("queue://ActiveMQ.DLQ")), (0, 1));
    let mut message = house.message(1, "queue://S", "swept");
    message.expiration = house.now + 50;
    house.publish(1, message, None);
    house.later(40_000);
    assert_eq!((house.pending("queue://S"), house.pending("queue://ActiveMQ.DLQ")), (0, 2));
}

/// Durable subscriptions keep what comes while their client is away, through a restart, until they are removed.
#[test]
fn durable_subscriptions_wait_for_their_client() {
    let durable = || message::Subscribe { durable_name: Some("d".into()), ..wish(1, 1, "topic://T") };
    let mut house = House::new();
    house.connect_as(1, Some("client"), false);
    house.act(1, Command::Subscribe(Box::new(durable())));
    house.act(1, Command::Disconnect);
    house.connect(2);
    house.send(2, "topic://T", &["a", "b"]);
    let mut house = house.restart(Config::default(), false);
    house.connect_as(1, Some("client"), false);
    house.act(1, Command::Subscribe(Box::new(durable())));
    assert_eq!(house.texts(1), ["a", "b"]);
    let second = message::Subscribe { subscription: 2, receipt: Some(4), ..durable() };
    house.act(1, Command::Subscribe(Box::new(second)));
    assert!(house.replies(1)[0].as_ref().is_err_and(|text| text.contains("in use")));
    house.ack(1, 1, AckKind::Standard, 1, 2);
    house.act(1, Command::Unsubscribe { subscription: 1, last_delivered: Some(2), receipt: None });
    let gone = Command::RemoveDurable { client_id: "client".into(), name: "d".into(), receipt: Some(5) };
    house.act(1, gone);
    assert_eq!(house.replies(1), [Ok(5)]);
    house.connect(3);
    house.send(3, "topic://T", &["c"]);
    assert_eq!(house.stored(), (0, 0));
}

/// One body for many durable subscriptions; it goes with the last.
#[test]
fn a_topic_message_is_stored_once() {
    let mut house = House::new();
    for (connection, client) in [(1, "one"), (2, "two")] {
        house.connect_as(connection, Some(client), false);
        let durable = message::Subscribe { durable_name: Some("d".into()), ..wish(connection, 1, "topic://T") };
        house.act(connection, Command::Subscribe(Box::new(durable)));
    }
    house.send(1, "topic://T", &["a"]);
    assert_eq!(house.stored(), (2, 1));
    house.ack(1, 1, AckKind::Standard, 1, 1);
    assert_eq!(house.stored(), (1, 1));
    let mut house = house.restart(Config::default(), false);
    house.connect_as(2, Some("two"), false);
    let durable = message::Subscribe { durable_name: Some("d".into()), ..wish(2, 1, "topic://T") };
    house.act(2, Command::Subscribe(Box::new(durable)));
    assert_eq!(house.texts(2), ["a!"]);
    house.ack(2, 1, AckKind::Standard, 1, 1);
    assert_eq!(house.stored(), (0, 0));
}

/// Selectors, wildcards, composites and noLocal decide who hears what.
#[test]
fn subscriptions_choose() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    let red = message::Subscribe { selector: selector("JMSType = 'red'"), ..wish(1, 1, "queue://Q") };
    house.act(1, Command::Subscribe(Box::new(red)));
    house.subscribe(1, 2, "topic://A.*");
    house.subscribe(1, 3, "queue://W.>");
    let deaf = message::Subscribe { no_local: true, ..wish(1, 4, "topic://LOCAL") };
    house.act(1, Command::Subscribe(Box::new(deaf)));
    let mut red = house.message(2, "queue://Q", "red");
    red.kind = Some(Text::from_static("red"));
    house.send(2, "queue://Q", &["blue"]);
    house.publish(2, red, None);
    house.send(2, "topic://A.B", &["topic"]);
    house.send(2, "topic://A.B.C", &["too deep"]);
    house.send(2, "queue://W.X.Y,topic://A.Z", &["both"]);
    house.send(1, "topic://LOCAL", &["mine"]);
    house.send(2, "topic://LOCAL", &["yours"]);
    let mut texts = house.texts(1);
    texts.sort();
    assert_eq!(texts, ["both", "both", "red", "topic", "yours"]);
    assert_eq!(house.pending("queue://Q"), 1);
}

/// Matching messages behind many that match nobody are found (row H21).
#[test]
fn unwanted_messages_hide_nothing() {
    let mut house = House::new();
    house.connect(1);
    for at in 0..500 {
        house.send(1, "queue://Q", &[&format!("{at}")]);
    }
    let mut wanted = house.message(1, "queue://Q", "wanted");
    wanted.kind = Some(Text::from_static("red"));
    house.publish(1, wanted, None);
    let red = message::Subscribe { selector: selector("JMSType = 'red'"), ..wish(1, 1, "queue://Q") };
    house.act(1, Command::Subscribe(Box::new(red)));
    assert_eq!(house.texts(1), ["wanted"]);
}

/// An exclusive consumer is the only one served until it goes (row C04).
#[test]
fn an_exclusive_consumer_is_alone() {
    let mut house = House::new();
    house.connect(1);
    house.subscribe(1, 1, "queue://Q");
    house.connect(2);
    house.act(2, Command::Subscribe(Box::new(message::Subscribe { exclusive: true, ..wish(2, 1, "queue://Q") })));
    house.send(1, "queue://Q", &["a", "b"]);
    assert_eq!((house.texts(1).len(), house.texts(2).len()), (0, 2));
    house.act(2, Command::Disconnect);
    assert_eq!(house.texts(1), ["a!", "b!"]);
}

/// Priority orders where the destination says so (row P11).
#[test]
fn priority_orders_where_asked_for() {
    let settings = DestinationSettings { prioritized_messages: true, ..DestinationSettings::default() };
    let policy = DestinationPolicy { is_queue: true, pattern: Pattern::new("P".into()), settings };
    let mut house = House::with(Config { destinations: vec![policy], ..Config::default() });
    house.connect(1);
    for (text, priority) in [("low", 1), ("high", 9), ("normal", 4), ("high too", 9)] {
        let mut message = house.message(1, "queue://P", text);
        message.priority = priority;
        house.publish(1, message, None);
    }
    house.subscribe(1, 1, "queue://P");
    assert_eq!(house.texts(1), ["high", "high too", "normal", "low"]);
}

/// A browser sees copies of all, those in flight included, and the end; nothing changes (row W37).
#[test]
fn a_browser_changes_nothing() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    house.act(1, Command::Subscribe(Box::new(message::Subscribe { prefetch: 1, ..wish(1, 1, "queue://Q") })));
    house.send(1, "queue://Q", &["a", "b", "c"]);
    let browser = message::Subscribe { browser: true, prefetch: 2, ..wish(2, 1, "queue://Q") };
    house.act(2, Command::Subscribe(Box::new(browser)));
    assert_eq!(house.texts(2), ["a", "b"]);
    house.ack(2, 1, AckKind::Standard, 1, 2);
    let events = house.take(2);
    assert!(matches!(&events[..], [Event::Deliver(_), Event::BrowseEnd { subscription: 1 }]));
    house.act(2, Command::Unsubscribe { subscription: 1, last_delivered: None, receipt: None });
    assert_eq!((house.pending("queue://Q"), house.stored()), (2, (3, 3)));
}

/// At the memory limit producers wait, one by one or with their whole connection, and go on when there is room (Q04).
#[test]
fn producers_wait_for_memory() {
    let config = Config { memory_bytes_limit: 3_000, ..Config::default() };
    let mut house = House::with(config);
    house.connect(1);
    house.connect(2);
    let send = |house: &mut House, text: &str, receipt| {
        let mut message = house.message(1, "queue://Q", text);
        message.persistent = false;
        house.publish(1, message, receipt);
    };
    send(&mut house, "a", Some(1));
    send(&mut house, "b", Some(2));
    send(&mut house, "c", Some(3));
    assert_eq!(house.replies(1).into_iter().flatten().collect::<Vec<_>>(), [0, 1, 2]);
    send(&mut house, "d", None);
    assert!(matches!(house.take(1)[..], [Event::Pause]));
    house.subscribe(2, 1, "queue://Q");
    assert_eq!(house.texts(2), ["a", "b"]);
    house.ack(2, 1, AckKind::Standard, 1, 2);
    assert_eq!(house.texts(2), ["c", "d"]);
    assert!(matches!(house.take(1)[..], [Event::Reply { receipt: 3, .. }, Event::Resume]));
}

/// A fence stands behind the sends that wait: a client that was told so may go.
#[test]
fn a_fence_waits_for_parked_sends() {
    let mut house = House::with(Config { memory_bytes_limit: 1_100, ..Config::default() });
    house.connect(1);
    house.connect(2);
    for text in ["a", "b"] {
        let mut message = house.message(1, "queue://Q", text);
        message.persistent = false;
        house.publish(1, message, None);
    }
    house.take(1);
    house.act(1, Command::Fence { receipt: 9 });
    assert_eq!(house.replies(1), []);
    house.subscribe(2, 1, "queue://Q");
    house.ack(2, 1, AckKind::Standard, 1, 1);
    assert_eq!(house.replies(1), [Ok(9)]);
    assert_eq!(house.texts(2), ["a", "b"]);
}

/// Told to refuse, the broker refuses in place of waiting (row Q05).
#[test]
fn producers_are_refused_when_told_so() {
    let config = Config { memory_bytes_limit: 1_100, send_fail_if_no_space: true, ..Config::default() };
    let mut house = House::with(config);
    house.connect(1);
    house.take(1);
    for receipt in [1, 2] {
        let mut message = house.message(1, "queue://Q", "x");
        message.persistent = false;
        house.publish(1, message, Some(receipt));
    }
    let replies = house.replies(1);
    assert!(replies[0] == Ok(1) && replies[1].as_ref().is_err_and(|text| text.contains("memory_limit")));
}

/// A backlog larger than the body window is kept as references and comes back in order, whole.
#[test]
fn a_backlog_is_references() {
    let config = Config { body_window_bytes: 20_000, body_window_bytes_per_destination: 10_000, ..Config::default() };
    let mut house = House::with(config);
    house.connect(1);
    let texts: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    house.send(1, "queue://Q", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(house.broker.memory().1 <= 12_000, "{:?}", house.broker.memory());
    house.act(1, Command::Subscribe(Box::new(message::Subscribe { prefetch: 7, ..wish(1, 1, "queue://Q") })));
    let mut seen = Vec::new();
    for _ in 0..300 {
        let events = house.take(1);
        let Some(last) = events.iter().filter_map(delivered).next_back().map(|d| d.tag) else { break };
        seen.extend(events.iter().filter_map(delivered).map(house::text_of));
        assert!(house.broker.memory().1 <= 25_000);
        house.ack(1, 1, AckKind::Standard, 1, last);
    }
    assert_eq!(seen, texts);
    assert_eq!((house.stored(), house.broker.memory()), ((0, 0), (0, 0)));
}

/// A connection that does not read is handed no more than its window.
#[test]
fn a_slow_socket_stops_its_own_deliveries() {
    let mut house = House::with(Config { connection_window_bytes: 3_000, ..Config::default() });
    house.connect(1);
    house.connect(2);
    house.subscribe(2, 1, "queue://Q");
    house.send(1, "queue://Q", &["a", "b", "c", "d", "e"]);
    assert_eq!(house.texts(2), ["a", "b", "c"]);
    house.act(2, Command::Written { bytes: 3_200 });
    assert_eq!(house.texts(2), ["d", "e"]);
}

/// Temporary queues belong to their connection and go with it (row W36).
#[test]
fn temporary_queues_have_owners() {
    let mut house = House::new();
    house.connect(1);
    house.connect(2);
    let temporary = Destination::parse("temp-queue://ID:c1:1", message::DestinationKind::Queue);
    house.subscribe(2, 9, "topic://ActiveMQ.Advisory.TempQueue");
    house.act(1, Command::AddDestination { destination: temporary, receipt: None });
    assert!(house.take(2).iter().filter_map(delivered).any(|d| d.message.advisory.is_some()));
    house.subscribe(1, 1, "temp-queue://ID:c1:1");
    house.send(2, "temp-queue://ID:c1:1", &["answer"]);
    assert_eq!(house.texts(1), ["answer"]);
    let thief = message::Subscribe { receipt: Some(1), ..wish(2, 1, "temp-queue://ID:c1:1") };
    house.act(2, Command::Subscribe(Box::new(thief)));
    assert!(house.replies(2)[0].as_ref().is_err_and(|text| text.contains("another connection")));
    house.act(1, Command::Disconnect);
    house.take(2);
    let late = house.message(2, "temp-queue://ID:c1:1", "late");
    house.publish(2, late, Some(2));
    assert!(house.replies(2)[0].as_ref().is_err_and(|text| text.contains("does not exist")));
    assert_eq!(house.stored(), (0, 0));
}

/// Who listens for it hears that the broker is master, whenever it comes (row M15); without advisories nobody does.
#[test]
fn a_master_says_so_to_latecomers() {
    for advisory_support in [true, false] {
        let mut house = House::with(Config { advisory_support, ..Config::default() });
        house.connect(1);
        house.subscribe(1, 1, "topic://ActiveMQ.Advisory.MasterBroker");
        let events = house.take(1);
        let heard: Vec<_> = events.iter().filter_map(delivered).filter_map(|d| d.message.advisory.as_deref()).collect();
        assert_eq!(heard, if advisory_support { vec![&message::Advisory::MasterBroker] } else { vec![] });
    }
}

/// The newest connection of an id takes the place of the older one; a client id in use is refused (row L03).
#[test]
fn client_ids_are_unique() {
    let mut house = House::new();
    house.connect_as(1, Some("me"), false);
    house.connect_as(2, Some("me"), false);
    assert!(house.replies(2)[0].as_ref().is_err_and(|text| text.contains("already connected")));
    house.act(1, Command::Disconnect);
    house.connect_as(3, Some("me"), false);
    assert_eq!(house.replies(3), [Ok(0)]);
}

/// Whatever the body window and the journal do, each message leaves the books exactly once.
#[test]
fn the_books_are_empty_when_all_is_done() {
    let mut house = House::with(Config { body_window_bytes_per_destination: 5_000, ..Config::default() });
    house.connect(1);
    house.connect(2);
    house.subscribe(2, 1, "queue://Q");
    for round in 0..50 {
        house.send(1, "queue://Q", &["a", "b", "c"]);
        let events = house.take(2);
        for delivery in events.iter().filter_map(delivered) {
            let kind = [AckKind::Individual, AckKind::Released, AckKind::Poison][(delivery.tag % 3) as usize];
            house.ack(2, 1, kind, delivery.tag, delivery.tag);
        }
        if round % 10 == 9 {
            house.act(2, Command::Unsubscribe { subscription: 1, last_delivered: None, receipt: None });
            house.subscribe(2, 1, "queue://Q");
        }
    }
    house.subscribe(2, 2, "queue://ActiveMQ.DLQ");
    for _ in 0..100 {
        let events = house.take(2);
        for delivery in events.iter().filter_map(delivered) {
            house.ack(2, delivery.subscription, AckKind::Individual, delivery.tag, delivery.tag);
        }
    }
    assert_eq!((house.stored(), house.broker.memory()), ((0, 0), (0, 0)));
}
