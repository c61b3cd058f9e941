//! Two or three brokers that share a directory: their lock keepers, fences and writers, each with a clock of its own,
//! through stops, slow disks, lost and returned locks and busy hands, in virtual time and by seed.
//!
//! Two promises are checked after every step: the fence of at most one process is open, and what is confirmed is in the
//! journal that the next master reads. In the end all is quiet, and then exactly one broker must be master.
//!
//! What a process does it does by its own clock and only while it runs; a write may have left it before it was stopped and
//! reach the disk while it stands still.

use std::sync::{Arc, Mutex, PoisonError};

use ha::{Action, Answer, Config, Fence, Keeper, Standing, State};

use crate::lock_model::{Directory, LockModel, Process};
use crate::rng::Rng;
use crate::world::Violation;

/// Events kept to be shown with a broken promise.
const TRACE_LENGTH: usize = 60;
/// How long a simulation is restless, real ms.
const RESTLESS_MS: i64 = 60_000;
/// And how long it may take until one is master once it is quiet.
const QUIET_MS: i64 = 120_000;

/// A promise that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockTamper {
    /// None.
    None,
    /// Nobody waits for a former holder that may be alive.
    Hasty,
    /// Checks do not look.
    Blind,
    /// Proofs do not run out.
    Endless,
}

/// What a simulation of keepers came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockTally {
    /// Events.
    pub steps: u64,
    /// Times that a broker became master.
    pub promotions: u64,
    /// Times that a former holder, which might be alive, was waited for.
    pub waited: u64,
    /// Masters that stepped down because the lock was lost.
    pub stepped_down: u64,
    /// Processes that died.
    pub deaths: u64,
    /// Times that a process was stopped.
    pub stops: u64,
    /// Locks that the server dropped.
    pub dropped: u64,
    /// Times that a hand meddled with the file.
    pub meddled: u64,
    /// Proofs that came late.
    pub doubts: u64,
    /// Writes confirmed.
    pub confirmed: u64,
    /// Writes of a process that had lost the lock meanwhile: not confirmed.
    pub strays: u64,
    /// Real time, ms.
    pub virtual_ms: u64,
}

impl LockTally {
    /// Adds another one.
    pub fn add(&mut self, other: &LockTally) {
        let LockTally {
            steps,
            promotions,
            waited,
            stepped_down,
            deaths,
            stops,
            dropped,
            meddled,
            doubts,
            confirmed,
            strays,
            virtual_ms,
        } = other;
        for (sum, one) in [
            (&mut self.steps, steps),
            (&mut self.promotions, promotions),
            (&mut self.waited, waited),
            (&mut self.stepped_down, stepped_down),
            (&mut self.deaths, deaths),
            (&mut self.stops, stops),
            (&mut self.dropped, dropped),
            (&mut self.meddled, meddled),
            (&mut self.doubts, doubts),
            (&mut self.confirmed, confirmed),
            (&mut self.strays, strays),
            (&mut self.virtual_ms, virtual_ms),
        ] {
            *sum += one;
        }
    }
}

impl std::fmt::Display for LockTally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} events, {} promotions, {} waits for a former holder, {} stepped down, {} deaths, {} stops, {} locks dropped, {} files \
             meddled with, {} doubts, {} writes confirmed, {} strays, {:.1} virtual hours",
            self.steps,
            self.promotions,
            self.waited,
            self.stepped_down,
            self.deaths,
            self.stops,
            self.dropped,
            self.meddled,
            self.doubts,
            self.confirmed,
            self.strays,
            self.virtual_ms as f64 / 3_600_000.0
        )
    }
}

/// What a process will do next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    /// Ask the lock; the answer is there later.
    Ask(Action),
    /// Hear the answer.
    Hear(Answer),
    /// Try again, because something changed.
    Wake,
    /// Open the journal, if the fence is open.
    Open,
    /// The journal is read.
    Read,
    /// Send a write off, if the fence is open.
    Send,
    /// Hear that it is on disk, and confirm it if the fence is open.
    Sync(u64),
}

