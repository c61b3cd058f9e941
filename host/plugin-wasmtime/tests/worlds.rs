//! The worlds beside queue dispatch: components that mean ill or are broken, and the stock ones against their
//! native twins. (What all worlds share, pauses and sleep and recovery, is in `hostile.rs` and `twins.rs`.)

use std::borrow::Cow;
use std::time::{Duration, Instant};

use plugin::native::NativeHost;
use plugin::{
    Columns, ConsumerRow, Crossing, CrossingCheck, Decided, Demand, Fallback, FanOut, FanOutCheck, GroupBatch,
    GroupCheck, Interest, Member, MemberChange, Messages, Peer, Point, PolicyError, PolicyHost, RouteCheck, Scalar,
    SubscriptionRow, Verdict,
};
use plugin_wasmtime::{Limits, SwapEvent, Takeover, WasmHost, stock_of};

use crate::world_guest::{GROUP, NETWORK, ROUTING, TOPIC, component};

const FOREVER: &str = "(loop $again (br $again)) (unreachable)";
const TRAP: &str = "(unreachable)";
const LOG: &str = r#"(import "jackfield:policy/telemetry@0.1.0" "log" (func $log (param i32 i32 i32)))"#;

fn host_with(component: Vec<u8>) -> WasmHost {
    let host = WasmHost::new(Limits::default()).expect("the engine starts");
    host.add("guest", component, &[]).expect("the component is accepted");
    host.prepare("guest").expect("the component compiles");
    host
}

/// A message: its properties.
type Row = Vec<(&'static str, Scalar<'static>)>;

struct Rows(Vec<Row>);

impl Messages for Rows {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn number(&self, row: usize, _column: Columns) -> i64 {
        row as i64
    }

    fn property(&self, row: usize, name: &str) -> Scalar<'_> {
        let found = self.0[row].iter().find(|(other, _)| *other == name);
        found.map_or(Scalar::Absent, |(_, value)| value.clone())
    }
}

fn route(host: &WasmHost, rows: usize) -> (Decided, Vec<Verdict>) {
    let mut policy = host.publish_routing("guest", "ORDERS.>", &[]).expect("the policy is there");
    let mut out = vec![Verdict::Drop];
    let decided = policy.route(0, &Rows(vec![vec![]; rows]), &mut out);
    (decided, out)
}

/// Whatever a routing policy does, its messages go where they were sent.
#[test]
fn a_failing_routing_policy_leaves_messages_as_addressed() {
    let big = "(drop (memory.grow (i32.const 200))) (call $answer (i32.const 1000000))";
    let grow = "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)";
    let table = [
        (TRAP, Fallback::Trap),
        (FOREVER, Fallback::Deadline),
        (grow, Fallback::Deadline),
        ("(call $answer (i32.const 1000000000))", Fallback::Trap),
        ("(call $answer (i32.const -1))", Fallback::Trap),
        (big, Fallback::Trap),
        ("(i32.store8 (i32.const 256) (i32.const 77)) (call $answer (i32.const 2))", Fallback::Trap),
        ("(call $answer (i32.const 0))", Fallback::WrongLength),
        ("(call $answer (i32.const 3))", Fallback::WrongLength),
    ];
    for (body, fallback) in table {
        let host = host_with(component(ROUTING, "", "(i32.const 64)", body));
        let expected = (Decided::Fallback(fallback), vec![Verdict::AsAddressed; 2]);
        assert_eq!(route(&host, 2), expected, "{body}");
    }
}

#[test]
fn targets_that_cannot_be_are_taken_out() {
    // replace: 1, then the list of one string at 512, which is 11 bytes at 1024.
    let body = r#"
        (i32.store8 (i32.const 256) (i32.const 1))
        (i32.store (i32.const 260) (i32.const 512)) (i32.store (i32.const 264) (i32.const 1))
        (i32.store (i32.const 512) (i32.const 1024)) (i32.store (i32.const 516) (i32.const 11))
        (call $answer (i32.const 1))"#;
    let host = host_with(component(ROUTING, "", "(i32.const 64)", body));
    let (decided, mut verdicts) = route(&host, 1);
    assert_eq!((decided, &verdicts[..]), (Decided::Policy, &[Verdict::Replace(vec!["queue://A.>".into()])][..]));
    let check = RouteCheck { targets_max: 9, reason_bytes_max: 9 };
    let found = check.correct(1, &mut verdicts, |target| !target.contains('>'));
    assert_eq!((verdicts, found.unknown_target), (vec![Verdict::AsAddressed], 1));
}

