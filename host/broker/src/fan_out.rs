//! Topic dispatch: a policy takes subscriptions out of a message's fan-out and ranks the others. Topics without one, the
//! default, pay nothing: their messages go to all that match, in order of arrival.

use std::collections::BTreeMap;
use std::sync::Arc;

use message::{Destination, DestinationKind, Message, Text};
use plugin::{Columns, FanOut, FanOutCheck, Messages, Point, PolicyStats, Scalar, SubscriptionRow, TopicDispatch};
use rustc_hash::FxHashMap;

use crate::Config;
use crate::broker::Broker;
use crate::explain::Watch;
use crate::line::LineKind;
use crate::plugin_log::PLUGIN_LOG_TOPIC;
use crate::retired::Retired;
use crate::routing::{number_of, property_of};
use crate::slots::Key;
use crate::stats::add;

/// The policies of topics, made with a topic's first message.
#[derive(Default)]
pub(crate) struct TopicPolicies {
    /// True if the configuration names one for any topic …
    named: bool,
    /// … or one is bound to some.
    bound: bool,
    /// `None` for a topic without one. An entry goes with its topic.
    of: FxHashMap<Text, Option<TopicPolicy>>,
    check: FanOutCheck,
    table: Vec<SubscriptionRow>,
    answer: FanOut,
    order: Vec<usize>,
}

struct TopicPolicy {
    name: Arc<str>,
    policy: Box<dyn TopicDispatch>,
    stats: TopicStats,
    /// Its latest decisions, while somebody asks for them.
    watch: Option<Box<Watch>>,
}

/// What became of the messages of one topic, rising since its first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicStats {
    /// Messages asked about.
    pub messages: u64,
    /// Copies that the policy took away.
    pub withheld: u64,
    /// Answers that had to be corrected.
    pub corrected: u64,
}

/// One topic with a policy as it stands.
#[derive(Debug)]
pub struct TopicReport {
    /// Qualified name.
    pub name: String,
    /// What became of the messages.
    pub topic: TopicStats,
    /// The policy's own counters.
    pub stats: PolicyStats,
}

impl TopicPolicies {
    pub(crate) fn new(config: &Config) -> TopicPolicies {
        let named = config.default_destination.topic_dispatch_policy.is_some()
            || config.destinations.iter().any(|policy| policy.settings.topic_dispatch_policy.is_some());
        TopicPolicies { named, ..TopicPolicies::default() }
    }

    /// The topic is gone.
    pub(crate) fn forget(&mut self, topic: &Text, retired: &mut Retired) {
        if let Some(Some(topic)) = self.of.remove(topic) {
            retired.policy(Point::TopicDispatch, Some(topic.name), Some(topic.policy.stats()));
        }
    }

    /// The place for the decisions of a topic; `None` for one without a policy.
    pub(crate) fn watch(&mut self, topic: &str) -> Option<&mut Option<Box<Watch>>> {
        self.of.get_mut(topic)?.as_mut().map(|topic| &mut topic.watch)
    }

    /// Lets go of old decisions; says how many topics are still asked about.
    pub(crate) fn forget_old_watches(&mut self, is_old: impl Fn(&Watch) -> bool) -> usize {
        let mut busy = 0;
        for topic in self.of.values_mut().flatten() {
            topic.watch = topic.watch.take().filter(|watch| !is_old(watch));
            busy += usize::from(topic.watch.is_some());
        }
        busy
    }

    /// What the policies counted, by name.
    pub(crate) fn add_to(&self, sums: &mut BTreeMap<(Point, Arc<str>), PolicyStats>) {
        for topic in self.of.values().flatten() {
            add(sums, (Point::TopicDispatch, topic.name.clone()), &topic.policy.stats());
        }
    }
}

