//! The tests that every journal has to pass, as plain functions that panic; each engine's tests call [`all`].

use std::sync::Arc;

use bytes::Bytes;
use message::properties::Builder;
use message::{
    BodyKind, Destination, EntryMeta, Fact, LogDefinition, LogId, Message, MessageId, ProducerId, Record, Sequence,
    Value,
};

use crate::{Journal, JournalError, MemJournal, Recovered};

/// A place that outlives a run.
pub trait Bed {
    /// Opens the journal there. All handles of the run before are dropped by then, without a `close` as often as not.
    fn open(&mut self) -> Arc<dyn Journal>;
}

/// Records to test with.
#[derive(Debug)]
pub struct Samples;

impl Samples {
    /// A queue of this number.
    pub fn queue(log: LogId) -> Record {
        Record::Log { log, definition: LogDefinition::Queue { name: format!("Q.{log}").into() } }
    }

    /// A durable subscription of this number.
    pub fn durable(log: LogId) -> Record {
        let definition = LogDefinition::Durable {
            client_id: "client".into(),
            name: format!("sub{log}").into(),
            topic: "T.>".into(),
            selector: log.is_multiple_of(2).then(|| "a > 1".into()),
            no_local: log.is_multiple_of(3),
        };
        Record::Log { log, definition }
    }

    /// A message of this sequence, some hundred bytes.
    pub fn message(sequence: Sequence) -> Message {
        let producer = ProducerId { connection: "ID:host-1-2-3:1".into(), session: 1, value: 1 };
        let id = MessageId { producer, sequence: sequence as i64, text_view: None };
        let mut message = Message::new(id, Destination::queue("Q.1"));
        let mut properties = Builder::new();
        properties.push("number", &Value::Long(sequence as i64));
        message.properties = properties.finish();
        message.persistent = true;
        message.sequence = sequence;
        message.body_kind = BodyKind::Bytes;
        message.content = Some(Bytes::from(vec![sequence as u8; 64 + sequence as usize % 64]));
        message
    }

    /// Its body.
    pub fn body(sequence: Sequence) -> Record {
        Record::Body { sequence, message: Arc::new(Self::message(sequence)) }
    }

    /// An entry.
    pub fn entry(log: LogId, sequence: Sequence) -> Record {
        let meta = EntryMeta {
            size: 1000 + sequence as u32 % 1000,
            priority: (sequence % 10) as u8,
            expiration: if sequence.is_multiple_of(3) { 1_790_000_000_000 + sequence as i64 } else { 0 },
            maybe_delivered: sequence.is_multiple_of(2),
        };
        Record::Entry { log, sequence, meta }
    }

    /// A fact of this number whose value has this many bytes.
    pub fn fact(number: u64, bytes: usize) -> Record {
        let value = Some(Bytes::from(vec![number as u8; bytes]));
        Record::Fact(Fact { key: Self::fact_key(number), value })
    }

    /// The end of a fact.
    pub fn fact_gone(number: u64) -> Record {
        Record::Fact(Fact { key: Self::fact_key(number), value: None })
    }

    fn fact_key(number: u64) -> message::Text {
        format!("sample/fact {number} ü").into()
    }

    /// A producer's last message.
    pub fn producer(number: i64, sequence: i64, at: Sequence) -> Record {
        Record::Producer { producer: Self::producer_id(number), sequence, at }
    }

    /// The owner of a message group; groups of the same number in two logs are two groups.
    pub fn group(log: LogId, number: u64, owner: &'static str) -> Record {
        Record::GroupOwner { log, group: format!("group {number}").into(), owner: owner.into() }
    }

    /// That group without an owner.
    pub fn group_gone(log: LogId, number: u64) -> Record {
        Record::GroupGone { log, group: format!("group {number}").into() }
    }

    /// A producer.
    pub fn producer_id(number: i64) -> ProducerId {
        ProducerId { connection: "ID:host:1".into(), session: -1, value: number }
    }
}

