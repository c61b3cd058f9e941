//! Latency-aware: a message goes where it is likely to be done first.

use super::give::{Give, Plan, Turn};
use super::settings::Settings;
use crate::{Columns, DispatchBatch};

/// Each row goes to the consumer of the highest priority with the shortest expected time: its messages in flight and
/// one more, times what it needs for an acknowledgement. Who acknowledged nothing yet is taken for as fast as the
/// fastest. Those that are about as good take turns.
#[derive(Debug, Default)]
pub(super) struct LatencyAware {
    /// Per cent by which an expected time may be longer than the shortest one and count as equal.
    tolerance: u64,
    turn: Turn,
    /// What each consumer of the table needs for an acknowledgement.
    interval: Vec<u64>,
}

impl LatencyAware {
    fn expected(&self, batch: &DispatchBatch<'_>, give: &Give, at: usize) -> u64 {
        (give.in_flight(batch, at) + 1).saturating_mul(self.interval[at])
    }
}

impl Plan for LatencyAware {
    const COLUMNS: Columns = Columns::ACK_INTERVAL;

    fn configure(&mut self, settings: &mut Settings<'_>) {
        self.tolerance = settings.number("tolerance", 10, 0..=1_000);
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, give: &mut Give) {
        let known = |at: usize| batch.ack_interval.get(at).copied().filter(|interval| *interval > 0).map(u64::from);
        let fastest = (0..batch.consumers.len()).filter_map(known).min().unwrap_or(1);
        self.interval.clear();
        self.interval.extend((0..batch.consumers.len()).map(|at| known(at).unwrap_or(fastest)));
        for row in 0..batch.rows {
            if !give.any_credit() {
                break;
            }
            let mut best: Option<(i16, u64)> = None;
            for at in 0..batch.consumers.len() {
                if give.may_take(batch, row, at) {
                    let (priority, expected) = (batch.consumers[at].priority, self.expected(batch, give, at));
                    if best.is_none_or(|(p, e)| priority > p || priority == p && expected < e) {
                        best = Some((priority, expected));
                    }
                }
            }
            let Some((highest, shortest)) = best else { continue };
            let longest = shortest.saturating_add(shortest.saturating_mul(self.tolerance) / 100);
            let chosen = self.turn.order(batch).find(|at| {
                batch.consumers[*at].priority == highest
                    && give.may_take(batch, row, *at)
                    && self.expected(batch, give, *at) <= longest
            });
            let Some(at) = chosen else { continue };
            give.give(batch, row, at);
            self.turn.served(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{consumer, make};
    use crate::{ConsumerRow, DispatchBatch};

    fn check(settings: &[(&str, &str)], table: &[ConsumerRow], ack_interval: &[u32], expected: &[u32]) {
        let mut policy = make("latency-aware", settings);
        let batch = DispatchBatch { ack_interval, ..DispatchBatch::new(0, expected.len(), table) };
        let mut out = vec![];
        policy.plan(&batch, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn the_fast_get_more() {
        let table = [consumer(1, 99, 0), consumer(2, 99, 0)];
        check(&[("tolerance", "0")], &table, &[1_000, 3_000], &[1, 1, 2, 1, 1, 1, 2, 1]);
        check(&[], &table, &[1_000, 1_050], &[1, 2, 1, 2]);
        check(&[], &[consumer(1, 99, 0), consumer(2, 1, 4)], &[1, 1_000_000], &[2, 1, 1]);
    }

    /// A newcomer gets its share and not everything.
    #[test]
    fn the_unknown_count_as_fast() {
        check(&[], &[consumer(1, 99, 0), consumer(2, 99, 0)], &[500, 0], &[1, 2, 1, 2]);
        check(&[], &[consumer(1, 99, 0), consumer(2, 99, 0)], &[0, 0], &[1, 2, 1, 2]);
    }
}
