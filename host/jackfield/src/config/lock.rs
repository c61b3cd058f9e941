//! `[lock]`: who may work with the data directory.

use super::Config;
use super::keys::{Key, plain};

/// How the lock on the data directory is wished to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockWish {
    /// There is one.
    pub(crate) enabled: bool,
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
            keep_alive_period_ms: 1_000,
            acquire_sleep_interval_ms: 10_000,
            fail_if_locked: false,
            restart_allowed: false,
        }
    }
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
        name: "keep_alive_period_ms",
        doc: "How often the master makes sure that it has the lock still; without a proof for twice as long nothing is\n\
              confirmed. The same for all brokers of a directory; 0 for never (lockKeepAlivePeriod, there 0).",
        read: |c, raw| raw.integer(0..=60_000).map(|ms| c.lock.keep_alive_period_ms = ms),
        show: |c| plain(c.lock.keep_alive_period_ms),
    },
    Key {
        name: "acquire_sleep_interval_ms",
        doc: "How often a slave tries to get the lock where the file system does not wake it\n\
              (lockAcquireSleepInterval).",
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
