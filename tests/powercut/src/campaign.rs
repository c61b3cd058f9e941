//! Many runs, each from a seed.

use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use fuser::BackgroundSession;
use journal::conformance::Random;

use crate::disk::{Call, Disk, EIO, Survival};
use crate::mount::{SharedDisk, mount};
use crate::writer::Task;

/// Cuts that one disk lives through before a new one is taken.
const CUTS_PER_DISK: u64 = 8;

/// Starts on a full disk, without reserves, before it is left at that.
const RESTARTS_MAX: u64 = 2;

/// Starts writers and judges them.
#[derive(Debug)]
pub struct Campaign {
    program: PathBuf,
}

/// What a writer said.
#[derive(Debug, Default)]
struct Said {
    recovered: Option<u64>,
    confirmed: Option<u64>,
    full: u64,
    error: Option<String>,
    wrong: Option<String>,
    done: bool,
}

/// A mounted disk.
struct Bed {
    disk: SharedDisk,
    place: tempfile::TempDir,
    session: Option<BackgroundSession>,
}

impl Bed {
    fn new() -> Result<Bed, String> {
        let disk = Arc::new(Mutex::new(Disk::default()));
        let place = tempfile::tempdir().map_err(|e| e.to_string())?;
        let session = mount(disk.clone(), place.path()).map_err(|e| format!("cannot mount: {e}"))?;
        Ok(Bed { disk, place, session: Some(session) })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // What cannot be unmounted now goes with the process.
            let _ = session.umount_and_join();
        }
    }
}

impl Campaign {
    /// With the path of this crate's program.
    pub fn new(program: impl Into<PathBuf>) -> Campaign {
        Campaign { program: program.into() }
    }

    /// Cuts the power so many times. `Err` says with which seed what was lost.
    pub fn cuts(&self, cuts: u64, first_seed: u64) -> Result<String, String> {
        let mut random = Random(first_seed);
        let (mut confirmed_sum, mut unconfirmed_found, mut in_open, mut done) = (0, 0, 0, 0);
        let mut cut = 0;
        while cut < cuts {
            let seed = first_seed.wrapping_mul(1_000_003) + cut;
            let bed = Bed::new()?;
            let mut task = Task {
                place: bed.place.path().into(),
                seed,
                confirmed: 0,
                appends: 1500,
                buffer_bytes: [64 << 10, 256 << 10, 1 << 20][random.below(3) as usize],
                body_bytes_max: [512, 40_000, 200_000][random.below(3) as usize],
                close: false,
                reserves: true,
            };
            for _ in 0..CUTS_PER_DISK.min(cuts - cut) {
                cut += 1;
                let survival = [Survival::Nothing, Survival::Prefix, Survival::Pages, Survival::Everything]
                    [random.below(4) as usize];
                // As often in the first hundred calls, where the journal opens, as late.
                let range = 1 << (6 + random.below(8));
                let (calls, cut_seed) = (1 + random.below(range), random.below(u64::MAX));
                task.close = random.below(4) == 0;
                bed.disk().cut_after(calls, survival, cut_seed);
                let said = self.run(&task)?;
                let context = || format!("seed {first_seed}, cut {cut} ({survival:?} after {calls} calls, {task:?})");
                if let Some(wrong) = said.wrong {
                    return Err(format!("{}: {wrong}", context()));
                }
                if !bed.disk().is_off() && said.error.is_some() {
                    return Err(format!("{}: failed with the power on: {:?}", context(), said.error));
                }
                in_open += u64::from(said.recovered.is_none());
                done += u64::from(said.done);
                unconfirmed_found += u64::from(said.recovered.is_some_and(|r| r > task.confirmed));
                let last = said.confirmed.or(said.recovered).unwrap_or(0);
                confirmed_sum += last.saturating_sub(task.confirmed);
                task.confirmed = task.confirmed.max(last);
                let mut disk = bed.disk();
                disk.cut(survival, cut_seed);
                disk.power_on();
            }
            task.appends = 0;
            let said = self.run(&task)?;
            if said.wrong.is_some() || said.error.is_some() {
                return Err(format!("seed {first_seed}, after cut {cut} ({task:?}): {said:?}"));
            }
        }
        Ok(format!(
            "{cuts} cuts: {confirmed_sum} groups confirmed, all found; {unconfirmed_found} times unconfirmed groups \
             found too; {in_open} cuts while opening, {done} after the last append"
        ))
    }

