//! Message groups, exclusive consumers and delayed starts, shown in virtual time (rows C03, C04, C13-C15, P11, P12).

mod house;

use std::collections::BTreeMap;

use broker::{Config, DestinationSettings, GroupStats};
use house::{House, Live, delivered, selector, text_of, wish};
use message::{AckKind, Command, Message, Subscribe, Text};

const Q: &str = "queue://Q";

fn settings(change: impl FnOnce(&mut DestinationSettings)) -> Config {
    let mut config = Config { advisory_support: false, ..Config::default() };
    change(&mut config.default_destination);
    config
}

/// A house with a sender, connection 1, and consumers with this prefetch on the connections from 2 on.
fn with_consumers(config: Config, count: u64, prefetch: u32) -> House {
    let mut house = House::with(config);
    house.connect(1);
    for connection in 2..2 + count {
        house.connect(connection);
        join(&mut house, connection, prefetch);
    }
    house
}

fn join(house: &mut House, connection: u64, prefetch: u32) {
    house.act(connection, Command::Subscribe(Box::new(Subscribe { prefetch, ..wish(connection, 1, Q) })));
}

fn leave(house: &mut House, connection: u64) {
    house.act(connection, Command::Unsubscribe { subscription: 1, last_delivered: None, receipt: None });
}

fn grouped(house: &mut House, group: &str, sequence: i32, text: &str) -> Message {
    let mut message = house.message(1, Q, text);
    message.group_id = Some(Text::from(group));
    message.group_sequence = sequence;
    message
}

fn send(house: &mut House, group: &str, texts: &[&str]) {
    for text in texts {
        let message = grouped(house, group, 0, text);
        house.publish(1, message, None);
    }
}

fn send_numbered(house: &mut House, group: &str, sequence: i32, text: &str) {
    let message = grouped(house, group, sequence, text);
    house.publish(1, message, None);
}

/// Texts delivered to a connection since the last look, with `*` in front where it is the first of its group.
fn got(house: &mut House, connection: u64) -> Vec<String> {
    let events = house.take(connection);
    let first = |first: bool| if first { "*" } else { "" };
    events.iter().filter_map(delivered).map(|d| format!("{}{}", first(d.group_first), text_of(d))).collect()
}

fn ack_all(house: &mut House, connection: u64) {
    house.ack(connection, 1, AckKind::Standard, 1, u64::MAX);
}

fn stats(house: &House) -> GroupStats {
    house.broker.report().into_iter().find(|line| line.name == Q).and_then(|line| line.groups).unwrap_or_default()
}

/// Groups and their owners as the journal has them.
fn journalled(house: &House) -> BTreeMap<String, String> {
    let live = Live::of(&house.durable);
    live.groups.iter().map(|((_, group), owner)| (group.to_string(), owner.to_string())).collect()
}

/// Each group goes to one consumer, groups are shared out evenly, and the first message says so.
#[test]
fn a_group_has_one_owner() {
    let mut house = with_consumers(settings(|_| {}), 2, 100);
    for round in 0..2 {
        for group in ["a", "b", "c", "d"] {
            send(&mut house, group, &[&format!("{group}{round}")]);
        }
    }
    assert_eq!(got(&mut house, 2), ["*a0", "*c0", "a1", "c1"]);
    assert_eq!(got(&mut house, 3), ["*b0", "*d0", "b1", "d1"]);
    let stats = stats(&house);
    assert_eq!((stats.owned, stats.assigned, stats.corrected), (4, 4, 0));
    assert_eq!(stats.policy.batches_policy, 4);
}

/// Messages without a group are served in turn beside those with one.
#[test]
fn messages_without_a_group_go_to_anybody() {
    let mut house = with_consumers(settings(|_| {}), 2, 100);
    send(&mut house, "g", &["g1"]);
    house.send(1, Q, &["x", "y"]);
    send(&mut house, "g", &["g2", "g3"]);
    let (one, two) = (got(&mut house, 2), got(&mut house, 3));
    assert_eq!(one.iter().filter(|text| text.contains('g')).count(), 3, "{one:?}");
    assert_eq!((one.len(), two.len()), (4, 1));
}

