//! Dispatch policies of the simulated broker: the native ones, and one that answers nonsense.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plugin::native::NativeHost;
use plugin::{
    Columns, Decided, DispatchBatch, GroupAssignment, GroupBatch, GroupMove, LEAVE, MemberChange, Point, PolicyError,
    PolicyHost, PolicyInfo, PolicyStats, PublishRouting, QueueDispatch, SymbolTable, TopicDispatch,
};

use crate::rng::Rng;

/// Name of the policy that answers nonsense.
pub(crate) const NONSENSE: &str = "nonsense";

/// Whether messages leave a queue with this policy in the order in which they wait.
pub(crate) fn keeps_order(policy: &str) -> bool {
    !["priority", "fair-share", NONSENSE].contains(&policy)
}

/// The native host with one policy more.
pub(crate) struct Host {
    native: NativeHost,
    seed: u64,
    tame: Arc<AtomicBool>,
}

impl Host {
    /// Once `tame` is set the nonsense still is nonsense, but holds nothing back: a policy that gives nothing to
    /// anybody would be right to starve a queue.
    pub(crate) fn new(seed: u64, tame: Arc<AtomicBool>) -> Host {
        Host { native: NativeHost::new(), seed, tame }
    }

    fn nonsense(&self, destination: &str) -> Nonsense {
        let seed = destination.bytes().fold(self.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        Nonsense { rng: Rng::new(seed), tame: self.tame.clone(), stats: PolicyStats::default() }
    }
}

impl PolicyHost for Host {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        if policy == NONSENSE {
            return Ok(Box::new(self.nonsense(destination)));
        }
        self.native.queue_dispatch(policy, destination)
    }

    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        if policy == NONSENSE {
            return Ok(Box::new(self.nonsense(destination)));
        }
        self.native.group_assignment(policy, destination)
    }

    fn topic_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        self.native.topic_dispatch(policy, destination)
    }

    fn publish_routing(
        &self,
        policy: &str,
        pattern: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn PublishRouting>, PolicyError> {
        self.native.publish_routing(policy, pattern, settings)
    }

    fn names(&self, point: Point) -> Vec<PolicyInfo> {
        self.native.names(point)
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        self.native.symbols()
    }
}

struct Nonsense {
    rng: Rng,
    tame: Arc<AtomicBool>,
    stats: PolicyStats,
}

impl QueueDispatch for Nonsense {
    fn wants(&self) -> Columns {
        Columns::default()
    }

    fn rows_max(&self) -> usize {
        7
    }

    fn members_changed(&mut self, _changes: &[MemberChange]) {}

    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided {
        out.clear();
        let tame = self.tame.load(Ordering::Relaxed);
        let length = if tame { batch.rows } else { self.rng.index(batch.rows + 3) };
        for _ in 0..length {
            let slot = match self.rng.below(4) {
                0 if !tame => LEAVE,
                0 | 1 => self.rng.below(9) as u32,
                2 => u32::MAX - 1,
                _ => batch.consumers[self.rng.index(batch.consumers.len())].slot,
            };
            out.push(slot);
        }
        self.stats.count(batch.rows, Decided::Policy);
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}

impl GroupAssignment for Nonsense {
    fn members_changed(&mut self, _changes: &[MemberChange]) {}

    fn assign(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<u32>) -> Decided {
        out.clear();
        let tame = self.tame.load(Ordering::Relaxed);
        let length = if tame { batch.rows() } else { self.rng.index(batch.rows() + 3) };
        for _ in 0..length {
            let slot = match self.rng.below(4) {
                0 if !tame => LEAVE,
                0 | 1 => self.rng.below(9) as u32,
                _ => batch.consumers[self.rng.index(batch.consumers.len())].slot,
            };
            out.push(slot);
        }
        Decided::Policy
    }

    fn rebalances(&self) -> bool {
        true
    }

    fn rebalance(&mut self, batch: &GroupBatch<'_>, out: &mut Vec<GroupMove>) -> Decided {
        out.clear();
        for _ in 0..self.rng.index(batch.rows() + 3) {
            let row = self.rng.index(batch.rows() + 2) as u32;
            let to = match self.rng.below(4) {
                0 => self.rng.below(9) as u32,
                _ => batch.consumers[self.rng.index(batch.consumers.len())].slot,
            };
            out.push(GroupMove { row, to });
        }
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}
