//! Priority: of the waiting messages that it sees, those with the highest rank are given first, the oldest of equals
//! before the others; each goes to the consumer with the fewest messages in flight. It sees more than there is credit
//! for: as many as `dispatch_rows` of the configuration allows.
//!
//! Settings:
//! - `by` = `JMSPriority` (default): the message property, or header by the name that selectors have for it, whose
//!   number is the rank. What is absent or no number is 0.
//! - `rise-ms` = `0` (default): milliseconds after which a waiting message counts one more, so that nothing waits for
//!   ever behind more urgent ones; 0 for never.

use jackfield_policy::{Batch, Column, Give, Property, QueuePolicy, Settings, Turn, export_queue_policy};

#[derive(Default)]
struct Priority {
    by: String,
    rise_ms: u64,
    turn: Turn,
}

impl QueuePolicy for Priority {
    const COLUMNS: &'static [Column] = &[Column::LookAhead];
    const ROWS_MAX: u32 = 1024;
    const STATE_VERSION: u8 = 1;

    fn configure(&mut self, settings: &mut Settings) {
        self.by = settings.text("by", "JMSPriority");
        self.rise_ms = settings.number("rise-ms", 0, 0..=86_400_000);
    }

    fn properties(&self) -> Vec<Property> {
        let mut properties = vec![Property::number(&self.by)];
        if self.rise_ms > 0 {
            properties.push(Property::number("JMSActiveMQBrokerInTime"));
        }
        properties
    }

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        let (value, came) = (batch.numbers(0), batch.numbers(1));
        let risen = |row: usize| match self.rise_ms {
            0 => 0.0,
            rise_ms => (batch.now_ms().saturating_sub(came[row] as u64) / rise_ms) as f64,
        };
        // The sum also makes one zero of the two that there are.
        let rank = |row: usize| value[row] + risen(row);
        let mut ranked: Vec<(f64, usize)> = (0..batch.rows()).map(|row| (rank(row), row)).collect();
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (_, row) in ranked {
            if !give.any_credit() {
                break;
            }
            self.turn.give_least_loaded(batch, give, row);
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        self.turn.to_state()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        self.turn.restore(state)
    }
}

export_queue_policy!(Priority);
