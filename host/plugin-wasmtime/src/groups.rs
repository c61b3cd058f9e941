//! Message groups: a component asked who owns them.

use std::sync::Arc;
use std::time::Duration;

use plugin::{Decided, Fallback, GroupAssignment, GroupBatch, GroupMove, MemberChange, Point, PolicyStats};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{self, Change, Consumers, GROUP_ASSIGNMENT, Groups};
use crate::dispatch::fill_table;
use crate::incumbent::{Incumbent, Turn};
use crate::instance::{Fault, Live};
use crate::members::Members;
use crate::program::Program;
use crate::runtime::Runtime;
use crate::shadow::GroupShadow;
use crate::world::{Finder, Functions, World};

/// `world group-policy`
pub(crate) static WORLD: World = World {
    point: Point::GroupAssignment,
    name: "group-policy",
    interface: GROUP_ASSIGNMENT,
    functions: &["members-changed", "assign", "rebalances", "rebalance"],
    column_ids: &[],
    properties: false,
    rehearse: Program::rehearse::<GroupFunctions>,
};

type Assign = TypedFunc<(Arc<Groups>, Arc<Consumers>), (Vec<u32>,)>;
type Rebalance = TypedFunc<(Arc<Groups>, Arc<Consumers>), (Vec<bindings::Move>,)>;

/// The functions of `group-assignment` in one instance.
pub(crate) struct GroupFunctions {
    members_changed: TypedFunc<(Vec<Change>,), ()>,
    pub(crate) assign: Assign,
    rebalances: TypedFunc<(), (bool,)>,
    pub(crate) rebalance: Rebalance,
    /// True once the instance heard of the members.
    told: bool,
    /// What `rebalances` said; `None` until it was asked.
    wants_to: Option<bool>,
}

impl Functions for GroupFunctions {
    const WORLD: &'static World = &WORLD;

    fn bind(finder: &mut Finder<'_>, exports: &[ComponentExportIndex]) -> Result<GroupFunctions, Fault> {
        Ok(GroupFunctions {
            members_changed: finder.typed(&exports[0])?,
            assign: finder.typed(&exports[1])?,
            rebalances: finder.typed(&exports[2])?,
            rebalance: finder.typed(&exports[3])?,
            told: false,
            wants_to: None,
        })
    }
}

/// A component on one queue, with its native twin beside it; that of a component of the operator is the sticky policy.
pub(crate) struct WasmGroups {
    incumbent: Incumbent<GroupFunctions>,
    twin: Box<dyn GroupAssignment>,
    members: Members,
    groups: Arc<Groups>,
    consumers: Arc<Consumers>,
    /// What the instance that was asked last said; before that it is asked, so that it can say no.
    rebalances: bool,
    /// A candidate that looks on.
    shadow: Option<Box<GroupShadow>>,
}

impl WasmGroups {
    pub(crate) fn new(incumbent: Incumbent<GroupFunctions>, twin: Option<Box<dyn GroupAssignment>>) -> WasmGroups {
        WasmGroups {
            incumbent,
            rebalances: twin.as_ref().is_none_or(|twin| twin.rebalances()),
            twin: twin.unwrap_or_else(|| Box::new(plugin::native::Sticky::new())),
            members: Members::default(),
            groups: Arc::default(),
            consumers: Arc::default(),
            shadow: None,
        }
    }

    /// Tells the instance what is to be told, then asks it.
    fn ask<A>(
        &mut self,
        question: &GroupBatch<'_>,
        call: impl FnOnce(&mut Live<GroupFunctions>, &Runtime, Arc<Groups>, Arc<Consumers>) -> Result<Option<A>, Fault>,
    ) -> Result<A, Fallback> {
        let turn = self.incumbent.boundary(question.now_ms);
        self.turned(turn);
        if let Some(next) = self.incumbent.shadow_boundary() {
            self.shadow = next.map(|next| Box::new(GroupShadow::new(next, &self.members)));
        }
        let WasmGroups { incumbent, members, groups, consumers, rebalances, .. } = self;
        fill(Arc::make_mut(groups), question);
        fill_table(Arc::make_mut(consumers), question.consumers);
        let (answer, turn) = incumbent.ask(question.now_ms, question.rows(), |runtime, _, live| {
            *rebalances = tell(live, runtime, members)?;
            call(live, runtime, groups.clone(), consumers.clone())
        });
        self.turned(turn);
        answer
    }

