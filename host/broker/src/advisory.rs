//! Advisories: messages on topics of a reserved name that tell who came and went (rows E01, E02, E10).

use std::sync::Arc;

use message::{Advisory, Destination, Message, ProducerId, Text, Value};

use crate::broker::Broker;
use crate::entry::Entry;
use crate::line::LineKind;
use crate::slots::Key;

/// Name and value of the property that says how many there are.
type Count = Option<(&'static str, i32)>;

impl Broker {
    /// Sends an advisory to those who listen on `topic`, or to one line alone. Costs next to nothing when nobody does.
    pub(crate) fn advise(&mut self, topic: &str, subject: Advisory, only: Option<Key>) {
        self.advise_counted(topic, subject, None, only);
    }

    /// The same with how many of the kind there are now (row E01).
    fn advise_counted(&mut self, topic: &str, subject: Advisory, count: Count, only: Option<Key>) {
        if !self.config.advisory_support {
            return;
        }
        if only.is_none() && !self.has_listener(topic) {
            return;
        }
        let message = self.advisory_message(topic, subject, count);
        match only {
            None => self.route(Arc::new(message)),
            Some(line) => {
                let mut message = message;
                message.sequence = self.sequence();
                message.broker_in_time = self.now;
                self.join(line, Entry::new(Arc::new(message), false));
            }
        }
    }

    pub(crate) fn has_listener(&self, topic: &str) -> bool {
        self.topic_lines.contains_key(topic)
            || self.topic_patterns.iter().any(|key| match self.lines.get(*key).map(|line| &line.kind) {
                Some(LineKind::Subscription(subscription)) => {
                    subscription.topics.iter().any(|pattern| pattern.covers_name(topic))
                }
                _ => false,
            })
    }

    fn advisory_message(&mut self, topic: &str, subject: Advisory, count: Count) -> Message {
        let mut message = self.own_message(Destination::topic(topic.to_owned()));
        message.kind = Some(Text::from_static("Advisory"));
        let mut properties = message::properties::Builder::new();
        properties.push("originBrokerName", &Value::Text((&*self.config.broker_name).into()));
        properties.push("originBrokerId", &Value::Text((&*self.own_producer.connection).into()));
        if let Some((name, count)) = count {
            properties.push(name, &Value::Int(count));
        }
        message.properties = properties.finish();
        message.advisory = Some(Box::new(subject));
        message
    }

    /// Consumers of a destination, as it was written by them.
    fn consumer_count(&self, destination: &Destination) -> Count {
        let count = self.consumers.iter().filter(|(_, consumer)| consumer.destination == *destination).count();
        Some(("consumerCount", i32::try_from(count).unwrap_or(i32::MAX)))
    }

    fn producer_count(&self, destination: Option<&Destination>) -> Count {
        let all = self.connections.values().flat_map(|connection| connection.producers.values());
        let count = all.filter(|other| other.as_ref() == destination).count();
        Some(("producerCount", i32::try_from(count).unwrap_or(i32::MAX)))
    }

    fn consumer_subject(&self, key: Key) -> Option<(String, Advisory)> {
        let consumer = self.consumers.get(key)?;
        if consumer.destination.name.starts_with("ActiveMQ.Advisory.") {
            return None;
        }
        let topic = advisory_topic("Consumer", &consumer.destination);
        let subject = Advisory::ConsumerAdded {
            consumer: consumer.id.clone(),
            destination: consumer.destination.clone(),
            selector: consumer.selector.as_ref().map(|selector| selector.text().clone()),
            prefetch: consumer.prefetch,
            durable_name: consumer.durable_name.clone(),
            browser: consumer.browse.is_some(),
            priority: consumer.priority,
            exclusive: consumer.exclusive,
            no_local: consumer.no_local,
            client_id: consumer.client_id.clone(),
        };
        Some((topic, subject))
    }

    pub(crate) fn advise_consumer(&mut self, key: Key) {
        if let Some((topic, subject)) = self.consumer_subject(key)
            && self.has_listener(&topic)
        {
            let count = self.consumers.get(key).and_then(|consumer| self.consumer_count(&consumer.destination));
            self.advise_counted(&topic, subject, count, None);
        }
    }

    pub(crate) fn advise_consumer_gone(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get(key) else { return };
        if consumer.destination.name.starts_with("ActiveMQ.Advisory.") {
            return;
        }
        let topic = advisory_topic("Consumer", &consumer.destination);
        if self.has_listener(&topic) {
            // It is still among them.
            let count = self.consumer_count(&consumer.destination).map(|(name, count)| (name, count - 1));
            let consumer = consumer.id.clone();
            self.advise_counted(&topic, Advisory::ConsumerRemoved { consumer }, count, None);
        }
    }

    pub(crate) fn advise_producer(&mut self, producer: ProducerId, destination: Option<Destination>, removed: bool) {
        let topic = match &destination {
            Some(destination) => advisory_topic("Producer", destination),
            None => "ActiveMQ.Advisory.Producer.Anonymous".to_owned(),
        };
        if !self.has_listener(&topic) {
            return;
        }
        let count = self.producer_count(destination.as_ref());
        let subject = match removed {
            true => Advisory::ProducerRemoved { producer },
            false => Advisory::ProducerAdded { producer, destination },
        };
        self.advise_counted(&topic, subject, count, None);
    }

    /// Tells a new listener what was there before it came (rows N48, E10, M15).
    pub(crate) fn replay_advisories(&mut self, listened: &Destination, line: Key) {
        if !self.config.advisory_support {
            return;
        }
        // Nobody can have listened when it became master, so each listener hears it when it comes.
        let mut known = vec![("ActiveMQ.Advisory.MasterBroker".to_owned(), Advisory::MasterBroker)];
        let destinations = self.known_destinations();
        for (kind, destination, connection) in destinations {
            known.push((
                format!("ActiveMQ.Advisory.{kind}"),
                Advisory::Destination { destination, connection, removed: false },
            ));
        }
        for connection in self.connections.values() {
            known.push((
                "ActiveMQ.Advisory.Connection".to_owned(),
                Advisory::ConnectionAdded {
                    connection: connection.id.clone(),
                    client_id: connection.client_id.clone(),
                    user: connection.user.clone(),
                    remote: connection.remote.clone(),
                },
            ));
            for (producer, destination) in &connection.producers {
                if let Some(target) = destination {
                    let subject =
                        Advisory::ProducerAdded { producer: producer.clone(), destination: destination.clone() };
                    known.push((advisory_topic("Producer", target), subject));
                }
            }
        }
        let consumers: Vec<Key> = self.consumers.iter().map(|(key, _)| key).collect();
        known.extend(consumers.into_iter().filter_map(|key| self.consumer_subject(key)));
        for (topic, subject) in known {
            if listened.covers_name(&topic) {
                let count = match &subject {
                    Advisory::ConsumerAdded { destination, .. } => self.consumer_count(destination),
                    Advisory::ProducerAdded { destination, .. } => self.producer_count(destination.as_ref()),
                    _ => None,
                };
                self.advise_counted(&topic, subject, count, Some(line));
            }
        }
    }

    fn known_destinations(&self) -> Vec<(&'static str, Destination, Text)> {
        let mut all = Vec::new();
        for name in self.queues.keys() {
            all.push(("Queue", Destination::queue(name.clone()), Text::new()));
        }
        for name in self.topics.keys().filter(|name| !name.starts_with("ActiveMQ.Advisory.")) {
            all.push(("Topic", Destination::topic(name.clone()), Text::new()));
        }
        for connection in self.connections.values() {
            for destination in &connection.temporary {
                let kind = if destination.kind.is_queue() { "TempQueue" } else { "TempTopic" };
                all.push((kind, destination.clone(), connection.id.clone()));
            }
        }
        all
    }
}

fn advisory_topic(subject: &str, destination: &Destination) -> String {
    let kind = if destination.kind.is_queue() { "Queue" } else { "Topic" };
    format!("ActiveMQ.Advisory.{subject}.{kind}.{}", destination.name)
}
