//! Rights that only the core can look at: making, removing, and what wildcards reach.

mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::Config;
use house::{House, wish};
use message::{Command, Destination, Event, Message, Publish, Refusal, RefusalKind};
use plugin::auth::{Action, Guard, Permit, Principal, Request};

/// "root" may do everything, others may read and make only what has "open" in its name.
struct Names;

impl Guard for Names {
    fn allows(&self, principal: &Principal, request: Request<'_>, now_ms: i64) -> Permit {
        assert_ne!(request.action, Action::Write, "the session asks that");
        let allowed = principal.name == "root" || request.name.contains("open");
        Permit { allowed, until_ms: now_ms + 1000 }
    }
}

fn guarded() -> House {
    let mut house = House::with(Config::default());
    house.broker.set_guard(Arc::new(Names));
    for (connection, user) in [(1, "root"), (2, "bob")] {
        house.log_in(connection, Some(user), Some(["c1", "c2"][connection as usize - 1]), false);
        house.take(connection);
    }
    house
}

fn send(house: &mut House, connection: u64, to: &str, text: &str) {
    let message: Message = house.message(connection, to, text);
    house.publish(connection, message, Some(9));
}

/// A destination is made by who may administer it, in whatever way; one that exists is for all who may use it.
#[test]
fn only_who_may_makes_and_removes_destinations() {
    let mut house = guarded();
    let queue = |name: &str| Destination::queue(name.to_owned());
    let attempts: [fn(&mut House, u64, &str); 3] = [
        |house, connection, name| send(house, connection, &format!("queue://{name}"), "x"),
        |house, connection, name| {
            let destination = Destination::queue(name.to_owned());
            house.act(connection, Command::AddDestination { destination, receipt: Some(9) });
        },
        |house, connection, name| {
            let mut wish = wish(connection, 1, &format!("queue://{name}"));
            wish.receipt = Some(9);
            house.act(connection, Command::Subscribe(Box::new(wish)));
        },
    ];
    for (at, attempt) in attempts.into_iter().enumerate() {
        let name = format!("closed.{at}");
        attempt(&mut house, 2, &name);
        let replies = house.replies(2);
        assert!(matches!(&replies[..], [Err(text)] if text.contains("not authorized to create")), "{at}: {replies:?}");
        attempt(&mut house, 2, &format!("open.{at}"));
        assert!(house.replies(2).iter().all(Result::is_ok), "{at}");
        attempt(&mut house, 1, &name);
        house.take(1);
        attempt(&mut house, 2, &name);
        assert!(house.replies(2).iter().all(Result::is_ok), "{at}: it exists now");
        house.act(2, Command::Unsubscribe { subscription: 1, last_delivered: None, receipt: None });
        house.take(2);
    }
    send(&mut house, 2, "queue://open.0,closed.9", "x");
    assert!(house.replies(2).iter().all(Result::is_err), "each part of a composite counts");
    for (name, refused) in [("closed.0", true), ("open.0", false), ("absent", false)] {
        house.act(2, Command::RemoveDestination { destination: queue(name), receipt: Some(9) });
        assert_eq!(house.replies(2).iter().any(Result::is_err), refused, "{name}");
    }
}

/// A consumer with wildcards is served from the queues that it may read, those made later too, and its browser sees
/// no others.
#[test]
fn wildcards_reach_what_may_be_read_and_no_more() {
    let mut house = guarded();
    send(&mut house, 1, "queue://A.open", "1");
    send(&mut house, 1, "queue://A.closed", "2");
    house.subscribe(2, 1, "queue://A.>");
    send(&mut house, 1, "queue://A.open.late", "3");
    send(&mut house, 1, "queue://A.closed.late", "4");
    assert_eq!(house.texts(2), ["1", "3"]);
    let mut browser = wish(2, 2, "queue://A.>");
    browser.browser = true;
    house.act(2, Command::Subscribe(Box::new(browser)));
    assert!(house.texts(2).iter().all(|text| text != "2" && text != "4"));
}

