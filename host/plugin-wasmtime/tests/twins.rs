//! The stock policies against their native twins, over seeded random traffic.
//!
//! With `JACKFIELD_STOCK_COMPONENTS=FOLDER` the components of that folder are judged in place of the embedded ones;
//! `plugins/build.sh --check` does so with what it built.

use std::path::Path;
use std::time::{Duration, Instant};

use plugin::{Columns, ConsumerRow, Decided, DispatchBatch, Fallback, PlanCheck, PolicyHost, PolicyState, native};
use plugin_wasmtime::kit::{Random, Traffic};
use plugin_wasmtime::{Limits, Stock, WasmHost, stock};

/// Ample time: a plan may not fail because the machine is busy.
fn ample() -> Limits {
    Limits { call_ms_max: 2_000, ..Limits::default() }
}

fn host(limits: Limits) -> WasmHost {
    let host = WasmHost::new(limits).expect("the engine starts");
    for stock in stock() {
        host.prepare(stock.name).expect("a stock policy compiles");
    }
    host
}

/// The component that is judged.
fn component(stock: &Stock) -> Vec<u8> {
    match std::env::var_os("JACKFIELD_STOCK_COMPONENTS") {
        None => stock.bytes.to_vec(),
        Some(folder) => {
            let file = Path::new(&folder).join(format!("{}.wasm", stock.name));
            std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        }
    }
}

/// Settings for a policy, most of them good; none at all for one in four.
fn settings(policy: &str, random: &mut Random) -> Vec<(String, String)> {
    let values: &[(&str, &[&str])] = match policy {
        "fair-share" => {
            &[("key", &["tenant", "JMSType", " "]), ("weights", &["gold=3, silver=2", "gold=1000", "gold"])]
        }
        "latency-aware" => &[("tolerance", &["0", "10", "250", "1001", "ten"])],
        "priority" => &[("by", &["urgency", "JMSPriority"]), ("rise-ms", &["0", "3", "1000", "-1"])],
        "sticky-by-property" => &[("property", &["customer"]), ("when-busy", &["wait", "spill", "run"])],
        "strict-order" => &[("order", &["arrival", "client-id", "chaos"])],
        "weighted" => &[("weights", &["ID:big-*=5", "gold=7,ID:big-2=3,ID:*=2", "*=4", "a=0", ",", "=1"])],
        _ => &[],
    };
    let mut settings = Vec::new();
    if random.below(4) == 0 {
        return settings;
    }
    for (key, values) in values {
        if random.below(4) > 0 {
            settings.push(((*key).to_owned(), random.pick(values).to_owned()));
        }
    }
    if random.below(12) == 0 {
        settings.push(("colour".to_owned(), "red".to_owned()));
    }
    settings
}

/// For random settings both take them or both refuse them with the same sentence, and for random traffic both plan the
/// same: members that come and go, credit, selectors, columns.
#[test]
fn stock_policies_plan_as_their_native_twins_do() {
    let host = WasmHost::new(ample()).expect("the engine starts");
    for stock in stock() {
        let (mut taken, mut refused) = (0, 0);
        for seed in 0..12 {
            let mut random = Random(seed);
            let settings = settings(stock.name, &mut random);
            let name = format!("{}-{seed}", stock.name);
            host.add(&name, component(stock), &settings).expect("a component");
            let mut twin = match (native::check(&name, stock.name, &settings), host.prepare(&name)) {
                (Ok(twin), Ok(())) => twin.make(&settings).expect("taken just now"),
                (Err(native), Err(component)) => {
                    assert_eq!(component, native);
                    refused += 1;
                    continue;
                }
                (native, component) => panic!("{name} {settings:?}: {native:?} against {component:?}"),
            };
            taken += 1;
            let mut policy = host.queue_dispatch(&name, "orders").unwrap();
            assert_eq!((policy.wants(), policy.properties()), (twin.wants(), twin.properties()), "{name}");
            assert_eq!(policy.rows_max(), twin.rows_max(), "{name}");
            let mut traffic = Traffic::new(seed, host.symbols());
            let mut check = PlanCheck::new();
            let (mut changes, mut plan, mut expected) = (vec![], vec![], vec![]);
            for step in 0..600 {
                let rows = traffic.step(&*twin, &mut changes);
                policy.members_changed(&changes);
                twin.members_changed(&changes);
                let batch = traffic.batch(rows);
                let decided = policy.plan(&batch, &mut plan);
                twin.plan(&batch, &mut expected);
                assert_eq!(decided, Decided::Policy, "{name} step {step}");
                assert_eq!(plan, expected, "{name} {settings:?} step {step}");
                assert_eq!(check.correct(&batch, &mut plan).total(), 0, "{name} step {step}");
            }
            assert_eq!(policy.stats().batches_policy, 600);
        }
        assert!(taken >= 3, "{}: {taken} taken, {refused} refused", stock.name);
    }
}