/// A group whose owner has no credit waits; the others go on, however much of it stands in front.
#[test]
fn a_full_owner_holds_up_nobody_else() {
    let mut house = with_consumers(settings(|_| {}), 2, 2);
    send(&mut house, "a", &["a1", "a2", "a3", "a4", "a5"]);
    send(&mut house, "b", &["b1", "b2"]);
    assert_eq!(got(&mut house, 2), ["*a1", "a2"]);
    assert_eq!(got(&mut house, 3), ["*b1", "b2"]);
    assert_eq!(stats(&house).parked, 3);
    house.ack(2, 1, AckKind::Standard, 1, 1);
    assert_eq!(got(&mut house, 2), ["a3"]);
    ack_all(&mut house, 2);
    assert_eq!(got(&mut house, 2), ["a4", "a5"]);
    ack_all(&mut house, 2);
    ack_all(&mut house, 3);
    assert_eq!((house.stored(), stats(&house).parked), ((0, 0), 0));
}

/// The same with a backlog whose bodies do not fit into memory: the journal is read past the group that waits.
#[test]
fn a_backlog_beyond_memory_holds_up_nobody_either() {
    let mut config = settings(|_| {});
    config.body_window_bytes_per_destination = 20_000;
    config.body_window_bytes = 20_000;
    let mut house = with_consumers(config, 1, 1);
    let many: Vec<String> = (0..200).map(|n| format!("a{n}")).collect();
    let texts: Vec<&str> = many.iter().map(String::as_str).collect();
    send(&mut house, "a", &texts);
    send(&mut house, "b", &["b1"]);
    assert_eq!(got(&mut house, 2), ["*a0"]);
    house.connect(9);
    join(&mut house, 9, 5);
    assert_eq!(got(&mut house, 9), ["*b1"]);
    assert!(house.broker.memory().1 < 40_000, "{:?}", house.broker.memory());
    for n in 1..200 {
        ack_all(&mut house, 2);
        assert_eq!(got(&mut house, 2), [format!("a{n}")]);
    }
    ack_all(&mut house, 2);
    ack_all(&mut house, 9);
    assert_eq!((house.stored(), house.broker.memory()), ((0, 0), (0, 0)));
}

/// Who goes leaves its groups behind at once; what it held goes first.
#[test]
fn the_groups_of_a_gone_owner_are_free_at_once() {
    let mut house = with_consumers(settings(|_| {}), 2, 2);
    send(&mut house, "a", &["a1", "a2", "a3", "a4"]);
    assert_eq!(got(&mut house, 2), ["*a1", "a2"]);
    leave(&mut house, 2);
    assert_eq!(got(&mut house, 3), ["*a1!", "a2!"]);
    ack_all(&mut house, 3);
    assert_eq!(got(&mut house, 3), ["a3", "a4"]);
    assert_eq!((stats(&house).assigned, stats(&house).owned), (2, 1));
}

/// Group sequence 1 looks for an owner anew; who has fewer groups gets it, once nothing of it is in flight.
#[test]
fn group_sequence_1_assigns_anew() {
    let mut house = with_consumers(settings(|_| {}), 2, 100);
    send_numbered(&mut house, "a", 1, "a1");
    send_numbered(&mut house, "a", 2, "a2");
    assert_eq!(got(&mut house, 2), ["*a1", "a2"]);
    send_numbered(&mut house, "a", 1, "again1");
    send_numbered(&mut house, "a", 2, "again2");
    assert!(got(&mut house, 3).is_empty());
    house.ack(2, 1, AckKind::Individual, 2, 2);
    assert!(got(&mut house, 3).is_empty());
    ack_all(&mut house, 2);
    assert_eq!(got(&mut house, 3), ["*again1", "again2"]);
    assert_eq!((stats(&house).moved, got(&mut house, 2)), (1, vec![]));
}

/// It comes back to the same owner when its delivery fails: one message opens its group once.
#[test]
fn a_failed_delivery_of_group_sequence_1_stays_with_its_owner() {
    let mut house = with_consumers(settings(|_| {}), 2, 100);
    send_numbered(&mut house, "a", 1, "a1");
    send_numbered(&mut house, "a", 2, "a2");
    assert_eq!(got(&mut house, 2), ["*a1", "a2"]);
    house.ack(2, 1, AckKind::Released, 1, 2);
    assert_eq!(got(&mut house, 2), ["*a1!", "a2!"]);
    assert!(got(&mut house, 3).is_empty());
}

