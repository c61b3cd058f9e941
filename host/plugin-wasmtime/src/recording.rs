//! A recording: what the policy of a queue was asked and what it answered, in a form that outlives versions.
//!
//! A file of lines, each of them a value of JSON. The first is the [`Head`], the others are [`Step`]s, oldest first:
//!
//! ```text
//! {"jackfield-recording":1,"point":"queue-dispatch","policy":"mine","destination":"ORDERS","settings":[["a","b"]],…}
//! {"changes":[{"joined":{"slot":1,"client-id":"gold"}}],"now-ms":1000,"rows":2,"columns":[{"id":1,"data":{"u8s":[4,4]}}],
//!  "consumers":{"slots":[1],"credit":[9],"in-flight":[0],"priority":[0]},"answer":{"slots":[1,1]}}
//! ```
//!
//! It grows like the WIT package: a new fact is a new field with a default, and a reader skips fields that it does not
//! know. The number behind `jackfield-recording` changes only when an older reader would misunderstand. Bytes are
//! hexadecimal digits; numbers with a fraction are texts, so that none is rounded and infinity has a form; symbols are
//! those of the broker, with their texts in the head.

use std::collections::{BTreeMap, BTreeSet};

use plugin::{Columns, ConsumerRow, DispatchBatch, Member, MemberChange, Property, PropertyColumn, PropertyForm};
use serde::{Deserialize, Serialize};

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// Word of the one extension point that is recorded.
const POINT: &str = "queue-dispatch";
/// Most messages in a step that is believed.
const ROWS_MAX: usize = 65_536;
/// Highest number of a symbol that is believed.
const SYMBOL_MAX: u32 = 1 << 20;

/// What a policy was asked and answered, from one moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// What held all the time.
    pub head: Head,
    /// The questions and answers, oldest first.
    pub steps: Vec<Step>,
}

/// What held all the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Head {
    #[serde(rename = "jackfield-recording")]
    pub(crate) version: u32,
    pub(crate) point: String,
    /// Name of the policy.
    pub policy: String,
    /// Its generation; 0 if it has none.
    #[serde(default)]
    pub generation: u64,
    /// SHA-256 of its component in hexadecimal digits; empty if nobody said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub component: String,
    /// The queue.
    pub destination: String,
    /// The broker's time when it began, ms since 1970.
    #[serde(default)]
    pub begun_ms: u64,
    /// What the policy was configured with, in order.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// The properties that it wanted, as it wrote them; columns 1000, 1001 and so on.
    #[serde(default)]
    pub properties: Vec<String>,
    /// What it remembered when the recording began.
    pub start: Start,
    /// What its store held then, by key, the values as hexadecimal digits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub store: BTreeMap<String, String>,
    /// The texts of the symbols that the steps name.
    #[serde(default)]
    pub symbols: BTreeMap<u32, String>,
    /// Batches that the native policy decided meanwhile; they are not among the steps.
    #[serde(default)]
    pub batches_native: u64,
    /// Why it ended; empty if it was told to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ended: String,
}

/// What a policy remembered when a recording began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Nothing: it was a new instance.
    Fresh,
    /// What its `snapshot` wrote.
    State {
        /// The format.
        format: u32,
        /// The state, as hexadecimal digits.
        bytes: String,
    },
    /// Nobody knows: it had been asked before and writes no snapshots. Another instance may decide otherwise.
    Unknown,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Who came and went since the step before; the first names all who are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The broker's time, ms since 1970.
    pub now_ms: u64,
    /// Messages asked about.
    pub rows: usize,
    /// Columns of messages, those that the policy did not ask for included; properties behind the others.
    #[serde(default)]
    pub columns: Vec<RecordedColumn>,
    /// Who may take what, as in the WIT package.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<u64>,
    /// The consumers.
    pub consumers: RecordedConsumers,
    /// What the policy answered, before it was checked.
    pub answer: Answered,
}

/// Who came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A consumer came.
    Joined(RecordedMember),
    /// The consumer of this slot went.
    Left(u32),
}

