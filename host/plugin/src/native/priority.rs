//! Priority: the most urgent of the waiting messages go first.

use super::give::{Give, Plan, Turn};
use super::settings::Settings;
use crate::{Columns, DispatchBatch, Property, PropertyForm};

/// Of the rows that it sees, more than there is credit for, those with the highest rank are given first, the oldest of
/// equals before the others; each goes to the consumer with the fewest messages in flight. A row's rank is a number of
/// the message and may rise while it waits.
#[derive(Debug, Default)]
pub(super) struct Priority {
    by: String,
    /// Time after which a message that waits counts one more, ms; 0 for never.
    rise_ms: u64,
    turn: Turn,
    /// Rank and row.
    ranked: Vec<(f64, usize)>,
}

/// When the broker took a message, as selectors call it.
const IN_TIME: &str = "JMSActiveMQBrokerInTime";

impl Plan for Priority {
    const ROWS_MAX: usize = 1024;
    const COLUMNS: Columns = Columns::LOOK_AHEAD;

    fn configure(&mut self, settings: &mut Settings<'_>) {
        self.by = settings.text("by", "JMSPriority");
        self.rise_ms = settings.number("rise-ms", 0, 0..=86_400_000);
    }

    fn properties(&self) -> Vec<Property> {
        let number = |name: &str| Property { name: name.into(), form: PropertyForm::Number };
        match self.rise_ms {
            0 => vec![number(&self.by)],
            _ => vec![number(&self.by), number(IN_TIME)],
        }
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, give: &mut Give) {
        let value = |column: usize, row: usize| {
            batch.properties.get(column).and_then(|column| column.numbers().get(row)).copied().unwrap_or(0.0)
        };
        self.ranked.clear();
        for row in 0..batch.rows {
            let risen = match self.rise_ms {
                0 => 0.0,
                rise_ms => (batch.now_ms.saturating_sub(value(1, row) as u64) / rise_ms) as f64,
            };
            // The sum also makes one zero of the two that there are.
            self.ranked.push((value(0, row) + risen, row));
        }
        self.ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (_, row) in &self.ranked {
            if !give.any_credit() {
                break;
            }
            self.turn.give_least_loaded(batch, give, *row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{consumer, make};
    use crate::{Columns, DispatchBatch, LEAVE, PropertyColumn};

    #[test]
    fn the_most_urgent_goes_first_and_the_oldest_of_equals() {
        let mut policy = make("priority", &[]);
        assert!(policy.wants().contains(Columns::LOOK_AHEAD));
        assert_eq!(policy.properties()[0].to_string(), "number:JMSPriority");
        let table = [consumer(1, 1, 0), consumer(2, 1, 0)];
        let properties = [PropertyColumn::Numbers(vec![4.0, 9.0, 9.0, 9.0])];
        let batch = DispatchBatch { properties: &properties, ..DispatchBatch::new(0, 4, &table) };
        let mut out = vec![];
        policy.plan(&batch, &mut out);
        assert_eq!(out, [LEAVE, 1, 2, LEAVE]);
    }

    /// Nothing waits for ever behind a flood of urgent messages.
    #[test]
    fn a_message_rises_while_it_waits() {
        let mut policy = make("priority", &[("by", "urgency"), ("rise-ms", "100")]);
        let names: Vec<_> = policy.properties().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["number:urgency", "number:JMSActiveMQBrokerInTime"]);
        let table = [consumer(1, 1, 0)];
        let properties = [PropertyColumn::Numbers(vec![4.0, 9.0]), PropertyColumn::Numbers(vec![1_000.0, 1_600.0])];
        for (now_ms, expected) in [(1_600, [1, LEAVE]), (1_499, [LEAVE, 1]), (1_699, [1, LEAVE])] {
            let batch = DispatchBatch { properties: &properties, ..DispatchBatch::new(now_ms, 2, &table) };
            let mut out = vec![];
            policy.plan(&batch, &mut out);
            assert_eq!(out, expected, "at {now_ms}");
        }
    }
}
