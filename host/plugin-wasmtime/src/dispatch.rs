//! Queue dispatch, the hottest path: a component asked for a plan.

use std::sync::Arc;

use plugin::{
    Columns, ConsumerRow, Corrections, Decided, DispatchBatch, Fallback, Member, MemberChange, Point, PolicyStats,
    Property, PropertyColumn, PropertyForm, QueueDispatch,
};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{self, Batch, Change, Column, ColumnData, Consumers, QUEUE_DISPATCH};
use crate::cell::{Boundary, Cell};
use crate::incumbent::CALLS_PER_MEASURE;
use crate::instance::{Fault, Live, thread_cpu_time};
use crate::probation::{Cost, Probation, blame};
use crate::program::{Program, Ready};
use crate::recorder::Recorder;
use crate::runtime::Runtime;
use crate::shadow::QueueShadow;
use crate::world::{Finder, Functions, World};

/// `world queue-policy`
pub(crate) static WORLD: World = World {
    point: Point::QueueDispatch,
    name: "queue-policy",
    interface: QUEUE_DISPATCH,
    functions: &["members-changed", "plan"],
    column_ids: &[1, 2, 3, 4, 5, 6, 7, 8, Columns::ACK_INTERVAL_ID, Columns::LOOK_AHEAD_ID],
    properties: true,
    rehearse: Program::rehearse::<QueueFunctions>,
};

type Plan = TypedFunc<(Arc<Batch>, Arc<Consumers>), (Vec<u32>,)>;

/// The functions of `queue-dispatch` in one instance.
pub(crate) struct QueueFunctions {
    members_changed: TypedFunc<(Vec<Change>,), ()>,
    plan: Plan,
    /// True once the instance heard of the members.
    told: bool,
}

impl Functions for QueueFunctions {
    const WORLD: &'static World = &WORLD;

    fn bind(finder: &mut Finder<'_>, exports: &[ComponentExportIndex]) -> Result<QueueFunctions, Fault> {
        let (members_changed, plan) = (finder.typed(&exports[0])?, finder.typed(&exports[1])?);
        Ok(QueueFunctions { members_changed, plan, told: false })
    }
}

/// A component on one destination, with its native twin beside it.
pub(crate) struct WasmDispatch {
    runtime: Arc<Runtime>,
    cell: Arc<Cell<QueueFunctions>>,
    /// The generation that decides; changes at a boundary, or when one on probation goes back.
    program: Arc<Program>,
    /// The generation is watched; the one before is warm.
    probation: Option<Probation>,
    /// A candidate that looks on.
    shadow: Option<Box<QueueShadow>>,
    /// Takes down what is asked and answered.
    recorder: Option<Box<Recorder>>,
    /// The instance that was asked last was spoken to for the first time.
    is_new: bool,
    /// What the generation costs, from every so many calls.
    cost: Cost,
    calls: u32,
    twin: Box<dyn QueueDispatch>,
    /// Who is there now; a new instance is told of them.
    members: Vec<Member>,
    /// What the instance was not told yet. A consumer that came and went untold leaves no trace, so it is never longer
    /// than the members then and now.
    untold: Vec<MemberChange>,
    /// What the warm generation was not told yet, by the same rule.
    untold_warm: Vec<MemberChange>,
    batch: Arc<Batch>,
    consumers: Arc<Consumers>,
    stats: PolicyStats,
}

impl WasmDispatch {
    pub(crate) fn new(runtime: Arc<Runtime>, cell: Arc<Cell<QueueFunctions>>, program: Arc<Program>) -> WasmDispatch {
        let batch = Batch { destination: runtime.symbols.intern(&cell.seat.destination), ..Batch::default() };
        WasmDispatch {
            twin: program.twin(),
            runtime,
            cell,
            program,
            probation: None,
            shadow: None,
            recorder: None,
            is_new: false,
            cost: Cost::default(),
            calls: 0,
            members: Vec::new(),
            untold: Vec::new(),
            untold_warm: Vec::new(),
            batch: Arc::new(batch),
            consumers: Arc::default(),
            stats: PolicyStats::default(),
        }
    }

