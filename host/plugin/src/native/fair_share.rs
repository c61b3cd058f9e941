//! Fair share by key: those who send much do not crowd out those who send little.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::give::{Give, Plan, Turn, hash_of};
use super::settings::{Settings, WEIGHT_MAX};
use crate::{Columns, DispatchBatch, Property, PropertyForm, text_hash};

/// Keys whose share is remembered while none of their messages is seen.
const KEYS_MAX: usize = 2_048;

/// Start-time fair queueing over the rows that it sees, more than there is credit for. Each key has a clock that moves
/// by 1 / weight with each message; the key whose clock is behind goes first, the oldest message of equals before the
/// others. A key that was idle starts at the time of the others: it has saved up nothing. Each message goes to the
/// consumer with the fewest messages in flight.
#[derive(Debug, Default)]
pub(super) struct FairShare {
    key: String,
    /// Weights of keys that have another one than 1.
    weights: BTreeMap<i64, u32>,
    /// Where the clock of the key stood that was served last.
    now: u64,
    /// Clocks that are ahead of `now`.
    ahead: BTreeMap<i64, u64>,
    turn: Turn,
    /// Rows by key, then by age.
    rows: Vec<(i64, usize)>,
    /// The keys of the batch that have a row left: clock, row, and its place in `rows`.
    waiting: BinaryHeap<Reverse<(u64, usize, usize)>>,
}

impl FairShare {
    fn step(&self, key: i64) -> u64 {
        u64::from(WEIGHT_MAX) * 1_000 / u64::from(self.weights.get(&key).copied().unwrap_or(1))
    }

    /// Puts the keys of the batch in line.
    fn line_up(&mut self, batch: &DispatchBatch<'_>) {
        self.rows.clear();
        self.rows.extend((0..batch.rows).map(|row| (hash_of(batch, row), row)));
        self.rows.sort_unstable();
        self.waiting.clear();
        for (place, (key, row)) in self.rows.iter().enumerate() {
            if place == 0 || self.rows[place - 1].0 != *key {
                let clock = self.ahead.get(key).map_or(self.now, |clock| self.now.max(*clock));
                self.waiting.push(Reverse((clock, *row, place)));
            }
        }
    }
}

impl Plan for FairShare {
    const ROWS_MAX: usize = 1024;
    const COLUMNS: Columns = Columns::LOOK_AHEAD;

    fn configure(&mut self, settings: &mut Settings<'_>) {
        self.key = settings.text("key", "JMSXGroupID");
        self.weights = settings.weights("weights").iter().map(|(key, weight)| (text_hash(key), *weight)).collect();
    }

    fn properties(&self) -> Vec<Property> {
        vec![Property { name: self.key.as_str().into(), form: PropertyForm::Hash }]
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, give: &mut Give) {
        self.line_up(batch);
        while give.any_credit()
            && let Some(Reverse((mut clock, row, place))) = self.waiting.pop()
        {
            let key = self.rows[place].0;
            if self.turn.give_least_loaded(batch, give, row) {
                self.now = self.now.max(clock);
                clock = clock.saturating_add(self.step(key));
                self.ahead.insert(key, clock);
            }
            if let Some((next, row)) = self.rows.get(place + 1)
                && *next == key
            {
                self.waiting.push(Reverse((clock, *row, place + 1)));
            }
        }
        let now = self.now;
        self.ahead.retain(|_, clock| *clock > now);
        while self.ahead.len() > KEYS_MAX {
            self.ahead.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{consumer, make};
    use crate::{DispatchBatch, LEAVE, PropertyColumn, QueueDispatch, text_hash};

    fn plan(policy: &mut dyn QueueDispatch, credit: u32, keys: &[&str]) -> Vec<usize> {
        let properties = [PropertyColumn::Hashes(keys.iter().map(|key| text_hash(key)).collect())];
        let table = [consumer(1, credit, 0)];
        let batch = DispatchBatch { properties: &properties, ..DispatchBatch::new(0, keys.len(), &table) };
        let mut out = vec![];
        policy.plan(&batch, &mut out);
        out.iter().enumerate().filter(|(_, slot)| **slot != LEAVE).map(|(row, _)| row).collect()
    }

    /// Whoever sent one message is served next, whatever stands before it.
    #[test]
    fn a_flood_does_not_crowd_out_a_trickle() {
        let mut policy = make("fair-share", &[("key", "tenant")]);
        assert_eq!(policy.properties()[0].to_string(), "hash:tenant");
        let flood = ["a", "a", "a", "a", "b", "a", "b"];
        assert_eq!(plan(&mut *policy, 3, &flood), [0, 1, 4]);
        assert_eq!(plan(&mut *policy, 1, &["a", "a", "a", "b"]), [3], "a had two and b one");
        assert_eq!(plan(&mut *policy, 2, &["a", "a", "c"]), [0, 2], "c saved up nothing and owes nothing");
        assert_eq!(plan(&mut *policy, 9, &["a", "a", ""]), [0, 1, 2]);
    }

    #[test]
    fn weights_are_shares() {
        let mut policy = make("fair-share", &[("weights", "gold=3")]);
        let mut keys = vec!["gold"; 40];
        keys.extend(["tin"; 40]);
        let given = plan(&mut *policy, 40, &keys);
        assert_eq!(given.iter().filter(|row| **row < 40).count(), 30);
    }
}
