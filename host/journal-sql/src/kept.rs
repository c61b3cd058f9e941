//! The appends that are kept as rows and not settled yet, as they are known in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use message::{Message, Record, Sequence};

/// An append.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) number: u64,
    pub(crate) records: Arc<Vec<Record>>,
}

impl Append {
    /// About what it takes in memory.
    fn bytes(&self) -> usize {
        let records = self.records.len() * size_of::<Record>();
        records + bodies_bytes(&self.records)
    }
}

/// About what the messages among them take.
pub(crate) fn bodies_bytes(records: &[Record]) -> usize {
    let bytes = records.iter().map(|record| match record {
        Record::Body { message, .. } => message.size_bytes(),
        _ => 0,
    });
    bytes.sum()
}

/// Those of them that are kept, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    appends: VecDeque<Append>,
    /// Messages that are in no place of their own yet; and `None` for those that are to leave it.
    bodies: HashMap<Sequence, Option<Arc<Message>>>,
    bytes: usize,
}

impl Kept {
    /// One more.
    pub(crate) fn push(&mut self, append: Append) {
        for record in append.records.iter() {
            let _ = match record {
                Record::Body { sequence, message } => self.bodies.insert(*sequence, Some(message.clone())),
                Record::BodyGone { sequence } => self.bodies.insert(*sequence, None),
                _ => None,
            };
        }
        self.bytes += append.bytes();
        self.appends.push_back(append);
    }

    /// All that are kept now.
    pub(crate) fn all(&self) -> Vec<Append> {
        self.appends.iter().cloned().collect()
    }

    /// Those up to a number are settled.
    pub(crate) fn settled(&mut self, up_to: u64) {
        while let Some(append) = self.appends.pop_front_if(|append| append.number <= up_to) {
            self.bytes -= append.bytes();
            for record in append.records.iter() {
                let (sequence, comes) = match record {
                    Record::Body { sequence, .. } => (sequence, true),
                    Record::BodyGone { sequence } => (sequence, false),
                    _ => continue,
                };
                // What an append that is kept still says of it counts.
                if self.bodies.get(sequence).is_some_and(|body| body.is_some() == comes) {
                    self.bodies.remove(sequence);
                }
            }
        }
    }

    /// What they say of a message: that it came, or that it is gone.
    pub(crate) fn body(&self, sequence: Sequence) -> Option<&Option<Arc<Message>>> {
        self.bodies.get(&sequence)
    }

    /// About the bytes that they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use journal::conformance::Samples;

    use super::*;

    #[test]
    fn messages_are_there_until_they_go_or_are_settled() {
        let mut kept = Kept::default();
        let appends = [
            vec![Samples::body(1), Samples::body(2)],
            vec![Record::BodyGone { sequence: 1 }, Samples::body(3)],
            vec![Record::BodyGone { sequence: 2 }, Samples::body(4), Record::BodyGone { sequence: 9 }],
        ];
        for (number, records) in (1..).zip(appends) {
            kept.push(Append { number, records: Arc::new(records) });
        }
        let told = |kept: &Kept| {
            let is_there = |sequence| Some((sequence, kept.body(sequence)?.is_some()));
            (1..=9).filter_map(is_there).collect::<Vec<_>>()
        };
        let (first, rest) = ([(1, false)], [(2, false), (3, true), (4, true), (9, false)]);
        assert_eq!(told(&kept), [&first[..], &rest].concat());
        kept.settled(1);
        assert_eq!(told(&kept), [&first[..], &rest].concat(), "those that are to go are in their places now");
        kept.settled(2);
        assert_eq!((told(&kept), kept.all().len()), (vec![rest[0], rest[2], rest[3]], 1));
        assert_eq!(kept.bytes(), 3 * size_of::<Record>() + Samples::message(4).size_bytes());
        kept.settled(3);
        assert_eq!((told(&kept), kept.bytes(), kept.all().len()), (vec![], 0, 0));
    }
}
