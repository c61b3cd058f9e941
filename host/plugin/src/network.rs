//! Network forwarding: which demand of another broker counts, and which messages cross to it.

use crate::{Decided, Messages, PolicyStats, Scalar};

/// The other broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Its name.
    pub broker: String,
    /// The network connector that leads to it.
    pub connector: String,
}

/// A destination that has consumers at the peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// Its qualified name; wildcards allowed.
    pub destination: String,
    /// The consumers' selector, empty if they have none.
    pub selector: String,
    /// Brokers that the demand passed on its way.
    pub hops: u8,
    /// Priority that the consumers have here.
    pub priority: i16,
    /// True for the demand of a durable subscription.
    pub durable: bool,
}

/// What becomes of a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Messages may cross; each is asked about.
    Forward,
    /// As if there were no consumers at the peer.
    Suppress,
}

/// A change to the copy of a message that crosses.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Sets a property.
    Set(String, Scalar<'static>),
    /// Removes a property.
    Remove(String),
    /// The copy belongs to no message group.
    StripGroup,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Crossing {
    /// It crosses, changed so.
    Forward(Vec<Edit>),
    /// It stays and is asked about again later.
    Hold,
    /// It stays for good.
    Drop,
}

/// The filter of one network connector. An answer always comes: if the policy fails, messages stay here.
pub trait NetworkFilter: Send {
    /// The most rows of one question, at least 1.
    fn rows_max(&self) -> usize;

    /// Clears `out`, then puts an answer there for each demand.
    fn demand(&mut self, peer: &Peer, demand: &[Demand], out: &mut Vec<Interest>) -> Decided;

    /// Clears `out`, then puts an answer there for each message.
    fn messages(&mut self, now_ms: u64, peer: &Peer, messages: &dyn Messages, out: &mut Vec<Crossing>) -> Decided;

    /// So many of the last answers were wrong and were corrected; not called where all were right.
    fn corrected(&mut self, answers: u64) {
        let _ = answers;
    }

    /// What happened so far and how it stands.
    fn stats(&self) -> PolicyStats;
}

/// How a network policy decides, without the bookkeeping around it: the native policies, and the guests that are built
/// from the same source.
pub trait CrossingLogic: Default + Send + 'static {
    /// Ids of the headers that are read by [`Messages::number`]; the manual has the table.
    const COLUMN_IDS: &'static [u32] = &[];

    /// Takes the settings in their order, or says in a sentence what is wrong with them.
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String>;

    /// Names of the properties that [`crossing`](Self::crossing) reads with these settings.
    fn reads(&self) -> Vec<String> {
        Vec::new()
    }

    /// What becomes of one demand.
    fn interest(&mut self, peer: &Peer, demand: &Demand) -> Interest {
        let _ = (peer, demand);
        Interest::Forward
    }

    /// What becomes of one row.
    fn crossing(&mut self, now_ms: u64, peer: &Peer, messages: &dyn Messages, row: usize) -> Crossing {
        let _ = (now_ms, peer, messages, row);
        Crossing::Forward(Vec::new())
    }
}

/// What was wrong in the answers of a batch. All zero for answers that were kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CrossingCorrections {
    /// Edits of names that are the broker's, empty or too long.
    pub forbidden_edit: u64,
    /// Edits beyond the limit for one message.
    pub surplus_edit: u64,
    /// Rows without an answer: they are held.
    pub missing: u64,
    /// Answers without a row.
    pub surplus: u64,
}

impl CrossingCorrections {
    /// All the wrong answers together.
    pub fn total(&self) -> u64 {
        self.forbidden_edit + self.surplus_edit + self.missing + self.surplus
    }
}

/// Checks answers and corrects them.
#[derive(Debug, Clone, Copy)]
pub struct CrossingCheck {
    /// Edits of one message.
    pub edits_max: usize,
    /// Bytes of the name or of the text of an edit.
    pub text_bytes_max: usize,
}

impl CrossingCheck {
    /// Makes `answers` right in place and counts what was wrong. A message whose edits cannot be made as they were meant
    /// is held: it must not cross with what was to be taken out.
    pub fn correct(&self, rows: usize, answers: &mut Vec<Crossing>) -> CrossingCorrections {
        let mut found = CrossingCorrections {
            surplus: answers.len().saturating_sub(rows) as u64,
            missing: rows.saturating_sub(answers.len()) as u64,
            ..CrossingCorrections::default()
        };
        answers.resize(rows, Crossing::Hold);
        for answer in answers {
            let Crossing::Forward(edits) = answer else { continue };
            let surplus = edits.len().saturating_sub(self.edits_max) as u64;
            let forbidden = edits.iter().filter(|edit| !self.may(edit)).count() as u64;
            found.surplus_edit += surplus;
            found.forbidden_edit += forbidden;
            if surplus + forbidden > 0 {
                *answer = Crossing::Hold;
            }
        }
        found
    }

    fn may(&self, edit: &Edit) -> bool {
        let name = |name: &str| !name.is_empty() && name.len() <= self.text_bytes_max && !name.starts_with("JMS");
        match edit {
            Edit::Set(key, Scalar::Text(text)) => name(key) && text.len() <= self.text_bytes_max,
            Edit::Set(key, _) | Edit::Remove(key) => name(key),
            Edit::StripGroup => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_edited_as_meant_stays_here() {
        let check = CrossingCheck { edits_max: 2, text_bytes_max: 8 };
        let remove = |name: &str| Edit::Remove(name.to_owned());
        let mut answers = vec![
            Crossing::Forward(vec![remove("a"), Edit::StripGroup]),
            Crossing::Forward(vec![remove("JMSType")]),
            Crossing::Forward(vec![remove("a"), remove("b"), remove("c")]),
            Crossing::Forward(vec![Edit::Set("a".into(), Scalar::Text("123456789".into()))]),
            Crossing::Drop,
        ];
        let found = check.correct(6, &mut answers);
        let expected = [
            Crossing::Forward(vec![remove("a"), Edit::StripGroup]),
            Crossing::Hold,
            Crossing::Hold,
            Crossing::Hold,
            Crossing::Drop,
            Crossing::Hold,
        ];
        assert_eq!(answers, expected);
        let counts = CrossingCorrections { forbidden_edit: 2, surplus_edit: 1, missing: 1, surplus: 0 };
        assert_eq!(found, counts);
    }
}
