//! The lock on a file, on a real file system.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ha::{Attempt, Checked, FileLock, FileSystem, Former, HOLDER_BYTES, Holder, Lock, LockError, Loss, Trust, Waited};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

const FULL: FileSystem = FileSystem { name: "a test's", trust: Trust::Full, renewable: false, caution: "" };
const LIMITED: FileSystem =
    FileSystem { name: "a test's", trust: Trust::Limited, renewable: false, caution: "so it is said" };

/// A data directory with a journal in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a folder"));
        fs::create_dir(place.0.path().join("journal")).expect("a folder");
        fs::write(place.0.path().join("journal/JOURNAL"), "x").expect("a file");
        place
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("lock")
    }

    fn lock_on(&self, broker: &str, file_system: FileSystem) -> FileLock {
        let holder = Holder { broker: broker.into(), process: 7, window_ms: 2000, ..Holder::default() };
        FileLock::new(self.file(), self.0.path().join("journal"), file_system, holder)
    }

    fn lock(&self, broker: &str) -> FileLock {
        self.lock_on(broker, FULL)
    }

    /// A lock that is had and claimed.
    fn held(&self, broker: &str) -> FileLock {
        let lock = self.lock(broker);
        assert!(matches!(lock.take(), Ok(Attempt::Taken(_))));
        lock.claim(Some(3)).expect("claimed");
        assert_eq!(lock.check(), Checked::Ours);
        lock
    }
}

