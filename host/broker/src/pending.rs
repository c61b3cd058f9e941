//! The waiting part of a line: entries in order, with gaps where entries were taken from the middle.

use std::collections::VecDeque;

use message::Sequence;

use crate::entry::Entry;

/// Where an entry stands: by priority first where the line asks for it, by arrival otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u8, Sequence);

impl Place {
    pub(crate) const FIRST: Place = Place(0, 0);

    /// The place right behind this one.
    pub(crate) fn after(self) -> Place {
        Place(self.0, self.1 + 1)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    entries: VecDeque<Entry>,
    live: usize,
    prioritized: bool,
}

impl Pending {
    pub(crate) fn new(prioritized: bool) -> Pending {
        Pending { entries: VecDeque::new(), live: 0, prioritized }
    }

    pub(crate) fn place(&self, sequence: Sequence, priority: u8) -> Place {
        Place(if self.prioritized { 9u8.saturating_sub(priority) } else { 0 }, sequence)
    }

    fn place_of(&self, entry: &Entry) -> Place {
        self.place(entry.sequence, entry.priority)
    }

    /// Entries that are there.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Puts the entry where it belongs: at the end when it is new, where it was when it comes back.
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.live += 1;
        let place = self.place_of(&entry);
        match self.entries.back() {
            Some(last) if self.place_of(last) >= place => {
                let at = self.index_from(place);
                match self.entries.get_mut(at) {
                    Some(gap) if gap.is_taken() && gap.sequence == entry.sequence => *gap = entry,
                    _ => self.entries.insert(at, entry),
                }
            }
            _ => self.entries.push_back(entry),
        }
    }

    /// Index of the first entry or gap at or behind `place`.
    pub(crate) fn index_from(&self, place: Place) -> usize {
        if place == Place::FIRST {
            return 0;
        }
        self.entries.partition_point(|entry| self.place_of(entry) < place)
    }

    /// The entry or gap at this index.
    pub(crate) fn at(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries.get_mut(index)
    }

    /// The place of the entry or gap at this index.
    pub(crate) fn place_at(&self, index: usize) -> Option<Place> {
        self.entries.get(index).map(|entry| self.place_of(entry))
    }

    /// The live entry of this number.
    pub(crate) fn find_mut(&mut self, sequence: Sequence, priority: u8) -> Option<&mut Entry> {
        let at = self.index_from(self.place(sequence, priority));
        self.entries.get_mut(at).filter(|entry| entry.sequence == sequence && !entry.is_taken())
    }

    /// Takes the entry out; indexes stay true until [`Pending::tidy`].
    pub(crate) fn take(&mut self, index: usize) -> Entry {
        let entry = &mut self.entries[index];
        debug_assert!(!entry.is_taken(), "an entry is taken once");
        self.live -= 1;
        entry.take()
    }

    /// Forgets gaps at the front, and all of them when they are more than the entries.
    pub(crate) fn tidy(&mut self) {
        while self.entries.front().is_some_and(Entry::is_taken) {
            self.entries.pop_front();
        }
        if self.entries.len() > 2 * self.live + 1024 {
            self.entries.retain(|entry| !entry.is_taken());
        }
        if self.entries.capacity() > 4096 && self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// All that is there, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.is_taken())
    }

    /// All that is there, in order, to be changed in place.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().filter(|entry| !entry.is_taken())
    }

    /// Entries and gaps.
    pub(crate) fn span(&self) -> usize {
        self.entries.len()
    }

    /// Takes everything out, in order.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        self.live = 0;
        std::mem::take(&mut self.entries).into_iter().filter(|entry| !entry.is_taken()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::EntryMeta;

    fn entry(sequence: Sequence, priority: u8) -> Entry {
        Entry::recovered(sequence, &EntryMeta { size: 1, priority, expiration: 0, maybe_delivered: false }, false)
    }

    fn sequences(pending: &Pending) -> Vec<Sequence> {
        pending.iter().map(|entry| entry.sequence).collect()
    }

    /// What is taken from the middle and comes back stands where it stood.
    #[test]
    fn entries_come_back_to_their_place() {
        let mut pending = Pending::new(false);
        (1..=5).for_each(|n| pending.insert(entry(n, 4)));
        let (third, first) = (pending.take(2), pending.take(0));
        pending.tidy();
        assert_eq!((sequences(&pending), pending.len()), (vec![2, 4, 5], 3));
        pending.insert(third);
        pending.insert(first);
        assert_eq!((sequences(&pending), pending.len()), (vec![1, 2, 3, 4, 5], 5));
        assert!(pending.find_mut(3, 4).is_some() && pending.find_mut(9, 4).is_none());
    }

    #[test]
    fn priority_goes_first_where_it_is_asked_for() {
        let mut pending = Pending::new(true);
        for (n, priority) in [(1, 4), (2, 9), (3, 0), (4, 9)] {
            pending.insert(entry(n, priority));
        }
        assert_eq!(sequences(&pending), [2, 4, 1, 3]);
    }

    #[test]
    fn gaps_do_not_pile_up() {
        let mut pending = Pending::new(false);
        (1..=10_000).for_each(|n| pending.insert(entry(n, 4)));
        (1..10_000).for_each(|at| drop(pending.take(at)));
        pending.tidy();
        assert_eq!((pending.len(), pending.span()), (1, 1));
    }
}