struct Node {
    process: Process,
    keeper: Keeper,
    fence: Arc<Fence>,
    lock: Arc<LockModel>,
    /// Its clock: real time in thousandths of its rate, and how far it is ahead.
    rate: i64,
    ahead: i64,
    /// Started at this time; in the future while it is down.
    begins: i64,
    stopped_until: i64,
    /// The lock's medium does not answer until then.
    cut_until: i64,
    work: Vec<(i64, Work)>,
    epoch: u64,
    /// Stepped down or told to stop: nothing more.
    over: bool,
}

impl Node {
    fn clock(&self, now: i64) -> i64 {
        self.ahead + now * self.rate / 1_000
    }

    /// When the local clock shows this.
    fn real(&self, local: i64) -> i64 {
        // Rounded up, so that it is not too early.
        ((local - self.ahead) * 1_000).div_euclid(self.rate) + 1
    }

    fn is_open(&self, now: i64) -> bool {
        self.epoch > 0 && self.begins <= now && !self.over && self.fence.standing(self.clock(now)) == Standing::Open
    }
}

/// One write in the journal.
#[derive(Clone, Copy, Debug)]
struct Written {
    id: u64,
    epoch: u64,
}

/// The journal that all share.
#[derive(Debug, Default)]
struct Store {
    epoch: u64,
    /// Who opened it last.
    opened_by: Process,
    writes: Vec<Written>,
    /// Writes on their way to the disk, whatever becomes of their process.
    under_way: Vec<(i64, Written)>,
    confirmed: Vec<u64>,
}

/// The simulation.
pub struct Keepers {
    seed: u64,
    rng: Rng,
    now: i64,
    tamper: LockTamper,
    config: Config,
    directory: Arc<Mutex<Directory>>,
    trusted: bool,
    nodes: Vec<Node>,
    store: Store,
    last_process: Process,
    last_write: u64,
    restless: bool,
    /// Of a thousand moments, so many with trouble.
    trouble: u64,
    slow_ms: i64,
    broken: Option<String>,
    tally: LockTally,
    trace: std::collections::VecDeque<String>,
}

impl Keepers {
    /// Everything follows from the seed.
    pub fn new(seed: u64, tamper: LockTamper) -> Keepers {
        let mut rng = Rng::new(seed);
        let trusted = rng.per_mille(500);
        let renewable = !trusted && rng.per_mille(500);
        let keep_alive_ms = rng.pick(&[200, 1_000, 1_000, 3_000]);
        let retry_ms = rng.pick(&[500, 2_000, 10_000]);
        let config = Config { keep_alive_ms, retry_ms, fail_if_locked: false, late_ms_max: None };
        let directory = Arc::new(Mutex::new(Directory::new(trusted, renewable)));
        let brokers = rng.pick(&[2, 3, 3]);
        let mut world = Keepers {
            seed,
            now: 0,
            tamper,
            config,
            directory,
            trusted,
            nodes: Vec::new(),
            store: Store::default(),
            last_process: 0,
            last_write: 0,
            restless: true,
            trouble: rng.pick(&[5, 30, 100]),
            slow_ms: rng.pick(&[1, 20, 500, 5_000]),
            broken: None,
            tally: LockTally::default(),
            trace: Default::default(),
            rng,
        };
        for _ in 0..brokers {
            let begins = world.rng.between(0, 100);
            let node = world.node(begins);
            world.nodes.push(node);
        }
        world
    }

    /// Restless for a while, then quiet.
    pub fn run(mut self) -> Result<LockTally, Violation> {
        while self.broken.is_none() && self.now < RESTLESS_MS {
            self.step();
        }
        self.restless = false;
        let calm_from = self.now;
        for node in &mut self.nodes {
            node.stopped_until = node.stopped_until.min(calm_from);
            node.cut_until = node.cut_until.min(calm_from);
            node.begins = node.begins.min(calm_from + 100);
        }
        // Half-way through everybody is alive and nobody meddles any more; the second half shows that it stays so.
        while self.broken.is_none() && self.now < calm_from + QUIET_MS {
            self.step();
            if self.now >= calm_from + QUIET_MS / 2 {
                self.check_quiet();
            }
        }
        self.check_journal();
        self.tally.virtual_ms = self.now.unsigned_abs();
        match self.broken {
            None => Ok(self.tally),
            Some(what) => Err(Violation {
                seed: self.seed,
                step: self.tally.steps,
                what,
                trace: self.trace.into_iter().collect(),
            }),
        }
    }

