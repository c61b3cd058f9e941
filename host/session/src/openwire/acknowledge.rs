//! Acknowledgements (row W27): message ids become delivery tags.

use message::{Ack, AckKind, Command as Ask, Refusal, RefusalKind, Text};
use wire::openwire::{MessageAck, Throwable};

use super::obey::Done;
use super::replies::Failure;
use super::{OpenWireSession, detach};
use crate::Output;

const DELIVERED: u8 = 0;
const POISON: u8 = 1;
const STANDARD: u8 = 2;
const REDELIVERED: u8 = 3;
const INDIVIDUAL: u8 = 4;
const UNMATCHED: u8 = 5;
const EXPIRED: u8 = 6;

impl OpenWireSession {
    pub(super) fn acknowledge(&mut self, ack: MessageAck, out: &mut Output) -> Result<Done, Failure> {
        match self.try_acknowledge(&ack, out) {
            Err(failure) if !ack.header.response_required => {
                self.spoil(ack.transaction_id.as_ref(), failure.refusal());
                Err(failure)
            }
            other => other,
        }
    }

    fn try_acknowledge(&mut self, ack: &MessageAck, out: &mut Output) -> Result<Done, Failure> {
        let kind = match ack.ack_type {
            DELIVERED => AckKind::Delivered,
            POISON => AckKind::Poison,
            STANDARD => AckKind::Standard,
            REDELIVERED => AckKind::Redelivered,
            INDIVIDUAL => AckKind::Individual,
            EXPIRED => AckKind::Expired,
            UNMATCHED => return Ok(Done::Now), // Brokers make it for themselves.
            other => return Err(Failure::illegal(format!("acknowledgement type {other} is unknown"))),
        };
        let transaction = match &ack.transaction_id {
            Some(id) => Some(self.transaction(id)?.key),
            None => None,
        };
        if kind == AckKind::Poison && transaction.is_some() {
            return Err(Failure::jms("a poison acknowledgement cannot be part of a transaction"));
        }
        let key = ack
            .consumer_id
            .as_ref()
            .and_then(|id| self.client.consumer_keys.get(&(id.session, id.value)))
            .copied()
            .filter(|key| self.client.consumers.get(key).is_some_and(|consumer| !consumer.closed));
        let Some(key) = key else {
            // The consumer is gone or not yet restored (row L08).
            self.stale(ack, kind);
            return Ok(Done::Now);
        };
        let Some(consumer) = self.client.consumers.get_mut(&key) else { return Ok(Done::Now) };
        let alone = kind == AckKind::Individual;
        let first = match kind {
            AckKind::Individual => ack.last_message_id.as_ref(),
            AckKind::Delivered => None,
            _ => ack.first_message_id.as_ref(),
        };
        let range = ack.last_message_id.as_ref().map(|last| consumer.held.range(first, last));
        let range = match range {
            Some(Ok(range)) => range,
            // One that was under way when the broker before died is sent again when the client comes back (row L08). Told of
            // an error, a consumer of the JMS client would never again acknowledge anything by itself.
            _ if !ack.header.response_required || transaction.is_some() || !consumer.held.has_begun() => {
                self.stale(ack, kind);
                return Ok(Done::Now);
            }
            _ => {
                let id = &consumer.id;
                let (connection, session, value) = (&id.connection, id.session, id.value);
                let text = format!(
                    "unmatched acknowledge: its messages are not held by consumer {connection}:{session}:{value}"
                );
                self.stats.acks_stale += 1;
                return Err(Failure::jms(text));
            }
        };
        let have = consumer.held.count(range);
        if kind == AckKind::Standard && consumer.counts && usize::try_from(ack.message_count) != Ok(have) {
            match transaction {
                None => {
                    let text = format!(
                        "unmatched acknowledge: it is for {} messages, its range holds {have}; nothing was acknowledged",
                        ack.message_count
                    );
                    return Err(Failure::jms(text));
                }
                // After a failover others may have been given what was between first and last.
                Some(_) if first.is_some() => {
                    self.stale(ack, kind);
                    return Ok(Done::Now);
                }
                // Those before a range without a first may be counted or not.
                Some(_) => {}
            }
        }
        let (first, last) = consumer.held.tags(range);
        let transacted = transaction.filter(|_| alone || kind == AckKind::Standard);
        match (kind, transacted) {
            (AckKind::Delivered | AckKind::Redelivered, _) => {}
            (_, Some(transaction)) => consumer.held.mark(range, transaction),
            (_, None) => consumer.held.release(range),
        }
        if let (Some(_), Some(id)) = (transacted, &ack.transaction_id) {
            self.enlist(id, key);
        }
        let receipt = self.receipt(ack.header);
        out.commands.push(Ask::Ack(Ack {
            subscription: key,
            kind,
            first,
            last,
            transaction: transacted,
            cause: ack.poison_cause.as_ref().map(cause),
            receipt,
        }));
        Ok(Done::Later)
    }

    /// An acknowledgement of what is not held here: another broker delivered it, before a failover. It means nothing, and its
    /// transaction must not say when it commits that it had done this.
    fn stale(&mut self, ack: &MessageAck, kind: AckKind) {
        self.stats.acks_stale += 1;
        if matches!(kind, AckKind::Standard | AckKind::Individual) {
            let text = "it acknowledges messages that its consumer does not hold: another broker delivered them, before a failover";
            self.spoil(ack.transaction_id.as_ref(), &Refusal::new(RefusalKind::Transaction, text));
        }
    }
}

/// The text of an exception, as Java prints it.
fn cause(throwable: &Throwable) -> Text {
    match &throwable.message {
        Some(message) => format!("{}: {message}", throwable.class).into(),
        None => detach(&throwable.class),
    }
}
