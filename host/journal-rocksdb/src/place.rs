//! The directory: is it ours, may we write there, which version wrote it.
//!
//! A file named `JOURNAL` says so, beside the engine's own files. It is written first, as a whole or not at all; a
//! directory that has it and nothing else is a journal whose creation was cut short, and is begun anew.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use journal::JournalError;

/// Version of the layout of directory and keys. The values in them have versions of their own.
pub(crate) const FORMAT: u32 = 1;

/// The engine locks this one while it is at work, for its process.
const ENGINE_LOCK: &str = "LOCK";
const MARK: &str = "JOURNAL";
const MARK_NEW: &str = "JOURNAL.new";
const MARK_TEXT: &str = "jackfield journal, format ";
/// What may lie in a directory that counts as empty.
const HARMLESS: [&str; 2] = ["lost+found", MARK_NEW];

/// Makes the directory ours if it is empty; refuses it if it is something else.
pub(crate) fn prepare(place: &Path) -> Result<(), JournalError> {
    match fs::metadata(place) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(foreign(place, "it is a file")),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(place).map_err(|e| io("create", place, &e))?;
            sync_directory(place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        }
        Err(e) => return Err(io("look at", place, &e)),
    }
    match fs::read_to_string(place.join(MARK)) {
        Ok(text) => {
            check_mark(place, &text)?;
            // A journal that cannot be written must be refused now, not at the first message.
            write_whole(place, MARK_NEW, text.as_bytes())?;
            fs::remove_file(place.join(MARK_NEW)).map_err(|e| io("remove", &place.join(MARK_NEW), &e))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            check_empty(place)?;
            write_whole(place, MARK_NEW, format!("{MARK_TEXT}{FORMAT}\n").as_bytes())?;
            fs::rename(place.join(MARK_NEW), place.join(MARK)).map_err(|e| io("create", &place.join(MARK), &e))?;
            sync_directory(place)
        }
        Err(e) if e.kind() == ErrorKind::InvalidData => Err(foreign(place, "its file JOURNAL is no text")),
        Err(e) => Err(io("read", &place.join(MARK), &e)),
    }
}

/// The process that has the engine's own lock on this directory. Changes nothing there; 0 stands for a process that the
/// system does not name.
///
/// Not to be asked by a process that has the journal open: closing the lock's file would give its lock away.
pub(crate) fn user(place: &Path) -> Option<i32> {
    let file = File::open(place.join(ENGINE_LOCK)).ok()?;
    let (l_type, l_whence) = (nix::libc::F_WRLCK as nix::libc::c_short, nix::libc::SEEK_SET as nix::libc::c_short);
    let mut found = nix::libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETLK(&mut found)).ok()?;
    (i32::from(found.l_type) != nix::libc::F_UNLCK).then(|| found.l_pid.max(0))
}

fn check_mark(place: &Path, text: &str) -> Result<(), JournalError> {
    let found = text.strip_prefix(MARK_TEXT).and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match found {
        Some(found) if found > FORMAT => Err(JournalError::Newer { found, known: FORMAT }),
        Some(1..) => Ok(()),
        _ => Err(foreign(place, "its file JOURNAL says something else")),
    }
}

fn check_empty(place: &Path) -> Result<(), JournalError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(|e| io("list", place, &e))? {
        names.push(entry.map_err(|e| io("list", place, &e))?.file_name().to_string_lossy().into_owned());
    }
    if names.iter().any(|name| name == "CURRENT") {
        return Err(foreign(place, "it is a RocksDB database of some other program"));
    }
    match names.into_iter().filter(|name| !HARMLESS.contains(&name.as_str())).min() {
        Some(name) => Err(foreign(place, &format!("it holds {name}, and no file JOURNAL"))),
        None => Ok(()),
    }
}

fn write_whole(place: &Path, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
    let path = place.join(name);
    let mut file = File::create(&path).map_err(|e| io("create", &path, &e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| io("write", &path, &e))
}

fn sync_directory(place: &Path) -> Result<(), JournalError> {
    File::open(place).and_then(|d| d.sync_all()).map_err(|e| io("sync", place, &e))
}

fn foreign(place: &Path, cause: &str) -> JournalError {
    JournalError::Foreign { place: place.display().to_string(), cause: format!("{cause}; name an empty directory") }
}

fn io(attempt: &'static str, place: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Io { attempt, place: place.display().to_string(), cause: error.to_string() }
}
