//! How many synced appends a second the journal makes in a directory, beside what the disk itself can do.
//!
//! `cargo run --release -p journal-rocksdb --example rate -- DIR [SECONDS]`

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::conformance::{Random, Samples};
use journal::{Journal, JournalError};
use journal_rocksdb::{Config, RocksJournal};
use message::{Record, Sequence};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().ok_or("usage: rate DIR [SECONDS] | rate DIR entries N")?;
    let second = arguments.next().unwrap_or_default();
    let place = Path::new(&place);
    std::fs::create_dir_all(place)?;
    if second == "entries" {
        return recovery(place, arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000));
    }
    let span = Duration::from_secs(second.parse().unwrap_or(8));
    line(&["what", "syncs/s", "messages/s", "p50 us", "p99 us", "max us", "bytes/sync"]);
    raw(place, "fdatasync, growing", false, span)?;
    raw(place, "fdatasync, preallocated", true, span)?;
    for recycled in [0, 1, 2] {
        for batch in [1, 8, 100] {
            appends(place, batch, recycled, span)?;
        }
    }
    Ok(())
}

fn raw(place: &Path, name: &str, preallocated: bool, span: Duration) -> Outcome {
    const FILE_BYTES: usize = 64 << 20;
    let path = place.join("raw");
    let mut file = File::create(&path)?;
    let block = [7u8; 1200];
    if preallocated {
        file.write_all(&vec![1; FILE_BYTES])?;
        file.sync_all()?;
    }
    let file = OpenOptions::new().write(true).open(&path)?;
    let mut times = Vec::new();
    let (mut at, start) = (0, Instant::now());
    while start.elapsed() < span {
        let one = Instant::now();
        file.write_all_at(&block, at)?;
        file.sync_data()?;
        times.push(one.elapsed());
        at += block.len() as u64;
        if preallocated && at as usize + block.len() > FILE_BYTES {
            at = 0;
        }
    }
    tell(name, &mut times, 1, start.elapsed(), block.len() as f64);
    Ok(std::fs::remove_file(path)?)
}

/// Each append brings `batch` messages of 1 KiB and takes away those of the append before.
fn appends(place: &Path, batch: u64, recycled: usize, span: Duration) -> Outcome {
    let home = tempfile::tempdir_in(place)?;
    let config = Config { log_files_recycled: recycled, ..Config::new(home.path()) };
    let journal = RocksJournal::open(&config)?;
    journal.append(&[vec![Samples::queue(1)]])?;
    let mut next: Sequence = 1;
    let mut append = |times: &mut Vec<Duration>| -> Result<(), JournalError> {
        let come = (next..next + batch).map(message);
        let go = (next.saturating_sub(batch).max(1)..next)
            .map(|sequence| vec![Record::EntryGone { log: 1, sequence }, Record::BodyGone { sequence }]);
        let groups: Vec<_> = come.chain(go).collect();
        next += batch;
        let one = Instant::now();
        journal.append(&groups)?;
        times.push(one.elapsed());
        Ok(())
    };
    // The first log files of a run have no predecessor to write over.
    let mut warm = Vec::new();
    while journal.stats().bytes_appended < 4 * config.write_buffer_bytes as u64 && warm.len() < 60_000 {
        append(&mut warm)?;
    }
    let (before, mut times, start) = (journal.stats(), Vec::new(), Instant::now());
    while start.elapsed() < span {
        append(&mut times)?;
    }
    let took = start.elapsed();
    let after = journal.stats();
    let bytes = (after.bytes_appended - before.bytes_appended) as f64 / times.len() as f64;
    tell(&format!("batch {batch}, {recycled} recycled"), &mut times, batch, took, bytes);
    Ok(())
}

/// Opens and recovers a journal of so many entries.
fn recovery(place: &Path, entries: u64) -> Outcome {
    let home = tempfile::tempdir_in(place)?;
    let journal = RocksJournal::open(&Config::new(home.path()))?;
    journal.append(&[(1..=10).map(Samples::queue).collect()])?;
    let sequences: Vec<Sequence> = (1..=entries).collect();
    let start = Instant::now();
    for chunk in sequences.chunks(1000) {
        let group = |&s: &Sequence| vec![message(s).swap_remove(0), Samples::entry(1 + (s % 10) as u32, s)];
        journal.append(&chunk.iter().map(group).collect::<Vec<_>>())?;
    }
    say(&format!("{entries} messages stored in {:?}; {:?}", start.elapsed(), journal.stats()));
    let mut last = Some(journal);
    for how in ["after a crash", "after a close"] {
        if let Some(journal) = last.take() {
            if how == "after a close" {
                journal.close()?;
            }
            drop(journal);
        }
        let start = Instant::now();
        let journal = RocksJournal::open(&Config::new(home.path()))?;
        let opened = start.elapsed();
        let start = Instant::now();
        let found = journal.recover(&mut |record| drop(record))?;
        let recovered = start.elapsed();
        let start = Instant::now();
        for chunk in sequences.chunks(200).take(100) {
            journal.load(chunk)?;
        }
        let loaded = start.elapsed();
        say(&format!(
            "{how}: open {opened:?}, recover {} entries {recovered:?}, load 20000 bodies {loaded:?}, {}",
            found.entries,
            resident()
        ));
        last = Some(journal);
    }
    Ok(())
}

fn message(sequence: Sequence) -> Vec<Record> {
    let mut message = Samples::message(sequence);
    let mut noise = Random(sequence);
    message.content = Some((0..128).flat_map(|_| noise.below(u64::MAX).to_le_bytes()).collect());
    vec![Record::Body { sequence, message: Arc::new(message) }, Samples::entry(1, sequence)]
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM")).collect::<Vec<_>>().join(" ")
}

fn tell(name: &str, times: &mut [Duration], batch: u64, took: Duration, bytes: f64) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_micros().to_string();
    let rate = times.len() as f64 / took.as_secs_f64();
    let rates = [format!("{rate:.0}"), format!("{:.0}", rate * batch as f64)];
    line(&[name, &rates[0], &rates[1], &at(0.5), &at(0.99), &at(1.0), &format!("{bytes:.0}")]);
}

fn line(cells: &[&str]) {
    let row: Vec<String> =
        cells.iter().enumerate().map(|(i, c)| format!("{c:>w$}", w = if i == 0 { 25 } else { 11 })).collect();
    say(&row.join(" "));
}

fn say(line: &str) {
    // Nobody to tell if that fails.
    let _ = writeln!(std::io::stdout(), "{line}");
}
