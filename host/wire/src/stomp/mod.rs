//! STOMP 1.0, 1.1 and 1.2: bytes <-> frames.
//!
//! ```text
//! frame   = command EOL { name ":" value EOL } EOL body NUL
//! EOL     = [CR] LF                between frames an EOL is a heart-beat
//! body    = content-length octets, or all up to the first NUL when that header is missing
//! ```
//!
//! [`Decoder`] takes what arrived and gives frames; [`FrameWriter`] and [`encode`] write them. Neither knows a socket,
//! a clock or what a frame means; which commands may come when is the session's business.
//!
//! As ActiveMQ does, the decoder reads escapes in 1.0 and in CONNECT too, leaves alone what a version does not escape,
//! and takes a header line without a colon for a name. Differences from ActiveMQ: `content-length` counts for every
//! command, and header names are escaped like values.

mod decode;
mod encode;
mod error;
mod frame;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::{FrameWriter, HEART_BEAT, encode, encode_parts};
pub use error::Error;
pub use frame::{Command, Frame, Item};

/// The name of the header that tells a body's length.
pub(crate) const CONTENT_LENGTH: &str = "content-length";

/// A version of the protocol. A connection starts at 1.0 and changes once, when CONNECT has been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// 1.0: headers are written without escapes.
    #[default]
    V1_0,
    /// 1.1: LF, colon and backslash are escaped; a CR belongs to the header it ends.
    V1_1,
    /// 1.2: CR is escaped as well, and lines may end in CR LF.
    V1_2,
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

    /// As the `version` and `accept-version` headers spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    /// The newest version in an `accept-version` list such as `1.0,1.1`; `None` when it names none we speak.
    pub fn newest_in(accept_version: &str) -> Option<Version> {
        let offered = |version: &Version| accept_version.split(',').any(|offer| offer.trim() == version.as_str());
        Version::ALL.into_iter().rev().find(offered)
    }
}

/// How long the parts of an arriving frame may be. Each is checked as bytes arrive, before anything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest command line in bytes. Default 1024, as in ActiveMQ.
    pub command_bytes_max: usize,
    /// Longest header line in bytes, name, colon and escapes included. Default 10 KiB, as in ActiveMQ.
    pub header_bytes_max: usize,
    /// Most header lines in a frame. Default 1000, as in ActiveMQ.
    pub headers_max: usize,
    /// Most bytes for the command and all headers together. Default 1 MiB; ActiveMQ has no such limit.
    pub head_bytes_max: usize,
    /// Longest body. Default 104857600, ActiveMQ's `wireFormat.maxDataLength`.
    pub body_bytes_max: usize,
    /// Most bytes for a whole frame, ActiveMQ's `wireFormat.maxFrameSize`. Default unlimited beyond the sum of the
    /// other limits, as in ActiveMQ.
    pub frame_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            command_bytes_max: 1024,
            header_bytes_max: 10 * 1024,
            headers_max: 1000,
            head_bytes_max: 1024 * 1024,
            body_bytes_max: 100 * 1024 * 1024,
            frame_bytes_max: usize::MAX,
        }
    }
}
