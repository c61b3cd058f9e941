//! The marshalling cache (W11): an object is sent once under an index, afterwards as the index alone.
//!
//! Each direction has its own. The sender alone decides what stands where; the receiver only obeys. Both sides keep
//! copies of their own, never slices of a frame, so that an entry does not hold a read buffer alive.

use std::hash::{BuildHasher, RandomState};

use bytestring::ByteString;

use super::ids::{BrokerId, ConnectionId, ConsumerId, Destination, ProducerId, SessionId, TransactionId};

/// Slots that the sender frees before each frame, as ActiveMQ does; a frame uses far fewer.
const FREE_ENTRIES: usize = 100;

/// A cached object; null is one too.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cached {
    Null,
    Connection(ConnectionId),
    Session(SessionId),
    Consumer(ConsumerId),
    Producer(ProducerId),
    Broker(BrokerId),
    Destination(Destination),
    Transaction(TransactionId),
}

/// What may stand in a cached field.
pub(super) trait Cacheable: Clone {
    fn hash(&self, hash: &mut Hash);
    fn matches(&self, cached: &Cached) -> bool;
    /// A copy that holds no part of a frame.
    fn store(&self) -> Cached;
    /// `None` when the entry is of another type.
    fn load(cached: &Cached) -> Option<Self>;
    /// Bytes that a stored copy keeps besides its own size.
    fn weight(&self) -> usize;
}

/// A copy of the text in an allocation of its own.
pub(super) fn detach(text: &ByteString) -> ByteString {
    ByteString::from(&text[..])
}

/// Multiply-and-rotate over a seed that the peer does not know.
pub(super) struct Hash(u64);

impl Hash {
    pub(super) fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }
}

/// Our side: which objects the peer already knows, by index; oldest go first.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    size: usize,
    seed: u64,
    entries: Vec<Option<(u64, Cached)>>,
    /// Open addressing with linear probing over twice `size`: entry index + 1, 0 is empty. Built at first use.
    table: Vec<u16>,
    null: Option<u16>,
    count: usize,
    next: usize,
    oldest: usize,
}

impl Sent {
    pub(super) fn new(size: usize) -> Self {
        Self { size: size.min(i16::MAX as usize), seed: RandomState::new().hash_one(size), ..Self::default() }
    }

    pub(super) fn hash<T: Cacheable>(&self, value: &T) -> u64 {
        let mut hash = Hash(self.seed);
        value.hash(&mut hash);
        hash.0 ^ hash.0 >> 32
    }

    pub(super) fn find_null(&self) -> Option<u16> {
        self.null
    }

