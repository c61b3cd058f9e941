//! What the generator writes into a body: who, which, when, and a checksum over all of it.

use std::{sync::OnceLock, time::Instant};

/// Bytes in front of the filling; the least a body can have.
pub(crate) const HEAD_BYTES: usize = 32;
const MAGIC: u32 = u32::from_be_bytes(*b"JKFB");

/// The head of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) producer: u32,
    pub(crate) sequence: u64,
    /// Intended time of the send on [`now_ns`]'s clock.
    pub(crate) sent_ns: u64,
}

/// Nanoseconds since the first call in this process: the one clock of all latencies.
pub(crate) fn now_ns() -> u64 {
    since_start(Instant::now())
}

/// An instant on the clock of [`now_ns`].
pub(crate) fn since_start(instant: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    instant.saturating_duration_since(start).as_nanos() as u64
}

/// Writes the head into a body; with `sum` also the checksum, else zero.
pub(crate) fn write(body: &mut [u8], head: Head, sum: bool) {
    body[..4].copy_from_slice(&MAGIC.to_be_bytes());
    body[4..8].copy_from_slice(&head.producer.to_be_bytes());
    body[8..16].copy_from_slice(&head.sequence.to_be_bytes());
    body[16..24].copy_from_slice(&head.sent_ns.to_be_bytes());
    body[24..32].copy_from_slice(&[0; 8]);
    if sum {
        let sum = checksum(body);
        body[24..32].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Fills a body with a pattern that differs from place to place.
pub(crate) fn fill(body: &mut Vec<u8>, len: usize, seed: u64) {
    body.resize(len.max(HEAD_BYTES), 0);
    let mut state = seed;
    for chunk in body.chunks_mut(8) {
        state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        chunk.copy_from_slice(&state.to_be_bytes()[..chunk.len()]);
    }
}

/// The head of a body, none when it is not one of ours or (with `sum`) damaged.
pub(crate) fn read(body: &[u8], sum: bool) -> Option<Head> {
    let word = |at: usize| body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let first = word(0)?;
    if (first >> 32) as u32 != MAGIC {
        return None;
    }
    let head = Head { producer: first as u32, sequence: word(8)?, sent_ns: word(16)? };
    let written = word(24)?;
    (!sum || written == checksum(body)).then_some(head)
}

/// A checksum over everything but its own eight bytes; never zero.
fn checksum(body: &[u8]) -> u64 {
    let mut state = body.len() as u64;
    for part in [&body[..24], &body[HEAD_BYTES..]] {
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            state = (state ^ u64::from_be_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        for byte in rest {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }
    mix(state).max(1)
}

/// One step of splitmix64: a well mixed number out of any number.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// A small random source, repeatable by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x5851_f42d_4c95_7f2d))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head comes back; a flipped bit anywhere, a cut or a longer body is noticed.
    #[test]
    fn damage_is_seen() {
        let head = Head { producer: 7, sequence: 1 << 40, sent_ns: 99 };
        for len in [0, 33, 100, 1024] {
            let mut body = Vec::new();
            fill(&mut body, len, 5);
            write(&mut body, head, true);
            assert_eq!(read(&body, true), Some(head));
            for bit in 0..body.len() * 8 {
                body[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&body, true), None, "bit {bit} of {len}");
                body[bit / 8] ^= 1 << (bit % 8);
            }
            assert_eq!(read(&body[..body.len() - 1], true), None);
            body.push(0);
            assert_eq!(read(&body, true), None);
        }
    }
}
