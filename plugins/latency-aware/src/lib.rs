//! Latency-aware: each row goes to the consumer of the highest priority that is likely to be done with it first, by its
//! messages in flight and one more, times what it needs for an acknowledgement. Who acknowledged nothing yet is taken for
//! as fast as the fastest.
//!
//! Settings:
//! - `tolerance` = `10` (default): per cent by which an expected time may be longer than the shortest one and still count
//!   as equal. Equals take turns.

use jackfield_policy::{Batch, Column, Give, QueuePolicy, Settings, Turn, export_queue_policy};

#[derive(Default)]
struct LatencyAware {
    tolerance: u64,
    turn: Turn,
}

impl QueuePolicy for LatencyAware {
    const COLUMNS: &'static [Column] = &[Column::AckInterval];
    const ROWS_MAX: u32 = 256;
    const STATE_VERSION: u8 = 1;

    fn configure(&mut self, settings: &mut Settings) {
        self.tolerance = settings.number("tolerance", 10, 0..=1_000);
    }

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        let intervals = batch.ack_intervals();
        let fastest = intervals.iter().copied().filter(|interval| *interval > 0).min().unwrap_or(1);
        let expected = |give: &Give, at: usize| {
            let interval = if intervals[at] == 0 { fastest } else { intervals[at] };
            (give.in_flight(batch, at) + 1).saturating_mul(interval.into())
        };
        let priority = &batch.consumers.priority;
        for row in 0..batch.rows() {
            if !give.any_credit() {
                break;
            }
            let open = (0..priority.len()).filter(|at| give.may_take(batch, row, *at));
            let best = open.map(|at| (std::cmp::Reverse(priority[at]), expected(give, at))).min();
            let Some((highest, shortest)) = best else { continue };
            let longest = shortest.saturating_add(shortest.saturating_mul(self.tolerance) / 100);
            let chosen = self.turn.order(batch).find(|at| {
                priority[*at] == highest.0 && give.may_take(batch, row, *at) && expected(give, *at) <= longest
            });
            if let Some(at) = chosen {
                give.give(batch, row, at);
                self.turn.served(at);
            }
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        self.turn.to_state()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        self.turn.restore(state)
    }
}

export_queue_policy!(LatencyAware);
