//! Restarts, and the last reckoning.

use broker::Config;

use super::{Done, Ending, LineKey, Oracle, Place};
use crate::words::Uid;

impl Oracle {
    /// The broker is gone and another one starts with what is durable. After a `clean` stop all that it had carried
    /// out is.
    pub(crate) fn restarted(&mut self, config: Config, clean: bool) {
        self.clock += 1;
        self.life += 1;
        self.config = config;
        for transaction in &mut self.transactions {
            transaction.ending = match transaction.ending {
                Ending::Open => Ending::RolledBack,
                Ending::Committing if clean => Ending::Committed,
                Ending::Committing => Ending::InDoubt,
                known => known,
            };
        }
        let connections = std::mem::take(&mut self.connections);
        for connection in connections.into_values() {
            for out in connection.subscriptions.values().flat_map(|s| s.held.values()).filter(|out| !out.copy) {
                if let Some(copy) = self.copies.get_mut(&(out.line, out.sequence)) {
                    copy.must_mark |= out.received;
                }
            }
            for shadow in &connection.shadows {
                if let Some(copy) = self.copies.get_mut(&(shadow.line, shadow.sequence)) {
                    copy.must_mark |= shadow.received;
                }
            }
        }
        let passing: Vec<Place> = self.places.keys().filter(|place| !place.lasts()).cloned().collect();
        for place in passing {
            self.void_place(&place);
            if let Place::Topic(..) = place {
                self.places.remove(&place);
            }
        }
        for line in &mut self.lines {
            line.returned.clear();
            line.groups.clear();
            line.selective = false;
            if line.since.is_none() {
                line.wants = None;
            }
        }
        self.copies.retain(|_, copy| copy.stored);
        let life = self.life;
        for ((line, sequence), copy) in &mut self.copies {
            copy.holder = None;
            match copy.done {
                Done::No => drop(self.lines[*line].returned.insert(*sequence)),
                Done::Asked(when, _) if clean && when + 1 == life && !copy.given_up => copy.done = Done::Confirmed,
                // Whoever acknowledged it has seen it.
                Done::Asked(..) | Done::Confirmed => {}
            }
        }
        let sends = &self.sends;
        for ((_, uid), trace) in &mut self.traces {
            trace.voided |= sends.get(uid).is_some_and(|sent| !sent.letter.persistent);
        }
    }

    /// Everything was drained: nothing may be missing.
    pub(crate) fn finish(&mut self) {
        let lost = self.traces.iter().find(|(_, trace)| trace.promised && !trace.voided && !trace.done);
        if let Some(((line, uid), trace)) = lost {
            let (place, arrived) = (&self.lines[*line].place, trace.arrived);
            let what = format!("message {uid} was promised and is lost from {place:?} (arrived: {arrived})");
            self.broken(what);
        }
        for number in 0..self.transactions.len() {
            if self.transactions[number].learned == Some(true) {
                self.check_whole(number);
            }
        }
        for (uid, due) in std::mem::take(&mut self.dead_due) {
            let seen = self.dead_seen.get(&uid).map_or(0, |seen| seen.len());
            if seen == 0 && due > 0 {
                self.broken(format!("message {uid} was given up and never became a dead letter"));
            }
        }
    }

    /// One message of the transaction arrived, so all have to.
    fn check_whole(&mut self, number: usize) {
        for uid in self.transactions[number].sends.clone() {
            let Some(sent) = self.sends.get(&uid) else { continue };
            let (letter, issued) = (sent.letter.clone(), sent.issued);
            if !letter.persistent || letter.expiration > 0 {
                continue;
            }
            for target in letter.destination.components().iter().filter(|target| target.kind.is_queue()) {
                let Some(line) = self.places.get(&super::place_of_queue(target)).copied() else { continue };
                if self.lines[line].voided_at < issued && !self.has_arrived(line, uid) {
                    self.broken(format!("transaction {number} happened in part: message {uid} is missing"));
                }
            }
        }
    }

    fn has_arrived(&self, line: LineKey, uid: Uid) -> bool {
        self.traces.get(&(line, uid)).is_some_and(|trace| trace.arrived)
    }
}
