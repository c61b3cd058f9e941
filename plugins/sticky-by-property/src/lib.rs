//! Sticky by property: messages with the same value go to the same consumer as long as it is there, of the highest
//! consumer priority that there is. When a consumer comes it takes its share of the values from all the others; when one
//! goes, its values alone move. Messages without the property go to the consumer with the fewest messages in flight.
//!
//! Settings:
//! - `property` = `JMSCorrelationID` (default): the message property, or header by the name that selectors have for it.
//! - `when-busy` = `wait` (default): a message waits while the consumer of its value has no credit.
//!   `spill`: it goes to the next best consumer meanwhile.
//!
//! Waiting has its price: it sees as many messages as `dispatch_rows` of the configuration allows, and when all those
//! wait for one consumer, nothing behind them is seen. Order within a value over changes of consumers is what message
//! groups are for.

use jackfield_policy::{Batch, Column, Give, Property, QueuePolicy, Settings, Turn, export_queue_policy};

#[derive(Default)]
struct StickyByProperty {
    property: String,
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

impl QueuePolicy for StickyByProperty {
    const COLUMNS: &'static [Column] = &[Column::LookAhead];
    const ROWS_MAX: u32 = 1024;
    const STATE_VERSION: u8 = 1;

    fn configure(&mut self, settings: &mut Settings) {
        self.property = settings.text("property", "JMSCorrelationID");
        self.spills = settings.choice("when-busy", &["wait", "spill"]) == 1;
    }

    fn properties(&self) -> Vec<Property> {
        vec![Property::hash(&self.property)]
    }

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        let (slots, priority) = (&batch.consumers.slots, &batch.consumers.priority);
        for (row, value) in batch.hashes(0).iter().enumerate() {
            if !give.any_credit() {
                break;
            }
            if *value == 0 {
                self.turn.give_least_loaded(batch, give, row);
                continue;
            }
            let is_open = |at: &usize| match self.spills {
                true => give.may_take(batch, row, *at),
                false => batch.is_candidate(row, *at),
            };
            let best = (0..slots.len()).filter(is_open).max_by_key(|at| (priority[*at], mix(*value, slots[*at])));
            if let Some(at) = best.filter(|at| give.may_take(batch, row, *at)) {
                give.give(batch, row, at);
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

export_queue_policy!(StickyByProperty);
