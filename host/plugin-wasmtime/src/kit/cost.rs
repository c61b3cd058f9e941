//! What a dispatch policy costs: plan and check together, as the core pays them.

use std::time::{Duration, Instant};

use plugin::{
    Columns, ConsumerRow, Decided, DispatchBatch, PlanCheck, PropertyColumn, PropertyForm, QueueDispatch, text_hash,
};

use crate::kit::traffic::Headers;

/// Rows of the batches that are measured.
pub const COST_ROWS: [usize; 4] = [1, 8, 32, 128];

/// How often each is measured; the best counts, because everything else on the machine only makes it slower.
const RUNS: u32 = 5;
/// How long each time.
const RUN: Duration = Duration::from_millis(30);
/// Calls between two looks at the clock.
const CALLS_PER_LOOK: u32 = 64;

/// Nanoseconds a message, for batches of [`COST_ROWS`].
pub type Cost = [f64; COST_ROWS.len()];

/// Measures a policy with so many consumers, which all have ample credit; with `selectors` there is a matrix of candidates.
/// `None` if something else than the policy decided a batch.
pub fn cost(policy: &mut dyn QueueDispatch, consumers: u32, selectors: bool) -> Option<Cost> {
    let table: Vec<ConsumerRow> =
        (0..consumers).map(|slot| ConsumerRow { slot, credit: 1_000, in_flight: slot % 7, priority: 0 }).collect();
    let mut cost = Cost::default();
    for (rows, cost) in COST_ROWS.into_iter().zip(&mut cost) {
        let candidates = if selectors { vec![u64::MAX; rows * table.len().div_ceil(64)] } else { vec![] };
        let properties: Vec<_> = policy.properties().iter().map(|property| column(property.form, rows)).collect();
        let paced = policy.wants().contains(Columns::ACK_INTERVAL);
        let ack_interval: Vec<u32> =
            table.iter().filter(|_| paced).map(|consumer| 500 + consumer.slot * 13 % 100).collect();
        let headers = Headers::plain(policy.wants(), rows);
        let batch = DispatchBatch {
            candidates: &candidates,
            properties: &properties,
            ack_interval: &ack_interval,
            ..headers.shown(DispatchBatch::new(1, rows, &table))
        };
        let (mut check, mut plan) = (PlanCheck::new(), Vec::new());
        let batch_cost = best(|| {
            let decided = policy.plan(&batch, &mut plan);
            check.correct(&batch, &mut plan);
            decided == Decided::Policy
        })?;
        *cost = batch_cost / rows as f64;
    }
    Some(cost)
}

/// Nanoseconds of a call, the best of several runs; `None` if one says that it did not go well.
pub(super) fn best(mut call: impl FnMut() -> bool) -> Option<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let (begin, mut calls) = (Instant::now(), 0_u32);
        while begin.elapsed() < RUN {
            for _ in 0..CALLS_PER_LOOK {
                if !call() {
                    return None;
                }
            }
            calls += CALLS_PER_LOOK;
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    Some(best)
}

/// Sixteen keys, ten ranks.
fn column(form: PropertyForm, rows: usize) -> PropertyColumn {
    match form {
        PropertyForm::Symbol => PropertyColumn::Symbols((0..rows as u32).map(|row| 1 + row % 16).collect()),
        PropertyForm::Number => PropertyColumn::Numbers((0..rows).map(|row| (row * 7 % 10) as f64).collect()),
        PropertyForm::Hash => PropertyColumn::Hashes((0..rows).map(|row| text_hash(&(row % 16).to_string())).collect()),
    }
}