/// A negative group sequence closes the group with its delivery: the next message finds the one with the fewest groups.
#[test]
fn a_negative_group_sequence_closes() {
    let mut house = with_consumers(settings(|_| {}), 2, 100);
    send(&mut house, "a", &["a1"]);
    send_numbered(&mut house, "a", -1, "last");
    send(&mut house, "b", &["b1"]);
    assert_eq!(got(&mut house, 2), ["*a1", "last"]);
    assert_eq!(got(&mut house, 3), ["*b1"]);
    assert_eq!(journalled(&house).keys().collect::<Vec<_>>(), ["b"]);
    ack_all(&mut house, 2);
    send(&mut house, "c", &["c1"]);
    send(&mut house, "a", &["a2"]);
    assert_eq!(got(&mut house, 2), ["*c1"]);
    assert_eq!(got(&mut house, 3), ["*a2"]);
    assert_eq!((stats(&house).closed, stats(&house).owned), (1, 3));
}

/// A whole group in a backlog, closed in its middle: what follows waits until what was before is acknowledged.
#[test]
fn a_close_in_a_backlog_keeps_the_order() {
    let mut house = with_consumers(settings(|_| {}), 0, 0);
    send(&mut house, "a", &["a1", "a2"]);
    send_numbered(&mut house, "a", -1, "last");
    send(&mut house, "a", &["a3", "a4"]);
    for connection in [2, 3] {
        house.connect(connection);
    }
    join(&mut house, 2, 100);
    assert_eq!(got(&mut house, 2), ["*a1", "a2", "last", "*a3", "a4"]);
    join(&mut house, 3, 100);
    assert!(got(&mut house, 3).is_empty());
}

/// With consistent hashing a consumer that comes gets its share; a group moves only between acknowledged messages.
#[test]
fn a_move_waits_for_what_is_in_flight() {
    let mut house = with_consumers(settings(|d| d.message_group_policy = "consistent-hash".into()), 1, 1000);
    for n in 0..40 {
        send(&mut house, &format!("g{n}"), &["1"]);
    }
    assert_eq!(got(&mut house, 2).len(), 40);
    for tag in 1..=20 {
        house.ack(2, 1, AckKind::Individual, tag, tag);
    }
    house.connect(3);
    join(&mut house, 3, 1000);
    for n in 0..40 {
        send(&mut house, &format!("g{n}"), &["2"]);
    }
    let (stayed, moved) = (got(&mut house, 2).len(), got(&mut house, 3));
    assert!(!moved.is_empty() && moved.iter().all(|text| text == "*2"), "{moved:?}");
    let waiting = 40 - stayed - moved.len();
    assert!(waiting > 0 && stats(&house).moved >= 10, "{waiting} wait, {:?}", stats(&house));
    ack_all(&mut house, 2);
    assert_eq!(got(&mut house, 3).len(), waiting);
    assert!(stats(&house).moved <= 20);
}

/// Transactions: what a closed consumer acknowledged in one may come back, so its group waits for the end of it.
#[test]
fn a_group_waits_for_the_transaction_of_a_closed_owner() {
    for commit in [true, false] {
        let mut house = with_consumers(settings(|_| {}), 2, 100);
        send(&mut house, "a", &["a1", "a2"]);
        assert_eq!(got(&mut house, 2), ["*a1", "a2"]);
        house.act(2, Command::Begin { transaction: 7, receipt: None });
        house.ack_in(2, 1, AckKind::Standard, 1, 1, Some(7));
        house.act(2, Command::Unsubscribe { subscription: 1, last_delivered: Some(1), receipt: None });
        assert!(got(&mut house, 3).is_empty());
        let end = match commit {
            true => Command::Commit { transaction: 7, receipt: None },
            false => Command::Rollback { transaction: 7, receipt: None },
        };
        house.act(2, end);
        let expected = if commit { vec!["*a2"] } else { vec!["*a1!", "a2"] };
        assert_eq!(got(&mut house, 3), expected, "commit: {commit}");
    }
}

