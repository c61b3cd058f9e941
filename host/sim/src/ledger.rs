//! What is durable, kept beside the journal: the checker's own book.

use std::collections::{BTreeMap, BTreeSet};

use journal::{Journal, MemJournal};
use message::{LogDefinition, LogId, Record, Sequence, Text};

use crate::words::{Uid, uid_of};

/// Durable facts, written down as the journal made them durable.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    logs: BTreeMap<LogId, LogDefinition>,
    entries: BTreeSet<(LogId, Sequence)>,
    bodies: BTreeMap<Sequence, Option<Uid>>,
    groups: BTreeMap<(LogId, Text), Text>,
    /// Sends whose body was durable at some time.
    stored: BTreeSet<Uid>,
}

impl Ledger {
    /// These groups became durable.
    pub(crate) fn apply(&mut self, groups: &[Vec<Record>]) {
        for record in groups.iter().flatten() {
            match record {
                Record::Body { sequence, message } => {
                    let uid = uid_of(message);
                    self.stored.extend(uid);
                    self.bodies.insert(*sequence, uid);
                }
                Record::BodyGone { sequence } => drop(self.bodies.remove(sequence)),
                Record::Entry { log, sequence, .. } => drop(self.entries.insert((*log, *sequence))),
                Record::EntryGone { log, sequence } => drop(self.entries.remove(&(*log, *sequence))),
                Record::Log { log, definition } => drop(self.logs.insert(*log, definition.clone())),
                Record::LogGone { log } => {
                    self.logs.remove(log);
                    self.entries.retain(|(other, _)| other != log);
                    self.groups.retain(|(other, _), _| other != log);
                }
                Record::GroupOwner { log, group, owner } => {
                    self.groups.insert((*log, group.clone()), owner.clone());
                }
                Record::GroupGone { log, group } => drop(self.groups.remove(&(*log, group.clone()))),
                Record::Redeliveries { .. }
                | Record::Dispatched { .. }
                | Record::Producer { .. }
                | Record::ProducerGone { .. }
                | Record::Fact(_)
                | Record::CleanStop => {}
            }
        }
    }

    /// Whether the body of this send was ever durable.
    pub(crate) fn has_stored(&self, uid: Uid) -> bool {
        self.stored.contains(&uid)
    }

    /// Whether the queue still holds the entry.
    pub(crate) fn queue_holds(&self, name: &Text, sequence: Sequence) -> bool {
        let is =
            |definition: &LogDefinition| matches!(definition, LogDefinition::Queue { name: other } if other == name);
        self.holds(is, sequence)
    }

    /// Whether the durable subscription still holds the entry.
    pub(crate) fn durable_holds(&self, client: &Text, subscription: &Text, sequence: Sequence) -> bool {
        let is = |definition: &LogDefinition| match definition {
            LogDefinition::Durable { client_id, name, .. } => client_id == client && name == subscription,
            LogDefinition::Queue { .. } => false,
        };
        self.holds(is, sequence)
    }

    fn holds(&self, is: impl Fn(&LogDefinition) -> bool, sequence: Sequence) -> bool {
        self.logs.iter().any(|(log, definition)| is(definition) && self.entries.contains(&(*log, sequence)))
    }

    /// Entries and bodies that are left, to be named in a complaint.
    pub(crate) fn left(&self) -> Option<String> {
        if self.entries.is_empty() && self.bodies.is_empty() {
            return None;
        }
        let entries: Vec<_> = self.entries.iter().take(5).collect();
        let bodies: Vec<_> = self.bodies.iter().take(5).collect();
        let counts = (self.entries.len(), self.bodies.len());
        Some(format!("{} entries and {} bodies, such as entries {entries:?}, bodies {bodies:?}", counts.0, counts.1))
    }

    /// Whether the journal gives back what this book says.
    pub(crate) fn compare(&self, journal: &MemJournal) -> Result<(), String> {
        let mut entries = BTreeSet::new();
        let mut logs = BTreeMap::new();
        let mut groups = BTreeMap::new();
        let found = journal.recover(&mut |record| match record {
            Record::Entry { log, sequence, .. } => drop(entries.insert((log, sequence))),
            Record::Log { log, definition } => drop(logs.insert(log, definition)),
            Record::GroupOwner { log, group, owner } => drop(groups.insert((log, group), owner)),
            _ => {}
        });
        if let Err(error) = found {
            return Err(format!("the journal does not open: {error}"));
        }
        if entries != self.entries || logs != self.logs || groups != self.groups {
            return Err("the journal gives back something else than was durable".into());
        }
        let sequences: Vec<_> = self.bodies.keys().copied().collect();
        let bodies = journal.load(&sequences).map_err(|error| error.to_string())?;
        match bodies.iter().find(|(_, body)| body.is_none()) {
            Some((sequence, _)) => Err(format!("the journal lost body {sequence}")),
            None => Ok(()),
        }
    }
}
