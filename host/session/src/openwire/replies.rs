//! Answers: which command an answer of the broker machine belongs to, and how a refusal looks to a Java client (rows
//! W12, W20).

use message::{Command as Ask, Receipt, Refusal, RefusalKind, SubscriptionKey, Text};
use rustc_hash::FxHashMap;
use wire::openwire::{
    ConnectionError, ConnectionId, ExceptionResponse, Header, ProducerAck, ProducerId, Response, Throwable,
};

use super::{OpenWireSession, State};
use crate::Output;

/// What an answer of the broker machine sets going.
#[derive(Debug)]
pub(super) enum Pending {
    /// The login; its command is in the state.
    Login,
    /// A command that wanted an answer.
    Plain(i32),
    /// A consumer, which is forgotten again if refused.
    Subscribe(SubscriptionKey, Header),
    /// A producer, likewise.
    Producer((i64, i64), Header),
    /// A commit: what it acknowledged is done with, or held as before.
    Commit(Box<super::transaction::Transaction>, Header),
    /// A send whose message id is not its producer's: the bytes that the producer's window gets back (row W34).
    Window(ProducerId, i32),
    /// All that the connection asked for before it was removed is done.
    Leave(Header),
}

/// The questions that are with the broker machine.
#[derive(Debug, Default)]
pub(super) struct Replies {
    last: Receipt,
    pending: FxHashMap<Receipt, Pending>,
}

impl Replies {
    pub(super) fn expect(&mut self, pending: Pending) -> Receipt {
        self.last = self.last.wrapping_add(1);
        self.pending.insert(self.last, pending);
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    fn take(&mut self, receipt: Receipt) -> Option<Pending> {
        self.pending.remove(&receipt)
    }
}

/// A refusal and the Java class that it becomes.
#[derive(Debug)]
pub(super) struct Failure {
    refusal: Refusal,
    class: Class,
}

#[derive(Clone, Copy, Debug)]
enum Class {
    /// The one that stands for the refusal's kind.
    OfKind,
    /// One of the package `jakarta.jms`, or `javax.jms` for older clients.
    Jms(&'static str),
    /// One of another package.
    Java(&'static str),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure { refusal, class: Class::OfKind }
    }
}

impl Failure {
    pub(super) fn illegal(text: impl Into<Text>) -> Failure {
        Refusal::new(RefusalKind::IllegalState, text).into()
    }

    pub(super) fn limit(text: impl Into<Text>) -> Failure {
        Refusal::new(RefusalKind::ResourceAllocation, text).into()
    }

    pub(super) fn jms(text: impl Into<Text>) -> Failure {
        Failure { refusal: Refusal::new(RefusalKind::IllegalState, text), class: Class::Jms("JMSException") }
    }

    pub(super) fn message_format(text: impl Into<Text>) -> Failure {
        Failure { refusal: Refusal::new(RefusalKind::IllegalState, text), class: Class::Jms("MessageFormatException") }
    }

    pub(super) fn rolled_back(refusal: Refusal) -> Failure {
        match refusal.kind {
            RefusalKind::Closing => refusal.into(),
            _ => Failure { refusal, class: Class::Jms("TransactionRolledBackException") },
        }
    }

    pub(super) fn xa() -> Failure {
        let text = "XA transactions are not supported; use local transactions";
        let refusal = Refusal::new(RefusalKind::Transaction, text);
        Failure { refusal, class: Class::Java("javax.transaction.xa.XAException") }
    }

    pub(super) fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    fn throwable(self, jakarta: bool) -> Throwable {
        let class = match self.class {
            Class::Java(class) => return Throwable { class: class.into(), message: Some(self.refusal.message) },
            Class::Jms(class) => class,
            Class::OfKind => match self.refusal.kind {
                RefusalKind::InvalidClientId => "InvalidClientIDException",
                RefusalKind::InvalidDestination => "InvalidDestinationException",
                RefusalKind::InvalidSelector => "InvalidSelectorException",
                RefusalKind::ResourceAllocation => "ResourceAllocationException",
                RefusalKind::IllegalState => "IllegalStateException",
                RefusalKind::Transaction | RefusalKind::Rejected => "JMSException",
                RefusalKind::Security => "java.lang.SecurityException",
                RefusalKind::Closing => "java.io.IOException",
            },
        };
        let class = match class.starts_with("java.") {
            true => Text::from_static(class),
            false if jakarta => format!("jakarta.jms.{class}").into(),
            false => format!("javax.jms.{class}").into(),
        };
        Throwable { class, message: Some(self.refusal.message) }
    }
}

impl OpenWireSession {
    /// A receipt for a command that wants an answer.
    pub(super) fn receipt(&mut self, header: Header) -> Option<Receipt> {
        header.response_required.then(|| self.replies.expect(Pending::Plain(header.command_id)))
    }

    /// Answers once all that was asked for before is done.
    pub(super) fn fence(&mut self, header: Header, out: &mut Output) {
        if let Some(receipt) = self.receipt(header) {
            out.commands.push(Ask::Fence { receipt });
        }
    }

    /// Says that the command is done, if it wants to hear so.
    pub(super) fn answer(&mut self, header: Header, out: &mut Output) {
        if header.response_required {
            self.write(Response { correlation_id: header.command_id, ..Response::default() }, out);
        }
    }

    /// Says that the command is not done: as its answer, or by itself when it wants none (row W20).
    pub(super) fn fail(&mut self, header: Header, failure: Failure, out: &mut Output) {
        self.stats.frames_refused += 1;
        if !header.response_required {
            return self.complain(failure, out);
        }
        let exception = Some(failure.throwable(self.jakarta));
        self.write(
            ExceptionResponse { correlation_id: header.command_id, exception, ..ExceptionResponse::default() },
            out,
        );
    }

    /// Reports what nobody waits for.
    pub(super) fn complain(&mut self, failure: Failure, out: &mut Output) {
        let exception = Some(failure.throwable(self.jakarta));
        let connection_id = Some(ConnectionId { value: self.client.id.clone() });
        self.write(ConnectionError { exception, connection_id, ..ConnectionError::default() }, out);
    }

    /// The broker machine has answered.
    pub(super) fn replied(&mut self, receipt: Receipt, outcome: Result<(), Refusal>, now_ms: i64, out: &mut Output) {
        let Some(pending) = self.replies.take(receipt) else { return };
        let header = match pending {
            Pending::Login => return self.joined(outcome, out),
            Pending::Plain(command_id) => Header { command_id, response_required: true },
            Pending::Subscribe(key, header) => {
                if outcome.is_err()
                    && let Some(consumer) = self.client.consumers.remove(&key)
                {
                    self.client.consumer_keys.remove(&consumer.place());
                }
                header
            }
            Pending::Producer(place, header) => {
                if outcome.is_err() {
                    self.client.producers.remove(&place);
                }
                header
            }
            Pending::Commit(transaction, header) => {
                self.committed(&transaction, outcome.is_ok());
                if let Err(refusal) = outcome {
                    return self.fail(header, Failure::rolled_back(refusal), out);
                }
                header
            }
            Pending::Window(producer_id, size) => {
                self.write(ProducerAck { producer_id: Some(producer_id), size, ..ProducerAck::default() }, out);
                Header::default()
            }
            Pending::Leave(header) => {
                // The connection and its client id are free before the client hears so: it may come back at once.
                out.commands.push(Ask::Disconnect);
                self.state = State::Leaving;
                self.clock.wait_from(now_ms);
                header
            }
        };
        match outcome {
            Ok(()) => self.answer(header, out),
            Err(refusal) => self.fail(header, refusal.into(), out),
        }
    }
}
