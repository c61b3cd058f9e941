//! Which part this broker plays: master, or slave of another one on the same journal. Alone it is a master whose lock was
//! free.
//!
//! ```text
//!  main ──enter──> waits ──────────────────────> opens the journal ──serves──> …──retire
//!                    ^ turns                          │ fence                     │
//!  lock-keeper ──────┴──── Keeper ────────────────────┴───────────────────────────┘
//!        ^ answers, wakes
//!  lock (asks the file, or the row), lock-wait (blocks until it is free)
//! ```
//!
//! A standby has its policies compiled and its users read; what is left to do when the lock is freed is to read the
//! journal and to open the ports.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use ha::{Action, Answer, Attempt, Fence, Fenced, FileLock, FileSystem, Holder, Keeper, Lock, Loss, Trust, Waited};
use journal::{Journal, JournalError};
use journal_rocksdb::RocksJournal;
use journal_sql::{Address, Lease, SqlJournal, SqlLease};
use nix::time::{ClockId, clock_gettime};
use server::MaySpeak;

use crate::config::{Config, LockWish};
use crate::exit::Exit;
use crate::standby::Standby;
use crate::wiring;

/// How often is looked whether a process that has the journal without the lock has ended.
const JOURNAL_POLL: Duration = Duration::from_millis(20);
/// How long the end waits for the last thread that has the journal, and for the last word in the lock's file.
const RETIRE_MAX: Duration = Duration::from_secs(2);
/// How often is told that the lock gives no answer.
const UNANSWERED_TOLD: Duration = Duration::from_secs(10);
/// How long the port of a master that has just died may be taken still, ms.
const PORT_MS_MAX: u64 = 5_000;

/// Milliseconds of a clock that never goes back and goes on while the machine sleeps.
pub(crate) fn now_ms() -> i64 {
    // It is there since Linux 2.6.39; one that stood still would let no proof run out.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("the kernel has this clock");
    now.tv_sec() * 1_000 + now.tv_nsec() / 1_000_000
}

/// What the keeper's thread is told.
enum Told {
    Answer(Answer),
    Woken,
    Recovered(u64),
    Retire(Sender<()>),
}

/// What the main thread is told.
enum Turn {
    /// Another broker is master: this one.
    Standby(String),
    /// It is ours to open the journal.
    Recover,
    /// It will never be.
    End(Exit),
}

/// The part that this broker plays.
pub(crate) struct Role {
    fence: Arc<Fence>,
    /// `None` without a lock.
    keeper: Option<Sender<Told>>,
    had_at: Instant,
    opened_in: Duration,
    was_standby: bool,
    restart_allowed: bool,
}

/// The journal behind the fence.
pub(crate) type MasterJournal = Fenced<Box<dyn Journal>, fn() -> i64>;

/// A lock that can be waited for and named.
trait AnyLock: Lock {
    /// Where it is, for people.
    fn place(&self) -> String;
    /// Blocks until it is worth a try.
    fn wait(&self) -> Waited;
}

impl AnyLock for FileLock {
    fn place(&self) -> String {
        self.path().display().to_string()
    }

    fn wait(&self) -> Waited {
        FileLock::wait(self)
    }
}

impl AnyLock for SqlLease {
    fn place(&self) -> String {
        SqlLease::place(self)
    }

    fn wait(&self) -> Waited {
        SqlLease::wait(self)
    }
}

/// A lock, how it is kept, and who holds it where appends have to prove that.
struct OpenLock {
    lock: Arc<dyn AnyLock>,
    settings: ha::Config,
    lease: Option<String>,
}

/// Waits until the lock is had, for as long as it takes, and opens the journal. While this waits `standby` is true.
pub(crate) fn enter(config: &Config, standby: &AtomicBool) -> Result<(Role, Arc<MasterJournal>), Exit> {
    let wish = &config.lock;
    let (mut role, lease) = if wish.enabled {
        wait_for_lock(config, standby)?
    } else {
        tracing::warn!("lock.enabled is false: a second broker on the same journal is not kept waiting");
        let (fence, now) = (Arc::new(Fence::always_open()), Instant::now());
        let (keeper, opened_in) = (None, Duration::ZERO);
        (Role { fence, keeper, had_at: now, opened_in, was_standby: false, restart_allowed: false }, None)
    };
    let database = wiring::database_journal(config, lease);
    if wish.enabled && database.is_none() {
        wait_for_journal(&wiring::journal(config).place, wish.fail_if_locked)?;
    }
    standby.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    // A process that was stopped just now waits here until its lock is proven anew; one that has lost it ends.
    if let Err(loss) = role.fence.pass(now_ms) {
        step_down(&loss, role.restart_allowed);
    }
    let opened: Result<Box<dyn Journal>, JournalError> = match database {
        Some(database) => SqlJournal::open(&database).map(|journal| Box::new(journal) as Box<dyn Journal>),
        None => RocksJournal::open(&wiring::journal(config)).map(|journal| Box::new(journal) as Box<dyn Journal>),
    };
    let journal = opened.map_err(|error| {
        tracing::error!("{error}");
        match error {
            JournalError::Fenced { .. } => step_down(&taken_over(), role.restart_allowed),
            JournalError::Locked { .. } => Exit::Locked,
            _ => Exit::Failed,
        }
    })?;
    role.opened_in = begun.elapsed();
    let journal = Fenced::new(journal, role.fence.clone(), now_ms as fn() -> i64);
    Ok((role, Arc::new(journal)))
}