    /// A process that begins at this time.
    fn node(&mut self, begins: i64) -> Node {
        self.last_process += 1;
        let process = self.last_process;
        let (rate, ahead) = (self.rng.between(950, 1_050), self.rng.between(0, 1 << 40));
        let fence = Arc::new(Fence::new());
        let blind = self.tamper == LockTamper::Blind;
        let lock = Arc::new(LockModel::new(self.directory.clone(), process, self.config.window_ms(), blind));
        let keeper = Keeper::new(self.config, fence.clone(), ahead + begins * rate / 1_000);
        Node {
            process,
            keeper,
            fence,
            lock,
            rate,
            ahead,
            begins,
            stopped_until: 0,
            cut_until: 0,
            work: Vec::new(),
            epoch: 0,
            over: false,
        }
    }

    /// The next event of all.
    fn step(&mut self) {
        self.tally.steps += 1;
        let next = (0..self.nodes.len()).map(|node| self.next_of(node)).min().unwrap_or(i64::MAX);
        let landing = self.store.under_way.iter().map(|(at, _)| *at).min().unwrap_or(i64::MAX);
        let trouble = if self.restless { self.now + self.rng.between(1, 200) } else { self.now + 500 };
        self.now = next.min(landing).min(trouble).max(self.now);
        self.land();
        for node in 0..self.nodes.len() {
            self.work(node);
        }
        if self.restless && self.store.epoch > 0 && self.rng.per_mille(self.trouble) {
            self.misfortune();
        }
        self.check_fences();
    }

    fn next_of(&self, node: usize) -> i64 {
        let node = &self.nodes[node];
        if node.over {
            return i64::MAX;
        }
        let work = node.work.iter().map(|(at, _)| *at).min().unwrap_or(i64::MAX);
        let due = node.keeper.poll_timeout().map_or(i64::MAX, |due| node.real(due));
        work.min(due).max(node.begins).max(node.stopped_until)
    }

    /// Writes that left their process reach the disk.
    fn land(&mut self) {
        let now = self.now;
        let (landed, later): (Vec<_>, Vec<_>) = self.store.under_way.drain(..).partition(|(at, _)| *at <= now);
        self.store.under_way = later;
        self.store.writes.extend(landed.into_iter().map(|(_, written)| written));
    }

    /// A process does what is due, in any order.
    fn work(&mut self, at: usize) {
        loop {
            let node = &mut self.nodes[at];
            if node.over || node.begins > self.now || node.stopped_until > self.now {
                return;
            }
            let due: Vec<usize> = (0..node.work.len()).filter(|index| node.work[*index].0 <= self.now).collect();
            if !due.is_empty() {
                let index = due[self.rng.index(due.len())];
                let (_, work) = self.nodes[at].work.swap_remove(index);
                self.do_work(at, work);
                continue;
            }
            let clock = node.clock(self.now);
            let Some(action) = node.keeper.poll_action(clock) else { return };
            self.carry_out(at, action);
        }
    }

    fn carry_out(&mut self, at: usize, action: Action) {
        self.note(at, || format!("{action:?}"));
        let (now, slow) = (self.now, self.slow());
        let node = &mut self.nodes[at];
        match action {
            Action::Try | Action::Claim { .. } | Action::Check => node.work.push((now + slow, Work::Ask(action))),
            Action::Release => drop(Keeper::carry_out(&action, &*node.lock)),
            Action::Recover => {
                self.tally.promotions += 1;
                node.work.push((now + slow, Work::Open));
            }
            Action::Settling { .. } => self.tally.waited += 1,
            Action::Doubted { .. } => self.tally.doubts += 1,
            Action::Fence(_) => {
                self.tally.stepped_down += 1;
                self.end(at);
            }
            Action::Locked(_) | Action::Impossible(_) => self.end(at),
            Action::Waiting(_) | Action::Missed(_) | Action::Unanswered(_) => {}
        }
    }

