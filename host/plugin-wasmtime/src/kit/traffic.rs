//! Random traffic by seed: consumers that come, go, gain and lose credit; rows and columns of every kind.

use plugin::{
    Columns, ConsumerRow, DispatchBatch, Member, MemberChange, PropertyColumn, PropertyForm, QueueDispatch,
    SYMBOL_ABSENT, SymbolTable, text_hash,
};

/// SplitMix64: the same numbers everywhere.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Keys of messages and client ids of consumers; weights name some of them.
const NAMES: [&str; 6] = ["", "gold", "silver", "ID:big-1", "ID:big-2", "ID:small"];

/// A column of this form in which nothing has a value.
pub fn absent(form: PropertyForm, rows: usize) -> PropertyColumn {
    match form {
        PropertyForm::Symbol => PropertyColumn::Symbols(vec![SYMBOL_ABSENT; rows]),
        PropertyForm::Number => PropertyColumn::Numbers(vec![0.0; rows]),
        PropertyForm::Hash => PropertyColumn::Hashes(vec![0; rows]),
    }
}

/// The headers of messages that a policy wants to see.
#[derive(Debug, Default)]
pub(super) struct Headers {
    priority: Vec<u8>,
    size: Vec<u32>,
    redelivered: Vec<u32>,
    timestamp: Vec<i64>,
    expiration: Vec<i64>,
    sequence: Vec<i64>,
    group: Vec<u32>,
    message_type: Vec<u32>,
}

impl Headers {
    /// Those of plain messages.
    pub(super) fn plain(wants: Columns, rows: usize) -> Headers {
        Headers::random(&mut Random(0), wants, rows, 1, &[SYMBOL_ABSENT])
    }

    /// The batch with these headers.
    pub(super) fn shown<'a>(&'a self, batch: DispatchBatch<'a>) -> DispatchBatch<'a> {
        DispatchBatch {
            priority: &self.priority,
            size: &self.size,
            redelivered: &self.redelivered,
            timestamp: &self.timestamp,
            expiration: &self.expiration,
            sequence: &self.sequence,
            group: &self.group,
            message_type: &self.message_type,
            ..batch
        }
    }

    fn random(random: &mut Random, wants: Columns, rows: usize, now_ms: u64, symbols: &[u32]) -> Headers {
        let now = now_ms as i64;
        Headers {
            priority: each(wants, Columns::PRIORITY, rows, || random.pick(&[4, 4, 4, 0, 9])),
            size: each(wants, Columns::SIZE, rows, || random.pick(&[100, 1_000, 1_000_000])),
            redelivered: each(wants, Columns::REDELIVERED, rows, || random.pick(&[0, 0, 0, 1, 6])),
            timestamp: each(wants, Columns::TIMESTAMP, rows, || now - random.below(1_000) as i64),
            expiration: each(wants, Columns::EXPIRATION, rows, || random.pick(&[0, 0, now + 1, now + 60_000])),
            sequence: (1..).take(if wants.contains(Columns::SEQUENCE) { rows } else { 0 }).collect(),
            group: each(wants, Columns::GROUP, rows, || random.pick(symbols)),
            message_type: each(wants, Columns::MESSAGE_TYPE, rows, || random.pick(symbols)),
        }
    }
}

/// A value a row if the column is wanted.
fn each<T>(wants: Columns, column: Columns, rows: usize, value: impl FnMut() -> T) -> Vec<T> {
    let rows = if wants.contains(column) { rows } else { 0 };
    std::iter::repeat_with(value).take(rows).collect()
}

/// Consumers of one queue and the messages that wait for them, step by step.
#[derive(Debug)]
pub struct Traffic {
    random: Random,
    /// Symbols of the texts that properties have.
    symbols: Vec<u32>,
    now_ms: u64,
    consumers: Vec<ConsumerRow>,
    candidates: Vec<u64>,
    ack_interval: Vec<u32>,
    properties: Vec<PropertyColumn>,
    headers: Headers,
    slot_next: u32,
    slots_free: Vec<u32>,
}

impl Traffic {
    /// The traffic of this seed. Texts become symbols of `symbols`, the table of whoever runs the policy.
    pub fn new(seed: u64, symbols: &SymbolTable) -> Traffic {
        let texts = ["gold", "silver", "tin"].map(|text| symbols.intern(text));
        Traffic {
            random: Random(seed),
            symbols: [SYMBOL_ABSENT].into_iter().chain(texts).collect(),
            now_ms: 1_000,
            consumers: vec![],
            candidates: vec![],
            ack_interval: vec![],
            properties: vec![],
            headers: Headers::default(),
            slot_next: 0,
            slots_free: vec![],
        }
    }

    /// The time of the last step.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The next batch's number of rows, its columns as `policy` wants them; `changes` gets who came and went.
    pub fn step(&mut self, policy: &dyn QueueDispatch, changes: &mut Vec<MemberChange>) -> usize {
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

    /// Another batch of so many rows, for the consumers of the last step: each may take each.
    pub(super) fn resize(&mut self, policy: &dyn QueueDispatch, rows: usize) {
        self.candidates.clear();
        self.columns(policy, rows);
    }

    fn columns(&mut self, policy: &dyn QueueDispatch, rows: usize) {
        let Traffic { random, now_ms, symbols, .. } = self;
        self.ack_interval.clear();
        if policy.wants().contains(Columns::ACK_INTERVAL) {
            let interval = |random: &mut Random| random.pick(&[0, 1, 900, 1_000, 1_050, 50_000, u32::MAX]);
            self.ack_interval.extend(self.consumers.iter().map(|_| interval(random)));
        }
        self.headers = Headers::random(random, policy.wants(), rows, *now_ms, symbols);
        let now = *now_ms as f64;
        self.properties.clear();
        self.properties.extend(policy.properties().iter().map(|property| {
            let mut column = PropertyColumn::new(property.form);
            for _ in 0..rows {
                match &mut column {
                    PropertyColumn::Symbols(values) => values.push(random.pick(symbols)),
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

    /// The batch of the last step, of `rows` rows.
    pub fn batch(&self, rows: usize) -> DispatchBatch<'_> {
        DispatchBatch {
            candidates: &self.candidates,
            ack_interval: &self.ack_interval,
            properties: &self.properties,
            ..self.headers.shown(DispatchBatch::new(self.now_ms, rows, &self.consumers))
        }
    }
}