/// A consumer as it joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordedMember {
    /// Its slot.
    pub slot: u32,
    /// Its client id.
    pub client_id: String,
    /// Its selector; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// True for the subscription of another broker.
    #[serde(default)]
    pub is_network: bool,
}

/// A column with its id of the WIT package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedColumn {
    /// The id.
    pub id: u32,
    /// A value a row, or a consumer.
    pub data: Data,
}

/// The values of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// Small numbers.
    U8s(Vec<u8>),
    /// Counts.
    U32s(Vec<u32>),
    /// Times, sequences, hashes.
    S64s(Vec<i64>),
    /// Numbers.
    F64s(#[serde(with = "floats")] Vec<f64>),
    /// Texts, by their numbers.
    Symbols(Vec<u32>),
}

/// The consumers as they stood; index `i` of each list is the same one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordedConsumers {
    /// Their slots.
    pub slots: Vec<u32>,
    /// Messages that each may still be given.
    pub credit: Vec<u32>,
    /// Messages given and not acknowledged.
    pub in_flight: Vec<u32>,
    /// Their priorities.
    pub priority: Vec<i16>,
    /// Further columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<RecordedColumn>,
}

/// What a policy answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// A slot a row, 4294967295 for "leave it".
    Slots(Vec<u32>),
    /// None: `trap`, `deadline` or `wrong-length`.
    Fault(String),
}

/// Why there is no recording, or why it cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// Nobody is asked under this name.
    #[error(
        "{what} is neither a queue with consumers whose policy is a component, nor such a policy; see `jackfield plugin list`"
    )]
    Nobody {
        /// The name.
        what: String,
    },
    /// A policy decides on several queues.
    #[error("policy {policy} decides on {}; name one of these queues", destinations.join(", "))]
    Several {
        /// The policy.
        policy: String,
        /// Its queues.
        destinations: Vec<String>,
    },
    /// This queue is recorded already.
    #[error("{destination} is being recorded already; wait for that to end")]
    Taken {
        /// The queue.
        destination: String,
    },
    /// This queue is not recorded.
    #[error("{destination} is not being recorded, or its recording was fetched or dropped already")]
    NotRecorded {
        /// The queue.
        destination: String,
    },
    /// There is no batch in it.
    #[error("nothing was recorded of {destination}: {reason}")]
    Empty {
        /// The queue.
        destination: String,
        /// Why.
        reason: String,
    },
    /// There are too many.
    #[error("there are {limit} recordings already, the limit recordings_max; wait for one to end")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The text is no recording.
    #[error("it is no recording: {reason}")]
    NotOne {
        /// What was found.
        reason: String,
    },
    /// It was written by a newer program.
    #[error(
        "it is of version {version}, this program reads up to {VERSION}; use the program that wrote it, or a newer one"
    )]
    Newer {
        /// Its version.
        version: u32,
    },
    /// It is damaged.
    #[error("batch {batch} is damaged: {reason}")]
    Damaged {
        /// Which step, from 1.
        batch: usize,
        /// What is wrong.
        reason: String,
    },
    /// The component wants to see what was not recorded.
    #[error("it wants {what}, which is not in the recording; record again with a policy that wants it too")]
    Lacks {
        /// The column.
        what: String,
    },
    /// The component takes fewer messages at a time than were asked about.
    #[error(
        "it takes at most {most} messages a call, and batch {batch} has {rows}; record again with dispatch_rows = {most}"
    )]
    TooManyRows {
        /// Which step, from 1.
        batch: usize,
        /// Its rows.
        rows: usize,
        /// What the component takes.
        most: usize,
    },
    /// The component cannot be run.
    #[error(transparent)]
    Policy(#[from] plugin::PolicyError),
}

impl Recording {
    /// The text of the file.
    pub fn write(&self) -> String {
        self.steps.iter().fold(line(&self.head), |text, step| text + &line(step))
    }