/// Runs every test, each on a new bed.
pub fn all<B: Bed>(new_bed: &mut dyn FnMut() -> B) {
    a_new_journal_is_empty(&mut new_bed());
    everything_comes_back_in_order(&mut new_bed());
    what_is_gone_stays_gone(&mut new_bed());
    redeliveries_go_with_their_entry(&mut new_bed());
    groups_have_one_owner_and_go_with_their_log(&mut new_bed());
    facts_are_kept_by_key(&mut new_bed());
    a_clean_stop_is_true_until_the_next_append(&mut new_bed());
    numbers_are_never_used_twice(&mut new_bed());
    bodies_are_loaded_as_they_were(&mut new_bed());
    an_old_sequence_may_come_late(&mut new_bed());
    nothing_goes_in_after_close(&mut new_bed());
    for seed in 1..=4 {
        it_does_what_its_twin_does(&mut new_bed(), seed, 400);
    }
}

/// All that `recover` gives.
pub fn recover(journal: &dyn Journal) -> (Vec<Record>, Recovered) {
    let mut records = Vec::new();
    let found = journal.recover(&mut |record| records.push(record)).expect("recover");
    (records, found)
}

fn a_new_journal_is_empty(bed: &mut dyn Bed) {
    for epoch in 1..4 {
        let journal = bed.open();
        let (records, found) = recover(&*journal);
        assert_eq!(records, []);
        assert_eq!((found.epoch, found.clean_stop, found.entries, found.bytes), (epoch, true, 0, 0));
        assert!(found.next_sequence >= 1 && found.next_log >= 1);
        assert_eq!(journal.load(&[1]), Ok(vec![(1, None)]));
    }
}

fn everything_comes_back_in_order(bed: &mut dyn Bed) {
    let journal = bed.open();
    let groups = [
        vec![Samples::durable(9), Samples::queue(2), Samples::producer(7, 70, 5)],
        vec![Samples::body(5), Samples::entry(9, 5), Samples::entry(2, 5), Samples::producer(3, 30, 4)],
        vec![Samples::body(3), Samples::entry(9, 3), Samples::durable(4), Samples::producer(7, 71, 6)],
        vec![Record::Redeliveries { log: 9, sequence: 3, count: 2 }, Record::Dispatched { log: 9, up_to: 3 }],
        vec![Record::Dispatched { log: 9, up_to: 5 }, Record::Redeliveries { log: 9, sequence: 3, count: 3 }],
    ];
    journal.append(&groups[..2]).expect("append");
    journal.append(&groups[2..]).expect("append");
    let expected = [
        Samples::queue(2),
        Samples::durable(4),
        Samples::durable(9),
        Record::Dispatched { log: 9, up_to: 5 },
        Samples::producer(3, 30, 4),
        Samples::producer(7, 71, 6),
        Samples::entry(2, 5),
        Samples::entry(9, 3),
        Record::Redeliveries { log: 9, sequence: 3, count: 3 },
        Samples::entry(9, 5),
    ];
    drop(journal);
    for close in [false, true, false] {
        let journal = bed.open();
        let (records, found) = recover(&*journal);
        assert_eq!(records, expected);
        assert_eq!((found.entries, found.bytes), (3, 1005 + 1003 + 1005));
        assert!(!found.clean_stop);
        if close {
            journal.close().expect("close");
        }
    }
}

fn what_is_gone_stays_gone(bed: &mut dyn Bed) {
    let journal = bed.open();
    journal.append(&[vec![Samples::queue(1), Samples::durable(2), Samples::producer(1, 1, 1)]]).expect("append");
    for s in 1..=20 {
        journal.append(&[vec![Samples::body(s), Samples::entry(1, s), Samples::entry(2, s)]]).expect("append");
    }
    journal.append(&[vec![Record::LogGone { log: 2 }], gone(1, 1..=10)]).expect("append");
    journal.append(&[vec![Record::ProducerGone { producer: Samples::producer_id(1) }]]).expect("append");
    let (sequences, bodies): (Vec<_>, Vec<_>) = (11..=20).map(|s| (s, (s, Some(Samples::message(s).into())))).unzip();
    let mut journal = Some(journal);
    for _ in 0..3 {
        let open = journal.take().unwrap_or_else(|| bed.open());
        let expected: Vec<_> = [Samples::queue(1)].into_iter().chain((11..=20).map(|s| Samples::entry(1, s))).collect();
        assert_eq!(recover(&*open).0, expected);
        assert_eq!(open.load(&sequences), Ok(bodies.clone()));
        assert_eq!(open.load(&[1, 10]), Ok(vec![(1, None), (10, None)]));
        open.maintain();
    }
}

