//! Journals written by former versions open.
//!
//! `fixtures/journal-v1` was written by version 1 and is never written again. When it is missing the test makes one and
//! fails, so that a new format begins with a new fixture.

use std::fs;
use std::path::{Path, PathBuf};

use journal::Journal;
use journal::conformance::{Samples, recover};
use journal_rocksdb::{Config, RocksJournal};
use message::Record;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v1")
}

/// In sorted files there is what a close left, in the log what came after.
fn write(place: &Path) {
    let open = || RocksJournal::open(&Config::new(place)).expect("open");
    let journal = open();
    let logs = vec![Samples::queue(1), Samples::durable(2), Samples::durable(3), Samples::producer(1, 10, 5)];
    journal.append(&[logs, vec![Record::LogGone { log: 3 }]]).expect("append");
    journal.append(&[(1..=5).flat_map(|s| [Samples::body(s), Samples::entry(1, s)]).collect()]).expect("append");
    journal.append(&[vec![Record::Redeliveries { log: 1, sequence: 4, count: 2 }]]).expect("append");
    journal.close().expect("close");
    drop(journal);
    let journal = open();
    let late = vec![Samples::entry(2, 5), Record::EntryGone { log: 1, sequence: 1 }, Record::BodyGone { sequence: 1 }];
    journal.append(&[late, vec![Record::Dispatched { log: 1, up_to: 3 }, Record::CleanStop]]).expect("append");
    drop(journal);
    // For people only; the engine does not miss them.
    for entry in fs::read_dir(place).expect("list").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("LOG") || name.starts_with("OPTIONS") || name == "LOCK" {
            fs::remove_file(entry.path()).expect("remove");
        }
    }
}

#[test]
fn a_journal_of_version_1_opens() {
    if !fixture().exists() {
        write(&fixture());
        panic!("{} was missing and is written now", fixture().display());
    }
    let place = tempfile::tempdir().expect("temporary directory");
    for entry in fs::read_dir(fixture()).expect("list").flatten() {
        fs::copy(entry.path(), place.path().join(entry.file_name())).expect("copy");
    }
    let journal = RocksJournal::open(&Config::new(place.path())).expect("open");
    let (records, found) = recover(&journal);
    let expected = [
        Samples::queue(1),
        Record::Dispatched { log: 1, up_to: 3 },
        Samples::durable(2),
        Samples::producer(1, 10, 5),
        Samples::entry(1, 2),
        Samples::entry(1, 3),
        Samples::entry(1, 4),
        Record::Redeliveries { log: 1, sequence: 4, count: 2 },
        Samples::entry(1, 5),
        Samples::entry(2, 5),
    ];
    assert_eq!(records, expected);
    assert_eq!((found.epoch, found.clean_stop, found.next_log), (3, true, 4));
    assert!(found.next_sequence > 5);
    let bodies = journal.load(&[1, 2, 5]).expect("load");
    let body = |s| Some(Samples::message(s).into());
    assert_eq!(bodies, [(1, None), (2, body(2)), (5, body(5))]);
    assert!(journal.append(&[vec![Samples::body(found.next_sequence)]]).is_ok());
}