impl Broker {
    /// Leaves in `wanted` the subscriptions that get the message, in the order in which they are served.
    pub(crate) fn rank(&mut self, message: &Message, wanted: &mut Vec<Key>) {
        let destination = &message.destination;
        let policies = &self.topic_policies;
        if !(policies.named || policies.bound)
            || wanted.is_empty()
            || destination.kind != DestinationKind::Topic
            || destination.is_advisory()
            || destination.name.starts_with(PLUGIN_LOG_TOPIC)
        {
            return;
        }
        let mut all = std::mem::take(&mut self.topic_policies);
        if !all.of.contains_key(&destination.name) {
            let made = self.topic_policy(destination);
            all.of.insert(destination.name.clone(), made);
        }
        if let Some(Some(topic)) = all.of.get_mut(&destination.name) {
            all.table.clear();
            all.table.extend(wanted.iter().map(|key| self.subscription_row(*key)));
            all.answer.clear();
            let now_ms = u64::try_from(self.now).unwrap_or(0);
            let decided = topic.policy.plan(now_ms, &OneRow(message), &all.table, &mut all.answer);
            let found = all.check.correct(1, &all.table, &mut all.answer, &mut all.order);
            let before: Vec<Key> = std::mem::take(wanted);
            let gets = |at: &&usize| all.answer.gets(0, **at, before.len());
            wanted.extend(all.order.iter().filter(gets).map(|at| before[*at]));
            if topic.watch.is_some() {
                let by = (topic.name.clone(), topic.policy.generation(), decided);
                self.note_fan_out(&mut topic.watch, message, by, &all.table, wanted);
            }
            topic.stats.messages += 1;
            topic.stats.withheld += (before.len() - wanted.len()) as u64;
            if found.total() > 0 {
                topic.stats.corrected += found.total();
                topic.policy.corrected(found.total());
            }
        }
        self.topic_policies = all;
    }

    fn topic_policy(&mut self, topic: &Destination) -> Option<TopicPolicy> {
        let name = self.topic_policy_name(&topic.name)?;
        match self.policies.topic_dispatch(&name, &topic.name) {
            Ok(policy) => Some(TopicPolicy { name, policy, stats: TopicStats::default(), watch: None }),
            Err(_) => {
                self.stats.policies_refused += 1;
                None
            }
        }
    }

    /// The name of the policy that a topic is to have, if any.
    fn topic_policy_name(&self, topic: &str) -> Option<Arc<str>> {
        let bound = self.policies.bound(Point::TopicDispatch, topic);
        bound.or_else(|| self.config.settings(false, topic).topic_dispatch_policy.clone()).map(Into::into)
    }

    /// Topics that are to have another policy than before get it with their next message; the others keep theirs.
    pub(crate) fn rebind_topics(&mut self) {
        let mut all = std::mem::take(&mut self.topic_policies);
        all.bound = !self.policies.bindings(Point::TopicDispatch).is_empty();
        let is_other = |(topic, has): (&Text, &Option<TopicPolicy>)| {
            let name = has.as_ref().map(|has| &has.name);
            (name != self.topic_policy_name(topic).as_ref()).then(|| topic.clone())
        };
        let others: Vec<Text> = all.of.iter().filter_map(is_other).collect();
        others.iter().for_each(|topic| all.forget(topic, &mut self.retired));
        self.topic_policies = all;
    }

    fn subscription_row(&self, key: Key) -> SubscriptionRow {
        let Some(line) = self.lines.get(key) else { return SubscriptionRow { slot: key.index, ..Default::default() } };
        let consumer = line.members.first().and_then(|member| self.consumers.get(*member));
        SubscriptionRow {
            slot: key.index,
            priority: consumer.map_or(0, |consumer| consumer.priority.into()),
            waiting: u32::try_from(line.pending.len()).unwrap_or(u32::MAX),
            is_network: consumer.is_some_and(|consumer| consumer.network),
            is_durable: matches!(&line.kind, LineKind::Subscription(subscription) if subscription.durable.is_some()),
        }
    }

    /// Every topic that was asked a policy about, by name.
    pub fn topics_dispatched(&self) -> Vec<TopicReport> {
        let with_policy = self.topic_policies.of.iter().filter_map(|(name, topic)| Some((name, topic.as_ref()?)));
        let report = |(name, topic): (&Text, &TopicPolicy)| TopicReport {
            name: Destination::topic(name.clone()).to_string(),
            topic: topic.stats,
            stats: topic.policy.stats(),
        };
        let mut all: Vec<_> = with_policy.map(report).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// The message under way, alone.
struct OneRow<'a>(&'a Message);

impl Messages for OneRow<'_> {
    fn rows(&self) -> usize {
        1
    }

    fn number(&self, _row: usize, column: Columns) -> i64 {
        number_of(self.0, column)
    }

    fn property(&self, _row: usize, name: &str) -> Scalar<'_> {
        property_of(self.0, name)
    }
}
