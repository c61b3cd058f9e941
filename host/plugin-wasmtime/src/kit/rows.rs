//! Random messages on their way, as worlds other than queue dispatch are shown them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use plugin::{Columns, Messages, Scalar, text_hash};

use crate::kit::questions::{Ground, Size};
use crate::kit::traffic::Random;

/// The broker's time of the first question, ms since 1970: some day in 2026.
pub(super) const BEGIN_MS: u64 = 1_790_000_000_000;
/// Texts of properties beside the words of the settings.
const TEXTS: [&str; 7] = ["eu", "us", "gold", "größer", "", " ", "a text with, all: 'signs' > of \"life\""];
/// Names beside the words of the settings.
const NAMES: [&str; 6] = ["ORDERS", "ORDERS.EU.7", "ORDERS.US", "PRICES", "PRICES.GOLD", "a name"];
/// Bytes of a long text.
const LONG: usize = 2_000;

/// The messages of one question. A value follows from seed, row and name alone, so whoever asks gets the same.
pub(super) struct Rows {
    seed: u64,
    pub(super) now_ms: u64,
    count: usize,
    words: Arc<[String]>,
    /// Names of the properties that were asked for so far.
    asked: RefCell<BTreeSet<String>>,
}

impl Rows {
    pub(super) fn new(seed: u64, ground: &Ground) -> Rows {
        Rows { seed, now_ms: BEGIN_MS, count: 0, words: ground.words.clone(), asked: RefCell::default() }
    }

    /// Other messages, some time later.
    pub(super) fn draw(&mut self, random: &mut Random, size: Size, rows_max: usize) {
        self.seed = random.below(u64::MAX);
        self.now_ms += random.pick(&[0, 1, 20, 1_000]);
        self.count = match size {
            Size::Random => random.pick(&[0, 1, 1, 8, 32, 128]).min(rows_max),
            Size::Empty => 0,
            Size::Largest => rows_max,
        };
    }

    /// Names of the properties that were asked for so far.
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    fn random(&self, row: usize, what: &str) -> Random {
        let mut random = Random(self.seed ^ text_hash(what).cast_unsigned() ^ (row as u64) << 32);
        random.below(2);
        random
    }

    fn text(&self, random: &mut Random) -> String {
        word(random, &self.words, &TEXTS)
    }

    fn any(&self, random: &mut Random) -> Scalar<'_> {
        match random.below(12) {
            0..=4 => Scalar::Text(Cow::Owned(self.text(random))),
            5 | 6 => Scalar::Absent,
            7 => Scalar::Bool(random.below(2) == 0),
            8 => Scalar::Int(random.below(200) as i64 - 100),
            9 => Scalar::Int(random.pick(&[i64::MIN, i64::MAX, 0])),
            10 => Scalar::Float(random.pick(&[0.5, -1e300, f64::INFINITY, f64::NAN])),
            _ => Scalar::Text(Cow::Owned("x".repeat(LONG))),
        }
    }
}

/// A word of the settings, or one of these.
pub(super) fn word(random: &mut Random, words: &[String], others: &[&str]) -> String {
    match words.is_empty() || random.below(2) == 0 {
        true => random.pick(others).to_owned(),
        false => words[random.below(words.len() as u64) as usize].clone(),
    }
}

/// The name of a queue or topic, without a scheme and without wildcards; settings may have patterns for it.
pub(super) fn place(random: &mut Random, words: &[String]) -> String {
    let word = word(random, words, &NAMES);
    let word = word.split_once("://").map_or(word.as_str(), |(_, name)| name);
    let part = |part| match part {
        "*" => "ONE",
        ">" | "" => "MANY.MORE",
        part => part,
    };
    word.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// The same with its scheme.
pub(super) fn qualified(random: &mut Random, words: &[String]) -> String {
    let scheme = random.pick(&["queue://", "queue://", "topic://"]);
    scheme.to_owned() + &place(random, words)
}

impl Messages for Rows {
    fn rows(&self) -> usize {
        self.count
    }

    fn number(&self, row: usize, column: Columns) -> i64 {
        let now = self.now_ms as i64;
        let (name, from): (_, &[i64]) = match column {
            Columns::PRIORITY => ("JMSPriority", &[4, 4, 4, 0, 9]),
            Columns::SIZE => ("size", &[100, 1_000, 1_000_000]),
            Columns::REDELIVERED => ("redelivered", &[0, 0, 0, 1, 6]),
            Columns::TIMESTAMP => ("JMSTimestamp", &[now, now - 1, now - 60_000]),
            Columns::EXPIRATION => ("JMSExpiration", &[0, 0, now + 1, now + 60_000]),
            Columns::SEQUENCE => return row as i64 + 1,
            _ => return 0,
        };
        self.random(row, name).pick(from)
    }

    fn property(&self, row: usize, name: &str) -> Scalar<'_> {
        if row == 0 && !self.asked.borrow().contains(name) {
            self.asked.borrow_mut().insert(name.to_owned());
        }
        let mut random = self.random(row, name);
        match name {
            "JMSDestination" => Scalar::Text(qualified(&mut random, &self.words).into()),
            "JMSPriority" => Scalar::Int(self.number(row, Columns::PRIORITY)),
            "JMSTimestamp" => Scalar::Int(self.number(row, Columns::TIMESTAMP)),
            "JMSExpiration" => Scalar::Int(self.number(row, Columns::EXPIRATION)),
            "JMSRedelivered" => Scalar::Bool(self.number(row, Columns::REDELIVERED) > 0),
            "JMSDeliveryMode" => Scalar::Text(random.pick(&["PERSISTENT", "NON_PERSISTENT"]).into()),
            "JMSMessageID" => Scalar::Text(format!("ID:kit-{row}").into()),
            _ if name.starts_with("JMS") => match random.below(3) {
                0 => Scalar::Absent,
                _ => Scalar::Text(self.text(&mut random).into()),
            },
            _ => self.any(&mut random),
        }
    }
}
