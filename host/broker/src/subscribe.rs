//! Connections, consumers and producers come and go.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use message::{
    Advisory, Connect, ConnectionKey, Destination, DestinationKind, Event, LogDefinition, ProducerId, Record, Refusal,
    RefusalKind, Subscribe, SubscriptionKey, Text,
};
use plugin::auth::Principal;
use plugin::{MemberChange, Point};

use crate::broker::{Broker, Then, Timer};
use crate::connection::Connection;
use crate::consumer::{Browse, Consumer};
use crate::line::{Line, LineKind, Subscription};
use crate::pending::Place;
use crate::policy::member;
use crate::slots::Key;

/// How long a queue waits for enough consumers when no time is set, ms, as in ActiveMQ.
const DISPATCH_WAIT_MS: i64 = 1_000;

impl Broker {
    pub(crate) fn connect(&mut self, key: ConnectionKey, connect: Connect) {
        // The newest connection of an id wins: the older one is half dead (row L03).
        if let Some(old) = self.connection_ids.get(&connect.connection).copied() {
            self.replace(old);
        }
        let mut refusal = None;
        if self.stopping {
            refusal = Some(Refusal::new(RefusalKind::Closing, "the broker is stopping"));
        }
        if let Some(client_id) = &connect.client_id
            && let Some(holder) = self.client_ids.get(client_id).copied()
        {
            if connect.link_stealing {
                self.replace(holder);
            } else {
                let remote = self.connections.get(&holder).map(|c| c.remote.clone()).unwrap_or_default();
                let name = &self.config.broker_name;
                let text = format!("Broker: {name} - Client: {client_id} already connected from {remote}");
                refusal = Some(Refusal::new(RefusalKind::InvalidClientId, text));
            }
        }
        let principal = Principal {
            name: connect.user.as_deref().unwrap_or_default().to_owned(),
            groups: connect.groups.iter().map(|group| group.to_string()).collect(),
        };
        let connection = Connection {
            id: connect.connection.clone(),
            principal: Arc::new(principal),
            client_id: connect.client_id.clone(),
            user: connect.user,
            remote: connect.remote,
            failover: connect.failover_reconnect,
            consumers: Default::default(),
            transactions: Default::default(),
            producers: Default::default(),
            temporary: Vec::new(),
            parked: VecDeque::new(),
            fences: Vec::new(),
            burying: 0,
            withheld: Vec::new(),
            paused: false,
            unsent: 0,
            events: Vec::new(),
        };
        if let Some(refusal) = refusal {
            let event = match connect.receipt {
                Some(receipt) => Event::Reply { receipt, outcome: Err(refusal) },
                None => Event::Close(refusal),
            };
            self.stats.farewells.push((key, vec![event]));
            return;
        }
        self.connection_ids.insert(connect.connection.clone(), key);
        if let Some(client_id) = &connect.client_id {
            self.client_ids.insert(client_id.clone(), key);
        }
        let advisory = Advisory::ConnectionAdded {
            connection: connect.connection,
            client_id: connect.client_id,
            user: connection.user.clone(),
            remote: connection.remote.clone(),
        };
        self.connections.insert(key, connection);
        self.advise("ActiveMQ.Advisory.Connection", advisory, None);
        if let Some(receipt) = connect.receipt {
            self.say(key, Event::Reply { receipt, outcome: Ok(()) });
        }
    }

    fn replace(&mut self, old: ConnectionKey) {
        let why = Refusal::new(RefusalKind::Closing, "a newer connection took this one's place");
        self.stats.farewells.push((old, vec![Event::Close(why)]));
        self.disconnect(old);
    }

