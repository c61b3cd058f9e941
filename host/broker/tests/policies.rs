//! What the machine does for those who change policies: facts, bindings, explanations.

mod house;

use std::sync::{Arc, Mutex};

use broker::{Config, EXPLAIN_DECISIONS_MAX, EXPLAIN_DESTINATIONS_MAX, ExplainError};
use bytes::Bytes;
use house::{House, delivered, wish};
use message::{AckKind, Command, Fact, Record, Text};
use plugin::native::{NativeHost, RoundRobin};
use plugin::{
    Columns, Corrections, Decided, DispatchBatch, GroupAssignment, GroupBatch, GroupMove, MemberChange, Point,
    PolicyError, PolicyHost, PolicyInfo, PolicyStats, QueueDispatch, SymbolTable, TopicDispatch,
};

fn fact(key: &'static str, value: Option<&'static str>) -> Fact {
    Fact { key: key.into(), value: value.map(|value| Bytes::from_static(value.as_bytes())) }
}

/// All facts of a request are in one group, and nobody hears of them before that is durable.
#[test]
fn facts_are_one_group_and_told_when_durable() {
    let mut house = House::new();
    house.prompt = false;
    house.connect(1);
    house.confirm();
    let facts = vec![fact("x/a", Some("1")), fact("x/b", None)];
    house.broker.keep(facts.clone(), 7);
    house.settle();
    assert_eq!(house.broker.poll_kept(), None);
    let groups: Vec<_> = house.waiting.iter().filter(|(_, group)| group.iter().any(is_fact)).collect();
    let [(position, group)] = &groups[..] else { panic!("one group: {groups:?}") };
    assert_eq!(group.iter().filter(|r| is_fact(r)).count(), 2);
    assert!(house.broker.awaited() >= *position, "somebody waits: the writer syncs");
    house.confirm();
    assert_eq!(house.broker.poll_kept(), Some(7));
    assert_eq!(house.broker.poll_kept(), None);
    assert!(house.broker.is_settled());
}

fn is_fact(record: &Record) -> bool {
    matches!(record, Record::Fact(_))
}

/// Gives everything to the member that joined last, or first, by its name; notes what it is told.
struct Picky {
    last: bool,
    wrong: bool,
    members: Vec<u32>,
    told: Arc<Mutex<Vec<String>>>,
}

impl QueueDispatch for Picky {
    fn wants(&self) -> Columns {
        Columns::NONE
    }

    fn rows_max(&self) -> usize {
        4
    }

    fn members_changed(&mut self, changes: &[MemberChange]) {
        for change in changes {
            match change {
                MemberChange::Joined(member) => self.members.push(member.slot),
                MemberChange::Left(slot) => self.members.retain(|other| other != slot),
            }
        }
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided {
        let to = if self.last { self.members.last() } else { self.members.first() };
        let to = if self.wrong { 4_000 } else { *to.expect("somebody is there") };
        out.clear();
        out.resize(batch.rows, to);
        Decided::Policy
    }

    fn corrected(&mut self, rows: usize, corrections: &Corrections) {
        self.told.lock().expect("whole").push(format!("{rows} rows, {} corrected", corrections.total()));
    }

    fn stats(&self) -> PolicyStats {
        PolicyStats { generation: 5, ..PolicyStats::default() }
    }
}

/// Gives each new group to whoever joined last.
#[derive(Default)]
struct Newest(Vec<u32>);

impl GroupAssignment for Newest {
    fn members_changed(&mut self, changes: &[MemberChange]) {
        for change in changes {
            match change {
                MemberChange::Joined(member) => self.0.push(member.slot),
                MemberChange::Left(slot) => self.0.retain(|other| other != slot),
            }
        }
    }

    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided {
        out.clear();
        out.resize(batch.rows(), *self.0.last().expect("somebody is there"));
        Decided::Policy
    }

    fn rebalances(&self) -> bool {
        false
    }

    fn rebalance(&mut self, _batch: &GroupBatch<'_>, out: &mut Vec<GroupMove>) -> Decided {
        out.clear();
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        PolicyStats::default()
    }
}

#[derive(Default, Clone)]
struct Bindings {
    bound: Arc<Mutex<Vec<(Point, String, String)>>>,
    told: Arc<Mutex<Vec<String>>>,
    symbols: Arc<SymbolTable>,
}

impl Bindings {
    fn bind(&self, destination: &str, policy: &str) {
        self.bind_at(Point::QueueDispatch, destination, policy);
    }

    fn unbind(&self, point: Point) {
        self.bound.lock().expect("whole").retain(|(at, ..)| *at != point);
    }

