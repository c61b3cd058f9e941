//! A fuzzing loop that needs no tool: inputs of a corpus and their descendants, by a seed, until the time is up.
//!
//! Each decoder's own test includes this file. `JACKFIELD_FUZZ_SECONDS` is how long the loop runs (default 1),
//! `JACKFIELD_FUZZ_SEED` makes another run of it. What a decoder answers, not only how often, steers the loop: an input
//! that is answered as none before it becomes a parent of others. An input that makes the decoder panic is written to
//! a file and named; put that file into the corpus when the fault is mended, so that it stays found.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest input.
const BYTES_MAX: usize = 32 * 1024;
/// Parents kept; a new one takes the place of another chosen by chance.
const PARENTS_MAX: usize = 4096;

/// What an input was answered with, as far as two answers are to be told apart.
pub(crate) fn answer(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// An error without its figures: the name of its variant.
#[allow(dead_code, reason = "not all decoders have errors to tell apart")]
pub(crate) fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// Runs every file of the corpus, then what comes of them.
pub(crate) fn fuzz(corpus: &str, decode: impl Fn(&[u8]) -> u64) {
    let mut parents = Vec::new();
    let mut seen = HashSet::new();
    let mut files: Vec<_> = std::fs::read_dir(corpus)
        .unwrap_or_else(|error| panic!("{corpus}: {error}"))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    for file in &files {
        let input = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        seen.insert(tried(corpus, &input, &decode));
        parents.push(input);
    }
    assert!(parents.len() >= 5, "{corpus} holds {} files", parents.len());

    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok()).unwrap_or(1);
    let seed = number("JACKFIELD_FUZZ_SEED");
    let end = Instant::now() + Duration::from_secs(number("JACKFIELD_FUZZ_SECONDS"));
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut count = 0u64;
    while Instant::now() < end {
        for _ in 0..100 {
            let input = child(&parents, &mut chance);
            count += 1;
            if seen.insert(tried(corpus, &input, &decode)) {
                if parents.len() < PARENTS_MAX {
                    parents.push(input);
                } else {
                    let at = files.len() + chance.below(PARENTS_MAX - files.len());
                    parents[at] = input;
                }
            }
        }
    }
    eprintln!("{corpus}: seed {seed}, {count} inputs, {} answers told apart", seen.len());
}

fn tried(corpus: &str, input: &[u8], decode: impl Fn(&[u8]) -> u64) -> u64 {
    catch_unwind(AssertUnwindSafe(|| decode(input))).unwrap_or_else(|panic| {
        let name = Path::new(corpus).file_name().unwrap_or_default().to_string_lossy();
        let file = std::env::temp_dir().join(format!("jackfield-fuzz-{name}-{:016x}", answer(input)));
        match std::fs::write(&file, input) {
            Ok(()) => eprintln!("the input is kept as {}", file.display()),
            Err(error) => eprintln!("{}: {error}; the input is {}", file.display(), input.escape_ascii()),
        }
        resume_unwind(panic)
    })
}

/// A parent with a few changes.
fn child(parents: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    const NUMBERS: [i64; 16] = [
        0,
        1,
        -1,
        2,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x1_0000,
        i32::MAX as i64,
        i32::MIN as i64,
        i64::MAX,
        i64::MIN,
        0x0640_0001,
    ];
    let mut input = parents[chance.below(parents.len())].clone();
    for _ in 0..=chance.below(5) {
        let at = chance.below(input.len() + 1);
        let end = (at + 1 + chance.below(32)).min(input.len());
        match chance.below(8) {
            0 if at < input.len() => input[at] ^= 1 << chance.below(8),
            1 if at < input.len() => input[at] = chance.next() as u8,
            2 => input.insert(at, chance.next() as u8),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                let times = 1 + chance.below(8);
                input.splice(at..at, piece.repeat(times));
            }
            5 => {
                let width = [1, 2, 4, 8][chance.below(4)];
                let number = NUMBERS[chance.below(NUMBERS.len())].to_be_bytes();
                let end = (at + width).min(input.len());
                input[at..end].copy_from_slice(&number[8 - width..][..end - at]);
            }
            6 => {
                let other = &parents[chance.below(parents.len())];
                let from = chance.below(other.len() + 1);
                let to = (from + chance.below(256)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => input.truncate(at),
        }
        input.truncate(BYTES_MAX);
    }
    input
}

/// The same numbers for the same seed everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
