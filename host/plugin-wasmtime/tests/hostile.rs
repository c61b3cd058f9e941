//! Components that mean ill or are broken: an answer always comes, and the host says what happened.

use std::time::{Duration, Instant};

use plugin::{Decided, DispatchBatch, Fallback, PlanCheck, PolicyError, PolicyHost, PolicyState, QueueDispatch};
use plugin_wasmtime::{Limits, WasmHost};

use crate::guest::{self, CONSUMERS, ask, component, component_with, host_with};

const FOREVER: &str = "(loop $again (br $again)) (unreachable)";
const TRAP: &str = "(unreachable)";

/// Asks until `done`, and panics after ten seconds.
fn until(mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(10), "waited too long");
        std::thread::yield_now();
    }
}

fn dispatch(host: &WasmHost) -> Box<dyn QueueDispatch> {
    host.queue_dispatch("guest", "orders").expect("the policy is there")
}

/// The native twin decides the very batch in which the component fails, and the pauses between attempts double.
#[test]
fn an_endless_loop_meets_its_deadline_and_the_pauses_grow() {
    let host = host_with(component(FOREVER));
    let mut policy = dispatch(&host);
    let begin = Instant::now();
    let (decided, plan) = ask(&mut *policy, 0);
    assert_eq!((decided, plan), (Decided::Fallback(Fallback::Deadline), vec![7, 8, 7, 8]));
    assert!(begin.elapsed() >= Duration::from_millis(4), "it had its five milliseconds");
    assert_eq!(ask(&mut *policy, 0).0, Decided::Fallback(Fallback::BackingOff));
    assert_eq!(policy.stats().state, PolicyState::BackingOff);
    let mut failures = vec![Instant::now()];
    until(|| {
        if ask(&mut *policy, 0).0 == Decided::Fallback(Fallback::Deadline) {
            failures.push(Instant::now());
        }
        failures.len() == 4
    });
    for (at, pause_ms) in [(1, 20), (2, 40), (3, 80)] {
        let pause = failures[at] - failures[at - 1];
        assert!(pause >= Duration::from_millis(pause_ms), "pause {at} lasted {pause:?}");
    }
    // The keeper drops the stores, a moment later.
    until(|| host.stats().instances_live == 0);
    assert_eq!(policy.stats().batches_deadline, 4);
}

#[test]
fn a_trap_costs_the_instance_and_not_the_batch() {
    let host = host_with(component(TRAP));
    let mut policy = dispatch(&host);
    assert_eq!(ask(&mut *policy, 0), (Decided::Fallback(Fallback::Trap), vec![7, 8, 7, 8]));
    until(|| {
        ask(&mut *policy, 0);
        policy.stats().batches_trap == 3
    });
    assert!(policy.stats().instances_made >= 3);
}

/// A component that traps for a while comes back, and a failure long after starts with the short pause again.
#[test]
fn a_component_that_stops_failing_is_asked_again() {
    let plan = r#"
        (if (i64.lt_u (i64.load (local.get $question)) (i64.const 1000)) (then (unreachable)))
        (i32.store (i32.const 256) (i32.const 8)) (i32.store (i32.const 260) (i32.const 8))
        (i32.store (i32.const 264) (i32.const 8)) (i32.store (i32.const 268) (i32.const -1))
        (call $answer (i32.const 4))"#;
    let host = host_with(component(plan));
    let mut policy = dispatch(&host);
    assert_eq!(ask(&mut *policy, 0).0, Decided::Fallback(Fallback::Trap));
    until(|| ask(&mut *policy, 2_000) == (Decided::Policy, vec![8, 8, 8, u32::MAX]));
    for _ in 0..5 {
        assert_eq!(ask(&mut *policy, 2_000).0, Decided::Policy);
    }
    assert_eq!(policy.stats().state, PolicyState::Live);
    assert_eq!(policy.stats().instances_made, 2);
    assert_eq!(ask(&mut *policy, 0).0, Decided::Fallback(Fallback::Trap));
    let begin = Instant::now();
    until(|| ask(&mut *policy, 2_000).0 == Decided::Policy);
    assert!(begin.elapsed() < Duration::from_millis(2_000));
}

