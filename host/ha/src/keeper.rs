//! The lock keeper: waits for the lock, makes sure of it, keeps it, and steps down when it is lost.
//!
//! Two promises, whatever the clocks of the machines say (as long as none runs a quarter faster than another), whoever is
//! stopped for however long, and however late the medium answers:
//! - The fence is never open for two keepers of one lock at the same time.
//! - A keeper reads the journal only when nobody who held the lock before it can confirm anything any more.
//!
//! Each proof opens the fence for a window, counted from when the check began. Who takes the lock claims it first; a check
//! that begins after that fails for whoever held it before. So if that one may be alive, a wait of a window and a quarter
//! after the claim is enough; and where it is certainly gone there is no wait at all. (A second claim, with the epoch, is for
//! locks alone that cannot be lost while their holder lives: to claim is to take over.)

use std::sync::Arc;

use crate::{Attempt, Checked, Fence, Former, HeldBy, Lock, LockError, Loss};

/// Longest window of a former holder that is waited out, ms: what a file says is not believed without bounds.
const WINDOW_MS_MAX: i64 = 600_000;
/// So many windows without a proof, awake, and the keeper steps down: others may have been served better meanwhile.
const WINDOWS_LATE_MAX: i64 = 5;
/// After a check that gave no answer the next one comes this much sooner.
const HURRY: i64 = 4;

/// What a keeper is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Between two checks, ms (`lockKeepAlivePeriod`); 0 for none: the lock is believed once it is had.
    pub keep_alive_ms: i64,
    /// Between two tries to get the lock, ms (`lockAcquireSleepInterval`).
    pub retry_ms: i64,
    /// Give up rather than wait for a lock that is held (`failIfLocked`).
    pub fail_if_locked: bool,
    /// So long without a proof, awake, and the keeper steps down, ms; `None` for five windows. For a medium that nobody can
    /// ask while it is away, so that nobody else is served better meanwhile.
    pub late_ms_max: Option<i64>,
}

impl Config {
    /// How long a proof lasts, ms; 0 for ever.
    pub fn window_ms(self) -> i64 {
        2 * self.keep_alive_ms
    }

    /// How long to wait for a former holder of this window: a quarter more, for clocks that do not run alike.
    pub fn settle_ms(self, window_ms: Option<i64>) -> i64 {
        let window = window_ms.unwrap_or(0).clamp(0, WINDOW_MS_MAX).max(self.window_ms());
        window + window / 4
    }
}

/// Where a keeper is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody else is master, as far as is known.
    Standby {
        /// Who; `None` before the first try.
        waits_for: Option<HeldBy>,
    },
    /// The lock is had; its former holder may still be at work.
    Acquired {
        /// When that ends; `None` until the lock is claimed.
        settled_at: Option<i64>,
    },
    /// The journal is opened and read.
    Recovering,
    /// Master.
    Active {
        /// Epoch of the journal.
        epoch: u64,
    },
    /// The lock is lost, or cannot be had: this is the end.
    Fenced,
}

/// What a keeper asks for. It is told what came of `Try`, `Claim` and `Check`, and asks for none of them before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// [`Lock::take`]; then [`Keeper::tried`].
    Try,
    /// [`Lock::claim`]; then [`Keeper::claimed`].
    Claim {
        /// The epoch to claim it with.
        epoch: Option<u64>,
    },
    /// [`Lock::check`]; then [`Keeper::checked`].
    Check,
    /// Somebody else has the lock: tell people. Comes again when it is somebody else.
    Waiting(HeldBy),
    /// The lock is had, and why a wait comes before anything is done with it.
    Settling {
        /// Why the former holder may be alive.
        why: &'static str,
        /// How long, ms.
        ms: i64,
    },
    /// Open the journal and read it; then [`Keeper::recovered`].
    Recover,
    /// The lock was not proven for so long, and is again: nothing was confirmed meanwhile.
    Doubted {
        /// How long, ms.
        ms: i64,
    },
    /// The lock that was had is lost before anything was done with it; it is tried again.
    Missed(Loss),
    /// The medium gave no answer; it is asked again.
    Unanswered(LockError),
    /// [`Lock::release`] without having done anything with it.
    Release,
    /// The end: the lock is held by somebody and shall not be waited for.
    Locked(HeldBy),
    /// The end: the lock cannot be had.
    Impossible(LockError),
    /// The end: the lock is lost. The fence is shut already.
    Fence(Loss),
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Try,
    Claim,
    Check { begun: i64 },
}

