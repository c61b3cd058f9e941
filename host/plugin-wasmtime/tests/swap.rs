//! One generation takes over from another: with its state, at a boundary, and back again when it does not do well.

#![allow(clippy::print_stdout, reason = "figures for people who ask for them with --nocapture")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use plugin::{
    ConsumerRow, Corrections, Decided, DispatchBatch, Fallback, Member, MemberChange, PolicyError, PolicyHost,
    PolicyState, QueueDispatch,
};
use plugin_wasmtime::{Limits, Prepared, SwapEvent, Takeover, WasmHost, stock};

use crate::guest::{CONSUMERS, Guest};

/// Keeps a line of slots in the format of round robin and gives all rows to the first of them.
const FIRST_IN_LINE: Guest<'_> = Guest {
    imports: "",
    describe: r#"
        (i32.store (i32.const 532) (i32.const 3815437825)) (i32.store (i32.const 536) (i32.const 544))
        (i32.store (i32.const 540) (i32.const 1)) (i32.store (i32.const 544) (i32.const 3815437825)) (i32.const 512)"#,
    configure: "(i32.const 64)",
    snapshot: r#"
        (i32.store (i32.const 168) (i32.const 1024)) (i32.store (i32.const 172) (global.get $seen)) (i32.const 160)"#,
    restore: r#"
        (memory.copy (i32.const 1024) (local.get $state) (local.get $bytes)) (global.set $seen (local.get $bytes))
        (i32.const 64)"#,
    members: "",
    plan: r#"
        (i32.store (i32.const 256) (i32.load (i32.const 1024))) (i32.store (i32.const 260) (i32.load (i32.const 1024)))
        (i32.store (i32.const 264) (i32.load (i32.const 1024))) (i32.store (i32.const 268) (i32.load (i32.const 1024)))
        (call $answer (i32.const 4))"#,
};

/// Answers the number of member changes it was told of, in place of slots; keeps no state.
const COUNTS_MEMBERS: Guest<'_> = Guest {
    imports: "",
    describe: "(i32.const 64)",
    configure: "(i32.const 64)",
    snapshot: "(unreachable)",
    restore: "(unreachable)",
    members: "(global.set $seen (i32.add (global.get $seen) (local.get $changes)))",
    plan: r#"
        (i32.store (i32.const 256) (global.get $seen)) (i32.store (i32.const 260) (global.get $seen))
        (i32.store (i32.const 264) (global.get $seen)) (i32.store (i32.const 268) (global.get $seen))
        (call $answer (i32.const 4))"#,
};

/// Says that it keeps states of format 2 and reads no other.
const FORMAT_2: &str = r#"
    (i32.store (i32.const 532) (i32.const 2)) (i32.store (i32.const 536) (i32.const 544))
    (i32.store (i32.const 540) (i32.const 1)) (i32.store (i32.const 544) (i32.const 2)) (i32.const 512)"#;

const PROBATION: Takeover = Takeover { start_empty: false, probation: true };
const PLAIN: Takeover = Takeover { start_empty: false, probation: false };
const EMPTY: Takeover = Takeover { start_empty: true, probation: false };

struct House {
    host: WasmHost,
    events: Receiver<SwapEvent>,
    policy: Box<dyn QueueDispatch>,
    now_ms: u64,
}

impl House {
    /// Round robin runs as generation 1 on one destination.
    fn new(limits: Limits) -> House {
        House::on(limits, round_robin())
    }

    fn on(limits: Limits, first: Vec<u8>) -> House {
        // Ample time: a plan may not fail because the machine is busy.
        let host = WasmHost::new(Limits { call_ms_max: 2_000, ..limits }).expect("the engine starts");
        let events = host.events().expect("had once");
        host.run(&host.prepare_generation("p", 1, first, &[]).expect("compiles"), PLAIN);
        let policy = host.queue_dispatch("p", "orders").expect("it is there");
        House { host, events, policy, now_ms: 0 }
    }