    fn bind_at(&self, point: Point, destination: &str, policy: &str) {
        let mut bound = self.bound.lock().expect("whole");
        bound.retain(|(at, to, _)| (*at, &**to) != (point, destination));
        bound.push((point, destination.into(), policy.into()));
    }
}

impl PolicyHost for Bindings {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        let picky = |last, wrong| Picky { last, wrong, members: Vec::new(), told: self.told.clone() };
        match policy {
            "first" => Ok(Box::new(picky(false, false))),
            "last" => Ok(Box::new(picky(true, false))),
            "wrong" => Ok(Box::new(picky(true, true))),
            _ => NativeHost::new().queue_dispatch(policy, destination),
        }
    }

    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        match policy {
            "newest" => Ok(Box::new(Newest::default())),
            _ => NativeHost::new().group_assignment(policy, destination),
        }
    }

    fn topic_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        NativeHost::new().topic_dispatch(policy, destination)
    }

    fn bound(&self, point: Point, destination: &str) -> Option<String> {
        let bound = self.bound.lock().expect("whole");
        bound.iter().find(|(at, to, _)| (*at, &**to) == (point, destination)).map(|(.., policy)| policy.clone())
    }

    fn bindings(&self, point: Point) -> Vec<(String, String)> {
        let bound = self.bound.lock().expect("whole");
        let theirs = bound.iter().filter(|(at, ..)| *at == point);
        theirs.map(|(_, to, policy)| (to.clone(), policy.clone())).collect()
    }

    fn names(&self, _point: Point) -> Vec<PolicyInfo> {
        Vec::new()
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        &self.symbols
    }
}

fn crowd(bindings: &Bindings) -> House {
    let mut house = House::with_policies(Config::default(), Box::new(bindings.clone()));
    for connection in 1..=3 {
        house.connect(connection);
        house.subscribe(connection, 1, "queue://Q");
        house.take(connection);
    }
    house.connect(9);
    house
}

/// A policy that is bound to a queue in use knows all its members; a queue whose policy stays keeps it.
#[test]
fn a_queue_in_use_gets_the_policy_bound_to_it() {
    let bindings = Bindings::default();
    bindings.bind("Q", "first");
    let mut house = crowd(&bindings);
    house.send(9, "queue://Q", &["a", "b"]);
    assert_eq!(house.texts(1), ["a", "b"]);
    bindings.bind("Q", "last");
    house.broker.policies_changed();
    house.send(9, "queue://Q", &["c"]);
    assert_eq!(house.texts(3), ["c"]);
    house.subscribe(9, 1, "queue://Q");
    house.send(9, "queue://Q", &["d"]);
    assert_eq!(house.texts(9), ["d"], "who joins later is the last one");
    house.broker.policies_changed();
    house.send(9, "queue://Q", &["e"]);
    assert_eq!(house.texts(9), ["e"], "nothing changed");
    bindings.bind("Q", RoundRobin::NAME);
    house.broker.policies_changed();
    house.send(9, "queue://Q", &["f", "g", "h"]);
    assert_eq!(
        (house.texts(1), house.texts(2), house.texts(3)),
        (vec!["f".into()], vec!["g".into()], vec!["h".into()])
    );
}

/// The policy of a topic is exchanged between two messages.
#[test]
fn a_topic_in_use_gets_the_policy_bound_to_it() {
    let bindings = Bindings::default();
    let mut house = House::with_policies(Config::default(), Box::new(bindings.clone()));
    house.connect(1);
    for (subscription, priority) in [(1, -1), (2, 5), (3, 0)] {
        let mut wish = wish(1, subscription, "topic://PRICES.>");
        wish.priority = priority;
        house.act(1, Command::Subscribe(Box::new(wish)));
        house.take(1);
    }
    let served = |house: &mut House| {
        house.broker.policies_changed();
        house.send(9, "topic://PRICES.ACME", &["x"]);
        house.take(1).iter().filter_map(delivered).map(|delivery| delivery.subscription).collect::<Vec<_>>()
    };
    house.connect(9);
    assert_eq!(served(&mut house), [1, 2, 3]);
    bindings.bind_at(Point::TopicDispatch, "PRICES.ACME", "priority");
    assert_eq!(served(&mut house), [2, 3, 1]);
    bindings.bind_at(Point::TopicDispatch, "PRICES.ACME", "missing");
    assert_eq!(served(&mut house), [1, 2, 3], "nobody is left out by a policy that cannot be had");
    bindings.bind_at(Point::TopicDispatch, "PRICES.ACME", "strict-order");
    assert_eq!(served(&mut house), [1, 2, 3]);
    let topics = house.broker.topics_dispatched();
    assert_eq!((topics.len(), topics[0].topic.messages), (1, 1), "its policy was asked");
    bindings.unbind(Point::TopicDispatch);
    assert_eq!(served(&mut house), [1, 2, 3]);
    assert!(house.broker.topics_dispatched().is_empty());
}

