//! What remains of the groups of an append once they are put together: rows that go and rows that come.
//!
//! A message that comes and goes within one append leaves nothing to be written. What is said last of a fact counts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use journal::format;
use message::{LogId, Record, Sequence};

use crate::front::Front;
use crate::keys;

/// Bytes of a part of a large value.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// What is known in memory of what is stored.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) epoch: u64,
    /// Appends that are settled.
    pub(crate) appends: u64,
    /// Higher than every sequence seen.
    pub(crate) next_sequence: Sequence,
    pub(crate) next_log: LogId,
    pub(crate) clean_stop: bool,
    /// Entries with failed deliveries; without this each removal of an entry would have to look for them.
    pub(crate) redelivered: BTreeSet<(LogId, Sequence)>,
    /// Logs that have, or had in this run, owners of message groups.
    pub(crate) grouped: HashSet<LogId>,
    /// Ids of facts of several parts.
    pub(crate) long_facts: HashSet<Vec<u8>>,
    /// Of the logs from which entries were removed in this run, or that have a head.
    pub(crate) fronts: HashMap<LogId, Front>,
    /// Heads that were found and are stored with the next appends.
    pub(crate) heads_found: Vec<(LogId, Sequence)>,
}

/// The rows of appends, in the order in which they have to be written: what goes first, then what comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) next_sequence: Sequence,
    pub(crate) next_log: LogId,
    pub(crate) clean_stop: bool,
    pub(crate) logs_gone: Vec<LogId>,
    /// From this id to before that one.
    pub(crate) facts_gone_between: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) bodies_gone: Vec<Sequence>,
    pub(crate) entries_gone: Vec<(LogId, Sequence)>,
    pub(crate) facts_gone: Vec<Vec<u8>>,
    pub(crate) bodies: Vec<(Sequence, Vec<u8>)>,
    pub(crate) entries: Vec<(LogId, Sequence, Vec<u8>)>,
    /// Id, name and value.
    pub(crate) facts: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// Bytes of all values that come.
    pub(crate) bytes: u64,
    redelivered: BTreeMap<(LogId, Sequence), bool>,
    grouped: HashSet<LogId>,
    heads: BTreeMap<LogId, Sequence>,
}

/// Of a row within them: whether what was stored before goes, and what comes.
#[derive(Default)]
struct Change {
    goes: bool,
    comes: Option<Vec<u8>>,
}

/// Puts records together.
struct Planner<'a> {
    state: &'a State,
    plan: Plan,
    bodies: BTreeMap<Sequence, Change>,
    entries: BTreeMap<(LogId, Sequence), Change>,
    facts: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Plan {
    /// What the records come to, for a journal in this state.
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>, state: &State) -> Plan {
        let plan = Plan {
            next_sequence: state.next_sequence,
            next_log: state.next_log,
            clean_stop: state.clean_stop,
            ..Plan::default()
        };
        let (bodies, entries, facts) = Default::default();
        let mut planner = Planner { state, plan, bodies, entries, facts };
        planner.heads_found();
        for record in records {
            planner.plan.clean_stop = matches!(record, Record::CleanStop);
            planner.put(record);
        }
        planner.finish()
    }

    /// It is stored, and with it all appends up to this one are settled.
    pub(crate) fn note(self, state: &mut State, appends: u64) {
        state.appends = appends;
        state.next_sequence = self.next_sequence;
        state.next_log = self.next_log;
        state.clean_stop = self.clean_stop;
        for (entry, is_redelivered) in self.redelivered {
            if is_redelivered {
                state.redelivered.insert(entry)
            } else {
                state.redelivered.remove(&entry)
            };
        }
        state.grouped.extend(self.grouped);
        for log in &self.logs_gone {
            state.grouped.remove(log);
        }
        for (log, at) in self.heads {
            state.fronts.entry(log).or_default().at = at;
        }
        state.heads_found.clear();
        for (log, _) in &self.entries_gone {
            state.fronts.entry(*log).or_default().gone(1);
        }
        for (log, sequence, _) in &self.entries {
            if let Some(front) = state.fronts.get_mut(log) {
                front.came(*sequence);
            }
        }
        for log in &self.logs_gone {
            state.fronts.remove(log);
        }
        for id in &self.facts_gone {
            state.long_facts.remove(id);
        }
        let long = self.facts.into_iter().filter(|(_, _, value)| value.len() > PART_BYTES);
        state.long_facts.extend(long.map(|(id, _, _)| id));
    }
}

