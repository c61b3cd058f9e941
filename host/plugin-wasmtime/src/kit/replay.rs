//! A recording put to a component, question by question, and the comparison of the answers.
//!
//! Nothing but the component decides: it has an instance of its own, the settings, state, store, times and symbols of the
//! recording, and more time than a broker gives.

use std::sync::Arc;

use plugin::{Columns, DispatchBatch, LEAVE, Member, MemberChange, PlanCheck, Point, PolicyError, PolicyOrigin};
use plugin::{SymbolLimits, SymbolTable};
use serde::Serialize;

use crate::bindings::{Batch, Consumers, Setting};
use crate::cell::{Counters, Seat};
use crate::check::check;
use crate::dispatch::{QueueFunctions, fill, fill_consumers, note, tell_and_plan};
use crate::instance::{Fault, FaultKind, Live};
use crate::kit::contract::CALL_MS;
use crate::program::{Program, Ready};
use crate::recording::{Answered, Change, Recording, RecordingError, Start, Step, bytes as from_hex};
use crate::runtime::Runtime;
use crate::stores::Memory;
use crate::world::World;
use crate::{CachePlace, Limits, dispatch};

/// Consumers that a difference shows at most; those named by the answers are among them.
const CANDIDATES_MAX: usize = 16;

/// What came of playing a recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Batches that the component was asked about.
    pub batches: usize,
    /// Those of them that it decided as recorded, to the last message.
    pub batches_equal: usize,
    /// Messages in these batches.
    pub rows: usize,
    /// Those of them that it gave to the consumer that was recorded, or left as recorded.
    pub rows_equal: usize,
    /// Its answers that a broker would have had to correct.
    pub corrected: u64,
    /// Its answers that were recorded and would have had to be corrected.
    pub corrected_recorded: u64,
    /// Why its start is not the recorded one, if it is not.
    pub start: Option<String>,
    /// The first batch that was decided otherwise. What differs behind it may follow from it.
    pub first: Option<Difference>,
    /// Why not all batches were played, if they were not.
    pub ended: Option<String>,
}

impl Replay {
    /// True if everything was decided as it was recorded.
    pub fn is_equal(&self, recording: &Recording) -> bool {
        self.batches_equal == recording.steps.len()
    }
}

/// A message that was decided otherwise, with all that it was decided by.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Which batch, from 1.
    pub batch: usize,
    /// Messages in the batch.
    pub rows: usize,
    /// Which message of the batch, from 1; 0 if an answer has none for it.
    pub row: usize,
    /// The broker's time, ms since 1970.
    pub now_ms: u64,
    /// What was recorded, in words.
    pub recorded: String,
    /// What the component says, in words.
    pub replayed: String,
    /// What was shown of the message: the names of columns and their values.
    pub message: Vec<(String, String)>,
    /// The consumers, as far as they fit.
    pub consumers: Vec<Candidate>,
    /// How many there were.
    pub consumers_all: usize,
}

/// A consumer as it stood at a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its slot.
    pub slot: u32,
    /// Its client id.
    pub client_id: String,
    /// Its priority.
    pub priority: i16,
    /// Messages that it could be given in the batch.
    pub credit: u32,
    /// Those of them that recorded answers to messages before this one used up.
    pub used: u32,
    /// Messages given and not acknowledged.
    pub in_flight: u32,
    /// Whether it may take this message.
    pub may_take: bool,
}

/// Plays a recording to a component, with the recorded settings or with others.
pub fn replay(
    recording: &Recording,
    bytes: &[u8],
    settings: Option<&[(String, String)]>,
    limits: &Limits,
    cache: Option<&CachePlace>,
) -> Result<Replay, RecordingError> {
    let head = &recording.head;
    let limits = Limits { call_ms_max: CALL_MS, ..*limits };
    let texts = head.symbols.iter().map(|(symbol, text)| (*symbol, Arc::from(text.as_str())));
    let highest = head.symbols.keys().next_back().map_or(0, |symbol| *symbol as usize);
    let most = SymbolLimits::default();
    let symbols = SymbolTable::of(SymbolLimits { symbols_max: most.symbols_max.max(highest), ..most }, texts);
    let runtime = Runtime::alone(limits, symbols, cache)?;
    let world = recordable(&head.policy, bytes, &limits)?;
    let told: Vec<Setting> = settings
        .unwrap_or(&head.settings)
        .iter()
        .map(|(key, value)| Setting { key: key.clone(), value: value.clone() })
        .collect();
    let (origin, bytes) = (PolicyOrigin::Custom, bytes.to_vec().into());
    let program = Program::new(&head.policy, "replayed", origin, world, bytes, told, 0);
    let ready = program.prepare(&runtime).map_err(Clone::clone)?;
    Player::new(&runtime, &program, ready, recording)?.play()
}