/// The machine. `now` is in milliseconds of a clock that never goes back and goes on while the machine sleeps; it is to be
/// polled at [`Keeper::poll_timeout`] at the latest.
#[derive(Debug)]
pub struct Keeper {
    config: Config,
    fence: Arc<Fence>,
    state: State,
    asked: Option<Asked>,
    /// When the next try or check is due.
    due: i64,
    /// What must be told, in order.
    tell: std::collections::VecDeque<Action>,
    former: Former,
    /// When the try began that got the lock.
    tried_at: i64,
    /// The epoch to be claimed once nothing else is under way.
    unclaimed: Option<u64>,
    /// Last time that was told.
    seen: i64,
    /// The process was not stopped since, as far as is known.
    awake_since: i64,
    has_tried: bool,
    /// Something changed while a try was under way, so that its answer may be old.
    woken: bool,
}

impl Keeper {
    /// One that tries to get the lock at once. It alone opens the fence.
    pub fn new(config: Config, fence: Arc<Fence>, now: i64) -> Keeper {
        Keeper {
            config,
            fence,
            state: State::Standby { waits_for: None },
            asked: None,
            due: now,
            tell: Default::default(),
            former: Former::Gone,
            tried_at: now,
            unclaimed: None,
            seen: now,
            awake_since: now,
            has_tried: false,
            woken: false,
        }
    }

    /// Where it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When [`Keeper::poll_action`] must be called again if nothing happens before.
    pub fn poll_timeout(&self) -> Option<i64> {
        match self.asked {
            _ if self.state == State::Fenced || self.is_master() && self.config.keep_alive_ms == 0 => None,
            // A clock that jumps ahead must not cut the wait short, so it is watched.
            None => match self.state {
                State::Acquired { settled_at: Some(at) } if self.config.keep_alive_ms > 0 => {
                    Some(at.max(self.due).min(self.seen + self.config.keep_alive_ms))
                }
                _ => Some(self.due),
            },
            // Somebody has to notice that an answer does not come.
            Some(_) if self.is_master() => Some(self.seen + self.config.keep_alive_ms),
            Some(_) => None,
        }
    }

    /// What to do next.
    pub fn poll_action(&mut self, now: i64) -> Option<Action> {
        self.look(now);
        if let Some(told) = self.tell.pop_front() {
            return Some(told);
        }
        if self.asked.is_some() {
            return None;
        }
        match self.state {
            State::Standby { .. } if now >= self.due => {
                self.tried_at = now;
                self.ask(Asked::Try, Action::Try)
            }
            State::Acquired { settled_at: None } if now >= self.due => {
                self.ask(Asked::Claim, Action::Claim { epoch: None })
            }
            State::Acquired { settled_at: Some(at) } if now >= at.max(self.due) => {
                self.ask(Asked::Check { begun: now }, Action::Check)
            }
            State::Active { .. } if self.unclaimed.is_some() => {
                self.ask(Asked::Claim, Action::Claim { epoch: self.unclaimed })
            }
            State::Recovering | State::Active { .. } if self.config.keep_alive_ms > 0 && now >= self.due => {
                self.ask(Asked::Check { begun: now }, Action::Check)
            }
            _ => None,
        }
    }

    fn ask(&mut self, asked: Asked, action: Action) -> Option<Action> {
        self.asked = Some(asked);
        Some(action)
    }

