//! A simulated client: what it knows, and how it takes in what the broker says.

use std::collections::{BTreeMap, VecDeque};

use message::{
    Command, Connect, ConnectionKey, Destination, Event, ProducerId, Publish, Receipt, Subscribe, SubscriptionKey,
    Text, TransactionKey,
};

use crate::words::Uid;

/// A client over all its connections.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its number.
    pub(crate) number: usize,
    /// JMS client id, if it has one.
    pub(crate) client_id: Option<Text>,
    /// Connections it began that were no continuation of another.
    pub(crate) generation: u32,
    /// Its present connection.
    pub(crate) link: Option<Link>,
    /// When it connects again.
    pub(crate) connect_at: i64,
    /// The next connection continues the last one.
    pub(crate) failover: bool,
    /// Its producers; the last one sends in transactions alone.
    pub(crate) producers: Vec<Producer>,
    /// Sends without an answer, to be repeated after a break.
    pub(crate) unanswered: Vec<Publish>,
    /// Consumers to be had again after a break.
    pub(crate) wishes: Vec<Subscribe>,
}

/// A producer's counts.
#[derive(Debug)]
pub(crate) struct Producer {
    /// Message number given last.
    pub(crate) last: i64,
    /// How it sends.
    pub(crate) mode: Mode,
    /// Send it waits for.
    pub(crate) waits: Option<Uid>,
}

/// How a producer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One at a time, each answered.
    Sync,
    /// Answered, but without waiting.
    Async,
    /// Without an answer.
    Silent,
    /// With a window.
    Window,
}

/// A connection as its client sees it.
#[derive(Debug)]
pub(crate) struct Link {
    /// Its key in the server.
    pub(crate) key: ConnectionKey,
    /// The login was answered.
    pub(crate) ready: bool,
    /// On its way from the broker.
    pub(crate) inbox: VecDeque<Event>,
    /// The broker does not read.
    pub(crate) paused_since: Option<i64>,
    /// Last receipt given.
    pub(crate) receipt: Receipt,
    /// What the receipts stand for.
    pub(crate) asks: BTreeMap<Receipt, Ask>,
    /// Its consumers.
    pub(crate) consumers: BTreeMap<SubscriptionKey, Consumer>,
    /// Its transaction.
    pub(crate) transaction: Transaction,
    /// Last subscription key given.
    pub(crate) subscription: SubscriptionKey,
    /// Last transaction key given.
    pub(crate) transaction_key: TransactionKey,
    /// Its temporary queue.
    pub(crate) temporary: Option<Destination>,
    /// Bytes read and not told.
    pub(crate) owed: u64,
}

/// What a receipt stands for.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// The login.
    Connect,
    /// A send.
    Send(Uid),
    /// A consumer.
    Subscribe(SubscriptionKey),
    /// A commit.
    Commit(TransactionKey),
    /// Something whose answer changes nothing.
    Other,
}

/// The one transaction that a connection has at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    /// None.
    None,
    /// Begun.
    Open(TransactionKey),
    /// Its commit is not answered.
    Committing(TransactionKey),
}

/// A consumer and what it received.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// As subscribed.
    pub(crate) wish: Subscribe,
    /// Prefetch as it is now.
    pub(crate) prefetch: u32,
    /// Received and not settled, in order.
    pub(crate) got: Vec<Got>,
    /// A pull is not answered.
    pub(crate) pulling: bool,
    /// Highest tag received.
    pub(crate) last: u64,
}

/// A delivery that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    /// Its tag.
    pub(crate) tag: u64,
    /// Of the message.
    pub(crate) expiration: i64,
    /// Acknowledged in this transaction.
    pub(crate) transaction: Option<TransactionKey>,
}

/// What taking in an event asks the client's owner to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing.
    None,
    /// The application has this delivery.
    Received(SubscriptionKey, u64),
    /// The login is through.
    Welcome,
    /// The connection is over.
    Over,
}

impl Client {
    /// A client that was never connected.
    pub(crate) fn new(number: usize, client_id: Option<Text>, modes: &[Mode]) -> Client {
        let producer = |mode: &Mode| Producer { last: 0, mode: *mode, waits: None };
        Client {
            number,
            client_id,
            generation: 0,
            link: None,
            connect_at: 0,
            failover: false,
            producers: modes.iter().map(producer).collect(),
            unanswered: Vec::new(),
            wishes: Vec::new(),
        }
    }

    /// The id that it gives its connection; the same when it comes back after a break.
    pub(crate) fn connection_id(&self) -> Text {
        Text::from(format!("ID:c{}-{}", self.number, self.generation))
    }

    /// The id of one of its producers.
    pub(crate) fn producer_id(&self, index: usize) -> ProducerId {
        ProducerId { connection: self.connection_id(), session: index as i64 + 1, value: 1 }
    }

