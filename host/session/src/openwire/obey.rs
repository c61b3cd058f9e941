//! What each command does once its sender has logged in, and what each event becomes.

use message::{Command as Ask, Event, Refusal, RefusalKind};
use wire::openwire::{
    Command, DestinationInfo, Header, ObjectId, ProducerAck, RemoveInfo, RemoveSubscriptionInfo, SessionInfo,
};

use super::replies::{Failure, Pending};
use super::transaction::COMMIT_ONE_PHASE;
use super::{OpenWireSession, convert, detach};
use crate::Output;

/// How a command ended, unless it failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// An answer can go out at once.
    Now,
    /// The broker machine answers, or nobody wants an answer.
    Later,
}

/// Session of a connection that needs no `SessionInfo`; advisory consumers live in it.
pub(super) const OWN_SESSION: i64 = -1;

const ADD: u8 = 0;
const REMOVE: u8 = 1;

impl OpenWireSession {
    pub(super) fn obey(&mut self, command: Command, out: &mut Output) {
        self.client.returning = self.client.returning && restores(&command);
        let header = command.header().copied().unwrap_or_default();
        let result = if self.replies.len() >= self.options.replies_max && asks(&command, header) {
            self.stats.limit_hit = Some("replies_max");
            let limit = self.options.replies_max;
            Err(Failure::limit(format!("{limit} commands wait for their answers (replies_max); wait for some first")))
        } else {
            self.carry_out(command, header, out)
        };
        match result {
            Ok(Done::Now) => self.answer(header, out),
            Ok(Done::Later) => {}
            Err(failure) => self.fail(header, failure, out),
        }
    }

    fn carry_out(&mut self, command: Command, header: Header, out: &mut Output) -> Result<Done, Failure> {
        match command {
            Command::Message(message) => self.send(message, out),
            Command::MessageAck(ack) => self.acknowledge(ack, out),
            Command::MessagePull(pull) => self.pull(&pull, out),
            Command::TransactionInfo(info) => self.transact(&info, out),
            Command::SessionInfo(info) => self.add_session(&info),
            Command::ProducerInfo(info) => self.add_producer(&info, out),
            Command::ConsumerInfo(info) => self.add_consumer(info, out),
            Command::RemoveInfo(info) => self.remove(info, out),
            Command::DestinationInfo(info) => self.change_destination(info, out),
            Command::RemoveSubscriptionInfo(info) => self.remove_durable(info, out),
            Command::ConsumerControl(control) => self.control_consumer(&control, out),
            Command::KeepAliveInfo(info) => {
                self.keep_alive(info, out);
                Ok(Done::Later)
            }
            Command::ShutdownInfo(info) => {
                self.shut_down(info.header, out);
                Ok(Done::Later)
            }
            Command::FlushCommand(_) => {
                self.fence(header, out);
                Ok(Done::Later)
            }
            Command::ConnectionInfo(_) => Err(Failure::illegal("the connection is logged in already")),
            Command::WireFormatInfo(_) => Err(Failure::illegal("the wire format is agreed already")),
            // Nobody manages the broker over a client connection, and what only a broker says has no effect (V13).
            Command::Null
            | Command::BrokerInfo(_)
            | Command::ConnectionControl(_)
            | Command::ConnectionError(_)
            | Command::ControlCommand(_)
            | Command::MessageDispatch(_)
            | Command::ProducerAck(_)
            | Command::Response(_)
            | Command::ExceptionResponse(_)
            | Command::DataResponse(_)
            | Command::DataArrayResponse(_)
            | Command::IntegerResponse(_) => Ok(Done::Now),
            other => Err(Failure::illegal(format!("command {} is not supported", other.data_type()))),
        }
    }

    fn add_session(&mut self, info: &SessionInfo) -> Result<Done, Failure> {
        let id = info.session_id.as_ref().ok_or_else(|| Failure::illegal("the session carries no id"))?;
        if id.value == OWN_SESSION || self.client.sessions.contains(&id.value) {
            return Ok(Done::Now);
        }
        let limit = self.config.sessions_max;
        if self.client.sessions.len() >= limit {
            self.stats.limit_hit = Some("sessions_max");
            let text = format!("the connection has {limit} sessions, no more are allowed (sessions_max)");
            return Err(Failure::limit(text));
        }
        self.client.sessions.insert(id.value);
        Ok(Done::Now)
    }

    /// Whether producers and consumers can be put into the session.
    pub(super) fn check_session(&self, what: &str, session: i64) -> Result<(), Failure> {
        if session == OWN_SESSION || self.client.sessions.contains(&session) {
            return Ok(());
        }
        let id = &self.client.id;
        Err(Failure::illegal(format!("cannot add a {what} to session {id}:{session}, which has not been registered")))
    }

    /// An end, with all that hangs on it (row W33).
    fn remove(&mut self, info: RemoveInfo, out: &mut Output) -> Result<Done, Failure> {
        let seen = if self.format.agreement().version < 5 { -2 } else { info.last_delivered_sequence_id };
        match info.object_id {
            None => Err(Failure::illegal("the removal names nothing")),
            Some(ObjectId::Consumer(id)) => self.remove_consumer((id.session, id.value), seen, info.header, out),
            Some(ObjectId::Producer(id)) => self.remove_producer((id.session, id.value), info.header, out),
            Some(ObjectId::Session(id)) => {
                if !self.client.sessions.remove(&id.value) && id.value != OWN_SESSION {
                    let text = format!("cannot remove session {}, which has not been registered", id.value);
                    return Err(Failure::illegal(text));
                }
                self.remove_session(id.value, seen, out);
                self.fence(info.header, out);
                Ok(Done::Later)
            }
            Some(ObjectId::Connection(id)) => {
                if id.value != self.client.id {
                    return Err(Failure::illegal("cannot remove another connection"));
                }
                self.remove_all(seen, out);
                let receipt = self.replies.expect(Pending::Leave(info.header));
                out.commands.push(Ask::Fence { receipt });
                Ok(Done::Later)
            }
        }
    }

