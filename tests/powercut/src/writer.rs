//! The process that appends. It checks first what it finds, then goes on where that ends, and says so line by line:
//!
//! ```text
//! R 17        recovered exactly the state after 17 groups
//! C 21        21 groups are durable
//! F 21        full; the groups after 21 are tried again
//! E text      an append failed with text, and every later one is refused
//! D           done
//! ```

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use journal::conformance::{Driver, Random, Samples, recover};
use journal::{Journal, JournalError, MemJournal, Room};
use journal_rocksdb::{Config, RocksJournal};
use message::Record;

/// What was found is not what must be there.
pub const WRONG: u8 = 5;
/// The journal did not open.
pub const NOT_OPENED: u8 = 4;
/// The producer whose last message is the number of the last group.
const GROUP_COUNTER: i64 = 1000;
/// How long an append is tried again on a full disk.
const FULL_WAIT_MAX: Duration = Duration::from_secs(60);
/// What space there is may go to the engine's own merges first.
const FULL_SAY_AGAIN: Duration = Duration::from_secs(3);

/// What to do.
#[derive(Clone, Debug)]
pub struct Task {
    /// Where the journal is.
    pub place: PathBuf,
    /// Which groups.
    pub seed: u64,
    /// Groups that must be there.
    pub confirmed: u64,
    /// Appends to make.
    pub appends: u64,
    /// Memory of the journal before it writes sorted files.
    pub buffer_bytes: usize,
    /// Largest body.
    pub body_bytes_max: usize,
    /// Ends with a close instead of a sudden exit.
    pub close: bool,
    /// Keeps the usual reserves of free space, scaled to the buffers; without them the engine runs into its end.
    pub reserves: bool,
}

impl Task {
    /// As arguments for [`main`].
    pub fn to_arguments(&self) -> Vec<String> {
        let flag = |on: bool| u8::from(on).to_string();
        vec![
            "writer".into(),
            self.place.display().to_string(),
            self.seed.to_string(),
            self.confirmed.to_string(),
            self.appends.to_string(),
            self.buffer_bytes.to_string(),
            self.body_bytes_max.to_string(),
            flag(self.close),
            flag(self.reserves),
        ]
    }

    fn from_arguments(arguments: &[String]) -> Option<Task> {
        let number = |i: usize| arguments.get(i)?.parse::<u64>().ok();
        Some(Task {
            place: arguments.first()?.into(),
            seed: number(1)?,
            confirmed: number(2)?,
            appends: number(3)?,
            buffer_bytes: number(4)? as usize,
            body_bytes_max: number(5)? as usize,
            close: number(6)? == 1,
            reserves: number(7)? == 1,
        })
    }
}

/// Runs a task; its end says how it went.
pub fn main(arguments: &[String]) -> ExitCode {
    let Some(task) = Task::from_arguments(arguments) else {
        say("usage: see Task");
        return ExitCode::from(2);
    };
    let mut config = Config { write_buffer_bytes: task.buffer_bytes, blob_bytes_min: 4096, ..Config::new(&task.place) };
    // The defaults are to the default buffers as these are to the task's.
    let (producers, hard) = if task.reserves { (16, 4) } else { (0, 0) };
    config.reserve_producers_bytes = Some(producers * task.buffer_bytes as u64);
    config.reserve_hard_bytes = Some(hard * task.buffer_bytes as u64);
    let journal = match RocksJournal::open(&config) {
        Ok(journal) => journal,
        Err(error) => {
            say(&format!("E {error}"));
            return ExitCode::from(NOT_OPENED);
        }
    };
    match check(&task, &journal) {
        Ok(mut writer) => {
            say(&format!("R {}", writer.groups));
            writer.run(&task, &journal);
        }
        Err(Finding::Wrong(wrong)) => {
            say(&format!("W {wrong}"));
            return ExitCode::from(WRONG);
        }
        Err(Finding::Failed(error)) => {
            say(&format!("E {error}"));
            return ExitCode::from(NOT_OPENED);
        }
    }
    if task.close {
        let closed = journal.close();
        say(&format!("closed {closed:?}"));
        drop(journal);
        return ExitCode::SUCCESS;
    }
    // No destructor runs: the next process finds what a kill leaves.
    std::process::abort()
}

