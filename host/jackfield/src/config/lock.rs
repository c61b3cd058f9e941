//! `[lock]`: who may work with the journal.

use journal_sql::Address;

use super::Config;
use super::journal::{address, shown};
use super::keys::{Key, Shown, plain, text};
use super::problem::{Fault, unknown};

/// What the lock is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// A file in the data directory.
    SharedFile,
    /// A row in a database.
    Lease,
}

/// Their names, which are ActiveMQ's.
const KINDS: [(&str, LockKind); 2] =
    [("shared-file-locker", LockKind::SharedFile), ("lease-database-locker", LockKind::Lease)];

/// How the lock is wished to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockWish {
    /// There is one.
    pub(crate) enabled: bool,
    /// What it is made of; `None` for what suits the journal.
    pub(crate) kind: Option<LockKind>,
    /// The database of a lease; `None` for that of the journal.
    pub(crate) url: Option<Address>,
    /// Between two proofs that it is held; 0 for none.
    pub(crate) keep_alive_period_ms: i64,
    /// Between two tries of a standby that is not woken.
    pub(crate) acquire_sleep_interval_ms: i64,
    /// End rather than wait.
    pub(crate) fail_if_locked: bool,
    /// Begin anew rather than end when it is lost.
    pub(crate) restart_allowed: bool,
}

impl Default for LockWish {
    fn default() -> LockWish {
        LockWish {
            enabled: true,
            kind: None,
            url: None,
            keep_alive_period_ms: 1_000,
            acquire_sleep_interval_ms: 10_000,
            fail_if_locked: false,
            restart_allowed: false,
        }
    }
}

impl Config {
    /// The database that holds the lease; `None` where the lock is a file.
    pub(crate) fn lease(&self) -> Option<&Address> {
        let database = self.lock.url.as_ref().or(self.journal.url.as_ref());
        database.filter(|_| self.lock.kind != Some(LockKind::SharedFile))
    }
}

/// What is wrong with the keys of `[lock]` taken together.
pub(super) fn check(config: &Config) -> Vec<(&'static str, Fault)> {
    let lock = &config.lock;
    if !lock.enabled {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if lock.kind == Some(LockKind::SharedFile) && lock.url.is_some() {
        let remedy = "leave it out, or write type = \"lease-database-locker\"";
        faults.push(("url", Fault::new("is for a lock in a database, and the type is shared-file-locker", remedy)));
    }
    if config.lease().is_none() {
        if lock.kind == Some(LockKind::Lease) {
            let remedy = "write lock.url, or journal.url if the journal shall be there too";
            faults.push(("type", Fault::new("needs a database", remedy)));
        }
        return faults;
    }
    // As long as a proof is good and a quarter more, for clocks that do not run alike.
    let least = lock.keep_alive_period_ms * 5 / 2;
    if lock.keep_alive_period_ms == 0 {
        let remedy = "write such as keep_alive_period_ms = 1000";
        faults.push(("keep_alive_period_ms", Fault::new("never renews the lease", remedy)));
    } else if lock.acquire_sleep_interval_ms < least {
        let remedy = format!("write at least {least}, two and a half times keep_alive_period_ms, or shorten that one");
        faults.push((
            "acquire_sleep_interval_ms",
            Fault::new("is how long a lease lasts, and too short for that", remedy),
        ));
    }
    faults
}

/// Keys of `[lock]`.
pub(super) const LOCK: &[Key<Config>] = &[
    Key {
        name: "enabled",
        doc: "Whoever has the lock is master, the others wait as its slaves without opening a port (useLock).",
        read: |c, raw| raw.flag().map(|on| c.lock.enabled = on),
        show: |c| plain(c.lock.enabled),
    },
    Key {
        name: "type",
        doc: "\"shared-file-locker\" is a file in the data directory, \"lease-database-locker\" a row in a database that the\n\
              master renews. Left out: what suits the journal (locker).",
        read: |c, raw| {
            let name = raw.name()?;
            let known = KINDS.map(|(name, _)| name);
            let kind = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
            c.lock.kind = Some(kind.ok_or_else(|| unknown("type", name, &known))?);
            Ok(())
        },
        show: |c| match KINDS.iter().find(|(_, kind)| Some(*kind) == c.lock.kind) {
            Some((name, _)) => text(name),
            None => Shown::Unset("\"lease-database-locker\""),
        },
    },
    Key {
        name: "url",
        doc: "The database of a lease, as in journal.url, for a journal that is elsewhere: RocksDB on a shared directory.\n\
              Left out: that of the journal (lease-database-locker dataSource).",
        read: |c, raw| address(raw).map(|url| c.lock.url = Some(url)),
        show: |c| shown(c.lock.url.as_ref(), "\"postgres://broker:secret@db1/activemq\""),
    },
    Key {
        name: "keep_alive_period_ms",
        doc: "How often the master makes sure that it has the lock still; without a proof for twice as long nothing is\n\
              confirmed. The same for all brokers of a journal; 0 for never, with a file (lockKeepAlivePeriod, there 0).",
        read: |c, raw| raw.integer(0..=60_000).map(|ms| c.lock.keep_alive_period_ms = ms),
        show: |c| plain(c.lock.keep_alive_period_ms),
    },
    Key {
        name: "acquire_sleep_interval_ms",
        doc: "How often a slave tries to get the lock where the file system does not wake it; how long a lease lasts that\n\
              is not renewed, so how long a slave waits for a master that was killed (lockAcquireSleepInterval).",
        read: |c, raw| raw.integer(10..=600_000).map(|ms| c.lock.acquire_sleep_interval_ms = ms),
        show: |c| plain(c.lock.acquire_sleep_interval_ms),
    },
    Key {
        name: "fail_if_locked",
        doc: "End with exit code 75 in place of waiting when another broker has the lock (failIfLocked).",
        read: |c, raw| raw.flag().map(|on| c.lock.fail_if_locked = on),
        show: |c| plain(c.lock.fail_if_locked),
    },
    Key {
        name: "restart_allowed",
        doc: "A master that loses its lock starts again by itself, as a slave; otherwise it ends with exit code 79 and\n\
              whoever watches over it starts it again (restartAllowed, there true).",
        read: |c, raw| raw.flag().map(|on| c.lock.restart_allowed = on),
        show: |c| plain(c.lock.restart_allowed),
    },
];
