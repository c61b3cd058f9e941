//! Who is silent for too long (row W14), and when we have to say something ourselves.

use message::{Refusal, RefusalKind};
use wire::openwire::KeepAliveInfo;

use super::{OpenWireSession, State};
use crate::Output;

/// When something last happened, in ms since 1970.
#[derive(Debug)]
pub(super) struct Clock {
    read: i64,
    written: i64,
    /// Start of the wait for a login: opening, agreement, or a keep-alive of a spare connection (row F07).
    waiting: i64,
    /// Silence counts from here on, not from before.
    watch_from: i64,
    /// Agreed silence; 0 for never. Nobody is watched before the agreement.
    inactivity_ms: i64,
    /// The broker does not read from the client, so its silence means nothing.
    paused: bool,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { read: 0, written: 0, waiting: 0, watch_from: 0, inactivity_ms: 0, paused: false }
    }

    pub(super) fn open(&mut self, now_ms: i64) {
        (self.read, self.written, self.waiting) = (now_ms, now_ms, now_ms);
    }

    pub(super) fn read(&mut self, now_ms: i64) {
        self.read = now_ms;
    }

    /// When the frames now under way were read.
    pub(super) fn now_ms(&self) -> i64 {
        self.read
    }

    pub(super) fn wrote(&mut self, now_ms: i64) {
        self.written = now_ms;
    }

    /// The wait for a login, or for the last word of a leaving client, starts now.
    pub(super) fn wait_from(&mut self, now_ms: i64) {
        self.waiting = now_ms;
    }

    pub(super) fn agree(&mut self, inactivity_ms: i64, initial_delay_ms: i64, now_ms: i64) {
        self.inactivity_ms = inactivity_ms.max(0);
        self.watch_from = now_ms.saturating_add(initial_delay_ms.max(0));
        self.waiting = now_ms;
    }

    pub(super) fn pause(&mut self, paused: bool, now_ms: i64) {
        self.paused = paused;
        self.watch_from = self.watch_from.max(now_ms);
    }

    fn read_by(&self) -> Option<i64> {
        let watched = self.inactivity_ms > 0 && !self.paused;
        watched.then(|| self.read.max(self.watch_from).saturating_add(self.inactivity_ms))
    }

    fn write_by(&self) -> Option<i64> {
        (self.inactivity_ms > 0).then(|| self.written.saturating_add((self.inactivity_ms / 3).max(1)))
    }
}

impl OpenWireSession {
    fn login_by(&self) -> Option<i64> {
        let waits = matches!(self.state, State::Greeting | State::Stranger { .. } | State::Proving(_) | State::Leaving);
        (waits && self.config.login_ms_max > 0).then(|| self.clock.waiting.saturating_add(self.config.login_ms_max))
    }

    /// When the login ends by itself.
    fn login_until(&self) -> Option<i64> {
        let until_ms = self.rights.until_ms();
        (matches!(self.state, State::Open) && until_ms < i64::MAX).then_some(until_ms)
    }

    pub(super) fn next_watch(&self) -> Option<i64> {
        if matches!(self.state, State::Closed) {
            return None;
        }
        let all = [self.login_by(), self.login_until(), self.clock.read_by(), self.clock.write_by()];
        all.into_iter().flatten().min()
    }

    pub(super) fn watch(&mut self, now_ms: i64, out: &mut Output) {
        if matches!(self.state, State::Closed) {
            return;
        }
        if self.login_by().is_some_and(|by| now_ms >= by) {
            let waited = self.config.login_ms_max;
            let text = match self.state {
                State::Leaving => format!("the client left but kept its socket for {waited} ms"),
                _ => {
                    self.stats.limit_hit = Some("login_ms_max");
                    format!("no login within {waited} ms (login_ms_max)")
                }
            };
            return self.close(Refusal::new(RefusalKind::Closing, text), out);
        }
        if self.login_until().is_some_and(|until| now_ms >= until) {
            let refusal = Refusal::new(RefusalKind::Security, "the token of this connection has expired; log in again");
            self.complain(refusal.clone().into(), out);
            return self.close(refusal, out);
        }
        if self.clock.read_by().is_some_and(|by| now_ms >= by) {
            let text = format!("nothing was read for {} ms, the agreed inactivity", self.clock.inactivity_ms);
            return self.close(Refusal::new(RefusalKind::Closing, text), out);
        }
        if self.clock.write_by().is_some_and(|by| now_ms >= by) {
            self.write(KeepAliveInfo::default(), out);
            self.clock.wrote(now_ms);
        }
    }
}