#[test]
fn reading_too_much_is_a_fault() {
    let host = host_with(component(ROUTING, "", "(call $answer (i32.const 33))", "(call $answer (i32.const 1))"));
    assert_eq!(route(&host, 1).0, Decided::Fallback(Fallback::Trap));
    let host = host_with(component(ROUTING, "", "(call $answer (i32.const 32))", "(call $answer (i32.const 1))"));
    assert_eq!(route(&host, 1), (Decided::Policy, vec![Verdict::AsAddressed]));
}

#[test]
fn a_flood_of_log_lines_is_dropped() {
    let body = r#"
        (local.set $left (i32.const 1000))
        (loop $again
            (call $log (i32.const 0) (i32.const 65536) (i32.const 50))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (call $answer (i32.const 1))"#;
    let host = host_with(component(ROUTING, LOG, "(i32.const 64)", body));
    let mut policy = host.publish_routing("guest", "A", &[]).expect("the policy is there");
    assert_eq!(policy.route(0, &Rows(vec![vec![]]), &mut vec![]), Decided::Policy);
    assert_eq!(policy.stats().log_lines_dropped, 980);
}

/// Values and counters are there for the next instance after a fault; a handle that was not given counts nothing.
#[test]
fn what_a_policy_keeps_outlives_its_faults() {
    let imports = r#"
        (import "jackfield:policy/telemetry@0.1.0" "counter" (func $counter (param i32 i32) (result i32)))
        (import "jackfield:policy/telemetry@0.1.0" "add" (func $add (param i32 i64)))
        (import "jackfield:policy/telemetry@0.1.0" "observe" (func $observe (param i32 f64)))
        (import "jackfield:policy/state-store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
        (import "jackfield:policy/state-store@0.1.0" "get" (func $get (param i32 i32 i32)))"#;
    // The name is the five letters "queue" of the data. Found in the store: answer; not found: keep it and trap.
    let body = r#"
        (call $add (call $counter (i32.const 1024) (i32.const 5)) (i64.const 2))
        (call $add (i32.const 99) (i64.const 2))
        (call $observe (call $counter (i32.const 1024) (i32.const 5)) (f64.const 1.5))
        (call $get (i32.const 1024) (i32.const 5) (i32.const 600))
        (if (i32.eqz (i32.load8_u (i32.const 600))) (then
            (call $put (i32.const 1024) (i32.const 5) (i32.const 1024) (i32.const 11) (i32.const 640))
            (unreachable)))
        (call $answer (i32.const 1))"#;
    let limits = Limits { backoff_min: Duration::from_millis(5), ..Limits::default() };
    let host = WasmHost::new(limits).expect("the engine starts");
    host.add("guest", component(ROUTING, imports, "(i32.const 64)", body), &[]).expect("the component is accepted");
    host.prepare("guest").expect("the component compiles");
    let mut policy = host.publish_routing("guest", "A", &[]).expect("the policy is there");
    let mut ask = || policy.route(0, &Rows(vec![vec![]]), &mut vec![]);
    assert_eq!(ask(), Decided::Fallback(Fallback::Trap));
    let begin = Instant::now();
    while ask() != Decided::Policy {
        assert!(begin.elapsed() < Duration::from_secs(10), "waited too long");
        std::thread::yield_now();
    }
    let metrics = host.metrics();
    assert_eq!((metrics.len(), &*metrics[0].policy, &*metrics[0].destination), (1, "guest", "A"));
    let kept = &metrics[0].metrics;
    assert_eq!((kept.len(), kept[0].name.as_str(), kept[0].total, kept[0].noted, kept[0].sum), (1, "queue", 4, 2, 3.0));
}

/// A generation takes over at the next question; one that traps on probation goes, and the one before decides again.
#[test]
fn a_routing_policy_is_exchanged_and_taken_back() {
    let host = WasmHost::new(Limits { call_ms_max: 2_000, ..Limits::default() }).expect("the engine starts");
    let events = host.events().expect("had once");
    let prepare = |generation, body: &str| {
        let bytes = component(ROUTING, "", "(i32.const 64)", body);
        host.prepare_generation("p", generation, bytes, &[]).expect("compiles")
    };
    let plain = Takeover { start_empty: false, probation: false };
    let watched = Takeover { start_empty: false, probation: true };
    let drops = "(i32.store8 (i32.const 256) (i32.const 3)) (call $answer (i32.const 1))";
    host.run(&prepare(1, "(call $answer (i32.const 1))"), plain);
    let mut policy = host.publish_routing("p", "A", &[]).expect("the policy is there");
    let mut ask = |expected: (Decided, Verdict), generation| {
        let mut out = vec![];
        let decided = policy.route(1, &Rows(vec![vec![]]), &mut out);
        assert_eq!((decided, out.pop()), (expected.0, Some(expected.1)));
        assert_eq!(policy.stats().generation, generation);
    };
    ask((Decided::Policy, Verdict::AsAddressed), 1);
    host.run(&prepare(2, drops), plain);
    ask((Decided::Policy, Verdict::Drop), 2);
    host.run(&prepare(3, TRAP), watched);
    ask((Decided::Fallback(Fallback::Trap), Verdict::AsAddressed), 2);
    ask((Decided::Policy, Verdict::Drop), 2);
    let event = events.try_recv().expect("it was told");
    assert!(matches!(event, SwapEvent::Undone { generation: 3, .. }), "{event:?}");
}

/// All get all when the policy of a topic fails.
#[test]
fn a_failing_topic_policy_takes_nothing_away() {
    let table = [SubscriptionRow { slot: 4, ..Default::default() }, SubscriptionRow { slot: 9, ..Default::default() }];
    let wrong_mask = "(call $answer (i32.const 2))";
    for (body, fallback) in [
        (TRAP, Fallback::Trap),
        (FOREVER, Fallback::Deadline),
        ("(call $answer (i32.const 1000000000))", Fallback::Trap),
        (wrong_mask, Fallback::WrongLength),
    ] {
        let host = host_with(component(TOPIC, "", "(i32.const 64)", body));
        let mut policy = host.topic_dispatch("guest", "PRICES").expect("the policy is there");
        let mut out = FanOut::default();
        let decided = policy.plan(0, &Rows(vec![vec![]]), &table, &mut out);
        assert_eq!((decided, out), (Decided::Fallback(fallback), FanOut::default()), "{body}");
    }
    // An order with slots that nobody has is corrected.
    let order = r#"
        (i32.store (i32.const 256) (i32.const 77)) (i32.store (i32.const 260) (i32.const 9))
        (drop (call $answer (i32.const 0)))
        (i32.store (i32.const 140) (i32.const 2))
        (i32.const 128)"#;
    let host = host_with(component(TOPIC, "", "(i32.const 64)", order));
    let mut policy = host.topic_dispatch("guest", "PRICES").expect("the policy is there");
    let (mut out, mut ranked) = (FanOut::default(), vec![]);
    assert_eq!(policy.plan(0, &Rows(vec![vec![]]), &table, &mut out), Decided::Policy);
    let found = FanOutCheck::new().correct(1, &table, &mut out, &mut ranked);
    assert_eq!((ranked, found.unknown_slot), (vec![1, 0], 1));
}

/// Groups are assigned natively when the policy fails, and moves that cannot be are struck out.
#[test]
fn a_failing_group_policy_leaves_groups_sticky() {
    let consumers: Vec<_> =
        [4, 9].map(|slot| ConsumerRow { slot, credit: 5, in_flight: 0, priority: 0 }).into_iter().collect();
    let batch = GroupBatch {
        hash: &[1, 2, 3],
        queued: &[1, 1, 1],
        consumers: &consumers,
        owned: &[0, 0],
        ..Default::default()
    };
    for (body, fallback) in [
        (TRAP, Fallback::Trap),
        (FOREVER, Fallback::Deadline),
        ("(call $answer (i32.const 1000000000))", Fallback::Trap),
        ("(call $answer (i32.const 2))", Fallback::WrongLength),
    ] {
        let host = host_with(component(GROUP, "", "", body));
        let mut policy = host.group_assignment("guest", "ORDERS").expect("the policy is there");
        let mut owners = vec![];
        assert_eq!(
            (policy.assign(&batch, &mut owners), owners),
            (Decided::Fallback(fallback), vec![4, 9, 4]),
            "{body}"
        );
    }
    let host = host_with(component(GROUP, "", "", "(call $answer (i32.const 1000000000))"));
    let mut policy = host.group_assignment("guest", "ORDERS").expect("the policy is there");
    let mut moves = vec![];
    assert_eq!(policy.rebalance(&batch, &mut moves), Decided::Fallback(Fallback::Trap));
    assert!(moves.is_empty(), "nothing moves");
    // Row 7 is not there, slot 0 neither.
    let moves_text = r#"
        (i32.store (i32.const 256) (i32.const 7)) (i32.store (i32.const 260) (i32.const 4))
        (i32.store (i32.const 264) (i32.const 0)) (i32.store (i32.const 268) (i32.const 0))
        (call $answer (i32.const 2))"#;
    let host = host_with(component(GROUP, "", "", moves_text));
    let mut policy = host.group_assignment("guest", "ORDERS").expect("the policy is there");
    let owned = GroupBatch { owners: &[4, 4, 4], ..batch };
    assert_eq!((policy.rebalance(&owned, &mut moves), moves.len()), (Decided::Policy, 2));
    assert_eq!(GroupCheck::new().moves(&owned, &mut moves).total(), 2);
    assert!(moves.is_empty());
}

#[test]
fn stock_group_policies_decide_as_their_native_twins_do() {
    let host = stock_host(Point::GroupAssignment, "group");
    for stock in stock_of(Point::GroupAssignment) {
        let mut policy = host.group_assignment(&format!("judged-{}", stock.name), "Q").expect("no settings");
        let mut twin = NativeHost::new().group_assignment(stock.name, "Q").expect("no settings");
        let mut random = Random(17);
        let mut table: Vec<ConsumerRow> = vec![];
        let mut moved = 0;
        for step in 0..400 {
            let mut changes = vec![];
            if random.below(4) == 0 && table.len() < 70 {
                let slot = step as u32 * 3 + 1;
                let member = Member {
                    slot,
                    client_id: ["a", "b", "", "größer"][random.below(4) as usize].into(),
                    selector: None,
                    is_network: false,
                };
                table.push(ConsumerRow {
                    slot,
                    credit: 0,
                    in_flight: 0,
                    priority: [0, 0, 4][random.below(3) as usize],
                });
                changes.push(MemberChange::Joined(member));
            }
            if random.below(9) == 0 && !table.is_empty() {
                let at = random.below(table.len() as u64) as usize;
                changes.push(MemberChange::Left(table.remove(at).slot));
            }
            table.iter_mut().for_each(|row| row.credit = random.below(4) as u32);
            policy.members_changed(&changes);
            twin.members_changed(&changes);
            let rows = [0, 1, 5, 60][random.below(4) as usize];
            let hash: Vec<u64> = (0..rows).map(|_| random.below(u64::MAX)).collect();
            let queued = vec![1; rows];
            let owned: Vec<u32> = table.iter().map(|_| random.below(9) as u32).collect();
            let words = if random.below(3) == 0 { rows * table.len().div_ceil(64) } else { 0 };
            let candidates: Vec<u64> = (0..words).map(|_| random.below(u64::MAX)).collect();
            let mut batch = GroupBatch {
                now_ms: step,
                hash: &hash,
                queued: &queued,
                candidates: &candidates,
                consumers: &table,
                owned: &owned,
                ..GroupBatch::default()
            };
            let (mut answer, mut expected) = (vec![], vec![]);
            assert_eq!(policy.assign(&batch, &mut answer), Decided::Policy, "{} step {step}", stock.name);
            twin.assign(&batch, &mut expected);
            assert_eq!(answer, expected, "{} step {step}", stock.name);
            assert_eq!(policy.rebalances(), twin.rebalances(), "{}", stock.name);
            if !table.is_empty() {
                let owners: Vec<u32> =
                    (0..rows).map(|_| table[random.below(table.len() as u64) as usize].slot).collect();
                batch.owners = &owners;
                let (mut moves, mut expected) = (vec![], vec![]);
                assert_eq!(policy.rebalance(&batch, &mut moves), Decided::Policy, "{} step {step}", stock.name);
                twin.rebalance(&batch, &mut expected);
                assert_eq!(moves, expected, "{} step {step}", stock.name);
                moved += moves.len();
            }
        }
        assert_eq!(moved > 0, twin.rebalances(), "{}", stock.name);
    }
}

/// Messages stay here when a network policy fails.
#[test]
fn a_failing_network_policy_keeps_messages_here() {
    for (body, fallback) in [
        (TRAP, Fallback::Trap),
        (FOREVER, Fallback::Deadline),
        ("(call $answer (i32.const 1000000000))", Fallback::Trap),
        ("(call $answer (i32.const 3))", Fallback::WrongLength),
    ] {
        let host = host_with(component(NETWORK, "", "(i32.const 64)", body));
        let mut policy = host.network_filter("guest", "north", &[]).expect("the policy is there");
        let (mut interests, mut crossings) = (vec![], vec![]);
        let peer = Peer::default();
        let decided = policy.demand(&peer, &[Demand::default()], &mut interests);
        assert_eq!((decided, interests), (Decided::Fallback(fallback), vec![Interest::Suppress]), "{body}");
        let mut policy = host.network_filter("guest", "south", &[]).expect("the policy is there");
        let decided = policy.messages(0, &peer, &Rows(vec![vec![]]), &mut crossings);
        assert_eq!((decided, crossings), (Decided::Fallback(fallback), vec![Crossing::Hold]), "{body}");
    }
}

/// A component serves the world that it exports, and no other.
#[test]
fn a_policy_of_another_world_is_not_served() {
    let host = host_with(component(ROUTING, "", "(i32.const 64)", TRAP));
    assert!(host.publish_routing("guest", "A", &[]).is_ok());
    let error = host.queue_dispatch("guest", "A").err().expect("it is no queue policy");
    assert!(matches!(&error, PolicyError::Unknown { known, .. } if known.contains(&"priority".to_owned())), "{error}");
}

/// SplitMix64: enough for a test, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    fn rows(&mut self) -> Rows {
        let count = [0, 1, 1, 2, 7, 40][self.below(6) as usize];
        Rows((0..count).map(|_| self.row()).collect())
    }

    fn row(&mut self) -> Row {
        let mut row = Row::new();
        for name in ["region", "weight", "JMSXGroupID", "flag"] {
            match self.below(6) {
                0 => row.push((name, Scalar::Int(self.below(20) as i64 - 10))),
                1 => row.push((name, Scalar::Float(self.below(100) as f64 / 8.0))),
                2 => row.push((name, Scalar::Bool(self.below(2) == 0))),
                3 | 4 => {
                    row.push((name, Scalar::Text(Cow::Borrowed(["eu", "us", "", "größer"][self.below(4) as usize]))))
                }
                _ => {}
            }
        }
        row
    }
}