    /// Another generation decides: it is told what it does not know, and says anew whether it moves groups.
    fn turned(&mut self, turn: Option<Turn>) {
        if let Some(turn) = turn {
            self.members.turned(turn);
            self.rebalances = true;
        }
    }
}

/// Tells an instance what it was not told yet, and says whether it moves groups.
pub(crate) fn tell(live: &mut Live<GroupFunctions>, runtime: &Runtime, members: &mut Members) -> Result<bool, Fault> {
    let changes = members.tell(&mut live.functions.told);
    if !changes.is_empty() {
        let members_changed = live.functions.members_changed;
        live.call(&runtime.ticker, &members_changed, (changes,)).inspect_err(|_| live.count_lifecycle_fault())?;
    }
    if let Some(wants_to) = live.functions.wants_to {
        return Ok(wants_to);
    }
    let func = live.functions.rebalances;
    let (wants_to,) = live.call(&runtime.ticker, &func, ())?;
    live.functions.wants_to = Some(wants_to);
    Ok(wants_to)
}

pub(crate) fn fill(groups: &mut Groups, question: &GroupBatch<'_>) {
    groups.now_ms = question.now_ms;
    refill(&mut groups.hashes, question.hash);
    refill(&mut groups.queued, question.queued);
    refill(&mut groups.owners, question.owners);
    refill(&mut groups.candidates, question.candidates);
    refill(&mut groups.owned, question.owned);
}

fn refill<T: Copy>(values: &mut Vec<T>, from: &[T]) {
    values.clear();
    values.extend_from_slice(from);
}

impl GroupAssignment for WasmGroups {
    fn members_changed(&mut self, changes: &[MemberChange]) {
        self.twin.members_changed(changes);
        self.members.changed(changes);
        if let Some(shadow) = &mut self.shadow {
            shadow.changed(changes);
        }
    }

    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided {
        let rows = batch.rows();
        let answer = self.ask(batch, |live, runtime, groups, consumers| {
            let assign = live.functions.assign;
            let (owners,) = live.call(&runtime.ticker, &assign, (groups, consumers))?;
            Ok(Some(owners).filter(|owners| owners.len() == rows))
        });
        match answer {
            Ok(owners) => {
                if let Some(shadow) = &mut self.shadow {
                    shadow.assign(self.incumbent.runtime(), batch, &owners, self.incumbent.took());
                }
                *out = owners;
                Decided::Policy
            }
            Err(fallback) => {
                self.twin.assign(batch, out);
                Decided::Fallback(fallback)
            }
        }
    }

    fn rebalances(&self) -> bool {
        self.rebalances || self.shadow.as_ref().is_some_and(|shadow| shadow.rebalances())
    }

    fn rebalance(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<GroupMove>) -> Decided {
        if let (false, Some(shadow)) = (self.rebalances, &mut self.shadow) {
            // The generation that decides moves nothing; only the candidate wants to see this.
            out.clear();
            shadow.rebalance(self.incumbent.runtime(), batch, &[], Duration::ZERO);
            return Decided::Policy;
        }
        let answer = self.ask(batch, |live, runtime, groups, consumers| {
            let rebalance = live.functions.rebalance;
            Ok(Some(live.call(&runtime.ticker, &rebalance, (groups, consumers))?.0))
        });
        match answer {
            Ok(moves) => {
                out.clear();
                out.extend(moves.iter().map(|one| GroupMove { row: one.row, to: one.to }));
                if let Some(shadow) = &mut self.shadow {
                    shadow.rebalance(self.incumbent.runtime(), batch, out, self.incumbent.took());
                }
                Decided::Policy
            }
            Err(fallback) => {
                self.twin.rebalance(batch, out);
                Decided::Fallback(fallback)
            }
        }
    }

    fn corrected(&mut self, answers: u64) {
        let turn = self.incumbent.corrected(answers);
        self.turned(turn);
    }

    fn generation(&self) -> u64 {
        self.incumbent.asked()
    }

    fn stats(&self) -> PolicyStats {
        self.incumbent.stats()
    }
}