    /// Something may have changed: a waiting try is made at once.
    pub fn woken(&mut self, now: i64) {
        self.look(now);
        if let State::Standby { .. } = self.state {
            self.due = now;
            self.woken = self.asked.is_some();
        }
    }

    /// What came of [`Action::Try`].
    pub fn tried(&mut self, now: i64, attempt: Result<Attempt, LockError>) {
        self.look(now);
        self.answered();
        let State::Standby { waits_for } = &mut self.state else { return };
        let is_first = !std::mem::replace(&mut self.has_tried, true);
        let woken = std::mem::take(&mut self.woken);
        match attempt {
            Ok(Attempt::Taken(former)) => {
                self.former = former;
                self.state = State::Acquired { settled_at: None };
                self.due = now;
            }
            Ok(Attempt::Held(held_by)) if self.config.fail_if_locked => {
                self.end(Loss::GivenUp, Action::Locked(held_by));
            }
            Ok(Attempt::Held(held_by)) => {
                if waits_for.as_ref() != Some(&held_by) {
                    *waits_for = Some(held_by.clone());
                    self.tell.push_back(Action::Waiting(held_by));
                }
                self.due = if woken { now } else { now + self.config.retry_ms };
            }
            // What is wrong from the beginning does not get better.
            Err(error) if is_first => self.end(Loss::GivenUp, Action::Impossible(error)),
            Err(error) => {
                self.tell.push_back(Action::Unanswered(error));
                self.due = now + self.config.retry_ms;
            }
        }
    }

    /// What came of [`Action::Claim`].
    pub fn claimed(&mut self, now: i64, claimed: Result<(), LockError>) {
        self.look(now);
        self.answered();
        match claimed {
            Ok(()) if self.is_acquired() => {
                self.due = now;
                match self.former {
                    Former::Gone => self.state = State::Acquired { settled_at: Some(now) },
                    Former::Unknown { why, window_ms } => self.settle(now, why, window_ms),
                }
            }
            Ok(()) => self.unclaimed = None,
            Err(error) => {
                self.tell.push_back(Action::Unanswered(error));
                if self.is_acquired() {
                    self.back_to_standby(now + self.config.retry_ms);
                } else {
                    // The check that comes next finds out whether the lock suffered.
                    self.unclaimed = None;
                    self.due = now;
                }
            }
        }
    }

    /// What came of [`Action::Check`].
    pub fn checked(&mut self, now: i64, checked: Checked) {
        self.look(now);
        let Some(Asked::Check { begun }) = self.answered() else { return };
        if self.state == State::Fenced {
            return;
        }
        match checked {
            // Somebody else may have come and be about to go in all that time.
            Checked::Ours if self.is_acquired() && self.former == Former::Gone && self.took_long(now) => {
                let why = "it took long to be claimed";
                self.former = Former::Unknown { why, window_ms: None };
                self.settle(now, why, None);
            }
            Checked::Ours => {
                self.prove(now, begun);
                if self.is_acquired() {
                    self.state = State::Recovering;
                    self.tell.push_back(Action::Recover);
                }
            }
            Checked::Lost(loss) if self.is_acquired() => {
                self.tell.push_back(Action::Missed(loss));
                self.back_to_standby(now);
            }
            Checked::Lost(loss) => self.end(loss.clone(), Action::Fence(loss)),
            Checked::Unknown(error) => {
                self.tell.push_back(Action::Unanswered(error));
                let period =
                    if self.config.keep_alive_ms > 0 { self.config.keep_alive_ms } else { self.config.retry_ms };
                self.due = now + (period / HURRY).max(1);
            }
        }
    }

    /// The journal was read and its epoch is durable.
    pub fn recovered(&mut self, now: i64, epoch: u64) {
        self.look(now);
        if let State::Recovering = self.state {
            self.state = State::Active { epoch };
            self.unclaimed = Some(epoch);
        }
    }

    /// Done with everything: the fence is shut, so that nothing is written behind the lock's back. The caller releases the
    /// lock.
    pub fn stop(&mut self, now: i64) {
        self.look(now);
        self.fence.shut(Loss::GivenUp);
        self.state = State::Fenced;
        self.tell.clear();
    }