    fn ask(&mut self, question: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Result<(), Fallback> {
        let cell = self.cell.clone();
        let runtime = self.runtime.clone();
        let program = self.program.clone();
        let ready = program.ready_or_fallback(&runtime)?;
        // The core asks for the wants before the batch; if the component became ready in between, columns are missing.
        if !fill(Arc::make_mut(&mut self.batch), ready, question) {
            return Err(Fallback::Warming);
        }
        *out = cell.ask(&runtime, ready, question.now_ms, |live| {
            self.is_new = !live.functions.told;
            fill_consumers(Arc::make_mut(&mut self.consumers), ready, question);
            let slots = tell_and_plan(&runtime, live, &mut self.untold, &self.members, &self.batch, &self.consumers)?;
            Ok(Some(slots).filter(|slots| slots.len() == question.rows))
        })?;
        Ok(())
    }

    /// Another generation decides: its columns are others.
    fn set_program(&mut self, program: Arc<Program>) {
        self.end_recording("another generation decides");
        self.program = program;
        self.batch = Arc::new(Batch { destination: self.batch.destination, ..Batch::default() });
        self.consumers = Arc::default();
    }

    fn end_recording(&mut self, reason: &str) {
        if let Some(recorder) = self.recorder.take() {
            recorder.end(reason);
        }
    }

    /// The generation before decides again, as far as it is still there.
    fn go_back(&mut self, reason: &str) {
        self.probation = None;
        let untold_warm = std::mem::take(&mut self.untold_warm);
        if let Some((program, was_live)) = self.cell.go_back(&self.runtime, reason) {
            self.set_program(program);
            self.cost = Cost::default();
            self.untold = if was_live { untold_warm } else { Vec::new() };
        }
    }
}

/// Tells the instance who came and went, then asks for the plan.
pub(crate) fn tell_and_plan(
    runtime: &Runtime,
    live: &mut Live<QueueFunctions>,
    untold: &mut Vec<MemberChange>,
    members: &[Member],
    batch: &Arc<Batch>,
    consumers: &Arc<Consumers>,
) -> Result<Vec<u32>, Fault> {
    let ticker = &runtime.ticker;
    let changes: Vec<Change> = match live.functions.told {
        true => untold.drain(..).map(change).collect(),
        false => members.iter().cloned().map(|member| change(MemberChange::Joined(member))).collect(),
    };
    untold.clear();
    live.functions.told = true;
    if !changes.is_empty() {
        let members_changed = live.functions.members_changed;
        live.call(ticker, &members_changed, (changes,)).inspect_err(|_| live.count_lifecycle_fault())?;
    }
    let plan = live.functions.plan;
    Ok(live.call(ticker, &plan, (batch.clone(), consumers.clone()))?.0)
}

impl QueueDispatch for WasmDispatch {
    fn boundary(&mut self, now_ms: u64) {
        if self.probation.as_ref().is_some_and(|probation| now_ms >= probation.until_ms) {
            self.cost = self.probation.take().map(|probation| probation.cost).unwrap_or_default();
            self.untold_warm = Vec::new();
        }
        self.cell.tell_state(&self.runtime);
        if let Boundary::TookOver { program, on_probation } = self.cell.boundary(&self.runtime) {
            self.set_program(program);
            // A generation that was on probation itself is what the next one is measured against.
            let before = self.probation.take().map_or(self.cost, |probation| probation.cost);
            self.cost = Cost::default();
            let until_ms = now_ms.saturating_add(self.runtime.limits.probation_ms);
            self.probation = on_probation.then(|| Probation::new(until_ms, before));
            self.untold_warm = if on_probation { std::mem::take(&mut self.untold) } else { Vec::new() };
        }
        if self.recorder.as_ref().is_some_and(|recorder| recorder.is_over()) {
            self.recorder = None;
        }
        if let Some(tape) = self.cell.tape_boundary(&self.runtime, now_ms) {
            self.recorder = Some(Box::new(Recorder::new(tape)));
        }
        if let Some(shadow) = self.cell.shadow_boundary(&self.runtime) {
            self.shadow = shadow.map(|next| Box::new(QueueShadow::new(next, self.batch.destination)));
        }
    }

    fn properties(&self) -> &[Property] {
        match self.program.get() {
            Some(Ok(ready)) => &ready.properties,
            _ => self.twin.properties(),
        }
    }

    fn wants(&self) -> Columns {
        let wants = match self.program.get() {
            Some(Ok(ready)) => ready.columns,
            _ => self.twin.wants(),
        };
        // A recording is for whoever wants to see more, too.
        let recorded = if self.recorder.is_some() { Columns::SHOWN } else { Columns::NONE };
        wants | recorded | self.shadow.as_ref().map_or(Columns::NONE, |shadow| shadow.wants())
    }