    /// Reads what [`write`](Self::write) wrote, in this version or a former one, and checks that it fits together.
    pub fn read(text: &str) -> Result<Recording, RecordingError> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let version: Version =
            serde_json::from_str(first).map_err(|error| RecordingError::NotOne { reason: error.to_string() })?;
        if version.version > VERSION {
            return Err(RecordingError::Newer { version: version.version });
        }
        let head: Head =
            serde_json::from_str(first).map_err(|error| RecordingError::NotOne { reason: error.to_string() })?;
        head.check().map_err(|reason| RecordingError::NotOne { reason })?;
        let step = |(at, line): (usize, &str)| {
            let damaged = |reason| RecordingError::Damaged { batch: at + 1, reason };
            let step: Step = serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
            step.check(&head).map_err(damaged)?;
            Ok::<Step, RecordingError>(step)
        };
        let steps = lines.enumerate().map(step).collect::<Result<_, RecordingError>>()?;
        Ok(Recording { head, steps })
    }

    /// Messages in all the steps.
    pub fn rows(&self) -> usize {
        self.steps.iter().map(|step| step.rows).sum()
    }

    /// The symbols that the steps name.
    pub(crate) fn named(steps: &[Step]) -> BTreeSet<u32> {
        let columns = steps.iter().flat_map(|step| &step.columns);
        let named = columns.filter_map(|column| match &column.data {
            Data::Symbols(symbols) => Some(symbols),
            _ => None,
        });
        named.flatten().copied().filter(|symbol| *symbol != 0).collect()
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "jackfield-recording")]
    version: u32,
}

impl Head {
    pub(crate) fn new(policy: &str, destination: &str, start: Start) -> Head {
        Head {
            version: VERSION,
            point: POINT.to_owned(),
            policy: policy.to_owned(),
            generation: 0,
            component: String::new(),
            destination: destination.to_owned(),
            begun_ms: 0,
            settings: Vec::new(),
            properties: Vec::new(),
            start,
            store: BTreeMap::new(),
            symbols: BTreeMap::new(),
            batches_native: 0,
            ended: String::new(),
        }
    }

    /// Makes the policy's store again.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&str, Vec<u8>)> {
        self.store.iter().map(|(key, value)| (key.as_str(), bytes(value).unwrap_or_default()))
    }

    /// Where a property of this form stands among the properties.
    fn place(&self, property: &Property) -> Option<u32> {
        let written = property.to_string();
        let at = self.properties.iter().position(|other| *other == written)?;
        u32::try_from(at).ok().map(|at| Property::ID_FIRST + at)
    }

    fn check(&self) -> Result<(), String> {
        if self.point != POINT {
            return Err(format!("it is of {}, and only {POINT} can be played", self.point));
        }
        if self.symbols.keys().any(|symbol| *symbol == 0 || *symbol > SYMBOL_MAX) {
            return Err(format!("its symbols are not between 1 and {SYMBOL_MAX}"));
        }
        let states = match &self.start {
            Start::State { bytes, .. } => Some(bytes),
            Start::Fresh | Start::Unknown => None,
        };
        match states.into_iter().chain(self.store.values()).all(|text| bytes(text).is_some()) {
            true => Ok(()),
            false => Err("its bytes are not pairs of hexadecimal digits".to_owned()),
        }
    }
}

