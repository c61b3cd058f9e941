//! Queue dispatch, the hottest path: a component asked for a plan.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use plugin::{
    Columns, Decided, DispatchBatch, Fallback, Member, MemberChange, Point, PolicyStats, Property, PropertyColumn,
    PropertyForm, QueueDispatch,
};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{self, Batch, Change, Column, ColumnData, Consumers, QUEUE_DISPATCH};
use crate::cell::Cell;
use crate::instance::{Fault, Live};
use crate::program::{Program, Ready};
use crate::runtime::Runtime;
use crate::world::{Finder, Functions, World};

/// `world queue-policy`
pub(crate) static WORLD: World = World {
    point: Point::QueueDispatch,
    name: "queue-policy",
    interface: QUEUE_DISPATCH,
    functions: &["members-changed", "plan"],
    columns: true,
    properties: true,
    rehearse: Program::rehearse::<QueueFunctions>,
};

/// The functions of `queue-dispatch` in one instance.
pub(crate) struct QueueFunctions {
    members_changed: TypedFunc<(Vec<Change>,), ()>,
    plan: TypedFunc<(Arc<Batch>, Arc<Consumers>), (Vec<u32>,)>,
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
    twin: Box<dyn QueueDispatch>,
    /// Who is there now; a new instance is told of them.
    members: Vec<Member>,
    /// What the instance was not told yet. A consumer that came and went untold leaves no trace, so it is never longer
    /// than the members then and now.
    untold: Vec<MemberChange>,
    batch: Arc<Batch>,
    consumers: Arc<Consumers>,
    stats: PolicyStats,
}

impl WasmDispatch {
    pub(crate) fn new(runtime: Arc<Runtime>, cell: Arc<Cell<QueueFunctions>>) -> WasmDispatch {
        let batch = Batch { destination: runtime.symbols.intern(&cell.seat.destination), ..Batch::default() };
        WasmDispatch {
            twin: cell.program.twin(),
            runtime,
            cell,
            members: Vec::new(),
            untold: Vec::new(),
            batch: Arc::new(batch),
            consumers: Arc::default(),
            stats: PolicyStats::default(),
        }
    }

    fn ask(&mut self, question: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Result<(), Fallback> {
        let cell = self.cell.clone();
        let runtime = self.runtime.clone();
        let ready = cell.ready(&runtime)?;
        // The core asks for the wants before the batch; if the component became ready in between, columns are missing.
        if !fill(Arc::make_mut(&mut self.batch), ready, question) {
            return Err(Fallback::Warming);
        }
        *out = cell.ask(&runtime, ready, question.now_ms, |live| {
            fill_consumers(Arc::make_mut(&mut self.consumers), ready, question);
            Ok(Some(self.call(live)?).filter(|slots| slots.len() == question.rows))
        })?;
        Ok(())
    }

    /// Tells the instance who came and went, then asks for the plan.
    fn call(&mut self, live: &mut Live<QueueFunctions>) -> Result<Vec<u32>, Fault> {
        let ticker = &self.runtime.ticker;
        let counters = &self.cell.seat.counters;
        let changes: Vec<Change> = match live.functions.told {
            true => self.untold.drain(..).map(change).collect(),
            false => self.members.iter().cloned().map(|member| change(MemberChange::Joined(member))).collect(),
        };
        self.untold.clear();
        live.functions.told = true;
        if !changes.is_empty() {
            let members_changed = live.functions.members_changed;
            live.call(ticker, &members_changed, (changes,)).inspect_err(|_| {
                counters.faults_lifecycle.fetch_add(1, Ordering::Relaxed);
            })?;
        }
        let plan = live.functions.plan;
        Ok(live.call(ticker, &plan, (self.batch.clone(), self.consumers.clone()))?.0)
    }
}

impl QueueDispatch for WasmDispatch {
    fn wants(&self) -> Columns {
        match self.cell.program.get() {
            Some(Ok(ready)) => ready.columns,
            _ => self.twin.wants(),
        }
    }

    fn properties(&self) -> &[Property] {
        match self.cell.program.get() {
            Some(Ok(ready)) => &ready.properties,
            _ => self.twin.properties(),
        }
    }

    fn rows_max(&self) -> usize {
        match self.cell.program.get() {
            Some(Ok(ready)) => ready.rows_max,
            _ => self.twin.rows_max(),
        }
    }

    fn members_changed(&mut self, changes: &[MemberChange]) {
        self.twin.members_changed(changes);
        for change in changes {
            match change {
                MemberChange::Joined(member) => {
                    self.members.push(member.clone());
                    self.untold.push(change.clone());
                }
                MemberChange::Left(slot) => {
                    self.members.retain(|member| member.slot != *slot);
                    let came = |change: &MemberChange| matches!(change, MemberChange::Joined(m) if m.slot == *slot);
                    match self.untold.iter().position(came) {
                        Some(at) => drop(self.untold.remove(at)),
                        None => self.untold.push(change.clone()),
                    }
                }
            }
        }
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided {
        let decided = match self.ask(batch, out) {
            Ok(()) => Decided::Policy,
            Err(fallback) => {
                self.twin.plan(batch, out);
                Decided::Fallback(fallback)
            }
        };
        self.stats.count(batch.rows, decided);
        decided
    }

    fn stats(&self) -> PolicyStats {
        let mut stats = self.stats;
        self.cell.describe(&mut stats);
        stats
    }
}

/// Copies the columns of rows that the policy reads, one `memcpy` each. False if a column is not there.
fn fill(batch: &mut Batch, ready: &Ready, question: &DispatchBatch<'_>) -> bool {
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

fn fill_consumers(consumers: &mut Consumers, ready: &Ready, question: &DispatchBatch<'_>) {
    consumers.slots.clear();
    consumers.slots.extend(question.consumers.iter().map(|row| row.slot));
    consumers.credit.clear();
    consumers.credit.extend(question.consumers.iter().map(|row| row.credit));
    consumers.in_flight.clear();
    consumers.in_flight.extend(question.consumers.iter().map(|row| row.in_flight));
    consumers.priority.clear();
    consumers.priority.extend(question.consumers.iter().map(|row| row.priority));
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

fn change(change: MemberChange) -> Change {
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