fn redeliveries_go_with_their_entry(bed: &mut dyn Bed) {
    let journal = bed.open();
    journal.append(&[vec![Samples::queue(1), Samples::entry(1, 1), Samples::entry(1, 2)]]).expect("append");
    let counts = [1, 2].map(|sequence| Record::Redeliveries { log: 1, sequence, count: 5 });
    journal.append(&[counts.to_vec()]).expect("append");
    drop(journal);
    let journal = bed.open();
    journal.append(&[vec![Record::EntryGone { log: 1, sequence: 1 }], vec![Samples::entry(1, 1)]]).expect("append");
    drop(journal);
    let expected = [
        Samples::queue(1),
        Samples::entry(1, 1),
        Samples::entry(1, 2),
        Record::Redeliveries { log: 1, sequence: 2, count: 5 },
    ];
    assert_eq!(recover(&*bed.open()).0, expected);
}

fn groups_have_one_owner_and_go_with_their_log(bed: &mut dyn Bed) {
    let journal = bed.open();
    let owners = |log| (1..=3).map(move |number| Samples::group(log, number, "ID:a:1:1"));
    journal.append(&[vec![Samples::queue(1), Samples::queue(2), Samples::queue(300)]]).expect("append");
    journal.append(&[[1, 2, 300].into_iter().flat_map(owners).collect()]).expect("append");
    journal.append(&[vec![Samples::group(2, 1, "ID:b:1:1")], vec![Samples::group_gone(2, 3)]]).expect("append");
    journal.append(&[vec![Samples::group_gone(2, 9), Record::LogGone { log: 1 }]]).expect("append");
    let mut expected = vec![Samples::queue(2), Samples::queue(300), Samples::group(2, 1, "ID:b:1:1")];
    expected.push(Samples::group(2, 2, "ID:a:1:1"));
    expected.extend(owners(300));
    drop(journal);
    for close in [false, true, false] {
        let journal = bed.open();
        assert_eq!(recover(&*journal).0, expected);
        if close {
            journal.close().expect("close");
        }
    }
}

/// Facts come first and by key; what is said last counts; a large one is whole; and one group is one piece.
fn facts_are_kept_by_key(bed: &mut dyn Bed) {
    let large = 5 << 20;
    let journal = bed.open();
    journal.append(&[vec![Samples::queue(1), Samples::fact(3, 0), Samples::fact(1, 10)]]).expect("append");
    journal.append(&[vec![Samples::fact(2, large), Samples::fact_gone(3), Samples::fact_gone(9)]]).expect("append");
    journal.append(&[vec![Samples::fact(4, 4), Record::CleanStop], vec![Samples::fact(1, 11)]]).expect("append");
    drop(journal);
    let expected = [Samples::fact(1, 11), Samples::fact(2, large), Samples::fact(4, 4), Samples::queue(1)];
    for close in [false, true, false] {
        let journal = bed.open();
        let (records, found) = recover(&*journal);
        assert!(records == expected, "{} records", records.len());
        assert!(!found.clean_stop, "a fact that comes after a clean stop takes it back");
        if close {
            journal.close().expect("close");
        }
    }
}

fn a_clean_stop_is_true_until_the_next_append(bed: &mut dyn Bed) {
    let steps: [(&[Record], bool); 4] = [
        (&[Samples::queue(1)], false),
        (&[Record::Dispatched { log: 1, up_to: 1 }, Record::CleanStop], true),
        (&[Record::CleanStop, Record::Dispatched { log: 1, up_to: 2 }], false),
        (&[Record::CleanStop], true),
    ];
    for (records, expected) in steps {
        let journal = bed.open();
        journal.append(&[records.to_vec()]).expect("append");
        drop(journal);
        for _ in 0..2 {
            assert_eq!(recover(&*bed.open()).1.clean_stop, expected, "after {records:?}");
        }
    }
}