/// Selectors: a group goes to somebody who takes its message; what the owner does not take holds up nothing.
#[test]
fn selectors_and_groups() {
    let mut house = with_consumers(settings(|_| {}), 0, 0);
    for (connection, text) in [(2, "JMSType = 'red'"), (3, "JMSType = 'blue'")] {
        house.connect(connection);
        let picky = Subscribe { selector: selector(text), ..wish(connection, 1, Q) };
        house.act(connection, Command::Subscribe(Box::new(picky)));
    }
    for (kind, text) in [("blue", "1"), ("red", "2"), ("blue", "3")] {
        let mut message = grouped(&mut house, "a", 0, text);
        message.kind = Some(Text::from_static(kind));
        house.publish(1, message, None);
    }
    assert_eq!(got(&mut house, 3), ["*1", "3"]);
    assert!(got(&mut house, 2).is_empty());
    leave(&mut house, 3);
    assert_eq!(got(&mut house, 2), ["*2"]);
}

/// What an owner does not take goes to the next owner before the message that made it the owner.
#[test]
fn what_the_former_owner_refused_comes_before_an_opening() {
    let mut house = with_consumers(settings(|_| {}), 0, 0);
    house.connect(2);
    let picky = Subscribe { selector: selector("JMSType = 'red'"), ..wish(2, 1, Q) };
    house.act(2, Command::Subscribe(Box::new(picky)));
    let say = |house: &mut House, kind: &'static str, sequence, text: &str| {
        let mut message = grouped(house, "a", sequence, text);
        message.kind = Some(Text::from_static(kind));
        house.publish(1, message, None);
    };
    say(&mut house, "red", 1, "taken");
    say(&mut house, "blue", 2, "refused");
    house.connect(3);
    house.act(3, Command::Subscribe(Box::new(Subscribe { prefetch: 9, ..wish(3, 1, Q) })));
    assert_eq!((got(&mut house, 2), got(&mut house, 3)), (vec!["*taken".to_owned()], vec![]));
    ack_all(&mut house, 2);
    say(&mut house, "blue", 1, "opening");
    say(&mut house, "blue", 2, "after it");
    assert_eq!(got(&mut house, 3), ["*refused", "opening", "after it"]);
}

/// Priority within a group, where the queue asks for it.
#[test]
fn priority_and_groups() {
    let mut house = with_consumers(settings(|d| d.prioritized_messages = true), 1, 1);
    for (priority, text) in [(4, "first"), (1, "low"), (9, "high"), (4, "middle")] {
        let mut message = grouped(&mut house, "a", 0, text);
        message.priority = priority;
        house.publish(1, message, None);
    }
    let mut all = got(&mut house, 2);
    for _ in 0..3 {
        ack_all(&mut house, 2);
        all.extend(got(&mut house, 2));
    }
    assert_eq!(all, ["*first", "high", "middle", "low"]);
}

/// An exclusive consumer gets all groups, those of others once they have nothing of them any more.
#[test]
fn an_exclusive_consumer_gets_the_groups() {
    let mut house = with_consumers(settings(|_| {}), 1, 100);
    send(&mut house, "a", &["a1"]);
    assert_eq!(got(&mut house, 2), ["*a1"]);
    house.connect(3);
    house.act(3, Command::Subscribe(Box::new(Subscribe { exclusive: true, ..wish(3, 1, Q) })));
    send(&mut house, "a", &["a2"]);
    send(&mut house, "b", &["b1"]);
    assert_eq!(got(&mut house, 3), ["*b1"]);
    ack_all(&mut house, 2);
    assert_eq!(got(&mut house, 3), ["*a2"]);
    leave(&mut house, 3);
    assert_eq!(got(&mut house, 2).len(), 2);
}

/// Pulling consumers own groups too.
#[test]
fn pulls_get_messages_of_groups() {
    let mut house = with_consumers(settings(|_| {}), 2, 0);
    send(&mut house, "a", &["a1", "a2"]);
    send(&mut house, "b", &["b1"]);
    let pull = |house: &mut House, connection| {
        house.act(connection, Command::Pull { subscription: 1, timeout_ms: -1 });
        got(house, connection)
    };
    assert_eq!(pull(&mut house, 3), ["*a1"]);
    assert_eq!(pull(&mut house, 2), ["*b1"]);
    assert_eq!(pull(&mut house, 2), Vec::<String>::new());
    assert_eq!(pull(&mut house, 3), ["a2"]);
}

