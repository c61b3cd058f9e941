//! Heart-beats: what was agreed, and when which side was last heard.

use bytes::{BufMut, BytesMut};
use wire::stomp::HEART_BEAT;

/// The least that an agreed silence is stretched by, ms; timers and networks are late.
const SLACK_MS_MIN: i64 = 1000;

/// Both directions of one connection. Nothing is agreed at first; then no timer runs.
#[derive(Debug, Default)]
pub(super) struct HeartBeat {
    /// Longest silence of ours, ms; 0 for any.
    write_ms: i64,
    /// Silence of the client after which it is taken for dead, ms; 0 for never.
    silence_ms: i64,
    last_write_ms: i64,
    last_read_ms: i64,
}

impl HeartBeat {
    /// Reads the client's `heart-beat: <it can>,<it wants>`. As ActiveMQ does, each wish is met, but none below
    /// `least_ms`. Gives what CONNECTED says: what we can, then what we want.
    pub(super) fn agree(&mut self, header: &str, least_ms: i64, grace: f64) -> Option<(i64, i64)> {
        let (can, wants) = header.split_once(',')?;
        let number = |text: &str| text.trim().parse::<i64>().ok().filter(|ms| *ms >= 0);
        let meet = |ms: i64| if ms == 0 { 0 } else { ms.max(least_ms) };
        let (read_ms, write_ms) = (meet(number(can)?), meet(number(wants)?));
        self.write_ms = write_ms;
        self.silence_ms = match read_ms {
            0 => 0,
            ms => ((ms as f64 * grace.max(1.0)) as i64).saturating_add((ms / 2).max(SLACK_MS_MIN)),
        };
        Some((write_ms, read_ms))
    }

    pub(super) fn note_read(&mut self, now_ms: i64) {
        self.last_read_ms = now_ms;
    }

    pub(super) fn note_write(&mut self, now_ms: i64) {
        self.last_write_ms = now_ms;
    }

    /// How long the client has been silent, when that is too long.
    pub(super) fn silence_at(&self, now_ms: i64) -> Option<i64> {
        let silence = now_ms.saturating_sub(self.last_read_ms);
        (self.silence_ms > 0 && silence >= self.silence_ms).then_some(silence)
    }

    /// Writes a heart-beat when one is due.
    pub(super) fn beat(&mut self, now_ms: i64, out: &mut BytesMut) {
        if self.write_ms > 0 && now_ms.saturating_sub(self.last_write_ms) >= self.write_ms {
            out.put_slice(HEART_BEAT);
            self.note_write(now_ms);
        }
    }

    /// When something is due next.
    pub(super) fn timeout_ms(&self) -> Option<i64> {
        let write = (self.write_ms > 0).then(|| self.last_write_ms.saturating_add(self.write_ms));
        let read = (self.silence_ms > 0).then(|| self.last_read_ms.saturating_add(self.silence_ms));
        [write, read].into_iter().flatten().min()
    }
}
