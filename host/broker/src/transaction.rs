//! Local transactions: sends and acknowledgements that happen together or not at all (rows W24, W26).

use std::sync::Arc;

use message::{ConnectionKey, Message, Publish, Refusal, RefusalKind, TransactionKey};

use crate::acknowledge::unknown_transaction;
use crate::broker::{Broker, Then};
use crate::connection::Transaction;
use crate::routing::Stop;
use crate::slots::Key;

impl Broker {
    pub(crate) fn begin(&mut self, from: ConnectionKey, key: TransactionKey) -> Result<(), Refusal> {
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.transactions.entry(key).or_default();
        }
        Ok(())
    }

    /// Notes a send. Clients send in transactions without waiting for an answer, so what goes wrong is told at commit.
    pub(crate) fn publish_in(
        &mut self,
        from: ConnectionKey,
        key: TransactionKey,
        publish: Publish,
    ) -> Result<(), Refusal> {
        let size = publish.message.size_bytes() as u64;
        let transaction = self.transaction(from, key)?;
        transaction.publishes.push(publish);
        transaction.bytes += size;
        self.memory += size;
        self.within_limits(from, key)
    }

    pub(crate) fn acknowledge_in(
        &mut self,
        from: ConnectionKey,
        key: TransactionKey,
        consumer_key: Key,
        first: u64,
        last: u64,
    ) -> Result<(), Refusal> {
        self.transaction(from, key)?;
        let Some(consumer) = self.consumers.get_mut(consumer_key) else { return Ok(()) };
        let Some(connection) = self.connections.get_mut(&from) else { return Ok(()) };
        let Some(transaction) = connection.transactions.get_mut(&key) else { return Ok(()) };
        let at = consumer.held_from(first);
        let (mut moved, mut counted) = (0, 0);
        for held in consumer.held.range_mut(at..).take_while(|held| held.tag <= last) {
            if held.gone || held.transaction.is_some() {
                continue;
            }
            if !held.seen {
                moved += 1;
                held.seen = true;
            }
            held.transaction = Some(key);
            counted += 1;
            transaction.acks.push((consumer_key, held.tag));
        }
        consumer.unseen -= moved;
        consumer.pace.acknowledged(counted, self.now);
        self.mark_consumer(consumer_key);
        self.within_limits(from, key)
    }

    fn transaction(&mut self, from: ConnectionKey, key: TransactionKey) -> Result<&mut Transaction, Refusal> {
        let transaction = self.connections.get_mut(&from).and_then(|c| c.transactions.get_mut(&key));
        match transaction {
            None => Err(unknown_transaction(key)),
            Some(transaction) => match &transaction.failed {
                Some(refusal) => Err(refusal.clone()),
                None => Ok(transaction),
            },
        }
    }

    fn within_limits(&mut self, from: ConnectionKey, key: TransactionKey) -> Result<(), Refusal> {
        let (operations_max, bytes_max) = (self.config.transaction_operations_max, self.config.transaction_bytes_max);
        let transaction = self.transaction(from, key)?;
        let text = if transaction.operations() > operations_max {
            format!("the transaction has more than {operations_max} operations (transaction_operations_max)")
        } else if transaction.bytes > bytes_max {
            format!("the transaction holds more than {bytes_max} bytes (transaction_bytes_max)")
        } else {
            return Ok(());
        };
        let refusal = Refusal::new(RefusalKind::ResourceAllocation, text + "; roll back and use smaller ones");
        transaction.failed = Some(refusal.clone());
        Err(refusal)
    }

    /// A send that its client hears nothing of failed: the transaction must not commit without it (row W20).
    pub(crate) fn fail_transaction(&mut self, from: ConnectionKey, publish: &Publish, refusal: &Refusal) {
        if let Some(key) = publish.transaction
            && let Ok(transaction) = self.transaction(from, key)
        {
            transaction.failed = Some(refusal.clone());
        }
    }

    /// All of it happens, in one atomic group of the journal.
    pub(crate) fn commit(&mut self, from: ConnectionKey, key: TransactionKey) -> Result<(), Refusal> {
        let parked =
            self.connections.get(&from).is_some_and(|c| c.parked.iter().any(|(_, p)| p.transaction == Some(key)));
        if parked {
            let text = "some of the transaction's messages still wait for room; it was rolled back";
            self.roll_back(from, key)?;
            return Err(Refusal::new(RefusalKind::ResourceAllocation, text));
        }
        if let Err(refusal) = self.transaction(from, key).map(drop) {
            let _ = self.roll_back(from, key);
            return Err(refusal);
        }
        let itineraries = match self.itineraries_in(from, key) {
            Ok(itineraries) => itineraries,
            Err(refusal) => {
                let _ = self.roll_back(from, key);
                return Err(refusal);
            }
        };
        let Some(transaction) = self.connections.get_mut(&from).and_then(|c| c.transactions.remove(&key)) else {
            return Err(unknown_transaction(key));
        };
        self.memory -= transaction.bytes;
        self.deferred = Some(Vec::new());
        let itineraries = itineraries.into_iter().chain(std::iter::repeat_with(|| None));
        for (publish, itinerary) in transaction.publishes.into_iter().zip(itineraries) {
            self.accept(from, publish.message, itinerary);
        }
        for (consumer_key, tag) in transaction.acks {
            let Some(consumer) = self.consumers.get_mut(consumer_key) else { continue };
            let at = consumer.held_from(tag);
            if let Some(held) = consumer.held.get_mut(at).filter(|held| held.tag == tag && !held.gone) {
                held.gone = true;
                let (line, group, entry, copy) = (held.line, held.group, held.entry.take(), held.copy);
                consumer.tidy();
                if !copy {
                    self.done(line, entry);
                    self.group_released(line, group);
                }
            }
            self.bury_shadow(from, consumer_key);
        }
        // What the journal does not keep is seen no earlier than the rest of its transaction.
        for (line, entry) in self.deferred.take().unwrap_or_default() {
            self.later(Then::Join(line, entry));
        }
        Ok(())
    }

    /// Where the sends of a transaction go, as far as policies are bound to their destinations: all are asked about
    /// before any happens, so that a rejection finds nothing done.
    fn itineraries_in(&mut self, from: ConnectionKey, key: TransactionKey) -> Result<Vec<Option<Vec<Stop>>>, Refusal> {
        if self.routes.is_empty() {
            return Ok(Vec::new());
        }
        let messages: Vec<Arc<Message>> =
            self.transaction(from, key)?.publishes.iter().map(|publish| publish.message.clone()).collect();
        let news: Vec<bool> = messages.iter().map(|message| !self.is_repeated(from, message)).collect();
        let asked: Vec<_> = messages.into_iter().zip(&news).filter(|(_, new)| **new).map(|(m, _)| m).collect();
        let mut answers = self.itineraries(&asked)?.into_iter();
        Ok(news.into_iter().map(|new| if new { answers.next().flatten() } else { None }).collect())
    }

    pub(crate) fn rollback(&mut self, from: ConnectionKey, key: TransactionKey) -> Result<(), Refusal> {
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.parked.retain(|(_, publish)| publish.transaction != Some(key));
        }
        self.roll_back(from, key)
    }

    /// None of it happens. What was acknowledged in it is held as before: the client delivers it again by itself.
    fn roll_back(&mut self, from: ConnectionKey, key: TransactionKey) -> Result<(), Refusal> {
        let Some(transaction) = self.connections.get_mut(&from).and_then(|c| c.transactions.remove(&key)) else {
            return Err(unknown_transaction(key));
        };
        self.memory -= transaction.bytes;
        for (consumer_key, tag) in transaction.acks {
            let Some(consumer) = self.consumers.get_mut(consumer_key) else { continue };
            let at = consumer.held_from(tag);
            if let Some(held) = consumer.held.get_mut(at).filter(|held| held.tag == tag) {
                held.transaction = None;
            }
            if consumer.lines.is_empty() && consumer.browse.is_none() {
                self.give_back_shadow(from, consumer_key);
            }
        }
        Ok(())
    }

    fn is_shadow(&self, from: ConnectionKey, key: Key) -> bool {
        let listed = self.connections.get(&from).is_some_and(|c| c.consumers.values().any(|other| *other == key));
        !listed
    }

    fn bury_shadow(&mut self, from: ConnectionKey, key: Key) {
        let empty = self.consumers.get(key).is_some_and(|consumer| consumer.held.is_empty());
        if empty && self.is_shadow(from, key) {
            self.consumers.remove(key);
        }
    }

    /// The closed consumer's messages go back to their lines: nobody else will deliver them again.
    fn give_back_shadow(&mut self, from: ConnectionKey, key: Key) {
        if !self.is_shadow(from, key) {
            return;
        }
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        let mut back = Vec::new();
        for held in consumer.held.iter_mut().filter(|held| held.transaction.is_none() && !held.gone) {
            held.gone = true;
            back.push((held.line, held.group, held.entry.take()));
        }
        consumer.tidy();
        for (line, group, entry) in back {
            self.give_back(line, entry, group, true);
            self.group_released(line, group);
        }
        self.bury_shadow(from, key);
    }
}