/// The world of a component, if that is one whose decisions are recorded.
pub(super) fn recordable(policy: &str, bytes: &[u8], limits: &Limits) -> Result<&'static World, PolicyError> {
    let world = check(policy, bytes, limits)?;
    if world.point != Point::QueueDispatch {
        let reason = format!("it is of world {} where {} is recorded", world.name, dispatch::WORLD.name);
        return Err(PolicyError::WrongWorld { policy: policy.to_owned(), reason });
    }
    Ok(world)
}

struct Player<'a> {
    runtime: &'a Runtime,
    ready: &'a Ready,
    recording: &'a Recording,
    live: Live<QueueFunctions>,
    members: Vec<Member>,
    untold: Vec<MemberChange>,
    batch: Arc<Batch>,
    consumers: Arc<Consumers>,
    check: PlanCheck,
    found: Replay,
}

impl<'a> Player<'a> {
    fn new(
        runtime: &'a Runtime,
        program: &Program,
        ready: &'a Ready,
        recording: &'a Recording,
    ) -> Result<Player<'a>, RecordingError> {
        let head = &recording.head;
        let broken = |what: &str, reason: String| PolicyError::Refused {
            policy: head.policy.clone(),
            reason: what.to_owned() + &reason,
        };
        let fault = |fault: Fault| broken("it fails before the first question: ", fault.reason);
        let memory = Arc::new(Memory::new(&runtime.limits));
        for (key, value) in head.stored() {
            // What does not fit was written under other limits, and the policy has to live with that.
            let _ = memory.store.put(key, value);
        }
        let seat = Seat {
            policy: program.name.clone(),
            destination: head.destination.as_str().into(),
            counters: Arc::<Counters>::default(),
            memory,
        };
        let mut live = Live::new(runtime, &seat, &ready.exports).map_err(fault)?;
        let configured = live.configure(&runtime.ticker, &ready.exports, &program.settings).map_err(fault)?;
        configured.map_err(|reason| broken("it refuses its settings: ", reason))?;
        let mut found = Replay::default();
        match &head.start {
            Start::Fresh => {}
            Start::Unknown => {
                let what = "what the recorded policy remembered at the start is not known: it writes no snapshots";
                found.start = Some(what.to_owned());
            }
            Start::State { format, .. } if !ready.restores.contains(format) => {
                let known = &ready.restores;
                found.start = Some(format!("the recorded state has format {format}, it restores {known:?}"));
            }
            Start::State { format, bytes } => {
                let state: Arc<[u8]> = from_hex(bytes).unwrap_or_default().into();
                let taken = live.restore(&runtime.ticker, &ready.exports, *format, &state).map_err(fault)?;
                found.start = taken.err().map(|refusal| format!("it refuses the recorded state: {refusal:?}"));
            }
        }
        let batch = Batch { destination: runtime.symbols.intern(&head.destination), ..Batch::default() };
        Ok(Player {
            runtime,
            ready,
            recording,
            live,
            members: Vec::new(),
            untold: Vec::new(),
            batch: Arc::new(batch),
            consumers: Arc::default(),
            check: PlanCheck::new(),
            found,
        })
    }

    fn play(mut self) -> Result<Replay, RecordingError> {
        for (at, step) in self.recording.steps.iter().enumerate() {
            let answer = self.ask(at + 1, step)?;
            let is_over = matches!(answer, Answered::Fault(_));
            self.compare(at + 1, step, answer);
            if is_over {
                break;
            }
        }
        Ok(self.found)
    }

    fn ask(&mut self, number: usize, step: &Step) -> Result<Answered, RecordingError> {
        for change in step.changes.iter().map(Change::told) {
            match &change {
                MemberChange::Joined(member) => self.members.push(member.clone()),
                MemberChange::Left(slot) => self.members.retain(|member| member.slot != *slot),
            }
            note(&mut self.untold, &change);
        }
        if step.rows > self.ready.rows_max {
            return Err(RecordingError::TooManyRows { batch: number, rows: step.rows, most: self.ready.rows_max });
        }
        let lacks = |what| RecordingError::Lacks { what };
        let properties = step.properties(&self.recording.head, &self.ready.properties).map_err(lacks)?;
        let table = step.table();
        let question = step.question(&table, &properties);
        if !fill(Arc::make_mut(&mut self.batch), self.ready, &question) {
            return Err(lacks(missing(self.ready, &question)));
        }
        fill_consumers(Arc::make_mut(&mut self.consumers), self.ready, &question);
        let asked =
            tell_and_plan(self.runtime, &mut self.live, &mut self.untold, &self.members, &self.batch, &self.consumers);
        Ok(match asked {
            Ok(slots) if slots.len() == step.rows => {
                let mut plan = slots.clone();
                self.found.corrected += self.check.correct(&question, &mut plan).total();
                Answered::Slots(slots)
            }
            Ok(_) => Answered::Fault("wrong-length".to_owned()),
            Err(fault) => {
                let kind = if fault.kind == FaultKind::Deadline { "deadline" } else { "trap" };
                self.found.ended = Some(format!("it failed at batch {number}: {}", fault.reason));
                Answered::Fault(kind.to_owned())
            }
        })
    }

    fn compare(&mut self, number: usize, step: &Step, answer: Answered) {
        let found = &mut self.found;
        found.batches += 1;
        found.rows += step.rows;
        let row = match (&step.answer, &answer) {
            (Answered::Slots(recorded), Answered::Slots(replayed)) => {
                let pairs = recorded.iter().zip(replayed);
                found.rows_equal += pairs.clone().filter(|(recorded, replayed)| recorded == replayed).count();
                let table = step.table();
                let question =
                    DispatchBatch { candidates: &step.candidates, ..DispatchBatch::new(0, step.rows, &table) };
                found.corrected_recorded += self.check.correct(&question, &mut recorded.clone()).total();
                pairs.clone().position(|(recorded, replayed)| recorded != replayed)
            }
            _ => None,
        };
        if step.answer == answer {
            self.found.batches_equal += 1;
        } else if self.found.first.is_none() {
            self.found.first = Some(self.difference(number, step, &answer, row));
        }
    }

    fn difference(&self, number: usize, step: &Step, answer: &Answered, row: Option<usize>) -> Difference {
        let head = &self.recording.head;
        let said = |answer: &Answered| match (answer, row) {
            (Answered::Slots(slots), Some(row)) if slots[row] == LEAVE => "left where it is".to_owned(),
            (Answered::Slots(slots), Some(row)) => self.named(slots[row]),
            (Answered::Slots(_), None) => "an answer".to_owned(),
            (Answered::Fault(kind), _) => format!("no answer: {kind}"),
        };
        let message = row.map(|row| {
            let name = |id: u32| match (id.checked_sub(plugin::Property::ID_FIRST), HEADERS.get(id as usize)) {
                (Some(at), _) => head.properties.get(at as usize).cloned().unwrap_or_else(|| id.to_string()),
                (None, Some(header)) => (*header).to_owned(),
                (None, None) => id.to_string(),
            };
            step.columns.iter().map(|column| (name(column.id), column.data.text(row, &head.symbols))).collect()
        });
        let table = step.table();
        let question = DispatchBatch { candidates: &step.candidates, ..DispatchBatch::new(0, step.rows, &table) };
        let slots = |answer: &Answered| match answer {
            Answered::Slots(slots) => slots.clone(),
            Answered::Fault(_) => Vec::new(),
        };
        let (recorded, replayed) = (slots(&step.answer), slots(answer));
        let is_meant =
            |slot: u32| row.is_some_and(|row| recorded.get(row) == Some(&slot) || replayed.get(row) == Some(&slot));
        let before = &recorded[..row.unwrap_or(0).min(recorded.len())];
        let candidate = |(at, consumer): (usize, &plugin::ConsumerRow)| Candidate {
            slot: consumer.slot,
            client_id: self.client_id(consumer.slot).to_owned(),
            priority: consumer.priority,
            credit: consumer.credit,
            used: before.iter().filter(|slot| **slot == consumer.slot).count() as u32,
            in_flight: consumer.in_flight,
            may_take: question.is_candidate(row.unwrap_or(0), at),
        };
        let meant = table.iter().enumerate().filter(|(_, consumer)| is_meant(consumer.slot));
        let others = table.iter().enumerate().filter(|(_, consumer)| !is_meant(consumer.slot));
        Difference {
            batch: number,
            rows: step.rows,
            row: row.map_or(0, |row| row + 1),
            now_ms: step.now_ms,
            recorded: said(&step.answer),
            replayed: said(answer),
            message: message.unwrap_or_default(),
            consumers: meant.chain(others).take(CANDIDATES_MAX).map(candidate).collect(),
            consumers_all: table.len(),
        }
    }

    fn named(&self, slot: u32) -> String {
        match self.members.iter().find(|member| member.slot == slot) {
            Some(member) => format!("slot {slot}, client id {:?}", &*member.client_id),
            None => format!("slot {slot}, which no consumer has"),
        }
    }

    fn client_id(&self, slot: u32) -> &str {
        self.members.iter().find(|member| member.slot == slot).map_or("", |member| &member.client_id)
    }
}

/// Names of the columns of the WIT package, by id.
const HEADERS: [&str; 9] =
    ["", "priority", "size", "redelivery-count", "timestamp", "expiration", "sequence", "group", "type"];

/// The column that a component wants and a question has not.
fn missing(ready: &Ready, question: &DispatchBatch<'_>) -> String {
    let have = [
        question.rows,
        question.priority.len(),
        question.size.len(),
        question.redelivered.len(),
        question.timestamp.len(),
        question.expiration.len(),
        question.sequence.len(),
        question.group.len(),
        question.message_type.len(),
    ];
    let is_missing = |id: &&u32| have.get(**id as usize).is_some_and(|have| *have != question.rows);
    let column = ready.column_ids.iter().find(is_missing);
    column.map_or_else(
        || format!("column {} of consumers", Columns::ACK_INTERVAL_ID),
        |id| format!("column {id}, {}", HEADERS[*id as usize]),
    )
}
