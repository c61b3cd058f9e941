//! No text makes the parser or the tree panic: a corpus of past inputs, cut and joined at random by a seed.

mod properties;

use properties::message;
use selector::{Limits, Selector, SelectorError};

/// A small generator of our own, so that a seed means the same texts everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Parses and evaluates; an error must point into the text.
fn exercise(text: &str) {
    for limits in [Limits::default(), Limits { depth_max: 3, nodes_max: 10, like_bytes_max: 4, ..Limits::default() }] {
        match Selector::parse(text, &limits) {
            Ok(selector) => {
                assert_eq!(selector.evaluate(&message()), selector.clone().evaluate(&message()), "{text}");
                assert_eq!(selector.text(), text);
            }
            Err(SelectorError::TooLong { .. }) => {}
            Err(error) => {
                let position = error.position().expect("all others point");
                assert!(text.is_char_boundary(position), "{text}: {error}");
            }
        }
    }
}

#[test]
fn corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect(folder) {
        let path = entry.expect(folder).path();
        let bytes = std::fs::read(&path).expect("readable");
        exercise(&String::from_utf8_lossy(&bytes));
        seen += 1;
    }
    assert!(seen >= 8, "{folder} holds {seen} files");
}

#[test]
fn random_words() {
    let words = [
        "a",
        "name",
        "rank",
        "missing",
        "yes",
        "JMSPriority",
        "$x",
        "é",
        "0",
        "1",
        "09",
        "0x1F",
        "1.5",
        ".5",
        "1E9",
        "99999999999999999999",
        "9223372036854775808",
        "'x'",
        "''",
        "'it''s'",
        "'%_%'",
        "'!'",
        "'",
        "NULL",
        "TRUE",
        "false",
        "AND",
        "or",
        "NOT",
        "IN",
        "LIKE",
        "ESCAPE",
        "BETWEEN",
        "IS",
        "XPATH",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "(",
        ")",
        "((",
        "))",
        ",",
        "--",
        "/*",
        "*/",
        "\n",
        "\u{10000}",
        "convert_string_expressions:",
        "name LIKE '%a'",
        "rank > 1",
        "name IN ('a','b')",
        "rank BETWEEN 1 AND 2",
        "(rank = 1)",
        "name IS NOT NULL",
    ];
    for seed in 1..=20_000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut text = String::new();
        for _ in 0..1 + random.below(14) {
            text.push_str(words[random.below(words.len())]);
            if random.below(4) > 0 {
                text.push(' ');
            }
        }
        exercise(&text);
    }
}

#[test]
fn random_characters() {
    let letters: Vec<char> = "aN0189xEeLl.'\"%_$+-*/=<>(),!\\ \n\réß漢\u{10000}\0".chars().collect();
    for seed in 1..=20_000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text: String = (0..random.below(40)).map(|_| letters[random.below(letters.len())]).collect();
        exercise(&text);
    }
}

/// Every cut of a sound selector is either sound or refused, never a panic.
#[test]
fn truncations() {
    let text = "convert_string_expressions:JMSType LIKE 'it''s %!_' ESCAPE '!' /* é */ AND NOT (a NOT IN ('x', 'ü') OR \
                -b * 0x1F >= 1.5E-3 -- x\n) OR c NOT BETWEEN 1L AND d IS NOT NULL";
    exercise(text);
    Selector::parse(text, &Limits::default()).unwrap();
    for (at, _) in text.char_indices() {
        exercise(&text[..at]);
        exercise(&text[at..]);
    }
}
