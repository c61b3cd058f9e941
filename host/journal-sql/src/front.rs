//! Where the living entries of a log begin.
//!
//! A database finds the first entry of a log by walking over what was deleted in front of it, until it has cleaned up
//! behind us. So for logs from which much was removed a head is kept: no entry is below it, and reading begins there. It may
//! lag behind the truth, but never run ahead of it: an entry that comes in below its head takes the head down in the same
//! transaction.

use message::Sequence;

/// Removals from a log that make it worth while to look for a new head.
pub(crate) const GONE_MIN: u64 = 10_000;

/// The front of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Front {
    /// Nothing that lives is below.
    pub(crate) at: Sequence,
    /// Lowest that came in since a search for a new head began.
    lowest_since: Sequence,
    /// Removals since then.
    gone_since: u64,
    /// A search is under way.
    searching: bool,
}

impl Front {
    pub(crate) fn new(at: Sequence) -> Front {
        Front { at, ..Front::default() }
    }

    /// Begins a search where one is worth while; from where.
    pub(crate) fn search(&mut self) -> Option<Sequence> {
        if self.searching || self.gone_since < GONE_MIN {
            return None;
        }
        *self = Front { at: self.at, lowest_since: Sequence::MAX, gone_since: 0, searching: true };
        Some(self.at)
    }

    /// Ends a search that found `candidate`, or nothing. The new head, if there is one.
    pub(crate) fn found(&mut self, candidate: Option<Sequence>) -> Option<Sequence> {
        self.searching = false;
        let to = candidate?.min(self.lowest_since);
        (to > self.at).then_some(to)
    }

    /// An entry was stored.
    pub(crate) fn came(&mut self, sequence: Sequence) {
        self.lowest_since = self.lowest_since.min(sequence);
        self.at = self.at.min(sequence);
    }

    /// Entries were removed.
    pub(crate) fn gone(&mut self, entries: u64) {
        self.gone_since += entries;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_rises_to_what_was_found_and_never_over_what_came() {
        let mut front = Front::new(5);
        front.gone(GONE_MIN - 1);
        assert_eq!(front.search(), None);
        front.gone(1);
        assert_eq!((front.search(), front.search()), (Some(5), None));
        front.came(40);
        assert_eq!(front.found(Some(90)), Some(40), "what came meanwhile is not passed over");
        front.gone(GONE_MIN);
        assert_eq!(front.search(), Some(5), "until it is stored the old head holds");
        assert_eq!(front.found(None), None);
        front.came(3);
        assert_eq!(front.at, 3);
    }
}
