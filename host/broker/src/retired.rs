//! What lines and policies counted that are there no more, so that sums over all of them only rise.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin::{PolicyStats, QueueDispatch};

use crate::line::{Line, LineStats};

/// Policies told apart by name; further ones are counted under the name of none.
const POLICIES_MAX: usize = 1_000;

/// Counters of what is gone. They only rise.
#[derive(Clone, Debug, Default)]
pub struct Retired {
    /// Of queues and durable subscriptions that were removed.
    pub lines: LineStats,
    /// Of policies, by name, on queues that have them no more.
    pub policies: BTreeMap<Arc<str>, PolicyStats>,
}

impl Retired {
    /// A line goes.
    pub(crate) fn line(&mut self, line: &mut Line) {
        self.policy(line.policy_name.take(), line.policy.take());
        if line.lasts() {
            self.lines.add(&line.stats);
        }
    }

    /// A line has this policy no more.
    pub(crate) fn policy(&mut self, name: Option<Arc<str>>, policy: Option<Box<dyn QueueDispatch>>) {
        let (Some(name), Some(policy)) = (name, policy) else { return };
        let is_room = self.policies.len() < POLICIES_MAX || self.policies.contains_key(&name);
        self.policies.entry(if is_room { name } else { "".into() }).or_default().add(&policy.stats());
    }
}

#[cfg(test)]
mod tests {
    use plugin::native::RoundRobin;

    use super::*;

    #[test]
    fn names_have_a_bound_and_nothing_is_lost() {
        let mut retired = Retired::default();
        for number in 0..POLICIES_MAX + 5 {
            retired.policy(Some(format!("p{number}").into()), Some(Box::new(RoundRobin::new())));
        }
        retired.policy(Some("p0".into()), Some(Box::new(RoundRobin::new())));
        assert_eq!(retired.policies.len(), POLICIES_MAX + 1);
        assert!(retired.policies.contains_key(""));
    }
}
