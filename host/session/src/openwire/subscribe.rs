//! Consumers and producers come, change and go.

use std::sync::Arc;

use message::{Command as Ask, ProducerId, Receipt, Refusal, RefusalKind, Subscribe, SubscriptionKey, Text};
use selector::Selector;
use wire::openwire::{ConsumerControl, ConsumerId, ConsumerInfo, Header, MessageDispatch, MessagePull, ProducerInfo};

use super::held::Held;
use super::obey::Done;
use super::replies::{Failure, Pending};
use super::{OpenWireSession, Producer, convert, detach};
use crate::Output;

/// A consumer of the client.
#[derive(Debug)]
pub(super) struct Consumer {
    /// As the client knows it.
    pub(super) id: ConsumerId,
    /// Acknowledgements must say how many deliveries they mean; those of plain topic subscriptions and browsers need
    /// not, as in ActiveMQ.
    pub(super) counts: bool,
    /// Deliveries without their last acknowledgement.
    pub(super) held: Held,
    /// The broker machine has ended it; the client may still take it back.
    pub(super) closed: bool,
}

impl Consumer {
    /// Session and number.
    pub(super) fn place(&self) -> (i64, i64) {
        (self.id.session, self.id.value)
    }
}

impl OpenWireSession {
    pub(super) fn add_consumer(&mut self, info: ConsumerInfo, out: &mut Output) -> Result<Done, Failure> {
        let id = info.consumer_id.as_ref().ok_or_else(|| Failure::illegal("the consumer carries no id"))?;
        self.check_session("consumer", id.session)?;
        let place = (id.session, id.value);
        if self.client.consumer_keys.contains_key(&place) {
            self.fence(info.header, out); // A client that fails over may say it twice (row W23).
            return Ok(Done::Later);
        }
        let limit = self.config.consumers_max;
        if self.client.consumers.len() >= limit {
            self.stats.limit_hit = Some("consumers_max");
            let text = format!("the connection has {limit} consumers, no more are allowed (consumers_max)");
            return Err(Failure::limit(text));
        }
        let selector = self.selector(info.selector.as_deref())?;
        let Some(destination) = info.destination.clone().map(convert::destination) else {
            let text = "the consumer names no destination";
            return Err(Refusal::new(RefusalKind::InvalidDestination, text).into());
        };
        self.rights.check_read(&destination, self.clock.now_ms(), &mut self.stats)?;
        let key = self.subscription_key();
        let durable_name = info.subscription_name.as_ref().filter(|name| !name.is_empty()).map(detach);
        let consumer = Consumer {
            id: ConsumerId { connection: self.own(&id.connection), session: id.session, value: id.value },
            counts: !info.browser && (destination.kind.is_queue() || durable_name.is_some()),
            held: Held::default(),
            closed: false,
        };
        let receipt = self.replies.expect(Pending::Subscribe(key, info.header));
        let consumer_id = ProducerId { connection: self.client.id.clone(), session: id.session, value: id.value };
        // A client that fails over keeps its ids.
        let identity = destination.kind.is_queue().then(|| Text::from(consumer_id.to_string()));
        out.commands.push(Ask::Subscribe(Box::new(Subscribe {
            subscription: key,
            consumer: consumer_id,
            identity,
            destination,
            selector,
            prefetch: info.prefetch_size.max(0) as u32,
            browser: info.browser,
            durable_name,
            no_local: info.no_local,
            exclusive: info.exclusive,
            priority: info.priority as i8,
            network: info.network_subscription,
            auto_ack: false,
            receipt: Some(receipt),
        })));
        self.client.consumer_keys.insert(place, key);
        self.client.consumers.insert(key, consumer);
        Ok(Done::Later)
    }

    /// The connection part of an id, shared with the connection's own id if it is the same.
    fn own(&self, connection: &Text) -> Text {
        if *connection == self.client.id { self.client.id.clone() } else { detach(connection) }
    }