fn broker_of(held: &Result<Attempt, LockError>) -> String {
    match held {
        Ok(Attempt::Held(held)) => held.holder.as_ref().map(|holder| holder.broker.clone()).unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

/// One holds it, the others hear who; and all that can happen goes on in the same file.
#[test]
fn it_goes_from_one_to_the_next() {
    let place = Place::new();
    let a = place.held("a");
    let b = place.lock("b");
    for _ in 0..3 {
        assert_eq!(broker_of(&b.take()), "a");
    }
    assert_eq!(a.check(), Checked::Ours, "who looks at it does not touch it");
    assert_eq!(fs::metadata(place.file()).expect("a file").len(), HOLDER_BYTES as u64);
    a.release(true);
    assert_eq!(a.check(), Checked::Lost(Loss::GivenUp));
    assert_eq!(b.take(), Ok(Attempt::Taken(Former::Gone)));
    // Before the claim the file speaks of its last holder, who is done: nobody is named.
    assert_eq!(broker_of(&place.lock("c").take()), "");
    b.claim(None).expect("claimed");
    assert_eq!(broker_of(&place.lock("c").take()), "b");
    assert!(matches!(a.claim(None), Err(LockError::NotHeld { .. })));
}

/// What is certain about the last holder and what is not.
#[test]
fn former_holders() {
    // Nothing at all is there yet.
    let place = Place(tempfile::tempdir().expect("a folder"));
    assert_eq!(place.lock("a").take(), Ok(Attempt::Taken(Former::Gone)));
    let unknown = |attempt, expected: &str, window| match attempt {
        Ok(Attempt::Taken(Former::Unknown { why, window_ms })) => {
            assert!(why.contains(expected), "{why}");
            assert_eq!(window_ms, window);
        }
        other => panic!("{other:?}"),
    };
    // A journal is there, its lock is not.
    let place = Place::new();
    unknown(place.lock("a").take(), "is new", None);
    // A holder died: certain where the kernel keeps the locks.
    drop(place.held("a"));
    assert_eq!(place.lock("b").take(), Ok(Attempt::Taken(Former::Gone)));
    unknown(place.lock_on("b", LIMITED).take(), "may free the lock", Some(2000));
    // It stopped in order, and another one may have been quicker than we.
    place.held("a").release(true);
    unknown(place.lock_on("b", LIMITED).take(), "may free the lock", Some(2000));
    // A copy took the file's place.
    drop(place.held("a"));
    fs::copy(place.file(), place.0.path().join("copy")).expect("copied");
    fs::rename(place.0.path().join("copy"), place.file()).expect("moved");
    unknown(place.lock("b").take(), "a copy", Some(2000));
}

/// Each way in which the lock goes is noticed and named.
#[test]
fn losses_are_told_apart() {
    fn check(what: &str, meddle: impl Fn(&Path), expected: impl Fn(&Loss) -> bool) {
        let place = Place::new();
        let lock = place.held("a");
        meddle(&place.file());
        match lock.check() {
            Checked::Lost(loss) if expected(&loss) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    check("deleted", |path| fs::remove_file(path).expect("removed"), |loss| *loss == Loss::Deleted);
    let replaced = |path: &Path| {
        fs::copy(path, path.with_extension("new")).expect("copied");
        fs::rename(path.with_extension("new"), path).expect("moved");
    };
    check("replaced", replaced, |loss| *loss == Loss::Replaced);
    let touched = |path: &Path| {
        let file = OpenOptions::new().write(true).open(path).expect("a file");
        file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(1)).expect("touched");
    };
    check("touched", touched, |loss| *loss == Loss::Touched);
    let moved = |path: &Path| {
        fs::rename(path, path.with_extension("away")).expect("moved");
        fs::rename(path.with_extension("away"), path).expect("moved back");
    };
    check("moved", moved, |loss| *loss == Loss::Touched);
    let overwritten =
        |path: &Path| fs::write(path, Holder { broker: "z".into(), ..Holder::default() }.encode()).expect("written");
    check("overwritten", overwritten, |loss| matches!(loss, Loss::TakenOver(by) if by.contains("broker z")));
    check("emptied", |path| fs::write(path, "").expect("written"), |loss| matches!(loss, Loss::TakenOver(_)));
}

/// Who waits is woken when the holder goes, and has the lock then; one thread waits for a file, no more.
#[test]
fn waiting_ends_when_the_holder_goes() {
    let place = Place::new();
    let a = place.held("a");
    let b = Arc::new(place.lock("b"));
    let waiting = std::thread::spawn({
        let b = b.clone();
        move || b.wait()
    });
    while b.waits() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(b.wait(), Waited::Already);
    assert_eq!(broker_of(&b.take()), "a");
    drop(a);
    assert_eq!(waiting.join().expect("no panic"), Waited::Granted);
    assert_eq!(broker_of(&place.lock("c").take()), "a", "set aside for b, which has not claimed it");
    assert_eq!(b.take(), Ok(Attempt::Taken(Former::Gone)));
    b.claim(None).expect("claimed");
    assert_eq!(b.check(), Checked::Ours);
}

/// A lock on a file that lost its name meanwhile is worth nothing.
#[test]
fn who_waited_for_a_file_that_was_replaced_takes_the_new_one() {
    let place = Place::new();
    let a = place.held("a");
    let b = Arc::new(place.lock("b"));
    let waiting = std::thread::spawn({
        let b = b.clone();
        move || b.wait()
    });
    while b.waits() == 0 {
        std::thread::yield_now();
    }
    fs::remove_file(place.file()).expect("removed");
    let c = place.held("c");
    drop(a);
    assert_eq!(waiting.join().expect("no panic"), Waited::Granted);
    assert_eq!(broker_of(&b.take()), "c");
    drop(c);
    assert_eq!(b.take(), Ok(Attempt::Taken(Former::Gone)));
}

/// What is no lock of ours is refused by name and left as it is; another program's lock is respected.
#[test]
fn what_is_not_ours_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.file()).expect("a folder");
    assert!(matches!(place.lock("a").take(), Err(LockError::NotAFile { .. })));
    fs::remove_dir(place.file()).expect("removed");
    nix::unistd::mkfifo(&place.file(), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    assert!(matches!(place.lock("a").take(), Err(LockError::NotAFile { .. })));
    fs::remove_file(place.file()).expect("removed");
    for (text, part) in [("4711\n", "something else"), ("jackfield lock, format 9\n", "format 9")] {
        fs::write(place.file(), text).expect("written");
        let error = place.lock("a").take().expect_err("foreign");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(fs::read_to_string(place.file()).expect("a file"), text);
        let mut child = lock_in_a_child(&place.file());
        match place.lock("a").take() {
            Ok(Attempt::Held(held)) => {
                assert_eq!((held.holder, held.foreign), (None, Some(child.id() as i32)));
            }
            other => panic!("{other:?}"),
        }
        drop(child.stdin.take());
        assert!(child.wait().expect("ended").success());
        fs::remove_file(place.file()).expect("removed");
    }
    let nowhere = FileLock::new("/nowhere/at/all/lock".into(), "/nowhere".into(), FULL, Holder::default());
    assert!(matches!(nowhere.take(), Err(LockError::Io { .. })));
}

const FILE_TO_LOCK: &str = "HA_TEST_FILE_TO_LOCK";

/// Another program that locks the file as Java does: for its process, not for what it has opened.
fn lock_in_a_child(path: &Path) -> std::process::Child {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "another_program", "--nocapture"])
        .env(FILE_TO_LOCK, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let stdout = BufReader::new(child.stdout.as_mut().expect("piped"));
    assert!(stdout.lines().map_while(Result::ok).any(|line| line.ends_with("locked")));
    child
}

/// That program: locks, says so, and ends with its standard input. Does nothing when it is not asked to.
#[test]
fn another_program() {
    let Some(path) = std::env::var_os(FILE_TO_LOCK) else { return };
    let file = File::options().read(true).write(true).open(path).expect("a file");
    let (l_type, l_whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    fcntl(&file, FcntlArg::F_SETLK(&libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 })).expect("locked");
    std::io::stdout().write_all(b"locked\n").expect("said");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
