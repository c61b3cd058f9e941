//! Sticky by property: messages with the same value go to the same consumer.

use super::give::{Give, Plan, Turn, hash_of};
use super::settings::Settings;
use crate::{Columns, DispatchBatch, Property, PropertyForm};

/// Rendezvous hashing: of the consumers of the highest priority that may take a row, the one whose slot and the row's
/// value give the highest number. When a consumer comes it takes its share of the values from all the others, when one
/// goes its values alone move. A row without the property goes to the consumer with the fewest messages in flight.
#[derive(Debug, Default)]
pub(super) struct StickyByProperty {
    property: String,
    /// True if a row goes to the next best consumer while the best has no credit.
    spills: bool,
    turn: Turn,
}

/// The last step of SplitMix64: numbers that look like chance, from a value and a slot.
fn mix(value: i64, slot: u32) -> u64 {
    let mut z = value.cast_unsigned() ^ u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl Plan for StickyByProperty {
    const ROWS_MAX: usize = 1024;
    const COLUMNS: Columns = Columns::LOOK_AHEAD;

    fn configure(&mut self, settings: &mut Settings<'_>) {
        self.property = settings.text("property", "JMSCorrelationID");
        self.spills = settings.choice("when-busy", &["wait", "spill"]) == 1;
    }

    fn properties(&self) -> Vec<Property> {
        vec![Property { name: self.property.as_str().into(), form: PropertyForm::Hash }]
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, give: &mut Give) {
        for row in 0..batch.rows {
            if !give.any_credit() {
                break;
            }
            let value = hash_of(batch, row);
            if value == 0 {
                self.turn.give_least_loaded(batch, give, row);
                continue;
            }
            let consumers = batch.consumers.iter().enumerate();
            let open = consumers.filter(|(at, _)| match self.spills {
                true => give.may_take(batch, row, *at),
                false => batch.is_candidate(row, *at),
            });
            let best = open.max_by_key(|(_, consumer)| (consumer.priority, mix(value, consumer.slot)));
            if let Some((at, _)) = best
                && give.may_take(batch, row, at)
            {
                give.give(batch, row, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{consumer, make};
    use crate::{ConsumerRow, DispatchBatch, LEAVE, PropertyColumn, QueueDispatch};

    fn plan(policy: &mut dyn QueueDispatch, table: &[ConsumerRow], values: Vec<i64>) -> Vec<u32> {
        let rows = values.len();
        let properties = [PropertyColumn::Hashes(values)];
        let batch = DispatchBatch { properties: &properties, ..DispatchBatch::new(0, rows, table) };
        let mut out = vec![];
        policy.plan(&batch, &mut out);
        out
    }

    /// A value keeps its consumer as long as that is there, whoever else comes or goes, and the values are spread.
    #[test]
    fn a_value_keeps_its_consumer() {
        let mut policy = make("sticky-by-property", &[]);
        let table = |slots: &[u32]| slots.iter().map(|slot| consumer(*slot, 900, 0)).collect::<Vec<_>>();
        let values: Vec<i64> = (1..=600).collect();
        let three = plan(&mut *policy, &table(&[1, 2, 3]), values.clone());
        assert_eq!(three, plan(&mut *policy, &table(&[3, 1, 2]), values.clone()));
        for slot in 1..=3 {
            let share = three.iter().filter(|other| **other == slot).count();
            assert!((150..=250).contains(&share), "{slot} has {share} of 600");
        }
        let four = plan(&mut *policy, &table(&[1, 2, 3, 4]), values.clone());
        assert!(three.iter().zip(&four).all(|(before, after)| before == after || *after == 4));
        let two = plan(&mut *policy, &table(&[1, 3]), values);
        assert!(three.iter().zip(&two).all(|(before, after)| before == after || *before == 2));
    }

    #[test]
    fn a_busy_consumer_is_waited_for_or_passed_over() {
        let values: Vec<i64> = (1..=20).collect();
        let table = [consumer(1, 900, 0), consumer(2, 0, 0)];
        let waits = plan(&mut *make("sticky-by-property", &[]), &table, values.clone());
        assert!(waits.contains(&LEAVE) && waits.contains(&1));
        let spills = plan(&mut *make("sticky-by-property", &[("when-busy", "spill")]), &table, values);
        assert_eq!(spills, [1; 20]);
    }

    #[test]
    fn without_a_value_the_least_loaded_is_served() {
        let table = [consumer(1, 9, 0), consumer(2, 9, 0), consumer(3, 9, -5)];
        assert_eq!(plan(&mut *make("sticky-by-property", &[]), &table, vec![0; 4]), [1, 2, 1, 2]);
    }
}
