//! Network forwarding, judged.

use std::collections::BTreeSet;

use plugin::{
    Crossing, CrossingCheck, Demand, Interest, Messages, NetworkFilter, Peer, PolicyError, PolicyHost, PolicyStats,
};

use crate::WasmHost;
use crate::kit::contract::answered;
use crate::kit::questions::{Ground, Questions, Size};
use crate::kit::rows::{Rows, qualified};
use crate::kit::traffic::Random;

/// Edits of one message, and bytes of the name or the text of one: beyond that the message would be held.
const CHECK: CrossingCheck = CrossingCheck { edits_max: 64, text_bytes_max: 4_096 };
/// Destinations with consumers at the peer in the largest question.
const DEMAND_MAX: usize = 1_024;

/// What a peer wants and what there is for it, over one connector.
pub(super) struct NetworkQuestions {
    random: Random,
    messages: Rows,
    words: std::sync::Arc<[String]>,
    rows_max: usize,
    peer: Peer,
    demand: Vec<Demand>,
    /// The answer about demand, once it is there: the policy is not asked twice.
    interests: Option<Vec<Interest>>,
}

impl NetworkQuestions {
    fn wish(&mut self) -> Demand {
        let random = &mut self.random;
        let mut destination = qualified(random, &self.words);
        match random.below(6) {
            0 => destination += ".>",
            1 => destination += ".*",
            _ => {}
        }
        Demand {
            destination,
            selector: random.pick(&["", "", "region = 'eu'"]).to_owned(),
            hops: random.pick(&[0, 0, 1, 255]),
            priority: random.pick(&[-5, 0, i16::MAX]),
            durable: random.below(4) == 0,
        }
    }
}

impl Questions for NetworkQuestions {
    type Policy = Box<dyn NetworkFilter>;
    type Answer = (Vec<Interest>, Vec<Crossing>);
    const RIGHT: &'static str = "each demand and message has an answer, and edits can be made";
    const READS: bool = true;

    fn new(seed: u64, ground: &Ground) -> NetworkQuestions {
        NetworkQuestions {
            random: Random(seed),
            messages: Rows::new(seed, ground),
            words: ground.words.clone(),
            rows_max: ground.rows_max,
            peer: Peer { broker: "north".into(), connector: "to-north".into() },
            demand: Vec::new(),
            interests: None,
        }
    }

    fn policy(host: &WasmHost, name: &str, place: &str) -> Result<Box<dyn NetworkFilter>, PolicyError> {
        host.network_filter(name, place, &[])
    }

    fn draw(&mut self, size: Size, _policy: &mut Box<dyn NetworkFilter>) {
        self.messages.draw(&mut self.random, size, self.rows_max);
        let wishes = match size {
            Size::Random => self.random.pick(&[0, 0, 0, 1, 8]),
            Size::Empty => 0,
            Size::Largest => DEMAND_MAX,
        };
        self.demand = (0..wishes).map(|_| self.wish()).collect();
        self.interests = None;
    }

    fn ask(&mut self, policy: &mut Box<dyn NetworkFilter>) -> Result<Self::Answer, String> {
        if self.interests.is_none() {
            let mut interests = Vec::new();
            answered(policy.demand(&self.peer, &self.demand, &mut interests))
                .map_err(|what| format!("about demand {what}"))?;
            self.interests = Some(interests);
        }
        let mut crossings = Vec::new();
        answered(policy.messages(self.messages.now_ms, &self.peer, &self.messages, &mut crossings))?;
        Ok((self.interests.take().unwrap_or_default(), crossings))
    }

    fn judge(&mut self, (_, crossings): &Self::Answer) -> Result<(), String> {
        let found = CHECK.correct(self.rows(), &mut crossings.clone());
        if found.total() == 0 {
            return Ok(());
        }
        let is_wrong = |crossing: &&Crossing| CHECK.correct(1, &mut vec![Crossing::clone(crossing)]).total() > 0;
        let first = crossings.iter().find(is_wrong);
        let edits = match first {
            Some(Crossing::Forward(edits)) => format!("{edits:.200?}"),
            _ => String::new(),
        };
        let rule = "names are not empty and do not begin with JMS";
        Err(format!("was corrected: {found:?}, such as {edits:.200}; {rule}, and such a message is held"))
    }

    fn rows(&self) -> usize {
        self.messages.rows()
    }

    fn wanted(&self, _policy: &Box<dyn NetworkFilter>) -> BTreeSet<String> {
        self.messages.asked()
    }

    fn stats(policy: &Box<dyn NetworkFilter>) -> PolicyStats {
        policy.stats()
    }
}