/// Groups stay with their owners when another policy is bound; new ones go by it, and it knows all members.
#[test]
fn groups_in_use_get_the_policy_bound_to_them() {
    let bindings = Bindings::default();
    let mut house = crowd(&bindings);
    let owner_of = |house: &mut House, group: &str| {
        let mut message = house.message(9, "queue://Q", "x");
        message.group_id = Some(Text::from(group));
        house.publish(9, message, None);
        (1..=3).find(|connection| house.take(*connection).iter().any(|event| delivered(event).is_some()))
    };
    let before: Vec<_> = ["a", "b", "c"].map(|group| owner_of(&mut house, group)).into();
    assert_eq!(before.iter().flatten().collect::<std::collections::BTreeSet<_>>().len(), 3, "shared out: {before:?}");
    bindings.bind_at(Point::GroupAssignment, "Q", "newest");
    house.broker.policies_changed();
    assert_eq!(["a", "b", "c"].map(|group| owner_of(&mut house, group)).to_vec(), before);
    assert_eq!(["d", "e", "f"].map(|group| owner_of(&mut house, group)), [Some(3); 3]);
    bindings.unbind(Point::GroupAssignment);
    house.broker.policies_changed();
    assert_ne!(owner_of(&mut house, "g"), Some(3), "the one with most groups does not get another");
}

/// The policy hears how often it was wrong, and only then.
#[test]
fn a_policy_is_told_of_corrections() {
    let bindings = Bindings::default();
    bindings.bind("Q", "first");
    let mut house = crowd(&bindings);
    house.send(9, "queue://Q", &["a"]);
    assert!(bindings.told.lock().expect("whole").is_empty());
    bindings.bind("Q", "wrong");
    house.broker.policies_changed();
    house.send(9, "queue://Q", &["b"]);
    assert_eq!(*bindings.told.lock().expect("whole"), ["1 rows, 1 corrected"]);
}

/// Asked for a message, the machine says who decided, on what, and who got it; and keeps no more than it says.
#[test]
fn decisions_are_explained() {
    let bindings = Bindings::default();
    bindings.bind("Q", "wrong");
    let mut house = crowd(&bindings);
    assert!(house.broker.explain("Q", house.now).expect("a queue").begun_now);
    house.send(9, "queue://Q", &["a"]);
    let explained = house.broker.explain("Q", house.now).expect("a queue");
    let [decision] = &explained.decisions[..] else { panic!("one: {explained:?}") };
    assert!(!explained.begun_now);
    assert_eq!((&*decision.policy, decision.generation, decision.decided), ("wrong", 5, Decided::Policy));
    assert_eq!(decision.asked, Some(4_000));
    assert_eq!(decision.given.as_ref().map(|given| &*given.consumer), Some("ID:c1:1:1"));
    assert_eq!(decision.message_id, "ID:c9:1:1:1");
    for _ in 0..EXPLAIN_DECISIONS_MAX + 10 {
        house.send(9, "queue://Q", &["x"]);
        for connection in 1..=3 {
            house.ack(connection, 1, AckKind::Standard, 1, u64::MAX);
        }
    }
    let explained = house.broker.explain("Q", house.now).expect("a queue");
    assert_eq!(explained.decisions.len(), EXPLAIN_DECISIONS_MAX);
    house.later(601_000);
    house.send(9, "queue://Q", &["late"]);
    assert!(house.broker.explain("Q", house.now).expect("a queue").begun_now, "nobody asked for ten minutes");
}

#[test]
fn explanations_are_bounded() {
    let mut house = House::new();
    house.connect(1);
    let unknown = house.broker.explain("N.0", 0).expect_err("not there yet");
    assert_eq!(unknown.to_string(), "queue N.0 does not exist; explain knows queues that have been used");
    for at in 0..=EXPLAIN_DESTINATIONS_MAX {
        let name = format!("N.{at}");
        house.send(1, &format!("queue://{name}"), &["a"]);
        let outcome = house.broker.explain(&name, house.now);
        match outcome {
            Ok(_) => assert!(at < EXPLAIN_DESTINATIONS_MAX),
            Err(error) => assert_eq!(error, ExplainError::TooMany { limit: EXPLAIN_DESTINATIONS_MAX }),
        }
    }
}
