//! What lines and policies counted that are there no more, so that sums over all of them only rise.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin::{Point, PolicyStats};

use crate::groups::Groups;
use crate::line::{Line, LineStats};

/// Policies told apart by name; further ones are counted under the name of none.
const POLICIES_MAX: usize = 1_000;

/// Counters of what is gone. They only rise.
#[derive(Clone, Debug, Default)]
pub struct Retired {
    /// Of queues and durable subscriptions that were removed.
    pub lines: LineStats,
    /// Of policies, by name, on destinations that have them no more.
    pub policies: BTreeMap<(Point, Arc<str>), PolicyStats>,
}

impl Retired {
    /// A line goes.
    pub(crate) fn line(&mut self, line: &mut Line) {
        self.policy(Point::QueueDispatch, line.policy_name.take(), line.policy.take().map(|policy| policy.stats()));
        if let Some(groups) = &mut line.groups {
            self.group_policy(groups);
        }
        if line.lasts() {
            self.lines.add(&line.stats);
        }
    }

    /// A destination has this policy no more.
    pub(crate) fn policy(&mut self, point: Point, name: Option<Arc<str>>, stats: Option<PolicyStats>) {
        let (Some(name), Some(stats)) = (name, stats) else { return };
        let key = (point, name);
        let is_room = self.policies.len() < POLICIES_MAX || self.policies.contains_key(&key);
        self.policies.entry(if is_room { key } else { (point, "".into()) }).or_default().add(&stats);
    }

    /// The groups of a line have no policy for now.
    pub(crate) fn group_policy(&mut self, groups: &mut Groups) {
        let stats = groups.policy.take().map(|policy| policy.stats());
        self.policy(Point::GroupAssignment, groups.policy_name.take(), stats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_bound_and_nothing_is_lost() {
        let mut retired = Retired::default();
        for number in 0..POLICIES_MAX + 5 {
            retired.policy(Point::QueueDispatch, Some(format!("p{number}").into()), Some(PolicyStats::default()));
        }
        retired.policy(Point::QueueDispatch, Some("p0".into()), Some(PolicyStats::default()));
        assert_eq!(retired.policies.len(), POLICIES_MAX + 1);
        assert!(retired.policies.contains_key(&(Point::QueueDispatch, "".into())));
    }
}
