//! A damaged log is never taken for a torn one.

use std::fs;
use std::path::{Path, PathBuf};

use journal::conformance::{Samples, recover};
use journal::{Journal, JournalError};
use journal_rocksdb::{Config, RocksJournal};
use message::Record;

const APPENDS: u64 = 200;

fn written(config: &Config) -> PathBuf {
    let journal = RocksJournal::open(config).expect("open");
    journal.append(&[vec![Samples::queue(1)]]).expect("append");
    for s in 1..=APPENDS {
        journal.append(&[vec![Samples::body(s), Samples::entry(1, s)]]).expect("append");
    }
    drop(journal);
    let logs = fs::read_dir(&config.place).expect("list").flatten().map(|e| e.path());
    logs.filter(|path| path.extension().is_some_and(|e| e == "log")).max().expect("a log")
}

fn entries(place: &Path, recycled: usize) -> Result<u64, JournalError> {
    let journal = RocksJournal::open(&Config { log_files_recycled: recycled, ..Config::new(place) })?;
    Ok(recover(&journal).0.iter().filter(|r| matches!(r, Record::Entry { .. })).count() as u64)
}

/// One flipped bit anywhere but in the last append: the journal refuses to open and names file and offset. A log cut
/// short at the same places is one that a power cut leaves: it opens with what is before.
#[test]
fn one_flipped_bit_in_the_log_is_told_by_file_and_offset() {
    for recycled in [0, 1] {
        let place = tempfile::tempdir().expect("temporary directory");
        let config = Config { log_files_recycled: recycled, ..Config::new(place.path()) };
        let log = written(&config);
        let good = fs::read(&log).expect("read");
        for at in (0..good.len() * 98 / 100).step_by(977) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&log, &bad).expect("write");
            match entries(place.path(), recycled) {
                Err(JournalError::Damaged { key, .. }) => {
                    let name = log.file_name().expect("name").to_string_lossy().into_owned();
                    assert!(key.contains(&name), "{key}");
                }
                other => panic!("byte {at} of {}, recycled {recycled}: {other:?}", good.len()),
            }
        }
        fs::write(&log, &good[..good.len() / 2]).expect("write");
        let found = entries(place.path(), recycled).expect("opens");
        assert!(found > 0 && found < APPENDS, "{found}");
    }
}

/// A log that is not needed any more may be half of another one: a power cut leaves it so.
#[test]
fn a_damaged_log_that_is_not_needed_stops_nothing() {
    let place = tempfile::tempdir().expect("temporary directory");
    let log = written(&Config { log_files_recycled: 0, ..Config::new(place.path()) });
    let mut bad = fs::read(&log).expect("read");
    assert_eq!(entries(place.path(), 0), Ok(APPENDS));
    assert!(!log.exists(), "what was in it is in its place");
    bad[10] ^= 0x10;
    fs::write(&log, &bad).expect("write");
    assert_eq!(entries(place.path(), 0), Ok(APPENDS));
}

/// A fact whose value does not read is given back without it and counted: whoever kept it is told, and the start goes on. One
/// of a later version stops the start.
#[test]
fn a_damaged_fact_is_told_and_stops_nothing() {
    let place = tempfile::tempdir().expect("temporary directory");
    let config = Config::new(place.path());
    let journal = RocksJournal::open(&config).expect("open");
    journal.append(&[vec![Samples::queue(1), Samples::fact(1, 10), Samples::fact(2, 20)]]).expect("append");
    journal.close().expect("close");
    drop(journal);
    let Record::Fact(whole) = Samples::fact(1, 10) else { unreachable!("a fact") };
    let key = format!("f{}", whole.key).into_bytes();
    let change = |value: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let families = ["default", "bodies", "entries"];
        let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), place.path(), families).expect("open");
        let old = db.get(&key).expect("read").expect("it is there");
        db.put(&key, value(old)).expect("write");
    };
    change(&|mut value| {
        value[9] ^= 1;
        value
    });
    let journal = RocksJournal::open(&config).expect("open");
    let damaged = Record::Fact(message::Fact { key: whole.key.clone(), value: None });
    assert_eq!(recover(&journal).0, [damaged, Samples::fact(2, 20), Samples::queue(1)]);
    assert_eq!(journal.stats().damaged, 1);
    drop(journal);
    change(&|mut value| {
        value[0] = 2;
        value
    });
    let journal = RocksJournal::open(&config).expect("open");
    assert_eq!(journal.recover(&mut |_| {}).err(), Some(JournalError::Newer { found: 2, known: 1 }));
}
