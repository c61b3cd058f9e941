//! Rights where only the core knows what a name stands for: whether a destination is new, and which queues and topics a
//! wildcard covers (rows K06, V21). Everything else was asked by the session.

use std::sync::Arc;

use message::{ConnectionKey, Destination, DestinationKind, Refusal, RefusalKind, Text};
use plugin::auth::{Action, Guard, Kind, Permit, Principal, Request};
use rustc_hash::FxHashMap;

use crate::broker::Broker;
use crate::line::Subscription;
use crate::slots::Key;

/// Topics that one subscription with wildcards remembers a verdict for.
const TOPICS_REMEMBERED_MAX: usize = 10_000;

/// What a topic subscription with wildcards may read of the topics that it covers.
#[derive(Debug)]
pub(crate) struct Reader {
    principal: Arc<Principal>,
    /// The term of the guard in which the verdicts were given.
    term: u64,
    verdicts: FxHashMap<Text, Permit>,
}

impl Reader {
    /// Whether messages of this topic are for the subscription. Asked once per topic, term and time.
    pub(crate) fn may_read(&mut self, guard: &dyn Guard, topic: &Destination, now_ms: i64) -> bool {
        let Some(term) = guard.term() else { return true };
        if term != self.term {
            self.term = term;
            self.verdicts.clear();
        }
        if let Some(permit) = self.verdicts.get(&topic.name)
            && now_ms < permit.until_ms
        {
            return permit.allowed;
        }
        let permit = guard.allows(&self.principal, request(Action::Read, topic), now_ms);
        if self.verdicts.len() >= TOPICS_REMEMBERED_MAX {
            self.verdicts.clear();
        }
        self.verdicts.insert(topic.name.clone(), permit);
        permit.allowed
    }
}

impl Subscription {
    /// Whether messages of a topic that it covers are for it.
    pub(crate) fn may_read(&mut self, guard: Option<&dyn Guard>, topic: &Destination, now_ms: i64) -> bool {
        match (guard, &mut self.reader) {
            (Some(guard), Some(reader)) => reader.may_read(guard, topic, now_ms),
            _ => true,
        }
    }
}

impl Broker {
    /// From now on `guard` says who may make and remove destinations, and what wildcards may reach. Without one
    /// everybody may.
    pub fn set_guard(&mut self, guard: Arc<dyn Guard>) {
        self.guard = Some(guard);
    }

    /// What a subscription of this connection may read, if that must be looked at for each topic that it covers.
    pub(crate) fn reader(&self, from: ConnectionKey, topics: &[Destination]) -> Option<Box<Reader>> {
        self.guard.as_ref()?;
        let connection = self.connections.get(&from)?;
        let reader = Reader { principal: connection.principal.clone(), term: 0, verdicts: FxHashMap::default() };
        topics.iter().any(Destination::is_wildcard).then(|| Box::new(reader))
    }

    /// Whether a consumer with wildcards may be served from a queue that they cover.
    pub(crate) fn may_read(&self, consumer: Key, queue: &Destination) -> bool {
        let from = self.consumers.get(consumer).map(|consumer| consumer.connection);
        from.is_some_and(|from| self.may(from, Action::Read, queue))
    }

    /// Refuses the making of whatever of `destination` does not exist, unless the client may do that.
    pub(crate) fn check_creation(&self, from: ConnectionKey, destination: &Destination) -> Result<(), Refusal> {
        if !self.has_limits() {
            return Ok(());
        }
        for part in destination.components() {
            // Advisory topics are the broker's own.
            if !part.is_advisory() && !self.exists(&part) && !self.may(from, Action::Create, &part) {
                return Err(self.refusal(from, "create", &part));
            }
        }
        Ok(())
    }

    /// Refuses the removal of what exists, unless the client may do that.
    pub(crate) fn check_removal(&self, from: ConnectionKey, destination: &Destination) -> Result<(), Refusal> {
        if self.has_limits() && self.exists(destination) && !self.may(from, Action::Admin, destination) {
            return Err(self.refusal(from, "remove", destination));
        }
        Ok(())
    }

    /// Whether there is a destination of this very name.
    pub(crate) fn exists(&self, destination: &Destination) -> bool {
        match destination.kind {
            DestinationKind::Queue => self.queues.contains_key(&destination.name),
            DestinationKind::Topic => self.topics.contains_key(&destination.name),
            DestinationKind::TempQueue => self.temporary_queues.contains_key(&destination.name),
            DestinationKind::TempTopic => self.temporary_topics.contains_key(&destination.name),
        }
    }

    /// Whether anybody says at present what may be done.
    fn has_limits(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.term().is_some())
    }

    fn may(&self, from: ConnectionKey, action: Action, destination: &Destination) -> bool {
        let Some(guard) = self.guard.as_ref().filter(|guard| guard.term().is_some()) else { return true };
        let Some(connection) = self.connections.get(&from) else { return false };
        guard.allows(&connection.principal, request(action, destination), self.now).allowed
    }

    fn refusal(&self, from: ConnectionKey, wish: &str, destination: &Destination) -> Refusal {
        let user = self.connections.get(&from).map_or("", |connection| &connection.principal.name);
        Refusal::new(RefusalKind::Security, format!("User {user} is not authorized to {wish}: {destination}"))
    }
}

fn request(action: Action, destination: &Destination) -> Request<'_> {
    let kind = match destination.kind {
        DestinationKind::Queue => Kind::Queue,
        DestinationKind::Topic => Kind::Topic,
        DestinationKind::TempQueue => Kind::TempQueue,
        DestinationKind::TempTopic => Kind::TempTopic,
    };
    Request { action, kind, name: &destination.name }
}
