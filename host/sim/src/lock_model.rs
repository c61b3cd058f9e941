//! A shared directory with a lock in it, as a model: files with numbers, one of them at the lock's path, each locked by one
//! process at most. The twin of the real lock, with switches for all that can go wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ha::{Attempt, Checked, Former, HeldBy, Holder, Lock, LockError, Loss};

/// Number of a process; none is used twice.
pub(crate) type Process = u64;

/// The directory.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// A lock goes only with its process; otherwise a server may drop it.
    pub(crate) trusted: bool,
    /// A check asks for a dropped lock again; otherwise a lock that was dropped is lost.
    renewable: bool,
    /// The file at the path.
    pub(crate) there: Option<u64>,
    /// A file that was moved away and may come back.
    pub(crate) aside: Option<u64>,
    files: BTreeMap<u64, FileModel>,
    last_file: u64,
    clock: u64,
    /// A journal is there.
    pub(crate) journal: bool,
}

#[derive(Clone, Debug, Default)]
struct FileModel {
    locked_by: Option<Process>,
    claim: Option<Claim>,
    /// Changes with each write and touch.
    stamp: u64,
}

/// What a holder wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    by: Process,
    epoch: Option<u64>,
    file: u64,
    window_ms: i64,
}

impl Directory {
    pub(crate) fn new(trusted: bool, renewable: bool) -> Directory {
        Directory { trusted, renewable, ..Directory::default() }
    }

    /// The process is no more; its locks neither.
    pub(crate) fn end(&mut self, process: Process) {
        self.drop_lock(process);
    }

    /// The server forgets that the process has a lock.
    pub(crate) fn drop_lock(&mut self, process: Process) {
        for file in self.files.values_mut().filter(|file| file.locked_by == Some(process)) {
            file.locked_by = None;
        }
    }

    /// Whether the process has a lock.
    pub(crate) fn has_lock(&self, process: Process) -> bool {
        self.files.values().any(|file| file.locked_by == Some(process))
    }

    /// Somebody deletes the lock's file.
    pub(crate) fn delete(&mut self) {
        self.there = None;
    }

    /// Somebody moves it away, or back.
    pub(crate) fn move_aside(&mut self) {
        match self.aside.take() {
            Some(file) => {
                self.there = Some(file);
                self.touch();
            }
            None => self.aside = self.there.take(),
        }
    }

    /// Somebody puts a copy in its place.
    pub(crate) fn replace(&mut self) {
        let copy = self.there.and_then(|file| self.files.get(&file)).cloned();
        if let Some(copy) = copy {
            let file = self.new_file();
            self.files.insert(file, FileModel { locked_by: None, ..copy });
            self.there = Some(file);
        }
    }

    /// Somebody touches it.
    pub(crate) fn touch(&mut self) {
        let stamp = self.tick();
        if let Some(file) = self.there.and_then(|file| self.files.get_mut(&file)) {
            file.stamp = stamp;
        }
    }

    fn new_file(&mut self) -> u64 {
        self.last_file += 1;
        self.last_file
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn open(&mut self) -> u64 {
        if let Some(file) = self.there {
            return file;
        }
        let file = self.new_file();
        self.files.insert(file, FileModel::default());
        self.there = Some(file);
        file
    }
}

/// A file that a process believes to hold, and what it wrote there with which stamp.
type Holding = (u64, Option<(Claim, u64)>);

/// One process's lock.
pub(crate) struct LockModel {
    directory: Arc<Mutex<Directory>>,
    process: Process,
    window_ms: i64,
    /// The file that it believes to hold, and what it wrote there.
    held: Mutex<Option<Holding>>,
    /// Does not look at what it should: for the checker's own proof.
    pub(crate) blind: bool,
}

impl LockModel {
    pub(crate) fn new(directory: Arc<Mutex<Directory>>, process: Process, window_ms: i64, blind: bool) -> LockModel {
        LockModel { directory, process, window_ms, held: Mutex::default(), blind }
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Option<Holding>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock for LockModel {
    fn take(&self) -> Result<Attempt, LockError> {
        let mut directory = self.directory();
        let number = directory.open();
        let (trusted, journal) = (directory.trusted, directory.journal);
        let file = directory.files.entry(number).or_default();
        if file.locked_by.is_some_and(|by| by != self.process) {
            let holder = file.claim.map(|claim| Holder { process: claim.by as u32, ..Holder::default() });
            return Ok(Attempt::Held(HeldBy { holder, foreign: None }));
        }
        file.locked_by = Some(self.process);
        let unknown = |window_ms| Former::Unknown { why: "the model says so", window_ms };
        let former = match file.claim {
            None if !journal => Former::Gone,
            None => unknown(None),
            Some(claim) if claim.file != number => unknown(Some(claim.window_ms)),
            Some(_) if trusted => Former::Gone,
            Some(claim) => unknown(Some(claim.window_ms)),
        };
        *self.held() = Some((number, None));
        Ok(Attempt::Taken(former))
    }

    fn claim(&self, epoch: Option<u64>) -> Result<(), LockError> {
        let mut directory = self.directory();
        let mut held = self.held();
        let Some((number, claimed)) = held.as_mut() else { return Err(LockError::NotHeld { place: "lock".into() }) };
        if epoch.is_some() && !directory.trusted {
            return Ok(());
        }
        let stamp = directory.tick();
        let claim = Claim { by: self.process, epoch, file: *number, window_ms: self.window_ms };
        let file = directory.files.entry(*number).or_default();
        (file.claim, file.stamp) = (Some(claim), stamp);
        *claimed = Some((claim, stamp));
        Ok(())
    }

    fn check(&self) -> Checked {
        let mut directory = self.directory();
        let held = self.held();
        let Some((number, claimed)) = held.as_ref() else { return Checked::Lost(Loss::GivenUp) };
        if self.blind {
            return Checked::Ours;
        }
        let Some(there) = directory.there else { return Checked::Lost(Loss::Deleted) };
        if there != *number {
            return Checked::Lost(Loss::Replaced);
        }
        let renewable = directory.renewable;
        let Some(file) = directory.files.get_mut(&there) else { return Checked::Lost(Loss::Deleted) };
        let dropped = if renewable {
            *file.locked_by.get_or_insert(self.process) != self.process
        } else {
            file.locked_by.is_none()
        };
        match claimed {
            Some((claim, _)) if file.claim != Some(*claim) => Checked::Lost(Loss::TakenOver("another".into())),
            _ if dropped => Checked::Lost(Loss::Dropped),
            Some((_, stamp)) if file.stamp != *stamp => Checked::Lost(Loss::Touched),
            _ => Checked::Ours,
        }
    }

    fn release(&self, _done: bool) {
        *self.held() = None;
        let process = self.process;
        self.directory().drop_lock(process);
    }
}
