//! The lock on a shared directory: a record lock on a file that names its holder.
//!
//! Locks of open file descriptions are used: they belong to what was opened, not to the process, so that looking at the
//! file and closing it again does not give them away. The kernel frees one when the last descriptor is closed, which is
//! when its process ends, whatever ends it.
//!
//! A check opens the path anew and asks four things: is it the file that is held, does the file system still know the
//! lock, does the file say what was claimed, and has nobody touched it since. Whoever takes over writes into the file
//! first, so a check that begins after that fails wherever the lock went.
//!
//! Servers that keep locks lose them one by one as they are restarted. Where the file system allows it a check asks for
//! the lock again: servers that came back have it again, and nobody else can have had it meanwhile without a claim.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, PosixFadviseAdvice, fcntl, posix_fadvise};
use nix::libc;

use crate::holder::HOLDER_BYTES;
use crate::{Attempt, Checked, FileSystem, Former, HeldBy, Holder, Lock, LockError, Loss, Trust};

/// How often a file is opened anew that was replaced between the open and the lock.
const REPLACED_MAX: usize = 8;
/// Files that are waited for at the same time; each that is replaced while it is waited for takes one of these.
const WAITS_MAX: usize = 8;

/// What became of waiting for the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It was freed and is set aside for [`Lock::take`].
    Granted,
    /// Somebody waits for this very file already, or there are too many who wait.
    Already,
    /// The file system cannot wake us.
    Impossible,
}

/// A lock made of a file. What is not yet known of the holder (`file`, `epoch`, `released`) is filled in here.
pub struct FileLock {
    path: PathBuf,
    /// What the lock is for: where that does not exist yet, nobody can have been working with it.
    guarded: PathBuf,
    file_system: FileSystem,
    holder: Holder,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    held: Option<Held>,
    /// Locked by a thread that waited, not yet taken.
    granted: Option<File>,
    /// Files that threads wait for, by number.
    waits: BTreeSet<u64>,
}

struct Held {
    file: Arc<File>,
    /// Bytes and times of the last claim; `None` before the first.
    claimed: Option<(Vec<u8>, Times)>,
}

/// When a file's content and its name or mode were last changed, in seconds and nanoseconds. A file that was moved away and
/// back is not the one that was held: another broker may have been at work in between.
type Times = [i64; 4];

fn times(meta: &Metadata) -> Times {
    [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()]
}

