//! Topic dispatch: which subscriptions get a message, and in which order.

use crate::check::SlotIndex;
use crate::{Decided, Messages, PolicyStats};

/// A subscription that matches the messages of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionRow {
    /// Stable while the subscription lives.
    pub slot: u32,
    /// Priority of its consumer; 0 while a durable one has none.
    pub priority: i16,
    /// Messages that wait for it.
    pub waiting: u32,
    /// True for the subscription of another broker.
    pub is_network: bool,
    /// True for a durable subscription.
    pub is_durable: bool,
}

/// Who gets what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FanOut {
    /// Row-major bits, `ceil(n / 64)` words a row for `n` subscriptions; empty if all get all.
    pub mask: Vec<u64>,
    /// Slots in the order in which they are served; those left out come behind, in the order of the table.
    pub order: Vec<u32>,
}

impl FanOut {
    /// Back to: all get all, in the order of the table.
    pub fn clear(&mut self) {
        self.mask.clear();
        self.order.clear();
    }

    /// True if the subscription at `index` of `count` gets `row`.
    pub fn gets(&self, row: usize, index: usize, count: usize) -> bool {
        let word = row * count.div_ceil(64) + index / 64;
        self.mask.is_empty() || self.mask.get(word).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    /// Whether the mask fits so many rows and subscriptions.
    pub fn fits(&self, rows: usize, subscriptions: usize) -> bool {
        self.mask.is_empty() || self.mask.len() == rows * subscriptions.div_ceil(64)
    }
}

/// The dispatch policy of one topic. The core owns it and asks it synchronously.
///
/// An answer always comes: if the policy fails, all the subscriptions get the messages of that very batch. The answer is
/// advice; the core passes it through [`FanOutCheck`] before it acts.
pub trait TopicDispatch: Send {
    /// Fills `out`, which the caller cleared.
    fn plan(
        &mut self,
        now_ms: u64,
        messages: &dyn Messages,
        subscriptions: &[SubscriptionRow],
        out: &mut FanOut,
    ) -> Decided;

    /// So many faults were found in the last answer and were corrected; not called where there were none.
    fn corrected(&mut self, faults: u64) {
        let _ = faults;
    }

    /// The generation that was asked last, which another one may have taken the place of since then; 0 where there are none.
    fn generation(&self) -> u64 {
        0
    }

    /// What happened so far and how it stands.
    fn stats(&self) -> PolicyStats;
}

/// How a topic policy decides, without the bookkeeping around it: the native policies, and the guests that are built
/// from the same source.
pub trait FanOutLogic: Default + Send + 'static {
    /// Ids of the headers that are read by [`Messages::number`]; the manual has the table.
    const COLUMN_IDS: &'static [u32] = &[];

    /// Takes the settings in their order, or says in a sentence what is wrong with them.
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        no_settings(settings)
    }

    /// Names of the properties that [`decide`](Self::decide) reads.
    fn reads(&self) -> Vec<String> {
        Vec::new()
    }

    /// Fills `out`, which the caller cleared.
    fn decide(&mut self, messages: &dyn Messages, subscriptions: &[SubscriptionRow], out: &mut FanOut);
}

/// The refusal of a policy that takes no settings.
pub(crate) fn no_settings(settings: &[(String, String)]) -> Result<(), String> {
    match settings.first() {
        None => Ok(()),
        Some((key, value)) => {
            Err(format!("setting {key} = {value} is unknown; leave it out, this policy takes no settings"))
        }
    }
}

/// Checks answers and corrects them. Keeps its scratch between answers.
#[derive(Debug, Default)]
pub struct FanOutCheck {
    index: SlotIndex,
    ranked: Vec<bool>,
}

/// What was wrong in an answer. All zero for one that was kept as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FanOutCorrections {
    /// Slots in the order that no subscription has.
    pub unknown_slot: u64,
    /// Slots in the order that stand there twice.
    pub repeated: u64,
    /// A mask of the wrong length: all get all.
    pub wrong_length: u64,
}

impl FanOutCorrections {
    /// All the wrong answers together.
    pub fn total(&self) -> u64 {
        self.unknown_slot + self.repeated + self.wrong_length
    }
}

impl FanOutCheck {
    /// A check with no history.
    pub fn new() -> FanOutCheck {
        FanOutCheck::default()
    }

    /// Makes the answer right in place and puts indices of the table into `order`, each once, as they are to be served.
    pub fn correct(
        &mut self,
        rows: usize,
        subscriptions: &[SubscriptionRow],
        answer: &mut FanOut,
        order: &mut Vec<usize>,
    ) -> FanOutCorrections {
        let mut found = FanOutCorrections::default();
        if !answer.fits(rows, subscriptions.len()) {
            found.wrong_length = 1;
            answer.mask.clear();
        }
        order.clear();
        if answer.order.is_empty() {
            order.extend(0..subscriptions.len());
            return found;
        }
        self.index.refresh_slots(subscriptions.iter().map(|row| row.slot));
        self.ranked.clear();
        self.ranked.resize(subscriptions.len(), false);
        for slot in &answer.order {
            match self.index.get(*slot) {
                None => found.unknown_slot += 1,
                Some(at) if self.ranked[at] => found.repeated += 1,
                Some(at) => {
                    self.ranked[at] = true;
                    order.push(at);
                }
            }
        }
        order.extend(self.ranked.iter().enumerate().filter(|(_, ranked)| !**ranked).map(|(at, _)| at));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(slots: &[u32], rows: usize, mask: &[u64], order: &[u32]) -> (FanOut, Vec<usize>, FanOutCorrections) {
        let table: Vec<_> = slots.iter().map(|slot| SubscriptionRow { slot: *slot, ..Default::default() }).collect();
        let mut answer = FanOut { mask: mask.to_vec(), order: order.to_vec() };
        let mut indices = Vec::new();
        let found = FanOutCheck::new().correct(rows, &table, &mut answer, &mut indices);
        (answer, indices, found)
    }

    #[test]
    fn a_right_answer_is_kept() {
        let (answer, order, found) = check(&[5, 9, 7], 2, &[0b101, 0b010], &[7, 5, 9]);
        assert_eq!((order, found.total()), (vec![2, 0, 1], 0));
        assert!(answer.gets(0, 0, 3) && !answer.gets(0, 1, 3) && answer.gets(1, 1, 3));
        let (answer, order, found) = check(&[5, 9], 1, &[], &[]);
        assert_eq!((order, found.total(), answer.gets(0, 1, 2)), (vec![0, 1], 0, true));
    }

    #[test]
    fn wrong_answers_are_counted_and_leave_nobody_out() {
        let (answer, order, found) = check(&[5, 9, 7], 1, &[0, 0], &[7, 99, 7, 7]);
        assert_eq!(order, [2, 0, 1]);
        assert_eq!(found, FanOutCorrections { unknown_slot: 1, repeated: 2, wrong_length: 1 });
        assert!((0..3).all(|at| answer.gets(0, at, 3)), "a mask that does not fit takes nothing away");
    }
}