/// Topics likewise, and a durable subscription whose owner was away when the broker came back gets nothing on its
/// return that it may not read.
#[test]
fn wildcards_over_topics_are_looked_at_topic_by_topic() {
    let mut house = guarded();
    let mut durable = wish(2, 1, "topic://T.>");
    durable.durable_name = Some("d".into());
    house.act(2, Command::Subscribe(Box::new(durable.clone())));
    house.subscribe(2, 2, "topic://T.*");
    house.take(2);
    send(&mut house, 1, "topic://T.open", "1");
    send(&mut house, 1, "topic://T.closed", "2");
    assert_eq!(house.texts(2), ["1", "1"]);
    house.act(2, Command::Disconnect);
    send(&mut house, 1, "topic://T.closed", "3");
    let mut house = house.restart(Config::default(), true);
    house.broker.set_guard(Arc::new(Names));
    house.log_in(1, Some("root"), Some("c1"), false);
    send(&mut house, 1, "topic://T.closed", "4");
    send(&mut house, 1, "topic://T.open", "5");
    house.log_in(2, Some("bob"), Some("c2"), false);
    house.take(2);
    house.act(2, Command::Subscribe(Box::new(durable)));
    house.settle();
    let texts = house.texts(2);
    assert_eq!(texts.iter().filter(|text| !text.starts_with('1')).collect::<Vec<_>>(), ["5"]);
}

/// Lets everybody read topics for ever in even terms and none in odd ones; the last one limits nobody.
#[derive(Default)]
struct Parity(AtomicU64);

const UNLIMITED: u64 = 3;

impl Guard for Parity {
    fn allows(&self, _: &Principal, request: Request<'_>, _: i64) -> Permit {
        let term = self.0.load(Ordering::Relaxed);
        Permit { allowed: request.action != Action::Read || term.is_multiple_of(2), until_ms: i64::MAX }
    }

    fn term(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|term| *term != UNLIMITED)
    }
}

/// What a wildcard may read is asked anew in each term, while its consumer stays.
#[test]
fn what_a_wildcard_may_read_ends_with_the_term() {
    let (mut house, parity) = (House::with(Config::default()), Arc::new(Parity::default()));
    house.broker.set_guard(parity.clone());
    for connection in [1, 2] {
        house.log_in(connection, Some("ann"), Some(["c1", "c2"][connection as usize - 1]), false);
    }
    house.subscribe(2, 1, "topic://T.>");
    house.take(2);
    for term in 0..=UNLIMITED {
        parity.0.store(term, Ordering::Relaxed);
        send(&mut house, 1, "topic://T.a", &format!("{term}"));
    }
    assert_eq!(house.texts(2), ["0", "2", "3"]);
}

/// What was found before the core not to be allowed goes nowhere: its sender hears so as it would of any refusal, a producer
/// with a window gets it back, and a transaction does not commit without it.
#[test]
fn a_forbidden_message_is_told_and_goes_nowhere() {
    let mut house = House::new();
    house.connect(1);
    house.subscribe(1, 1, "queue://A");
    house.take(1);
    let forbid = |house: &mut House, transaction, receipt, window_bytes| {
        let message = Arc::new(house.message(1, "queue://A", "no"));
        let publish = Publish { message, transaction, receipt, window_bytes };
        let why = Refusal::new(RefusalKind::Security, "not this one");
        house.act(1, Command::Forbidden { publish, why });
    };
    forbid(&mut house, None, Some(9), None);
    assert_eq!(house.replies(1), [Err("not this one".to_owned())]);
    forbid(&mut house, None, None, Some(77));
    house.settle();
    let events = house.take(1);
    assert!(matches!(&events[0], Event::Failed(why) if why.kind == RefusalKind::Security), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::ProducerAck { bytes: 77, .. })), "{events:?}");
    house.act(1, Command::Begin { transaction: 5, receipt: None });
    let good = house.message(1, "queue://A", "yes");
    house.publish_in(1, good, None, Some(5));
    forbid(&mut house, Some(5), None, None);
    house.take(1);
    house.act(1, Command::Commit { transaction: 5, receipt: Some(9) });
    assert_eq!(house.replies(1), [Err("not this one".to_owned())]);
    send(&mut house, 1, "queue://A", "after");
    assert_eq!(house.texts(1), ["after"]);
}