    pub(super) fn find<T: Cacheable>(&self, hash: u64, value: &T) -> Option<u16> {
        let mask = self.table.len().checked_sub(1)?;
        let mut slot = hash as usize & mask;
        loop {
            let index = self.table[slot].checked_sub(1)?;
            if let Some((known, cached)) = &self.entries[usize::from(index)]
                && *known == hash
                && value.matches(cached)
            {
                return Some(index);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Takes a slot for the object, or says -1: not cached.
    pub(super) fn insert<T: Cacheable>(&mut self, hash: u64, value: Option<&T>) -> i16 {
        if self.count >= self.size {
            return -1;
        }
        if self.table.is_empty() {
            self.table = vec![0; (self.size * 2).next_power_of_two()];
        }
        let index = self.next;
        self.next = (index + 1) % self.size;
        if self.entries.len() <= index {
            self.entries.resize(index + 1, None);
        }
        self.count += 1;
        match value {
            None => {
                self.entries[index] = Some((0, Cached::Null));
                self.null = Some(index as u16);
            }
            Some(value) => {
                self.entries[index] = Some((hash, value.store()));
                let mask = self.table.len() - 1;
                let mut slot = hash as usize & mask;
                while self.table[slot] != 0 {
                    slot = (slot + 1) & mask;
                }
                self.table[slot] = index as u16 + 1;
            }
        }
        index as i16
    }

    /// Frees slots; only between frames, because a frame may name any entry that was there at its start.
    pub(super) fn make_room(&mut self) {
        while self.count > self.size.saturating_sub(FREE_ENTRIES) {
            let index = self.oldest;
            self.oldest = (index + 1) % self.size;
            self.count -= 1;
            match self.entries[index].take() {
                Some((_, Cached::Null)) => self.null = None,
                Some((hash, _)) => self.unlink(hash, index as u16),
                None => {}
            }
        }
    }

    /// Forgets everything: a frame that could not be finished may have entries that the peer never sees.
    pub(super) fn clear(&mut self) {
        *self = Self { size: self.size, seed: self.seed, ..Self::default() };
    }

    fn unlink(&mut self, hash: u64, index: u16) {
        let mask = self.table.len() - 1;
        let mut hole = hash as usize & mask;
        while self.table[hole] != index + 1 {
            hole = (hole + 1) & mask;
        }
        self.table[hole] = 0;
        let mut slot = (hole + 1) & mask;
        while self.table[slot] != 0 {
            let home = match &self.entries[usize::from(self.table[slot] - 1)] {
                Some((hash, _)) => *hash as usize & mask,
                None => slot,
            };
            // The entry may move into the hole unless its home lies behind the hole.
            if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(hole) & mask {
                self.table[hole] = self.table[slot];
                self.table[slot] = 0;
                hole = slot;
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// The peer's side: what it told us to remember.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    size: usize,
    bytes_max: usize,
    bytes: usize,
    /// Grows up to `size` as the peer uses higher indexes.
    entries: Vec<Option<(usize, Cached)>>,
}

/// Bytes that an entry counts for besides its strings.
const ENTRY_BYTES: usize = size_of::<Option<(usize, Cached)>>();

impl Received {
    pub(super) fn new(size: usize, bytes_max: usize) -> Self {
        Self { size: size.min(i16::MAX as usize + 1), bytes_max, ..Self::default() }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn get(&self, index: i16) -> Option<&Cached> {
        let (_, cached) = self.entries.get(usize::try_from(index).ok()?)?.as_ref()?;
        Some(cached)
    }

    /// False when the index is out of range; an error tells the bytes that would be needed.
    pub(super) fn set<T: Cacheable>(&mut self, index: i16, value: Option<&T>) -> Result<bool, usize> {
        if index == -1 {
            return Ok(true);
        }
        let Some(index) = usize::try_from(index).ok().filter(|index| *index < self.size) else { return Ok(false) };
        let weight = ENTRY_BYTES + value.map_or(0, T::weight);
        let freed = self.entries.get(index).and_then(Option::as_ref).map_or(0, |(weight, _)| *weight);
        let bytes = self.bytes - freed + weight;
        if bytes > self.bytes_max {
            return Err(bytes);
        }
        self.bytes = bytes;
        if self.entries.len() <= index {
            self.entries.resize(index + 1, None);
        }
        self.entries[index] = Some((weight, value.map_or(Cached::Null, T::store)));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId { value: format!("ID:host-{number}").into() }
    }

    /// Slots wrap around for long; what the sender believes is always what the receiver holds.
    #[test]
    fn sender_and_receiver_agree_over_many_evictions() {
        for size in [1, 50, 100, 101, 200, 1024] {
            let mut sent = Sent::new(size);
            let mut received = Received::new(size, 1 << 20);
            let mut state = 7usize;
            for _ in 0..20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let value = !(state >> 33).is_multiple_of(23);
                let value = value.then(|| id((state >> 40) % 1500));
                sent.make_room();
                let hash = value.as_ref().map_or(0, |value| sent.hash(value));
                let found = value.as_ref().map_or_else(|| sent.find_null(), |value| sent.find(hash, value));
                match found {
                    Some(index) => {
                        let expected = value.map_or(Cached::Null, Cached::Connection);
                        assert_eq!(received.get(index as i16), Some(&expected));
                    }
                    None => {
                        let index = sent.insert(hash, value.as_ref());
                        assert_eq!(received.set(index, value.as_ref()), Ok(true));
                    }
                }
                assert!(sent.count <= size);
            }
        }
    }

    #[test]
    fn a_peer_cannot_grow_the_cache() {
        let mut received = Received::new(10, 4 * ENTRY_BYTES);
        assert_eq!(received.set(10, Some(&id(1))), Ok(false));
        assert_eq!(received.set(-2, Some(&id(1))), Ok(false));
        assert_eq!(received.set(-1, Some(&id(1))), Ok(true));
        assert_eq!(received.get(-1), None);
        assert_eq!(received.get(3), None);
        for _ in 0..100 {
            assert_eq!(received.set(9, Some(&id(1))), Ok(true));
        }
        assert!((0..4).any(|index| received.set(index, Some(&id(1))).is_err()));
    }
}
