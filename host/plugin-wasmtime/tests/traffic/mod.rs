//! Random traffic by seed: consumers that come, go, gain and lose credit; rows, columns and settings of every kind.

use plugin::{Columns, ConsumerRow, DispatchBatch, Member, MemberChange, PropertyColumn, QueueDispatch, text_hash};

/// SplitMix64: enough for a test, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Keys of messages and client ids of consumers; weights name some of them.
const NAMES: [&str; 6] = ["", "gold", "silver", "ID:big-1", "ID:big-2", "ID:small"];

/// Settings for a policy, most of them good; none at all for one in four.
pub(crate) fn settings(policy: &str, random: &mut Random) -> Vec<(String, String)> {
    let values: &[(&str, &[&str])] = match policy {
        "fair-share" => {
            &[("key", &["tenant", "JMSType", " "]), ("weights", &["gold=3, silver=2", "gold=1000", "gold"])]
        }
        "latency-aware" => &[("tolerance", &["0", "10", "250", "1001", "ten"])],
        "priority" => &[("by", &["urgency", "JMSPriority"]), ("rise-ms", &["0", "3", "1000", "-1"])],
        "sticky-by-property" => &[("property", &["customer"]), ("when-busy", &["wait", "spill", "run"])],
        "strict-order" => &[("order", &["arrival", "client-id", "chaos"])],
        "weighted" => &[("weights", &["ID:big-*=5", "gold=7,ID:big-2=3,ID:*=2", "*=4", "a=0", ",", "=1"])],
        _ => &[],
    };
    let mut settings = Vec::new();
    if random.below(4) == 0 {
        return settings;
    }
    for (key, values) in values {
        if random.below(4) > 0 {
            settings.push(((*key).to_owned(), random.pick(values).to_owned()));
        }
    }
    if random.below(12) == 0 {
        settings.push(("colour".to_owned(), "red".to_owned()));
    }
    settings
}

/// Consumers and rows.
pub(crate) struct Traffic {
    pub(crate) random: Random,
    now_ms: u64,
    consumers: Vec<ConsumerRow>,
    candidates: Vec<u64>,
    ack_interval: Vec<u32>,
    properties: Vec<PropertyColumn>,
    slot_next: u32,
    slots_free: Vec<u32>,
}

impl Traffic {
    pub(crate) fn new(seed: u64) -> Traffic {
        Traffic {
            random: Random(seed),
            now_ms: 1_000,
            consumers: vec![],
            candidates: vec![],
            ack_interval: vec![],
            properties: vec![],
            slot_next: 0,
            slots_free: vec![],
        }
    }

    /// The next batch's number of rows, its columns as `policy` wants them; `changes` gets who came and went.
    pub(crate) fn step(&mut self, policy: &dyn QueueDispatch, changes: &mut Vec<MemberChange>) -> usize {
        self.now_ms += self.random.below(5);
        changes.clear();
        if self.consumers.len() < 150 && self.random.below(6) == 0 {
            for _ in 0..1 + self.random.below(if self.random.0.is_multiple_of(16) { 90 } else { 3 }) {
                let slot = self.slots_free.pop().unwrap_or_else(|| {
                    self.slot_next += 1 + self.random.below(3) as u32;
                    self.slot_next
                });
                let priority = self.random.pick(&[0, 0, 0, 5, -5]);
                self.consumers.push(ConsumerRow { slot, credit: 0, in_flight: 0, priority });
                let client_id = self.random.pick(&NAMES).into();
                changes.push(MemberChange::Joined(Member { slot, client_id, selector: None, is_network: false }));
            }
        }
        while !self.consumers.is_empty() && self.random.below(8) == 0 {
            let at = self.random.below(self.consumers.len() as u64) as usize;
            let slot = self.consumers.remove(at).slot;
            changes.push(MemberChange::Left(slot));
            if self.random.below(2) == 0 {
                self.slots_free.push(slot);
            }
        }
        for consumer in &mut self.consumers {
            consumer.credit = self.random.below(6) as u32;
            consumer.in_flight = self.random.below(9) as u32;
        }
        let rows = self.random.pick(&[0, 1, 1, 8, 32, 128]);
        self.candidates.clear();
        if self.random.below(3) == 0 {
            let words = rows * self.consumers.len().div_ceil(64);
            self.candidates.extend((0..words).map(|_| self.random.below(u64::MAX)));
        }
        self.columns(policy, rows);
        rows
    }

    fn columns(&mut self, policy: &dyn QueueDispatch, rows: usize) {
        let Traffic { random, now_ms, .. } = self;
        self.ack_interval.clear();
        if policy.wants().contains(Columns::ACK_INTERVAL) {
            let interval = |random: &mut Random| random.pick(&[0, 1, 900, 1_000, 1_050, 50_000, u32::MAX]);
            self.ack_interval.extend(self.consumers.iter().map(|_| interval(random)));
        }
        let now = *now_ms as f64;
        self.properties.clear();
        self.properties.extend(policy.properties().iter().map(|property| {
            let mut column = PropertyColumn::new(property.form);
            for _ in 0..rows {
                match &mut column {
                    PropertyColumn::Symbols(values) => values.push(random.below(4) as u32),
                    PropertyColumn::Numbers(values) => {
                        values.push(random.pick(&[
                            0.0,
                            -0.0,
                            4.0,
                            9.0,
                            2.5,
                            -7.0,
                            1e300,
                            now - 4.0,
                            now + 4.0,
                            now - 900.0,
                        ]));
                    }
                    PropertyColumn::Hashes(values) => values.push(match random.below(3) {
                        0 => random.below(40) as i64 - 20,
                        _ => text_hash(random.pick(&NAMES)),
                    }),
                }
            }
            column
        }));
    }

    pub(crate) fn batch(&self, rows: usize) -> DispatchBatch<'_> {
        DispatchBatch {
            candidates: &self.candidates,
            ack_interval: &self.ack_interval,
            properties: &self.properties,
            ..DispatchBatch::new(self.now_ms, rows, &self.consumers)
        }
    }
}