impl Step {
    /// Takes down a question and its answer.
    pub(crate) fn of(changes: Vec<Change>, asked: &DispatchBatch<'_>, answer: Answered) -> Step {
        let mut columns = Vec::new();
        let mut put = |id: u32, is_there: bool, data: Data| {
            if is_there {
                columns.push(RecordedColumn { id, data });
            }
        };
        put(1, !asked.priority.is_empty(), Data::U8s(asked.priority.to_vec()));
        put(2, !asked.size.is_empty(), Data::U32s(asked.size.to_vec()));
        put(3, !asked.redelivered.is_empty(), Data::U32s(asked.redelivered.to_vec()));
        put(4, !asked.timestamp.is_empty(), Data::S64s(asked.timestamp.to_vec()));
        put(5, !asked.expiration.is_empty(), Data::S64s(asked.expiration.to_vec()));
        put(6, !asked.sequence.is_empty(), Data::S64s(asked.sequence.to_vec()));
        put(7, !asked.group.is_empty(), Data::Symbols(asked.group.to_vec()));
        put(8, !asked.message_type.is_empty(), Data::Symbols(asked.message_type.to_vec()));
        for (id, values) in (Property::ID_FIRST..).zip(asked.properties) {
            let data = match values {
                PropertyColumn::Symbols(values) => Data::Symbols(values.clone()),
                PropertyColumn::Numbers(values) => Data::F64s(values.clone()),
                PropertyColumn::Hashes(values) => Data::S64s(values.clone()),
            };
            put(id, true, data);
        }
        let rows = asked.consumers.iter();
        let mut consumers = RecordedConsumers {
            slots: rows.clone().map(|row| row.slot).collect(),
            credit: rows.clone().map(|row| row.credit).collect(),
            in_flight: rows.clone().map(|row| row.in_flight).collect(),
            priority: rows.map(|row| row.priority).collect(),
            columns: Vec::new(),
        };
        if !asked.ack_interval.is_empty() {
            let data = Data::U32s(asked.ack_interval.to_vec());
            consumers.columns.push(RecordedColumn { id: Columns::ACK_INTERVAL_ID, data });
        }
        Step {
            changes,
            now_ms: asked.now_ms,
            rows: asked.rows,
            columns,
            candidates: asked.candidates.to_vec(),
            consumers,
            answer,
        }
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> u64 {
        let columns = |columns: &[RecordedColumn]| columns.iter().map(|column| 48 + column.data.bytes()).sum::<usize>();
        let changes = self.changes.iter().map(|change| match change {
            Change::Joined(member) => 80 + member.client_id.len() + member.selector.len(),
            Change::Left(_) => 80,
        });
        let answer = match &self.answer {
            Answered::Slots(slots) => slots.len() * 4,
            Answered::Fault(kind) => kind.len(),
        };
        let own = size_of::<Step>() + self.candidates.len() * 8 + self.consumers.slots.len() * 14 + answer;
        (own + columns(&self.columns) + columns(&self.consumers.columns) + changes.sum::<usize>()) as u64
    }

    /// The consumers as rows of a table.
    pub(crate) fn table(&self) -> Vec<ConsumerRow> {
        let RecordedConsumers { slots, credit, in_flight, priority, .. } = &self.consumers;
        let row = |at: usize| ConsumerRow {
            slot: slots[at],
            credit: credit[at],
            in_flight: in_flight[at],
            priority: priority[at],
        };
        (0..slots.len()).map(row).collect()
    }

    /// The columns of these properties; the error names the one that is not there.
    pub(crate) fn properties(&self, head: &Head, wanted: &[Property]) -> Result<Vec<PropertyColumn>, String> {
        let find = |property: &Property| {
            let data = head.place(property).and_then(|id| self.column(id));
            match (property.form, data) {
                (PropertyForm::Symbol, Some(Data::Symbols(values))) => Ok(PropertyColumn::Symbols(values.clone())),
                (PropertyForm::Number, Some(Data::F64s(values))) => Ok(PropertyColumn::Numbers(values.clone())),
                (PropertyForm::Hash, Some(Data::S64s(values))) => Ok(PropertyColumn::Hashes(values.clone())),
                _ => Err(format!("property {property}")),
            }
        };
        wanted.iter().map(find).collect()
    }

    /// The question as it was put.
    pub(crate) fn question<'a>(
        &'a self,
        consumers: &'a [ConsumerRow],
        properties: &'a [PropertyColumn],
    ) -> DispatchBatch<'a> {
        let u32s = |id| match self.column(id) {
            Some(Data::U32s(values) | Data::Symbols(values)) => values.as_slice(),
            _ => &[],
        };
        let s64s = |id| match self.column(id) {
            Some(Data::S64s(values)) => values.as_slice(),
            _ => &[],
        };
        let priority = match self.column(1) {
            Some(Data::U8s(values)) => values.as_slice(),
            _ => &[],
        };
        DispatchBatch {
            priority,
            size: u32s(2),
            redelivered: u32s(3),
            timestamp: s64s(4),
            expiration: s64s(5),
            sequence: s64s(6),
            group: u32s(7),
            message_type: u32s(8),
            properties,
            ack_interval: u32s(Columns::ACK_INTERVAL_ID),
            candidates: &self.candidates,
            ..DispatchBatch::new(self.now_ms, self.rows, consumers)
        }
    }

    pub(crate) fn column(&self, id: u32) -> Option<&Data> {
        let columns = self.columns.iter().chain(&self.consumers.columns);
        columns.into_iter().find(|column| column.id == id).map(|column| &column.data)
    }

    fn check(&self, head: &Head) -> Result<(), String> {
        if self.rows > ROWS_MAX {
            return Err(format!("it has {} messages, and {ROWS_MAX} are believed", self.rows));
        }
        let RecordedConsumers { slots, credit, in_flight, priority, columns } = &self.consumers;
        let count = slots.len();
        if [credit.len(), in_flight.len(), priority.len()] != [count; 3] {
            return Err("its lists of consumers differ in length".to_owned());
        }
        let lengths = self.columns.iter().map(|column| (column, self.rows));
        if let Some((column, _)) = lengths
            .chain(columns.iter().map(|column| (column, count)))
            .find(|(column, wanted)| column.data.len() != *wanted)
        {
            return Err(format!("column {} has {} values", column.id, column.data.len()));
        }
        if !self.candidates.is_empty() && self.candidates.len() != self.rows * count.div_ceil(64) {
            return Err("its matrix of candidates has another size".to_owned());
        }
        let unnamed = Recording::named(std::slice::from_ref(self));
        if let Some(symbol) = unnamed.iter().find(|symbol| !head.symbols.contains_key(symbol)) {
            return Err(format!("symbol {symbol} has no text"));
        }
        match &self.answer {
            Answered::Slots(slots) if slots.len() != self.rows => Err("its answer has another length".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Data::U8s(values) => values.len(),
            Data::U32s(values) | Data::Symbols(values) => values.len(),
            Data::S64s(values) => values.len(),
            Data::F64s(values) => values.len(),
        }
    }

    fn bytes(&self) -> usize {
        let each = match self {
            Data::U8s(_) => 1,
            Data::U32s(_) | Data::Symbols(_) => 4,
            Data::S64s(_) | Data::F64s(_) => 8,
        };
        self.len() * each
    }

    /// The value at `row` as people read it.
    pub(crate) fn text(&self, row: usize, symbols: &BTreeMap<u32, String>) -> String {
        match self {
            Data::U8s(values) => values[row].to_string(),
            Data::U32s(values) => values[row].to_string(),
            Data::S64s(values) => values[row].to_string(),
            Data::F64s(values) => values[row].to_string(),
            Data::Symbols(values) => symbols.get(&values[row]).map_or("absent".to_owned(), |text| format!("{text:?}")),
        }
    }
}

impl Change {
    pub(crate) fn of(change: &MemberChange) -> Change {
        match change {
            MemberChange::Joined(member) => Change::Joined(RecordedMember {
                slot: member.slot,
                client_id: member.client_id.to_string(),
                selector: member.selector.as_deref().unwrap_or_default().to_owned(),
                is_network: member.is_network,
            }),
            MemberChange::Left(slot) => Change::Left(*slot),
        }
    }

    pub(crate) fn told(&self) -> MemberChange {
        match self {
            Change::Joined(member) => MemberChange::Joined(Member {
                slot: member.slot,
                client_id: member.client_id.as_str().into(),
                selector: Some(member.selector.as_str()).filter(|text| !text.is_empty()).map(Into::into),
                is_network: member.is_network,
            }),
            Change::Left(slot) => MemberChange::Left(*slot),
        }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

/// A value as a line.
fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain values have no keys that JSON cannot write") + "\n"
}

/// Numbers as texts.
mod floats {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<f64>, D::Error> {
        let number = |text: &String| text.parse().map_err(|_| D::Error::custom(format!("{text} is no number")));
        Vec::<String>::deserialize(from)?.iter().map(number).collect()
    }
}
