//! Stock topic policies.

use crate::{Decided, FanOut, FanOutLogic, Messages, PolicyStats, SubscriptionRow, TopicDispatch};

/// Makes a topic policy.
type Make = fn() -> Box<dyn TopicDispatch>;

/// A stock topic policy.
#[derive(Debug, Clone, Copy)]
pub struct TopicTwin {
    /// The name in a configuration.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Its native twin.
    pub make: Make,
}

/// All of them, by name in ascending order.
pub const TOPIC: &[TopicTwin] = &[
    TopicTwin {
        name: "priority",
        description: "consumers of higher priority are served first (priorityDispatchPolicy)",
        make: make::<Priority>,
    },
    TopicTwin {
        name: "priority-network",
        description: "of the subscriptions of other brokers only those of the highest priority get a copy \
                      (priorityNetworkDispatchPolicy)",
        make: make::<PriorityNetwork>,
    },
    TopicTwin {
        name: "strict-order",
        description: "subscriptions are served in the order of their slots, each message alike \
                      (strictOrderDispatchPolicy)",
        make: make::<StrictOrder>,
    },
];

fn make<L: FanOutLogic>() -> Box<dyn TopicDispatch> {
    Box::new(NativeTopic { logic: L::default(), stats: PolicyStats::default() })
}

/// A native policy with its counters.
struct NativeTopic<L> {
    logic: L,
    stats: PolicyStats,
}

impl<L: FanOutLogic> TopicDispatch for NativeTopic<L> {
    fn plan(
        &mut self,
        _now_ms: u64,
        messages: &dyn Messages,
        subscriptions: &[SubscriptionRow],
        out: &mut FanOut,
    ) -> Decided {
        self.logic.decide(messages, subscriptions, out);
        self.stats.count(messages.rows(), Decided::Policy);
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}

/// The same order for each message, whatever comes and goes between: that of the slots.
#[derive(Debug, Default)]
pub struct StrictOrder;

impl FanOutLogic for StrictOrder {
    fn decide(&mut self, _messages: &dyn Messages, subscriptions: &[SubscriptionRow], out: &mut FanOut) {
        out.order.extend(subscriptions.iter().map(|row| row.slot));
        out.order.sort_unstable();
    }
}

/// Higher priority first; equals in the order of the table.
#[derive(Debug, Default)]
pub struct Priority;

impl FanOutLogic for Priority {
    fn decide(&mut self, _messages: &dyn Messages, subscriptions: &[SubscriptionRow], out: &mut FanOut) {
        if subscriptions.is_sorted_by_key(|row| -i32::from(row.priority)) {
            return;
        }
        let mut ranked: Vec<&SubscriptionRow> = subscriptions.iter().collect();
        ranked.sort_by_key(|row| -i32::from(row.priority));
        out.order.extend(ranked.iter().map(|row| row.slot));
    }
}

/// A message that reaches other brokers over several ways should take the best one: each broker on the way takes some
/// priority off, so that the subscriptions of the longer ways rank lower and get nothing. Consumers of this broker always
/// get their copy.
#[derive(Debug, Default)]
pub struct PriorityNetwork;

impl FanOutLogic for PriorityNetwork {
    fn decide(&mut self, messages: &dyn Messages, subscriptions: &[SubscriptionRow], out: &mut FanOut) {
        let network = subscriptions.iter().filter(|row| row.is_network);
        let Some(best) = network.map(|row| row.priority).max() else { return };
        if subscriptions.iter().all(|row| !row.is_network || row.priority == best) {
            return;
        }
        let words = subscriptions.len().div_ceil(64);
        let mut row_mask = vec![0_u64; words];
        for (at, _) in subscriptions.iter().enumerate().filter(|(_, row)| !row.is_network || row.priority == best) {
            row_mask[at / 64] |= 1 << (at % 64);
        }
        for _ in 0..messages.rows() {
            out.mask.extend(&row_mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::testing::Rows;

    fn ask(name: &str, table: &[(u32, i16, bool)]) -> FanOut {
        let twin = TOPIC.iter().find(|twin| twin.name == name).expect("a stock policy");
        let table: Vec<_> = table
            .iter()
            .map(|&(slot, priority, is_network)| SubscriptionRow { slot, priority, is_network, ..Default::default() })
            .collect();
        let mut out = FanOut::default();
        assert_eq!((twin.make)().plan(0, &Rows(vec![vec![]; 2]), &table, &mut out), Decided::Policy);
        out
    }

    #[test]
    fn orders_and_masks_are_those_of_the_policies() {
        let table = [(7, 0, false), (3, 5, false), (9, -5, true), (4, -6, true)];
        assert_eq!(ask("strict-order", &table).order, [3, 4, 7, 9]);
        assert_eq!(ask("priority", &table).order, [3, 7, 9, 4]);
        assert_eq!(ask("priority", &table[1..]), FanOut::default(), "the order of the table is right already");
        assert_eq!(ask("priority-network", &table), FanOut { mask: vec![0b0111; 2], order: vec![] });
        assert_eq!(ask("priority-network", &table[..3]), FanOut::default());
        assert_eq!(ask("priority-network", &[]), FanOut::default());
    }
}