#[test]
fn memory_grows_to_the_cap_and_no_further() {
    let grow_all = "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)";
    let host = host_with(component(grow_all));
    assert_eq!(ask(&mut *dispatch(&host), 0).0, Decided::Fallback(Fallback::Deadline));

    // 16 MiB are 256 pages: the guest answers slot 7 if it was refused the 257th.
    let grow_once = r#"
        (if (i32.eq (memory.grow (i32.const 254)) (i32.const -1)) (then (unreachable)))
        (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
        (i32.store (i32.const 256) (i32.const 7)) (call $answer (i32.const 4))"#;
    let host = host_with(component(grow_once));
    assert_eq!(ask(&mut *dispatch(&host), 0), (Decided::Policy, vec![7, 0, 0, 0]));
}

#[test]
fn an_answer_of_the_wrong_length_is_not_used() {
    for length in ["0", "3", "5", "4096"] {
        let host = host_with(component(&format!("(call $answer (i32.const {length}))")));
        let mut policy = dispatch(&host);
        for _ in 0..3 {
            assert_eq!(ask(&mut *policy, 0).0, Decided::Fallback(Fallback::WrongLength), "length {length}");
        }
        assert_eq!((policy.stats().batches_wrong_length, policy.stats().instances_made), (3, 1));
    }
}

/// Neither a list outside of the memory nor one beyond `answer_bytes_max` is taken over.
#[test]
fn an_answer_that_is_too_big_is_a_fault() {
    let big = "(drop (memory.grow (i32.const 200))) (call $answer (i32.const 1000000))";
    for plan in ["(call $answer (i32.const 1000000))", "(call $answer (i32.const -1))", big, "(i32.const -4)"] {
        let host = host_with(component(plan));
        assert_eq!(ask(&mut *dispatch(&host), 0).0, Decided::Fallback(Fallback::Trap), "{plan}");
    }
}

#[test]
fn slots_that_nobody_has_are_corrected() {
    let plan = r#"
        (i32.store (i32.const 256) (i32.const 99)) (i32.store (i32.const 260) (i32.const 8))
        (i32.store (i32.const 264) (i32.const 77)) (i32.store (i32.const 268) (i32.const 7))
        (call $answer (i32.const 4))"#;
    let host = host_with(component(plan));
    let (decided, mut plan) = ask(&mut *dispatch(&host), 0);
    assert_eq!((decided, plan.clone()), (Decided::Policy, vec![99, 8, 77, 7]));
    let found = PlanCheck::new().correct(&DispatchBatch::new(0, 4, &CONSUMERS), &mut plan);
    assert_eq!((plan, found.unknown_slot, found.total()), (vec![7, 8, 8, 7], 2, 2));
}

/// A component cannot fill the log.
#[test]
fn log_lines_beyond_the_rate_are_dropped() {
    let import = r#"(import "jackfield:policy/telemetry@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
    let plan = r#"
        (local.set $left (i32.const 100))
        (loop $again
            (call $log (i32.const 0) (i32.const 65536) (i32.const 5000))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (call $answer (i32.const 4))"#;
    let host = host_with(component_with(import, "(i32.const 64)", plan));
    let mut policy = dispatch(&host);
    assert_eq!(ask(&mut *policy, 0).0, Decided::Policy);
    assert_eq!(policy.stats().log_lines_dropped, 80);
}

#[test]
fn refused_settings_are_said_when_the_component_is_prepared() {
    // result<_, string>: 1, pointer, length; the text is a setting's key and all zeros otherwise.
    let configure = r#"
        (i32.store8 (i32.const 160) (i32.const 1)) (i32.store (i32.const 164) (i32.const 300))
        (i32.store (i32.const 168) (i32.const 2)) (i32.store16 (i32.const 300) (i32.const 0x6f6e)) (i32.const 160)"#;
    let host = WasmHost::new(Limits::default()).unwrap();
    host.add("guest", component_with("", configure, TRAP), &[("colour".into(), "red".into())]).unwrap();
    let error = host.prepare("guest").unwrap_err();
    assert_eq!(error.to_string(), "policy guest was refused: it refuses its settings: no");
    assert!(host.queue_dispatch("guest", "orders").is_err());
}

fn refusal(bytes: &[u8]) -> PolicyError {
    let host = WasmHost::new(Limits::default()).unwrap();
    host.add("guest", bytes.to_vec(), &[]).and_then(|()| host.prepare("guest")).unwrap_err()
}

/// What a policy asks to see is checked before it is asked for a plan.
#[test]
fn unknown_wishes_are_refused() {
    for (columns, properties, words) in [
        (&[1, 9][..], &[][..], "it wants column 9, which is not known here"),
        (&[499], &[], "it wants column 499"),
        (&[1000], &[], "it wants column 1000"),
        (&[], &["date:due"], "it wants property \"date:due\": form date is unknown; write NAME, number:NAME"),
        (&[], &["number:"], "a name of 0 bytes"),
        (&[], &["p"; 9], "it wants 9 properties where properties_max is 8"),
    ] {
        let error = refusal(&guest::component_that_wants(columns, properties)).to_string();
        assert!(error.contains(words), "{words:?} is missing in {error:?}");
    }
}

#[test]
fn imports_beyond_the_world_are_named() {
    let text = r#"(component
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance))
        (import "jackfield:policy/symbols@0.1.0" (instance))
        (import "wasi:random/random@0.2.0" (instance)))"#;
    let error = refusal(&wat::parse_str(text).unwrap());
    let imports = ["wasi:clocks/monotonic-clock@0.2.0", "wasi:random/random@0.2.0"].map(String::from).to_vec();
    assert_eq!(error, PolicyError::ForbiddenImports { policy: "guest".into(), imports });
}

#[test]
fn what_is_no_policy_is_refused() {
    let module = wat::parse_str("(module)").unwrap();
    assert!(matches!(refusal(&module), PolicyError::NotComponent { .. }));
    assert!(matches!(refusal(b""), PolicyError::NotComponent { .. }));
    assert!(matches!(refusal(&[0x5a; 100_000]), PolicyError::NotComponent { .. }));
    let good = component(TRAP);
    assert!(matches!(refusal(&good[..good.len() - 9]), PolicyError::NotComponent { .. }));
    let wrong = wat::parse_str("(component)").unwrap();
    assert!(matches!(refusal(&wrong), PolicyError::WrongWorld { .. }));
    let hollow = r#"(component (instance $none)
        (export "jackfield:policy/lifecycle@0.1.0" (instance $none))
        (export "jackfield:policy/queue-dispatch@0.1.0" (instance $none)))"#;
    assert!(matches!(refusal(&wat::parse_str(hollow).unwrap()), PolicyError::WrongWorld { .. }));
    let error = refusal(&vec![0x5a; 5_000_000]);
    assert!(matches!(error, PolicyError::TooLarge { have: 5_000_000, .. }));
}
