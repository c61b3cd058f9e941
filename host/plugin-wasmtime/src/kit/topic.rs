//! Topic dispatch, judged.

use std::collections::BTreeSet;

use plugin::{FanOut, FanOutCheck, Messages, PolicyError, PolicyHost, PolicyStats, SubscriptionRow, TopicDispatch};

use crate::WasmHost;
use crate::kit::contract::answered;
use crate::kit::questions::{Ground, Questions, Size};
use crate::kit::rows::Rows;
use crate::kit::traffic::Random;

/// Subscriptions of the largest question; those of the others are fewer.
const SUBSCRIPTIONS_MAX: usize = 128;

/// Subscriptions of one topic that come and go, and what is sent there.
pub(super) struct TopicQuestions {
    random: Random,
    messages: Rows,
    rows_max: usize,
    subscriptions: Vec<SubscriptionRow>,
    slot_next: u32,
    check: FanOutCheck,
}

impl TopicQuestions {
    fn join(&mut self) {
        let random = &mut self.random;
        self.slot_next += 1 + random.below(3) as u32;
        let priority = random.pick(&[0, 0, 0, 5, -5]);
        let is_network = priority == -5 || random.below(9) == 0;
        let is_durable = random.below(4) == 0;
        self.subscriptions.push(SubscriptionRow {
            slot: self.slot_next,
            priority,
            is_network,
            is_durable,
            ..SubscriptionRow::default()
        });
    }
}

impl Questions for TopicQuestions {
    type Policy = Box<dyn TopicDispatch>;
    type Answer = FanOut;
    const RIGHT: &'static str = "each row has its mask, the order has each subscription once";
    const READS: bool = true;

    fn new(seed: u64, ground: &Ground) -> TopicQuestions {
        TopicQuestions {
            random: Random(seed),
            messages: Rows::new(seed, ground),
            rows_max: ground.rows_max,
            subscriptions: Vec::new(),
            slot_next: 0,
            check: FanOutCheck::new(),
        }
    }

    fn policy(host: &WasmHost, name: &str, place: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        host.topic_dispatch(name, place)
    }

    fn draw(&mut self, size: Size, _policy: &mut Box<dyn TopicDispatch>) {
        self.messages.draw(&mut self.random, size, self.rows_max);
        match size {
            Size::Empty => self.subscriptions.clear(),
            Size::Largest => (0..SUBSCRIPTIONS_MAX).for_each(|_| self.join()),
            Size::Random => {
                let joining = self.random.pick(&[0, 0, 0, 1, 1, 2, 40]);
                (0..joining).for_each(|_| self.join());
            }
        }
        let most = if size == Size::Largest { SUBSCRIPTIONS_MAX } else { 90 };
        while self.subscriptions.len() > most || size == Size::Random && self.random.below(3) == 0 {
            if self.subscriptions.is_empty() {
                break;
            }
            let at = self.random.below(self.subscriptions.len() as u64) as usize;
            self.subscriptions.remove(at);
        }
        for row in &mut self.subscriptions {
            row.waiting = self.random.pick(&[0, 0, 1, 50, 1_000_000]);
        }
    }

    fn ask(&mut self, policy: &mut Box<dyn TopicDispatch>) -> Result<FanOut, String> {
        let mut answer = FanOut::default();
        answered(policy.plan(self.messages.now_ms, &self.messages, &self.subscriptions, &mut answer))?;
        Ok(answer)
    }

    fn judge(&mut self, answer: &FanOut) -> Result<(), String> {
        let found = self.check.correct(self.rows(), &self.subscriptions, &mut answer.clone(), &mut Vec::new());
        if found.total() == 0 { Ok(()) } else { Err(format!("was corrected: {found:?}")) }
    }

    fn rows(&self) -> usize {
        self.messages.rows()
    }

    fn wanted(&self, _policy: &Box<dyn TopicDispatch>) -> BTreeSet<String> {
        self.messages.asked()
    }

    fn stats(policy: &Box<dyn TopicDispatch>) -> PolicyStats {
        policy.stats()
    }
}
