//! Compiled components kept from run to run.
//!
//! What is kept is machine code that runs in this process with all its rights: `Component::deserialize` checks that it was
//! made for this engine and processor, not that it was made by it. So an entry counts only with a seal: an HMAC-SHA-256
//! under a secret that the broker's user alone can read, over the code, the digest of the component and the engine that
//! compiled it. It is checked over the very bytes that are then used, before anything else looks at them. Whoever can read
//! the secret is the broker's user, and needs no such way.
//!
//! ```text
//!  folder/cache.key                           32 random bytes, rights 0600
//!  folder/cache/<component>-<engine>.cwasm    magic (16) | seal (32) | code
//! ```
//!
//! An entry that is damaged, foreign or of another engine is dropped, counted and compiled anew. Beyond `bytes_max` the
//! ones that were not used for longest go.

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use aws_lc_rs::{digest, hmac};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::recording::hex;

/// Begins each entry; another form gets another one.
const MAGIC: &[u8; 16] = b"jackfield-cwasm1";
/// Bytes of a seal.
const SEAL_BYTES: usize = 32;
/// Bytes of the secret.
const KEY_BYTES: usize = 32;
/// Digits of the engine's digest in the name of an entry; all of it is under the seal.
const ENGINE_DIGITS: usize = 16;

/// Where compiled components are kept, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlace {
    /// The folder, made if it is not there.
    pub folder: PathBuf,
    /// Bytes of all entries. An entry that is larger by itself is not kept.
    pub bytes_max: u64,
}

/// What became of the components that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Found compiled.
    pub hits: u64,
    /// Compiled because there was no entry.
    pub misses: u64,
    /// Compiled because the entry was damaged, foreign or of no use here; it is gone.
    pub rejected: u64,
    /// Entries that went because there were too many bytes.
    pub evicted: u64,
    /// Entries that could not be written.
    pub failed: u64,
}

/// The entries of one engine.
pub(crate) struct Cache {
    entries: PathBuf,
    bytes_max: u64,
    key: hmac::Key,
    engine: [u8; 32],
    /// Number of the next entry that is being written.
    next: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    rejected: AtomicU64,
    evicted: AtomicU64,
    failed: AtomicU64,
}

impl Cache {
    /// The cache of a folder; the error says why there can be none.
    pub(crate) fn open(place: &CachePlace, engine: &Engine) -> Result<Cache, String> {
        let told = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| format!("{path}: {error}")
        };
        let (entries, secret) = (place.folder.join("cache"), place.folder.join("cache.key"));
        DirBuilder::new().recursive(true).mode(0o700).create(&entries).map_err(told(&entries))?;
        let key = secret_of(&secret)?;
        let mut hasher = Sha256(digest::Context::new(&digest::SHA256));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = hasher.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
        Ok(Cache {
            entries,
            bytes_max: place.bytes_max,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            engine,
            next: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// The component, from its entry or compiled and then kept.
    pub(crate) fn component(&self, engine: &Engine, policy: &str, bytes: &[u8]) -> wasmtime::Result<Component> {
        let component = digest::digest(&digest::SHA256, bytes);
        let engine_name = &hex(&self.engine)[..ENGINE_DIGITS];
        let path = self.entries.join(format!("{}-{engine_name}.cwasm", hex(component.as_ref())));
        let mut is_missing = false;
        match self.read(&path, component.as_ref()) {
            Ok(entry) => match load(engine, &entry[MAGIC.len() + SEAL_BYTES..]) {
                Ok(component) => {
                    self.hits.fetch_add(1, Ordering::Relaxed);
                    return Ok(component);
                }
                Err(error) => self.reject(&path, policy, &format!("{error:#}")),
            },
            Err(Unread::Missing) => is_missing = true,
            Err(Unread::Bad(reason)) => self.reject(&path, policy, &reason),
        }
        let compiled = Component::from_binary(engine, bytes)?;
        if let Err(error) = self.keep(&path, component.as_ref(), &compiled) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(policy, path = %path.display(), %error, "a compiled policy is not kept for the next start");
        }
        self.misses.fetch_add(u64::from(is_missing), Ordering::Relaxed);
        Ok(compiled)
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// An entry whose seal is right.
    fn read(&self, path: &Path, component: &[u8]) -> Result<Vec<u8>, Unread> {
        let bad = |error: io::Error| Unread::Bad(error.to_string());
        let mut file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unread::Missing,
            _ => bad(error),
        })?;
        let length = file.metadata().map_err(bad)?.len();
        if length > self.bytes_max {
            return Err(Unread::Bad(format!("it has {length} bytes, and all of them may have {}", self.bytes_max)));
        }
        let mut entry = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        (&mut file).take(self.bytes_max).read_to_end(&mut entry).map_err(bad)?;
        let Some((head, code)) = entry.split_at_checked(MAGIC.len() + SEAL_BYTES) else {
            return Err(Unread::Bad("it is cut off".to_owned()));
        };
        let (magic, seal) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Unread::Bad("it is of another form".to_owned()));
        }
        // In constant time.
        if hmac::verify(&self.key, &self.sealed(component, code), seal).is_err() {
            return Err(Unread::Bad("its seal is broken".to_owned()));
        }
        // The one that was used last goes last; where that cannot be noted it may go earlier.
        let _ = file.set_modified(SystemTime::now());
        Ok(entry)
    }

    fn reject(&self, path: &Path, policy: &str, reason: &str) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            policy,
            path = %path.display(),
            reason,
            "a compiled policy that was kept is not trusted; it is dropped and compiled anew"
        );
        let _ = std::fs::remove_file(path);
    }

    fn keep(&self, path: &Path, component: &[u8], compiled: &Component) -> io::Result<()> {
        let code = compiled.serialize().map_err(io::Error::other)?;
        let length = (MAGIC.len() + SEAL_BYTES + code.len()) as u64;
        if length > self.bytes_max {
            return Err(io::Error::other(format!("it has {length} bytes, and all may have {}", self.bytes_max)));
        }
        let seal = hmac::sign(&self.key, &self.sealed(component, &code));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.entries.join(format!("new-{}-{number}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        // It need not survive a power cut: what is damaged is compiled anew.
        let written = [MAGIC.as_slice(), seal.as_ref(), &code].into_iter().try_for_each(|part| file.write_all(part));
        if let Err(error) = written.and_then(|()| std::fs::rename(&unfinished, path)) {
            let _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
        self.evict(path)
    }

    /// Removes the entries that were not used for longest until all fit; what others left unfinished counts too.
    fn evict(&self, newest: &Path) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.entries)? {
            let entry = entry?;
            // One that is gone meanwhile needs no room.
            let Ok(facts) = entry.metadata() else { continue };
            entries.push((facts.modified().unwrap_or(SystemTime::UNIX_EPOCH), facts.len(), entry.path()));
        }
        entries.sort();
        let mut all: u64 = entries.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in entries.iter().filter(|(_, _, path)| path != newest) {
            if all <= self.bytes_max {
                break;
            }
            if std::fs::remove_file(path).is_ok() {
                self.evicted.fetch_add(1, Ordering::Relaxed);
                all -= length;
            }
        }
        Ok(())
    }

    /// What the seal is over. The parts before the code have fixed lengths, so no two entries are the same here.
    fn sealed(&self, component: &[u8], code: &[u8]) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, code);
        [MAGIC.as_slice(), &self.engine, component, digest.as_ref()].concat()
    }
}