    pub(crate) fn disconnect(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let transactions: Vec<_> = connection.transactions.keys().copied().collect();
        let consumers: Vec<_> = connection.consumers.keys().copied().collect();
        let producers: Vec<_> = connection.producers.keys().cloned().collect();
        connection.parked.clear();
        self.parked.retain(|other| *other != key);
        for transaction in transactions {
            let _ = self.rollback(key, transaction);
        }
        for consumer in consumers {
            let _ = self.unsubscribe(key, consumer, None);
        }
        for producer in producers {
            self.remove_producer(key, &producer);
        }
        let temporary = self.connections.get_mut(&key).map(|c| std::mem::take(&mut c.temporary)).unwrap_or_default();
        for destination in temporary {
            self.end_temporary(key, &destination);
        }
        let Some(connection) = self.connections.remove(&key) else { return };
        if self.connection_ids.get(&connection.id) == Some(&key) {
            self.connection_ids.remove(&connection.id);
        }
        if let Some(client_id) = &connection.client_id
            && self.client_ids.get(client_id) == Some(&key)
        {
            self.client_ids.remove(client_id);
        }
        let advisory = Advisory::ConnectionRemoved { connection: connection.id };
        self.advise("ActiveMQ.Advisory.Connection", advisory, None);
    }

    fn end_temporary(&mut self, owner: ConnectionKey, destination: &Destination) {
        if destination.kind.is_queue() {
            if let Some(key) = self.temporary_queues.get(&destination.name).copied() {
                self.drop_line(key);
            }
        } else {
            self.temporary_topics.remove(&destination.name);
        }
        self.advise_destination(destination, Some(owner), true);
    }

    pub(crate) fn subscribe(&mut self, from: ConnectionKey, subscribe: Subscribe) {
        let receipt = subscribe.receipt;
        let subscription = subscribe.subscription;
        match self.try_subscribe(from, subscribe) {
            Ok(()) => self.answer(from, receipt, Ok(())),
            Err(why) if receipt.is_some() => self.answer(from, receipt, Err(why)),
            Err(why) => self.say(from, Event::SubscriptionClosed { subscription, why }),
        }
    }

