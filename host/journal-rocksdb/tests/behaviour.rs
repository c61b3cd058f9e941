//! The journal keeps what every journal promises, and gives space back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::conformance::{self, Bed, Samples};
use journal::{Journal, JournalError, Room};
use journal_rocksdb::{Config, RocksJournal};
use message::{Record, Sequence};

struct Directory(tempfile::TempDir, usize);

impl Bed for Directory {
    fn open(&mut self) -> Arc<dyn Journal> {
        let config = Config { write_buffer_bytes: self.1, ..Config::new(self.0.path()) };
        Arc::new(RocksJournal::open(&config).expect("open"))
    }
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary directory")
}

#[test]
fn it_keeps_what_a_journal_promises() {
    conformance::all(&mut || Directory(temporary(), 16 << 20));
}

/// Buffers this small are written to sorted files all the time, so that much is read from there and merged.
#[test]
fn it_does_what_its_twin_does_with_small_buffers() {
    for seed in 10..12 {
        conformance::it_does_what_its_twin_does(&mut Directory(temporary(), 256 << 10), seed, 1500);
    }
}

fn large_body(sequence: Sequence, bytes: usize) -> Record {
    let mut message = Samples::message(sequence);
    // Text that lz4 cannot make shorter.
    let mut random = conformance::Random(sequence);
    let noise: Vec<u8> = (0..bytes / 8).flat_map(|_| random.below(u64::MAX).to_le_bytes()).collect();
    message.content = Some(Bytes::from(noise));
    Record::Body { sequence, message: Arc::new(message) }
}

fn directory_bytes(place: &Path) -> u64 {
    let entries = std::fs::read_dir(place).expect("list");
    entries.filter_map(|e| e.ok()?.metadata().ok()).map(|m| m.len()).sum()
}

/// A backlog comes, grows far beyond memory and is drained: the disk is given back, and what was left in the queue is
/// still there.
fn a_drained_queue_gives_its_disk_back(body_bytes: usize) {
    const BACKLOG_BYTES: usize = 256 << 20;
    let place = temporary();
    let journal = RocksJournal::open(&Config::new(place.path())).expect("open");
    journal.append(&[vec![Samples::queue(1), Samples::queue(2)]]).expect("append");
    journal.append(&[vec![Samples::entry(2, 1)]]).expect("append");
    let last = (BACKLOG_BYTES / body_bytes) as u64;
    let sequences: Vec<Sequence> = (2..=last).collect();
    for chunk in sequences.chunks((1 << 20) / body_bytes) {
        let groups: Vec<_> = chunk.iter().map(|s| vec![large_body(*s, body_bytes), Samples::entry(1, *s)]).collect();
        journal.append(&groups).expect("append");
    }
    let full = directory_bytes(place.path());
    assert!(full > BACKLOG_BYTES as u64 * 9 / 10, "{full} bytes hold the backlog");
    for chunk in sequences.chunks(1000) {
        let gone = |&sequence: &Sequence| vec![Record::EntryGone { log: 1, sequence }, Record::BodyGone { sequence }];
        journal.append(&chunk.iter().map(gone).collect::<Vec<_>>()).expect("append");
        journal.maintain();
    }
    let start = Instant::now();
    while directory_bytes(place.path()) > 40 << 20 {
        assert!(start.elapsed() < Duration::from_secs(30), "{} bytes remain", directory_bytes(place.path()));
        journal.maintain();
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(journal);
    let journal = RocksJournal::open(&Config::new(place.path())).expect("open again");
    assert_eq!(conformance::recover(&journal).0, [Samples::queue(1), Samples::queue(2), Samples::entry(2, 1)]);
    assert!(journal.load(&[2, last]).expect("load").iter().all(|(_, body)| body.is_none()));
}

#[test]
fn a_drained_queue_gives_its_disk_back_small_bodies() {
    a_drained_queue_gives_its_disk_back(1024);
}

#[test]
fn a_drained_queue_gives_its_disk_back_large_bodies() {
    a_drained_queue_gives_its_disk_back(64 << 10);
}

/// Messages that come and go while they are in memory leave nothing but log files behind.
#[test]
fn messages_acknowledged_at_once_cost_the_log_only() {
    let place = temporary();
    let journal = RocksJournal::open(&Config::new(place.path())).expect("open");
    journal.append(&[vec![Samples::queue(1)]]).expect("append");
    for first in (1..100_000u64).step_by(500) {
        let come = (first..first + 500).map(|s| vec![large_body(s, 1024), Samples::entry(1, s)]);
        let go = (first.saturating_sub(500).max(1)..first)
            .map(|s| vec![Record::EntryGone { log: 1, sequence: s }, Record::BodyGone { sequence: s }]);
        journal.append(&come.chain(go).collect::<Vec<_>>()).expect("append");
    }
    let stats = journal.stats();
    assert!(stats.bytes_appended > 100 << 20);
    std::thread::sleep(Duration::from_millis(150));
    assert!(journal.stats().store_bytes < 4 << 20, "{:?}", journal.stats());
}

#[test]
fn directories_that_are_not_ours_are_refused_by_name() {
    let place = temporary();
    let open = |name: &str| RocksJournal::open(&Config::new(place.path().join(name))).map(drop);
    std::fs::write(place.path().join("file"), "x").expect("write");
    assert!(matches!(open("file"), Err(JournalError::Foreign { .. })));

    std::fs::create_dir(place.path().join("full")).expect("create");
    std::fs::write(place.path().join("full/letter.txt"), "x").expect("write");
    let error = open("full").expect_err("holds something");
    assert!(error.to_string().contains("letter.txt"), "{error}");

    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    drop(rocksdb::DB::open(&options, place.path().join("foreign")).expect("open"));
    let error = open("foreign").expect_err("a database of somebody else");
    assert!(matches!(&error, JournalError::Foreign { cause, .. } if cause.contains("RocksDB")), "{error}");

    std::fs::create_dir(place.path().join("newer")).expect("create");
    std::fs::write(place.path().join("newer/JOURNAL"), "jackfield journal, format 2\n").expect("write");
    assert_eq!(open("newer"), Err(JournalError::Newer { found: 2, known: 1 }));

    // The creation of a journal was cut short after its mark.
    std::fs::create_dir(place.path().join("begun")).expect("create");
    std::fs::write(place.path().join("begun/JOURNAL"), "jackfield journal, format 1\n").expect("write");
    assert_eq!(open("begun"), Ok(()));

    let held = RocksJournal::open(&Config::new(place.path().join("held"))).expect("open");
    assert!(matches!(open("held"), Err(JournalError::Locked { .. })), "{:?}", open("held"));
    drop(held);
    assert_eq!(open("held"), Ok(()));
}

/// The limits are named and say what follows from them, before the engine is touched.
#[test]
fn room_is_told_by_limits() {
    let place = temporary();
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::new(place.path());
        change(&mut config);
        RocksJournal::open(&config).expect("open")
    };
    assert_eq!(with(&|_| {}).room(), Room::Plenty);
    assert_eq!(with(&|c| c.reserve_producers_bytes = Some(u64::MAX)).room(), Room::ProducersWait);
    assert_eq!(with(&|c| c.store_limit_bytes = 0).room(), Room::ProducersWait);
    let journal = with(&|c| c.reserve_hard_bytes = Some(u64::MAX));
    assert_eq!(journal.room(), Room::Full);
    assert!(matches!(journal.append(&[vec![Samples::queue(1)]]), Err(JournalError::Full { .. })));
    assert_eq!(journal.stats().refused_full, 1);
    drop(journal);
    assert_eq!(conformance::recover(&with(&|_| {})).0, []);
}
