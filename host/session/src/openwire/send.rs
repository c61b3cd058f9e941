//! Messages come in: the path that must be cheap.

use std::sync::Arc;

use message::{Command as Ask, Destination, Message, ProducerId, Publish};
use wire::openwire::{self, TransactionId};

use super::obey::Done;
use super::replies::{Failure, Pending};
use super::{OpenWireSession, Producer, convert};
use crate::Output;

/// What the last message had. The next one most likely has the same, and shares it in place of keeping its own.
#[derive(Debug, Default)]
pub(super) struct Memory {
    producer: ProducerId,
    destination: Option<Destination>,
    /// Registration of the last sender, by session and number.
    sender: Option<((i64, i64), Producer)>,
}

impl Memory {
    /// The producer's id, shared with the message before if it is the same.
    pub(super) fn producer(&mut self, id: openwire::ProducerId) -> ProducerId {
        if self.producer.connection != id.connection {
            self.producer.connection = super::detach(&id.connection);
        }
        (self.producer.session, self.producer.value) = (id.session, id.value);
        self.producer.clone()
    }

    /// The destination, likewise.
    pub(super) fn destination(&mut self, destination: openwire::Destination) -> Destination {
        let kind = convert::kind(destination.kind);
        match &self.destination {
            Some(last) if last.kind == kind && last.name == destination.name => last.clone(),
            _ => {
                let new = Destination { kind, name: super::detach(&destination.name) };
                self.destination = Some(new.clone());
                new
            }
        }
    }

    /// A producer has gone; what is remembered of it may be wrong.
    pub(super) fn forget(&mut self) {
        self.sender = None;
    }
}

impl OpenWireSession {
    pub(super) fn send(&mut self, sent: openwire::Message, out: &mut Output) -> Result<Done, Failure> {
        let header = sent.header;
        let transaction_id = sent.transaction_id.clone();
        match self.try_send(sent, out) {
            Err(failure) if !header.response_required => {
                self.spoil(transaction_id.as_ref(), failure.refusal());
                Err(failure)
            }
            other => other,
        }
    }

    fn try_send(&mut self, sent: openwire::Message, out: &mut Output) -> Result<Done, Failure> {
        let header = sent.header;
        let transaction = match &sent.transaction_id {
            None => None,
            Some(id @ TransactionId::Local(_)) => {
                let transaction = self.transaction(id)?;
                let (key, text, returned) = (transaction.key, transaction.text.clone(), transaction.returned);
                if returned && let Some(producer) = &sent.producer_id {
                    self.note_sender(id, producer.session);
                }
                Some((key, text))
            }
            Some(TransactionId::Xa(_)) => return Err(Failure::xa()),
        };
        let window = match &sent.producer_id {
            Some(id) if !header.response_required => self.window(id).then(|| (id.clone(), window_bytes(&sent))),
            _ => None,
        };
        let mut message = convert::message(sent, &self.config.properties, &mut self.memory)?;
        self.rights.check_write(&message.destination, self.clock.now_ms(), &mut self.stats)?;
        self.rights.stamp(&mut message.user_id);
        let (key, text) = transaction.unzip();
        if message.original_transaction.is_none() {
            message.original_transaction = text;
        }
        let (receipt, window_bytes) = match window {
            Some((id, size)) if is(&id, &message) => (None, Some(size)),
            Some((id, size)) => {
                let size = i32::try_from(size).unwrap_or(i32::MAX);
                (Some(self.replies.expect(Pending::Window(id, size))), None)
            }
            None => (self.receipt(header), None),
        };
        self.stats.messages_in += 1;
        out.commands.push(Ask::Publish(Publish {
            message: Arc::new(message),
            transaction: key,
            receipt,
            window_bytes,
        }));
        Ok(Done::Later)
    }

    /// Whether the producer waits for its window to open (row W34).
    fn window(&mut self, id: &openwire::ProducerId) -> bool {
        let place = (id.session, id.value);
        match self.memory.sender {
            Some((last, producer)) if last == place => producer.windowed,
            _ => {
                let Some(producer) = self.client.producers.get(&place).copied() else { return false };
                self.memory.sender = Some((place, producer));
                producer.windowed
            }
        }
    }
}

fn is(id: &openwire::ProducerId, message: &Message) -> bool {
    let producer = &message.id.producer;
    producer.session == id.session && producer.value == id.value && producer.connection == id.connection
}

/// What the client's window counts for this message: it sees the same bytes as we do, before anything is dropped.
fn window_bytes(sent: &openwire::Message) -> u32 {
    let bytes = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
    let size = Message::OVERHEAD_BYTES + bytes(&sent.content) + bytes(&sent.properties);
    u32::try_from(size).unwrap_or(u32::MAX)
}
