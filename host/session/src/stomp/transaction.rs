//! BEGIN, COMMIT and ABORT.

use message::{Command, Receipt, Refusal, SubscriptionKey, Text, TransactionKey};
use wire::stomp::Frame;

use super::subscription::Held;
use super::{Failure, StompSession, own, push, refused};
use crate::Output;

/// Deliveries acknowledged in one open transaction.
pub(super) const ACKS_PER_TRANSACTION_MAX: usize = 100_000;

/// An open transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) key: TransactionKey,
    /// What was acknowledged in it, to be put back by ABORT.
    pub(super) acked: Vec<(SubscriptionKey, Held)>,
    /// A send that nobody waited for was refused here, so it can only be aborted (row W20).
    failed: Option<Text>,
}

impl StompSession {
    /// The transaction that a frame belongs to.
    pub(super) fn transaction_of(&self, name: Option<&str>) -> Result<Option<TransactionKey>, Failure> {
        match name {
            None => Ok(None),
            Some(name) => match self.transactions.get(name) {
                Some(transaction) => Ok(Some(transaction.key)),
                None => refused(format!("Invalid transaction id: {name}")),
            },
        }
    }

    pub(super) fn begin(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        let Some(name) = frame.get("transaction") else {
            return refused("Must specify the transaction you are beginning");
        };
        if self.transactions.contains_key(&**name) {
            return refused(format!("The transaction was already started: {name}"));
        }
        let limit = self.config.transactions_max;
        if self.transactions.len() >= limit {
            self.stats.limit_hit = Some("transactions_max");
            return refused(format!("the connection has {limit} open transactions, it may not have more"));
        }
        self.last_transaction += 1;
        let key = self.last_transaction;
        self.transactions.insert(own(name), Transaction { key, acked: Vec::new(), failed: None });
        let receipt = self.receipt(frame);
        push(out, Command::Begin { transaction: key, receipt });
        Ok(())
    }

    /// Refuses the commit of a transaction that misses a message, unless the client waits for that message's own answer.
    pub(super) fn spoil(&mut self, frame: &Frame, transaction: Option<&str>, refusal: &Refusal) {
        if frame.get("receipt").is_none()
            && let Some(transaction) = transaction.and_then(|name| self.transactions.get_mut(name))
        {
            transaction.failed.get_or_insert_with(|| refusal.message.clone());
        }
    }

    pub(super) fn commit(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        let transaction = self.end_transaction(frame, "committing")?;
        if let Some(why) = &transaction.failed {
            let why = format!("the transaction was rolled back: {why}");
            self.roll_back(transaction, None, out);
            return refused(why);
        }
        let transaction = transaction.key;
        let receipt = self.receipt(frame);
        push(out, Command::Commit { transaction, receipt });
        Ok(())
    }

    /// What was acknowledged in the transaction may be acknowledged again.
    pub(super) fn abort(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        let transaction = self.end_transaction(frame, "aborting")?;
        let receipt = self.receipt(frame);
        self.roll_back(transaction, receipt, out);
        Ok(())
    }

    fn roll_back(&mut self, transaction: Transaction, receipt: Option<Receipt>, out: &mut Output) {
        for (key, held) in transaction.acked {
            if let Some(subscription) = self.subscriptions.get_mut(&key) {
                subscription.put_back(held);
            }
        }
        push(out, Command::Rollback { transaction: transaction.key, receipt });
    }

    fn end_transaction(&mut self, frame: &Frame, what: &str) -> Result<Transaction, Failure> {
        let Some(name) = frame.get("transaction") else {
            return refused(format!("Must specify the transaction you are {what}"));
        };
        match self.transactions.remove(&**name) {
            Some(transaction) => Ok(transaction),
            None => refused(format!("Invalid transaction id: {name}")),
        }
    }
}
