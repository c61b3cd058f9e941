//! Obeying the frames of a client that is logged in.

use std::sync::Arc;

use message::{Ack, AckKind, Command, DestinationKind, MessageId, ProducerId, RefusalKind, Subscribe, SubscriptionKey};
use selector::{CONVERT_STRING_EXPRESSIONS_PREFIX, Selector};
use wire::stomp::{self, Frame, Version};

use super::subscription::{AckMode, Subscription, ranges, read_ack_id};
use super::transaction::ACKS_PER_TRANSACTION_MAX;
use super::{Failure, Pending, State, StompSession, own, push, refused};
use crate::Output;

/// ActiveMQ's prefetch for queues.
const PREFETCH_QUEUE: u32 = 1000;
/// ActiveMQ's prefetch for browsers.
const PREFETCH_BROWSER: u32 = 500;
/// ActiveMQ's prefetch for durable subscriptions.
const PREFETCH_DURABLE: u32 = 100;
/// ActiveMQ's prefetch for topics, and the most that any subscription gets.
const PREFETCH_MAX: u32 = 32_767;

impl StompSession {
    /// One frame after the login.
    pub(super) fn obey(&mut self, frame: &Frame, now_ms: i64, out: &mut Output) -> Result<(), Failure> {
        use stomp::Command as C;
        match &frame.command {
            C::Send => self.send(frame, now_ms, out),
            C::Ack => self.ack(frame, out),
            C::Nack => self.nack(frame, out),
            C::Begin => self.begin(frame, out),
            C::Commit => self.commit(frame, out),
            C::Abort => self.abort(frame, out),
            C::Subscribe => self.subscribe(frame, now_ms, out),
            C::Unsubscribe => self.unsubscribe(frame, out),
            C::Disconnect => {
                self.disconnect(frame, out);
                Ok(())
            }
            // ActiveMQ has always taken the shortened names.
            C::Unknown(name) if name.starts_with("SUB") => self.subscribe(frame, now_ms, out),
            C::Unknown(name) if name.starts_with("UNSUB") => self.unsubscribe(frame, out),
            C::Connect | C::Stomp => fatal("Already connected: a duplicate CONNECT or STOMP frame came"),
            C::Connected | C::Message | C::Receipt | C::Error => {
                fatal(format!("{} is a frame that only brokers send", frame.command.as_str()))
            }
            C::Unknown(name) => fatal(format!("Unknown STOMP action: {name}")),
        }
    }

