//! Who comes and what they bring: connections, consumers, messages.

use std::collections::BTreeMap;

use message::{Connect, ConnectionKey, Publish, Subscribe};

use super::{Connection, Fate, Oracle, Place, Question, Source, Subscription, Wants, selector_index};
use crate::words::uid_of;

impl Oracle {
    pub(super) fn connected(&mut self, key: ConnectionKey, connect: &Connect, refused: bool) {
        let same = |c: &Connection| {
            c.id == connect.connection
                || (connect.link_stealing && connect.client_id.is_some() && c.client_id == connect.client_id)
        };
        let replaced: Vec<_> = self.connections.iter().filter(|(_, c)| same(c)).map(|(key, _)| *key).collect();
        for old in replaced {
            self.disconnected(old);
        }
        if !refused {
            let (id, client_id) = (connect.connection.clone(), connect.client_id.clone());
            self.connections.insert(key, Connection { id, client_id, ..Connection::default() });
            self.asked(key, connect.receipt, Question::Other);
        }
    }

    pub(super) fn subscribed(&mut self, from: ConnectionKey, wish: &Subscribe) {
        let parts = wish.destination.components();
        let selector = wish.selector.as_ref().map(|selector| selector_index(selector.text()));
        let wants = Wants { topics: parts.clone(), selector, no_local: wish.no_local };
        let client_id = self.connections.get(&from).and_then(|c| c.client_id.clone());
        let mut question = Question::Other;
        let source = if wish.browser {
            Source::Browser
        } else if let (Some(name), Some(client_id)) = (&wish.durable_name, client_id) {
            let place = Place::Durable(client_id, name.clone());
            let line = self.line(place.clone());
            if self.lines[line].wants.as_ref() != Some(&wants) {
                self.void_place(&place);
                self.lines[line].wants = Some(wants);
            }
            question = Question::Durable(line, self.lines[line].voided_at);
            Source::Line(line)
        } else if parts.iter().all(|part| part.kind.is_queue()) {
            Source::Queues
        } else {
            let line = self.line(Place::Topic(from, wish.subscription));
            self.lines[line].wants = Some(wants);
            self.lines[line].since = Some(self.clock);
            Source::Line(line)
        };
        self.clock += 1;
        let subscription = Subscription {
            source,
            parts,
            selector,
            no_local: wish.no_local,
            exclusive: wish.exclusive,
            priority: wish.priority,
            order: self.clock,
            prefetch: wish.prefetch.min(self.config.prefetch_max),
            pulls: 0,
            auto_ack: wish.auto_ack,
            unseen: 0,
            next_tag: 1,
            held: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.subscriptions.insert(wish.subscription, subscription);
        }
        self.asked(from, wish.receipt, question);
    }

    pub(super) fn published(&mut self, from: ConnectionKey, publish: &Publish, refused: bool) {
        let Some(uid) = uid_of(&publish.message) else { return };
        let transaction = publish
            .transaction
            .and_then(|key| self.connections.get(&from).and_then(|c| c.transactions.get(&key).copied()));
        let clock = self.clock;
        let Some(sent) = self.sends.get_mut(&uid) else { return };
        match sent.issued {
            0 => sent.issued = clock,
            _ => sent.repeated = true,
        }
        if refused && !sent.repeated {
            sent.fate = Fate::Refused;
        }
        if let Some(number) = transaction {
            sent.transaction = Some(number);
            self.transactions[number].failed |= refused;
            if !refused {
                self.transactions[number].sends.push(uid);
            }
            if !refused {
                self.asked(from, publish.receipt, Question::Within(number));
            }
            return;
        }
        if refused {
            return;
        }
        self.asked(from, publish.receipt, Question::Send(uid));
        if let (Some(bytes), Some(connection)) = (publish.window_bytes, self.connections.get_mut(&from)) {
            connection.windows.insert(bytes, uid);
        }
    }
}
