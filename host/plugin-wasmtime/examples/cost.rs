//! What a policy costs: nanoseconds a message, native against WebAssembly, by rows of a batch.
//!
//! `cargo run --release -p plugin-wasmtime --example cost`

use std::io::{self, Write};
use std::time::{Duration, Instant};

use plugin::native::NativeHost;
use plugin::{
    Columns, ConsumerRow, Decided, DispatchBatch, FanOut, FanOutCheck, GroupBatch, GroupCheck, Member, MemberChange,
    Messages, Point, PolicyHost, QueueDispatch, RouteCheck, Scalar, SubscriptionRow, native,
};
use plugin_wasmtime::kit::{COST_ROWS, absent, cost};
use plugin_wasmtime::{Limits, WasmHost, stock, stock_of};

const RUN: Duration = Duration::from_millis(150);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    let begin = Instant::now();
    // Ample time, so that a busy machine does not hand batches to the native twin: its cost is not the policy's.
    let host = WasmHost::new(Limits { call_ms_max: 10_000, ..Limits::default() })?;
    writeln!(out, "start of the host: {:?}", begin.elapsed())?;
    for stock in stock() {
        let begin = Instant::now();
        host.prepare(stock.name)?;
        writeln!(out, "compile {} ({} bytes): {:?}", stock.name, stock.bytes.len(), begin.elapsed())?;
    }
    writeln!(out, "\nnanoseconds a message at 1 / 8 / 32 / 128 rows, best of 5 runs; credit is ample")?;
    for consumers in [4, 64] {
        for stock in stock() {
            let twin = native::twin(stock.name).expect("each has a twin");
            let mut twin = twin.make(&[]).expect("no settings are good settings");
            row(&mut out, &format!("native {} {consumers} consumers", stock.name), &mut *twin, consumers, false)?;
            let mut policy = host.queue_dispatch(stock.name, "orders")?;
            row(&mut out, &format!("wasm   {} {consumers} consumers", stock.name), &mut *policy, consumers, false)?;
            let mut policy = host.queue_dispatch(stock.name, "orders")?;
            row(&mut out, &format!("wasm   {} {consumers} + selectors", stock.name), &mut *policy, consumers, true)?;
        }
    }
    writeln!(out, "\nfirst plan of a destination (an instance is made), mean of 200:")?;
    let table = table(4);
    for stock in stock() {
        let mut policies = Vec::new();
        for at in 0..200 {
            policies.push(host.queue_dispatch(stock.name, &format!("queue-{at}"))?);
        }
        let begin = Instant::now();
        for policy in &mut policies {
            let properties: Vec<_> = policy.properties().iter().map(|property| absent(property.form, 1)).collect();
            let paced = policy.wants().contains(Columns::ACK_INTERVAL);
            let ack_interval = vec![1; if paced { table.len() } else { 0 }];
            let batch = DispatchBatch::new(1, 1, &table);
            let batch = DispatchBatch { properties: &properties, ack_interval: &ack_interval, ..batch };
            let decided = policy.plan(&batch, &mut Vec::new());
            assert_eq!(decided, Decided::Policy, "the fall-back must not be measured in its place");
        }
        writeln!(out, "{}: {:?}", stock.name, begin.elapsed() / 200)?;
    }
    routing(&mut out, &host)?;
    groups(&mut out, &host)?;
    topics(&mut out, &host)
}

/// Settings of the stock routing policies, so that each has something to decide.
const ROUTING: &[(&str, &[(&str, &str)])] = &[
    ("content-based", &[("to EU", "region = 'eu' AND weight > 100"), ("also AUDIT", "weight > 1000")]),
    ("header-table", &[("property", "region"), ("=eu", "EU"), ("=us", "US")]),
    ("partition-by-key", &[("key", "region"), ("partitions", "8"), ("prefix", "P.")]),
    ("sampling", &[("every", "100"), ("targets", "SAMPLE")]),
    ("wiretap", &[("targets", "TAP")]),
];

/// Messages with two properties.
struct Rows(usize);

impl Messages for Rows {
    fn rows(&self) -> usize {
        self.0
    }

    fn number(&self, _row: usize, _column: Columns) -> i64 {
        4
    }

    fn property(&self, _row: usize, name: &str) -> Scalar<'_> {
        match name {
            "region" => Scalar::Text("eu".into()),
            "weight" => Scalar::Int(7),
            _ => Scalar::Absent,
        }
    }
}

