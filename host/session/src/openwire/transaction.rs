//! Local transactions (row W24). XA transactions are refused (row W25).

use message::{Command as Ask, Refusal, RefusalKind, SubscriptionKey, Text, TransactionKey};
use wire::openwire::{Header, TransactionId, TransactionInfo};

use super::OpenWireSession;
use super::obey::Done;
use super::replies::{Failure, Pending};
use crate::Output;

const BEGIN: u8 = 0;
pub(super) const COMMIT_ONE_PHASE: u8 = 2;
const ROLLBACK: u8 = 4;
const END: u8 = 7;

/// An open transaction of the client.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Its key in this connection.
    pub(super) key: TransactionKey,
    /// Its text, as `JMSXProducerTXID` shows it.
    pub(super) text: Text,
    /// Consumers with deliveries that it acknowledges.
    pub(super) consumers: Vec<SubscriptionKey>,
    /// The client brought it along when it came back after a failover …
    pub(super) returned: bool,
    /// … and then these of its sessions sent in it.
    senders: Vec<i64>,
    /// A send or an acknowledgement that nobody waited for was refused here, so it can only roll back (row W20).
    failed: Option<Refusal>,
}

impl OpenWireSession {
    /// The transaction that a send or an acknowledgement belongs to.
    pub(super) fn transaction(&self, id: &TransactionId) -> Result<&Transaction, Failure> {
        let TransactionId::Local(local) = id else { return Err(Failure::xa()) };
        self.client.transactions.get(&local.value).ok_or_else(|| unknown(&self.client.id, local.value))
    }

    /// Refuses the commit of a transaction that misses a part.
    pub(super) fn spoil(&mut self, id: Option<&TransactionId>, refusal: &Refusal) {
        if let Some(TransactionId::Local(local)) = id
            && let Some(transaction) = self.client.transactions.get_mut(&local.value)
        {
            transaction.failed.get_or_insert_with(|| refusal.clone());
        }
    }

    /// Notes that the transaction acknowledges deliveries of the consumer.
    pub(super) fn enlist(&mut self, id: &TransactionId, consumer: SubscriptionKey) {
        if let TransactionId::Local(local) = id
            && let Some(transaction) = self.client.transactions.get_mut(&local.value)
            && !transaction.consumers.contains(&consumer)
        {
            transaction.consumers.push(consumer);
        }
    }

    /// Notes that a producer of this session sends in the transaction, which the client brought along.
    pub(super) fn note_sender(&mut self, id: &TransactionId, session: i64) {
        if let TransactionId::Local(local) = id
            && let Some(transaction) = self.client.transactions.get_mut(&local.value)
            && !transaction.senders.contains(&session)
        {
            transaction.senders.push(session);
        }
    }

    /// Whether acknowledgements of the transaction may have got lost: a JMS client without a broker drops them, brings the rest of
    /// the transaction to the next broker and commits. One that only sends has none.
    fn may_miss_acknowledgements(&self, transaction: &Transaction) -> bool {
        let consumes = |session: Option<i64>| {
            let of_session = |at: i64| session.is_none_or(|session| session == at);
            self.client.consumers.values().any(|consumer| consumer.counts && of_session(consumer.place().0))
        };
        let any = match &transaction.senders[..] {
            [] => consumes(None),
            senders => senders.iter().any(|session| consumes(Some(*session))),
        };
        transaction.returned && transaction.consumers.is_empty() && any
    }

    pub(super) fn transact(&mut self, info: &TransactionInfo, out: &mut Output) -> Result<Done, Failure> {
        let value = match &info.transaction_id {
            Some(TransactionId::Local(local)) => local.value,
            _ if info.kind == END => {
                self.fence(info.header, out);
                return Ok(Done::Later);
            }
            _ => return Err(Failure::xa()),
        };
        match info.kind {
            BEGIN => self.begin(value, info.header, out),
            COMMIT_ONE_PHASE => self.commit(value, info.header, out),
            ROLLBACK => self.rollback(value, info.header, out),
            END => {
                self.fence(info.header, out);
                Ok(Done::Later)
            }
            _ => Err(Failure::xa()),
        }
    }

    fn begin(&mut self, value: i64, header: Header, out: &mut Output) -> Result<Done, Failure> {
        if self.client.transactions.contains_key(&value) {
            self.fence(header, out);
            return Ok(Done::Later);
        }
        let limit = self.config.transactions_max;
        if self.client.transactions.len() >= limit {
            self.stats.limit_hit = Some("transactions_max");
            let text = format!("the connection has {limit} open transactions, no more are allowed (transactions_max)");
            return Err(Failure::limit(text));
        }
        self.client.transaction_last += 1;
        let key = self.client.transaction_last;
        let text = format!("TX:{}:{value}", self.client.id).into();
        let (consumers, senders, returned) = (Vec::new(), Vec::new(), self.client.returning);
        let transaction = Transaction { key, text, consumers, returned, senders, failed: None };
        self.client.transactions.insert(value, transaction);
        let receipt = self.receipt(header);
        out.commands.push(Ask::Begin { transaction: key, receipt });
        Ok(Done::Later)
    }

    fn commit(&mut self, value: i64, header: Header, out: &mut Output) -> Result<Done, Failure> {
        let mut transaction = self.end(value)?;
        if transaction.failed.is_none() && self.may_miss_acknowledgements(&transaction) {
            let text = "what it acknowledged before a failover did not reach this broker; it is rolled back";
            transaction.failed = Some(Refusal::new(RefusalKind::Transaction, text));
        }
        if let Some(refusal) = transaction.failed.clone() {
            out.commands.push(Ask::Rollback { transaction: transaction.key, receipt: None });
            self.committed(&transaction, false);
            return Err(Failure::rolled_back(refusal));
        }
        let key = transaction.key;
        let receipt = self.replies.expect(Pending::Commit(Box::new(transaction), header));
        out.commands.push(Ask::Commit { transaction: key, receipt: Some(receipt) });
        Ok(Done::Later)
    }

    fn rollback(&mut self, value: i64, header: Header, out: &mut Output) -> Result<Done, Failure> {
        let transaction = self.end(value)?;
        self.committed(&transaction, false);
        let receipt = self.receipt(header);
        out.commands.push(Ask::Rollback { transaction: transaction.key, receipt });
        Ok(Done::Later)
    }

    fn end(&mut self, value: i64) -> Result<Transaction, Failure> {
        self.client.transactions.remove(&value).ok_or_else(|| unknown(&self.client.id, value))
    }

    /// What the transaction acknowledged is done with, or held as before.
    pub(super) fn committed(&mut self, transaction: &Transaction, committed: bool) {
        for key in &transaction.consumers {
            if let Some(consumer) = self.client.consumers.get_mut(key) {
                consumer.held.settle(transaction.key, committed);
            }
        }
    }
}

fn unknown(connection: &str, value: i64) -> Failure {
    let text = format!("transaction TX:{connection}:{value} has not been started");
    Refusal::new(RefusalKind::Transaction, text).into()
}
