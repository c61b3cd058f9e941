//! A candidate for the message groups of one queue.

use std::sync::Arc;
use std::time::Duration;

use plugin::{GroupBatch, GroupCheck, GroupMove, MemberChange};

use super::{Candidate, Comparison, NextShadow, ended};
use crate::bindings::{Consumers, Groups};
use crate::dispatch::fill_table;
use crate::groups::{GroupFunctions, fill, tell};
use crate::members::Members;
use crate::runtime::Runtime;

/// Sees what the queue's group policy is asked.
pub(crate) struct GroupShadow {
    candidate: Candidate<GroupFunctions>,
    members: Members,
    groups: Arc<Groups>,
    consumers: Arc<Consumers>,
    check: GroupCheck,
    /// It moves groups, as far as it is known: before it was asked it may.
    rebalances: bool,
}

impl GroupShadow {
    /// `members` are those of the policy.
    pub(crate) fn new(next: NextShadow<GroupFunctions>, members: &Members) -> GroupShadow {
        GroupShadow {
            candidate: Candidate::new(next),
            members: Members::of(members.all().to_vec()),
            groups: Arc::default(),
            consumers: Arc::default(),
            check: GroupCheck::new(),
            rebalances: true,
        }
    }

    pub(crate) fn changed(&mut self, changes: &[MemberChange]) {
        self.members.changed(changes);
    }

    /// Whether it is to be shown all owned groups after a change of members.
    pub(crate) fn rebalances(&self) -> bool {
        self.rebalances && self.candidate.is_alive()
    }

    /// Asks the candidate for the owners of groups that the active generation gave to `owners` in `took`.
    pub(crate) fn assign(&mut self, runtime: &Runtime, batch: &GroupBatch<'_>, owners: &[u32], took: Duration) {
        let GroupShadow { candidate, members, groups, consumers, check, rebalances } = self;
        candidate.look(runtime, batch.rows(), took, |_, live| {
            fill(Arc::make_mut(groups), batch);
            fill_table(Arc::make_mut(consumers), batch.consumers);
            *rebalances = tell(live, runtime, members).map_err(ended)?;
            let assign = live.functions.assign;
            let params = (groups.clone(), consumers.clone());
            let (mut answer,) = live.call(&runtime.ticker, &assign, params).map_err(ended)?;
            if answer.len() != batch.rows() {
                return Err(format!("it answered {} groups of {}", answer.len(), batch.rows()));
            }
            Ok(move |found: &mut Comparison<'_>| {
                owners.iter().zip(&answer).for_each(|(active, shadow)| found.rows(*active, *shadow));
                found.report.corrected += check.owners(batch, &mut answer).total();
                found.name(members.all());
            })
        });
    }

    /// Shows the candidate all owned groups, of which the active generation moved `moves` in `took`.
    pub(crate) fn rebalance(&mut self, runtime: &Runtime, batch: &GroupBatch<'_>, moves: &[GroupMove], took: Duration) {
        let GroupShadow { candidate, members, groups, consumers, check, rebalances } = self;
        // These are no rows: they have owners already.
        candidate.look(runtime, 0, took, |_, live| {
            fill(Arc::make_mut(groups), batch);
            fill_table(Arc::make_mut(consumers), batch.consumers);
            *rebalances = tell(live, runtime, members).map_err(ended)?;
            let mut answer = Vec::new();
            if *rebalances {
                let rebalance = live.functions.rebalance;
                let params = (groups.clone(), consumers.clone());
                let (moves,) = live.call(&runtime.ticker, &rebalance, params).map_err(ended)?;
                answer.extend(moves.iter().map(|one| GroupMove { row: one.row, to: one.to }));
            }
            Ok(move |found: &mut Comparison<'_>| {
                found.report.corrected += check.moves(batch, &mut answer).total();
                found.report.moves.active += moves.len() as u64;
                found.report.moves.shadow += answer.len() as u64;
            })
        });
    }
}
