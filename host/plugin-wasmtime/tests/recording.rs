//! Recordings: taken down while a policy decides, written, read and put to components again.

use plugin::{PolicyHost, QueueDispatch};
use plugin_wasmtime::kit::{Traffic, golden, replay};
use plugin_wasmtime::{Answered, Limits, Recording, RecordingError, RecordingWish, Start, Takeover, WasmHost, stock};

use crate::guest;

const ALL: RecordingWish = RecordingWish { ms: u64::MAX, batches: u64::MAX };

fn limits() -> Limits {
    Limits { call_ms_max: 10_000, ..Limits::default() }
}

fn bytes(name: &str) -> &'static [u8] {
    stock().iter().find(|stock| stock.name == name).expect("a stock policy").bytes
}

/// A queue that traffic comes to.
struct Queue {
    host: WasmHost,
    policy: Box<dyn QueueDispatch>,
    traffic: Traffic,
}

impl Queue {
    fn new(component: &[u8], limits: Limits) -> Queue {
        let host = WasmHost::new(limits).expect("the engine starts");
        let generation = host.prepare_generation("mine", 1, component.to_vec(), &[]).expect("it is taken");
        host.install(&generation);
        let policy = host.queue_dispatch("mine", "orders").expect("it is there");
        let traffic = Traffic::new(3, host.symbols());
        Queue { host, policy, traffic }
    }

    fn batches(&mut self, count: usize) {
        let (mut changes, mut plan) = (Vec::new(), Vec::new());
        for _ in 0..count {
            self.policy.boundary(self.traffic.now_ms());
            let rows = self.traffic.step(&*self.policy, &mut changes);
            self.policy.members_changed(&changes);
            self.policy.plan(&self.traffic.batch(rows), &mut plan);
        }
    }

    fn record(&self, wish: RecordingWish) {
        self.host.record("orders", wish).expect("it can be recorded");
    }

    fn recording(&self) -> Recording {
        self.host.end_recording("orders").expect("batches came")
    }
}

/// The same component decides the same, from the start and from the middle of its life; what it remembers, and what was
/// shown to it, is all that it decides by. Written and read, a recording is the same.
#[test]
fn a_policy_decides_its_own_recording_alike() {
    for stock in stock() {
        let recording = golden(stock.name, stock.bytes, &[], &limits(), 7, 80).expect("it decides");
        assert_eq!((recording.steps.len(), &recording.head.start), (80, &Start::Fresh), "{}", stock.name);
        let found = replay(&recording, stock.bytes, None, &limits(), None).expect("it can be played");
        assert!(found.is_equal(&recording), "{}: {:?}", stock.name, found.first);
        assert_eq!((found.rows, found.rows_equal, found.corrected), (recording.rows(), recording.rows(), 0));
        assert_eq!(Recording::read(&recording.write()).as_ref(), Ok(&recording), "{}", stock.name);

        let mut queue = Queue::new(stock.bytes, limits());
        queue.batches(100);
        queue.record(ALL);
        queue.batches(60);
        let recording = queue.recording();
        assert_eq!(recording.steps.len(), 60);
        let found = replay(&recording, stock.bytes, None, &limits(), None).expect("it can be played");
        match &recording.head.start {
            Start::Unknown => assert!(found.start.is_some(), "{}", stock.name),
            _ => assert!(found.is_equal(&recording), "{}: {:?}", stock.name, found.first),
        }
    }
}

/// What is recorded does not depend on who records: twice the same, down to the last letter.
#[test]
fn a_golden_recording_is_the_same_each_time() {
    let make = || golden("p", bytes("fair-share"), &[], &limits(), 1, 40).expect("it decides").write();
    assert_eq!(make(), make());
    let settings = [("key".to_owned(), "tenant".to_owned())];
    let other = golden("p", bytes("fair-share"), &settings, &limits(), 1, 40).expect("it decides");
    assert_eq!(other.head.settings, settings);
    assert_eq!(other.head.properties, ["hash:tenant"]);
}

/// The first message that is decided otherwise is told with what it was decided by.
#[test]
fn another_policy_is_told_by_its_first_difference() {
    let recording = golden("round-robin", bytes("round-robin"), &[], &limits(), 1, 60).expect("it decides");
    let found = replay(&recording, bytes("strict-order"), None, &limits(), None).expect("it can be played");
    assert!(!found.is_equal(&recording) && found.batches == 60 && found.rows_equal < found.rows);
    let first = found.first.expect("a difference");
    assert!(first.recorded.contains("slot ") && first.recorded != first.replayed, "{first:?}");
    assert!(first.message.iter().any(|(name, _)| name == "priority"), "{first:?}");
    let step = &recording.steps[first.batch - 1];
    assert_eq!((first.rows, first.consumers_all), (step.rows, step.consumers.slots.len()));
    assert!(first.consumers.iter().any(|one| first.recorded.starts_with(&format!("slot {},", one.slot))), "{first:?}");
}

/// All headers are recorded, wanted or not, so that a policy which wants more can be tried; properties are not.
#[test]
fn who_wants_more_than_was_recorded_is_told_what_is_missing() {
    let recording = golden("round-robin", bytes("round-robin"), &[], &limits(), 1, 10).expect("it decides");
    let play = |component: &[u8]| replay(&recording, component, None, &limits(), None);
    play(&guest::component_that_wants(&[1, 2, 3, 4, 5, 6, 7, 8, 500], &[])).expect("headers are there");
    let error = play(&guest::component_that_wants(&[], &["colour"])).expect_err("a property is not");
    assert_eq!(error, RecordingError::Lacks { what: "property colour".into() });
    let settings = [("colour".to_owned(), "red".to_owned())];
    let error = replay(&recording, bytes("weighted"), Some(&settings), &limits(), None).expect_err("it has no colour");
    assert!(error.to_string().contains("colour"), "{error}");
    assert!(matches!(play(b"nonsense"), Err(RecordingError::Policy(_))));
}