    fn prepare(&self, generation: u64, guest: &Guest<'_>) -> Prepared {
        self.host.prepare_generation("p", generation, guest.component(), &[]).expect("compiles")
    }

    fn run(&self, generation: u64, guest: &Guest<'_>, takeover: Takeover) {
        self.host.run(&self.prepare(generation, guest), takeover);
    }

    /// What the core does with four rows.
    fn step(&mut self) -> (Decided, Vec<u32>) {
        self.now_ms += 1;
        step(&mut *self.policy, self.now_ms)
    }

    fn decided(&mut self) -> Vec<u32> {
        let (decided, plan) = self.step();
        assert_eq!(decided, Decided::Policy);
        plan
    }

    fn event(&self) -> SwapEvent {
        self.events.try_recv().expect("it was told")
    }
}

fn step(policy: &mut dyn QueueDispatch, now_ms: u64) -> (Decided, Vec<u32>) {
    let mut plan = Vec::new();
    policy.boundary(now_ms);
    let decided = policy.plan(&DispatchBatch::new(now_ms, 4, &CONSUMERS), &mut plan);
    (decided, plan)
}

fn round_robin() -> Vec<u8> {
    stock().iter().find(|stock| stock.name == "round-robin").expect("a stock policy").bytes.to_vec()
}

fn until(mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited too long");
        std::thread::yield_now();
    }
}

fn refused(event: SwapEvent) -> (u64, String) {
    match event {
        SwapEvent::Refused { generation, reason, .. } => (generation, reason),
        other => panic!("{other:?}"),
    }
}

fn undone(event: SwapEvent) -> (u64, String) {
    match event {
        SwapEvent::Undone { generation, reason, .. } => (generation, reason),
        other => panic!("{other:?}"),
    }
}

/// From a component built of Rust to one written by hand and back: each goes on where the other stood.
#[test]
fn the_state_goes_from_one_component_to_another() {
    let mut house = House::new(Limits::default());
    let three: Vec<ConsumerRow> =
        (1..=3).map(|slot| ConsumerRow { slot, credit: 100, in_flight: 0, priority: 0 }).collect();
    let mut plan = Vec::new();
    let mut ask = |house: &mut House, rows: usize| {
        house.policy.boundary(1);
        assert_eq!(house.policy.plan(&DispatchBatch::new(1, rows, &three), &mut plan), Decided::Policy);
        plan.clone()
    };
    assert_eq!(ask(&mut house, 1), [1]);
    house.run(2, &FIRST_IN_LINE, PLAIN);
    assert_eq!(ask(&mut house, 4), [2, 2, 2, 2], "2 was next in line");
    assert_eq!((house.policy.stats().generation, house.policy.stats().swaps), (2, 1));
    let again = house.host.prepare_generation("p", 3, round_robin(), &[]).expect("compiles");
    house.host.run(&again, PLAIN);
    assert_eq!(ask(&mut house, 4), [2, 3, 1, 2]);
    let stats = house.policy.stats();
    assert_eq!((stats.generation, stats.swaps, stats.states_lost, stats.batches_fallback()), (3, 2, 0, 0));
    assert_eq!(stats.swap_times.buckets().map(|(_, swaps)| swaps).sum::<u64>(), 2, "each is measured once");
    until(|| house.host.stats().instances_live == 1);
}