fn numbers_are_never_used_twice(bed: &mut dyn Bed) {
    let journal = bed.open();
    journal.append(&[vec![Samples::queue(70_000), Samples::queue(7)]]).expect("append");
    journal.append(&[vec![Samples::body(1_000_000), Samples::entry(7, 1_000_000)]]).expect("append");
    journal.append(&[gone(7, 1_000_000..=1_000_000), vec![Record::LogGone { log: 70_000 }]]).expect("append");
    drop(journal);
    for close in [false, true, false] {
        let journal = bed.open();
        let found = recover(&*journal).1;
        assert!(found.next_sequence > 1_000_000 && found.next_log > 70_000, "{found:?}");
        assert!(found.next_sequence < 2_000_000, "numbers are not thrown away by the million: {found:?}");
        if close {
            journal.close().expect("close");
        }
    }
}

fn bodies_are_loaded_as_they_were(bed: &mut dyn Bed) {
    let journal = bed.open();
    let mut large = Samples::message(7);
    large.content = Some(Bytes::from(vec![7; 300_000]));
    let large = Arc::new(large);
    let bodies = vec![Samples::body(3), Samples::body(5), Record::Body { sequence: 7, message: large.clone() }];
    journal.append(&[bodies]).expect("append");
    let mut journal = Some(journal);
    for _ in 0..3 {
        let open = journal.take().unwrap_or_else(|| bed.open());
        let found = open.load(&[7, 4, 3, 7, 5]).expect("load");
        let three = Some(Arc::new(Samples::message(3)));
        let five = Some(Arc::new(Samples::message(5)));
        assert_eq!(found, [(7, Some(large.clone())), (4, None), (3, three), (7, Some(large.clone())), (5, five)]);
        assert_eq!(open.load(&[]), Ok(vec![]));
        open.close().expect("close");
    }
}