/// A trap is recorded with its question, and ends the recording; a component without the fault differs there.
#[test]
fn a_failure_is_recorded_with_its_question() {
    let traps = guest::component(
        "(if (i32.ge_u (global.get $calls) (i32.const 5)) (then (unreachable)))
        (memory.fill (i32.const 256) (i32.const 255) (i32.const 7936))
        (call $answer (i32.load offset=12 (local.get $question)))",
    );
    let mut queue = Queue::new(&traps, limits());
    queue.record(ALL);
    queue.batches(10);
    let recording = queue.recording();
    let count = recording.steps.len();
    assert!((5..10).contains(&count) && recording.head.ended == "the policy failed", "{:?}", recording.head);
    assert_eq!(recording.steps[count - 1].answer, Answered::Fault("trap".into()));
    let found = replay(&recording, &traps, None, &limits(), None).expect("it can be played");
    assert!(found.is_equal(&recording) && found.ended.expect("it fails").contains(&format!("batch {count}")));
    let found = replay(&recording, bytes("round-robin"), None, &limits(), None).expect("it can be played");
    assert!(!found.is_equal(&recording) && found.ended.is_none() && found.batches == count);
}

#[test]
fn a_recording_keeps_its_bounds() {
    let wish = |batches| RecordingWish { ms: u64::MAX, batches };
    let mut queue =
        Queue::new(bytes("round-robin"), Limits { recording_batches_max: 7, recordings_max: 1, ..limits() });
    for (asked, expected) in [(3, 3), (100, 7)] {
        queue.record(wish(asked));
        let again = queue.host.record("orders", ALL);
        assert_eq!(again, Err(RecordingError::Taken { destination: "orders".into() }));
        queue.batches(20);
        assert!(queue.host.recording("orders").expect("it is recorded").is_over);
        assert_eq!(queue.recording().steps.len(), expected);
    }
    assert_eq!(queue.host.record("nobody", ALL), Err(RecordingError::Nobody { what: "nobody".into() }));
    let other = queue.host.queue_dispatch("mine", "bills").expect("it is there");
    let several =
        RecordingError::Several { policy: "mine".into(), destinations: vec!["bills".into(), "orders".into()] };
    assert_eq!(queue.host.record("mine", ALL), Err(several));
    queue.host.record("bills", ALL).expect("it can be recorded");
    assert_eq!(queue.host.record("orders", ALL), Err(RecordingError::TooMany { limit: 1 }));
    assert!(matches!(queue.host.end_recording("bills"), Err(RecordingError::Empty { .. })), "nothing was asked");
    assert_eq!(queue.host.end_recording("bills"), Err(RecordingError::NotRecorded { destination: "bills".into() }));
    drop(other);

    let mut queue = Queue::new(bytes("round-robin"), Limits { recording_bytes_max: 50_000, ..limits() });
    queue.record(ALL);
    queue.batches(300);
    let recording = queue.recording();
    assert!(recording.head.ended.contains("recording_bytes_max of 50000"), "{}", recording.head.ended);
    assert!(recording.steps.len() > 3 && recording.write().len() < 500_000);
}

/// One recording is of one policy.
#[test]
fn another_generation_ends_a_recording() {
    let mut queue = Queue::new(bytes("round-robin"), limits());
    queue.record(ALL);
    queue.batches(5);
    let next = queue.host.prepare_generation("mine", 2, bytes("strict-order").to_vec(), &[]).expect("it is taken");
    queue.host.run(&next, Takeover { start_empty: true, probation: false });
    queue.batches(5);
    let recording = queue.recording();
    assert_eq!((recording.steps.len(), recording.head.generation), (5, 1));
    assert_eq!(recording.head.ended, "another generation decides");
}

/// What a later version adds is skipped; what it changes is refused; what is damaged is told by its place.
#[test]
fn files_of_other_versions_and_damaged_ones() {
    let recording = golden("p", bytes("round-robin"), &[], &limits(), 1, 12).expect("it decides");
    let text = recording.write();
    let grown: Vec<String> =
        text.lines().map(|line| line.replacen('{', "{\"of-a-later-version\":[1,{}],", 1)).collect();
    let grown = grown.join("\n");
    assert_eq!(Recording::read(&grown).as_ref(), Ok(&recording));
    let newer = text.replace("\"jackfield-recording\":1", "\"jackfield-recording\":2");
    assert_eq!(Recording::read(&newer), Err(RecordingError::Newer { version: 2 }));
    let lines: Vec<&str> = text.lines().collect();
    let at = recording.steps.iter().position(|step| step.rows > 1).expect("a batch of several");
    let changed = |from: &str, to: &str| {
        let line = lines[at + 1].replacen(from, to, 1);
        let all = lines.iter().enumerate().map(|(place, old)| if place == at + 1 { line.as_str() } else { old });
        Recording::read(&all.collect::<Vec<_>>().join("\n"))
    };
    for (from, to) in
        [("\"rows\":", "\"rows\":1"), ("\"credit\":[", "\"credit\":[1,"), ("{\"slots\":[", "{\"slots\":[1,")]
    {
        let error = changed(from, to).expect_err(from).to_string();
        assert!(error.starts_with(&format!("batch {} is damaged", at + 1)), "{from}: {error}");
    }
    for text in ["", "x", "{}", &text.replace("queue-dispatch", "auth")] {
        assert!(matches!(Recording::read(text), Err(RecordingError::NotOne { .. })), "{text:.60}");
    }
}