/// A browser sees what waits for an owner, and takes nothing of it.
#[test]
fn browsers_see_groups() {
    let mut house = with_consumers(settings(|_| {}), 1, 1);
    send(&mut house, "a", &["a1", "a2", "a3"]);
    house.connect(9);
    house.act(9, Command::Subscribe(Box::new(Subscribe { browser: true, ..wish(9, 1, Q) })));
    assert_eq!(house.texts(9), ["a1", "a2", "a3"]);
    assert_eq!((house.texts(2), stats(&house).owned), (vec!["a1".into()], 1));
}

/// Expired messages leave their group's list, wherever they are found.
#[test]
fn expired_messages_of_a_group_make_way() {
    for period in [0, 100] {
        let mut house = with_consumers(settings(|d| d.expire_messages_period_ms = period), 2, 1);
        send(&mut house, "a", &["a1"]);
        let mut message = grouped(&mut house, "a", 0, "short");
        message.expiration = house.now + 50;
        house.publish(1, message, None);
        send(&mut house, "a", &["a2"]);
        assert_eq!((got(&mut house, 2), stats(&house).parked), (vec!["*a1".to_owned()], 2));
        house.later(200);
        ack_all(&mut house, 2);
        assert_eq!((got(&mut house, 2), stats(&house).parked), (vec!["a2".to_owned()], 0), "period {period}");
    }
}

/// Beyond the limit the longest idle groups are forgotten, never one with messages in flight.
#[test]
fn groups_have_a_limit() {
    let mut house = with_consumers(settings(|d| d.message_groups_max = 3), 1, 100);
    for group in ["a", "b", "c"] {
        send(&mut house, group, &["1"]);
    }
    house.ack(2, 1, AckKind::Individual, 2, 2);
    send(&mut house, "d", &["1"]);
    assert_eq!(got(&mut house, 2), ["*1"; 4]);
    assert_eq!((stats(&house).forgotten, stats(&house).waited), (1, 0));
    assert_eq!(journalled(&house).keys().collect::<Vec<_>>(), ["a", "c", "d"]);
    send(&mut house, "e", &["late"]);
    assert!(got(&mut house, 2).is_empty() && stats(&house).waited > 0);
    ack_all(&mut house, 2);
    assert_eq!(got(&mut house, 2), ["*late"]);
}

/// After a crash the groups wait for their owner, known by its id, and are its own again when it comes.
#[test]
fn owners_come_back_after_a_restart() {
    let mut house = with_consumers(settings(|_| {}), 2, 100);
    for group in ["a", "b"] {
        send(&mut house, group, &[group]);
    }
    assert_eq!((got(&mut house, 2), got(&mut house, 3)), (vec!["*a".into()], vec!["*b".into()]));
    ack_all(&mut house, 2);
    ack_all(&mut house, 3);
    let owners = journalled(&house);
    assert_eq!((&*owners["a"], &*owners["b"]), ("ID:c2:1:1", "ID:c3:1:1"));
    let mut house = house.restart(settings(|_| {}), false);
    house.connect(1);
    house.connect(3);
    join(&mut house, 3, 100);
    send(&mut house, "a", &["a2"]);
    send(&mut house, "b", &["b2"]);
    assert_eq!(got(&mut house, 3), ["*b2"]);
    house.connect(2);
    join(&mut house, 2, 100);
    assert_eq!(got(&mut house, 2), ["*a2"]);
}

/// Who does not come back within the time loses its groups; an orderly stop keeps them as a crash does.
#[test]
fn owners_that_do_not_come_back_lose_their_groups() {
    for orderly in [false, true] {
        let mut house = with_consumers(settings(|_| {}), 1, 100);
        send(&mut house, "a", &["a1"]);
        ack_all(&mut house, 2);
        if orderly {
            house.broker.stop(house.now);
            house.settle();
        }
        let mut house = house.restart(settings(|d| d.group_owner_grace_ms = 500), orderly);
        house.later(10_000);
        house.connect(1);
        house.connect(3);
        join(&mut house, 3, 100);
        send(&mut house, "a", &["a2"]);
        house.later(499);
        assert!(got(&mut house, 3).is_empty(), "orderly: {orderly}");
        house.later(1);
        assert_eq!(got(&mut house, 3), ["*a2"]);
        assert_eq!(journalled(&house)["a"], "ID:c3:1:1");
    }
}