    /// Lets each call of a short run fail, one per run, every `stride`-th.
    pub fn faults(&self, stride: u64) -> Result<String, String> {
        let mut lines = Vec::new();
        for call in [Call::Write, Call::Sync, Call::Name] {
            let (mut runs, mut stopped, mut not_opened) = (0, 0, 0);
            for n in (0..).step_by(stride.max(1) as usize) {
                let bed = Bed::new()?;
                bed.disk().fail(call, n, EIO);
                let mut task = Task {
                    place: bed.place.path().into(),
                    seed: 77 + n,
                    confirmed: 0,
                    appends: 120,
                    buffer_bytes: 64 << 10,
                    body_bytes_max: 40_000,
                    close: true,
                    reserves: true,
                };
                let said = self.run(&task)?;
                let context = format!("{call:?} {n} failed");
                if let Some(wrong) = said.wrong {
                    return Err(format!("{context}: {wrong}"));
                }
                if !bed.disk().failed() {
                    break;
                }
                runs += 1;
                stopped += u64::from(said.error.is_some());
                not_opened += u64::from(said.recovered.is_none());
                let mut disk = bed.disk();
                disk.cut(Survival::Nothing, n);
                disk.power_on();
                drop(disk);
                task.confirmed = said.confirmed.or(said.recovered).unwrap_or(0);
                task.appends = 5;
                let next = self.run(&task)?;
                if next.wrong.is_some() || next.error.is_some() || !next.done {
                    return Err(format!("{context}, then {said:?}, then: {next:?}"));
                }
            }
            lines.push(format!(
                "{call:?}: {runs} failures, {stopped} stopped the journal, {not_opened} of them on open"
            ));
        }
        Ok(lines.join("\n"))
    }

    /// Fills the disk again and again and gives space back in small steps. With reserves all has to go on in the same
    /// process. Without them the engine's own threads run into the end of the disk, and may then eat up what comes back:
    /// there it is enough that nothing is lost.
    pub fn full(&self, seeds: u64) -> Result<String, String> {
        let mut lines = Vec::new();
        for (reserves, seed) in (0..seeds).flat_map(|seed| [(true, seed), (false, seed)]) {
            let bed = Bed::new()?;
            bed.disk().capacity = (24 << 20) + seed as usize * 777_777;
            let mut task = Task {
                place: bed.place.path().into(),
                seed,
                confirmed: 0,
                appends: 2500,
                buffer_bytes: 512 << 10,
                body_bytes_max: 60_000,
                close: false,
                reserves,
            };
            let disk = bed.disk.clone();
            let grow = move || {
                let mut disk = disk.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                disk.capacity += 8 << 20;
            };
            let (mut full, mut restarts, mut healed) = (0, 0, true);
            loop {
                let said = self.run_with(&task, &grow)?;
                if let Some(wrong) = said.wrong {
                    return Err(format!("seed {seed}, reserves {reserves}: {wrong}"));
                }
                full += said.full;
                // A start that finds no space refuses, and is tried again with more.
                task.confirmed = said.confirmed.or(said.recovered).unwrap_or(task.confirmed);
                if said.done {
                    break;
                }
                if reserves {
                    return Err(format!("seed {seed}, with reserves: stopped: {:?}", said.error));
                }
                if restarts == RESTARTS_MAX {
                    healed = false;
                    break;
                }
                restarts += 1;
                grow();
            }
            let mut disk = bed.disk();
            disk.cut(Survival::Nothing, seed);
            disk.power_on();
            disk.capacity += 4 << 30;
            drop(disk);
            task.appends = 0;
            let said = self.run(&task)?;
            if said.wrong.is_some() || said.error.is_some() {
                return Err(format!("seed {seed}, reserves {reserves}, at the end: {said:?}"));
            }
            lines.push(format!("reserves {reserves}: full {full} times, healed {healed}, {restarts} restarts"));
        }
        Ok(lines.join("\n"))
    }

    fn run(&self, task: &Task) -> Result<Said, String> {
        self.run_with(task, &|| {})
    }

    /// Runs a writer to its end; `when_full` is called each time that it says so.
    fn run_with(&self, task: &Task, when_full: &dyn Fn()) -> Result<Said, String> {
        let mut child = Command::new(&self.program)
            .args(task.to_arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut said = Said::default();
        let stdout = child.stdout.take().ok_or("no pipe to the writer")?;
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|e| e.to_string())?;
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "R" => said.recovered = rest.parse().ok(),
                "C" => said.confirmed = rest.parse().ok(),
                "F" => {
                    said.full += 1;
                    when_full();
                }
                "E" => said.error = Some(rest.into()),
                "W" => said.wrong = Some(rest.into()),
                "D" => said.done = true,
                _ => {}
            }
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        if said.recovered.is_none() && said.error.is_none() && said.wrong.is_none() {
            return Err(format!("the writer said nothing and ended with {status}"));
        }
        Ok(said)
    }
}

/// Tells how it went.
pub fn report(outcome: Result<String, String>) -> ExitCode {
    let (line, code) = match outcome {
        Ok(line) => (line, ExitCode::SUCCESS),
        Err(line) => (line, ExitCode::FAILURE),
    };
    // Nobody to tell: the code says it.
    let _ = writeln!(std::io::stdout(), "{line}");
    code
}
