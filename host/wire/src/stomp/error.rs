//! What a peer got wrong. Where ActiveMQ has a sentence for it, that sentence comes first.

/// A breach of the protocol or of a limit. After any of these the stream has no frame boundary left, so the connection
/// ends; the decoder repeats the error for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A part of the frame is longer than its limit. `have` is what had arrived or was announced.
    #[error("The maximum {what} was exceeded: {have} bytes, the limit is {limit}")]
    TooLong {
        /// Command length, header length, head length, data length or frame size.
        what: &'static str,
        /// Its length, as far as it is known.
        have: u64,
        /// The limit it broke.
        limit: usize,
    },
    /// The frame has more header lines than `headers_max`.
    #[error("The maximum number of headers was exceeded: the limit is {limit}")]
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
    /// A header line that begins with its colon.
    #[error("header line {line} has no name")]
    NoName {
        /// Which header line, from one.
        line: usize,
    },
    /// The content length is a negative number.
    #[error("Specified content-length may not be negative: {have}")]
    NegativeContentLength {
        /// What the header says, cut to a readable length.
        have: String,
    },
    /// The content length is not a decimal number of at most 64 bits.
    #[error("Specified content-length is not a valid integer: {have}")]
    BadContentLength {
        /// What the header says, cut to a readable length.
        have: String,
    },
    /// The byte behind a body of announced length is not NUL.
    #[error(
        "content-length bytes were read and there was no trailing null byte: byte {have:#04x} follows a body of {length}"
    )]
    NoNulAfterBody {
        /// The announced length.
        length: usize,
        /// The byte found.
        have: u8,
    },
}
