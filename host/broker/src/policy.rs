//! The policies of the lines: made with the first member, made anew when another one is bound to the destination.

use std::sync::Arc;

use plugin::{Member, MemberChange, Point, PolicyHost};

use crate::broker::Broker;
use crate::consumer::Consumer;
use crate::line::{Line, LineKind};
use crate::slots::{Key, Slots};

impl Broker {
    /// Asks for the policy that a queue is to have; the native one serves where it cannot be had.
    pub(crate) fn make_policy(&mut self, key: Key) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let LineKind::Queue { destination, .. } = &line.kind else { return };
        let wish = &line.settings.dispatch_policy;
        let former = line.policy.take().map(|policy| policy.stats());
        self.retired.policy(Point::QueueDispatch, line.policy_name.take(), former);
        let name = wanted(&*self.policies, Point::QueueDispatch, wish, &destination.name);
        line.policy = Some(self.policies.queue_dispatch(&name, &destination.name).unwrap_or_else(|_| {
            self.stats.policies_refused += 1;
            Box::new(plugin::native::RoundRobin::new())
        }));
        line.policy_name = Some(name);
    }

    /// Other policies are bound to destinations than before, or a policy is there no more: each queue, its groups, each
    /// topic and each binding of publish routing that is to have another one gets it, and the new one is told of all
    /// members. A policy that stays where it is notices nothing.
    pub fn policies_changed(&mut self) {
        self.rebind_routes();
        self.rebind_topics();
        self.rebind_groups();
        let with_policy = |line: &Line| line.policy.is_some();
        let lines: Vec<Key> = self.lines.iter().filter(|(_, line)| with_policy(line)).map(|(key, _)| key).collect();
        for key in lines {
            let Some(line) = self.lines.get(key) else { continue };
            let LineKind::Queue { destination, .. } = &line.kind else { continue };
            let wish = &line.settings.dispatch_policy;
            if line.policy_name == Some(wanted(&*self.policies, Point::QueueDispatch, wish, &destination.name)) {
                continue;
            }
            self.make_policy(key);
            let Some(line) = self.lines.get_mut(key) else { continue };
            line.changes = joined(&self.consumers, line);
            self.mark(key);
        }
    }
}

/// The name of the policy that a destination is to have whose settings say `wish`.
pub(crate) fn wanted(policies: &dyn PolicyHost, point: Point, wish: &str, destination: &str) -> Arc<str> {
    policies.bound(point, destination).map_or_else(|| wish.into(), Into::into)
}

/// All members of a line as a policy that is new there is told of them.
pub(crate) fn joined(consumers: &Slots<Consumer>, line: &Line) -> Vec<MemberChange> {
    let members = line.members.iter().filter_map(|key| consumers.get(*key).map(|found| (*key, found)));
    members.map(|(key, consumer)| MemberChange::Joined(member(key, consumer))).collect()
}

/// A consumer as its policy is told of it.
pub(crate) fn member(key: Key, consumer: &Consumer) -> Member {
    Member {
        slot: key.index,
        client_id: Arc::from(consumer.client_id.as_deref().unwrap_or_default()),
        selector: consumer.selector.as_ref().map(|selector| Arc::from(&**selector.text())),
        is_network: consumer.network,
    }
}
