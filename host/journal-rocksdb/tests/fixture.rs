//! Journals written by former versions open.
//!
//! `fixtures/journal-v1` was written by version 1 and is never written again; `fixtures/journal-v1-groups` when owners of
//! message groups came in. When one is missing the test makes it and fails, so that a new format begins with a new
//! fixture.

use std::fs;
use std::path::{Path, PathBuf};

use journal::Journal;
use journal::conformance::{Samples, recover};
use journal_rocksdb::{Config, RocksJournal};
use message::Record;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A copy of the fixture, to be opened.
fn copy_of(name: &str, write: fn(&Path)) -> tempfile::TempDir {
    let fixture = fixture(name);
    if !fixture.exists() {
        write(&fixture);
        panic!("{} was missing and is written now", fixture.display());
    }
    let place = tempfile::tempdir().expect("temporary directory");
    for entry in fs::read_dir(fixture).expect("list").flatten() {
        fs::copy(entry.path(), place.path().join(entry.file_name())).expect("copy");
    }
    place
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
    tidy(place);
}

/// Removes what is for people only; the engine does not miss it.
fn tidy(place: &Path) {
    for entry in fs::read_dir(place).expect("list").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("LOG") || name.starts_with("OPTIONS") || name == "LOCK" {
            fs::remove_file(entry.path()).expect("remove");
        }
    }
}

#[test]
fn a_journal_of_version_1_opens() {
    let place = copy_of("journal-v1", write);
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

/// Owners in sorted files and in the log, one replaced, one gone, and those of a log that is gone.
fn write_groups(place: &Path) {
    let open = || RocksJournal::open(&Config::new(place)).expect("open");
    let journal = open();
    journal.append(&[vec![Samples::queue(1), Samples::queue(2)]]).expect("append");
    let owners = |log| (1..=3).map(move |number| Samples::group(log, number, "ID:a:1:1"));
    journal.append(&[owners(1).chain(owners(2)).collect()]).expect("append");
    journal.close().expect("close");
    drop(journal);
    let journal = open();
    let late = vec![Samples::group(1, 2, "client/1"), Samples::group_gone(1, 3), Samples::group(1, 4, "ID:b:1:1")];
    journal.append(&[late, vec![Record::LogGone { log: 2 }]]).expect("append");
    drop(journal);
    tidy(place);
}

#[test]
fn a_journal_of_version_1_with_owners_of_groups_opens() {
    let place = copy_of("journal-v1-groups", write_groups);
    let journal = RocksJournal::open(&Config::new(place.path())).expect("open");
    let expected = [
        Samples::queue(1),
        Samples::group(1, 1, "ID:a:1:1"),
        Samples::group(1, 2, "client/1"),
        Samples::group(1, 4, "ID:b:1:1"),
    ];
    assert_eq!(recover(&journal).0, expected);
}