/// Whatever a new generation does with the state, the batch is decided by a policy, and it is told what happened.
#[test]
fn a_generation_that_does_not_take_the_state_takes_over_only_if_that_was_said() {
    let fails = |body| Guest { restore: body, ..FIRST_IN_LINE };
    let other_format = Guest { describe: FORMAT_2, ..FIRST_IN_LINE };
    let says_no = fails("(i32.store8 (i32.const 160) (i32.const 1)) (i32.const 160)");
    let traps = fails("(unreachable)");
    for (guest, word, start_empty_helps) in [
        (other_format, "the state has format 3815437825, it restores [2]", true),
        (says_no, "it refuses the state: UnknownFormat", true),
        (traps, "it fails to restore the state: wasm trap", false),
    ] {
        let mut house = House::new(Limits::default());
        assert_eq!(house.decided(), [7, 8, 7, 8]);
        house.run(2, &guest, PLAIN);
        assert_eq!(house.decided(), [7, 8, 7, 8], "{word}");
        let (generation, reason) = refused(house.event());
        assert_eq!(generation, 2);
        assert!(reason.contains(word), "{reason}");
        assert_eq!((house.policy.stats().swaps_refused, house.policy.stats().generation), (1, 1));
        house.run(3, &guest, EMPTY);
        assert_eq!(house.decided() == [0, 0, 0, 0], start_empty_helps, "{word}");
        let stats = house.policy.stats();
        assert_eq!(stats.generation, if start_empty_helps { 3 } else { 1 });
        assert_eq!(stats.states_lost, u64::from(start_empty_helps));
        assert_eq!(stats.batches_fallback(), 0);
    }
}

/// An instance that traps while it gives its state is of no use any more: the new one starts without.
#[test]
fn a_snapshot_that_fails_does_not_keep_the_new_generation_out() {
    let bad = Guest { snapshot: "(unreachable)", ..FIRST_IN_LINE };
    let mut house = House::on(Limits::default(), bad.component());
    house.decided();
    house.run(2, &FIRST_IN_LINE, PLAIN);
    house.decided();
    let stats = house.policy.stats();
    assert_eq!((stats.generation, stats.states_lost, stats.faults_lifecycle), (2, 1, 1));
    // A refusal leaves the old one whole.
    let no = "(i32.store8 (i32.const 160) (i32.const 1)) (i32.const 160)";
    house.run(3, &Guest { snapshot: no, ..FIRST_IN_LINE }, PLAIN);
    house.decided();
    house.run(4, &FIRST_IN_LINE, PLAIN);
    house.decided();
    assert_eq!(refused(house.event()), (4, "it gives no state: UnknownFormat".into()));
    assert_eq!(house.policy.stats().generation, 3);
}

#[test]
fn a_generation_that_cannot_be_prepared_is_refused_before_anybody_notices() {
    let house = House::new(Limits::default());
    let prepare = |guest: Guest<'_>| house.host.prepare_generation("p", 2, guest.component(), &[]).err();
    let refusal = r#"
        (i32.store8 (i32.const 160) (i32.const 1)) (i32.store (i32.const 164) (i32.const 300))
        (i32.store (i32.const 168) (i32.const 2)) (i32.store16 (i32.const 300) (i32.const 0x6f6e)) (i32.const 160)"#;
    for (guest, word) in [
        (Guest { configure: refusal, ..FIRST_IN_LINE }, "it refuses its settings: no"),
        (Guest { configure: "(unreachable)", ..FIRST_IN_LINE }, "configure failed"),
        (Guest { describe: "(unreachable)", ..FIRST_IN_LINE }, "describe failed"),
    ] {
        let error = prepare(guest).expect("it is refused").to_string();
        assert!(error.contains(word), "{error}");
    }
    let error = house.host.prepare_generation("p", 2, vec![0; 100 << 20], &[]).err().expect("it is too large");
    assert!(matches!(error, PolicyError::TooLarge { .. }));
    assert_eq!(house.host.stats().policies_refused, 0);
}

