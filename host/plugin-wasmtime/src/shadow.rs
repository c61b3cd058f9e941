//! A candidate that is shown what the active generation is asked, without effect, and what the comparison found.
//!
//! It runs on the core's thread, for at most `shadow_percent_max` of the time: after a call that took long it sits out
//! as many questions as that takes. It begins with the active generation's state where it reads that. One that fails ends.
//! What is the same for all worlds is here; what each of them is asked and compares is beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plugin::{LEAVE, Member};

use crate::instance::{Fault, Live, thread_cpu_time};
use crate::program::{Program, Ready};
use crate::runtime::Runtime;
use crate::world::Functions;

mod groups;
mod queue;
mod topic;

pub(crate) use self::groups::GroupShadow;
pub(crate) use self::queue::QueueShadow;
pub(crate) use self::topic::TopicShadow;

/// Consumers told apart in a report; further ones are counted together.
const CONSUMERS_MAX: usize = 256;

/// What came of showing a candidate what the active generation was asked, on one destination. A row is a message; for message
/// groups it is a group that needs an owner.
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
    /// Rows that both gave to the same consumer, or left; on a topic messages that both gave to the same subscriptions in the
    /// same order.
    pub rows_agreed: u64,
    /// Rows that each left where they were; on a topic copies that each took away.
    pub rows_left: Sides,
    /// Answers of the candidate that would have had to be corrected.
    pub corrected: u64,
    /// Groups that each moved to other owners as consumers came and went.
    pub moves: Sides,
    /// Processor time that the decisions on rows took, nanoseconds; what it took to move groups is not in it.
    pub nanos: Sides,
    /// Rows by consumer: slot, client id, rows of each; on a topic by subscription. Those beyond the first 256 are under the
    /// last slot.
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

/// A candidate on one destination, whatever its world.
struct Candidate<F> {
    program: Arc<Program>,
    /// `None` once it failed.
    live: Option<Box<Live<F>>>,
    report: Arc<Mutex<ShadowReport>>,
    by_consumer: BTreeMap<u32, Sides>,
    /// It sits out what is asked before.
    rests_until: Instant,
    skipped: u64,
}

/// Whose figure is counted.
type Side = fn(&mut Sides) -> &mut u64;

const ACTIVE: Side = |sides| &mut sides.active;
const SHADOW: Side = |sides| &mut sides.shadow;

/// A report while a comparison is written into it.
struct Comparison<'a> {
    report: &'a mut ShadowReport,
    by_consumer: &'a mut BTreeMap<u32, Sides>,
}

impl<F: Functions> Candidate<F> {
    fn new(next: NextShadow<F>) -> Candidate<F> {
        let NextShadow { program, live, report } = next;
        let (by_consumer, rests_until) = (BTreeMap::new(), Instant::now());
        Candidate { program, live: Some(live), report, by_consumer, rests_until, skipped: 0 }
    }

    fn is_alive(&self) -> bool {
        self.live.is_some()
    }

    /// Asks the candidate about so many rows, which took the active generation `took`, unless it rests. `ask` says how its answer
    /// compares, or why the candidate ends.
    fn look<C: FnOnce(&mut Comparison<'_>)>(
        &mut self,
        runtime: &Runtime,
        rows: usize,
        took: Duration,
        ask: impl FnOnce(&Ready, &mut Live<F>) -> Result<C, String>,
    ) {
        let (Some(Ok(ready)), Some(live)) = (self.program.get(), &mut self.live) else { return };
        let begun = Instant::now();
        // What comes without rows comes when consumers do, and not again. Somebody who reads the report is not waited for.
        let is_due = rows == 0 || begun >= self.rests_until;
        let (true, Ok(mut report)) = (is_due, self.report.try_lock()) else {
            self.skipped += 1;
            return;
        };
        report.batches_skipped += std::mem::take(&mut self.skipped);
        let used = thread_cpu_time();
        let answer = ask(ready, live);
        let cost = thread_cpu_time().saturating_sub(used);
        let percent = runtime.limits.shadow_percent_max.clamp(1, 100);
        self.rests_until = begun + begun.elapsed() * 100 / percent;
        match answer {
            Ok(compare) => {
                report.batches += 1;
                report.rows += rows as u64;
                if rows > 0 {
                    report.nanos.active += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                    report.nanos.shadow += u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
                }
                compare(&mut Comparison { report: &mut report, by_consumer: &mut self.by_consumer });
            }
            Err(reason) => {
                report.ended = Some(reason);
                self.live.take().into_iter().for_each(|live| runtime.bury(live));
            }
        }
    }
}

impl Comparison<'_> {
    /// A row that each gave to a slot, or left.
    fn rows(&mut self, active: u32, shadow: u32) {
        self.report.rows_agreed += u64::from(active == shadow);
        self.count(active, ACTIVE);
        self.count(shadow, SHADOW);
    }

    /// A row that went to a slot, or stayed.
    fn count(&mut self, slot: u32, side: Side) {
        if slot == LEAVE {
            *side(&mut self.report.rows_left) += 1;
            return;
        }
        // One entry is kept for all that find no place.
        let is_kept = self.by_consumer.contains_key(&slot) || self.by_consumer.len() < CONSUMERS_MAX;
        *side(self.by_consumer.entry(if is_kept { slot } else { LEAVE }).or_default()) += 1;
    }

    /// Writes the figures of consumers into the report, by their names.
    fn name(&mut self, members: &[Member]) {
        let lines = &mut self.report.consumers;
        if lines.len() != self.by_consumer.len() {
            let former = std::mem::take(lines);
            let name = |slot: u32| {
                let member =
                    members.iter().find(|member| member.slot == slot).map(|member| member.client_id.to_string());
                // One that went keeps its name.
                member.or_else(|| former.iter().find(|line| line.0 == slot).map(|line| line.1.clone()))
            };
            let named = self.by_consumer.keys().map(|slot| (*slot, name(*slot).unwrap_or_default(), Sides::default()));
            *lines = named.collect();
        }
        for (line, sides) in lines.iter_mut().zip(self.by_consumer.values()) {
            line.2 = *sides;
        }
    }
}

/// A fault as the end of a candidate.
fn ended(fault: Fault) -> String {
    format!("{:?}: {}", fault.kind, fault.reason)
}
