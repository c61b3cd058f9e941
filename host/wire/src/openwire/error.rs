//! What can be wrong with bytes from a peer, or with a command that we are asked to put into bytes.

/// A frame that cannot be read or a command that cannot be written; names the field, the place and the sizes.
///
/// `offset` counts bytes from the start of the frame, its size prefix included. After a decoding error the stream is
/// lost: answer with a protocol error and close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The frame ends inside a field.
    #[error("{what} at offset {offset} needs {need} bytes, the frame has {have}")]
    Truncated {
        /// The field being read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// Bytes it asks for.
        need: usize,
        /// Bytes left in the frame.
        have: usize,
    },
    /// The size prefix, or the size of the command to be written, is above the agreed frame limit.
    #[error("frame of {need} bytes is above the limit of {have}")]
    FrameTooLarge {
        /// Size of the frame.
        need: u64,
        /// The limit that holds: agreed `MaxFrameSize`, or the limit before anything is agreed.
        have: u64,
    },
    /// A length or count is negative.
    #[error("{what} at offset {offset} has negative length {length}")]
    NegativeLength {
        /// The field being read.
        what: &'static str,
        /// Where its length stands.
        offset: usize,
        /// The length as written by the peer.
        length: i64,
    },
    /// A length or count is above a limit of ours or of the protocol.
    #[error("{what} at offset {offset} needs {need}, the limit is {have}")]
    TooMany {
        /// The field being read or written.
        what: &'static str,
        /// Where it starts; when writing, bytes written so far.
        offset: usize,
        /// The size or count asked for.
        need: usize,
        /// The limit.
        have: usize,
    },
    /// Objects are nested, or throwables chained, deeper than the limit.
    #[error("{what} at offset {offset} is nested deeper than {have}")]
    TooDeep {
        /// The field being read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// The limit.
        have: usize,
    },
    /// The packed booleans of a tight frame are used up.
    #[error("{what} at offset {offset} needs a boolean, the bit stream has none left")]
    BitsExhausted {
        /// The field being read.
        what: &'static str,
        /// Where the reader stands in the bytes.
        offset: usize,
    },
    /// The data type does not exist in the agreed version.
    #[error("{what} at offset {offset} has data type {data_type}, unknown in version {version}")]
    UnknownType {
        /// The field being read or written.
        what: &'static str,
        /// Where the type stands.
        offset: usize,
        /// The type.
        data_type: u8,
        /// The agreed version.
        version: u8,
    },
    /// The data type exists, but not in this field.
    #[error("{what} at offset {offset} cannot hold data type {data_type}")]
    UnexpectedType {
        /// The field being read.
        what: &'static str,
        /// Where the type stands.
        offset: usize,
        /// The type.
        data_type: u8,
    },
    /// A null stands where a value is needed.
    #[error("{what} at offset {offset} is null")]
    Null {
        /// The field being read.
        what: &'static str,
        /// Where it stands.
        offset: usize,
    },
    /// A marshalling cache index is out of range, was never set, or holds an object of another type.
    #[error(
        "{what} at offset {offset} names cache entry {index} of {have}, which is out of range, unset or of another type"
    )]
    CacheIndex {
        /// The field being read.
        what: &'static str,
        /// Where the index stands.
        offset: usize,
        /// The index.
        index: i16,
        /// Entries that the cache may have.
        have: usize,
    },
    /// A string is not modified UTF-8.
    #[error("{what} at offset {offset} is not modified UTF-8")]
    Text {
        /// The field being read.
        what: &'static str,
        /// Where the string starts.
        offset: usize,
    },
    /// The property map of a `WireFormatInfo` breaks a rule of W03.
    #[error("wire format property at offset {offset} of the map has unusable type {data_type}")]
    Property {
        /// Where in the map.
        offset: usize,
        /// The type of the value.
        data_type: u8,
    },
    /// The peer does not start with `ActiveMQ` (W06).
    #[error("magic is {magic:?}, not ActiveMQ")]
    Magic {
        /// What it sent.
        magic: [u8; 8],
    },
    /// The agreed version is below our minimum or unknown (W06).
    #[error("version {version} is outside {least}..={most}")]
    Version {
        /// The version that would be spoken.
        version: i32,
        /// The least that we accept.
        least: i32,
        /// The newest that we know.
        most: i32,
    },
    /// The agreed marshalling cache size is negative.
    #[error("cache size {size} is negative")]
    CacheSize {
        /// The size.
        size: i32,
    },
}
