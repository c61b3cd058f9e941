//! Message properties as a policy asks for them.

/// A message property, or a header by the name that selectors have for it, to be shown as a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property(pub(crate) String);

impl Property {
    /// Shown as symbols, 0 for absent; see [`Batch::symbols`](crate::Batch::symbols).
    pub fn symbol(name: &str) -> Property {
        Property(name.to_owned())
    }

    /// Shown as numbers, 0 for what is absent or no number; see [`Batch::numbers`](crate::Batch::numbers).
    pub fn number(name: &str) -> Property {
        Property(format!("number:{name}"))
    }

    /// Shown as [`text_hash`] of the text, 0 for absent; see [`Batch::hashes`](crate::Batch::hashes). Unlike symbols
    /// hashes may be kept in a snapshot, and there is no limit to how many texts there may be.
    pub fn hash(name: &str) -> Property {
        Property(format!("hash:{name}"))
    }
}

/// Number of a format of state that no other policy has: the last 24 bits of the hash of the package's name, and the
/// version as the last byte. 0 for version 0.
pub(crate) fn state_format(package: &str, version: u8) -> u32 {
    let [.., a, b, c] = text_hash(package).to_be_bytes();
    if version == 0 { 0 } else { u32::from_be_bytes([a, b, c, version]) }
}

/// The hash that the broker shows of a text: FNV-1a of 64 bits over its UTF-8, as a signed number; 0 for the empty text,
/// and 1 in place of 0 for any other.
pub fn text_hash(text: &str) -> i64 {
    if text.is_empty() {
        return 0;
    }
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    match text.bytes().fold(0xcbf2_9ce4_8422_2325, step).cast_signed() {
        0 => 1,
        hash => hash,
    }
}