    fn remove_session(&mut self, session: i64, seen: i64, out: &mut Output) {
        let consumers: Vec<_> =
            self.client.consumer_keys.iter().filter(|(place, _)| place.0 == session).map(|(_, key)| *key).collect();
        for key in consumers {
            self.unsubscribe(key, seen, None, out);
        }
        let producers: Vec<_> = self.client.producers.keys().filter(|place| place.0 == session).copied().collect();
        for place in producers {
            self.forget_producer(place, None, out);
        }
    }

    fn remove_all(&mut self, seen: i64, out: &mut Output) {
        for transaction in std::mem::take(&mut self.client.transactions).into_values() {
            out.commands.push(Ask::Rollback { transaction: transaction.key, receipt: None });
        }
        let mut sessions: Vec<_> = std::mem::take(&mut self.client.sessions).into_iter().collect();
        sessions.push(OWN_SESSION);
        for session in sessions {
            self.remove_session(session, seen, out);
        }
    }

    fn change_destination(&mut self, info: DestinationInfo, out: &mut Output) -> Result<Done, Failure> {
        let Some(destination) = info.destination else {
            let text = "the destination has no name";
            return Err(Refusal::new(RefusalKind::InvalidDestination, text).into());
        };
        let destination = convert::destination(destination);
        if let Err(error) = destination.check() {
            return Err(Refusal::new(RefusalKind::InvalidDestination, error.to_string()).into());
        }
        let ask = match info.operation {
            ADD => Ask::AddDestination { destination, receipt: self.receipt(info.header) },
            REMOVE => Ask::RemoveDestination { destination, receipt: self.receipt(info.header) },
            other => return Err(Failure::illegal(format!("destination operation {other} is unknown; use 0 or 1"))),
        };
        out.commands.push(ask);
        Ok(Done::Later)
    }

    fn remove_durable(&mut self, info: RemoveSubscriptionInfo, out: &mut Output) -> Result<Done, Failure> {
        let own = self.client.client_id.clone();
        let client_id = info.client_id.filter(|id| !id.is_empty()).as_ref().map(detach).or(own);
        let Some(client_id) = client_id else {
            let text = "removing a durable subscription needs a client id";
            return Err(Refusal::new(RefusalKind::InvalidClientId, text).into());
        };
        self.rights.check_owner(&client_id, self.client.client_id.as_ref())?;
        let name = info.subscription_name.as_ref().map(detach).unwrap_or_default();
        let receipt = self.receipt(info.header);
        out.commands.push(Ask::RemoveDurable { client_id, name, receipt });
        Ok(Done::Later)
    }

    /// The broker machine said something.
    pub(super) fn hear(&mut self, event: Event, now_ms: i64, out: &mut Output) {
        if let Event::Deliver(delivery) = &event {
            // Counted whoever it reaches: the connection's delivery window must open again.
            out.delivered_bytes += delivery.message.size_bytes() as u64;
        }
        match event {
            _ if matches!(self.state, super::State::Closed) => {}
            Event::Reply { receipt, outcome } => self.replied(receipt, outcome, now_ms, out),
            Event::Deliver(delivery) => self.deliver(&delivery, now_ms, out),
            Event::PullEmpty { subscription } | Event::BrowseEnd { subscription } => {
                self.deliver_end(subscription, out);
            }
            Event::ProducerAck { producer, bytes } => {
                let producer_id = Some(convert::producer_out(&producer));
                let size = i32::try_from(bytes).unwrap_or(i32::MAX);
                self.write(ProducerAck { producer_id, size, ..ProducerAck::default() }, out);
            }
            Event::SubscriptionClosed { subscription, why: _ } => self.subscription_closed(subscription, out),
            Event::Failed(refusal) => self.complain(refusal.into(), out),
            Event::Pause => self.clock.pause(true, now_ms),
            Event::Resume => self.clock.pause(false, now_ms),
            Event::Close(why) => {
                // A client that fails over needs no error; it sees the socket close and goes elsewhere.
                if why.kind != RefusalKind::Closing {
                    self.complain(why.clone().into(), out);
                }
                self.close(why, out);
            }
        }
    }
}

/// Whether a client that has come back may say this to restore what it had (row L01): its sessions with all in them, and its
/// transactions up to their commit.
fn restores(command: &Command) -> bool {
    match command {
        Command::SessionInfo(_)
        | Command::ProducerInfo(_)
        | Command::ConsumerInfo(_)
        | Command::DestinationInfo(_)
        | Command::ConnectionControl(_)
        | Command::ConsumerControl(_) => true,
        Command::TransactionInfo(info) => info.kind != COMMIT_ONE_PHASE,
        Command::Message(message) => message.transaction_id.is_some(),
        Command::MessageAck(ack) => ack.transaction_id.is_some(),
        _ => false,
    }
}

/// Whether the command leaves a question with the broker machine. Ends of transactions, consumers and connections are
/// let through whatever waits: they make room.
fn asks(command: &Command, header: Header) -> bool {
    match command {
        Command::ConsumerInfo(_) | Command::ProducerInfo(_) => true,
        Command::Message(message) => {
            let producer = message.message_id.as_ref().map(|id| &id.producer);
            header.response_required || producer != message.producer_id.as_ref()
        }
        Command::KeepAliveInfo(_) | Command::ShutdownInfo(_) | Command::RemoveInfo(_) => false,
        Command::TransactionInfo(info) => info.kind == 0,
        _ => header.response_required,
    }
}
