//! BEGIN, COMMIT and ABORT.

use message::{Command, SubscriptionKey, TransactionKey};
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
        self.transactions.insert(own(name), Transaction { key, acked: Vec::new() });
        let receipt = self.receipt(frame);
        push(out, Command::Begin { transaction: key, receipt });
        Ok(())
    }

    pub(super) fn commit(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        let transaction = self.end_transaction(frame, "committing")?.key;
        let receipt = self.receipt(frame);
        push(out, Command::Commit { transaction, receipt });
        Ok(())
    }

    /// What was acknowledged in the transaction may be acknowledged again.
    pub(super) fn abort(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        let transaction = self.end_transaction(frame, "aborting")?;
        for (key, held) in transaction.acked {
            if let Some(subscription) = self.subscriptions.get_mut(&key) {
                subscription.put_back(held);
            }
        }
        let receipt = self.receipt(frame);
        push(out, Command::Rollback { transaction: transaction.key, receipt });
        Ok(())
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