    fn try_subscribe(&mut self, from: ConnectionKey, wish: Subscribe) -> Result<(), Refusal> {
        let Some(connection) = self.connections.get(&from) else { return Ok(()) };
        if connection.consumers.contains_key(&wish.subscription) {
            return Ok(()); // A client that came back says it again (row W23).
        }
        if let Err(error) = wish.destination.check() {
            return Err(Refusal::new(RefusalKind::InvalidDestination, error.to_string()));
        }
        if self.consumers.len() >= self.config.consumers_max {
            let text = format!("cannot add a consumer: consumers_max of {} is reached", self.config.consumers_max);
            return Err(Refusal::new(RefusalKind::ResourceAllocation, text));
        }
        let parts = wish.destination.components();
        for part in &parts {
            self.check_subscription(from, part)?;
        }
        let (queues, topics): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.kind.is_queue());
        if wish.browser && !topics.is_empty() {
            let text = format!("cannot browse {}: only queues can be browsed", wish.destination);
            return Err(Refusal::new(RefusalKind::InvalidDestination, text));
        }
        let durable = match &wish.durable_name {
            Some(name) => Some(self.prepare_durable(from, &wish, name, &queues, &topics)?),
            None => None,
        };
        let key = self.insert_consumer(from, &wish, &queues);
        if wish.browser {
            self.begin_browse(key, &queues);
        } else {
            self.attach_queues(key, &queues);
            match durable {
                Some(line) => self.enlist(line, key),
                None if !topics.is_empty() => self.attach_topics(key, &wish, topics),
                None => {}
            }
        }
        self.advise_consumer(key);
        Ok(())
    }

    fn check_subscription(&self, from: ConnectionKey, part: &Destination) -> Result<(), Refusal> {
        let refuse = |text: String| Err(Refusal::new(RefusalKind::InvalidDestination, text));
        match part.kind {
            DestinationKind::TempQueue => {
                let line = self.temporary_queues.get(&part.name).and_then(|key| self.lines.get(*key));
                match line.map(|line| &line.kind) {
                    None => refuse(format!("cannot consume from {part}: the temporary queue does not exist")),
                    Some(LineKind::Queue { owner, .. }) if *owner != Some(from) => {
                        refuse(format!("cannot consume from {part}: it belongs to another connection"))
                    }
                    Some(_) => Ok(()),
                }
            }
            DestinationKind::TempTopic => match self.temporary_topics.get(&part.name) {
                None => refuse(format!("cannot consume from {part}: the temporary topic does not exist")),
                Some(owner) if *owner != from => {
                    refuse(format!("cannot consume from {part}: it belongs to another connection"))
                }
                Some(_) => Ok(()),
            },
            DestinationKind::Queue | DestinationKind::Topic => {
                let new = !part.is_wildcard()
                    && match part.kind {
                        DestinationKind::Queue => !self.queues.contains_key(&part.name),
                        _ => !self.topics.contains_key(&part.name),
                    };
                if new && self.destinations() >= self.config.destinations_max {
                    let limit = self.config.destinations_max;
                    let text = format!("cannot make {part}: destinations_max of {limit} is reached");
                    return Err(Refusal::new(RefusalKind::ResourceAllocation, text));
                }
                if new { self.check_creation(from, part) } else { Ok(()) }
            }
        }
    }

    fn insert_consumer(&mut self, from: ConnectionKey, wish: &Subscribe, queues: &[Destination]) -> Key {
        self.next_order += 1;
        let client_id = self.connections.get(&from).and_then(|c| c.client_id.clone());
        let key = self.consumers.insert(Consumer {
            connection: from,
            subscription: wish.subscription,
            id: wish.consumer.clone(),
            identity: wish.identity.clone(),
            client_id,
            destination: wish.destination.clone(),
            patterns: queues.iter().filter(|queue| queue.is_wildcard()).cloned().collect(),
            selector: wish.selector.clone(),
            prefetch: wish.prefetch.min(self.config.prefetch_max),
            durable_name: wish.durable_name.clone(),
            no_local: wish.no_local,
            exclusive: wish.exclusive,
            priority: wish.priority,
            network: wish.network,
            auto_ack: wish.auto_ack,
            lines: Vec::new(),
            held: VecDeque::new(),
            unseen: 0,
            seen_up_to: 0,
            next_tag: 1,
            pace: Default::default(),
            pulls: 0,
            pull_deadline: None,
            browse: wish.browser.then(Browse::default),
            order: self.next_order,
        });
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.consumers.insert(wish.subscription, key);
        }
        key
    }

    fn attach_queues(&mut self, key: Key, queues: &[Destination]) {
        let mut lines = Vec::new();
        for queue in queues {
            if queue.is_wildcard() {
                lines.extend(self.covered(key, queue));
            } else if let Some(line) = self.queue_for(queue) {
                lines.push(line);
            }
        }
        if queues.iter().any(Destination::is_wildcard) {
            self.queue_patterns.push(key);
        }
        lines.sort_unstable();
        lines.dedup();
        for line in lines {
            self.enlist(line, key);
        }
    }

    /// The queues that a consumer's wildcards stand for and that it may read.
    pub(crate) fn covered(&self, consumer: Key, queue: &Destination) -> Vec<Key> {
        let covers = |name: &Text| {
            let one = Destination { kind: DestinationKind::Queue, name: name.clone() };
            queue.covers_name(name) && self.may_read(consumer, &one)
        };
        self.queues.iter().filter(|(name, _)| covers(name)).map(|(_, line)| *line).collect()
    }

    /// A subscription that lives as long as its consumer.
    fn attach_topics(&mut self, key: Key, wish: &Subscribe, topics: Vec<Destination>) {
        let no_local = wish.no_local.then(|| wish.consumer.connection.clone());
        let from = self.consumers.get(key).map(|consumer| consumer.connection);
        let reader = from.and_then(|from| self.reader(from, &topics));
        topics.iter().for_each(|topic| self.note_topic(topic));
        let first = topics.first().map(|topic| topic.name.clone()).unwrap_or_default();
        let settings = Arc::new(self.config.settings(false, &first).clone());
        let subscription = Subscription {
            topics: topics.clone(),
            selector: wish.selector.clone(),
            no_local,
            consumer: Some(wish.consumer.clone()),
            durable: None,
            reader,
        };
        let line = self.lines.insert(Line::new(LineKind::Subscription(Box::new(subscription)), None, settings));
        self.index_topics(line, &topics);
        self.enlist(line, key);
        for topic in topics.iter().filter(|topic| topic.is_advisory()) {
            self.replay_advisories(topic, line);
        }
    }

    /// Finds or makes the durable subscription; one with another topic or selector replaces the old one, as JMS says.
    fn prepare_durable(
        &mut self,
        from: ConnectionKey,
        wish: &Subscribe,
        name: &Text,
        queues: &[Destination],
        topics: &[Destination],
    ) -> Result<Key, Refusal> {
        let refuse = |kind, text: String| Err(Refusal::new(kind, text));
        let Some(client_id) = self.connections.get(&from).and_then(|c| c.client_id.clone()) else {
            let text = format!("durable subscription {name} needs a client id on its connection; set one");
            return refuse(RefusalKind::InvalidClientId, text);
        };
        if !queues.is_empty() || topics.iter().any(|topic| topic.kind.is_temporary()) {
            let text =
                format!("durable subscription {name} to {}: only topics that last can have one", wish.destination);
            return refuse(RefusalKind::InvalidDestination, text);
        }
        let id = (client_id.clone(), name.clone());
        let reader = self.reader(from, topics);
        if let Some(key) = self.durables.get(&id).copied() {
            let Some(line) = self.lines.get_mut(key) else {
                return refuse(RefusalKind::IllegalState, format!("durable subscription {name} is going"));
            };
            if line.is_served() {
                let text = format!("Durable consumer is in use for client: {client_id} and subscriptionName: {name}");
                return refuse(RefusalKind::IllegalState, text);
            }
            if let LineKind::Subscription(subscription) = &mut line.kind {
                let same_selector =
                    subscription.selector.as_ref().map(|s| s.text()) == wish.selector.as_ref().map(|s| s.text());
                if same_selector && subscription.topics == topics && subscription.no_local.is_some() == wish.no_local {
                    subscription.consumer = Some(wish.consumer.clone());
                    subscription.reader = reader;
                    if wish.no_local {
                        subscription.no_local = Some(wish.consumer.connection.clone());
                    }
                    return Ok(key);
                }
            }
            self.drop_line(key);
        }
        if self.durables.len() >= self.config.durable_subscriptions_max {
            let limit = self.config.durable_subscriptions_max;
            let text = format!("durable subscription {name}: durable_subscriptions_max of {limit} is reached");
            return refuse(RefusalKind::ResourceAllocation, text);
        }
        topics.iter().for_each(|topic| self.note_topic(topic));
        let log = self.new_log();
        let definition = LogDefinition::Durable {
            client_id,
            name: name.clone(),
            topic: wish.destination.name.clone(),
            selector: wish.selector.as_ref().map(|selector| selector.text().clone()),
            no_local: wish.no_local,
        };
        self.records.push(Record::Log { log, definition });
        let no_local = wish.no_local.then(|| wish.consumer.connection.clone());
        let consumer = Some(wish.consumer.clone());
        let key = self.insert_durable(log, id, topics.to_vec(), wish.selector.clone(), no_local, consumer);
        if let Some(Line { kind: LineKind::Subscription(subscription), .. }) = self.lines.get_mut(key) {
            subscription.reader = reader;
        }
        Ok(key)
    }

    pub(crate) fn insert_durable(
        &mut self,
        log: message::LogId,
        id: (Text, Text),
        topics: Vec<Destination>,
        selector: Option<Arc<selector::Selector>>,
        no_local: Option<Text>,
        consumer: Option<ProducerId>,
    ) -> Key {
        let first = topics.first().map(|topic| topic.name.clone()).unwrap_or_default();
        let settings = Arc::new(self.config.settings(false, &first).clone());
        let subscription = Subscription {
            topics: topics.clone(),
            selector,
            no_local,
            consumer,
            durable: Some(id.clone()),
            reader: None,
        };
        let line = self.lines.insert(Line::new(LineKind::Subscription(Box::new(subscription)), Some(log), settings));
        self.durables.insert(id, line);
        self.index_topics(line, &topics);
        line
    }

    /// Serves a consumer from a line. What already waits there may reach it, and a crash may come before the journal
    /// hears of an acknowledgement: the journal is told first.
    pub(crate) fn enlist(&mut self, line_key: Key, consumer_key: Key) {
        let Some(consumer) = self.consumers.get_mut(consumer_key) else { return };
        let Some(line) = self.lines.get_mut(line_key) else { return };
        if line.members.contains(&consumer_key) {
            return;
        }
        consumer.lines.push(line_key);
        line.members.push(consumer_key);
        line.unmatched = Place::FIRST;
        line.load_from = Place::FIRST;
        if line.is_queue() {
            line.selective |= consumer.selector.is_some();
            line.exclusive |= consumer.exclusive || line.settings.all_consumers_exclusive_by_default;
            line.changes.push(MemberChange::Joined(member(consumer_key, consumer)));
            if line.policy.is_none() {
                self.make_policy(line_key);
            }
        }
        let Some(line) = self.lines.get_mut(line_key) else { return };
        if let Some(log) = line.log {
            let last = self.next_sequence - 1;
            let waits = !line.pending.is_empty() || line.awaiting > 0;
            if waits && line.dispatched < last {
                line.dispatched = last;
                self.records.push(Record::Dispatched { log, up_to: last });
                line.gate = self.appended + 1;
                self.later(Then::Open(line_key));
            }
        }
        self.delay_dispatch(line_key);
        self.claim_groups(line_key, consumer_key);
        self.mark(line_key);
    }

    /// Lets a queue wait for more consumers, or for a while, before it serves the first one (row P12).
    fn delay_dispatch(&mut self, key: Key) {
        let Some(line) = self.lines.get_mut(key).filter(|line| line.is_queue()) else { return };
        let (wait_ms, enough) =
            (line.settings.time_before_dispatch_starts_ms, line.settings.consumers_before_dispatch_starts);
        if enough > 0 && line.members.len() >= enough {
            line.starts_at = None;
        } else if line.members.len() == 1 && (wait_ms > 0 || enough > 1) {
            let due = self.now + if wait_ms > 0 { wait_ms } else { DISPATCH_WAIT_MS };
            line.starts_at = Some(due);
            self.timers.push(Reverse((due, Timer::Start(key))));
        }
    }

    /// The wait for more consumers is over.
    pub(crate) fn start_dispatch(&mut self, key: Key, at: i64) {
        if let Some(line) = self.lines.get_mut(key)
            && line.starts_at.is_some_and(|due| due <= at)
        {
            line.starts_at = None;
            self.mark(key);
        }
    }

    /// Ends a consumer; what it held goes back to where it stood (row L13).
    pub(crate) fn unsubscribe(
        &mut self,
        from: ConnectionKey,
        subscription: SubscriptionKey,
        last_delivered: Option<u64>,
    ) -> Result<(), Refusal> {
        let Some(connection) = self.connections.get_mut(&from) else { return Ok(()) };
        let Some(key) = connection.consumers.remove(&subscription) else { return Ok(()) };
        for transaction in connection.transactions.values_mut() {
            transaction.acks.retain(|(consumer, _)| *consumer != key || last_delivered.is_some());
        }
        self.advise_consumer_gone(key);
        let Some(mut consumer) = self.consumers.remove(key) else { return Ok(()) };
        self.queue_patterns.retain(|other| *other != key);
        // Acknowledged in an open transaction of a connection that lives on: the commit still counts.
        let kept: Vec<_> = consumer.held.iter().filter(|h| h.transaction.is_some() && !h.gone).map(|h| h.tag).collect();
        let mut orphans = VecDeque::new();
        for held in consumer.held.drain(..).filter(|held| !held.gone && !held.copy) {
            if !kept.is_empty() && held.transaction.is_some() && last_delivered.is_some() {
                orphans.push_back(held);
                continue;
            }
            let failed = last_delivered.is_none_or(|last| held.tag <= last);
            self.give_back(held.line, held.entry, held.group, failed);
            self.group_released(held.line, held.group);
        }
        for line_key in std::mem::take(&mut consumer.lines) {
            self.delist(line_key, key);
        }
        if !orphans.is_empty() {
            self.keep_orphans(from, key, consumer, orphans);
        }
        Ok(())
    }

    /// A consumer closed while a transaction still has acknowledgements of it: a shadow of it keeps those messages
    /// until the transaction ends.
    fn keep_orphans(
        &mut self,
        from: ConnectionKey,
        old: Key,
        mut consumer: Consumer,
        orphans: VecDeque<crate::entry::Held>,
    ) {
        consumer.held = orphans;
        consumer.prefetch = 0;
        consumer.pulls = 0;
        consumer.auto_ack = false;
        let shadow = self.consumers.insert(consumer);
        if let Some(connection) = self.connections.get_mut(&from) {
            for transaction in connection.transactions.values_mut() {
                for (consumer, _) in transaction.acks.iter_mut().filter(|(consumer, _)| *consumer == old) {
                    *consumer = shadow;
                }
            }
        }
    }

    fn delist(&mut self, line_key: Key, key: Key) {
        let Some(line) = self.lines.get_mut(line_key) else { return };
        line.members.retain(|other| *other != key);
        line.changes.push(MemberChange::Left(key.index));
        line.unmatched = Place::FIRST;
        line.load_from = Place::FIRST;
        let members = line.members.clone();
        let is_subscription = match &line.kind {
            LineKind::Subscription(subscription) => Some(subscription.durable.is_some()),
            LineKind::Queue { .. } => None,
        };
        match is_subscription {
            Some(false) => self.drop_line(line_key),
            Some(true) => self.unload(line_key),
            None => {
                let all =
                    |test: fn(&Consumer) -> bool| members.iter().any(|m| self.consumers.get(*m).is_some_and(test));
                let (selective, exclusive) = (all(|c| c.selector.is_some()), all(|c| c.exclusive));
                if let Some(line) = self.lines.get_mut(line_key) {
                    line.selective = selective;
                    line.exclusive = exclusive || line.settings.all_consumers_exclusive_by_default;
                    if line.members.is_empty() {
                        let former = line.policy.take().map(|policy| policy.stats());
                        self.retired.policy(Point::QueueDispatch, line.policy_name.take(), former);
                        line.changes.clear();
                    }
                }
                self.free_groups_of(line_key, key);
                self.mark(line_key);
            }
        }
    }

    pub(crate) fn remove_durable(&mut self, client_id: Text, name: Text) -> Result<(), Refusal> {
        let Some(key) = self.durables.get(&(client_id.clone(), name.clone())).copied() else {
            let text = format!("no durable subscription exists for client: {client_id} and subscriptionName: {name}");
            return Err(Refusal::new(RefusalKind::InvalidDestination, text));
        };
        if self.lines.get(key).is_some_and(Line::is_served) {
            let text = format!("Durable consumer is in use: {name} of client {client_id}; close it first");
            return Err(Refusal::new(RefusalKind::IllegalState, text));
        }
        self.drop_line(key);
        Ok(())
    }

    pub(crate) fn set_prefetch(&mut self, from: ConnectionKey, subscription: SubscriptionKey, prefetch: u32) {
        let Some(key) = self.consumer_of(from, subscription) else { return };
        if let Some(consumer) = self.consumers.get_mut(key) {
            consumer.prefetch = prefetch.min(self.config.prefetch_max);
            if consumer.prefetch > 0 {
                consumer.pulls = 0;
                consumer.pull_deadline = None;
            }
        }
        self.mark_consumer(key);
    }

    pub(crate) fn pull(&mut self, from: ConnectionKey, subscription: SubscriptionKey, timeout_ms: i64) {
        let now = self.now;
        let Some(key) = self.consumer_of(from, subscription) else { return };
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        if consumer.prefetch > 0 {
            return; // It gets messages unasked.
        }
        consumer.pulls += 1;
        if timeout_ms != 0 {
            // -1 ends with this very step, after what is there was handed out.
            let due = if timeout_ms < 0 { now } else { now.saturating_add(timeout_ms) };
            consumer.pull_deadline = Some(due);
            if timeout_ms > 0 {
                self.timers.push(Reverse((due, Timer::Pull(key))));
            }
        } else {
            consumer.pull_deadline = None;
        }
        self.mark_consumer(key);
        if timeout_ms < 0 {
            let mut waits = false;
            while let Some(line) = self.dirty.pop() {
                self.dispatch(line);
                waits |= self
                    .lines
                    .get(line)
                    .is_some_and(|line| line.loading || line.awaiting > 0 || line.gate > self.durable);
            }
            if waits {
                // What is there is on its way from the journal: it is not nothing.
                self.timers.push(Reverse((now + 20, Timer::Pull(key))));
            } else {
                self.pull_ended(key, now);
            }
        }
    }

    /// Tells a pulling consumer that there was nothing, if that is still so.
    pub(crate) fn pull_ended(&mut self, key: Key, at: i64) {
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        if consumer.pulls > 0 && consumer.pull_deadline.is_some_and(|due| due <= at) {
            consumer.pulls = 0;
            consumer.pull_deadline = None;
            let (connection, subscription) = (consumer.connection, consumer.subscription);
            self.say(connection, Event::PullEmpty { subscription });
        }
    }

    pub(crate) fn consumer_of(&self, from: ConnectionKey, subscription: SubscriptionKey) -> Option<Key> {
        self.connections.get(&from)?.consumers.get(&subscription).copied()
    }

    pub(crate) fn add_producer(
        &mut self,
        from: ConnectionKey,
        producer: ProducerId,
        destination: Option<Destination>,
    ) -> Result<(), Refusal> {
        if let Some(destination) = &destination {
            for part in destination.components() {
                self.check_destination(from, &part)?;
                self.note_topic(&part);
                if part.kind == DestinationKind::Queue {
                    self.queue_for(&part);
                }
            }
        }
        let Some(connection) = self.connections.get_mut(&from) else { return Ok(()) };
        connection.producers.insert(producer.clone(), destination.clone());
        self.advise_producer(producer, destination, false);
        Ok(())
    }

    pub(crate) fn remove_producer(&mut self, from: ConnectionKey, producer: &ProducerId) {
        let Some(connection) = self.connections.get_mut(&from) else { return };
        if let Some(destination) = connection.producers.remove(producer) {
            self.advise_producer(producer.clone(), destination, true);
        }
    }

    /// The socket took bytes: the connection's window opens.
    pub(crate) fn written(&mut self, from: ConnectionKey, bytes: u64) {
        let window = self.config.connection_window_bytes;
        let Some(connection) = self.connections.get_mut(&from) else { return };
        let was_full = connection.unsent >= window;
        connection.unsent = connection.unsent.saturating_sub(bytes);
        if was_full && connection.unsent < window {
            let consumers: Vec<_> = connection.consumers.values().copied().collect();
            for consumer in consumers {
                self.mark_consumer(consumer);
            }
        }
    }
}