impl Role {
    /// How long a port may be in use before that is an error, ms: that of a master that has just died is freed by the
    /// system in its own time.
    pub(crate) fn bind_ms_max(&self) -> u64 {
        if self.was_standby { PORT_MS_MAX } else { 0 }
    }

    /// Whether this broker can prove that it is the master.
    pub(crate) fn may_speak(&self) -> MaySpeak {
        let fence = self.fence.clone();
        Arc::new(move || fence.is_open(now_ms()))
    }

    /// When this broker began to be of use to anybody: when it was started, or when it stopped waiting.
    pub(crate) fn began(&self, started: Instant) -> Instant {
        if self.was_standby { self.had_at } else { started }
    }

    /// The journal was read and the ports are open.
    pub(crate) fn serves(&self, epoch: u64) {
        let Some(keeper) = &self.keeper else { return };
        // A keeper that has ended has ended the process too.
        let _ = keeper.send(Told::Recovered(epoch));
        tracing::info!(
            "this broker is master in epoch {epoch}, {} ms after it had the lock; the journal was opened in {} ms",
            self.had_at.elapsed().as_millis(),
            self.opened_in.as_millis()
        );
    }

    /// The server has ended in this way. If that is because the lock is lost, the process ends for that reason or begins
    /// anew. Otherwise the lock is given up, once nothing has the journal any more.
    pub(crate) fn retire(self, journal: &Weak<MasterJournal>, exit: Exit) -> Exit {
        let Some(keeper) = &self.keeper else { return exit };
        match self.fence.loss() {
            // The journal knew before the keeper asked.
            None if exit == Exit::LockLost => step_down(&taken_over(), self.restart_allowed),
            None => {}
            Some(loss) => step_down(&loss, self.restart_allowed),
        }
        let patience = Instant::now() + RETIRE_MAX;
        while journal.strong_count() > 0 && Instant::now() < patience {
            std::thread::yield_now();
        }
        // A lock that is not given up in order goes with the process: a moment later, and in doubt on some file systems.
        if exit == Exit::Ok && journal.strong_count() == 0 {
            let (done, is_done) = channel();
            let _ = keeper.send(Told::Retire(done));
            let _ = is_done.recv_timeout(RETIRE_MAX);
        }
        exit
    }
}

fn wait_for_lock(config: &Config, standby: &AtomicBool) -> Result<(Role, Option<String>), Exit> {
    let wish = &config.lock;
    let OpenLock { lock, settings, lease } = match config.lease() {
        Some(address) => open_lease(config, address).map_err(|error| {
            tracing::error!("{error}");
            Exit::Failed
        })?,
        None => open_file_lock(config).map_err(|error| {
            tracing::error!("cannot look at the data directory {}: {error}", config.data_directory.display());
            Exit::Failed
        })?,
    };
    let fence = Arc::new(Fence::new());
    let (turn, turns) = channel();
    let keeper = Keeper::new(settings, fence.clone(), now_ms());
    let keeper = Driver::start(lock, keeper, turn, wish.restart_allowed).map_err(|error| {
        tracing::error!("cannot start the threads of the lock: {error}");
        Exit::Internal
    })?;
    let mut waiting: Option<Standby> = None;
    loop {
        match turns.recv() {
            Ok(Turn::Standby(whom)) => match &waiting {
                Some(waiting) => waiting.waits_for(&whom),
                None => {
                    standby.store(true, Ordering::SeqCst);
                    let begun = Standby::begin(config, &whom).map_err(|error| {
                        tracing::error!("{error}");
                        Exit::Failed
                    })?;
                    waiting = Some(begun);
                }
            },
            Ok(Turn::Recover) => break,
            Ok(Turn::End(exit)) => return Err(exit),
            Err(_) => {
                tracing::error!("a fault of the broker itself: the thread of the lock ended");
                return Err(Exit::Internal);
            }
        }
    }
    let (had_at, opened_in) = (Instant::now(), Duration::ZERO);
    let (was_standby, restart_allowed) = (waiting.is_some(), wish.restart_allowed);
    Ok((Role { fence, keeper: Some(keeper), had_at, opened_in, was_standby, restart_allowed }, lease))
}