/// The batch in which it fails is decided natively, the next one by the generation before: the same instance, which is
/// told what it missed.
#[test]
fn a_generation_that_fails_on_probation_goes_back_at_once() {
    let member = |slot| MemberChange::Joined(Member { slot, client_id: "".into(), selector: None, is_network: false });
    let wrong_length = "(call $answer (i32.const 3))";
    let cases = [
        ("(unreachable)", Fallback::Trap, "it trapped"),
        ("(loop $again (br $again)) (unreachable)", Fallback::Deadline, "it overran its deadline"),
        (wrong_length, Fallback::WrongLength, "it answered another number of rows"),
    ];
    for (plan, fallback, word) in cases {
        let mut house = House::on(Limits::default(), COUNTS_MEMBERS.component());
        house.policy.members_changed(&[member(7), member(8)]);
        assert_eq!(house.decided(), [2, 2, 2, 2]);
        let deadline = Limits { call_ms_max: 5, ..Limits::default() };
        if fallback == Fallback::Deadline {
            house = House::on(deadline, COUNTS_MEMBERS.component());
            house.policy.members_changed(&[member(7), member(8)]);
            house.decided();
        }
        house.run(2, &Guest { plan, ..COUNTS_MEMBERS }, PROBATION);
        house.policy.members_changed(&[member(9)]);
        house.policy.members_changed(&[member(10), MemberChange::Left(10)]);
        assert_eq!(house.step().0, Decided::Fallback(fallback));
        assert_eq!(undone(house.event()), (2, format!("{word}, fault 1 since it took over")));
        house.policy.members_changed(&[MemberChange::Left(7)]);
        assert_eq!(house.decided(), [4, 4, 4, 4], "9 came and 7 went; 10 left no trace");
        let stats = house.policy.stats();
        assert_eq!((stats.generation, stats.swaps_undone, stats.instances_made), (1, 1, 2), "{word}");
        assert_eq!(stats.batches_fallback(), 1);
    }
}

