//! By load: a group without an owner goes to the consumer that has least to do, and stays there. No settings.
//!
//! What a consumer has to do is what it has not acknowledged, and what waits of the groups that it is given here.

use std::cmp::Reverse;

use jackfield_group_policy::export_group_policy;
use jackfield_group_policy::plugin::{Decided, GroupAssignment, GroupBatch, LEAVE, MemberChange, PolicyStats};

#[derive(Default)]
struct ByLoad;

impl GroupAssignment for ByLoad {
    fn members_changed(&mut self, _changes: &[MemberChange]) {}

    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided {
        out.clear();
        let consumers = batch.consumers;
        let mut load: Vec<u64> = consumers.iter().map(|row| row.in_flight.into()).collect();
        for row in 0..batch.rows() {
            let may_own = |at: &usize| consumers[*at].credit > 0 && batch.is_candidate(row, *at);
            let open = (0..consumers.len()).filter(may_own);
            match open.min_by_key(|at| (Reverse(consumers[*at].priority), load[*at])) {
                Some(at) => {
                    load[at] += u64::from(batch.queued[row]);
                    out.push(consumers[at].slot);
                }
                None => out.push(LEAVE),
            }
        }
        Decided::Policy
    }

    /// The broker counts for itself.
    fn stats(&self) -> PolicyStats {
        PolicyStats::default()
    }
}

export_group_policy!(ByLoad);
