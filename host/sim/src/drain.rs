//! After the faults: everything that was promised must come out in bounded time, and nothing may be left behind.

use message::{Command, Destination, Text};

use crate::client::{Client, Mode};
use crate::world::World;

/// Rounds in which the clients that are there go on, well-behaved.
const ROUNDS_OLD: usize = 200;
/// Rounds in which fresh consumers of everything must have drained it.
const ROUNDS_MAX: usize = 3_000;
/// Virtual time of a round, ms.
const ROUND_MS: i64 = 20;

impl World {
    pub(crate) fn drain(&mut self) {
        self.calm_down();
        for _ in 0..ROUNDS_OLD {
            self.round();
        }
        for client in 0..self.clients.len() {
            self.tell(client, Command::Disconnect);
        }
        for (_, key) in std::mem::take(&mut self.broken) {
            self.carry_out(key, Command::Disconnect);
        }
        self.note("the old clients are gone".into());
        self.clients.clear();
        self.consume_all();
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            if self.oracle.violation().is_some() {
                return;
            }
            self.round();
            let empty =
                self.oracle.ledger.left().is_none() && self.broker.report().iter().all(|line| line.pending == 0);
            quiet = if empty && self.disk.is_idle() { quiet + 1 } else { 0 };
            if quiet > 20 {
                return self.reckon();
            }
        }
        let lines: Vec<_> = self.broker.report().into_iter().filter(|line| line.pending > 0).collect();
        let left = self.oracle.ledger.left();
        self.oracle.broken(format!("not drained in {ROUNDS_MAX} rounds: {left:?} on disk, {lines:?} in memory"));
    }

    fn round(&mut self) {
        self.pass(ROUND_MS);
        for client in 0..self.clients.len() {
            if self.clients[client].link.is_none() {
                self.client_step(client);
            }
            self.behave(client);
        }
        self.flush();
        self.write();
    }

    /// Fresh consumers for all queues and all durable subscriptions.
    fn consume_all(&mut self) {
        let number = self.fresh(None);
        for queue in ["Q.*", "ActiveMQ.>", "DLQ.>"] {
            let mut wish = self.wish(Destination::queue(Text::from_static(queue)), None);
            wish.prefetch = 10;
            wish.auto_ack = false;
            self.subscribe_as(number, wish);
        }
        for (client_id, name, wants) in self.oracle.durables() {
            let number = match self.clients.iter().position(|client| client.client_id.as_ref() == Some(&client_id)) {
                Some(number) => number,
                None => self.fresh(Some(client_id.clone())),
            };
            match wants {
                Some(wants) => {
                    let mut wish = self.wish(wants.topics[0].clone(), wants.selector);
                    wish.prefetch = 10;
                    wish.auto_ack = false;
                    wish.durable_name = Some(name);
                    wish.no_local = wants.no_local;
                    self.subscribe_as(number, wish);
                }
                None => self.tell(number, Command::RemoveDurable { client_id, name, receipt: None }),
            }
        }
    }

    fn fresh(&mut self, client_id: Option<Text>) -> usize {
        let index = self.clients.len();
        self.clients.push(Client::new(1_000 + index, client_id, &[Mode::Sync]));
        let key = self.key();
        let command = self.clients[index].connect(key, true);
        self.carry_out(key, command);
        index
    }

    /// All is drained: the books must say so.
    fn reckon(&mut self) {
        for client in 0..self.clients.len() {
            self.tell(client, Command::Disconnect);
        }
        self.clients.clear();
        for _ in 0..20 {
            self.round();
        }
        if self.broker.memory() != (0, 0) {
            let memory = self.broker.memory();
            self.oracle.broken(format!("memory and resident bytes are {memory:?} with nothing there"));
        }
        if !self.broker.is_settled() {
            self.oracle.broken("something is still awaited with nothing there");
        }
        let damaged = self.broker.take_damaged();
        if !damaged.is_empty() {
            self.oracle.broken(format!("the broker missed bodies: {damaged:?}"));
        }
        if let Err(why) = self.oracle.ledger.compare(&self.disk.journal) {
            self.oracle.broken(why);
        }
        self.oracle.finish();
    }
}
