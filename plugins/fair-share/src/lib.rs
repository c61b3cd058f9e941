//! Fair share by key: those who send much do not crowd out those who send little. Of the waiting messages that it sees,
//! more than there is credit for and as many as `dispatch_rows` of the configuration allows, keys are served in turn, each
//! with its oldest message; each message goes to the consumer with the fewest in flight.
//!
//! It is start-time fair queueing: each key has a clock that moves by 1 / weight with each message, and the key whose
//! clock is behind goes first. A key that was idle starts at the time of the others: it has saved up nothing.
//!
//! Settings:
//! - `key` = `JMSXGroupID` (default): the message property, or header by the name that selectors have for it, that is the
//!   key. Messages without it share one key.
//! - `weights` = none (default): `KEY=WEIGHT` with commas between them, such as `gold=3, silver=2`: how much a key gets
//!   beside one of weight 1. Weights are 1 to 1000; a key that is not named has 1.
//!
//! The state is the clocks that are ahead, by the hash of the key.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use jackfield_policy::{
    Batch, Column, Give, Property, QueuePolicy, Settings, Turn, WEIGHT_MAX, export_queue_policy, text_hash,
};

/// Keys whose share is remembered while none of their messages is seen.
const KEYS_MAX: usize = 2_048;

#[derive(Default)]
struct FairShare {
    key: String,
    weights: BTreeMap<i64, u32>,
    /// Where the clock of the key stood that was served last.
    now: u64,
    /// Clocks that are ahead of `now`.
    ahead: BTreeMap<i64, u64>,
    turn: Turn,
}

impl QueuePolicy for FairShare {
    const COLUMNS: &'static [Column] = &[Column::LookAhead];
    const ROWS_MAX: u32 = 1024;
    const STATE_VERSION: u8 = 1;

    fn configure(&mut self, settings: &mut Settings) {
        self.key = settings.text("key", "JMSXGroupID");
        self.weights = settings.weights("weights").iter().map(|(key, weight)| (text_hash(key), *weight)).collect();
    }

    fn properties(&self) -> Vec<Property> {
        vec![Property::hash(&self.key)]
    }

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        let mut rows: Vec<(i64, usize)> = batch.hashes(0).iter().copied().zip(0..).collect();
        rows.sort_unstable();
        // Clock and row of each key's oldest message, and its place in `rows`.
        let mut waiting = BinaryHeap::new();
        for (place, (key, row)) in rows.iter().enumerate() {
            if place == 0 || rows[place - 1].0 != *key {
                let clock = self.ahead.get(key).copied().unwrap_or(0).max(self.now);
                waiting.push(Reverse((clock, *row, place)));
            }
        }
        while give.any_credit()
            && let Some(Reverse((mut clock, row, place))) = waiting.pop()
        {
            let key = rows[place].0;
            if self.turn.give_least_loaded(batch, give, row) {
                self.now = self.now.max(clock);
                let weight = self.weights.get(&key).copied().unwrap_or(1);
                clock = clock.saturating_add(u64::from(WEIGHT_MAX) * 1_000 / u64::from(weight));
                self.ahead.insert(key, clock);
            }
            if let Some((_, row)) = rows.get(place + 1).filter(|(next, _)| *next == key) {
                waiting.push(Reverse((clock, *row, place + 1)));
            }
        }
        self.ahead.retain(|_, clock| *clock > self.now);
        while self.ahead.len() > KEYS_MAX {
            self.ahead.pop_last();
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let clocks = self.ahead.iter().flat_map(|(key, clock)| [key.cast_unsigned(), *clock]);
        let numbers = std::iter::once(self.now).chain(clocks).flat_map(u64::to_le_bytes);
        self.turn.to_state().into_iter().chain(numbers).collect()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let Some((turn, numbers)) = state.split_at_checked(4) else { return false };
        let (numbers, rest) = numbers.as_chunks::<8>();
        let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        let [now, clocks @ ..] = &numbers[..] else { return false };
        self.now = *now;
        self.ahead = clocks.chunks_exact(2).map(|pair| (pair[0].cast_signed(), pair[1])).collect();
        self.turn.restore(turn) && rest.is_empty() && clocks.len() % 2 == 0
    }
}

export_queue_policy!(FairShare);
