//! A candidate that is shown what the active generation is asked, without effect, and what the comparison found.
//!
//! It runs on the core's thread, for at most `shadow_percent_max` of the time: after a call that took long it sits out
//! as many batches as that takes. It begins with the active generation's state where it reads that. One that fails ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plugin::{DispatchBatch, LEAVE, Member, MemberChange, PlanCheck};

use crate::bindings::{Batch, Consumers};
use crate::dispatch::{QueueFunctions, fill, fill_consumers, note, tell_and_plan};
use crate::instance::{Live, thread_cpu_time};
use crate::program::Program;
use crate::runtime::Runtime;

/// Consumers told apart in a report; further ones are counted together.
const CONSUMERS_MAX: usize = 256;

/// What came of showing a candidate what the active generation was asked, on one destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShadowReport {
    /// The destination.
    pub destination: String,
    /// The candidate.
    pub generation: u64,
    /// Batches that both decided.
    pub batches: u64,
    /// Batches that the candidate sat out, to keep within its share of the time.
    pub batches_skipped: u64,
    /// Rows that both decided.
    pub rows: u64,
    /// Rows that both gave to the same consumer, or left.
    pub rows_agreed: u64,
    /// Rows that each left where they were.
    pub rows_left: Sides,
    /// Answers of the candidate that would have had to be corrected.
    pub corrected: u64,
    /// Processor time that the decisions took, nanoseconds.
    pub nanos: Sides,
    /// Rows by consumer: slot, client id, rows of each. Those beyond the first 256 consumers are under the last slot.
    pub consumers: Vec<(u32, String, Sides)>,
    /// Why the candidate ended, if it did.
    pub ended: Option<String>,
}

/// A figure of the active generation and one of the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides {
    /// Of the active one.
    pub active: u64,
    /// Of the candidate.
    pub shadow: u64,
}

/// A candidate that is to begin.
pub(crate) struct NextShadow<F> {
    pub(crate) program: Arc<Program>,
    pub(crate) live: Box<Live<F>>,
    pub(crate) report: Arc<Mutex<ShadowReport>>,
}

/// A candidate on one queue.
pub(crate) struct Shadow {
    pub(crate) program: Arc<Program>,
    /// `None` once it failed.
    live: Option<Box<Live<QueueFunctions>>>,
    report: Arc<Mutex<ShadowReport>>,
    by_consumer: BTreeMap<u32, Sides>,
    untold: Vec<MemberChange>,
    batch: Arc<Batch>,
    consumers: Arc<Consumers>,
    check: PlanCheck,
    /// It sits out what is asked before.
    rests_until: Instant,
    skipped: u64,
}

impl Shadow {
    pub(crate) fn new(next: NextShadow<QueueFunctions>, destination: u32) -> Shadow {
        Shadow {
            program: next.program,
            live: Some(next.live),
            report: next.report,
            by_consumer: BTreeMap::new(),
            untold: Vec::new(),
            batch: Arc::new(Batch { destination, ..Batch::default() }),
            consumers: Arc::default(),
            check: PlanCheck::new(),
            rests_until: Instant::now(),
            skipped: 0,
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
        let Some(Ok(ready)) = self.program.get() else { return };
        let Some(live) = &mut self.live else { return };
        let begun = Instant::now();
        // Somebody who reads the report is not waited for.
        let (true, Ok(mut report)) =
            (begun >= self.rests_until && question.rows <= ready.rows_max, self.report.try_lock())
        else {
            self.skipped += 1;
            return;
        };
        report.batches_skipped += std::mem::take(&mut self.skipped);
        if !fill(Arc::make_mut(&mut self.batch), ready, question) {
            report.ended = Some("it wants message properties that the active generation is not shown".to_owned());
            self.live.take().into_iter().for_each(|live| runtime.bury(live));
            return;
        }
        fill_consumers(Arc::make_mut(&mut self.consumers), ready, question);
        let used = thread_cpu_time();
        let answer = tell_and_plan(runtime, live, &mut self.untold, members, &self.batch, &self.consumers);
        let cost = thread_cpu_time().saturating_sub(used);
        let percent = runtime.limits.shadow_percent_max.clamp(1, 100);
        self.rests_until = begun + begun.elapsed() * 100 / percent;
        let answer = match answer {
            Ok(answer) if answer.len() == question.rows => answer,
            Ok(answer) => {
                report.ended = Some(format!("it answered {} rows of {}", answer.len(), question.rows));
                self.live.take().into_iter().for_each(|live| runtime.bury(live));
                return;
            }
            Err(fault) => {
                report.ended = Some(format!("{:?}: {}", fault.kind, fault.reason));
                self.live.take().into_iter().for_each(|live| runtime.bury(live));
                return;
            }
        };
        report.batches += 1;
        report.rows += question.rows as u64;
        report.nanos.active += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        report.nanos.shadow += u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        for (active, shadow) in plan.iter().zip(&answer) {
            report.rows_agreed += u64::from(active == shadow);
            count(&mut self.by_consumer, &mut report.rows_left, *active, |sides| &mut sides.active);
            count(&mut self.by_consumer, &mut report.rows_left, *shadow, |sides| &mut sides.shadow);
        }
        let mut answer = answer;
        report.corrected += self.check.correct(question, &mut answer).total();
        let name =
            |slot: u32| members.iter().find(|member| member.slot == slot).map(|member| member.client_id.to_string());
        if report.consumers.len() != self.by_consumer.len() {
            let named = self.by_consumer.keys().map(|slot| (*slot, name(*slot).unwrap_or_default(), Sides::default()));
            report.consumers = named.collect();
        }
        for (line, sides) in report.consumers.iter_mut().zip(self.by_consumer.values()) {
            line.2 = *sides;
        }
    }
}

fn count(by_consumer: &mut BTreeMap<u32, Sides>, left: &mut Sides, slot: u32, side: impl Fn(&mut Sides) -> &mut u64) {
    if slot == LEAVE {
        *side(left) += 1;
        return;
    }
    // One entry is kept for all that find no place.
    let key = if by_consumer.contains_key(&slot) || by_consumer.len() < CONSUMERS_MAX { slot } else { LEAVE };
    *side(by_consumer.entry(key).or_default()) += 1;
}