fn keeper_settings(wish: &LockWish) -> ha::Config {
    ha::Config {
        keep_alive_ms: wish.keep_alive_period_ms,
        retry_ms: wish.acquire_sleep_interval_ms,
        fail_if_locked: wish.fail_if_locked,
        late_ms_max: None,
    }
}

fn holder(config: &Config, settings: ha::Config) -> Holder {
    Holder {
        broker: config.broker.broker_name.to_string(),
        host: wiring::host_name(),
        address: config.connectors.iter().find(|c| c.port != 0).map_or(String::new(), |c| wiring::url(c).to_string()),
        process: std::process::id(),
        since: utc_now(),
        window_ms: settings.window_ms(),
        ..Holder::default()
    }
}

fn open_lease(config: &Config, address: &Address) -> Result<OpenLock, ha::LockError> {
    let wish = &config.lock;
    // While the database is away nobody can take the lease, so there is nobody to step down for.
    let settings = ha::Config { late_ms_max: Some(config.journal.outage_ms_max), ..keeper_settings(wish) };
    let lease = SqlLease::open(Lease {
        address: address.clone(),
        table_prefix: config.journal.table_prefix.clone(),
        create_tables: config.journal.create_tables_on_startup,
        length_ms: wish.acquire_sleep_interval_ms,
        holder: holder(config, settings),
    })?;
    // A transaction proves what is in its own database.
    let proven = (config.journal.url.as_ref() == Some(address)).then(|| lease.holder_id().to_owned());
    Ok(OpenLock { lock: Arc::new(lease), settings, lease: proven })
}

fn open_file_lock(config: &Config) -> std::io::Result<OpenLock> {
    let settings = keeper_settings(&config.lock);
    let place = std::path::absolute(&config.data_directory)?;
    let file_system = FileSystem::of(&place)?;
    let FileSystem { name, trust, caution, .. } = file_system;
    if trust == Trust::Limited {
        tracing::warn!(
            "{} is on a file system {name}: {caution}. Whoever takes the lock over from a broker that did not stop in order \
             waits {} ms before it serves, and looks for the lock every {} ms if it is not woken",
            place.display(),
            settings.settle_ms(None),
            settings.retry_ms
        );
    }
    if settings.keep_alive_ms == 0 {
        tracing::warn!("lock.keep_alive_period_ms is 0: a master that loses its lock will not know");
    }
    let guarded = wiring::journal(config).place;
    let lock = FileLock::new(place.join("lock"), guarded, file_system, holder(config, settings));
    Ok(OpenLock { lock: Arc::new(lock), settings, lease: None })
}

fn taken_over() -> Loss {
    Loss::TakenOver("another broker".into())
}

/// Waits for a process that has the journal open without the lock: a master that does not know yet that its lock was taken
/// away, or another program. The journal is not touched.
fn wait_for_journal(place: &Path, fail_if_locked: bool) -> Result<(), Exit> {
    let mut told = None;
    while let Some(process) = RocksJournal::user(place) {
        let place = place.display();
        if fail_if_locked {
            tracing::error!("journal {place} is in use by process {process}, which does not hold the lock");
            return Err(Exit::Locked);
        }
        if told.replace(process) != Some(process) {
            tracing::warn!(
                "journal {place} is in use by process {process}, which does not hold the lock; this broker has it and \
                 waits for the process to end"
            );
        }
        std::thread::sleep(JOURNAL_POLL);
    }
    Ok(())
}

/// Carries out what the keeper asks for.
struct Driver {
    keeper: Keeper,
    lock: Arc<dyn AnyLock>,
    restart_allowed: bool,
    told: Receiver<Told>,
    /// For the threads that tell it something.
    tell: Sender<Told>,
    /// The thread that asks the lock.
    asks: Sender<Action>,
    turn: Sender<Turn>,
    is_standby: bool,
    /// When was told that the lock gives no answer; cleared when it does.
    unanswered: Option<Instant>,
}