    fn rows_max(&self) -> usize {
        match self.program.get() {
            Some(Ok(ready)) => ready.rows_max,
            _ => self.twin.rows_max(),
        }
    }

    fn members_changed(&mut self, changes: &[MemberChange]) {
        self.twin.members_changed(changes);
        for change in changes {
            match change {
                MemberChange::Joined(member) => self.members.push(member.clone()),
                MemberChange::Left(slot) => self.members.retain(|member| member.slot != *slot),
            }
            note(&mut self.untold, change);
            if self.probation.is_some() {
                note(&mut self.untold_warm, change);
            }
            if let Some(shadow) = &mut self.shadow {
                shadow.note(change);
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.note(change);
            }
        }
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided {
        self.calls = self.calls.wrapping_add(1);
        let is_measured =
            self.probation.is_some() || self.shadow.is_some() || self.calls.is_multiple_of(CALLS_PER_MEASURE);
        let begun = is_measured.then(thread_cpu_time);
        let outcome = self.ask(batch, out);
        let took = begun.map(|begun| thread_cpu_time().saturating_sub(begun));
        if let (Some(took), Ok(()) | Err(Fallback::Trap | Fallback::Deadline | Fallback::WrongLength)) =
            (took, &outcome)
        {
            self.stats.times.add(took);
        }
        if let Some(recorder) = &mut self.recorder {
            let answer = outcome.as_ref().map(|()| out.as_slice()).map_err(|fallback| *fallback);
            recorder.look(&self.members, batch, answer, self.is_new);
        }
        let (decided, verdict) = match outcome {
            Ok(()) => {
                if let (Some(shadow), Some(took)) = (&mut self.shadow, took) {
                    shadow.look(&self.runtime, &self.members, batch, out, took);
                }
                let verdict = match (&mut self.probation, took) {
                    (Some(probation), Some(took)) => probation.decided(&self.runtime.limits, took, batch.rows),
                    (None, Some(took)) => {
                        self.cost.add(took, batch.rows);
                        None
                    }
                    _ => None,
                };
                (Decided::Policy, verdict)
            }
            Err(fallback) => {
                self.twin.plan(batch, out);
                let probation = self.probation.as_mut().zip(blame(fallback));
                let verdict = probation.and_then(|(probation, what)| probation.failed(&self.runtime.limits, what));
                (Decided::Fallback(fallback), verdict)
            }
        };
        self.stats.count(batch.rows, decided);
        if let Some(reason) = verdict {
            self.go_back(&reason);
        }
        decided
    }

    fn corrected(&mut self, _rows: usize, corrections: &Corrections) {
        self.stats.corrected += corrections.total();
        let Some(probation) = &mut self.probation else { return };
        if let Some(reason) = probation.corrected(&self.runtime.limits, corrections.total()) {
            self.go_back(&reason);
        }
    }

    fn stats(&self) -> PolicyStats {
        let mut stats = self.stats;
        self.cell.describe(&self.program, &mut stats);
        stats
    }
}

impl Drop for WasmDispatch {
    fn drop(&mut self) {
        self.end_recording("the queue is gone, or has another policy");
        self.cell.leave(&self.runtime);
    }
}

/// Notes a change that an instance was not told yet. A consumer that came and went untold leaves no trace.
pub(crate) fn note(untold: &mut Vec<MemberChange>, change: &MemberChange) {
    if let MemberChange::Left(slot) = change {
        let came = |change: &MemberChange| matches!(change, MemberChange::Joined(member) if member.slot == *slot);
        if let Some(at) = untold.iter().position(came) {
            untold.remove(at);
            return;
        }
    }
    untold.push(change.clone());
}

/// Copies the columns of rows that the policy reads, one `memcpy` each. False if a column is not there.
pub(crate) fn fill(batch: &mut Batch, ready: &Ready, question: &DispatchBatch<'_>) -> bool {
    batch.now_ms = question.now_ms;
    batch.rows = question.rows as u32;
    batch.candidates.clear();
    batch.candidates.extend_from_slice(question.candidates);
    if batch.columns.len() != ready.column_ids.len() + ready.properties.len() {
        let headers = ready.column_ids.iter().map(|id| Column { id: *id, data: empty(*id) });
        let properties = (Property::ID_FIRST..).zip(&ready.properties);
        batch.columns = headers.chain(properties.map(|(id, p)| Column { id, data: empty_property(p.form) })).collect();
    }
    let (headers, properties) = batch.columns.split_at_mut(ready.column_ids.len());
    let headers_filled = headers.iter_mut().all(|column| {
        let filled = match (&mut column.data, column.id) {
            (ColumnData::U8s(values), _) => refill(values, question.priority),
            (ColumnData::U32s(values), 2) => refill(values, question.size),
            (ColumnData::U32s(values), _) => refill(values, question.redelivered),
            (ColumnData::S64s(values), 4) => refill(values, question.timestamp),
            (ColumnData::S64s(values), 5) => refill(values, question.expiration),
            (ColumnData::S64s(values), _) => refill(values, question.sequence),
            (ColumnData::Symbols(values), 7) => refill(values, question.group),
            (ColumnData::Symbols(values), _) => refill(values, question.message_type),
            (ColumnData::F64s(_), _) => 0,
        };
        filled == question.rows
    });
    let consumers_filled =
        !ready.columns.contains(Columns::ACK_INTERVAL) || question.ack_interval.len() == question.consumers.len();
    let properties_filled = question.properties.len() == properties.len()
        && properties.iter_mut().zip(question.properties).all(|(column, values)| {
            let filled = match (&mut column.data, values) {
                (ColumnData::Symbols(to), PropertyColumn::Symbols(from)) => refill(to, from),
                (ColumnData::F64s(to), PropertyColumn::Numbers(from)) => refill(to, from),
                (ColumnData::S64s(to), PropertyColumn::Hashes(from)) => refill(to, from),
                _ => return false,
            };
            filled == question.rows
        });
    headers_filled && consumers_filled && properties_filled
}

/// The kind of data that belongs to a property.
fn empty_property(form: PropertyForm) -> ColumnData {
    match form {
        PropertyForm::Symbol => ColumnData::Symbols(Vec::new()),
        PropertyForm::Number => ColumnData::F64s(Vec::new()),
        PropertyForm::Hash => ColumnData::S64s(Vec::new()),
    }
}

/// The kind of data that belongs to a column id; the table is in `wit/policy.wit`.
fn empty(id: u32) -> ColumnData {
    match id {
        1 => ColumnData::U8s(Vec::new()),
        2 | 3 => ColumnData::U32s(Vec::new()),
        4..=6 => ColumnData::S64s(Vec::new()),
        _ => ColumnData::Symbols(Vec::new()),
    }
}

fn refill<T: Copy>(values: &mut Vec<T>, from: &[T]) -> usize {
    values.clear();
    values.extend_from_slice(from);
    from.len()
}

/// Fills the columns of consumers that are always there.
pub(crate) fn fill_table(consumers: &mut Consumers, table: &[ConsumerRow]) {
    consumers.slots.clear();
    consumers.slots.extend(table.iter().map(|row| row.slot));
    consumers.credit.clear();
    consumers.credit.extend(table.iter().map(|row| row.credit));
    consumers.in_flight.clear();
    consumers.in_flight.extend(table.iter().map(|row| row.in_flight));
    consumers.priority.clear();
    consumers.priority.extend(table.iter().map(|row| row.priority));
}

pub(crate) fn fill_consumers(consumers: &mut Consumers, ready: &Ready, question: &DispatchBatch<'_>) {
    fill_table(consumers, question.consumers);
    if !ready.columns.contains(Columns::ACK_INTERVAL) {
        return;
    }
    if consumers.columns.is_empty() {
        consumers.columns.push(Column { id: Columns::ACK_INTERVAL_ID, data: ColumnData::U32s(Vec::new()) });
    }
    if let [Column { data: ColumnData::U32s(values), .. }] = &mut consumers.columns[..] {
        refill(values, question.ack_interval);
    }
}

/// A change as components are told of it.
pub(crate) fn change(change: MemberChange) -> Change {
    match change {
        MemberChange::Joined(member) => Change::Joined(bindings::Member {
            slot: member.slot,
            client_id: member.client_id,
            selector: member.selector.unwrap_or_default(),
            is_network: member.is_network,
        }),
        MemberChange::Left(slot) => Change::Left(slot),
    }
}
