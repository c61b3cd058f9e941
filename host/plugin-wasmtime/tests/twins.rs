//! The stock policies against their native twins, over seeded random traffic.

use std::time::{Duration, Instant};

use plugin::{
    Columns, ConsumerRow, Decided, DispatchBatch, Fallback, Member, MemberChange, PlanCheck, PolicyHost, PolicyState,
    QueueDispatch, native,
};
use plugin_wasmtime::{Limits, WasmHost, stock};

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
}

/// Consumers that come, go, and gain and lose credit.
struct Traffic {
    random: Random,
    consumers: Vec<ConsumerRow>,
    candidates: Vec<u64>,
    slot_next: u32,
}

impl Traffic {
    fn new(seed: u64) -> Traffic {
        Traffic { random: Random(seed), consumers: vec![], candidates: vec![], slot_next: 0 }
    }

    /// The next batch's number of rows; `changes` gets who came and went.
    fn step(&mut self, changes: &mut Vec<MemberChange>) -> usize {
        changes.clear();
        if self.consumers.len() < 150 && self.random.below(6) == 0 {
            for _ in 0..1 + self.random.below(if self.random.0.is_multiple_of(16) { 90 } else { 3 }) {
                self.slot_next += 1 + self.random.below(3) as u32;
                let slot = self.slot_next;
                let priority = [0, 0, 0, 5, -5][self.random.below(5) as usize];
                self.consumers.push(ConsumerRow { slot, credit: 0, in_flight: 0, priority });
                let member = Member { slot, client_id: "client".into(), selector: None, is_network: false };
                changes.push(MemberChange::Joined(member));
            }
        }
        while !self.consumers.is_empty() && self.random.below(8) == 0 {
            let at = self.random.below(self.consumers.len() as u64) as usize;
            changes.push(MemberChange::Left(self.consumers.remove(at).slot));
        }
        for consumer in &mut self.consumers {
            consumer.credit = self.random.below(6) as u32;
            consumer.in_flight = self.random.below(9) as u32;
        }
        let rows = [0, 1, 1, 8, 32, 128][self.random.below(6) as usize];
        self.candidates.clear();
        if self.random.below(3) == 0 {
            let words = rows * self.consumers.len().div_ceil(64);
            self.candidates.extend((0..words).map(|_| self.random.below(u64::MAX)));
        }
        rows
    }

    fn batch(&self, rows: usize) -> DispatchBatch<'_> {
        DispatchBatch { candidates: &self.candidates, ..DispatchBatch::new(1, rows, &self.consumers) }
    }
}

fn host(limits: Limits) -> WasmHost {
    let host = WasmHost::new(limits).expect("the engine starts");
    for stock in stock() {
        host.prepare(stock.name).expect("a stock policy compiles");
    }
    host
}

#[test]
fn stock_policies_plan_as_their_native_twins_do() {
    // Ample time: a plan may not fail because the machine is busy.
    let host = host(Limits { call_ms_max: 2_000, ..Limits::default() });
    for stock in stock() {
        for seed in 0..4 {
            let mut traffic = Traffic::new(seed);
            let mut policy = host.queue_dispatch(stock.name, "orders").unwrap();
            let mut twin = native::twin(stock.name);
            let mut check = PlanCheck::new();
            let (mut changes, mut plan, mut expected) = (vec![], vec![], vec![]);
            for step in 0..1_000 {
                let rows = traffic.step(&mut changes);
                policy.members_changed(&changes);
                twin.members_changed(&changes);
                let batch = traffic.batch(rows);
                let decided = policy.plan(&batch, &mut plan);
                twin.plan(&batch, &mut expected);
                assert_eq!(decided, Decided::Policy, "{} seed {seed} step {step}", stock.name);
                assert_eq!(plan, expected, "{} seed {seed} step {step}", stock.name);
                assert_eq!(check.correct(&batch, &mut plan).total(), 0, "{} seed {seed} step {step}", stock.name);
            }
            assert_eq!(policy.stats().batches_policy, 1_000);
        }
    }
}

/// More destinations than instances may live: the idlest sleep, keep their place in line, and go on where they were.
#[test]
fn a_policy_that_slept_goes_on_where_it_was() {
    let host = host(Limits { instances_live_max: 4, call_ms_max: 2_000, ..Limits::default() });
    let consumers: Vec<ConsumerRow> =
        (0..5).map(|slot| ConsumerRow { slot, credit: 9, in_flight: 0, priority: 0 }).collect();
    let mut queues: Vec<_> = (0..20)
        .map(|at| (host.queue_dispatch("round-robin", &format!("queue-{at}")).unwrap(), native::RoundRobin::new()))
        .collect();
    let begin = Instant::now();
    let mut now_ms = 0;
    let (mut plan, mut expected) = (vec![], vec![]);
    for _ in 0..30 {
        for (policy, twin) in &mut queues {
            now_ms += 1;
            let batch = DispatchBatch::new(now_ms, 3, &consumers);
            // A batch that the fall-back decides moves no line, neither the policy's nor that of the yardstick.
            while policy.plan(&batch, &mut plan) != Decided::Policy {
                assert!(begin.elapsed() < Duration::from_secs(20), "waited too long: {:?}", policy.stats());
                std::thread::yield_now();
            }
            twin.plan(&batch, &mut expected);
            assert_eq!(plan, expected);
            assert!(host.stats().instances_live <= 8);
        }
    }
    let stats: Vec<_> = queues.iter().map(|(policy, _)| policy.stats()).collect();
    assert!(stats.iter().map(|stats| stats.instances_slept).sum::<u64>() > 20);
    assert!(stats.iter().all(|stats| stats.states_lost == 0 && stats.faults_lifecycle == 0), "{stats:?}");
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