fn an_old_sequence_may_come_late(bed: &mut dyn Bed) {
    let journal = bed.open();
    journal.append(&[vec![Samples::queue(1)]]).expect("append");
    for s in 100..=5000 {
        journal.append(&[vec![Samples::body(s), Samples::entry(1, s)]]).expect("append");
    }
    for s in 100..=5000 {
        journal.append(&[gone(1, s..=s)]).expect("append");
    }
    for _ in 0..20 {
        journal.maintain();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    journal.append(&[vec![Samples::body(50), Samples::entry(1, 50)]]).expect("append");
    journal.maintain();
    drop(journal);
    let journal = bed.open();
    assert_eq!(recover(&*journal).0, [Samples::queue(1), Samples::entry(1, 50)]);
    assert_eq!(journal.load(&[50]), Ok(vec![(50, Some(Samples::message(50).into()))]));
}

fn nothing_goes_in_after_close(bed: &mut dyn Bed) {
    let journal = bed.open();
    journal.append(&[vec![Samples::queue(1)]]).expect("append");
    journal.close().expect("close");
    journal.close().expect("close again");
    assert_eq!(journal.append(&[vec![Samples::queue(2)]]), Err(JournalError::Closed));
    drop(journal);
    assert_eq!(recover(&*bed.open()).0, [Samples::queue(1)]);
}

/// Random groups go to the journal and to [`MemJournal`]; now and then both start again and have to give back the same.
pub fn it_does_what_its_twin_does(bed: &mut dyn Bed, seed: u64, steps: u32) {
    let mut random = Random(seed);
    let mut twin = MemJournal::new();
    let mut journal = bed.open();
    let mut driver = Driver::new(seed, 40_000);
    for step in 0..steps {
        let groups: Vec<Vec<Record>> = (0..1 + random.below(4)).map(|_| driver.group()).collect();
        journal.append(&groups).expect("append");
        twin.append(&groups).expect("append to twin");
        if random.below(40) == 0 || step + 1 == steps {
            if random.below(3) == 0 {
                journal.close().expect("close");
            }
            drop(journal);
            journal = bed.open();
            twin = twin.crash(0);
            let (found, expected) = (recover(&*journal), recover(&twin));
            assert_eq!(found.0, expected.0, "seed {seed}, step {step}");
            assert!(found.1.next_sequence >= expected.1.next_sequence && found.1.next_log >= expected.1.next_log);
            let numbers = |r: Recovered| (r.clean_stop, r.epoch, r.entries, r.bytes);
            assert_eq!(numbers(found.1), numbers(expected.1), "seed {seed}, step {step}");
        }
        if random.below(10) == 0 {
            journal.maintain();
            let wanted: Vec<_> = (0..20).map(|_| 1 + random.below(driver.sequence() + 1)).collect();
            assert_eq!(journal.load(&wanted), twin.load(&wanted), "seed {seed}, step {step}");
        }
    }
}

/// Makes groups at random that keep the promises of a journal's caller. The same seed makes the same groups.
#[derive(Debug)]
pub struct Driver {
    random: Random,
    body_bytes_max: usize,
    sequence: Sequence,
    log: LogId,
    logs: Vec<LogId>,
    live: Vec<(LogId, Sequence)>,
}

impl Driver {
    /// Begins with an empty journal. Most bodies are far smaller than `body_bytes_max`.
    pub fn new(seed: u64, body_bytes_max: usize) -> Driver {
        Driver { random: Random(seed), body_bytes_max, sequence: 0, log: 0, logs: vec![], live: vec![] }
    }

    /// The highest sequence so far.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The next group.
    pub fn group(&mut self) -> Vec<Record> {
        let choice = self.random.below(22);
        if self.logs.is_empty() || choice == 0 {
            return self.new_log();
        }
        let log = self.logs[self.random.below(self.logs.len() as u64) as usize];
        match choice {
            1 => vec![Record::Dispatched { log, up_to: self.random.below(self.sequence + 1) }],
            2 => vec![Samples::producer(self.random.below(9) as i64, self.sequence as i64, self.sequence)],
            3 => vec![Record::ProducerGone { producer: Samples::producer_id(self.random.below(9) as i64) }],
            4 if self.random.below(2) == 0 => vec![Record::CleanStop],
            4 if self.random.below(3) == 0 => vec![Samples::fact_gone(self.random.below(5))],
            4 => vec![Samples::fact(self.random.below(5), self.random.below(2000) as usize)],
            5 if self.random.below(8) == 0 => self.log_gone(log),
            6 if !self.live.is_empty() => {
                let (log, sequence) = self.live[self.random.below(self.live.len() as u64) as usize];
                vec![Record::Redeliveries { log, sequence, count: 1 + self.random.below(9) as u32 }]
            }
            7..=12 if !self.live.is_empty() => {
                let (log, sequence) = self.live.swap_remove(self.random.below(self.live.len() as u64) as usize);
                gone(log, sequence..=sequence)
            }
            13 => vec![Samples::group(log, self.random.below(9), ["ID:a", "ID:b"][self.random.below(2) as usize])],
            14 => vec![Samples::group_gone(log, self.random.below(9))],
            _ => (0..1 + self.random.below(3)).flat_map(|_| self.come(log)).collect(),
        }
    }

    fn new_log(&mut self) -> Vec<Record> {
        self.log += 1 + self.random.below(3) as LogId;
        self.logs.push(self.log);
        vec![if self.random.below(2) == 0 { Samples::queue(self.log) } else { Samples::durable(self.log) }]
    }

    fn log_gone(&mut self, log: LogId) -> Vec<Record> {
        self.logs.retain(|l| *l != log);
        let (of_log, rest): (Vec<_>, Vec<_>) = self.live.iter().copied().partition(|(l, _)| *l == log);
        self.live = rest;
        let bodies = of_log.into_iter().map(|(_, sequence)| Record::BodyGone { sequence });
        [Record::LogGone { log }].into_iter().chain(bodies).collect()
    }

    fn come(&mut self, log: LogId) -> [Record; 2] {
        self.sequence += 1;
        let sequence = self.sequence;
        self.live.push((log, sequence));
        let mut message = Samples::message(sequence);
        let end = [128, 128, self.body_bytes_max / 16, self.body_bytes_max][self.random.below(4) as usize];
        let length = self.random.below(end as u64 + 1) as usize;
        let mut noise = Random(sequence);
        message.content = Some((0..length.div_ceil(8)).flat_map(|_| noise.below(u64::MAX).to_le_bytes()).collect());
        [Record::Body { sequence, message: Arc::new(message) }, Samples::entry(log, sequence)]
    }
}

fn gone(log: LogId, range: std::ops::RangeInclusive<Sequence>) -> Vec<Record> {
    range.flat_map(|sequence| [Record::EntryGone { log, sequence }, Record::BodyGone { sequence }]).collect()
}

/// Small numbers that depend on a seed alone (splitmix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % end.max(1)
    }
}