impl Planner<'_> {
    fn heads_found(&mut self) {
        for (log, at) in &self.state.heads_found {
            if self.state.fronts.contains_key(log) {
                self.head(*log, *at);
            }
        }
    }

    fn head(&mut self, log: LogId, at: Sequence) {
        self.plan.heads.insert(log, at);
        self.number(keys::of_log(keys::HEAD, log), at);
    }

    fn put(&mut self, record: &Record) {
        match record {
            Record::Body { sequence, message } => {
                self.seen(*sequence);
                let value = format::encode_body(&keys::body(*sequence), message);
                self.bodies.entry(*sequence).or_default().comes = Some(value);
            }
            Record::BodyGone { sequence } => {
                let body = self.bodies.entry(*sequence).or_default();
                body.goes |= body.comes.take().is_none();
            }
            Record::Entry { log, sequence, meta } => {
                self.seen(*sequence);
                let stored = self.state.fronts.get(log).map_or(0, |front| front.at);
                if *sequence < *self.plan.heads.get(log).unwrap_or(&stored) {
                    self.head(*log, *sequence);
                }
                let value = format::encode_entry(&keys::entry(*log, *sequence), meta);
                self.entries.entry((*log, *sequence)).or_default().comes = Some(value);
            }
            Record::EntryGone { log, sequence } => {
                let place = (*log, *sequence);
                let entry = self.entries.entry(place).or_default();
                entry.goes |= entry.comes.take().is_none();
                let stored = self.state.redelivered.contains(&place);
                if *self.plan.redelivered.get(&place).unwrap_or(&stored) {
                    self.plan.redelivered.insert(place, false);
                    self.facts.insert(keys::redeliveries(*log, *sequence), None);
                }
            }
            Record::Redeliveries { log, sequence, count } => {
                self.plan.redelivered.insert((*log, *sequence), true);
                self.number(keys::redeliveries(*log, *sequence), (*count).into());
            }
            Record::Dispatched { log, up_to } => self.number(keys::of_log(keys::DISPATCHED, *log), *up_to),
            Record::Log { log, definition } => {
                self.plan.next_log = self.plan.next_log.max(log.saturating_add(1));
                let key = keys::of_log(keys::LOG, *log);
                let value = format::encode_log(&key, definition);
                self.facts.insert(key, Some(value));
            }
            Record::LogGone { log } => self.log_gone(*log),
            Record::Producer { producer, sequence, at } => {
                self.seen(*at);
                let key = keys::producer(&format::encode_producer_id(producer));
                let value = format::encode_producer(&key, *sequence, *at);
                self.facts.insert(key, Some(value));
            }
            Record::ProducerGone { producer } => {
                self.facts.insert(keys::producer(&format::encode_producer_id(producer)), None);
            }
            Record::GroupOwner { log, group, owner } => {
                self.plan.grouped.insert(*log);
                let key = keys::group(*log, group);
                let value = format::encode_group_owner(&key, owner);
                self.facts.insert(key, Some(value));
            }
            Record::GroupGone { log, group } => {
                self.facts.insert(keys::group(*log, group), None);
            }
            Record::Fact(fact) => {
                let key = keys::fact(&fact.key);
                let value = fact.value.as_ref().map(|value| format::encode_fact(&key, value));
                self.facts.insert(key, value);
            }
            Record::CleanStop => {}
        }
    }

    fn number(&mut self, key: Vec<u8>, number: u64) {
        let value = format::encode_number(&key, number);
        self.facts.insert(key, Some(value));
    }

    /// A number is never used again, so whatever else was said of the log in these appends is of no account.
    fn log_gone(&mut self, log: LogId) {
        let of_log = |place: &(LogId, Sequence)| place.0 == log;
        self.plan.logs_gone.push(log);
        self.entries.retain(|place, _| !of_log(place));
        let range = (log, 0)..=(log, Sequence::MAX);
        let had = self.state.redelivered.range(range).next().is_some() || self.plan.redelivered.keys().any(of_log);
        self.plan.redelivered.retain(|place, _| !of_log(place));
        self.plan
            .redelivered
            .extend(self.state.redelivered.range((log, 0)..=(log, Sequence::MAX)).map(|p| (*p, false)));
        let grouped = self.state.grouped.contains(&log) || self.plan.grouped.remove(&log);
        for (kind, is_there) in [(keys::REDELIVERIES, had), (keys::GROUP, grouped)] {
            if is_there {
                let (from, to) = (keys::of_log(kind, log), keys::of_log_end(kind, log));
                self.facts.retain(|key, _| !(*key >= from && *key < to));
                self.plan.facts_gone_between.push((from, to));
            }
        }
        for kind in [keys::LOG, keys::DISPATCHED] {
            self.facts.insert(keys::of_log(kind, log), None);
        }
        let stored = self.state.fronts.get(&log).is_some_and(|front| front.at > 0);
        if self.plan.heads.remove(&log).is_some() || stored {
            self.facts.insert(keys::of_log(keys::HEAD, log), None);
        }
    }

    fn seen(&mut self, sequence: Sequence) {
        self.plan.next_sequence = self.plan.next_sequence.max(sequence.saturating_add(1));
    }

    fn finish(self) -> Plan {
        let Planner { state, mut plan, bodies, entries, facts } = self;
        for (sequence, change) in bodies {
            if change.goes {
                plan.bodies_gone.push(sequence);
            }
            if let Some(value) = change.comes {
                plan.bytes += value.len() as u64;
                plan.bodies.push((sequence, value));
            }
        }
        for ((log, sequence), change) in entries {
            if change.goes {
                plan.entries_gone.push((log, sequence));
            }
            if let Some(value) = change.comes {
                plan.bytes += value.len() as u64;
                plan.entries.push((log, sequence, value));
            }
        }
        for (key, value) in facts {
            let (id, name) = keys::row(&key);
            let Some(value) = value else {
                plan.facts_gone.push(id);
                continue;
            };
            // Parts that the new value does not have must not be left of the old one.
            if value.len() > PART_BYTES || state.long_facts.contains(&id) {
                plan.facts_gone.push(id.clone());
            }
            plan.bytes += value.len() as u64;
            plan.facts.push((id, name, value));
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use journal::conformance::Samples;

    use super::*;

    fn sequences(plan: &Plan) -> (Vec<Sequence>, Vec<Sequence>) {
        (plan.bodies_gone.clone(), plan.bodies.iter().map(|(sequence, _)| *sequence).collect())
    }

    #[test]
    fn what_comes_and_goes_at_once_leaves_nothing() {
        let groups = [
            vec![Samples::queue(1), Samples::body(5), Samples::entry(1, 5)],
            vec![Record::EntryGone { log: 1, sequence: 5 }, Record::BodyGone { sequence: 5 }],
            vec![Record::EntryGone { log: 1, sequence: 3 }, Record::BodyGone { sequence: 3 }, Samples::entry(1, 3)],
        ];
        let plan = Plan::of(groups.iter().flatten(), &State::default());
        assert_eq!(sequences(&plan), (vec![3], vec![]));
        assert_eq!(plan.entries_gone, [(1, 3)]);
        assert_eq!(plan.entries.len(), 1, "an entry that goes and comes again is a new one");
        assert_eq!((plan.next_sequence, plan.next_log), (6, 2));
    }

    #[test]
    fn a_log_takes_everything_with_it() {
        let mut state = State::default();
        let before = [
            Samples::queue(1),
            Samples::entry(1, 2),
            Samples::group(1, 1, "a"),
            Record::Redeliveries { log: 1, sequence: 2, count: 1 },
        ];
        Plan::of(&before, &state).note(&mut state, 1);
        let plan = Plan::of(&[Samples::entry(1, 3), Record::LogGone { log: 1 }], &state);
        assert!(plan.entries.is_empty() && plan.facts.is_empty());
        assert_eq!((plan.logs_gone.clone(), plan.facts_gone_between.len(), plan.facts_gone.len()), (vec![1], 2, 2));
        plan.note(&mut state, 2);
        assert!(state.redelivered.is_empty() && state.grouped.is_empty());
        assert_eq!(state.appends, 2);
    }

    /// Two entries come in below a head that is stored, and below one that is about to be: reading begins at them.
    #[test]
    fn an_old_entry_takes_its_head_down() {
        let head = |plan: &Plan| {
            let id = keys::of_log(keys::HEAD, 1);
            let fact = plan.facts.iter().find(|(other, ..)| *other == id)?;
            format::decode_number(&id, &fact.2).ok()
        };
        let mut state = State { fronts: [(1, Front::new(50))].into(), heads_found: vec![(1, 90)], ..State::default() };
        let plan = Plan::of(&[Samples::entry(1, 95)], &state);
        assert_eq!(head(&plan), Some(90));
        let plan = Plan::of(&[Samples::entry(1, 95), Samples::entry(1, 70), Samples::entry(1, 80)], &state);
        assert_eq!(head(&plan), Some(70));
        plan.note(&mut state, 2);
        assert_eq!((state.fronts[&1].at, state.heads_found.len()), (70, 0));
        let plan = Plan::of(&[Samples::entry(1, 71)], &state);
        assert_eq!(head(&plan), None);
        let plan = Plan::of(&[Samples::entry(1, 40)], &state);
        assert_eq!(head(&plan), Some(40));
    }

    #[test]
    fn the_parts_of_a_long_fact_go_before_the_next_value_comes() {
        let mut state = State::default();
        for (bytes, gone) in [(2 * PART_BYTES, 1), (10, 1), (10, 0)] {
            let plan = Plan::of(&[Samples::fact(1, bytes)], &state);
            assert_eq!(plan.facts_gone.len(), gone, "{bytes}");
            plan.note(&mut state, 2);
        }
    }
}