    fn subscribe(&mut self, frame: &Frame, now_ms: i64, out: &mut Output) -> Result<(), Failure> {
        let text = |name| frame.get(name).map(|value| &**value);
        let id = text("id");
        if id.is_none() && self.version != Version::V1_0 {
            return refused("SUBSCRIBE received without a subscription id!");
        }
        let limit = self.config.consumers_max;
        if self.subscriptions.len() >= limit {
            self.stats.limit_hit = Some("consumers_max");
            return refused(format!("the connection has {limit} subscriptions, it may not have more"));
        }
        let Some(header) = text("destination").filter(|name| !name.is_empty()) else {
            return refused("Invalid empty or 'null' Destination header");
        };
        let browser = text("browser") == Some("true");
        if browser && self.version == Version::V1_0 {
            return refused("Queue Browser feature only valid for Stomp v1.1+ clients!");
        }
        let selector = match (text("selector"), text("activemq.selector")) {
            (Some(""), _) | (None, None | Some("")) => None,
            (Some(text), _) => Some(self.selector(CONVERT_STRING_EXPRESSIONS_PREFIX, text)?),
            (None, Some(text)) => Some(self.selector("", text)?),
        };
        let destination = self.destinations.resolve(header, true, out).map_err(Failure::Refused)?;
        self.rights
            .check_read(&destination, now_ms, &mut self.stats)
            .map_err(|refusal| Failure::Refused(refusal.message.to_string()))?;
        let durable_name = text("activemq.subscriptionName");
        if durable_name.is_some() && destination.kind.is_queue() {
            return refused("Invalid Subscription: cannot durably subscribe to a Queue destination!");
        }
        let prefetch = match (text("activemq.prefetchSize").map(str::parse::<i64>), browser, destination.kind) {
            (Some(Ok(wish)), ..) if wish > 0 => u32::try_from(wish).unwrap_or(u32::MAX).min(PREFETCH_MAX),
            (Some(Ok(wish)), ..) => {
                return refused(format!(
                    "activemq.prefetchSize is {wish}; STOMP cannot pull, so it must be at least 1"
                ));
            }
            (_, true, _) => PREFETCH_BROWSER,
            (.., DestinationKind::Queue | DestinationKind::TempQueue) => PREFETCH_QUEUE,
            _ if durable_name.is_some() => PREFETCH_DURABLE,
            _ => PREFETCH_MAX,
        };
        let ack = match text("ack") {
            Some("client") => AckMode::Client,
            Some("client-individual") => AckMode::Individual,
            _ => AckMode::Auto,
        };
        let flag = |name| text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));

        self.last_subscription += 1;
        let key = self.last_subscription;
        let id = id.map(own);
        // Who names both itself and the subscription is known by those after a restart.
        let identity = match (&self.client_id, &id) {
            (Some(client_id), Some(id)) if destination.kind.is_queue() => Some(format!("{client_id}/{id}").into()),
            _ => None,
        };
        let receipt = self.expect(Pending::Subscribe { key, receipt_id: text("receipt").map(own) });
        let subscribe = Subscribe {
            subscription: key,
            consumer: ProducerId { value: key.into(), ..self.producer.clone() },
            identity,
            destination: destination.clone(),
            selector,
            prefetch,
            browser,
            durable_name: durable_name.map(own),
            no_local: flag("activemq.noLocal"),
            exclusive: flag("activemq.exclusive"),
            priority: text("activemq.priority").and_then(|value| value.parse().ok()).unwrap_or(0),
            network: false,
            // What a browser is shown is not held for anybody, but counts against its prefetch until it is acknowledged.
            auto_ack: ack == AckMode::Auto && !browser,
            receipt: Some(receipt),
        };
        if let Some(id) = &id {
            self.subscription_ids.entry(id.clone()).or_default().push(key);
        }
        let subscription = Subscription {
            key,
            id,
            ack,
            browser,
            destination,
            transformation: text("transformation").map(own),
            held: Default::default(),
            parked: Some(Vec::new()),
            spelled: None,
        };
        self.subscriptions.insert(key, subscription);
        push(out, Command::Subscribe(Box::new(subscribe)));
        Ok(())
    }

    /// The client's `text` behind a prefix of ours, which must not count in the places that an error names.
    fn selector(&self, prefix: &str, text: &str) -> Result<Arc<Selector>, Failure> {
        let limits = &self.config.selector;
        match Selector::parse(&format!("{prefix}{text}"), limits) {
            Ok(selector) => Ok(Arc::new(selector)),
            Err(error) => {
                let error = Selector::parse(text, limits).err().unwrap_or(error);
                refused(format!("Invalid selector: {text}: {error}"))
            }
        }
    }

    fn unsubscribe(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        let text = |name| frame.get(name).map(|value| &**value);
        let id = text("id");
        if id.is_none() && self.version != Version::V1_0 {
            return refused("UNSUBSCRIBE received without a subscription id!");
        }
        let destination = match text("destination") {
            Some(header) => Some(self.destinations.resolve(header, true, out).map_err(Failure::Refused)?),
            None => None,
        };
        if id.is_none() && destination.is_none() {
            return refused("Must specify the subscriptionId or the destination you are unsubscribing from");
        }
        if let Some(name) = text("activemq.subscriptionName") {
            // Clients of 1.0 without a client id are known by the subscription's name.
            let client_id = match &self.client_id {
                Some(client_id) => client_id.clone(),
                None if self.version == Version::V1_0 => own(name),
                None => return refused("a durable subscription belongs to a client-id; send one with CONNECT"),
            };
            self.rights
                .check_owner(&client_id, self.client_id.as_ref())
                .map_err(|refusal| Failure::Refused(refusal.message.to_string()))?;
            let receipt = self.receipt(frame);
            push(out, Command::RemoveDurable { client_id, name: own(name), receipt });
            return Ok(());
        }
        let key = match id {
            Some(id) => self.subscription_ids.get(id).and_then(|keys| keys.last().copied()),
            None => self
                .subscriptions
                .values()
                .find(|subscription| Some(&subscription.destination) == destination.as_ref())
                .map(|subscription| subscription.key),
        };
        let Some(key) = key else {
            return refused("No subscription matched.");
        };
        self.forget(key, out);
        let receipt = self.receipt(frame);
        push(out, Command::Unsubscribe { subscription: key, last_delivered: None, receipt });
        Ok(())
    }

    /// A subscription is no more.
    pub(super) fn forget(&mut self, key: SubscriptionKey, out: &mut Output) {
        let Some(subscription) = self.subscriptions.remove(&key) else { return };
        if let Some(id) = &subscription.id
            && let Some(keys) = self.subscription_ids.get_mut(id)
        {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.subscription_ids.remove(id);
            }
        }
        // They are not written any more, but their bytes must not stay in the window.
        for delivery in subscription.parked.into_iter().flatten() {
            out.delivered_bytes += delivery.message.size_bytes() as u64;
        }
    }

    fn ack(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        self.check_ack_headers(frame, "ACK")?;
        let transaction = self.transaction_of(frame.get("transaction").map(|name| &**name))?;
        let (key, index) = self.find_delivery(frame, "ACK")?;
        let acked = match self.subscriptions.get_mut(&key) {
            Some(subscription) => subscription.acked(index),
            None => Vec::new(),
        };
        let kind = match self.subscriptions.get(&key).map(|subscription| subscription.ack) {
            Some(AckMode::Client) => AckKind::Standard,
            _ => AckKind::Individual,
        };
        let ranges = ranges(&acked);
        if transaction.is_some() {
            let name = frame.get("transaction").map_or("", |name| &**name);
            if let Some(open) = self.transactions.get_mut(name) {
                if open.acked.len() + acked.len() > ACKS_PER_TRANSACTION_MAX {
                    if let Some(subscription) = self.subscriptions.get_mut(&key) {
                        acked.into_iter().for_each(|held| subscription.put_back(held));
                    }
                    self.stats.limit_hit = Some("acks_per_transaction_max");
                    return refused(format!(
                        "transaction {name} would acknowledge more than {ACKS_PER_TRANSACTION_MAX} messages; commit it"
                    ));
                }
                open.acked.extend(acked.into_iter().map(|held| (key, held)));
            }
        }
        let mut receipt = self.receipt(frame);
        let count = ranges.len();
        for (at, (first, last)) in ranges.into_iter().enumerate() {
            let receipt = if at + 1 == count { receipt.take() } else { None };
            push(out, Command::Ack(Ack { subscription: key, kind, first, last, transaction, cause: None, receipt }));
        }
        Ok(())
    }

    /// Gives one message up; as in ActiveMQ that is one message, also where ACK is cumulative.
    fn nack(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        if self.version == Version::V1_0 {
            return refused("NACK received but connection is in v1.0 mode.");
        }
        self.check_ack_headers(frame, "NACK")?;
        if self.transaction_of(frame.get("transaction").map(|name| &**name))?.is_some() {
            return refused("Poison ack cannot be transacted; send NACK without a transaction");
        }
        let (key, index) = self.find_delivery(frame, "NACK")?;
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return Ok(()) };
        if subscription.browser {
            return refused("Cannot Nack a message on a Queue Browser Subscription.");
        }
        let Some(held) = subscription.held.remove(index) else { return Ok(()) };
        let ack = Ack {
            subscription: key,
            kind: AckKind::Poison,
            first: held.tag,
            last: held.tag,
            transaction: None,
            cause: None,
            receipt: self.receipt(frame),
        };
        push(out, Command::Ack(ack));
        Ok(())
    }

    fn check_ack_headers(&self, frame: &Frame, what: &str) -> Result<(), Failure> {
        let has = |name| frame.get(name).is_some();
        match self.version {
            Version::V1_2 if !has("id") => refused(format!("{what} received without an ack id for acknowledge!")),
            Version::V1_2 => Ok(()),
            _ if !has("message-id") => refused(format!("{what} received without a message-id to acknowledge!")),
            Version::V1_1 if !has("subscription") => {
                refused(format!("{what} received without a subscription id for acknowledge!"))
            }
            _ => Ok(()),
        }
    }

    /// The delivery that an ACK or NACK names, as a place in its subscription's `held`.
    fn find_delivery(&self, frame: &Frame, what: &str) -> Result<(SubscriptionKey, usize), Failure> {
        let text = |name| frame.get(name).map(|value| &**value);
        if self.version == Version::V1_2 {
            let id = text("id").unwrap_or_default();
            let found =
                read_ack_id(id).and_then(|(key, tag)| Some((key, self.subscriptions.get(&key)?.find_tag(tag)?)));
            return match found {
                Some(found) => Ok(found),
                None => refused(format!("Unexpected {what} received for message-id [{id}]")),
            };
        }
        let message = text("message-id").unwrap_or_default();
        let id = MessageId::parse(message).unwrap_or_default();
        let find = |subscription: &Subscription| Some((subscription.key, subscription.find_message(&id, message)?));
        let found = match text("subscription") {
            Some(name) => {
                let keys = self.subscription_ids.get(name).into_iter().flatten().rev();
                keys.filter_map(|key| self.subscriptions.get(key)).find_map(find)
            }
            None => self.subscriptions.values().find_map(find),
        };
        match found {
            Some(found) => Ok(found),
            None => refused(format!("Unexpected {what} received for message-id [{message}]")),
        }
    }

    /// The receipt says that all earlier frames are done, so it takes a fence.
    fn disconnect(&mut self, frame: &Frame, out: &mut Output) {
        match frame.get("receipt") {
            Some(id) => {
                self.state = State::Leaving;
                let receipt = self.expect(Pending::Disconnect { receipt_id: own(id) });
                push(out, Command::Fence { receipt });
            }
            None => self.leave(out),
        }
    }
}

fn fatal<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Fatal(RefusalKind::IllegalState, message.into()))
}