impl Driver {
    fn start(
        lock: Arc<dyn AnyLock>,
        keeper: Keeper,
        turn: Sender<Turn>,
        restart_allowed: bool,
    ) -> std::io::Result<Sender<Told>> {
        let ((tell, told), (asks, asked)) = (channel(), channel::<Action>());
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
        };
        let (asked_lock, answers) = (lock.clone(), tell.clone());
        let ask = move || {
            for action in asked {
                if let Some(answer) = Keeper::carry_out(&action, &*asked_lock) {
                    let _ = answers.send(Told::Answer(answer));
                }
            }
        };
        spawn("lock", Box::new(ask))?;
        let tell_driver = tell.clone();
        let driver = Driver {
            keeper,
            lock,
            restart_allowed,
            told,
            tell: tell_driver,
            asks,
            turn,
            is_standby: false,
            unanswered: None,
        };
        spawn("lock-keeper", Box::new(|| driver.run()))?;
        Ok(tell)
    }

    fn run(mut self) {
        loop {
            while let Some(action) = self.keeper.poll_action(now_ms()) {
                self.carry_out(action);
            }
            let told = match self.keeper.poll_timeout() {
                Some(due) => {
                    let wait = u64::try_from(due - now_ms()).unwrap_or(0);
                    self.told.recv_timeout(Duration::from_millis(wait))
                }
                None => self.told.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match told {
                Ok(Told::Answer(answer)) => {
                    if let Answer::Tried(Ok(Attempt::Held(_))) = answer {
                        self.wait_for_holder();
                    }
                    self.keeper.take_answer(now_ms(), answer);
                }
                Ok(Told::Woken) => self.keeper.woken(now_ms()),
                Ok(Told::Recovered(epoch)) => self.keeper.recovered(now_ms(), epoch),
                Ok(Told::Retire(done)) => {
                    self.keeper.stop(now_ms());
                    self.lock.release(true);
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        let path = self.lock.place();
        match action {
            // The thread ends only with this one.
            Action::Try | Action::Claim { .. } | Action::Check | Action::Release => drop(self.asks.send(action)),
            Action::Waiting(held_by) => {
                tracing::info!(
                    "Database {path} is locked by another server: {held_by}. This broker is in slave mode, waiting for the \
                     lock to be freed"
                );
                self.is_standby = true;
                let _ = self.turn.send(Turn::Standby(held_by.to_string()));
            }
            Action::Settling { why, ms } => {
                tracing::info!("the lock {path} was free, but {why}: its former holder is given {ms} ms to find out");
            }
            Action::Recover => {
                let state = if self.is_standby { "the slave becomes master" } else { "this broker becomes master" };
                tracing::info!("the lock {path} is ours; {state}");
                let _ = self.turn.send(Turn::Recover);
            }
            Action::Doubted { ms } => {
                self.unanswered = None;
                tracing::warn!(
                    "the lock {path} could not be proven for {ms} ms and is ours still; receipts waited meanwhile"
                );
            }
            Action::Missed(loss) => tracing::warn!("the lock {path} was lost again at once, {loss}; it is tried again"),
            Action::Unanswered(error) => {
                if self.unanswered.is_none_or(|told| told.elapsed() >= UNANSWERED_TOLD) {
                    self.unanswered = Some(Instant::now());
                    tracing::warn!("the lock gives no answer: {error}; it is asked again");
                }
            }
            Action::Locked(held_by) => {
                tracing::error!(
                    "Database {path} is locked by another server: {held_by}; lock.fail_if_locked says not to wait"
                );
                let _ = self.turn.send(Turn::End(Exit::Locked));
            }
            Action::Impossible(error) => {
                tracing::error!("{error}");
                let _ = self.turn.send(Turn::End(Exit::Failed));
            }
            Action::Fence(loss) => step_down(&loss, self.restart_allowed),
        }
    }

    /// Has a thread wait for whoever has the lock now, unless one does already.
    fn wait_for_holder(&self) {
        let (lock, tell) = (self.lock.clone(), self.tell.clone());
        let wait = move || {
            if lock.wait() == Waited::Granted {
                let _ = tell.send(Told::Woken);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("lock-wait".into()).spawn(wait) {
            tracing::warn!("no thread can wait for the lock, so it is only tried from time to time: {error}");
        }
    }
}

/// The lock is lost: the journal refuses already; connections and ports go with the process, at once.
fn step_down(loss: &Loss, restart: bool) -> ! {
    static LEAVING: Mutex<()> = Mutex::new(());
    // Whoever comes second waits here for the end.
    let _leaving = LEAVING.lock();
    tracing::error!("the lock of the journal is lost, {loss}: this broker gives up being a master");
    if restart {
        tracing::info!("it starts again, as a slave if there is another master");
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| "jackfield".into());
        let error = Command::new("/proc/self/exe").arg0(name).args(arguments).exec();
        tracing::error!("it cannot start again: {error}");
    }
    std::process::exit(Exit::LockLost as i32)
}

/// The time as people write it.
fn utc_now() -> String {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    utc(since_1970.as_secs())
}

fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days of eras of 400 years that begin in March, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_694_399, "2026-11-26T11:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in table {
            assert_eq!(utc(seconds), expected);
        }
    }

    #[test]
    fn the_clock_goes_on() {
        let first = now_ms();
        assert!(first > 0 && now_ms() >= first);
    }
}