/// Owners in the journal go with the queue, with the consumer, and with the close.
#[test]
fn the_journal_forgets_owners_in_time() {
    let mut house = with_consumers(settings(|_| {}), 1, 100);
    send(&mut house, "a", &["a1"]);
    assert_eq!(journalled(&house).len(), 1);
    ack_all(&mut house, 2);
    leave(&mut house, 2);
    assert_eq!((journalled(&house).len(), stats(&house).owned), (0, 0));
    join(&mut house, 2, 100);
    send(&mut house, "a", &["a2"]);
    assert_eq!(journalled(&house).len(), 1);
    house.act(2, Command::Disconnect);
    let destination = message::Destination::queue("Q");
    house.act(1, Command::RemoveDestination { destination, receipt: None });
    assert_eq!(journalled(&house).len(), 0);
}

/// A group that got an owner and never had to be told to the journal costs no extra group of records.
#[test]
fn nobody_waits_for_an_owner_to_be_durable() {
    let mut house = with_consumers(settings(|_| {}), 1, 100);
    house.prompt = false;
    let mut message = grouped(&mut house, "a", 0, "a1");
    message.persistent = false;
    house.confirm();
    house.publish(1, message, None);
    assert_eq!(got(&mut house, 2), ["*a1"]);
}

/// All consumers are exclusive where the destination says so: one gets everything (row P11).
#[test]
fn all_consumers_may_be_exclusive() {
    let mut house = with_consumers(settings(|d| d.all_consumers_exclusive_by_default = true), 2, 100);
    house.send(1, Q, &["a", "b", "c"]);
    assert_eq!((house.texts(2).len(), house.texts(3).len()), (3, 0));
    house.connect(4);
    house.act(4, Command::Subscribe(Box::new(Subscribe { priority: 5, ..wish(4, 1, Q) })));
    house.send(1, Q, &["d"]);
    assert_eq!(house.texts(4), ["d"]);
    leave(&mut house, 4);
    leave(&mut house, 2);
    assert_eq!(house.texts(3).len(), 4);
}

/// Consumer priority counts, unless the destination says otherwise (rows C03, P11).
#[test]
fn consumer_priority_can_be_switched_off() {
    for (on, expected) in [(true, (4, 0)), (false, (2, 2))] {
        let mut house = with_consumers(settings(|d| d.use_consumer_priority = on), 0, 0);
        for (connection, priority) in [(2, 7), (3, 0)] {
            house.connect(connection);
            house.act(connection, Command::Subscribe(Box::new(Subscribe { priority, ..wish(connection, 1, Q) })));
        }
        house.send(1, Q, &["a", "b", "c", "d"]);
        assert_eq!((house.texts(2).len(), house.texts(3).len()), expected, "use_consumer_priority = {on}");
    }
}

/// Nothing goes out before enough consumers are there, or the time is up (row P12).
#[test]
fn dispatch_waits_for_consumers_or_time() {
    for (wait, enough) in [(0, 2), (300, 2), (300, 0)] {
        let config = settings(|d| {
            d.time_before_dispatch_starts_ms = wait;
            d.consumers_before_dispatch_starts = enough;
        });
        let mut house = with_consumers(config.clone(), 1, 100);
        send(&mut house, "a", &["a1"]);
        send(&mut house, "b", &["b1"]);
        assert!(got(&mut house, 2).is_empty());
        let due = if wait > 0 { wait } else { 1000 };
        house.later(due - 1);
        assert!(got(&mut house, 2).is_empty());
        house.later(1);
        assert_eq!(got(&mut house, 2), ["*a1", "*b1"], "{wait} ms, {enough} consumers");
        let mut house = with_consumers(config, 1, 100);
        send(&mut house, "a", &["a1"]);
        send(&mut house, "b", &["b1"]);
        house.connect(3);
        join(&mut house, 3, 100);
        let both = (got(&mut house, 2).len(), got(&mut house, 3).len());
        assert_eq!(both, if enough == 2 { (1, 1) } else { (0, 0) }, "{wait} ms, {enough} consumers");
    }
}