/// Why there is nothing to go on with.
enum Finding {
    /// It is not what must be there.
    Wrong(String),
    /// It could not be read, as when the power goes meanwhile.
    Failed(JournalError),
}

impl From<JournalError> for Finding {
    fn from(error: JournalError) -> Finding {
        match error {
            JournalError::Damaged { .. } | JournalError::Newer { .. } => Finding::Wrong(error.to_string()),
            other => Finding::Failed(other),
        }
    }
}

/// Makes the groups of a seed again and again; `groups` is how many were made.
struct Writer {
    driver: Driver,
    groups: u64,
}

impl Writer {
    fn next(&mut self) -> Vec<Record> {
        self.groups += 1;
        let mut group = vec![Samples::producer(GROUP_COUNTER, self.groups as i64, 1)];
        group.extend(self.driver.group());
        group
    }

    fn run(&mut self, task: &Task, journal: &RocksJournal) {
        let mut random = Random(task.seed ^ self.groups);
        for append in 0..task.appends {
            let groups: Vec<_> = (0..1 + random.below(4)).map(|_| self.next()).collect();
            if let Err(error) = append_or_wait(journal, &groups, self.groups) {
                let later = journal.append(&[]);
                let stays = matches!(later, Err(JournalError::Poisoned { .. } | JournalError::Full { .. }));
                say(&format!("{} {error}", if stays { "E" } else { "W later append succeeded after" }));
                return;
            }
            say(&format!("C {}", self.groups));
            if append % 16 == 0 {
                journal.maintain();
            }
        }
        say("D");
    }
}

fn append_or_wait(journal: &RocksJournal, groups: &[Vec<Record>], last: u64) -> Result<(), JournalError> {
    let start = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        // Producers wait before the disk is full, as those of the broker do.
        let early = journal.room() != Room::Plenty;
        let free_bytes = journal.stats().disk_free_bytes;
        let appended = match early {
            true => Err(JournalError::Full { free_bytes, reserve_bytes: 0 }),
            false => journal.append(groups),
        };
        match appended {
            Err(JournalError::Full { .. }) if start.elapsed() < FULL_WAIT_MAX => {
                if said.is_none_or(|at| at.elapsed() > FULL_SAY_AGAIN) {
                    say(&format!("F {}", last - groups.len() as u64));
                    said = Some(Instant::now());
                }
                journal.maintain();
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// Compares the journal with its twin after as many groups as the journal says it holds.
fn check(task: &Task, journal: &RocksJournal) -> Result<Writer, Finding> {
    let mut records = Vec::new();
    let found = journal.recover(&mut |record| records.push(record))?;
    let counter = Samples::producer_id(GROUP_COUNTER);
    let groups = records.iter().find_map(|record| match record {
        Record::Producer { producer, sequence, .. } if *producer == counter => Some(*sequence as u64),
        _ => None,
    });
    let groups = groups.unwrap_or(0);
    if groups < task.confirmed {
        return Err(Finding::Wrong(format!("{groups} groups found, {} were confirmed", task.confirmed)));
    }
    let mut writer = Writer { driver: Driver::new(task.seed, task.body_bytes_max), groups: 0 };
    let twin = MemJournal::new();
    for _ in 0..groups {
        twin.append(&[writer.next()])?;
    }
    let (expected, wanted) = recover(&twin);
    if records != expected {
        let at = records.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(records.len().min(expected.len()));
        let (a, b) = (records.get(at), expected.get(at));
        return Err(Finding::Wrong(format!("after {groups} groups record {at} is {a:?}, expected {b:?}")));
    }
    if found.next_sequence < wanted.next_sequence || found.clean_stop != wanted.clean_stop {
        return Err(Finding::Wrong(format!("{found:?}, expected {wanted:?}")));
    }
    let sequences: Vec<_> = (1..=writer.driver.sequence()).collect();
    for chunk in sequences.chunks(256) {
        let (bodies, wanted) = (journal.load(chunk)?, twin.load(chunk));
        let wanted = wanted?;
        if let Some(((sequence, _), _)) = bodies.iter().zip(&wanted).find(|(a, b)| a != b) {
            return Err(Finding::Wrong(format!("after {groups} groups body {sequence} is another one")));
        }
    }
    Ok(writer)
}

fn say(line: &str) {
    // The other end may be gone; then nobody listens.
    let _ = writeln!(std::io::stdout(), "{line}");
}