    fn selector(&self, text: Option<&str>) -> Result<Option<Arc<Selector>>, Failure> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        match Selector::parse(text, &self.config.selector) {
            Ok(selector) => Ok(Some(Arc::new(selector))),
            Err(error) => {
                let text = format!("selector cannot be used: {error}");
                Err(Refusal::new(RefusalKind::InvalidSelector, text).into())
            }
        }
    }

    fn subscription_key(&mut self) -> SubscriptionKey {
        loop {
            self.client.subscription_last = self.client.subscription_last.wrapping_add(1);
            if !self.client.consumers.contains_key(&self.client.subscription_last) {
                return self.client.subscription_last;
            }
        }
    }

    pub(super) fn remove_consumer(
        &mut self,
        place: (i64, i64),
        seen: i64,
        header: Header,
        out: &mut Output,
    ) -> Result<Done, Failure> {
        let Some(key) = self.client.consumer_keys.get(&place).copied() else {
            let (id, (session, value)) = (&self.client.id, place);
            let text = format!("cannot remove consumer {id}:{session}:{value}, which has not been registered");
            return Err(Failure::illegal(text));
        };
        if self.client.consumers.get(&key).is_some_and(|consumer| consumer.closed) {
            self.forget_consumer(key);
            return Ok(Done::Now);
        }
        let receipt = self.receipt(header);
        self.unsubscribe(key, seen, receipt, out);
        Ok(Done::Later)
    }

    pub(super) fn unsubscribe(&mut self, key: SubscriptionKey, seen: i64, receipt: Option<Receipt>, out: &mut Output) {
        let Some(consumer) = self.forget_consumer(key) else { return };
        if !consumer.closed {
            let last_delivered = consumer.held.last_delivered(seen);
            out.commands.push(Ask::Unsubscribe { subscription: key, last_delivered, receipt });
        }
    }

    fn forget_consumer(&mut self, key: SubscriptionKey) -> Option<Consumer> {
        let consumer = self.client.consumers.remove(&key)?;
        self.client.consumer_keys.remove(&consumer.place());
        Some(consumer)
    }

    /// The broker machine ended a subscription: the client is told to close its consumer, and no more, because many
    /// clients give up their whole connection when they hear of an error.
    pub(super) fn subscription_closed(&mut self, key: SubscriptionKey, out: &mut Output) {
        let Some(consumer) = self.client.consumers.get_mut(&key) else { return };
        consumer.closed = true;
        consumer.held = Held::default();
        let consumer_id = Some(consumer.id.clone());
        self.write(ConsumerControl { close: true, consumer_id, ..ConsumerControl::default() }, out);
    }

    /// A pull or a browse has come to its end (rows W31, W37).
    pub(super) fn deliver_end(&mut self, key: SubscriptionKey, out: &mut Output) {
        let Some(consumer) = self.client.consumers.get(&key) else { return };
        let consumer_id = Some(consumer.id.clone());
        self.write(MessageDispatch { consumer_id, ..MessageDispatch::default() }, out);
    }

    fn live_consumer(&self, id: Option<&ConsumerId>) -> Option<SubscriptionKey> {
        let id = id?;
        let key = self.client.consumer_keys.get(&(id.session, id.value))?;
        self.client.consumers.get(key).filter(|consumer| !consumer.closed).map(|_| *key)
    }

    /// Asks for a message; one for a consumer that is gone asks for nothing, as in ActiveMQ.
    pub(super) fn pull(&mut self, pull: &MessagePull, out: &mut Output) -> Result<Done, Failure> {
        if let Some(subscription) = self.live_consumer(pull.consumer_id.as_ref()) {
            out.commands.push(Ask::Pull { subscription, timeout_ms: pull.timeout_ms.max(-1) });
        }
        self.fence(pull.header, out);
        Ok(Done::Later)
    }

    /// Prefetch at run time (rows W32, L02). Starting, stopping and flushing are the client's own affair.
    pub(super) fn control_consumer(&mut self, control: &ConsumerControl, out: &mut Output) -> Result<Done, Failure> {
        if let Some(subscription) = self.live_consumer(control.consumer_id.as_ref()) {
            if control.close {
                self.unsubscribe(subscription, -2, None, out);
            } else {
                let prefetch = control.prefetch.max(0) as u32;
                out.commands.push(Ask::Prefetch { subscription, prefetch });
            }
        }
        self.fence(control.header, out);
        Ok(Done::Later)
    }

    pub(super) fn add_producer(&mut self, info: &ProducerInfo, out: &mut Output) -> Result<Done, Failure> {
        let id = info.producer_id.as_ref().ok_or_else(|| Failure::illegal("the producer carries no id"))?;
        self.check_session("producer", id.session)?;
        let place = (id.session, id.value);
        if self.client.producers.contains_key(&place) {
            self.fence(info.header, out);
            return Ok(Done::Later);
        }
        let limit = self.config.producers_max;
        if self.client.producers.len() >= limit {
            self.stats.limit_hit = Some("producers_max");
            let text = format!("the connection has {limit} producers, no more are allowed (producers_max)");
            return Err(Failure::limit(text));
        }
        let destination = info.destination.clone().map(convert::destination);
        if let Some(destination) = &destination {
            self.rights.check_write(destination, self.clock.now_ms(), &mut self.stats)?;
        }
        let receipt = self.replies.expect(Pending::Producer(place, info.header));
        out.commands.push(Ask::AddProducer { producer: self.producer_at(place), destination, receipt: Some(receipt) });
        self.client.producers.insert(place, Producer { windowed: info.window_size > 0 });
        Ok(Done::Later)
    }

    pub(super) fn remove_producer(
        &mut self,
        place: (i64, i64),
        header: Header,
        out: &mut Output,
    ) -> Result<Done, Failure> {
        if !self.client.producers.contains_key(&place) {
            let (id, (session, value)) = (&self.client.id, place);
            let text = format!("cannot remove producer {id}:{session}:{value}, which has not been registered");
            return Err(Failure::illegal(text));
        }
        let receipt = self.receipt(header);
        self.forget_producer(place, receipt, out);
        Ok(Done::Later)
    }

    pub(super) fn forget_producer(&mut self, place: (i64, i64), receipt: Option<Receipt>, out: &mut Output) {
        self.client.producers.remove(&place);
        self.memory.forget();
        out.commands.push(Ask::RemoveProducer { producer: self.producer_at(place), receipt });
    }

    fn producer_at(&self, place: (i64, i64)) -> ProducerId {
        ProducerId { connection: self.client.id.clone(), session: place.0, value: place.1 }
    }
}