    /// Begins a connection.
    pub(crate) fn connect(&mut self, key: ConnectionKey, link_stealing: bool) -> Command {
        if !self.failover {
            self.generation += 1;
            self.unanswered.clear();
            self.wishes.clear();
            for producer in &mut self.producers {
                producer.last = 0;
                producer.waits = None;
            }
        }
        self.link = Some(Link {
            key,
            ready: false,
            inbox: VecDeque::new(),
            paused_since: None,
            receipt: 1,
            asks: BTreeMap::from([(1, Ask::Connect)]),
            consumers: BTreeMap::new(),
            transaction: Transaction::None,
            subscription: 0,
            transaction_key: 0,
            temporary: None,
            owed: 0,
        });
        Command::Connect(Box::new(Connect {
            client_id: self.client_id.clone(),
            connection: self.connection_id(),
            user: None,
            groups: Vec::new(),
            remote: Text::from_static("sim"),
            failover_reconnect: self.failover,
            link_stealing,
            receipt: Some(1),
        }))
    }

    /// The connection is no more; what it had is remembered if it will be continued.
    pub(crate) fn lose(&mut self, failover: bool, connect_at: i64) {
        if let Some(link) = self.link.take() {
            self.wishes = link.consumers.into_values().map(|consumer| consumer.wish).filter(|w| !w.browser).collect();
            self.wishes.retain(|wish| !wish.destination.kind.is_temporary());
        }
        self.failover = failover;
        self.connect_at = connect_at;
    }

    /// Takes in the next event.
    pub(crate) fn take(&mut self, now: i64) -> Option<Reaction> {
        let link = self.link.as_mut()?;
        let event = link.inbox.pop_front()?;
        Some(match event {
            Event::Reply { receipt, outcome } => {
                let ask = link.asks.remove(&receipt);
                self.answered(ask, outcome.is_ok())
            }
            Event::Deliver(delivery) => {
                link.owed += delivery.message.size_bytes() as u64;
                let (tag, expiration) = (delivery.tag, delivery.message.expiration);
                match link.consumers.get_mut(&delivery.subscription) {
                    Some(consumer) => {
                        consumer.last = tag;
                        consumer.pulling = false;
                        if !consumer.wish.auto_ack {
                            consumer.got.push(Got { tag, expiration, transaction: None });
                        }
                        Reaction::Received(delivery.subscription, tag)
                    }
                    None => Reaction::None,
                }
            }
            Event::PullEmpty { subscription } => {
                if let Some(consumer) = link.consumers.get_mut(&subscription) {
                    consumer.pulling = false;
                }
                Reaction::None
            }
            Event::SubscriptionClosed { subscription, .. } => {
                link.consumers.remove(&subscription);
                Reaction::None
            }
            Event::Pause => {
                link.paused_since = Some(now);
                Reaction::None
            }
            Event::Resume => {
                link.paused_since = None;
                Reaction::None
            }
            Event::Close(_) => Reaction::Over,
            Event::BrowseEnd { .. } | Event::ProducerAck { .. } | Event::Failed(_) => Reaction::None,
        })
    }

    fn answered(&mut self, ask: Option<Ask>, ok: bool) -> Reaction {
        let Some(link) = self.link.as_mut() else { return Reaction::None };
        match ask {
            Some(Ask::Connect) if ok => {
                link.ready = true;
                return Reaction::Welcome;
            }
            Some(Ask::Connect) => return Reaction::Over,
            Some(Ask::Send(uid)) => {
                self.unanswered.retain(|publish| crate::words::uid_of(&publish.message) != Some(uid));
                for producer in self.producers.iter_mut().filter(|producer| producer.waits == Some(uid)) {
                    producer.waits = None;
                }
            }
            Some(Ask::Subscribe(key)) if !ok => drop(link.consumers.remove(&key)),
            Some(Ask::Commit(key)) => {
                link.transaction = Transaction::None;
                for consumer in link.consumers.values_mut() {
                    if ok {
                        consumer.got.retain(|got| got.transaction != Some(key));
                    }
                    consumer.free(key);
                }
            }
            _ => {}
        }
        Reaction::None
    }
}

impl Consumer {
    /// What was acknowledged in the transaction is unacknowledged again.
    pub(crate) fn free(&mut self, key: TransactionKey) {
        for got in self.got.iter_mut().filter(|got| got.transaction == Some(key)) {
            got.transaction = None;
        }
    }
}

impl Link {
    /// A new receipt that stands for this.
    pub(crate) fn ask(&mut self, ask: Ask) -> Receipt {
        self.receipt += 1;
        self.asks.insert(self.receipt, ask);
        self.receipt
    }
}