    fn do_work(&mut self, at: usize, work: Work) {
        let (now, slow) = (self.now, self.slow());
        let node = &mut self.nodes[at];
        let (clock, process) = (node.clock(now), node.process);
        match work {
            Work::Ask(action) => {
                let answer = if node.cut_until > now {
                    silence(&action)
                } else {
                    let mut answer = Keeper::carry_out(&action, &*node.lock);
                    if let Some(Answer::Tried(Ok(ha::Attempt::Taken(former)))) = &mut answer
                        && (self.tamper == LockTamper::Hasty)
                    {
                        *former = ha::Former::Gone;
                    }
                    answer
                };
                if let Some(answer) = answer {
                    node.work.push((now + slow, Work::Hear(answer)));
                }
            }
            Work::Hear(answer) => {
                node.keeper.take_answer(clock, answer.clone());
                if self.tamper == LockTamper::Endless
                    && matches!(node.keeper.state(), State::Recovering | State::Active { .. })
                {
                    node.fence.prove(i64::MAX);
                }
                self.note(at, || format!("heard {answer:?}"));
            }
            Work::Wake => node.keeper.woken(clock),
            Work::Open | Work::Send | Work::Sync(_) if node.fence.standing(clock) != Standing::Open => {
                if let Standing::Doubt = node.fence.standing(clock) {
                    node.work.push((now + 5, work));
                }
            }
            Work::Open => {
                if self.directory().trusted && self.is_in_use(process) {
                    // The engine's own lock: whoever has the journal open is alive still.
                    self.nodes[at].work.push((now + 20, Work::Open));
                    return;
                }
                self.store.epoch += 1;
                self.store.opened_by = process;
                self.nodes[at].epoch = self.store.epoch;
                self.directory().journal = true;
                self.nodes[at].work.push((now + slow, Work::Read));
                self.note(at, || "opens the journal".into());
            }
            Work::Read => {
                let epoch = node.epoch;
                node.keeper.recovered(clock, epoch);
                node.work.push((now, Work::Send));
                self.check_journal();
                self.note(at, || format!("read the journal in epoch {epoch}"));
            }
            Work::Send => {
                self.last_write += 1;
                let written = Written { id: self.last_write, epoch: node.epoch };
                let lands = now + slow;
                node.work.push((lands + 1, Work::Sync(written.id)));
                self.store.under_way.push((lands, written));
            }
            Work::Sync(id) => {
                let pause = self.rng.between(1, 2_000);
                self.nodes[at].work.push((now + pause, Work::Send));
                self.confirm(at, id);
            }
        }
    }

    fn confirm(&mut self, at: usize, id: u64) {
        let node = &self.nodes[at];
        if self.store.opened_by != node.process {
            let by = self.store.opened_by;
            self.broken.get_or_insert(format!(
                "process {} confirmed write {id} after process {by} had opened the journal",
                node.process
            ));
        }
        self.tally.confirmed += 1;
        self.store.confirmed.push(id);
    }

    /// What was confirmed is there, in order of the epochs.
    fn check_journal(&mut self) {
        let there: std::collections::BTreeSet<u64> = self.store.writes.iter().map(|written| written.id).collect();
        if let Some(lost) = self.store.confirmed.iter().find(|id| !there.contains(id)) {
            self.broken.get_or_insert(format!("write {lost} was confirmed and is not in the journal"));
        }
        let strays = self.store.writes.windows(2).filter(|pair| pair[1].epoch < pair[0].epoch).count();
        self.tally.strays = strays as u64;
    }

    fn check_fences(&mut self) {
        let open: Vec<Process> =
            self.nodes.iter().filter(|node| node.is_open(self.now)).map(|node| node.process).collect();
        if let [one, other, ..] = open[..] {
            self.broken.get_or_insert(format!("processes {one} and {other} may both confirm"));
        }
    }

    fn check_quiet(&mut self) {
        let masters = self.nodes.iter().filter(|node| matches!(node.keeper.state(), State::Active { .. })).count();
        let waiting = self.nodes.iter().filter(|node| matches!(node.keeper.state(), State::Standby { .. })).count();
        if (masters, waiting) != (1, self.nodes.len() - 1) {
            let states: Vec<&State> = self.nodes.iter().map(|node| node.keeper.state()).collect();
            self.broken.get_or_insert(format!("all is quiet and not exactly one is master: {states:?}"));
        }
    }

