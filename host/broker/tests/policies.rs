//! What the machine does for those who change policies: facts, bindings, explanations.

mod house;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use broker::{Config, EXPLAIN_DECISIONS_MAX, EXPLAIN_DESTINATIONS_MAX, ExplainError};
use bytes::Bytes;
use house::House;
use message::{AckKind, Fact, Record};
use plugin::native::{NativeHost, RoundRobin};
use plugin::{
    Columns, Corrections, Decided, DispatchBatch, GroupAssignment, MemberChange, PolicyError, PolicyHost, PolicyInfo,
    PolicyStats, QueueDispatch, SymbolTable,
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

#[derive(Default, Clone)]
struct Bindings {
    bound: Arc<Mutex<BTreeMap<String, String>>>,
    told: Arc<Mutex<Vec<String>>>,
    symbols: Arc<SymbolTable>,
}

impl Bindings {
    fn bind(&self, destination: &str, policy: &str) {
        self.bound.lock().expect("whole").insert(destination.into(), policy.into());
    }
}

impl PolicyHost for Bindings {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        let name = self.policy_for(policy, destination);
        let picky = |last, wrong| Picky { last, wrong, members: Vec::new(), told: self.told.clone() };
        match &*name {
            "first" => Ok(Box::new(picky(false, false))),
            "last" => Ok(Box::new(picky(true, false))),
            "wrong" => Ok(Box::new(picky(true, true))),
            _ => NativeHost::new().queue_dispatch(&name, destination),
        }
    }

    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        NativeHost::new().group_assignment(policy, destination)
    }

    fn policy_for(&self, policy: &str, destination: &str) -> String {
        self.bound.lock().expect("whole").get(destination).cloned().unwrap_or_else(|| policy.to_owned())
    }

    fn names(&self, _point: plugin::Point) -> Vec<PolicyInfo> {
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