/// Mean nanoseconds of a call, the best of 5 runs.
fn best(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let (begin, mut calls) = (Instant::now(), 0_u32);
        while begin.elapsed() < RUN / 5 {
            (0..64).for_each(|_| call());
            calls += 64;
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

fn routing(out: &mut impl Write, host: &WasmHost) -> Result<(), Box<dyn std::error::Error>> {
    writeln!(out, "\nrouting, nanoseconds a message at 1 / 8 / 32 / 128 rows, check of the answers included")?;
    for (name, settings) in ROUTING {
        host.prepare(name)?;
        let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let native = NativeHost::new().publish_routing(name, "A.>", &settings)?;
        let wasm = host.publish_routing(name, "A.>", &settings)?;
        for (kind, mut policy) in [("native", native), ("wasm  ", wasm)] {
            write!(out, "{:44}", format!("{kind} {name}"))?;
            for rows in COST_ROWS {
                let check = RouteCheck { targets_max: 64, reason_bytes_max: 1024 };
                let mut verdicts = Vec::new();
                let nanoseconds = best(|| {
                    let decided = policy.route(1, &Rows(rows), &mut verdicts);
                    assert_eq!(decided, Decided::Policy, "the fall-back must not be measured in its place");
                    check.correct(rows, &mut verdicts, |_| true);
                });
                write!(out, "{:10.1}", nanoseconds / rows as f64)?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn groups(out: &mut impl Write, host: &WasmHost) -> Result<(), Box<dyn std::error::Error>> {
    writeln!(
        out,
        "\ngroups over 32 consumers, nanoseconds a new group at 1 / 8 / 32 / 128 of them, then what looking at 10000"
    )?;
    writeln!(out, "owned ones for moves takes, microseconds; check included")?;
    let consumers = table(32);
    let members = consumers.iter().map(|row| {
        let client_id = format!("client-{}", row.slot).into();
        MemberChange::Joined(Member { slot: row.slot, client_id, selector: None, is_network: false })
    });
    let members: Vec<_> = members.collect();
    let hash: Vec<u64> = (0..10_000_u64).map(|group| group.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let (queued, owned) = (vec![1; hash.len()], vec![300; consumers.len()]);
    let owners: Vec<u32> = (0..hash.len() as u32).map(|group| group % 32).collect();
    for stock in stock_of(Point::GroupAssignment) {
        host.prepare(stock.name)?;
        let native = NativeHost::new().group_assignment(stock.name, "A")?;
        for (kind, mut policy) in [("native", native), ("wasm  ", host.group_assignment(stock.name, "A")?)] {
            policy.members_changed(&members);
            write!(out, "{:44}", format!("{kind} {}", stock.name))?;
            let (mut check, mut answer, mut moves) = (GroupCheck::new(), Vec::new(), Vec::new());
            for rows in COST_ROWS {
                let batch = GroupBatch {
                    hash: &hash[..rows],
                    queued: &queued[..rows],
                    consumers: &consumers,
                    owned: &owned,
                    ..GroupBatch::default()
                };
                let nanoseconds = best(|| {
                    let decided = policy.assign(&batch, &mut answer);
                    assert_eq!(decided, Decided::Policy, "the fall-back must not be measured in its place");
                    check.owners(&batch, &mut answer);
                });
                write!(out, "{:10.1}", nanoseconds / rows as f64)?;
            }
            let all = GroupBatch {
                hash: &hash,
                queued: &queued,
                owners: &owners,
                consumers: &consumers,
                owned: &owned,
                ..GroupBatch::default()
            };
            if policy.rebalances() {
                let nanoseconds = best(|| {
                    let decided = policy.rebalance(&all, &mut moves);
                    assert_eq!(decided, Decided::Policy, "the fall-back must not be measured in its place");
                    check.moves(&all, &mut moves);
                });
                write!(out, "{:10.1}", nanoseconds / 1_000.0)?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn topics(out: &mut impl Write, host: &WasmHost) -> Result<(), Box<dyn std::error::Error>> {
    writeln!(out, "\ntopics, nanoseconds a message (one a call) at 1 / 8 / 64 / 512 subscriptions, check included")?;
    for stock in stock_of(Point::TopicDispatch) {
        host.prepare(stock.name)?;
        let native = NativeHost::new().topic_dispatch(stock.name, "A")?;
        for (kind, mut policy) in [("native", native), ("wasm  ", host.topic_dispatch(stock.name, "A")?)] {
            write!(out, "{:44}", format!("{kind} {}", stock.name))?;
            for count in [1, 8, 64, 512] {
                let row = |slot| SubscriptionRow {
                    slot,
                    priority: (slot % 5) as i16,
                    is_network: slot.is_multiple_of(3),
                    ..SubscriptionRow::default()
                };
                let table: Vec<_> = (0..count).map(row).collect();
                let (mut check, mut answer, mut order) = (FanOutCheck::new(), FanOut::default(), Vec::new());
                let nanoseconds = best(|| {
                    answer.clear();
                    let decided = policy.plan(1, &Rows(1), &table, &mut answer);
                    assert_eq!(decided, Decided::Policy, "the fall-back must not be measured in its place");
                    check.correct(1, &table, &mut answer, &mut order);
                });
                write!(out, "{nanoseconds:10.1}")?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn table(consumers: u32) -> Vec<ConsumerRow> {
    (0..consumers).map(|slot| ConsumerRow { slot, credit: 1_000, in_flight: slot % 7, priority: 0 }).collect()
}

fn row(
    out: &mut impl Write,
    name: &str,
    policy: &mut dyn QueueDispatch,
    consumers: u32,
    selectors: bool,
) -> io::Result<()> {
    let cost = cost(policy, consumers, selectors).expect("the fall-back must not be measured in its place");
    write!(out, "{name:44}")?;
    for each in cost {
        write!(out, "{each:10.1}")?;
    }
    writeln!(out)
}
