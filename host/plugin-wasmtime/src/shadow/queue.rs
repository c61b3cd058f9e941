//! A candidate on one queue.

use std::sync::Arc;
use std::time::Duration;

use plugin::{Columns, DispatchBatch, Member, MemberChange, PlanCheck};

use super::{Candidate, Comparison, NextShadow, ended};
use crate::bindings::{Batch, Consumers};
use crate::dispatch::{QueueFunctions, fill, fill_consumers, note, tell_and_plan};
use crate::runtime::Runtime;

/// Sees what the queue's policy is asked.
pub(crate) struct QueueShadow {
    candidate: Candidate<QueueFunctions>,
    untold: Vec<MemberChange>,
    batch: Arc<Batch>,
    consumers: Arc<Consumers>,
    check: PlanCheck,
}

impl QueueShadow {
    pub(crate) fn new(next: NextShadow<QueueFunctions>, destination: u32) -> QueueShadow {
        QueueShadow {
            candidate: Candidate::new(next),
            untold: Vec::new(),
            batch: Arc::new(Batch { destination, ..Batch::default() }),
            consumers: Arc::default(),
            check: PlanCheck::new(),
        }
    }

    /// What it wants to see beside the active generation.
    pub(crate) fn wants(&self) -> Columns {
        match self.candidate.program.get() {
            // Looking ahead would change what the active generation sees.
            Some(Ok(ready)) if self.candidate.is_alive() => ready.columns.without(Columns::LOOK_AHEAD),
            _ => Columns::NONE,
        }
    }

    pub(crate) fn note(&mut self, change: &MemberChange) {
        note(&mut self.untold, change);
    }

    /// Asks the candidate what the active generation answered with `plan` in `took`.
    pub(crate) fn look(
        &mut self,
        runtime: &Runtime,
        members: &[Member],
        question: &DispatchBatch<'_>,
        plan: &[u32],
        took: Duration,
    ) {
        let QueueShadow { candidate, untold, batch, consumers, check } = self;
        // A batch that is larger than it wants is none that it would be given.
        if matches!(candidate.program.get(), Some(Ok(ready)) if question.rows > ready.rows_max) {
            candidate.skipped += 1;
            return;
        }
        candidate.look(runtime, question.rows, took, |ready, live| {
            if !fill(Arc::make_mut(batch), ready, question) {
                return Err("it wants message properties that the active generation is not shown".to_owned());
            }
            fill_consumers(Arc::make_mut(consumers), ready, question);
            let mut answer = tell_and_plan(runtime, live, untold, members, batch, consumers).map_err(ended)?;
            if answer.len() != question.rows {
                return Err(format!("it answered {} rows of {}", answer.len(), question.rows));
            }
            Ok(move |found: &mut Comparison<'_>| {
                plan.iter().zip(&answer).for_each(|(active, shadow)| found.rows(*active, *shadow));
                found.report.corrected += check.correct(question, &mut answer).total();
                found.name(members);
            })
        });
    }
}