    /// Whether a living process other than this one has opened the journal.
    fn is_in_use(&self, process: Process) -> bool {
        self.nodes.iter().any(|node| node.process != process && node.epoch > 0 && !node.over && node.begins <= self.now)
    }

    fn misfortune(&mut self) {
        let at = self.rng.index(self.nodes.len());
        let (now, process) = (self.now, self.nodes[at].process);
        match self.rng.below(if self.trusted { 8 } else { 12 }) {
            0 => {
                self.note(at, || "dies".into());
                self.tally.deaths += 1;
                self.end(at);
            }
            1 => {
                self.note(at, || "is told to stop".into());
                let clock = self.nodes[at].clock(now);
                self.nodes[at].keeper.stop(clock);
                self.end(at);
            }
            2 | 3 => {
                let ms = self.rng.pick(&[50, 1_000, 5_000, 20_000]);
                self.note(at, || format!("is stopped for {ms} ms"));
                self.tally.stops += 1;
                let node = &mut self.nodes[at];
                node.stopped_until = node.stopped_until.max(now + ms);
            }
            4 => self.meddle("deletes the file", Directory::delete),
            5 => self.meddle("moves the file", Directory::move_aside),
            6 => self.meddle("replaces the file", Directory::replace),
            7 => self.meddle("touches the file", Directory::touch),
            8 | 9 => {
                if self.directory().has_lock(process) {
                    self.note(at, || "loses its lock without knowing".into());
                    self.tally.dropped += 1;
                    self.directory().drop_lock(process);
                    self.wake_all();
                }
            }
            10 => {
                let ms = self.rng.pick(&[500, 5_000, 30_000]);
                self.note(at, || format!("is cut off for {ms} ms"));
                self.nodes[at].cut_until = now + ms;
            }
            _ => {
                let ms = self.rng.pick(&[self.config.keep_alive_ms / 10, 3_600_000]);
                self.note(at, || format!("has its clock jump by {ms} ms"));
                self.nodes[at].ahead += ms;
            }
        }
    }

    fn meddle(&mut self, what: &str, hand: fn(&mut Directory)) {
        self.note(0, || format!("(somebody {what})"));
        self.tally.meddled += 1;
        hand(&mut self.directory());
    }

    /// A process ends; another one takes its place after a while.
    fn end(&mut self, at: usize) {
        let process = self.nodes[at].process;
        self.directory().end(process);
        let begins = self.now + self.rng.between(10, 3_000);
        self.nodes[at] = self.node(begins);
        self.wake_all();
    }

    /// Whoever waits hears, sooner or later, that a lock was freed; where the medium wakes nobody, it does not.
    fn wake_all(&mut self) {
        for node in 0..self.nodes.len() {
            if self.trusted || self.rng.per_mille(500) {
                let at = self.now + self.rng.between(0, 5);
                self.nodes[node].work.push((at, Work::Wake));
            }
        }
    }

    fn slow(&mut self) -> i64 {
        if self.restless && self.rng.per_mille(100) {
            self.rng.between(0, self.slow_ms)
        } else {
            self.rng.between(0, 2)
        }
    }

    fn directory(&self) -> std::sync::MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&mut self, at: usize, what: impl FnOnce() -> String) {
        if self.trace.len() >= TRACE_LENGTH {
            self.trace.pop_front();
        }
        let node = &self.nodes[at];
        self.trace.push_back(format!("{:>6} process {:<3} {}", self.now, node.process, what()));
    }
}

/// What a cut-off medium answers.
fn silence(action: &Action) -> Option<Answer> {
    let error = ha::LockError::Io { attempt: "reach", place: "lock".into(), cause: "cut off".into() };
    match action {
        Action::Try => Some(Answer::Tried(Err(error))),
        Action::Claim { .. } => Some(Answer::Claimed(Err(error))),
        Action::Check => Some(Answer::Checked(ha::Checked::Unknown(error))),
        _ => None,
    }
}