/// Answers that have to be corrected, and calls that cost far more than before, end a probation too.
#[test]
fn a_generation_that_does_badly_on_probation_goes_back() {
    let mut house = House::new(Limits { probation_rows_min: 40, ..Limits::default() });
    house.decided();
    house.run(2, &FIRST_IN_LINE, PROBATION);
    for at in 0..20 {
        house.decided();
        house.policy.corrected(4, &Corrections { no_credit: 1, ..Corrections::default() });
        assert_eq!(house.policy.stats().generation, if at < 9 { 2 } else { 1 }, "after {at}");
    }
    assert_eq!(undone(house.event()), (2, "10 of 40 answers had to be corrected".into()));

    let mut house = House::new(Limits { probation_call_us_min: 20, ..Limits::default() });
    for _ in 0..300 {
        house.decided();
    }
    let slow = r#"
        (local.set $left (i32.const 300000))
        (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (call $answer (i32.const 4))"#;
    house.run(2, &Guest { plan: slow, ..FIRST_IN_LINE }, PROBATION);
    let mut steps = 0;
    while house.policy.stats().swaps_undone == 0 {
        house.decided();
        steps += 1;
        assert!(steps < 50, "it is never found slow");
    }
    let (generation, reason) = undone(house.event());
    assert!(generation == 2 && reason.contains("10 times what it took before"), "{reason}");
    assert_eq!(house.policy.stats().batches_fallback(), 0);
}

/// Once its time is up nobody goes back: the former instance is gone, and a fault is a fault.
#[test]
fn probation_ends_and_the_former_instance_with_it() {
    let limits = Limits { probation_ms: 30, backoff_min: Duration::from_millis(20), ..Limits::default() };
    let mut house = House::new(limits);
    house.decided();
    let late = r#"
        (if (i64.ge_u (i64.load (local.get $question)) (i64.const 1000)) (then (unreachable)))
        (call $answer (i32.const 4))"#;
    house.run(2, &Guest { plan: late, ..FIRST_IN_LINE }, PROBATION);
    house.decided();
    assert_eq!(house.host.stats().instances_live, 2, "the one before is warm");
    until(|| house.host.stats().instances_live == 1);
    house.now_ms = 500;
    house.decided();
    house.now_ms = 1_000;
    assert_eq!(house.step().0, Decided::Fallback(Fallback::Trap));
    assert_eq!(house.step().0, Decided::Fallback(Fallback::BackingOff));
    assert_eq!((house.policy.stats().generation, house.policy.stats().swaps_undone), (2, 0));
    // A generation that comes now finds no instance to hand over and starts at once.
    house.run(3, &FIRST_IN_LINE, PROBATION);
    assert_eq!(house.decided(), [0, 0, 0, 0]);
    assert_eq!((house.policy.stats().generation, house.policy.stats().state), (3, PolicyState::Live));
}

/// Destinations that are not busy take the new generation when they are asked again: those that sleep from their state.
#[test]
fn idle_and_sleeping_destinations_take_the_new_generation() {
    let mut house = House::new(Limits { instances_live_max: 1, ..Limits::default() });
    let three: Vec<ConsumerRow> =
        (1..=3).map(|slot| ConsumerRow { slot, credit: 100, in_flight: 0, priority: 0 }).collect();
    let mut plan = Vec::new();
    house.policy.plan(&DispatchBatch::new(1, 1, &three), &mut plan);
    assert_eq!(plan, [1]);
    let mut never_asked = house.host.queue_dispatch("p", "never").expect("it is there");
    house.host.prepare("round-robin").expect("compiles");
    let busy = (0..3).map(|at| house.host.queue_dispatch("round-robin", &format!("busy-{at}")).expect("it is there"));
    let mut busy: Vec<_> = busy.collect();
    until(|| {
        busy.iter_mut().for_each(|busy| drop(step(&mut **busy, 1_000)));
        house.policy.stats().state == PolicyState::Asleep
    });
    house.run(2, &FIRST_IN_LINE, PROBATION);
    until(|| step(&mut *never_asked, 1_001).0 == Decided::Policy);
    assert_eq!(never_asked.stats().generation, 2);
    until(|| {
        house.policy.boundary(2_000);
        house.policy.plan(&DispatchBatch::new(2_000, 4, &three), &mut plan) == Decided::Policy
    });
    assert_eq!(plan, [2, 2, 2, 2], "it woke with the state of the generation before");
    assert_eq!((house.policy.stats().generation, house.policy.stats().states_lost), (2, 0));
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

/// Ten thousand swaps from another thread while batches are decided: none natively, and memory stays where it was.
#[test]
fn ten_thousand_swaps_leave_no_trace() {
    const SWAPS: u64 = 10_000;
    let mut house = House::new(Limits::default());
    let one = house.host.prepare_generation("p", 1, round_robin(), &[]).expect("compiles");
    let two = house.prepare(2, &FIRST_IN_LINE);
    house.decided();
    let stop = AtomicBool::new(false);
    let mut gap_worst = Duration::ZERO;
    let (mut before, mut waited) = (0, 0);
    std::thread::scope(|scope| {
        let (host, stop) = (&house.host, &stop);
        scope.spawn(move || {
            let mut at = 0;
            while !stop.load(Ordering::Relaxed) {
                at += 1;
                host.run(if at % 2 == 0 { &one } else { &two }, PROBATION);
            }
        });
        while house.policy.stats().swaps < SWAPS {
            house.now_ms += 1;
            let begin = Instant::now();
            let (decided, _) = step(&mut *house.policy, house.now_ms);
            gap_worst = gap_worst.max(begin.elapsed());
            let stats = house.policy.stats();
            if decided != Decided::Policy || stats.swaps_refused > 0 {
                stop.store(true, Ordering::Relaxed);
            }
            assert_eq!((decided, stats.swaps_refused), (Decided::Policy, 0), "{stats:?}");
            if before == 0 && stats.swaps >= SWAPS / 10 {
                before = resident_bytes();
            }
            waited += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let grown = resident_bytes().saturating_sub(before);
    println!("{SWAPS} swaps over {waited} batches, worst batch with a swap {gap_worst:?}, {grown} bytes more");
    assert!(grown < 16 << 20, "memory grew by {grown} bytes over {SWAPS} swaps");
    assert!(house.host.stats().instances_live < 50, "{:?}", house.host.stats());
}

/// A candidate that is the same as the active generation agrees in every row it sees; one that is not is found out, and
/// neither changes anything.
#[test]
fn a_shadow_looks_on_and_is_compared() {
    let mut house = House::new(Limits { shadow_percent_max: 100, ..Limits::default() });
    let member = |slot| {
        MemberChange::Joined(Member { slot, client_id: format!("c{slot}").into(), selector: None, is_network: false })
    };
    house.policy.members_changed(&[member(7), member(8)]);
    house.decided();
    let same = house.host.prepare_generation("p", 2, round_robin(), &[]).expect("compiles");
    house.host.shadow("p", Some(&same));
    for _ in 0..10 {
        assert_eq!(house.decided(), [7, 8, 7, 8]);
    }
    let reports = house.host.shadow_reports("p");
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.generation, &*report.destination), (2, "orders"));
    assert_eq!((report.batches, report.rows, report.rows_agreed, report.corrected), (10, 40, 40, 0));
    let half = plugin_wasmtime::Sides { active: 20, shadow: 20 };
    assert_eq!(report.consumers, [(7, "c7".to_owned(), half), (8, "c8".to_owned(), half)]);
    assert!(report.nanos.active > 0 && report.nanos.shadow > 0, "{report:?}");

    house.host.shadow("p", Some(&house.prepare(3, &FIRST_IN_LINE)));
    assert_eq!(house.decided(), [7, 8, 7, 8]);
    let report = &house.host.shadow_reports("p")[0];
    assert_eq!(
        (report.generation, report.rows, report.rows_agreed),
        (3, 4, 2),
        "it gives all to 7, which is first in line"
    );

    let wrong =
        Guest { plan: "(i32.store (i32.const 256) (i32.const 99)) (call $answer (i32.const 4))", ..COUNTS_MEMBERS };
    house.host.shadow("p", Some(&house.prepare(4, &wrong)));
    house.decided();
    assert!(house.host.shadow_reports("p")[0].corrected > 0);

    house.host.shadow("p", Some(&house.prepare(5, &Guest { plan: "(unreachable)", ..COUNTS_MEMBERS })));
    house.decided();
    house.decided();
    let report = &house.host.shadow_reports("p")[0];
    assert!(report.batches == 0 && report.ended.as_ref().is_some_and(|why| why.contains("Trap")), "{report:?}");

    house.host.shadow("p", None);
    house.decided();
    assert!(house.host.shadow_reports("p").is_empty());
    assert_eq!((house.policy.stats().generation, house.policy.stats().batches_fallback()), (1, 0));
    until(|| house.host.stats().instances_live == 1);
}

/// A candidate that is slow sits out most of what it is asked.
#[test]
fn a_shadow_keeps_to_its_share_of_the_time() {
    let mut house = House::new(Limits { shadow_percent_max: 5, ..Limits::default() });
    let slow = r#"
        (local.set $left (i32.const 100000))
        (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (call $answer (i32.const 4))"#;
    house.host.shadow("p", Some(&house.prepare(2, &Guest { plan: slow, ..COUNTS_MEMBERS })));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(200) {
        house.decided();
    }
    let report = &house.host.shadow_reports("p")[0];
    let share = report.nanos.shadow as f64 / begin.elapsed().as_nanos() as f64;
    assert!(share < 0.10, "{share} of the time: {report:?}");
    assert!(report.batches > 0 && report.batches_skipped > report.batches, "{report:?}");
}

/// What a policy remembers outlives its destination's consumers, and the host, for whoever keeps it.
#[test]
fn states_are_collected_and_given_back() {
    let mut house = House::on(Limits::default(), FIRST_IN_LINE.component());
    let rr = house.host.prepare_generation("p", 2, round_robin(), &[]).expect("compiles");
    house.host.run(&rr, PLAIN);
    let three: Vec<ConsumerRow> =
        (1..=3).map(|slot| ConsumerRow { slot, credit: 100, in_flight: 0, priority: 0 }).collect();
    let ask = |policy: &mut Box<dyn QueueDispatch>, now_ms: u64| {
        let mut plan = Vec::new();
        policy.boundary(now_ms);
        while policy.plan(&DispatchBatch::new(now_ms, 1, &three), &mut plan) != Decided::Policy {}
        plan
    };
    assert_eq!(ask(&mut house.policy, 1), [1]);
    assert!(house.host.collect_states().is_empty(), "it answers at its next batch");
    assert_eq!(ask(&mut house.policy, 2), [2]);
    let states = house.host.collect_states();
    let [state] = &states[..] else { panic!("{states:?}") };
    assert_eq!(
        (&*state.destination, &*state.policy, state.generation, state.format),
        ("orders", "p", 2, plugin::state_format("round-robin", 1))
    );
    assert_eq!(&state.bytes[..], [2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0], "as it was before that batch");
    // Nobody asks any more: the second call looks for itself.
    assert!(house.host.collect_states().is_empty());
    let idle = house.host.collect_states();
    assert_eq!(&idle[0].bytes[..], [3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    assert!(house.host.collect_states().is_empty() && house.host.collect_states().is_empty(), "nothing changed");

    assert_eq!(ask(&mut house.policy, 3), [3]);
    let House { host, policy, .. } = house;
    drop(policy);
    let mut again = host.queue_dispatch("p", "orders").expect("it is there");
    assert_eq!(ask(&mut again, 4), [1], "the destination had no consumers for a while");
    drop(again);
    let last = host.collect_states();
    assert_eq!(last.len(), 1);
    drop(host);

    let next = House::new(Limits::default());
    next.host.run(&next.host.prepare_generation("p", 2, round_robin(), &[]).expect("compiles"), PLAIN);
    next.host.set_states(last);
    assert!(next.host.collect_states().is_empty(), "it is kept already");
    let mut policy = next.host.queue_dispatch("p", "orders").expect("it is there");
    assert_eq!(ask(&mut policy, 5), [2]);
    assert_eq!(policy.stats().states_lost, 0);
}

/// Generations that read other columns are shown those, from the first batch on.
#[test]
fn each_generation_is_shown_its_own_columns() {
    // Answers the id of its first column, in place of slots.
    let id = "(i32.load (i32.load (i32.add (local.get $question) (i32.const 16))))";
    let plan = format!(
        "(i32.store (i32.const 256) {id}) (i32.store (i32.const 260) {id}) (i32.store (i32.const 264) {id})
         (i32.store (i32.const 268) {id}) (call $answer (i32.const 4))"
    );
    let wants = |column: u32| {
        format!(
            "(i32.store (i32.const 512) (i32.const 544)) (i32.store (i32.const 516) (i32.const 1))
             (i32.store (i32.const 544) (i32.const {column})) (i32.const 512)"
        )
    };
    let (priority, size) = (wants(1), wants(2));
    let guest = |describe| Guest { describe, plan: &plan, ..Guest::default() };
    let mut house = House::on(Limits::default(), guest(&priority).component());
    let ask = |house: &mut House| {
        house.policy.boundary(1);
        let shown = house.policy.wants();
        let mut plan = Vec::new();
        let (mut batch, columns) = (DispatchBatch::new(1, 4, &CONSUMERS), ([4_u8; 4], [9_u32; 4]));
        if shown.contains(plugin::Columns::PRIORITY) {
            batch.priority = &columns.0;
        }
        if shown.contains(plugin::Columns::SIZE) {
            batch.size = &columns.1;
        }
        assert_eq!(house.policy.plan(&batch, &mut plan), Decided::Policy);
        plan
    };
    assert_eq!(ask(&mut house), [1, 1, 1, 1]);
    house.run(2, &guest(&size), PROBATION);
    assert_eq!(ask(&mut house), [2, 2, 2, 2]);
    house.host.shadow("p", Some(&house.prepare(3, &guest(&priority))));
    assert_eq!(ask(&mut house), [2, 2, 2, 2]);
    let report = &house.host.shadow_reports("p")[0];
    assert_eq!((report.batches, report.rows_agreed, &report.ended), (1, 0, &None));
    house.run(4, &guest(&priority), PLAIN);
    assert_eq!(ask(&mut house), [1, 1, 1, 1]);
}