/// More destinations than instances may live: the idlest sleep, keep their state, and go on where they were.
#[test]
fn a_policy_that_slept_goes_on_where_it_was() {
    for stock in stock() {
        let host = WasmHost::new(Limits { instances_live_max: 4, ..ample() }).expect("the engine starts");
        host.add("judged", component(stock), &[]).expect("a component");
        host.prepare("judged").expect("it compiles");
        let twin = native::twin(stock.name).expect("each has a twin");
        let mut queues: Vec<_> = (0..12)
            .map(|at| {
                let policy = host.queue_dispatch("judged", &format!("queue-{at}")).unwrap();
                (policy, twin.make(&[]).expect("no settings"), Traffic::new(at, host.symbols()))
            })
            .collect();
        let begin = Instant::now();
        let (mut changes, mut plan, mut expected) = (vec![], vec![], vec![]);
        for step in 0..40 {
            for (policy, twin, traffic) in &mut queues {
                let rows = traffic.step(&**twin, &mut changes);
                policy.members_changed(&changes);
                twin.members_changed(&changes);
                let batch = traffic.batch(rows);
                // A batch that the fall-back decides does not move the policy, and not the yardstick either.
                while policy.plan(&batch, &mut plan) != Decided::Policy {
                    assert!(begin.elapsed() < Duration::from_secs(60), "waited too long: {:?}", policy.stats());
                    std::thread::yield_now();
                }
                twin.plan(&batch, &mut expected);
                assert_eq!(plan, expected, "{} step {step}", stock.name);
                assert!(host.stats().instances_live <= 8);
            }
        }
        let stats: Vec<_> = queues.iter().map(|(policy, ..)| policy.stats()).collect();
        assert!(stats.iter().map(|stats| stats.instances_slept).sum::<u64>() > 20, "{}", stock.name);
        assert!(stats.iter().all(|stats| stats.states_lost == 0 && stats.faults_lifecycle == 0), "{stats:?}");
    }
}

/// A stock policy with settings decides by them from the first batch on, whoever decides it.
#[test]
fn a_named_stock_policy_has_its_settings_while_it_warms_up_too() {
    let host = WasmHost::new(ample()).expect("the engine starts");
    let settings = [("when-busy".to_owned(), "spill".to_owned()), ("property".to_owned(), "customer".to_owned())];
    host.add_stock("by-customer", "sticky-by-property", &settings).expect("good settings");
    let mut policy = host.queue_dispatch("by-customer", "orders").expect("it is there");
    let begin = Instant::now();
    let consumers = [3, 4].map(|slot| ConsumerRow { slot, credit: u32::from(slot == 4), in_flight: 0, priority: 0 });
    for decided_by_policy in [false, true] {
        loop {
            let names: Vec<_> = policy.properties().iter().map(ToString::to_string).collect();
            assert_eq!(names, ["hash:customer"]);
            assert!(policy.wants().contains(Columns::LOOK_AHEAD));
            let properties = [plugin::PropertyColumn::Hashes(vec![5, 6])];
            let batch = DispatchBatch { properties: &properties, ..DispatchBatch::new(0, 2, &consumers) };
            let mut plan = vec![];
            let decided = policy.plan(&batch, &mut plan);
            assert_eq!(plan, [4, u32::MAX]);
            if (decided == Decided::Policy) == decided_by_policy {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "waited too long: {decided:?}");
            std::thread::yield_now();
        }
    }
    let bad = [("when-busy".to_owned(), "run".to_owned())];
    let error = host.add_stock("other", "sticky-by-property", &bad).unwrap_err().to_string();
    assert_eq!(
        error,
        "policy other was refused: it refuses its settings: setting when-busy = run is unknown; write one of wait, spill"
    );
}

/// The program starts at once: until a component is compiled its twin decides, and that is no fault.
#[test]
fn a_component_warms_up_behind_its_twin() {
    let begin = Instant::now();
    let host = WasmHost::new(Limits::default()).unwrap();
    let mut policy = host.queue_dispatch("round-robin", "orders").unwrap();
    assert!(begin.elapsed() < Duration::from_millis(100), "{:?}", begin.elapsed());
    let consumers = [ConsumerRow { slot: 3, credit: 9, in_flight: 0, priority: 0 }];
    let mut plan = vec![];
    while policy.plan(&DispatchBatch::new(0, 2, &consumers), &mut plan) != Decided::Policy {
        assert_eq!(plan, [3, 3]);
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    let stats = policy.stats();
    assert_eq!(stats.batches_fallback(), stats.batches_warming);
    assert_eq!((stats.state, stats.instances_made), (PolicyState::Live, 1));
    assert!(stats.batches_warming > 0, "compiling takes longer than a plan");
    assert_eq!((policy.wants(), policy.rows_max()), (Columns::NONE, 256));
}

#[test]
fn dropping_a_policy_gives_its_instance_back() {
    let host = host(Limits::default());
    let mut policy = host.queue_dispatch("least-in-flight", "orders").unwrap();
    assert_eq!(policy.plan(&DispatchBatch::new(0, 0, &[]), &mut vec![]), Decided::Policy);
    assert_eq!((host.stats().instances_live, host.stats().destinations), (1, 1));
    drop(policy);
    assert_eq!((host.stats().instances_live, host.stats().destinations), (0, 0));
    let mut survivor = host.queue_dispatch("least-in-flight", "orders").unwrap();
    drop(host);
    assert!(matches!(
        survivor.plan(&DispatchBatch::new(0, 0, &[]), &mut vec![]),
        Decided::Policy | Decided::Fallback(Fallback::Full)
    ));
}