impl FileLock {
    /// A lock on the file `path`, which is made if it is not there, for the journal in `guarded`.
    pub fn new(path: PathBuf, guarded: PathBuf, file_system: FileSystem, holder: Holder) -> FileLock {
        FileLock { path, guarded, file_system, holder, inner: Mutex::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Files that somebody waits for, the one that is there now and those that were replaced meanwhile.
    pub fn waits(&self) -> usize {
        self.lock().waits.len()
    }

    /// Blocks until the file that is there now is free, and keeps it locked for the next [`Lock::take`].
    pub fn wait(&self) -> Waited {
        let Ok(file) = self.open() else { return Waited::Impossible };
        let Ok(number) = file.metadata().map(|meta| meta.ino()) else { return Waited::Impossible };
        {
            let mut inner = self.lock();
            if inner.waits.len() >= WAITS_MAX || !inner.waits.insert(number) {
                return Waited::Already;
            }
        }
        let answer = loop {
            match record_lock(&file, FcntlArg::F_OFD_SETLKW(&whole(libc::F_WRLCK))) {
                Err(Errno::EINTR) => {}
                answer => break answer,
            }
        };
        let mut inner = self.lock();
        inner.waits.remove(&number);
        if answer.is_err() {
            return Waited::Impossible;
        }
        inner.granted = Some(file);
        Waited::Granted
    }

    fn open(&self) -> Result<File, LockError> {
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(&self.path);
        let file = opened.map_err(|error| match error.kind() {
            ErrorKind::IsADirectory => LockError::NotAFile { place: self.place() },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                LockError::Denied { place: self.place(), cause: error.to_string() }
            }
            _ => self.io("open", &error),
        })?;
        let meta = file.metadata().map_err(|error| self.io("look at", &error))?;
        if !meta.is_file() {
            return Err(LockError::NotAFile { place: self.place() });
        }
        if meta.len() == 0 {
            // The name has to survive a power cut as well as what will be written.
            let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let _ = File::open(parent.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all());
        }
        Ok(file)
    }

    fn read(&self, file: &File) -> Result<Vec<u8>, LockError> {
        if self.file_system.trust == Trust::Limited {
            // What this machine remembers of the file may be older than what another one wrote, and is let go.
            let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
        let mut bytes = vec![0; HOLDER_BYTES + 1];
        let mut length = 0;
        while length < bytes.len() {
            match file.read_at(&mut bytes[length..], length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io("read", &error)),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<Holder>, LockError> {
        Holder::decode(bytes).map_err(|error| LockError::Foreign { place: self.place(), cause: error.to_string() })
    }

    /// Whether the path still leads to this file.
    fn is_there(&self, file: &File) -> Result<bool, LockError> {
        let ours = file.metadata().map_err(|error| self.io("look at", &error))?;
        match std::fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.io("look at", &error)),
        }
    }

    /// Locks the file that is there, or says who has.
    fn seize(&self) -> Result<Result<File, HeldBy>, LockError> {
        for _ in 0..REPLACED_MAX {
            let granted = self.lock().granted.take();
            let file = match granted {
                Some(file) => file,
                None => {
                    let file = self.open()?;
                    match record_lock(&file, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))) {
                        Ok(()) => file,
                        Err(Errno::EAGAIN | Errno::EACCES) => return self.held_by(&file).map(Err),
                        Err(error @ (Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS)) => {
                            let cause = error.desc().to_owned();
                            return Err(LockError::Unsupported { place: self.place(), cause });
                        }
                        Err(error) => return Err(self.io("lock", &error.into())),
                    }
                }
            };
            if self.is_there(&file)? {
                return Ok(Ok(file));
            }
            // Somebody replaced it meanwhile; a lock on what has no name is worth nothing.
        }
        Err(LockError::Io { attempt: "lock", place: self.place(), cause: "it is replaced again and again".into() })
    }

    fn held_by(&self, file: &File) -> Result<HeldBy, LockError> {
        let mut found = whole(libc::F_WRLCK);
        // A lock of a process has its id; one of an open file has none.
        let foreign = match record_lock(file, FcntlArg::F_OFD_GETLK(&mut found)) {
            Ok(()) if found.l_pid > 0 => Some(found.l_pid),
            _ => None,
        };
        let holder = Holder::decode(&self.read(file)?).ok().flatten();
        Ok(HeldBy { holder: holder.filter(|holder| !holder.released), foreign })
    }

    /// What the file and its place say about who had the lock before.
    fn former(&self, file: &File, holder: Option<&Holder>) -> Result<Former, LockError> {
        let number = file.metadata().map_err(|error| self.io("look at", &error))?.ino();
        let unknown = |why, window_ms| Ok(Former::Unknown { why, window_ms });
        match holder {
            None if is_empty(&self.guarded) => Ok(Former::Gone),
            None => unknown("the lock's file is new and the journal is not", None),
            Some(holder) if holder.file != number => {
                unknown("the lock's file is a copy of another one", Some(holder.window_ms))
            }
            Some(_) if self.file_system.trust == Trust::Full => Ok(Former::Gone),
            Some(holder) => {
                unknown("the file system may free the lock of a broker that is alive", Some(holder.window_ms))
            }
        }
    }

    fn write(&self, file: &File, bytes: &[u8]) -> Result<Times, LockError> {
        let written = file
            .write_all_at(bytes, 0)
            .and_then(|()| file.set_len(bytes.len() as u64))
            .and_then(|()| file.sync_all())
            .and_then(|()| file.metadata());
        written.map(|meta| times(&meta)).map_err(|error| self.io("write", &error))
    }

