//! A candidate on one topic.

use std::time::Duration;

use plugin::{FanOut, FanOutCheck, Messages, SubscriptionRow};

use super::{ACTIVE, Candidate, Comparison, NextShadow, SHADOW, Side, ended};
use crate::runtime::Runtime;
use crate::topic::{Shown, TopicFunctions};

/// Sees what the topic's policy is asked.
pub(crate) struct TopicShadow {
    candidate: Candidate<TopicFunctions>,
    shown: Shown,
    check: FanOutCheck,
}

impl TopicShadow {
    pub(crate) fn new(next: NextShadow<TopicFunctions>, runtime: &Runtime, topic: &str) -> TopicShadow {
        TopicShadow { candidate: Candidate::new(next), shown: Shown::new(runtime, topic), check: FanOutCheck::new() }
    }

    /// Asks the candidate what the active generation answered with `answer` in `took`.
    pub(crate) fn look(
        &mut self,
        runtime: &Runtime,
        now_ms: u64,
        messages: &dyn Messages,
        table: &[SubscriptionRow],
        answer: &FanOut,
        took: Duration,
    ) {
        let TopicShadow { candidate, shown, check } = self;
        let rows = messages.rows();
        candidate.look(runtime, rows, took, |ready, live| {
            let shadow = shown.put(runtime, ready, live, now_ms, messages, table).map_err(ended)?;
            let mut shadow = shadow.ok_or_else(|| "its mask does not fit the messages and subscriptions".to_owned())?;
            Ok(move |found: &mut Comparison<'_>| {
                let (mut active, mut order) = (answer.clone(), Vec::new());
                let mut served = |answer: &mut FanOut| {
                    let corrected = check.correct(rows, table, answer, &mut order).total();
                    let of = |row| order.iter().copied().filter(|at| answer.gets(row, *at, table.len())).collect();
                    (corrected, (0..rows).map(of).collect::<Vec<Vec<usize>>>())
                };
                let (_, by_active) = served(&mut active);
                let (corrected, by_shadow) = served(&mut shadow);
                found.report.corrected += corrected;
                for (active, shadow) in by_active.iter().zip(&by_shadow) {
                    found.report.rows_agreed += u64::from(active == shadow);
                    count(found, table, active, ACTIVE);
                    count(found, table, shadow, SHADOW);
                }
                found.name(&[]);
            })
        });
    }
}

/// Copies by subscription, and those that were taken away.
fn count(found: &mut Comparison<'_>, table: &[SubscriptionRow], served: &[usize], side: Side) {
    for at in served {
        found.count(table[*at].slot, side);
    }
    *side(&mut found.report.rows_left) += (table.len() - served.len()) as u64;
}