    fn is_acquired(&self) -> bool {
        matches!(self.state, State::Acquired { .. })
    }

    fn is_master(&self) -> bool {
        matches!(self.state, State::Recovering | State::Active { .. })
    }

    fn answered(&mut self) -> Option<Asked> {
        self.asked.take()
    }

    /// Waits for whoever may be alive.
    fn settle(&mut self, now: i64, why: &'static str, window_ms: Option<i64>) {
        let ms = self.config.settle_ms(window_ms);
        self.tell.push_back(Action::Settling { why, ms });
        self.state = State::Acquired { settled_at: Some(now + ms) };
    }

    fn took_long(&self, now: i64) -> bool {
        self.config.keep_alive_ms > 0 && now - self.tried_at > self.config.window_ms()
    }

    fn prove(&mut self, now: i64, begun: i64) {
        self.due = begun + self.config.keep_alive_ms;
        if self.config.keep_alive_ms == 0 {
            return self.fence.prove(i64::MAX);
        }
        if let Some(until) = self.fence.proven_until().filter(|until| *until <= now) {
            self.tell.push_back(Action::Doubted { ms: now - until });
        }
        self.fence.prove(begun + self.config.window_ms());
    }

    fn back_to_standby(&mut self, due: i64) {
        self.tell.push_back(Action::Release);
        self.state = State::Standby { waits_for: None };
        self.due = due;
    }

    fn end(&mut self, loss: Loss, action: Action) {
        self.fence.shut(loss);
        self.state = State::Fenced;
        self.tell.push_back(action);
    }

    /// Time went by. A process that was stopped, or a machine that slept, gets the time of an answer anew; one that was
    /// awake and got no proof for too long steps down.
    fn look(&mut self, now: i64) {
        let period = self.config.keep_alive_ms;
        // Between two looks of a keeper that is awake lies a period at most.
        let gap = now - self.seen;
        if gap > 2 * period {
            self.awake_since = now;
        }
        if let State::Acquired { settled_at: Some(at) } = &mut self.state
            && *at > self.seen
            && gap > period + period / 4
            && period > 0
        {
            *at += gap;
        }
        self.seen = self.seen.max(now);
        if period == 0 || !self.is_master() {
            return;
        }
        let Some(until) = self.fence.proven_until() else { return };
        let late_ms_max = self.config.late_ms_max.unwrap_or(WINDOWS_LATE_MAX * self.config.window_ms());
        if now - until.max(self.awake_since) > late_ms_max {
            let loss = Loss::Late { ms: now - until };
            self.end(loss.clone(), Action::Fence(loss));
        }
    }
}

/// Carries one action out on a lock, and tells the keeper what came of it. For drivers that may block.
impl Keeper {
    /// Asks the lock what the action asks of it; `None` where no answer is expected.
    pub fn carry_out(action: &Action, lock: &dyn Lock) -> Option<Answer> {
        match action {
            Action::Try => Some(Answer::Tried(lock.take())),
            Action::Claim { epoch } => Some(Answer::Claimed(lock.claim(*epoch))),
            Action::Check => Some(Answer::Checked(lock.check())),
            Action::Release => {
                lock.release(false);
                None
            }
            _ => None,
        }
    }

    /// Takes what [`Keeper::carry_out`] gave.
    pub fn take_answer(&mut self, now: i64, answer: Answer) {
        match answer {
            Answer::Tried(attempt) => self.tried(now, attempt),
            Answer::Claimed(claimed) => self.claimed(now, claimed),
            Answer::Checked(checked) => self.checked(now, checked),
        }
    }
}

/// What a lock answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Action::Try`].
    Tried(Result<Attempt, LockError>),
    /// To [`Action::Claim`].
    Claimed(Result<(), LockError>),
    /// To [`Action::Check`].
    Checked(Checked),
}

#[cfg(test)]
mod tests;