    fn prove(&self, held: &Held) -> Result<Option<Loss>, LockError> {
        let there = match OpenOptions::new().read(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Loss::Deleted)),
            Err(error) => return Err(self.io("open", &error)),
        };
        let look = |file: &File| file.metadata().map_err(|error| self.io("look at", &error));
        let (now, ours) = (look(&there)?, look(&held.file)?);
        if (now.dev(), now.ino()) != (ours.dev(), ours.ino()) {
            return Ok(Some(Loss::Replaced));
        }
        let dropped = !self.is_known(&there, &held.file)?;
        if let Some((bytes, claimed_at)) = &held.claimed {
            let read = self.read(&there)?;
            if read != *bytes {
                let other = Holder::decode(&read).ok().flatten();
                return Ok(Some(Loss::TakenOver(other.map_or("somebody".to_owned(), |other| other.to_string()))));
            }
            if !dropped && times(&now) != *claimed_at {
                return Ok(Some(Loss::Touched));
            }
        }
        Ok(dropped.then_some(Loss::Dropped))
    }

    /// Whether the file system knows of the lock on `ours`, asked with `there`, which is the same file opened anew.
    fn is_known(&self, there: &File, ours: &File) -> Result<bool, LockError> {
        let asked = if self.file_system.renewable {
            record_lock(ours, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))).map(|()| true)
        } else {
            let mut found = whole(libc::F_WRLCK);
            record_lock(there, FcntlArg::F_OFD_GETLK(&mut found)).map(|()| i32::from(found.l_type) != libc::F_UNLCK)
        };
        match asked {
            // Somebody else has it, or the file was shut behind our back, which takes the lock away too.
            Err(Errno::EAGAIN | Errno::EACCES | Errno::EBADFD | Errno::ESTALE) => Ok(false),
            asked => asked.map_err(|error| self.io("ask for the lock on", &error.into())),
        }
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn io(&self, attempt: &'static str, error: &std::io::Error) -> LockError {
        LockError::Io { attempt, place: self.place(), cause: error.to_string() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is a single assignment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock for FileLock {
    fn take(&self) -> Result<Attempt, LockError> {
        // Before it is opened: some things that are no files would never open. Before it is locked: what is another
        // program's is not touched.
        if std::fs::metadata(&self.path).is_ok_and(|meta| !meta.is_file()) {
            return Err(LockError::NotAFile { place: self.place() });
        }
        if let Ok(bytes) = File::open(&self.path).map_err(drop).and_then(|f| self.read(&f).map_err(drop))
            && let Err(error) = self.decode(&bytes)
        {
            return match OpenOptions::new().read(true).write(true).open(&self.path) {
                Ok(file) if is_locked(&file) => self.held_by(&file).map(Attempt::Held),
                _ => Err(error),
            };
        }
        let file = match self.seize()? {
            Ok(file) => file,
            Err(held_by) => return Ok(Attempt::Held(held_by)),
        };
        let holder = self.decode(&self.read(&file)?)?;
        let former = self.former(&file, holder.as_ref())?;
        self.lock().held = Some(Held { file: Arc::new(file), claimed: None });
        Ok(Attempt::Taken(former))
    }

    fn claim(&self, epoch: Option<u64>) -> Result<(), LockError> {
        let file = self.lock().held.as_ref().map(|held| held.file.clone());
        let file = file.ok_or_else(|| LockError::NotHeld { place: self.place() })?;
        if epoch.is_some() && self.file_system.trust == Trust::Limited {
            return Ok(());
        }
        let number = file.metadata().map_err(|error| self.io("look at", &error))?.ino();
        let bytes = Holder { released: false, epoch, file: number, ..self.holder.clone() }.encode();
        let written_at = self.write(&file, &bytes)?;
        if let Some(held) = &mut self.lock().held {
            held.claimed = Some((bytes, written_at));
        }
        Ok(())
    }

    fn check(&self) -> Checked {
        let held = match &self.lock().held {
            Some(held) => Held { file: held.file.clone(), claimed: held.claimed.clone() },
            None => return Checked::Lost(Loss::GivenUp),
        };
        match self.prove(&held) {
            Ok(None) => Checked::Ours,
            Ok(Some(loss)) => Checked::Lost(loss),
            Err(error) => Checked::Unknown(error),
        }
    }

    fn release(&self, done: bool) {
        let Some(held) = self.lock().held.take() else { return };
        if done
            && let Some((bytes, _)) = &held.claimed
            && let Ok(Some(holder)) = Holder::decode(bytes)
        {
            // Without it the next holder waits a little longer, no more.
            let _ = self.write(&held.file, &Holder { released: true, ..holder }.encode());
        }
        let _ = record_lock(&held.file, FcntlArg::F_OFD_SETLK(&whole(libc::F_UNLCK)));
    }
}

/// Whether nothing is there, or an empty directory.
fn is_empty(guarded: &Path) -> bool {
    match std::fs::read_dir(guarded) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn is_locked(file: &File) -> bool {
    let mut found = whole(libc::F_WRLCK);
    record_lock(file, FcntlArg::F_OFD_GETLK(&mut found)).is_ok() && i32::from(found.l_type) != libc::F_UNLCK
}

/// The whole file, however long it grows.
fn whole(kind: i32) -> libc::flock {
    let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
    libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 }
}

fn record_lock(file: &File, ask: FcntlArg<'_>) -> Result<(), Errno> {
    fcntl(file, ask).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has the file system forget the lock, as servers do that are restarted.
    fn forget(lock: &FileLock) {
        let inner = lock.lock();
        let held = inner.held.as_ref().expect("it is held");
        record_lock(&held.file, FcntlArg::F_OFD_SETLK(&whole(libc::F_UNLCK))).expect("unlocked");
    }

    /// A forgotten lock is renewed where that is possible, and nobody else gets it then; a lock that somebody else has is
    /// lost, by name once that one has claimed it.
    #[test]
    fn a_forgotten_lock_is_renewed_unless_somebody_else_has_it() {
        for renewable in [false, true] {
            let place = tempfile::tempdir().expect("a folder");
            let file_system =
                FileSystem { name: "a test's", trust: Trust::Limited, renewable, caution: "so it is said" };
            let lock = |broker: &str| {
                let holder = Holder { broker: broker.into(), ..Holder::default() };
                FileLock::new(place.path().join("lock"), place.path().join("journal"), file_system, holder)
            };
            let (a, b) = (lock("a"), lock("b"));
            assert!(matches!(a.take(), Ok(Attempt::Taken(_))));
            a.claim(None).expect("claimed");
            assert_eq!(a.check(), Checked::Ours);
            assert_eq!(a.check(), Checked::Ours, "asking again gives nothing away");
            forget(&a);
            if !renewable {
                assert_eq!(a.check(), Checked::Lost(Loss::Dropped));
                continue;
            }
            assert_eq!(a.check(), Checked::Ours);
            assert!(matches!(b.take(), Ok(Attempt::Held(_))), "it is locked again");
            forget(&a);
            assert!(matches!(b.take(), Ok(Attempt::Taken(_))));
            assert_eq!(a.check(), Checked::Lost(Loss::Dropped), "somebody has it and has not said who");
            b.claim(None).expect("claimed");
            assert!(matches!(a.check(), Checked::Lost(Loss::TakenOver(by)) if by.contains("broker b")));
            // It gave the lock up again: whatever it did, it said so in the file before.
            b.release(false);
            assert!(matches!(a.check(), Checked::Lost(Loss::TakenOver(by)) if by.contains("broker b")));
        }
    }
}