fn pairs(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A host with the stock policies of a point under the name `judged-NAME`: those embedded, or those of the folder that
/// `JACKFIELD_STOCK_COMPONENTS` names.
fn stock_host(point: Point, prefix: &str) -> WasmHost {
    // Ample time: a question may not fail because the machine is busy.
    let host = WasmHost::new(Limits { call_ms_max: 2_000, ..Limits::default() }).expect("the engine starts");
    for stock in stock_of(point) {
        let bytes = match std::env::var_os("JACKFIELD_STOCK_COMPONENTS") {
            None => stock.bytes.to_vec(),
            Some(folder) => {
                let file = std::path::Path::new(&folder).join(format!("{prefix}-{}.wasm", stock.name));
                std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            }
        };
        let name = format!("judged-{}", stock.name);
        host.add(&name, bytes, &[]).expect("a component");
        host.prepare(&name).expect("a stock policy compiles");
    }
    host
}

#[test]
fn stock_routing_policies_decide_as_their_native_twins_do() {
    let host = stock_host(Point::PublishRouting, "routing");
    let table: &[(&str, &[(&str, &str)])] = &[
        (
            "content-based",
            &[
                ("to EU,topic://B", "region = 'eu' AND weight > 3"),
                ("also X", "weight BETWEEN -5 AND 2 OR flag"),
                ("reject no", "region LIKE 'gr%'"),
                ("dead-letter lost", "region IS NULL AND weight IS NULL"),
                ("drop", "NOT flag"),
            ],
        ),
        ("header-table", &[("property", "region"), ("=eu", "EU"), ("=-3", "N"), ("=true", "T"), ("otherwise", "R")]),
        ("partition-by-key", &[("partitions", "7"), ("prefix", "topic://P.")]),
        ("sampling", &[("every", "3"), ("targets", "S,T")]),
        ("wiretap", &[("targets", "A")]),
    ];
    assert_eq!(table.len(), stock_of(Point::PublishRouting).len(), "each stock policy is in the table");
    for (name, settings) in table {
        let settings = pairs(settings);
        let mut policy = host.publish_routing(&format!("judged-{name}"), "A.>", &settings).expect("good settings");
        let mut twin = NativeHost::new().publish_routing(name, "A.>", &settings).expect("good settings");
        let mut random = Random(7);
        let (mut answer, mut expected) = (vec![], vec![]);
        let mut kinds = std::collections::HashSet::new();
        for step in 0..500 {
            let rows = random.rows();
            assert_eq!(policy.route(step, &rows, &mut answer), Decided::Policy, "{name} step {step}");
            twin.route(step, &rows, &mut expected);
            assert_eq!(answer, expected, "{name} step {step}");
            kinds.extend(answer.iter().map(std::mem::discriminant));
        }
        assert!(kinds.len() >= if *name == "content-based" { 6 } else { 1 }, "{name}: every verdict is seen");
    }
}

#[test]
fn stock_topic_policies_decide_as_their_native_twins_do() {
    let host = stock_host(Point::TopicDispatch, "topic");
    for stock in stock_of(Point::TopicDispatch) {
        let mut policy = host.topic_dispatch(&format!("judged-{}", stock.name), "A").expect("no settings");
        let mut twin = NativeHost::new().topic_dispatch(stock.name, "A").expect("it takes no settings");
        let mut random = Random(11);
        for step in 0..500 {
            let count = [0, 1, 3, 70][random.below(4) as usize];
            let table: Vec<SubscriptionRow> = (0..count)
                .map(|at| SubscriptionRow {
                    slot: (at * 7 + 3) % 71,
                    priority: [0, 0, 5, -5, -6][random.below(5) as usize],
                    waiting: random.below(100) as u32,
                    is_network: random.below(3) == 0,
                    is_durable: random.below(3) == 0,
                })
                .collect();
            let rows = random.rows();
            let (mut answer, mut expected) = (FanOut::default(), FanOut::default());
            assert_eq!(policy.plan(step, &rows, &table, &mut answer), Decided::Policy, "{} step {step}", stock.name);
            twin.plan(step, &rows, &table, &mut expected);
            assert_eq!(answer, expected, "{} step {step}", stock.name);
            let found = FanOutCheck::new().correct(rows.rows(), &table, &mut answer, &mut vec![]);
            assert_eq!(found.total(), 0, "{} step {step}", stock.name);
        }
    }
}

#[test]
fn stock_network_policies_decide_as_their_native_twins_do() {
    let host = stock_host(Point::NetworkFilter, "network");
    let table: &[(&str, &[(&str, &str)])] = &[
        ("data-residency", &[("property", "region"), ("allow", "eu,none,3")]),
        ("header-redaction", &[("remove", "region,flag"), ("strip-group", "true")]),
        ("include-exclude", &[("include", "queue://A.>,topic://*"), ("exclude", "queue://A.B")]),
        ("rate-limit", &[("per-second", "40"), ("burst", "9")]),
    ];
    assert_eq!(table.len(), stock_of(Point::NetworkFilter).len(), "each stock policy is in the table");
    let names = ["queue://A", "queue://A.B", "queue://A.C.D", "topic://X", "topic://X.Y", "queue://Z", "A.Q"];
    for (name, settings) in table {
        let settings = pairs(settings);
        let mut policy = host.network_filter(&format!("judged-{name}"), "north", &settings).expect("good settings");
        let mut twin = NativeHost::new().network_filter(name, "north", &settings).expect("good settings");
        let mut random = Random(13);
        let peer = Peer { broker: "north".into(), connector: "n".into() };
        let (mut answer, mut expected) = (vec![], vec![]);
        let (mut interest, mut expected_interest) = (vec![], vec![]);
        for step in 0..500 {
            let demand: Vec<Demand> = (0..random.below(4))
                .map(|_| Demand { destination: names[random.below(7) as usize].into(), ..Demand::default() })
                .collect();
            assert_eq!(policy.demand(&peer, &demand, &mut interest), Decided::Policy, "{name} step {step}");
            twin.demand(&peer, &demand, &mut expected_interest);
            assert_eq!(interest, expected_interest, "{name} step {step}");
            let rows = random.rows();
            let now_ms = step * 50;
            assert_eq!(policy.messages(now_ms, &peer, &rows, &mut answer), Decided::Policy, "{name} step {step}");
            twin.messages(now_ms, &peer, &rows, &mut expected);
            assert_eq!(answer, expected, "{name} step {step}");
            let check = CrossingCheck { edits_max: 16, text_bytes_max: 64 };
            assert_eq!(check.correct(rows.rows(), &mut answer).total(), 0, "{name} step {step}");
        }
    }
}

/// The settings of a stock policy are refused where they are given, with the sentence of its twin.
#[test]
fn wrong_settings_of_a_stock_policy_are_told_at_once() {
    let host = WasmHost::new(Limits::default()).expect("the engine starts");
    let error = host.publish_routing("wiretap", "A", &pairs(&[("target", "B")])).err().expect("wrong settings");
    assert!(error.to_string().contains("setting target = B is unknown; known are targets"), "{error}");
}
