//! Queue browsers: copies of what is queued, then an end mark (row W37).

use message::{Delivery, Destination, Event, Loaded};

use crate::broker::{Broker, LoadFor};
use crate::entry::{Entry, Held};
use crate::groups::NO_GROUP;
use crate::slots::Key;

/// Bodies asked for at once for a browser.
const LOAD_ENTRIES_MAX: usize = 64;

impl Broker {
    /// Notes all messages of the queues, those in flight included, in their order.
    pub(crate) fn begin_browse(&mut self, consumer_key: Key, queues: &[Destination]) {
        let mut seen = Vec::new();
        for queue in queues {
            let lines: Vec<Key> = match queue.is_wildcard() {
                true => self.covered(consumer_key, queue),
                false => self.queue_for(queue).into_iter().collect(),
            };
            for key in lines {
                let Some(line) = self.lines.get(key) else { continue };
                seen.extend(line.pending.iter().map(|entry| (key, entry.sequence, entry.priority)));
                for member in &line.members {
                    let Some(member) = self.consumers.get(*member) else { continue };
                    let held = member.held.iter().filter(|held| held.line == key);
                    let held = held.filter_map(Held::live);
                    seen.extend(held.map(|entry| (key, entry.sequence, entry.priority)));
                }
            }
        }
        seen.sort_unstable_by_key(|(key, sequence, _)| (*sequence, *key));
        seen.truncate(self.config.browse_messages_max);
        if let Some(browse) = self.consumers.get_mut(consumer_key).and_then(|c| c.browse.as_mut()) {
            browse.left = seen.into();
        }
        self.browsing.push(consumer_key);
    }

    /// Serves all browsers that may have room.
    pub(crate) fn browse(&mut self) {
        while let Some(key) = self.browsing.pop() {
            self.browse_one(key);
        }
    }

    fn browse_one(&mut self, key: Key) {
        loop {
            let credit = self.credit(key);
            let Some(consumer) = self.consumers.get_mut(key) else { return };
            let (connection, subscription) = (consumer.connection, consumer.subscription);
            let Some(browse) = consumer.browse.as_mut() else { return };
            let Some((line, sequence, priority)) = browse.left.front().copied() else {
                if !std::mem::replace(&mut browse.ended, true) {
                    self.say(connection, Event::BrowseEnd { subscription });
                }
                return;
            };
            if credit == 0 || browse.loading {
                return;
            }
            let loaded = browse.loaded.remove(&sequence);
            let Some(mut entry) = self.browsed(line, sequence, priority) else {
                self.skip(key); // Somebody took it meanwhile.
                continue;
            };
            if let Some(message) = loaded {
                entry.message = Some(message);
            }
            if entry.message.is_none() {
                return self.load_for_browser(key);
            }
            self.skip(key);
            self.show(key, line, entry);
        }
    }

    fn skip(&mut self, key: Key) {
        if let Some(browse) = self.consumers.get_mut(key).and_then(|c| c.browse.as_mut()) {
            browse.left.pop_front();
        }
    }

    /// The entry if it is still on its line, waiting or held.
    fn browsed(&mut self, line_key: Key, sequence: u64, priority: u8) -> Option<Entry> {
        let line = self.lines.get_mut(line_key)?;
        if let Some(entry) = line.pending.find_mut(sequence, priority) {
            return Some(entry.clone());
        }
        let line = self.lines.get(line_key)?;
        line.members.iter().filter_map(|member| self.consumers.get(*member)).find_map(|member| {
            let held = member.held.iter().filter(|held| held.line == line_key);
            held.filter_map(Held::live).find(|entry| entry.sequence == sequence).cloned()
        })
    }

    fn load_for_browser(&mut self, key: Key) {
        let Some(browse) = self.consumers.get_mut(key).and_then(|c| c.browse.as_mut()) else { return };
        browse.loading = true;
        let sequences = browse.left.iter().take(LOAD_ENTRIES_MAX).map(|(_, sequence, _)| *sequence).collect();
        self.load(sequences, LoadFor::Browser(key));
    }

    pub(crate) fn loaded_for_browser(&mut self, key: Key, bodies: Loaded) {
        let Some(browse) = self.consumers.get_mut(key).and_then(|c| c.browse.as_mut()) else { return };
        browse.loading = false;
        let mut gone = Vec::new();
        for (sequence, body) in bodies {
            match body {
                Some(body) => drop(browse.loaded.insert(sequence, body)),
                None => gone.push(sequence),
            }
        }
        // What the journal does not have was acknowledged meanwhile or lives in memory alone.
        let lines: Vec<_> = browse.left.iter().filter(|(_, s, _)| gone.contains(s)).copied().collect();
        for (line, sequence, priority) in lines {
            let in_memory = self.browsed(line, sequence, priority).is_some_and(|entry| entry.message.is_some());
            if !in_memory && let Some(browse) = self.consumers.get_mut(key).and_then(|c| c.browse.as_mut()) {
                browse.left.retain(|(_, other, _)| *other != sequence);
            }
        }
        self.browsing.push(key);
    }

    fn show(&mut self, key: Key, line: Key, entry: Entry) {
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        let Some(message) = entry.message.clone() else { return };
        let redeliveries = entry.redeliveries.into();
        if consumer.selector.as_ref().is_some_and(|selector| !message.matches(selector, redeliveries)) {
            return;
        }
        let tag = consumer.next_tag;
        consumer.next_tag += 1;
        consumer.unseen += 1;
        let size = u64::from(entry.size);
        consumer.held.push_back(Held {
            tag,
            line,
            entry,
            group: NO_GROUP,
            seen: false,
            transaction: None,
            gone: false,
            copy: true,
        });
        let (connection, subscription) = (consumer.connection, consumer.subscription);
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.unsent += size;
        }
        self.say(connection, Event::Deliver(Delivery { subscription, tag, message, redeliveries, group_first: false }));
    }
}
