//! Shed slow: a subscription that is far behind is spared what is not urgent, until it caught up. Durable ones get all.
//!
//! Settings: `backlog` (1000) is how many messages may wait for a subscription; `urgent` (7) the priority from which on it
//! gets a message all the same. Who is least behind is served first.

use jackfield_topic_policy::plugin::{Columns, FanOut, Messages, SubscriptionRow};
use jackfield_topic_policy::{FanOutLogic, export_topic_policy};

#[derive(Default)]
struct ShedSlow {
    backlog: u32,
    urgent: i64,
}

impl FanOutLogic for ShedSlow {
    /// The priority; `wit/policy.wit` has the table.
    const COLUMN_IDS: &'static [u32] = &[1];

    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = ShedSlow { backlog: 1_000, urgent: 7 };
        for (key, value) in settings {
            let wrong = |_| format!("setting {key} = {value} is no whole number");
            match key.as_str() {
                "backlog" => fresh.backlog = value.parse().map_err(wrong)?,
                "urgent" => fresh.urgent = value.parse::<u8>().map_err(wrong)?.into(),
                _ => return Err(format!("setting {key} = {value} is unknown; known are backlog, urgent")),
            }
        }
        *self = fresh;
        Ok(())
    }

    fn decide(&mut self, messages: &dyn Messages, subscriptions: &[SubscriptionRow], out: &mut FanOut) {
        let mut ranked: Vec<&SubscriptionRow> = subscriptions.iter().collect();
        ranked.sort_by_key(|row| row.waiting);
        out.order = ranked.iter().map(|row| row.slot).collect();
        let is_slow = |row: &SubscriptionRow| !row.is_durable && row.waiting > self.backlog;
        if !subscriptions.iter().any(is_slow) {
            return;
        }
        // A bit for each subscription that gets the message, `words` numbers a message.
        let words = subscriptions.len().div_ceil(64);
        out.mask = vec![0; messages.rows() * words];
        for row in 0..messages.rows() {
            let is_urgent = messages.number(row, Columns::PRIORITY) >= self.urgent;
            for (at, subscription) in subscriptions.iter().enumerate() {
                if is_urgent || !is_slow(subscription) {
                    out.mask[row * words + at / 64] |= 1 << (at % 64);
                }
            }
        }
    }
}

export_topic_policy!(ShedSlow);
