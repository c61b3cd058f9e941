//! What a peer got wrong.

/// A breach of the protocol or of a limit. After any of these the stream has no frame boundary left, so the connection
/// ends; the decoder repeats the error for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A part of the frame is longer than its limit. `have` is what had arrived or was announced.
    #[error("{what} has {have} bytes, the limit is {limit}")]
    TooLong {
        /// Command line, header line, head, body or frame.
        what: &'static str,
        /// Its length, as far as it is known.
        have: u64,
        /// The limit it broke.
        limit: usize,
    },
    /// The frame has more header lines than `headers_max`.
    #[error("frame has more than {limit} headers")]
    TooManyHeaders {
        /// The limit it broke.
        limit: usize,
    },
    /// The command line holds no command.
    #[error("frame begins with a blank command")]
    NoCommand,
    /// A NUL stands in the command or in a header, so the frame ended before its head did.
    #[error("NUL at byte {at} of a frame, before the blank line that ends its headers")]
    NulInHead {
        /// Offset in the frame.
        at: usize,
    },
    /// The command or a header is not UTF-8.
    #[error("byte {at} of a frame's headers is not UTF-8")]
    NotUtf8 {
        /// Offset in the frame.
        at: usize,
    },
    /// A header line without a colon.
    #[error("header line {line} has no colon")]
    NoColon {
        /// Which header line, from one.
        line: usize,
    },
    /// A header line that begins with its colon.
    #[error("header line {line} has no name")]
    NoName {
        /// Which header line, from one.
        line: usize,
    },
    /// A backslash before a character this version does not escape, or before none.
    #[error("header line {line} has an escape that STOMP {version} does not define")]
    BadEscape {
        /// Which header line, from one.
        line: usize,
        /// The version in force.
        version: &'static str,
    },
    /// The content length is not a decimal number of at most 64 bits.
    #[error("content-length is not a number of bytes: {have}")]
    BadContentLength {
        /// What the header says, cut to a readable length.
        have: String,
    },
    /// The byte behind a body of announced length is not NUL.
    #[error("body of content-length {length} is followed by byte {have:#04x}, not by NUL")]
    NoNulAfterBody {
        /// The announced length.
        length: usize,
        /// The byte found.
        have: u8,
    },
}