/// Why there is no entry to use.
enum Unread {
    Missing,
    Bad(String),
}

/// Machine code becomes a component.
#[allow(
    unsafe_code,
    reason = "code that this user compiled runs as if it was compiled now; the seal was checked before"
)]
fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` asks for bytes that `serialize` made. The caller checked over these very bytes a seal that only
    // a process with this user's secret can have made, and such a process seals nothing but what `serialize` gave it.
    unsafe { Component::deserialize(engine, code) }
}

/// The secret of a file, which is made if it is not there.
fn secret_of(path: &Path) -> Result<[u8; KEY_BYTES], String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    match read_secret(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make_secret(path).map_err(told)?,
        other => return other.map_err(told),
    }
    read_secret(path).map_err(told)
}

fn read_secret(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let remedy = "remove it, and what was compiled is compiled anew";
    let mut file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path)?;
    let facts = file.metadata()?;
    if facts.mode() & 0o077 != 0 || !facts.is_file() {
        let rights = facts.mode() & 0o777;
        return Err(io::Error::other(format!("its rights are {rights:o} where 600 belongs; {remedy}")));
    }
    if facts.len() != KEY_BYTES as u64 {
        return Err(io::Error::other(format!("it has {} bytes where {KEY_BYTES} belong; {remedy}", facts.len())));
    }
    let mut key = [0; KEY_BYTES];
    file.read_exact(&mut key)?;
    Ok(key)
}

/// Whole or not at all, and whoever comes second takes the first one's: a master and its slave share the folder.
fn make_secret(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    // Of the system at once: the library's own generator takes 60 ms to begin.
    getrandom::fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let made = file.write_all(&key).and_then(|()| file.sync_all()).and_then(|()| std::fs::hard_link(&unfinished, path));
    let _ = std::fs::remove_file(&unfinished);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What the engine says about itself, in a form that is the same in every run.
struct Sha256(digest::Context);

impl Hasher for Sha256 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::engine::engine;
    use crate::{Limits, stock};

    struct Shelf {
        home: tempfile::TempDir,
        engine: Engine,
    }

    impl Shelf {
        fn new() -> Shelf {
            let engine = engine(&Limits::default()).expect("an engine");
            Shelf { home: tempfile::tempdir().expect("a folder"), engine }
        }

        fn open(&self, bytes_max: u64) -> Result<Cache, String> {
            Cache::open(&CachePlace { folder: self.home.path().join("plugins"), bytes_max }, &self.engine)
        }

        fn ask(&self, cache: &Cache, at: usize) {
            cache.component(&self.engine, "p", stock()[at].bytes).expect("a component");
        }

        fn entries(&self) -> Vec<PathBuf> {
            let folder = self.home.path().join("plugins/cache");
            let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
            entries.collect()
        }
    }

    fn figures(cache: &Cache) -> (u64, u64, u64) {
        let CacheStats { hits, misses, rejected, .. } = cache.stats();
        (hits, misses, rejected)
    }

    #[test]
    fn what_was_compiled_is_found_by_the_next_run() {
        let shelf = Shelf::new();
        let cache = shelf.open(1 << 30).expect("a cache");
        shelf.ask(&cache, 0);
        shelf.ask(&cache, 0);
        assert_eq!(figures(&cache), (1, 1, 0));
        let cache = shelf.open(1 << 30).expect("a cache");
        shelf.ask(&cache, 0);
        shelf.ask(&cache, 1);
        assert_eq!(figures(&cache), (1, 1, 0));
        let rights = |path: &Path| std::fs::metadata(path).expect("it is there").mode() & 0o777;
        assert_eq!(rights(&shelf.home.path().join("plugins/cache.key")), 0o600);
        assert!(shelf.entries().iter().all(|entry| rights(entry) == 0o600));
        // Other limits make another engine, whose code is another.
        let other = engine(&Limits { stack_bytes_max: 128 << 10, ..Limits::default() }).expect("an engine");
        let place = CachePlace { folder: shelf.home.path().join("plugins"), bytes_max: 1 << 30 };
        let cache = Cache::open(&place, &other).expect("a cache");
        cache.component(&other, "p", stock()[0].bytes).expect("a component");
        assert_eq!(cache.stats().rejected, 0);
    }

    /// Whatever is changed in an entry, and whoever's entry it is under its name, it never gets as far as the engine.
    #[test]
    fn an_entry_that_was_touched_is_compiled_anew() {
        let shelf = Shelf::new();
        let cache = shelf.open(1 << 30).expect("a cache");
        shelf.ask(&cache, 0);
        let path = shelf.entries().remove(0);
        let good = std::fs::read(&path).expect("an entry");
        shelf.ask(&cache, 1);
        let other = shelf.entries().into_iter().find(|other| *other != path).expect("a second one");
        let other = std::fs::read(other).expect("an entry");
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[0; KEY_BYTES]);
        let foreign = hmac::sign(&key, &good[48..]);
        let foreign = [&good[..16], foreign.as_ref(), &good[48..]].concat();
        let bad = [
            Vec::new(),
            good[..47].to_vec(),
            good[..good.len() - 1].to_vec(),
            [good.as_slice(), b"x"].concat(),
            flipped(0),
            flipped(16),
            flipped(48),
            flipped(good.len() - 1),
            other,
            foreign,
        ];
        for (at, bytes) in bad.iter().enumerate() {
            std::fs::write(&path, bytes).expect("a file");
            let before = figures(&cache);
            shelf.ask(&cache, 0);
            assert_eq!(figures(&cache), (before.0, before.1, before.2 + 1), "case {at}");
            shelf.ask(&cache, 0);
            assert_eq!(figures(&cache).0, before.0 + 1, "case {at}: it is there again");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_none() {
        let shelf = Shelf::new();
        drop(shelf.open(1 << 30).expect("a cache"));
        let secret = shelf.home.path().join("plugins/cache.key");
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o640)).expect("rights");
        let refused = shelf.open(1 << 30).err().expect("it is refused");
        assert!(refused.contains("its rights are 640 where 600 belongs; remove it"), "{refused}");
        std::fs::remove_file(&secret).expect("it was there");
        std::os::unix::fs::symlink("/dev/zero", &secret).expect("a link");
        assert!(shelf.open(1 << 30).is_err());
        std::fs::remove_file(&secret).expect("it was there");
        std::fs::write(&secret, b"short").expect("a file");
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("rights");
        assert!(shelf.open(1 << 30).err().expect("it is refused").contains("has 5 bytes where 32 belong"));
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let shelf = Shelf::new();
        let cache = shelf.open(1 << 30).expect("a cache");
        shelf.ask(&cache, 0);
        let first = shelf.entries().remove(0);
        let length = std::fs::metadata(&first).expect("an entry").len();
        let long_ago = SystemTime::UNIX_EPOCH;
        File::options().write(true).open(&first).and_then(|file| file.set_modified(long_ago)).expect("a time");
        shelf.ask(&cache, 1);
        let second = std::fs::metadata(shelf.entries().iter().find(|path| **path != first).expect("a second one"));
        let both = length + second.expect("an entry").len();
        // The third fits only if the oldest goes.
        let cache = shelf.open(both).expect("a cache");
        shelf.ask(&cache, 2);
        assert!(cache.stats().evicted >= 1 && !first.exists(), "{:?}", cache.stats());
        let small = shelf.open(1000).expect("a cache");
        shelf.ask(&small, 3);
        assert_eq!((small.stats().failed, small.stats().misses), (1, 1));
    }
}
